//! An auditor: follows logs, audits a random sample of what it may see, sends requests of its own, signs what it found, and keeps score.
//!
//! ```text
//! log ─new entries─▶ drawn by a secret? ─▶ bundle at hand? ─▶ audit ─▶ receipt of kind `audit` in a file, into a log ─▶ scoreboard
//! prompts ─now and then─▶ answer ─▶ bundle ─▶ audit ─────────────────────────────────┘
//! ```
//!
//! Files in its folder: `secret` (whence draws come; 0600), `board.json`, `audits/` (`records`), `cards/` (programs of models), `own/` (bundles of its own requests that
//! wait). A receipt is audited once, however often it is logged and however often the auditor is ended: what is counted is what stands in `audits/`. What cannot be seen
//! yet, or is not answered, waits in one list (`pending`).
//!
//! It deliberately sees no more than it was given: a log has digests, bundles are private. What it says is about the answers that it may see.

use core::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use credence_base::{PublicKey, ReceiptDigest, SigningKey};
use credence_store::StoreError;
use credence_store::file::{self, Access};
use credence_witness::Clock;
use credence_witness::fetch::Fetcher;
use serde::Serialize;

use crate::monitor::Followed;
use crate::source::Gate;

mod board;
mod check;
mod honeypot;
mod library;
mod pending;
mod records;
mod round;

pub use board::{Board, BoardError, Bounds, Counts, LogPlace, Tally};
pub use check::{Means, ModelSource, Outcome};
pub use honeypot::{Exchange, Prompts, PromptsError, SameAs};
pub use library::Library;
pub use pending::{PENDING_MAX, Patience, Pending, Waiting};
pub use records::RecordsError;

use library::Sampler;
use records::Records;

/// How long a round that is under way is waited for when the auditor is told to stop. Nothing is lost by leaving it.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Takes a digest into a log; on return it is there, or the words say why not.
pub type Publish = Arc<dyn Fn(ReceiptDigest) -> Result<(), String> + Send + Sync>;

/// Why an auditor does not run.
#[derive(Debug, thiserror::Error)]
pub enum AuditorError {
    /// A file cannot be read or written.
    #[error("the auditor's files cannot be read or written")]
    Store(#[from] StoreError),
    /// The scoreboard is not at hand.
    #[error("the auditor's scoreboard is not at hand")]
    Board(#[from] BoardError),
    /// The secret is damaged.
    #[error("the file `secret` is damaged: expected 32 bytes, got {got}")]
    Secret {
        /// Bytes found.
        got: usize,
    },
    /// The audits that were made are not at hand.
    #[error("the audits that were made are not at hand")]
    Records(#[from] RecordsError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Entropy(#[from] getrandom::Error),
    /// An audit cannot be stated.
    #[error("an audit cannot be stated")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A round broke down.
    #[error("a round broke down; this is a fault of the auditor's")]
    Round,
    /// The system gives no thread.
    #[error("the system gives no thread")]
    Thread(#[source] std::io::Error),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditorEvent {
    /// New entries of a log were looked at.
    Looked {
        /// The log.
        log: String,
        /// Its entries.
        size: u64,
        /// How many were new.
        new: u64,
        /// How many of them were drawn.
        drawn: u64,
        /// How many of those we may not see.
        unseen: u64,
    },
    /// An audit was made, signed and kept.
    Audited {
        /// The receipt.
        receipt: String,
        /// Its operator; none if nobody shows whose it is.
        operator: Option<String>,
        /// By which method.
        method: String,
        /// What came of it.
        outcome: &'static str,
        /// Whether it was a request of our own.
        honeypot: bool,
        /// Why it did not pass.
        words: Option<String>,
        /// The receipt of the audit.
        audit: String,
    },
    /// The operator has not shown what was asked of it. It is asked again.
    Waits {
        /// The receipt.
        receipt: String,
        /// How often that was so.
        tries: u32,
        /// Why.
        words: String,
    },
    /// A request of our own had no answer with a receipt of ours.
    NoAnswer {
        /// Why.
        words: String,
        /// Whether that is counted: not if nobody was reached, until that has lasted.
        counted: bool,
    },
    /// A log cannot be read, or is not what it was.
    LogFailed {
        /// The log.
        log: String,
        /// Why.
        words: String,
    },
    /// An audit is kept and not in a log.
    NotLogged {
        /// The receipt of the audit.
        audit: String,
        /// Why.
        words: String,
    },
}

/// Where events go. It must not block for long.
pub type AuditorSink = Arc<dyn Fn(AuditorEvent) + Send + Sync>;

/// Requests of our own.
pub struct Honeypots {
    /// What is asked.
    pub prompts: Prompts,
    /// The mean time from one to the next, in seconds; rounds draw.
    pub every_s: u64,
    /// The client that asks: it calls itself as users' do.
    pub client: Fetcher,
    /// Whose answers must come.
    pub operator: PublicKey,
    /// Compares what was sent and received with what a receipt opens.
    pub same: SameAs,
}

/// How long things may take, and how often they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When an operator has not answered.
    pub patience: Patience,
    /// How long the operator may keep us waiting in one round, all in all.
    pub budget: Duration,
    /// How long one log may keep us waiting in one round.
    pub log_max: Duration,
    /// How long one round may take; what is left is for the next.
    pub round_max: Duration,
}

impl Times {
    /// Five tries over an hour; eight minutes for the operator, which is more than one opening may take, two for each log, ten for the round.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            patience: Patience::usual(),
            budget: Duration::from_secs(480),
            log_max: Duration::from_secs(120),
            round_max: Duration::from_secs(600),
        }
    }
}

/// What an auditor works with.
pub struct AuditorSetup {
    /// The logs.
    pub logs: Vec<Followed>,
    /// How much of them is drawn, in millionths.
    pub rate_ppm: u32,
    /// The bundles that it may see.
    pub library: Library,
    /// How audits are made.
    pub means: Means,
    /// Requests of its own.
    pub honeypots: Option<Honeypots>,
    /// How long things may take.
    pub times: Times,
    /// Its folder.
    pub folder: PathBuf,
    /// Its key.
    pub key: SigningKey,
    /// The clock.
    pub clock: Clock,
    /// The log for its audits.
    pub publish: Option<Publish>,
    /// Where events go.
    pub sink: AuditorSink,
}

/// An auditor.
pub struct Auditor {
    setup: AuditorSetup,
    sampler: Sampler,
    fetcher: Fetcher,
    board: Board,
    records: Records,
    gate: Arc<Gate>,
    /// Requests of our own that reached nobody, one after the other, and since when.
    unreached: (u32, u64),
}

/// Where the scoreboard of an auditor's folder is.
#[must_use]
pub fn board_path(folder: &Path) -> PathBuf {
    folder.join("board.json")
}

fn secret(folder: &Path) -> Result<[u8; 32], AuditorError> {
    let path = folder.join("secret");
    match file::read(&path, 64) {
        Ok(bytes) => {
            let got = bytes.len();
            bytes.try_into().map_err(|_| AuditorError::Secret { got })
        }
        Err(error) if error.is_absent() => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)?;
            file::create(&path, &bytes, Access::Owner)?;
            Ok(bytes)
        }
        Err(error) => Err(error.into()),
    }
}

