//! One log over time: what is an event, what is an alarm, and when.

use std::sync::Arc;

use credence_log::SignedCheckpoint;
use credence_watch::follow::{FollowError, Looked};
use credence_watch::{Alarm, Follower, LogSource, MonitorEvent, Patience};
use credence_witness::{Evidence, Notes};

use crate::shared::{History, MemoryNotes, Shown, log_key, log_signer, signer};

fn follower(shown: &Arc<Shown>, notes: &Arc<MemoryNotes>) -> Follower {
    let source = Arc::<Shown>::clone(shown) as Arc<dyn LogSource>;
    let notes = Arc::<MemoryNotes>::clone(notes);
    Follower::open(log_key(), source, notes, Patience::usual()).unwrap()
}

fn new(shown: &Arc<Shown>) -> Follower {
    follower(shown, &Arc::new(MemoryNotes::default()))
}

fn alarms(looked: &Looked) -> Vec<Alarm> {
    looked
        .alarms
        .iter()
        .map(|found| found.alarm.clone())
        .collect()
}

/// The evidence of the only alarm, read again by somebody else.
fn evidence(looked: &Looked) -> Evidence {
    assert_eq!(looked.alarms.len(), 1, "{looked:?}");
    let text = looked.alarms[0].evidence.as_ref().unwrap().encode();
    Evidence::parse(text.as_bytes()).unwrap()
}

fn seen(follower: &Follower) -> u64 {
    follower
        .seen()
        .map(SignedCheckpoint::unverified)
        .unwrap()
        .size()
}

#[test]
fn a_log_grows_and_a_restart_goes_on() {
    let history = Arc::new(History::new(600, 0, 0));
    let shown = Shown::new(&history, 5);
    let notes = Arc::new(MemoryNotes::default());
    let mut one = follower(&shown, &notes);
    for size in [5, 5, 7, 256, 257, 600, 600] {
        shown.grow(size);
        let looked = one.poll();
        assert!(looked.alarms.is_empty(), "{looked:?}");
        assert_eq!(seen(&one), size);
    }
    let again = follower(&shown, &notes);
    assert_eq!(seen(&again), 600);
    // What is kept must be the log's.
    notes.keep("log.example/receipts", b"rubbish").unwrap();
    let source = Arc::<Shown>::clone(&shown) as Arc<dyn LogSource>;
    let damaged = Follower::open(log_key(), source, notes, Patience::usual());
    assert!(matches!(damaged.err(), Some(FollowError::Damaged { .. })));
}

#[test]
fn two_roots_of_one_size_are_an_equivocation() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    let shown = Shown::new(&history, 300);
    let mut one = new(&shown);
    assert!(one.poll().alarms.is_empty());
    shown.view().history = fork;
    let looked = one.poll();
    assert_eq!(alarms(&looked), [Alarm::Equivocation { size: 300 }]);
    assert!(evidence(&looked).equivocation().is_some());
    // Once is enough, and what was seen first stands.
    assert!(one.poll().alarms.is_empty());
    assert_eq!(one.seen().unwrap(), history.checkpoint(300));
}

#[test]
fn growth_that_does_not_continue_what_was_seen_is_a_fork() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    for (before, after) in [(250, 290), (290, 250)] {
        let shown = Shown::new(&history, before);
        let mut one = new(&shown);
        one.poll();
        shown.view().history = Arc::clone(&fork);
        shown.grow(after);
        if after < before {
            // It still serves the tiles of what we have seen, which is what convicts it.
            shown.view().says = Some(fork.checkpoint(after).encode().into_bytes());
            shown.view().history = Arc::clone(&history);
            shown.view().tiles = before;
        }
        let looked = one.poll();
        assert_eq!(
            alarms(&looked),
            [Alarm::Fork {
                smaller: 250,
                larger: 290
            }]
        );
        assert!(evidence(&looked).equivocation().is_none());
        assert_eq!(seen(&one), before);
    }
}

