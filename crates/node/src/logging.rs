//! The log that receipts go to, as a server sees it.
//!
//! ```text
//! a receipt is kept ─▶ Logging::append ─▶ the next batch ─▶ a checkpoint covers it
//! GET /v1/receipts/{digest} ─▶ Logging::prove ─▶ the proof, or none yet and the digest appended once more
//! ```
//!
//! A receipt is kept first and appended then, so the log never has a digest that nobody can ask for. The other way round can happen, when a
//! server ends in between: the next one appends what was kept since shortly before the last checkpoint ([`Logging::catch_up`]), and whoever asks
//! for such a receipt has it appended, which is safe to do twice.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use credence_base::ReceiptDigest;
use credence_ledger::{Ledger, LedgerError, Pending, Sequenced, Unsure};
use credence_log::sequencer::SequencerError;
use credence_store::{Receipts, StoreError};

use crate::cosigning::Cosigning;

/// How long an answer waits for the log, at most, if it waits.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether the log has answered.
const LOOK: Duration = Duration::from_millis(2);
/// From one attempt to the next while the log recovers, or has no room.
const AGAIN: Duration = Duration::from_millis(100);
/// How long before the last checkpoint a receipt may have come that is not under it: longer than any batch waits, and than clocks differ.
const MARGIN_S: u64 = 60 * 60;

/// Why it is not known what was kept and not logged.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// What was kept cannot be listed.
    #[error("the receipts that were kept cannot be listed")]
    Receipts(#[from] StoreError),
    /// The system gives no thread.
    #[error("no thread can be started for receipts that are not in the log")]
    Thread(#[source] io::Error),
}

/// Why a receipt is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log does not take it.
    #[error("the log takes no receipt")]
    Refused(#[from] SequencerError),
    /// Too few witnesses cosigned in time.
    #[error("too few witnesses cosigned the log in {} s", WAIT_MAX.as_secs())]
    Unwitnessed,
    /// The log stopped, and did not recover in time.
    #[error("the log did not say in {} s that the receipt is in it", WAIT_MAX.as_secs())]
    Unsure(#[from] Unsure),
    /// The log cannot be read.
    #[error("the log cannot prove that the receipt is in it")]
    Ledger(#[from] LedgerError),
}

impl LoggingError {
    /// Whether the same request may well be answered a moment later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Refused(error) => {
                matches!(error, SequencerError::Full { .. } | SequencerError::Stopped)
            }
            Self::Unsure(_) | Self::Unwitnessed => true,
            Self::Ledger(_) => false,
        }
    }
}

/// A receipt that is on its way into the log.
#[must_use]
pub(crate) struct Wait {
    ledger: Arc<Ledger>,
    cosigning: Option<Arc<Cosigning>>,
    digest: ReceiptDigest,
    pending: Option<Pending>,
    end: Instant,
}

impl Wait {
    /// Blocks until it is durably in the log.
    ///
    /// # Errors
    /// [`LoggingError`].
    pub(crate) fn finish(mut self) -> Result<(), LoggingError> {
        let mut error = LoggingError::Unsure(Unsure);
        loop {
            match self.pending.take().map(|pending| self.wait(pending)) {
                Some(Ok(sequenced)) => return self.witnessed(&sequenced),
                Some(Err(unsure)) => error = unsure.into(),
                None => {}
            }
            if Instant::now() >= self.end {
                return Err(error);
            }
            std::thread::sleep(AGAIN);
            match self.ledger.append(self.digest) {
                Ok(pending) => self.pending = Some(pending),
                Err(SequencerError::Stopped) => error = SequencerError::Stopped.into(),
                Err(refused) => return Err(refused.into()),
            }
        }
    }
}

