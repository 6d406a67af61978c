//! A real process on a real folder, killed at random moments.
//!
//! The test starts its own binary again as the child, which appends under load and says what was acknowledged; the parent
//! kills it (`SIGKILL`), recovers the folder itself and checks. 40 rounds, or as many as `CREDENCE_KILLS` says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use credence_ledger::{Driver, Ledger, Schedule, open_folder};
use credence_log::sequencer::Limits;

use crate::check::{Said, check_objects};
use crate::disk::Dice;
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
    let mut dice = Dice::new(u64::from(std::process::id()));
    let mut said: Vec<(u64, u64, u64)> = Vec::new();
    for round in 0..rounds {
        let heard = run_and_kill(folder.path(), round, &mut dice);
        said.extend_from_slice(&heard);
        recovered(folder.path(), &heard, &said, &mut dice);
        if round % 100 == 99 {
            whole(folder.path(), &said);
        }
    }
    whole(folder.path(), &said);
    assert!(said.len() > 1000, "only {} acknowledged", said.len());
}

/// What the child said before it was killed.
fn run_and_kill(folder: &Path, round: u64, dice: &mut Dice) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(START, (round * 1_000_000).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tell, hear) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        for line in out.lines() {
            let line = line.unwrap();
            if let Some(rest) = line.strip_prefix("said ") {
                let numbers: Vec<u64> = rest.split(' ').map(|n| n.parse().unwrap()).collect();
                said.push((numbers[0], numbers[1], numbers[2]));
                // The parent may have heard enough.
                let _heard = tell.send(());
            }
        }
        said
    });
    // After so many answers; now and then while it still recovers.
    let answers = if dice.once_in(8) {
        0
    } else {
        1 + dice.below(600)
    };
    for _ in 0..answers {
        hear.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    std::thread::sleep(Duration::from_micros(dice.below(20_000)));
    assert!(
        child.try_wait().unwrap().is_none(),
        "the child ended by itself"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
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
            let name = credence_log::sequencer::numbered(
                credence_log::sequencer::Kind::Checkpoint,
                *checkpoint,
            );
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