#[test]
fn an_older_checkpoint_is_chance_at_first_and_a_rollback_in_the_end() {
    let history = Arc::new(History::new(300, 0, 0));
    for lost in [false, true] {
        let shown = Shown::new(&history, 300);
        let mut one = new(&shown);
        one.poll();
        shown.view().size = 280;
        if lost {
            shown.view().tiles = 280;
        }
        for poll in 1..=Patience::usual().stale_polls {
            let looked = one.poll();
            let expected = Alarm::Rollback {
                seen: 300,
                shown: 280,
            };
            if poll < Patience::usual().stale_polls {
                assert!(looked.alarms.is_empty(), "{looked:?}");
                assert_eq!(
                    matches!(looked.events[0], MonitorEvent::Stale { .. }),
                    !lost
                );
            } else {
                assert_eq!(alarms(&looked), [expected]);
            }
        }
        assert!(one.poll().alarms.is_empty());
        // A good poll in between clears it.
        shown.grow(300);
        assert!(one.poll().alarms.is_empty());
    }
}

#[test]
fn growth_that_is_not_shown_is_an_alarm_at_once_if_false_and_later_if_missing() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 10, 1)),
    );
    let shown = Shown::new(&history, 20);
    let mut one = new(&shown);
    one.poll();
    // Tiles of another tree than the checkpoint's.
    shown.grow(30);
    shown.view().says = Some(fork.checkpoint(30).encode().into_bytes());
    let looked = one.poll();
    assert!(
        matches!(
            alarms(&looked)[..],
            [Alarm::Inconsistent {
                from: 20,
                to: 30,
                ..
            }]
        ),
        "{looked:?}"
    );
    // No tiles at all.
    let shown = Shown::new(&history, 20);
    let mut one = new(&shown);
    one.poll();
    shown.view().size = 40;
    for _ in 1..Patience::usual().unshown_polls {
        assert!(one.poll().alarms.is_empty());
    }
    let looked = one.poll();
    assert!(
        matches!(
            alarms(&looked)[..],
            [Alarm::Inconsistent {
                from: 20,
                to: 40,
                ..
            }]
        ),
        "{looked:?}"
    );
    assert_eq!(seen(&one), 20);
}

#[test]
fn a_root_of_nothing_is_false_on_its_face() {
    let history = Arc::new(History::new(30, 0, 0));
    let shown = Shown::new(&history, 20);
    let mut one = new(&shown);
    one.poll();
    // Signed as the log, by hand: its own code signs no such thing.
    let root = history.checkpoint(5).unverified().root();
    let text = format!("log.example/receipts\n0\n{root}\n");
    let note = credence_log::Note::sign(&text, &log_signer()).unwrap();
    shown.view().says = Some(note.encode().into_bytes());
    let looked = one.poll();
    assert!(
        matches!(
            alarms(&looked)[..],
            [Alarm::Inconsistent {
                from: 20,
                to: 0,
                ..
            }]
        ),
        "{looked:?}"
    );
}