impl Wait {
    /// Waits for the log, and no longer than until the end: a store may hang.
    fn wait(&self, mut pending: Pending) -> Result<Sequenced, Unsure> {
        loop {
            match pending.try_wait() {
                Some(answer) => return answer,
                None if Instant::now() >= self.end => return Err(Unsure),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    fn witnessed(&self, sequenced: &Sequenced) -> Result<(), LoggingError> {
        match &self.cosigning {
            Some(cosigning) if !cosigning.wait_for(sequenced.position, self.end) => {
                Err(LoggingError::Unwitnessed)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A log, who witnesses it, and whether answers wait for it.
pub struct Logging {
    ledger: Arc<Ledger>,
    cosigning: Option<Arc<Cosigning>>,
    wait: bool,
}

impl Logging {
    /// Sends receipts to `ledger`. With `wait`, no answer is given before its receipt is durably in the log.
    #[must_use]
    pub const fn new(ledger: Arc<Ledger>, wait: bool) -> Self {
        Self {
            ledger,
            cosigning: None,
            wait,
        }
    }

    /// The same, proving by cosigned checkpoints alone.
    #[must_use]
    pub fn witnessed(self, cosigning: Cosigning) -> Self {
        Self {
            cosigning: Some(Arc::new(cosigning)),
            ..self
        }
    }

    /// Appends what was kept since shortly before the last checkpoint, or ever if there is none: among it is all that a server kept and did not live
    /// to log. What is in the log already is found there. It is appended on a thread of its own, as the log has room; how many
    /// there are.
    ///
    /// # Errors
    /// [`CatchUpError`].
    pub fn catch_up(&self, receipts: &dyn Receipts) -> Result<usize, CatchUpError> {
        let last = self.ledger.published();
        let last_s = last.map_or(0, |published| published.time_ms / 1000);
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = now_s.map_or(0, |now| now.as_secs());
        // A log that is ahead of the clock stands still, and its time says nothing of what came since.
        let since_s = if last_s > now_s { 0 } else { last_s };
        let kept = receipts.kept_since(since_s.saturating_sub(MARGIN_S))?;
        let count = kept.len();
        // Weak, so that nothing keeps the log from ending.
        let ledger = Arc::downgrade(&self.ledger);
        thread::Builder::new()
            .name("credence-relog".to_owned())
            .spawn(move || append_all(&ledger, kept))
            .map_err(CatchUpError::Thread)?;
        Ok(count)
    }

    /// Takes a receipt's digest in. What comes back is to be waited for, if answers wait.
    ///
    /// # Errors
    /// [`LoggingError::Refused`].
    pub(crate) fn append(&self, digest: ReceiptDigest) -> Result<Option<Wait>, LoggingError> {
        if !self.wait {
            self.ledger.send(digest)?;
            return Ok(None);
        }
        let pending = match self.ledger.append(digest) {
            Ok(pending) => Some(pending),
            // It recovers, and whoever waits tries again.
            Err(SequencerError::Stopped) => None,
            Err(refused) => return Err(refused.into()),
        };
        Ok(Some(Wait {
            ledger: Arc::clone(&self.ledger),
            cosigning: self.cosigning.clone(),
            digest,
            pending,
            end: Instant::now() + WAIT_MAX,
        }))
    }

    /// Takes a receipt's digest in, and waits for nothing.
    ///
    /// # Errors
    /// [`LoggingError::Refused`].
    pub(crate) fn send(&self, digest: ReceiptDigest) -> Result<(), LoggingError> {
        Ok(self.ledger.send(digest)?)
    }

    /// Logs a digest at once: blocks its thread until it is durably in the log, and cosigned if there are witnesses. Gives the proof, as the text of a
    /// `tlog-proof` file.
    ///
    /// # Errors
    /// [`LoggingError`], also when the proof that must be there is not.
    pub fn log_now(&self, digest: ReceiptDigest) -> Result<String, LoggingError> {
        let wait = Wait {
            ledger: Arc::clone(&self.ledger),
            cosigning: self.cosigning.clone(),
            digest,
            pending: Some(self.ledger.append(digest)?),
            end: Instant::now() + WAIT_MAX,
        };
        wait.finish()?;
        Ok(self.prove(digest)?.ok_or(Unsure)?)
    }

    /// The proof that a receipt is in the log, as the text of a `tlog-proof` file, once it is, and once enough witnesses saw it if there are any. Blocks its
    /// thread.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) fn prove(&self, digest: ReceiptDigest) -> Result<Option<String>, LedgerError> {
        let proof = match &self.cosigning {
            Some(cosigning) => match cosigning.newest() {
                Some(by) => self.ledger.proof_under(digest, &by)?,
                None => None,
            },
            None => self.ledger.proof(digest)?,
        };
        if let Some(proof) = proof {
            return Ok(Some(proof.encode()));
        }
        // It is on its way, or the server ended before it was. A log that does not take it now does when it is asked for again.
        if let Err(error) = self.ledger.send(digest) {
            tracing::warn!(
                cause = crate::chain_of(&error),
                "a receipt is not in the log"
            );
        }
        Ok(None)
    }
}

fn append_all(ledger: &Weak<Ledger>, digests: Vec<ReceiptDigest>) {
    for digest in digests {
        loop {
            let Some(ledger) = ledger.upgrade() else {
                return;
            };
            match ledger.send(digest) {
                Ok(()) => break,
                Err(SequencerError::Full { .. }) => {}
                Err(error) => {
                    let cause = crate::chain_of(&error);
                    return tracing::warn!(cause, "receipts that were kept are not in the log");
                }
            }
            drop(ledger);
            thread::sleep(AGAIN);
        }
    }
}
