//! At which position of a log a digest stands.
//!
//! An index is a cache: the log's own objects say the same, and whoever runs the log fills the index from them again when
//! it is behind, gone or wrong. It may therefore lag after a power cut, and takes part in no promise about durability.
//! What it must do is hold a whole prefix of the log at any time: positions `0..count`, and nothing else.
//!
//! [`SqliteIndex`] is the default and needs no server; [`PostgresIndex`] serves several processes. It deliberately does not
//! know what a log is.

mod postgres;
mod sqlite;

use std::path::PathBuf;

use credence_base::ReceiptDigest;

pub use postgres::PostgresIndex;
pub use sqlite::SqliteIndex;

/// Why an index cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite refused.
    #[error(
        "the index `{path}` cannot be used; it is a cache, and is made anew if its file is removed"
    )]
    Sqlite {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// PostgreSQL refused.
    #[error("the index in PostgreSQL cannot be used; see that the server runs and takes this user")]
    Postgres {
        /// What it said.
        source: ::postgres::Error,
    },
    /// PostgreSQL said nothing.
    #[error("PostgreSQL did not answer in {} s; see that the server runs and is not overloaded", waited.as_secs_f64())]
    Silent {
        /// How long it was waited for.
        waited: core::time::Duration,
    },
    /// The system starts no thread.
    #[error("no thread can be started for the index in PostgreSQL")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection would go over a network in the clear.
    #[error(
        "expected PostgreSQL on a socket or on this machine, got host `{host}`: reach another machine by a tunnel"
    )]
    Remote {
        /// The host.
        host: String,
    },
    /// The file is some other program's, or of another version of this one.
    #[error(
        "`{path}` is not an index of this version: expected {expected}, got {got}; remove it, and it is made anew"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of this program's.
        expected: i64,
        /// The version found.
        got: i64,
    },
    /// Somebody else has written to it since.
    #[error("expected {expected} positions in the index, got {got}: another process writes it")]
    Count {
        /// Positions that the caller knew of.
        expected: u64,
        /// Positions there are.
        got: u64,
    },
    /// A number that does not fit, or a digest of another length: the index is damaged.
    #[error(
        "the index holds `{value}`, which it cannot have been given; empty it, and it is made anew"
    )]
    Damaged {
        /// The value.
        value: i64,
    },
}

/// What an index holds of some digests, as of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// How many positions it held then.
    pub count: u64,
    /// The position of each digest, `None` for those it did not hold; in the order asked.
    pub positions: Vec<Option<u64>>,
}

/// Digests and their positions.
pub trait Index: Send + Sync {
    /// How many positions it holds: all below this number.
    ///
    /// # Errors
    /// [`IndexError`].
    fn count(&self) -> Result<u64, IndexError>;

    /// The positions of digests, all as of one instant.
    ///
    /// # Errors
    /// [`IndexError`].
    fn positions(&self, digests: &[ReceiptDigest]) -> Result<Known, IndexError>;

    /// Adds digests at the positions from `start` on, which must be [`Self::count`]; all or none. A digest that it holds
    /// already keeps its first position.
    ///
    /// # Errors
    /// [`IndexError`], [`IndexError::Count`] when `start` is not the next position.
    fn extend(&self, start: u64, digests: &[ReceiptDigest]) -> Result<(), IndexError>;

    /// Forgets everything.
    ///
    /// # Errors
    /// [`IndexError`].
    fn clear(&self) -> Result<(), IndexError>;
}

fn signed(value: u64) -> Result<i64, IndexError> {
    i64::try_from(value).map_err(|_| IndexError::Damaged { value: i64::MAX })
}

fn unsigned(value: i64) -> Result<u64, IndexError> {
    u64::try_from(value).map_err(|_| IndexError::Damaged { value })
}

/// Digests with their positions, in ascending order of digest: neighbours fall on the same pages of a tree.
fn sorted(start: u64, digests: &[ReceiptDigest]) -> Result<Vec<(ReceiptDigest, i64)>, IndexError> {
    let mut rows: Vec<(ReceiptDigest, i64)> = (start..)
        .zip(digests)
        .map(|(position, digest)| Ok((*digest, signed(position)?)))
        .collect::<Result<_, IndexError>>()?;
    rows.sort_unstable();
    rows.dedup_by(|later, first| later.0 == first.0);
    Ok(rows)
}