#[test]
fn another_key_is_an_alarm_and_an_outage_is_none() {
    let history = Arc::new(History::new(30, 0, 0));
    let shown = Shown::new(&history, 20);
    let mut one = new(&shown);
    shown.view().down = true;
    for _ in 0..50 {
        let looked = one.poll();
        assert!(
            looked.alarms.is_empty()
                && matches!(looked.events[0], MonitorEvent::Unreachable { .. })
        );
    }
    shown.view().down = false;
    one.poll();
    let mut forged = history.checkpoint(25).encode();
    let at = forged.len() - 10;
    let other = if &forged[at..=at] == "A" { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    let thief = signer("log.example/receipts", 9);
    let elsewhere = signer("elsewhere.example", 1);
    let resigned = |signer: &credence_log::Signer| {
        let root = *history.checkpoint(25).unverified().root();
        let name = signer.verifier().name();
        credence_log::Checkpoint::new(name, 25, root)
            .unwrap()
            .sign(signer)
            .unwrap()
            .encode()
    };
    for text in [forged, resigned(&thief), resigned(&elsewhere)] {
        let mut one = follower(&shown, &Arc::new(MemoryNotes::default()));
        one.poll();
        shown.view().says = Some(text.into_bytes());
        let looked = one.poll();
        assert!(
            matches!(alarms(&looked)[..], [Alarm::UnknownKey { .. }]),
            "{looked:?}"
        );
        assert!(one.poll().alarms.is_empty());
        shown.view().says = None;
    }
}

#[test]
fn what_a_peer_says_counts_as_far_as_the_log_signed_it() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    let shown = Shown::new(&history, 250);
    let mut one = new(&shown);
    one.poll();
    let text = |history: &History, size| history.checkpoint(size).encode().into_bytes();
    // Agreement, rubbish, and what is ahead.
    let looked = one.hear("p", &text(&history, 100));
    assert!(matches!(
        looked.events[..],
        [MonitorEvent::PeerAgrees { size: 100, .. }]
    ));
    let looked = one.hear("p", b"rubbish");
    assert!(
        looked.alarms.is_empty() && matches!(looked.events[..], [MonitorEvent::PeerFailed { .. }])
    );
    let looked = one.hear("p", &text(&history, 280));
    assert!(
        looked.alarms.is_empty() && looked.events.is_empty(),
        "{looked:?}"
    );
    shown.grow(290);
    let looked = one.poll();
    assert!(
        matches!(
            looked.events[..],
            [
                MonitorEvent::Grown { .. },
                MonitorEvent::PeerAgrees { size: 280, .. }
            ]
        ),
        "{looked:?}"
    );
    // A lie of a smaller size is shown at once.
    assert_eq!(
        alarms(&one.hear("p", &text(&fork, 260))),
        [Alarm::Fork {
            smaller: 260,
            larger: 290
        }]
    );
    // A lie of a larger size waits until we have grown as far.
    let shown = Shown::new(&history, 250);
    let mut one = new(&shown);
    one.poll();
    assert!(one.hear("p", &text(&fork, 280)).alarms.is_empty());
    // A later word of the peer does not push the earlier one out.
    assert!(one.hear("p", &text(&fork, 299)).alarms.is_empty());
    shown.grow(285);
    let looked = one.poll();
    assert_eq!(
        alarms(&looked),
        [Alarm::Fork {
            smaller: 280,
            larger: 285
        }]
    );
    assert!(evidence(&looked).equivocation().is_none());
}

#[test]
fn a_log_that_hides_here_what_it_shows_there_is_found_out_in_time() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    let shown = Shown::new(&history, 250);
    let mut one = new(&shown);
    one.poll();
    one.hear("p", &fork.checkpoint(280).encode().into_bytes());
    let mut raised = Vec::new();
    for _ in 0..Patience::usual().withheld_polls + 5 {
        raised.extend(alarms(&one.poll()));
    }
    let expected = Alarm::Withheld {
        peer: "p".to_owned(),
        size: 280,
        seen: 250,
    };
    assert_eq!(raised, [expected]);
    // Nor does it help to take the tiles away after all was seen.
    let shown = Shown::new(&history, 290);
    let mut one = new(&shown);
    one.poll();
    shown.view().tiles = 0;
    one.hear("p", &fork.checkpoint(260).encode().into_bytes());
    let mut raised = Vec::new();
    for _ in 0..Patience::usual().withheld_polls {
        raised.extend(alarms(&one.poll()));
    }
    let expected = Alarm::Withheld {
        peer: "p".to_owned(),
        size: 260,
        seen: 290,
    };
    assert_eq!(raised, [expected]);
}

#[test]
fn a_fork_is_told_of_though_the_log_takes_its_tiles_away() {
    let (history, fork) = (
        Arc::new(History::new(600, 0, 0)),
        Arc::new(History::new(600, 200, 1)),
    );
    // Two tiles of the right edge and the one that 300 falls into; each is asked for once, and by then all is known.
    for left in 0..6 {
        let shown = Shown::new(&history, 300);
        let mut one = new(&shown);
        one.poll();
        shown.view().history = Arc::clone(&fork);
        shown.grow(600);
        shown.view().tiles_left = Some(left);
        let looked = one.poll();
        if left < 3 {
            assert!(looked.alarms.is_empty(), "{left}: {looked:?}");
            continue;
        }
        let expected = Alarm::Fork {
            smaller: 300,
            larger: 600,
        };
        assert_eq!(alarms(&looked), [expected], "{left}");
        assert!(evidence(&looked).equivocation().is_none());
        assert_eq!(seen(&one), 300);
        // It has no more to show, and has lost.
        assert!(one.poll().alarms.is_empty());
    }
}

