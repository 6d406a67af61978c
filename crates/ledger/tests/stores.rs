//! A running log on every store there is: folder and S3, SQLite and PostgreSQL; and an index that is thrown away.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a failure is the test's"
)]

#[path = "../../store/tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use credence_base::{ReceiptDigest, SigningKey};
use credence_ledger::{Driver, HeadFile, Ledger, LedgerError, Options, Schedule, open_folder};
use credence_log::policy::{Clock, LogPolicy};
use credence_log::proof::verify_consistency;
use credence_log::sequencer::{Limits, SequencerError};
use credence_log::{Algorithm, KeyName, SignedCheckpoint, Signer};
use credence_store::index::{Index, PostgresIndex, SqliteIndex};
use credence_store::objects::{Object, ObjectName, Objects, S3Objects};

const LIMITS: Limits = Limits {
    pool_max: 1000,
    batch_max: 1000,
};

fn signer() -> Arc<Signer> {
    let name = KeyName::new("example.org/log").unwrap();
    Arc::new(Signer::new(
        name,
        Algorithm::Ed25519,
        SigningKey::from_seed(&[7; 32]),
    ))
}

fn digest(number: u16) -> ReceiptDigest {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    ReceiptDigest::from_bytes(bytes)
}

fn schedule() -> Schedule {
    Schedule {
        interval: Duration::from_millis(10),
        on_error: Box::new(|error| panic!("{error:?}")),
    }
}

fn options(objects: impl Objects + 'static, index: impl Index + 'static, folder: &Path) -> Options {
    Options {
        head: Arc::new(HeadFile::open(&folder.join("log.head")).unwrap()),
        signer: signer(),
        limits: LIMITS,
        objects: Arc::new(objects),
        index: Arc::new(index),
        folder: None,
    }
}

/// Appends digests and gives their positions; each is proved.
fn append(ledger: &Ledger, numbers: std::ops::Range<u16>) -> Vec<u64> {
    let policy = LogPolicy::new(vec![signer().verifier().clone()], Vec::new(), 0).unwrap();
    let clock = Clock {
        now_unix_s: 0,
        skew_max_s: 0,
    };
    let pending: Vec<_> = numbers
        .clone()
        .map(|n| ledger.append(digest(n)).unwrap())
        .collect();
    let answers = numbers.zip(pending).map(|(number, pending)| {
        let sequenced = pending.wait().unwrap();
        if number % 50 == 0 {
            for proof in [
                ledger.proof_of(digest(number), &sequenced).unwrap(),
                ledger.proof(digest(number)).unwrap().unwrap(),
            ] {
                let logged = proof
                    .verify_at_any_age(&digest(number), &policy, clock)
                    .unwrap();
                assert_eq!(logged.index(), sequenced.position);
            }
        }
        sequenced.position
    });
    answers.collect()
}

