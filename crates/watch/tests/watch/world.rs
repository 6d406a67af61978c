//! A simulated world, seeded: no false alarm for an honest log, whatever the network does; always an alarm for a forked one once
//! the vantage points talk.

use std::sync::Arc;

use credence_watch::{Alarm, Follower, LogSource, Patience};
use credence_witness::Evidence;

use crate::shared::{History, MemoryNotes, Shown, log_key};

const SIZE: u64 = 300;
const MONITORS: usize = 3;

/// Numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

struct Vantage {
    shown: Arc<Shown>,
    notes: Arc<MemoryNotes>,
    follower: Follower,
    /// Polls in a row that were not of the newest checkpoint with its tiles.
    bad: u32,
}

impl Vantage {
    fn new(history: &Arc<History>, size: u64) -> Self {
        let shown = Shown::new(history, size);
        let notes = Arc::new(MemoryNotes::default());
        let follower = open(&shown, &notes);
        Self {
            shown,
            notes,
            follower,
            bad: 0,
        }
    }
}

fn open(shown: &Arc<Shown>, notes: &Arc<MemoryNotes>) -> Follower {
    let source = Arc::<Shown>::clone(shown) as Arc<dyn LogSource>;
    let notes = Arc::<MemoryNotes>::clone(notes);
    Follower::open(log_key(), source, notes, Patience::usual()).unwrap()
}

/// One poll through a network that loses, delays, repeats and serves from caches, though not for ever. Alarms, in words.
fn poll(vantage: &mut Vantage, size: u64, before: u64, dice: &mut Dice) -> Vec<String> {
    vantage.shown.view().down = false;
    vantage.shown.grow(size);
    let fate = dice.roll(8);
    if vantage.bad + 1 < Patience::usual().stale_polls {
        let mut view = vantage.shown.view();
        match fate {
            0 => view.down = true,
            1 => view.size = before + dice.roll(size - before + 1),
            2 => view.tiles = before,
            3 => (view.size, view.tiles) = (before, size),
            _ => {}
        }
        vantage.bad = if fate < 4 { vantage.bad + 1 } else { 0 };
    } else {
        vantage.bad = 0;
    }
    let mut alarms = Vec::new();
    for _ in 0..=u64::from(fate == 7) {
        let looked = vantage.follower.poll();
        alarms.extend(looked.alarms.iter().map(|found| found.alarm.to_string()));
    }
    if dice.roll(10) == 0 {
        // It is killed, and starts again from what it kept.
        vantage.follower = open(&vantage.shown, &vantage.notes);
    }
    alarms
}

#[test]
fn an_honest_log_raises_no_alarm_in_thousands_of_histories() {
    let history = Arc::new(History::new(SIZE, 0, 0));
    for seed in 0..2000 {
        let mut dice = Dice(seed);
        let mut size = dice.roll(40);
        let mut monitors: Vec<_> = (0..MONITORS)
            .map(|_| Vantage::new(&history, size))
            .collect();
        // Words on their way between monitors, in any order, once or twice or never.
        let mut letters: Vec<(usize, Vec<u8>)> = Vec::new();
        for _ in 0..6 {
            let before = size;
            size = (size + dice.roll(60)).min(SIZE);
            for (at, monitor) in monitors.iter_mut().enumerate() {
                let alarms = poll(monitor, size, before, &mut dice);
                assert!(alarms.is_empty(), "seed {seed}: {alarms:?}");
                if let Some(seen) = monitor.follower.seen() {
                    let to = (at + 1 + usize::try_from(dice.roll(2)).unwrap()) % MONITORS;
                    letters.push((to, seen.encode().into_bytes()));
                }
            }
            for _ in 0..dice.roll(4) {
                if letters.is_empty() {
                    break;
                }
                let at = usize::try_from(dice.roll(letters.len() as u64)).unwrap();
                let (to, text) = letters[at].clone();
                if dice.roll(3) > 0 {
                    letters.swap_remove(at);
                }
                let looked = monitors[to].follower.hear("peer", &text);
                assert!(looked.alarms.is_empty(), "seed {seed}: {looked:?}");
            }
        }
        for one in &monitors {
            assert!(
                one.follower
                    .seen()
                    .is_none_or(|seen| seen.unverified().size() <= size)
            );
        }
    }
}

#[test]
fn a_fork_shown_to_one_is_always_found_once_they_talk() {
    let history = Arc::new(History::new(SIZE, 0, 0));
    let fork_points = [1, 63, 64, 128, 200, 255, 256, 257];
    let forks: Vec<_> = fork_points
        .iter()
        .map(|at| (*at, Arc::new(History::new(SIZE, *at, 1))))
        .collect();
    let mut found_by_size = [0u32; 2];
    for seed in 0..1000 {
        let mut dice = Dice(1_000_000 + seed);
        let (fork_at, fork) = &forks[usize::try_from(dice.roll(forks.len() as u64)).unwrap()];
        // Both are shown the same at first, and then each a history of its own.
        let start = dice.roll(*fork_at + 1);
        let (mut a, mut b) = (Vantage::new(&history, start), Vantage::new(&history, start));
        assert!(a.follower.poll().alarms.is_empty() && b.follower.poll().alarms.is_empty());
        b.shown.view().history = Arc::clone(fork);
        let beyond = |dice: &mut Dice| fork_at + 1 + dice.roll(SIZE - fork_at);
        for vantage in [&mut a, &mut b] {
            let size = beyond(&mut dice);
            vantage.shown.grow(size);
            // Neither can see anything wrong by itself.
            assert!(vantage.follower.poll().alarms.is_empty(), "seed {seed}");
        }
        let say = |vantage: &Vantage| vantage.follower.seen().unwrap().encode().into_bytes();
        let (from_a, from_b) = (say(&a), say(&b));
        let mut alarms = a.follower.hear("b", &from_b).alarms;
        alarms.extend(b.follower.hear("a", &from_a).alarms);
        assert!(!alarms.is_empty(), "seed {seed}");
        for found in alarms {
            let same = matches!(found.alarm, Alarm::Equivocation { .. });
            assert!(
                same || matches!(found.alarm, Alarm::Fork { .. }),
                "{found:?}"
            );
            found_by_size[usize::from(same)] += 1;
            // Somebody else checks it, with no network.
            let text = found.evidence.unwrap().encode();
            let evidence = Evidence::parse(text.as_bytes()).unwrap();
            assert_eq!(evidence.log(), &log_key());
            assert_eq!(evidence.equivocation().is_some(), same);
        }
    }
    assert!(
        found_by_size.iter().all(|count| *count > 0),
        "{found_by_size:?}"
    );
}
