//! The index in one SQLite file.
//!
//! One transaction for each batch, in write-ahead mode without a flush at each commit: a power cut may take the last
//! batches, which the log's owner adds again. The table is a tree by digest with nothing beside it. Digests are random, so
//! once the tree outgrows memory each new one touches a page of its own: memory for the file's pages is what keeps a
//! large log fast.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credence_base::ReceiptDigest;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Index, IndexError, Known, signed, sorted, unsigned};

/// In the file's header; tells a file of ours (`crdi`) and of this version.
const APPLICATION: i64 = 0x6372_6469;
const VERSION: i64 = 1;
/// SQLite's own cache of pages, in KiB. The system's cache comes on top.
const CACHE_KIB: i64 = 256 * 1024;
/// Pages of the write-ahead log before they go into the file: pages that several batches touch are then written once, and
/// the disk is waited for less often. 256 MiB.
const LOG_PAGES: i64 = 65_536;
/// How long to wait for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE entry (digest BLOB PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT;
    INSERT INTO state VALUES (1, 0);";

/// An index in a file.
#[derive(Debug)]
pub struct SqliteIndex {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteIndex {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`IndexError::Version`] when the file is something else, [`IndexError::Sqlite`].
    pub fn open(path: PathBuf) -> Result<Self, IndexError> {
        let fail = |source| failed(&path, source);
        let mut connection = Connection::open(&path).map_err(fail)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
        prepare(&mut connection, &path)?;
        Ok(Self {
            path,
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic cut short was rolled back when it was dropped.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: rusqlite::Error) -> IndexError {
        failed(&self.path, source)
    }
}

fn failed(path: &Path, source: rusqlite::Error) -> IndexError {
    IndexError::Sqlite {
        path: path.to_owned(),
        source,
    }
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), IndexError> {
    let fail = |source| failed(path, source);
    let pragma = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
    };
    let set = |name: &str, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value);
    set("journal_mode", &"wal").map_err(fail)?;
    set("synchronous", &"normal").map_err(fail)?;
    set("cache_size", &(-CACHE_KIB)).map_err(fail)?;
    set("wal_autocheckpoint", &LOG_PAGES).map_err(fail)?;
    let transaction = connection.transaction().map_err(fail)?;
    let (application, version) = (
        pragma(&transaction, "application_id").map_err(fail)?,
        pragma(&transaction, "user_version").map_err(fail)?,
    );
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fail)?;
    if (application, version, tables) == (0, 0, 0) {
        transaction.execute_batch(SCHEMA).map_err(fail)?;
        let set = |name: &str, value: i64| transaction.pragma_update(None, name, value);
        set("application_id", APPLICATION).map_err(fail)?;
        set("user_version", VERSION).map_err(fail)?;
    } else if (application, version) != (APPLICATION, VERSION) {
        return Err(IndexError::Version {
            path: path.to_owned(),
            expected: VERSION,
            got: version,
        });
    }
    transaction.commit().map_err(fail)
}

fn count(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("SELECT count FROM state", [], |row| row.get(0))
}

fn insert(
    transaction: &Transaction<'_>,
    rows: &[(ReceiptDigest, i64)],
) -> Result<(), rusqlite::Error> {
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO entry VALUES (?1, ?2)")?;
    for (digest, position) in rows {
        insert.execute(params![digest.as_bytes(), position])?;
    }
    Ok(())
}

impl Index for SqliteIndex {
    fn count(&self) -> Result<u64, IndexError> {
        unsigned(count(&self.connection()).map_err(|e| self.failed(e))?)
    }

    fn positions(&self, digests: &[ReceiptDigest]) -> Result<Known, IndexError> {
        let mut connection = self.connection();
        let fail = |source| self.failed(source);
        let transaction = connection.transaction().map_err(fail)?;
        let count = unsigned(count(&transaction).map_err(fail)?)?;
        let mut select = transaction
            .prepare_cached("SELECT position FROM entry WHERE digest = ?1")
            .map_err(fail)?;
        let mut find = |digest: &ReceiptDigest| {
            let row = select.query_row([digest.as_bytes()], |row| row.get::<_, i64>(0));
            let position = row.optional().map_err(fail)?;
            position.map(unsigned).transpose()
        };
        // In ascending order neighbours fall on the same pages, which are then read once.
        let mut order: Vec<(&ReceiptDigest, usize)> = digests.iter().zip(0..).collect();
        order.sort_unstable();
        let mut positions = vec![None; digests.len()];
        for (digest, at) in order {
            if let Some(slot) = positions.get_mut(at) {
                *slot = find(digest)?;
            }
        }
        Ok(Known { count, positions })
    }

    fn extend(&self, start: u64, digests: &[ReceiptDigest]) -> Result<(), IndexError> {
        let len = u64::try_from(digests.len()).unwrap_or(u64::MAX);
        let end = signed(start.saturating_add(len))?;
        let rows = sorted(start, digests)?;
        let mut connection = self.connection();
        let fail = |source| self.failed(source);
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(fail)?;
        let got = unsigned(count(&transaction).map_err(fail)?)?;
        if got != start {
            return Err(IndexError::Count {
                expected: start,
                got,
            });
        }
        insert(&transaction, &rows).map_err(fail)?;
        transaction
            .execute("UPDATE state SET count = ?1", [end])
            .map_err(fail)?;
        transaction.commit().map_err(fail)
    }

    fn clear(&self) -> Result<(), IndexError> {
        let connection = self.connection();
        let clear = "BEGIN IMMEDIATE; DELETE FROM entry; UPDATE state SET count = 0; COMMIT;";
        connection.execute_batch(clear).map_err(|e| self.failed(e))
    }
}