fn suite(open: &dyn Fn() -> Options) {
    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert!(ledger.published().is_none());
    assert!(ledger.proof(digest(0)).unwrap().is_none());
    assert_eq!(append(&ledger, 0..300), (0..300).collect::<Vec<u64>>());
    // Again: the first positions.
    assert_eq!(append(&ledger, 250..310), (250..310).collect::<Vec<u64>>());
    assert!(ledger.proof(digest(999)).unwrap().is_none());
    // What waits when it is closed is in the log.
    let last = ledger.append(digest(400)).unwrap();
    ledger.close().unwrap();
    let last = last.wait().unwrap();
    assert_eq!(
        (last.position, last.published.checkpoint.unverified().size()),
        (310, 311)
    );

    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert_eq!(ledger.published().unwrap().number, last.published.number);
    assert_eq!(append(&ledger, 400..401), [310]);
    assert_eq!(append(&ledger, 500..502), [311, 312]);
    let newest = ledger.published().unwrap();
    ledger.close().unwrap();

    // Readers find the newest checkpoint under its own name, whatever keeps the log.
    let objects = open().objects;
    let shown = objects.get(&name("checkpoint"), 10_000).unwrap().unwrap();
    assert_eq!(shown, newest.checkpoint.encode().into_bytes());
    cosigned_are_kept(open);
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

/// What witnesses cosigned is there after a restart, and is shown unless something newer is.
fn cosigned_are_kept(open: &dyn Fn() -> Options) {
    let objects = open().objects;
    let shown = || objects.get(&name("checkpoint"), 10_000).unwrap().unwrap();
    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert!(ledger.cosigned().unwrap().is_none());
    let mut old = ledger.published().unwrap().checkpoint.clone();
    let witness = SigningKey::from_seed(&[9; 32]);
    let witness = Signer::new(
        KeyName::new("w.example").unwrap(),
        Algorithm::CosignatureV1,
        witness,
    );
    let line = credence_log::cosignature::cosign(&old, 1_700_000_000, &witness).unwrap();
    old.note_mut().add(line).unwrap();
    ledger.keep_cosigned(&old).unwrap();
    assert_eq!(shown(), old.encode().into_bytes());
    append(&ledger, 600..603);
    ledger.close().unwrap();

    let ledger = Ledger::open(open(), schedule()).unwrap();
    let newest = ledger.published().unwrap().checkpoint.clone();
    assert_eq!(shown(), newest.encode().into_bytes());
    let kept = ledger.cosigned().unwrap().unwrap();
    assert_eq!(kept, old);
    let proof = ledger.proof_under(digest(5), &kept).unwrap().unwrap();
    assert_eq!(proof.checkpoint(), &old);
    // It never goes back.
    ledger.keep_cosigned(&old).unwrap();
    assert_eq!(shown(), newest.encode().into_bytes());
    ledger.close().unwrap();
    // What is damaged is nothing, and is put right.
    for name in ["checkpoint", "cosigned"] {
        let bytes = b"damaged".to_vec();
        let name = ObjectName::new(name).unwrap();
        objects.replace(&Object { name, bytes }).unwrap();
    }
    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert!(ledger.cosigned().unwrap().is_none());
    assert_eq!(shown(), newest.encode().into_bytes());
    ledger.close().unwrap();
}

/// A log whose checkpoints stand where they were written before goes on, and nothing of it is moved.
#[test]
fn a_log_of_before_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open_folder(folder.path(), signer(), LIMITS).unwrap();
    let ledger = Ledger::open(open(), schedule()).unwrap();
    append(&ledger, 0..100);
    ledger.close().unwrap();
    let log = folder.path().join("log");
    std::fs::remove_file(log.join("checkpoint")).unwrap();
    std::fs::rename(log.join("checkpoints"), log.join("checkpoint")).unwrap();
    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert_eq!(append(&ledger, 50..150), (50..150).collect::<Vec<u64>>());
    ledger.close().unwrap();
    assert!(log.join("checkpoint").is_dir() && log.join("checkpoints").is_dir());
    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert_eq!(append(&ledger, 149..151), [149, 150]);
    ledger.close().unwrap();
}

