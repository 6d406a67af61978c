//! The index in PostgreSQL.
//!
//! One statement for each batch, in a transaction that does not wait for the disk, for the reason that `sqlite` gives. A
//! broken connection is made anew by the next call. A server that hangs is not waited for without end: connecting, each statement and each
//! call have their longest times, and the log stops and recovers as it does after any other failure. The connection is not encrypted, so the server must be reached by a
//! socket or on this machine.

use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

/// How long the server may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a connection over TCP, and for what was sent to be acknowledged.
    connect: Duration,
    /// For one statement, by the server's own clock.
    statement: Duration,
    /// For all of one call, whatever hangs.
    call: Duration,
}

/// A batch of 65,536 touches as many pages of a large index; more than a minute for it is no index to log with.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(10),
    statement: Duration::from_secs(60),
    call: Duration::from_secs(90),
};

/// An index in a database.
pub struct PostgresIndex {
    config: Config,
    patience: Patience,
    worker: Mutex<Option<Worker>>,
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
    /// [`IndexError::Remote`] when the server is on another machine, [`IndexError::Postgres`], [`IndexError::Silent`].
    pub fn open(connection: &str) -> Result<Self, IndexError> {
        Self::with_patience(connection, PATIENCE)
    }

    fn with_patience(connection: &str, patience: Patience) -> Result<Self, IndexError> {
        let mut config: Config = connection.parse().map_err(failed)?;
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
        config
            .connect_timeout(patience.connect)
            .tcp_user_timeout(patience.connect);
        let index = Self {
            config,
            patience,
            worker: Mutex::default(),
        };
        index.with(|client| client.batch_execute(SCHEMA))?;
        Ok(index)
    }

    /// Runs work on the connection, which is made if there is none, and given up after an error. Work that takes too long is given up
    /// with its thread: should it be done after all, the counts that it compares keep it from doing harm.
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, IndexError> {
        let mut slot = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = match slot.take() {
            Some(worker) => worker,
            None => Worker::start(self.config.clone(), self.patience)?,
        };
        let (tell, hear) = sync_channel(1);
        let job = move |connected: Connected<'_>| {
            let (done, well) = match connected.and_then(work) {
                Ok(done) => (Ok(done), true),
                Err(error) => (Err(error), false),
            };
            // Whoever asked may have had enough by then.
            let _heard = tell.send(done);
            well
        };
        let silent = || IndexError::Silent {
            waited: self.patience.call,
        };
        worker.0.send(Box::new(job)).map_err(|_| silent())?;
        let done = hear
            .recv_timeout(self.patience.call)
            .map_err(|_| silent())?;
        *slot = Some(worker);
        done.map_err(failed)
    }
}

type Connected<'a> = Result<&'a mut Client, Error>;

/// Gets a connection, or why there is none; says whether it is still good.
type Job = Box<dyn FnOnce(Connected<'_>) -> bool + Send>;

/// A connection on a thread of its own: the client blocks on a runtime, which a thread that runs futures may not do, and whoever waits for
/// it can stop waiting. It ends when this is dropped.
struct Worker(Sender<Job>);

impl Worker {
    fn start(config: Config, patience: Patience) -> Result<Self, IndexError> {
        let (send, receive) = channel::<Job>();
        let run = move || {
            let mut held: Option<Client> = None;
            for job in receive {
                let connected = match held.take() {
                    Some(client) if !client.is_closed() => Ok(client),
                    Some(_) | None => connect(&config, patience),
                };
                match connected {
                    Ok(mut client) => held = job(Ok(&mut client)).then_some(client),
                    Err(error) => {
                        job(Err(error));
                    }
                }
            }
        };
        std::thread::Builder::new()
            .name("credence-index".to_owned())
            .spawn(run)
            .map_err(|source| IndexError::Thread { source })?;
        Ok(Self(send))
    }
}

fn connect(config: &Config, patience: Patience) -> Result<Client, Error> {
    let mut client = config.connect(NoTls)?;
    let statement_ms = patience.statement.as_millis();
    client.batch_execute(&format!(
        "SET synchronous_commit = off; SET statement_timeout = {statement_ms}; SET lock_timeout = {statement_ms}"
    ))?;
    Ok(client)
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
        let keys: Vec<Vec<u8>> = digests.iter().map(|d| d.as_bytes().to_vec()).collect();
        let (count, found) = self.with(move |client| {
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
        let keys: Vec<Vec<u8>> = rows.iter().map(|(d, _)| d.as_bytes().to_vec()).collect();
        let positions: Vec<i64> = rows.iter().map(|(_, position)| *position).collect();
        let len = u64::try_from(digests.len()).unwrap_or(u64::MAX);
        let (old, new) = (signed(start)?, signed(start.saturating_add(len))?);
        let conflict = self.with(move |client| {
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

    /// A server that takes connections and says nothing, as one that is stopped does.
    #[cfg(unix)]
    #[test]
    fn a_server_that_hangs_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join(".s.PGSQL.5432");
        let _silent = std::os::unix::net::UnixListener::bind(socket).unwrap();
        let connection = format!("host={} user=a", folder.path().display());
        let patience = Patience {
            call: Duration::from_millis(200),
            ..PATIENCE
        };
        let begun = std::time::Instant::now();
        let refused = PostgresIndex::with_patience(&connection, patience).unwrap_err();
        assert!(matches!(refused, IndexError::Silent { .. }), "{refused}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

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
