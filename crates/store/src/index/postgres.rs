//! The index in PostgreSQL.
//!
//! One statement for each batch, in a transaction that does not wait for the disk, for the reason that `sqlite` gives. A
//! broken connection is made anew by the next call. The connection is not encrypted, so the server must be reached by a
//! socket or on this machine.

use std::sync::{Mutex, PoisonError};

use ::postgres::config::Host;
use ::postgres::{Client, Config, Error, IsolationLevel, NoTls};
use credence_base::ReceiptDigest;

use super::{Index, IndexError, Known, signed, sorted, unsigned};

/// An advisory lock keeps two processes from making the tables at once: `crdi`.
const SCHEMA: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(1668441193);
    CREATE TABLE IF NOT EXISTS credence_log_entry (digest bytea PRIMARY KEY, position bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS credence_log_state (one integer PRIMARY KEY CHECK (one = 1), count bigint NOT NULL);
    INSERT INTO credence_log_state VALUES (1, 0) ON CONFLICT DO NOTHING;
    COMMIT;";
const COUNT: &str = "SELECT count FROM credence_log_state";
const SELECT: &str = "SELECT digest, position FROM credence_log_entry WHERE digest = ANY($1)";
const INSERT: &str = "INSERT INTO credence_log_entry SELECT * FROM unnest($1::bytea[], $2::bigint[]) ON CONFLICT DO NOTHING";
const ADVANCE: &str = "UPDATE credence_log_state SET count = $2 WHERE count = $1";
const CLEAR: &str =
    "BEGIN; TRUNCATE credence_log_entry; UPDATE credence_log_state SET count = 0; COMMIT;";

/// An index in a database.
pub struct PostgresIndex {
    config: Config,
    client: Mutex<Option<Client>>,
}

impl core::fmt::Debug for PostgresIndex {
    // The configuration may hold a password.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PostgresIndex").finish_non_exhaustive()
    }
}

impl PostgresIndex {
    /// Connects, and makes the tables if they are absent. `connection` is as `libpq` has it:
    /// `host=/run/postgresql user=credence dbname=credence`.
    ///
    /// # Errors
    /// [`IndexError::Remote`] when the server is on another machine, [`IndexError::Postgres`].
    pub fn open(connection: &str) -> Result<Self, IndexError> {
        let config: Config = connection.parse().map_err(failed)?;
        for host in config.get_hosts() {
            if let Host::Tcp(name) = host
                && !matches!(name.as_str(), "127.0.0.1" | "::1" | "localhost")
            {
                return Err(IndexError::Remote { host: name.clone() });
            }
        }
        if let Some(address) = config.get_hostaddrs().iter().find(|a| !a.is_loopback()) {
            return Err(IndexError::Remote {
                host: address.to_string(),
            });
        }
        let index = Self {
            config,
            client: Mutex::default(),
        };
        index.with(|client| client.batch_execute(SCHEMA))?;
        Ok(index)
    }

    /// Runs work on the connection, which is made if there is none, and given up after an error.
    fn with<T: Send>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, Error> + Send,
    ) -> Result<T, IndexError> {
        off_runtime(|| {
            let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
            let mut client = match slot.take() {
                Some(client) if !client.is_closed() => client,
                Some(_) | None => {
                    let mut client = self.config.connect(NoTls)?;
                    client.batch_execute("SET synchronous_commit = off")?;
                    client
                }
            };
            let done = work(&mut client)?;
            *slot = Some(client);
            Ok(done)
        })
        .map_err(failed)
    }
}

impl Drop for PostgresIndex {
    fn drop(&mut self) {
        let client = self
            .client
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let client = client.take();
        off_runtime(|| drop(client));
    }
}

/// The client blocks on a runtime of its own, which a thread that runs futures may not do: then another thread does it.
fn off_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    std::thread::scope(|scope| {
        let done = scope.spawn(work).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

const fn failed(source: Error) -> IndexError {
    IndexError::Postgres { source }
}

impl Index for PostgresIndex {
    fn count(&self) -> Result<u64, IndexError> {
        let count = self.with(|client| client.query_one(COUNT, &[])?.try_get(0))?;
        unsigned(count)
    }

    fn positions(&self, digests: &[ReceiptDigest]) -> Result<Known, IndexError> {
        let keys: Vec<&[u8]> = digests.iter().map(|d| d.as_bytes().as_slice()).collect();
        let (count, found) = self.with(|client| {
            let start = client
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead);
            let mut transaction = start.read_only(true).start()?;
            let count: i64 = transaction.query_one(COUNT, &[])?.try_get(0)?;
            let mut found: Vec<(Vec<u8>, i64)> = Vec::new();
            for row in transaction.query(SELECT, &[&keys])? {
                found.push((row.try_get(0)?, row.try_get(1)?));
            }
            transaction.commit()?;
            found.sort_unstable();
            Ok((count, found))
        })?;
        let find = |digest: &ReceiptDigest| {
            let at = found.binary_search_by(|(key, _)| key.as_slice().cmp(digest.as_bytes()));
            let position = at.ok().and_then(|at| found.get(at)).map(|row| row.1);
            position.map(unsigned).transpose()
        };
        Ok(Known {
            count: unsigned(count)?,
            positions: digests.iter().map(find).collect::<Result<_, _>>()?,
        })
    }

    fn extend(&self, start: u64, digests: &[ReceiptDigest]) -> Result<(), IndexError> {
        let rows = sorted(start, digests)?;
        let keys: Vec<&[u8]> = rows.iter().map(|(d, _)| d.as_bytes().as_slice()).collect();
        let positions: Vec<i64> = rows.iter().map(|(_, position)| *position).collect();
        let len = u64::try_from(digests.len()).unwrap_or(u64::MAX);
        let (old, new) = (signed(start)?, signed(start.saturating_add(len))?);
        let conflict = self.with(|client| {
            let mut transaction = client.transaction()?;
            if transaction.execute(ADVANCE, &[&old, &new])? == 0 {
                let got: i64 = transaction.query_one(COUNT, &[])?.try_get(0)?;
                return Ok(Some(got));
            }
            transaction.execute(INSERT, &[&keys, &positions])?;
            transaction.commit()?;
            Ok(None)
        })?;
        match conflict {
            None => Ok(()),
            Some(got) => Err(IndexError::Count {
                expected: start,
                got: unsigned(got)?,
            }),
        }
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.with(|client| client.batch_execute(CLEAR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_over_a_network_in_the_clear() {
        let cases = [
            "host=db.example.org user=a",
            "host=/run/postgresql,10.0.0.1 user=a",
            "host=localhost hostaddr=10.0.0.1 user=a",
            "postgresql://a:secret@db.example.org/b",
        ];
        for connection in cases {
            let refused = PostgresIndex::open(connection).unwrap_err();
            assert!(
                matches!(refused, IndexError::Remote { .. }),
                "{connection}: {refused}"
            );
            assert!(!format!("{refused} {refused:?}").contains("secret"));
        }
    }
}
