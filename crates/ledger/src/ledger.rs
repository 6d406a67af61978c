//! A driver on a thread of its own, by the system's clock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use credence_base::ReceiptDigest;
use credence_log::SignedCheckpoint;
use credence_log::log_proof::LogProof;
use credence_log::sequencer::SequencerError;

use crate::driver::{Driver, Options, Published};
use crate::error::LedgerError;
use crate::pending::{Pending, Sequenced};

/// The longest that a log which cannot go on waits before it tries again.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// When batches are done, and who hears of errors.
pub struct Schedule {
    /// From one batch to the next.
    pub interval: Duration,
    /// Is told of every error of a turn, on the log's thread.
    pub on_error: Box<dyn Fn(&LedgerError) + Send>,
}

impl Schedule {
    /// A batch every 250 ms, errors told to `on_error`.
    #[must_use]
    pub fn new(on_error: Box<dyn Fn(&LedgerError) + Send>) -> Self {
        Self {
            interval: Duration::from_millis(250),
            on_error,
        }
    }
}

/// A running log. Dropping it flushes it, as [`Ledger::close`] does.
#[derive(Debug)]
pub struct Ledger {
    driver: Arc<Driver>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<Result<(), LedgerError>>>,
}

impl Ledger {
    /// Recovers the log and starts its thread.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(options: Options, schedule: Schedule) -> Result<Self, LedgerError> {
        let driver = Arc::new(Driver::open(options)?);
        let (stop, stopped) = sync_channel(1);
        let turning = Arc::clone(&driver);
        let thread = std::thread::Builder::new()
            .name("credence-log".to_owned())
            .spawn(move || run(&turning, &schedule, &stopped))
            .map_err(|source| LedgerError::Thread { source })?;
        Ok(Self {
            driver,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Takes a digest in. What comes back resolves when it is durably in the log.
    ///
    /// # Errors
    /// [`SequencerError::Full`] when too much waits, [`SequencerError::Overtaken`] when another process runs the log,
    /// [`SequencerError::Contradicted`] when a witness has seen another history of it.
    pub fn append(&self, digest: ReceiptDigest) -> Result<Pending, SequencerError> {
        self.driver.append(digest)
    }

    /// As [`Driver::send`].
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn send(&self, digest: ReceiptDigest) -> Result<(), SequencerError> {
        self.driver.send(digest)
    }

    /// As [`Driver::keep_cosigned`]. It blocks while it writes.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn keep_cosigned(&self, signed: &SignedCheckpoint) -> Result<(), LedgerError> {
        self.driver.keep_cosigned(signed)
    }

    /// As [`Driver::cosigned`]. It blocks while it reads.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn cosigned(&self) -> Result<Option<SignedCheckpoint>, LedgerError> {
        self.driver.cosigned()
    }

    /// As [`Driver::contradict`].
    pub fn contradict(&self) {
        self.driver.contradict();
    }

    /// The last published checkpoint.
    #[must_use]
    pub fn published(&self) -> Option<Arc<Published>> {
        self.driver.published()
    }

    /// As [`Driver::proof`]. It blocks while it reads.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn proof(&self, digest: ReceiptDigest) -> Result<Option<LogProof>, LedgerError> {
        self.driver.proof(digest)
    }

    /// As [`Driver::proof_of`]. It blocks while it reads.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn proof_of(
        &self,
        digest: ReceiptDigest,
        sequenced: &Sequenced,
    ) -> Result<LogProof, LedgerError> {
        self.driver.proof_of(digest, sequenced)
    }

    /// As [`Driver::proof_under`]. It blocks while it reads.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn proof_under(
        &self,
        digest: ReceiptDigest,
        published: &SignedCheckpoint,
    ) -> Result<Option<LogProof>, LedgerError> {
        self.driver.proof_under(digest, published)
    }

    /// As [`Driver::consistency`]. It blocks while it reads.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<credence_log::Hash>, LedgerError> {
        self.driver.consistency(old, new)
    }

    /// Does what waits and ends the thread.
    ///
    /// # Errors
    /// The [`LedgerError`] that kept it from doing so; whoever waited was told.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), LedgerError> {
        drop(self.stop.take());
        match self.thread.take() {
            None => Ok(()),
            Some(thread) => thread.join().unwrap_or(Err(LedgerError::Ended)),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`; those who wait were told either way.
        let _ended = self.end();
    }
}

fn run(driver: &Driver, schedule: &Schedule, stopped: &Receiver<()>) -> Result<(), LedgerError> {
    let mut wait = schedule.interval;
    let mut next = Instant::now() + wait;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        match stopped.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return flush(driver),
        }
        let begun = Instant::now();
        match driver.turn(now_ms()) {
            // A batch that took longer than the interval is followed by the next at once.
            Ok(_) => {
                wait = schedule.interval;
                next = begun + wait;
            }
            Err(error) => {
                (schedule.on_error)(&error);
                wait = wait.saturating_mul(2).min(BACKOFF_MAX);
                next = Instant::now() + wait;
            }
        }
    }
}

/// Batches until nothing waits. Nothing comes in any more, so this ends.
fn flush(driver: &Driver) -> Result<(), LedgerError> {
    loop {
        let turn = driver.turn(now_ms())?;
        if turn.waiting == 0 {
            return Ok(());
        }
    }
}

/// A clock before 1970 counts as 1970: times of the log stand still then.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