#[test]
fn two_sequencers_on_one_bucket_say_nothing_untrue() {
    let server = common::s3::Server::start();
    let folder = tempfile::tempdir().unwrap();
    // One key on two machines, each with its own note and index.
    let open = |who: u16| {
        let own = folder.path().join(who.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let objects = S3Objects::open(&server.config("log")).unwrap();
        let index = SqliteIndex::open(own.join("index.sqlite")).unwrap();
        Driver::open(options(objects, index, &own))
    };
    let said: Vec<(u16, u64, Vec<u8>)> = std::thread::scope(|scope| {
        let each = (0..2u16).map(|who| {
            let open = &open;
            scope.spawn(move || {
                let mut said = Vec::new();
                let mut driver = None;
                for round in 0..12u16 {
                    // One that was overtaken ends, as it should, and is started again.
                    let Some(running) = driver.take().or_else(|| open(who).ok()) else {
                        continue;
                    };
                    let numbers: Vec<u16> = (0..5).map(|n| who * 1000 + round * 5 + n).collect();
                    let pending: Vec<_> = numbers
                        .iter()
                        .map(|n| (*n, running.append(digest(*n))))
                        .collect();
                    let done = running.turn(1);
                    if !done.is_err_and(|error| error.is_final()) {
                        driver = Some(running);
                    }
                    for (number, one) in pending {
                        if let Ok(Some(Ok(sequenced))) = one.map(|mut one| one.try_wait()) {
                            let checkpoint = sequenced.published.checkpoint.encode();
                            said.push((number, sequenced.position, checkpoint.into_bytes()));
                        }
                    }
                }
                said
            })
        });
        let each: Vec<_> = each.collect();
        each.into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    assert!(said.len() >= 10, "{}", said.len());
    // A third one finds one history, which has all that either of them said.
    let driver = open(2).unwrap();
    let newest = driver.published().unwrap();
    let newest = newest.checkpoint.unverified();
    let policy = LogPolicy::new(vec![signer().verifier().clone()], Vec::new(), 0).unwrap();
    let clock = Clock {
        now_unix_s: 0,
        skew_max_s: 0,
    };
    for (number, position, checkpoint) in said {
        let proof = driver.proof(digest(number)).unwrap().unwrap();
        let logged = proof.verify_at_any_age(&digest(number), &policy, clock);
        assert_eq!(logged.unwrap().index(), position);
        let under = SignedCheckpoint::parse(&checkpoint).unwrap();
        let under = under.unverified();
        let proof = driver.consistency(under.size(), newest.size()).unwrap();
        verify_consistency(under.tree(), newest.tree(), &proof).unwrap();
    }
}

#[test]
fn no_hash_of_a_damaged_tile_leaves_in_a_consistency_proof() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Driver::open(open_folder(folder.path(), signer(), LIMITS).unwrap()).unwrap();
    let mut checkpoints = Vec::new();
    for range in [0..100, 100..700, 700..1000] {
        for number in range {
            driver.send(digest(number)).unwrap();
        }
        driver.turn(1).unwrap();
        checkpoints.push(driver.published().unwrap().checkpoint.clone());
    }
    let sizes = [
        (0, 1000),
        (100, 700),
        (100, 1000),
        (700, 1000),
        (1000, 1000),
    ];
    let tree = |size| {
        let found = checkpoints
            .iter()
            .find(|one| one.unverified().size() == size);
        found.unwrap().unverified().tree()
    };
    for (old, new) in sizes {
        let proof = driver.consistency(old, new).unwrap();
        if old > 0 {
            verify_consistency(tree(old), tree(new), &proof).unwrap();
        }
    }
    assert!(driver.consistency(100, 1001).is_err());
    for tile in [
        "tile/0/000",
        "tile/0/002",
        "tile/0/003.p/232",
        "tile/1/000.p/3",
    ] {
        let path = folder.path().join("log").join(tile);
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[3] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut refused = 0;
        for (old, new) in sizes {
            match driver.consistency(old, new) {
                Ok(proof) if old > 0 => verify_consistency(tree(old), tree(new), &proof).unwrap(),
                Ok(_) => {}
                Err(LedgerError::Unproved { names, .. }) => {
                    assert!(names.iter().any(|name| name == tile), "{names:?}");
                    refused += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(refused > 0, "{tile}");
        std::fs::write(&path, whole).unwrap();
    }
}

#[test]
fn whoever_has_gone_is_not_waited_with() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Driver::open(open_folder(folder.path(), signer(), LIMITS).unwrap()).unwrap();
    let kept = driver.append(digest(0)).unwrap();
    for _ in 0..10_000 {
        drop(driver.append(digest(0)).unwrap());
        driver.send(digest(0)).unwrap();
        driver.send(digest(1)).unwrap();
    }
    assert!(driver.waiters() <= 2, "{}", driver.waiters());
    assert_eq!(driver.turn(1).unwrap().acknowledged, 2);
    assert_eq!(kept.wait().unwrap().position, 0);
    assert!(driver.proof(digest(1)).unwrap().is_some());
}

#[test]
fn folder_and_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    suite(&|| open_folder(folder.path(), signer(), LIMITS).unwrap());
}

#[test]
fn s3_and_sqlite() {
    let server = common::s3::Server::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    suite(&|| {
        let objects = S3Objects::open(&server.config("log")).unwrap();
        let index = SqliteIndex::open(path.clone()).unwrap();
        options(objects, index, folder.path())
    });
}

#[test]
fn s3_and_postgres() {
    let Some(database) = common::postgres::Server::start() else {
        return;
    };
    let server = common::s3::Server::start();
    let folder = tempfile::tempdir().unwrap();
    suite(&|| {
        let objects = S3Objects::open(&server.config("log")).unwrap();
        let index = PostgresIndex::open(&database.connection()).unwrap();
        options(objects, index, folder.path())
    });
}

#[test]
fn an_index_is_made_anew_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open_folder(folder.path(), signer(), LIMITS).unwrap();
    let ledger = Ledger::open(open(), schedule()).unwrap();
    append(&ledger, 0..700);
    ledger.close().unwrap();
    remove_index(folder.path());
    let ledger = Ledger::open(open(), schedule()).unwrap();
    assert_eq!(append(&ledger, 0..800), (0..800).collect::<Vec<u64>>());
    ledger.close().unwrap();

    // One that is behind is filled, and one of another log is replaced.
    let replace = |other: core::ops::Range<u16>| {
        remove_index(folder.path());
        let index = SqliteIndex::open(folder.path().join("index.sqlite")).unwrap();
        index
            .extend(0, &other.map(digest).collect::<Vec<_>>())
            .unwrap();
    };
    for other in [0..10, 5000..5010, 5000..5800] {
        replace(other);
        let ledger = Ledger::open(open(), schedule()).unwrap();
        assert_eq!(append(&ledger, 0..800), (0..800).collect::<Vec<u64>>());
        ledger.close().unwrap();
    }
    // One that is ahead may be right, and the objects an older copy.
    replace(5000..5900);
    let refused = Driver::open(open()).unwrap_err();
    assert!(matches!(
        refused,
        LedgerError::IndexAhead {
            expected: 800,
            got: 900
        }
    ));
}

fn remove_index(folder: &Path) {
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _absent = std::fs::remove_file(folder.join(name));
    }
}

#[test]
fn too_much_at_once_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Driver::open(open_folder(folder.path(), signer(), LIMITS).unwrap()).unwrap();
    let mut pending: Vec<_> = (0..1000)
        .map(|n| driver.append(digest(n)).unwrap())
        .collect();
    let refused = driver.append(digest(1000)).unwrap_err();
    assert_eq!(refused, SequencerError::Full { max: 1000 });
    // One that waits already takes no room.
    pending.push(driver.append(digest(3)).unwrap());
    assert_eq!(driver.turn(1).unwrap().acknowledged, 1000);
    driver.append(digest(1000)).unwrap();
    for one in pending {
        one.wait().unwrap();
    }
}

