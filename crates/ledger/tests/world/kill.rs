//! A real process on a real folder, killed at random moments.
//!
//! The test starts its own binary again as the child, which appends under load and says what was acknowledged; the parent
//! kills it (`SIGKILL`), recovers the folder itself and checks: every checkpoint ever published against the entries, every answer against
//! its position. 40 rounds, or as many as `CREDENCE_KILLS` says; `CREDENCE_SEED` repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use credence_base::ReceiptDigest;
use credence_ledger::{Driver, Ledger, Schedule, open_folder};
use credence_log::entry::{self, EntriesId};
use credence_log::sequencer::{Kind, Limits, numbered};
use credence_log::{Frontier, Hash, SignedCheckpoint};
use credence_testkit::kill::{self, Dice};

use crate::check::{Said, check_objects};
use crate::history::{digest, said_of, signer, verify};

const FOLDER: &str = "CREDENCE_KILL_FOLDER";
const START: &str = "CREDENCE_KILL_START";
const LIMITS: Limits = Limits {
    pool_max: 2000,
    batch_max: 700,
};

/// The child: appends until it is killed. Does nothing when it is not the child.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let start: u64 = std::env::var(START).unwrap().parse().unwrap();
    let options = open_folder(Path::new(&folder), signer(), LIMITS).unwrap();
    let schedule = Schedule {
        interval: Duration::from_millis(2),
        on_error: Box::new(|error| panic!("{error:?}")),
    };
    let ledger = Arc::new(Ledger::open(options, schedule).unwrap());
    let mut dice = Dice::new(start);
    let mut next = start;
    let mut out = std::io::stdout();
    // As many at once as come in two milliseconds, and old ones among them.
    loop {
        let mut pending = Vec::new();
        for _ in 0..=dice.below(400) {
            let number = if dice.once_in(8) {
                dice.below(next + 1)
            } else {
                next
            };
            next = next.max(number + 1);
            if let Ok(one) = ledger.append(digest(number)) {
                pending.push((number, one));
            }
        }
        for (number, one) in pending {
            let Ok(sequenced) = one.wait() else { continue };
            let said = said_of(digest(number), &sequenced);
            // One write for a line, so that none comes in half.
            let line = format!("said {number} {} {}\n", said.position, said.number);
            out.write_all(line.as_bytes()).unwrap();
        }
    }
}

#[test]
fn killed_at_any_moment_it_keeps_what_it_said() {
    let rounds: u64 = std::env::var("CREDENCE_KILLS").map_or(40, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(kill::seed("killed_at_any_moment_it_keeps_what_it_said"));
    let mut said: Vec<(u64, u64, u64)> = Vec::new();
    let mut rebuilt = Rebuilt::default();
    for round in 0..rounds {
        let heard = run_and_kill(folder.path(), round, &mut dice);
        said.extend_from_slice(&heard);
        recovered(folder.path(), &heard, &said, &mut dice);
        rebuilt.go_on(&folder.path().join("log"));
        rebuilt.has(&heard);
    }
    whole(folder.path(), &said);
    assert!(said.len() > 1000, "only {} acknowledged", said.len());
}

/// What the child said before it was killed.
fn run_and_kill(folder: &Path, round: u64, dice: &mut Dice) -> Vec<(u64, u64, u64)> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(START, (round * 1_000_000).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    // After so many answers; now and then while it still recovers.
    let answers = if dice.once_in(8) {
        0
    } else {
        1 + dice.below(600)
    };
    let then = Duration::from_micros(dice.below(20_000));
    let said = kill::until_killed(child, "said ", answers, then);
    let numbers = said.iter().map(|rest| {
        let numbers: Vec<u64> = rest.split(' ').map(|n| n.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2])
    });
    numbers.collect()
}

/// The log as it was after the last restart, built again from its entries: every checkpoint ever published is held against it.
#[derive(Default)]
struct Rebuilt {
    frontier: Frontier,
    entries: Vec<ReceiptDigest>,
    distinct: BTreeSet<ReceiptDigest>,
    /// Each published checkpoint, as it was when it was first seen.
    checkpoints: Vec<SignedCheckpoint>,
}