#[test]
fn what_peers_show_is_compared_with_one_another() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 100, 1)),
    );
    let text = |history: &History, size| history.checkpoint(size).encode().into_bytes();
    for peers in [["a", "b"], ["a", "a"]] {
        for seen in [None, Some(50), Some(300)] {
            // The log itself shows nothing here, or less, and no tiles that would tell.
            let shown = Shown::new(&history, seen.unwrap_or(0));
            let mut one = new(&shown);
            if seen.is_some() {
                one.poll();
            }
            shown.view().down = true;
            let first = one.hear(peers[0], &text(&history, 250));
            assert!(first.alarms.is_empty(), "{first:?}");
            let looked = one.hear(peers[1], &text(&fork, 250));
            assert_eq!(alarms(&looked), [Alarm::Equivocation { size: 250 }]);
            assert!(evidence(&looked).equivocation().is_some());
        }
    }
    // And what the log said itself before its tiles could be had.
    let shown = Shown::new(&history, 250);
    shown.view().tiles = 0;
    let mut one = new(&shown);
    assert!(one.poll().alarms.is_empty() && one.seen().is_none());
    let looked = one.hear("a", &text(&fork, 250));
    assert_eq!(alarms(&looked), [Alarm::Equivocation { size: 250 }]);
}

#[test]
fn a_monitor_that_is_shown_nothing_from_the_start_says_so() {
    let history = Arc::new(History::new(300, 0, 0));
    let notes = Arc::new(MemoryNotes::default());
    let shown = Shown::new(&history, 300);
    shown.view().down = true;
    let mut one = follower(&shown, &notes);
    one.hear("p", &history.checkpoint(280).encode().into_bytes());
    let mut raised = Vec::new();
    for poll in 0..Patience::usual().withheld_polls + 5 {
        let looked = one.poll();
        assert!(looked.alarms.is_empty() || poll + 1 >= Patience::usual().withheld_polls);
        raised.extend(alarms(&looked));
    }
    let expected = Alarm::Withheld {
        peer: "p".to_owned(),
        size: 280,
        seen: 0,
    };
    assert_eq!(raised, [expected]);
    // Once the log is shown, the peer is found to agree.
    shown.view().down = false;
    let looked = one.poll();
    let agrees = |event: &MonitorEvent| matches!(event, MonitorEvent::PeerAgrees { .. });
    assert!(looked.alarms.is_empty() && looked.events.iter().any(agrees));
}

#[test]
fn checkpoints_that_fill_memory_are_not_looked_at() {
    let history = Arc::new(History::new(30, 0, 0));
    let shown = Shown::new(&history, 30);
    let mut one = new(&shown);
    one.poll();
    let text = history.checkpoint(20).note().text().to_owned();
    let extended = |bytes: usize| {
        let text = format!("{text}{}\n", "x".repeat(bytes - 1));
        let note = credence_log::Note::sign(&text, &log_signer()).unwrap();
        note.encode().into_bytes()
    };
    let agrees = |event: &MonitorEvent| matches!(event, MonitorEvent::PeerAgrees { .. });
    let looked = one.hear("p", &extended(4096));
    assert!(looked.events.iter().any(agrees), "{looked:?}");
    let looked = one.hear("p", &extended(4097));
    let failed = |event: &MonitorEvent| matches!(event, MonitorEvent::PeerFailed { .. });
    assert!(looked.events.iter().all(failed), "{looked:?}");
    shown.view().says = Some(extended(4097));
    let looked = one.poll();
    let unreachable = |event: &MonitorEvent| matches!(event, MonitorEvent::Unreachable { .. });
    assert!(looked.alarms.is_empty() && looked.events.iter().any(unreachable));
}
