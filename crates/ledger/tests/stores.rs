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
use credence_log::sequencer::{Limits, SequencerError};
use credence_log::{Algorithm, KeyName, Signer};
use credence_store::index::{Index, PostgresIndex, SqliteIndex};
use credence_store::objects::{Objects, S3Objects};

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