#[test]
fn a_log_of_another_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Driver::open(open_folder(folder.path(), signer(), LIMITS).unwrap()).unwrap();
    let _pending = driver.append(digest(0)).unwrap();
    driver.turn(1).unwrap();
    drop(driver);
    for (name, seed) in [("example.org/log", 8), ("example.org/other", 7)] {
        let key = SigningKey::from_seed(&[seed; 32]);
        let other = Signer::new(KeyName::new(name).unwrap(), Algorithm::Ed25519, key);
        let options = open_folder(folder.path(), Arc::new(other), LIMITS).unwrap();
        let refused = Driver::open(options).unwrap_err();
        assert!(
            matches!(refused, LedgerError::OtherKey { .. }),
            "{refused:?}"
        );
        // And without the note.
        std::fs::remove_file(folder.path().join("head")).unwrap();
        let key = SigningKey::from_seed(&[seed; 32]);
        let other = Signer::new(KeyName::new(name).unwrap(), Algorithm::Ed25519, key);
        let options = open_folder(folder.path(), Arc::new(other), LIMITS).unwrap();
        let refused = Driver::open(options).unwrap_err();
        assert!(matches!(refused, LedgerError::Recovery(_)), "{refused:?}");
        drop(Driver::open(
            open_folder(folder.path(), signer(), LIMITS).unwrap(),
        ));
    }
}

#[tokio::test]
async fn an_answer_is_a_future() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(
        open_folder(folder.path(), signer(), LIMITS).unwrap(),
        schedule(),
    )
    .unwrap();
    let sequenced = ledger.append(digest(0)).unwrap().await.unwrap();
    assert_eq!(sequenced.position, 0);
}