impl Auditor {
    /// An auditor that goes on from what stands in its folder, which is made if it is absent.
    ///
    /// # Errors
    /// [`AuditorError`].
    pub fn open(setup: AuditorSetup) -> Result<Self, AuditorError> {
        let records = Records::open(&setup.folder)?;
        let sampler = Sampler::new(secret(&setup.folder)?, setup.rate_ppm);
        let mut board = Board::read(&board_path(&setup.folder))?;
        let (operators, nobodys) = records.tallies();
        board.take(operators, nobodys);
        Ok(Self {
            setup,
            sampler,
            fetcher: Fetcher::new(),
            board,
            records,
            gate: Arc::default(),
            unreached: (0, 0),
        })
    }

    /// The scoreboard.
    #[must_use]
    pub const fn board(&self) -> &Board {
        &self.board
    }
}

/// Runs an auditor until `stop` completes, or for one round. A round that is under way is ended between two entries; if that takes long it is left where it is. Whether an answer
/// was found false.
///
/// # Errors
/// [`AuditorError`].
pub async fn run_auditor(
    mut auditor: Auditor,
    (interval, once): (Duration, bool),
    stop: impl Future<Output = ()> + Send,
) -> Result<bool, AuditorError> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stop = core::pin::pin!(stop);
    let gate = Arc::clone(&auditor.gate);
    let mut refuted = false;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(refuted),
            _ = ticks.tick() => {}
        }
        let (send, mut done) = tokio::sync::oneshot::channel();
        // A thread of its own: one that waits for an operator does not hold up the end of the process.
        std::thread::Builder::new()
            .name("credence-auditor".to_owned())
            .spawn(move || {
                let found = auditor.round(interval);
                // Whoever listens may have left.
                drop(send.send((auditor, found)));
            })
            .map_err(AuditorError::Thread)?;
        let ended = tokio::select! {
            ended = &mut done => Some(ended),
            () = &mut stop => None,
        };
        let Some(ended) = ended else {
            gate.stop();
            return match tokio::time::timeout(STOP_TIME_MAX, done).await {
                Ok(Ok((_, found))) => Ok(refuted | found?),
                Ok(Err(_)) => Err(AuditorError::Round),
                Err(_) => Ok(refuted),
            };
        };
        let (back, found) = ended.map_err(|_| AuditorError::Round)?;
        auditor = back;
        refuted |= found?;
        if once {
            return Ok(refuted);
        }
    }
}
