//! One suite for both indexes: SQLite in a file, PostgreSQL on a socket.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure is the test's"
)]

mod common;

use common::postgres::Server;
use credence_base::ReceiptDigest;
use credence_store::index::{Index, IndexError, PostgresIndex, SqliteIndex};

fn digest(number: u64) -> ReceiptDigest {
    let mut bytes = [0; 32];
    // Scattered over the whole range, as digests are.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    ReceiptDigest::from_bytes(bytes)
}

fn digests(range: std::ops::Range<u64>) -> Vec<ReceiptDigest> {
    range.map(digest).collect()
}

fn find(index: &dyn Index, digests: &[ReceiptDigest]) -> Vec<Option<u64>> {
    let known = index.positions(digests).unwrap();
    assert_eq!(known.count, index.count().unwrap());
    known.positions
}

fn suite(index: &dyn Index, again: &dyn Fn() -> Box<dyn Index>) {
    assert_eq!(index.count().unwrap(), 0);
    assert_eq!(find(index, &[digest(0)]), [None]);
    index.extend(0, &[]).unwrap();
    index.extend(0, &digests(0..1000)).unwrap();
    index.extend(1000, &digests(1000..1001)).unwrap();
    assert_eq!(index.count().unwrap(), 1001);
    // In the order asked, also twice, also unknown ones.
    let asked = [digest(1000), digest(5000), digest(0), digest(1000)];
    assert_eq!(find(index, &asked), [Some(1000), None, Some(0), Some(1000)]);
    assert_eq!(find(index, &[]), []);

    // Neither a gap nor a second time, and then nothing has changed.
    for start in [0, 1000, 1002, u64::MAX] {
        let refused = index.extend(start, &digests(2000..2001)).unwrap_err();
        let is_other = matches!(refused, IndexError::Count { got: 1001, .. });
        assert!(is_other || start == u64::MAX, "{start}: {refused}");
    }
    assert_eq!(find(index, &[digest(2000)]), [None]);

    // The first position stays.
    index
        .extend(1001, &[digest(7), digest(3000), digest(3000)])
        .unwrap();
    let found = find(index, &[digest(7), digest(3000)]);
    assert_eq!(found, [Some(7), Some(1002)]);
    assert_eq!(index.count().unwrap(), 1004);

    // Another one on the same store sees it all, and one of two writers is told.
    let other = again();
    assert_eq!(other.count().unwrap(), 1004);
    other.extend(1004, &digests(4000..4010)).unwrap();
    assert!(matches!(
        index.extend(1004, &digests(4010..4020)),
        Err(IndexError::Count {
            expected: 1004,
            got: 1014
        })
    ));

    index.clear().unwrap();
    assert_eq!(other.count().unwrap(), 0);
    assert_eq!(find(&*other, &[digest(7)]), [None]);
    other.extend(0, &digests(0..10_000)).unwrap();
    let all = find(index, &digests(0..10_000));
    assert!(
        all.iter()
            .enumerate()
            .all(|(i, p)| *p == u64::try_from(i).ok())
    );
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let open = || SqliteIndex::open(path.clone()).unwrap();
    suite(&open(), &|| Box::new(open()));
}

#[test]
fn postgres() {
    let Some(server) = Server::start() else {
        return;
    };
    let open = || PostgresIndex::open(&server.connection()).unwrap();
    suite(&open(), &|| Box::new(open()));
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let index = PostgresIndex::open(&server.connection()).unwrap();
    index.extend(0, &digests(0..10)).unwrap();
    server.stop();
    assert!(matches!(index.count(), Err(IndexError::Postgres { .. })));
    server.again();
    assert_eq!(index.count().unwrap(), 10);
}

#[test]
fn postgres_works_on_a_thread_of_a_runtime() {
    let Some(server) = Server::start() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let index = PostgresIndex::open(&server.connection()).unwrap();
        index.extend(0, &digests(0..10)).unwrap();
        assert_eq!(find(&index, &[digest(3)]), [Some(3)]);
    });
}

#[test]
fn other_files_are_no_index() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, [7; 8192]).unwrap();
    assert!(matches!(
        SqliteIndex::open(garbage),
        Err(IndexError::Sqlite { .. })
    ));

    let path = folder.path().join("foreign");
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE a (b)").unwrap();
    assert!(matches!(
        SqliteIndex::open(path.clone()),
        Err(IndexError::Version { .. })
    ));
    foreign.execute_batch("PRAGMA user_version = 1").unwrap();
    assert!(matches!(
        SqliteIndex::open(path),
        Err(IndexError::Version { .. })
    ));

    let path = folder.path().join("later");
    drop(SqliteIndex::open(path.clone()).unwrap());
    let later = rusqlite::Connection::open(&path).unwrap();
    later.execute_batch("PRAGMA user_version = 2").unwrap();
    assert!(matches!(
        SqliteIndex::open(path),
        Err(IndexError::Version {
            expected: 1,
            got: 2,
            ..
        })
    ));
}

#[test]
fn a_batch_that_did_not_end_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let index = SqliteIndex::open(path.clone()).unwrap();
    index.extend(0, &digests(0..10)).unwrap();
    // Another process writes, and dies before it is done.
    let other = rusqlite::Connection::open(&path).unwrap();
    let half = "BEGIN IMMEDIATE; UPDATE state SET count = 11; INSERT INTO entry VALUES (x'ff', 10)";
    other.execute_batch(half).unwrap();
    drop(other);
    assert_eq!(index.count().unwrap(), 10);
    assert_eq!(find(&index, &[digest(10)]), [None]);
    index.extend(10, &digests(10..11)).unwrap();
}