impl Rebuilt {
    /// Takes what was published since, and looks whether what was published before still says the same.
    fn go_on(&mut self, log: &Path) {
        let path = |number| log.join(numbered(Kind::Checkpoint, number));
        for (at, before) in self.checkpoints.iter().enumerate() {
            let number = u64::try_from(at).unwrap() + 1;
            let now = std::fs::read(path(number)).unwrap();
            assert_eq!(now, before.encode().into_bytes(), "checkpoint {number}");
        }
        loop {
            let number = u64::try_from(self.checkpoints.len()).unwrap() + 1;
            let Ok(bytes) = std::fs::read(path(number)) else {
                break;
            };
            let signed = SignedCheckpoint::parse(&bytes).unwrap();
            let (size, root) = signed.verify(signer().verifier()).unwrap().tree();
            assert!(size > self.frontier.size(), "checkpoint {number}");
            self.grow(log, size);
            assert_eq!(self.frontier.root(), *root, "checkpoint {number}");
            self.checkpoints.push(signed);
        }
        // And the one under its own name is the newest, or one before it if the process was killed between the two.
        let newest = std::fs::read(log.join("checkpoint")).unwrap();
        let known = self.checkpoints.iter().rev().take(2);
        let known: Vec<Vec<u8>> = known.map(|one| one.encode().into_bytes()).collect();
        assert!(known.contains(&newest));
    }

    fn grow(&mut self, log: &Path, size: u64) {
        while self.frontier.size() < size {
            let index = self.frontier.size() / 256;
            let id = EntriesId::in_tree(index, size).unwrap();
            let (full, part) = (log.join(id.full().path()), log.join(id.path()));
            let mut bytes = std::fs::read(part)
                .or_else(|_| std::fs::read(full))
                .unwrap();
            bytes.truncate(usize::from(id.tile().width()) * entry::ENTRY_LEN);
            let skip = usize::try_from(self.frontier.size() % 256).unwrap();
            for digest in entry::decode(id, &bytes).unwrap().into_iter().skip(skip) {
                self.frontier.append(Hash::of_receipt(&digest)).unwrap();
                assert!(self.distinct.insert(digest), "{digest} stands there twice");
                self.entries.push(digest);
            }
        }
    }

    /// All that was acknowledged stands where it was said to.
    fn has(&self, heard: &[(u64, u64, u64)]) {
        for (number, position, checkpoint) in heard {
            let at = usize::try_from(*position).unwrap();
            assert_eq!(self.entries.get(at), Some(&digest(*number)), "{number}");
            let under = &self.checkpoints[usize::try_from(*checkpoint).unwrap() - 1];
            assert!(under.unverified().size() > *position, "{number}");
        }
    }
}

/// What was just said, and some of what was said before, is there and can be proved.
fn recovered(folder: &Path, heard: &[(u64, u64, u64)], said: &[(u64, u64, u64)], dice: &mut Dice) {
    let driver = Driver::open(open_folder(folder, signer(), LIMITS).unwrap()).unwrap();
    let old = said.len().try_into().ok().filter(|len| *len > 0);
    let some = (0..10).filter_map(|_| said.get(usize::try_from(dice.below(old?)).unwrap()));
    for (number, position, _) in heard.iter().step_by(29).chain(some) {
        let one = Said {
            digest: digest(*number),
            position: *position,
            number: 0,
            checkpoint: String::new(),
        };
        let proof = driver.proof(one.digest).unwrap();
        let proof = proof.ok_or("acknowledged, and no proof").unwrap();
        verify(&proof, &one).unwrap();
    }
}

/// Everything on the disk, and everything that was ever said.
fn whole(folder: &Path, said: &[(u64, u64, u64)]) {
    let mut objects = BTreeMap::new();
    load(&folder.join("log"), "", &mut objects);
    let said: Vec<Said> = said
        .iter()
        .map(|(number, position, checkpoint)| {
            let name = numbered(Kind::Checkpoint, *checkpoint);
            Said {
                digest: digest(*number),
                position: *position,
                number: *checkpoint,
                checkpoint: String::from_utf8(objects[&name].clone()).unwrap(),
            }
        })
        .collect();
    check_objects(&objects, signer().verifier(), &said).unwrap();
}

fn load(folder: &Path, prefix: &str, objects: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == ".new" {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            load(&entry.path(), &format!("{path}/"), objects);
        } else {
            objects.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}
