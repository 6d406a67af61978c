//! An auditor: follows logs, audits a random sample of what it may see, sends requests of its own, signs what it found, and keeps score.
//!
//! ```text
//! log ─new entries─▶ drawn by a secret? ─▶ bundle at hand? ─▶ audit ─▶ receipt of kind `audit` in a file, into a log ─▶ scoreboard
//! prompts ─now and then─▶ answer ─▶ bundle ─▶ audit ─────────────────────────────────┘
//! ```
//!
//! Files in its folder: `secret` (whence draws come; 0600), `board.json`, and `audits/<audited receipt>.json`, each durable before the next entry is looked at. After a
//! crash the entry at hand is audited again, and the audit that was kept first stays.
//!
//! It deliberately sees no more than it was given: a log has digests, bundles are private. What it says is about the answers that it may see.

use core::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use credence_base::{Name, NameError, PublicKey, ReceiptDigest, SigningKey};
use credence_claim::Openings;
use credence_log::Hash;
use credence_receipt::{Audit, Bundle, Statement, sign};
use credence_store::StoreError;
use credence_store::file::{self, Access};
use credence_witness::Clock;
use credence_witness::fetch::Fetcher;
use credence_witness::server::chain_of;
use serde::Serialize;

use crate::monitor::Followed;
use crate::tree::{Tree, TreeError, head};

mod board;
mod check;
mod honeypot;
mod library;

pub use board::{Board, BoardError, Bounds, Counts, LogPlace, Tally};
pub use check::{Means, ModelSource, Outcome};
pub use honeypot::{Prompts, PromptsError};
pub use library::Library;

use check::{Audited, audit};
use library::{Found, Sampler};

/// Entries of one log that are looked at in one round.
const ENTRIES_PER_ROUND: u64 = 4096;

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
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Entropy(#[from] getrandom::Error),
    /// An audit cannot be stated.
    #[error("an audit cannot be stated")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A round broke down.
    #[error("a round broke down; this is a fault of the auditor's")]
    Round,
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
        /// Its operator.
        operator: String,
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
    /// A request of our own had no answer with a receipt.
    NoAnswer,
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
    /// Whose the answers at that address are, so that what is not answered is counted to somebody.
    pub operator: Option<PublicKey>,
    /// Requests of its own.
    pub honeypots: Option<Honeypots>,
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
        file::make_folder(&setup.folder.join("audits"), Access::Owner)?;
        let sampler = Sampler::new(secret(&setup.folder)?, setup.rate_ppm);
        let board = Board::read(&board_path(&setup.folder))?;
        Ok(Self {
            setup,
            sampler,
            fetcher: Fetcher::new(),
            board,
        })
    }

    /// The scoreboard.
    #[must_use]
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// Looks at every log once, and sends a request of its own if `interval` says that it is time. Blocks its thread. Whether an answer was found false.
    ///
    /// # Errors
    /// [`AuditorError`]: files fail, and it must stop. A log or an operator that does is an event.
    pub fn round(&mut self, interval: Duration) -> Result<bool, AuditorError> {
        self.setup.library.look();
        let mut refuted = false;
        for number in 0..self.setup.logs.len() {
            let Some(followed) = self.setup.logs.get(number).cloned() else {
                continue;
            };
            match self.look(&followed) {
                Ok(found) => refuted |= found,
                Err(LookError::Auditor(error)) => return Err(error),
                Err(error) => self.tell(AuditorEvent::LogFailed {
                    log: followed.log.name().as_str().to_owned(),
                    words: chain_of(&error),
                }),
            }
        }
        refuted |= self.honeypot(interval)?;
        Ok(refuted)
    }

    fn tell(&self, event: AuditorEvent) {
        (self.setup.sink)(event);
    }

    /// Counts something that was not answered, if it is known to whom.
    fn unanswered(&mut self, honeypot: bool) -> bool {
        let Some(operator) = &self.setup.operator else {
            return false;
        };
        let tally = self
            .board
            .operators
            .entry(operator.to_string())
            .or_default();
        let counts = if honeypot {
            &mut tally.honeypots
        } else {
            &mut tally.drawn
        };
        Outcome::Unanswered.count(counts);
        true
    }

    fn write_board(&self) -> Result<(), AuditorError> {
        Ok(self.board.write(&board_path(&self.setup.folder))?)
    }

    fn look(&mut self, followed: &Followed) -> Result<bool, LookError> {
        let origin = followed.log.name().as_str().to_owned();
        let signed = head(&*followed.source, &followed.log)?;
        let checkpoint = signed.unverified();
        let place = self.board.logs.get(&origin).cloned().unwrap_or_default();
        if checkpoint.size() < place.size {
            return Err(LookError::Shrunk {
                before: place.size,
                now: checkpoint.size(),
            });
        }
        let mut tree = Tree::open(&*followed.source, checkpoint)?;
        if place.size > 0 {
            let now: Hash = tree.root_at(place.size)?;
            if now.to_string() != place.root {
                return Err(LookError::Rewritten { size: place.size });
            }
        }
        let mut entries = Vec::new();
        tree.each_entry(place.next, |index, receipt| {
            entries.push((index, *receipt));
            u64::try_from(entries.len()).is_ok_and(|len| len < ENTRIES_PER_ROUND)
        })?;
        let (mut refuted, mut drawn, mut unseen) = (false, 0_u64, 0_u64);
        for (index, receipt) in &entries {
            if self.sampler.draws(receipt) {
                drawn = drawn.saturating_add(1);
                match self.drawn(*receipt)? {
                    Some(outcome) => refuted |= outcome == Outcome::Refuted,
                    None => unseen = unseen.saturating_add(1),
                }
            }
            let own = self.board.logs.entry(origin.clone()).or_default();
            own.next = index.saturating_add(1);
            if self.sampler.draws(receipt) {
                self.write_board()?;
            }
        }
        let own = self.board.logs.entry(origin.clone()).or_default();
        own.size = checkpoint.size();
        own.root = checkpoint.root().to_string();
        if !entries.is_empty() {
            self.write_board()?;
            self.tell(AuditorEvent::Looked {
                log: origin,
                size: checkpoint.size(),
                new: u64::try_from(entries.len()).unwrap_or(u64::MAX),
                drawn,
                unseen,
            });
        }
        Ok(refuted)
    }

    /// An entry that was drawn: nothing if we may not see it.
    fn drawn(&mut self, receipt: ReceiptDigest) -> Result<Option<Outcome>, AuditorError> {
        let operator = self.setup.means.operator.clone();
        let found = self.setup.library.find(receipt, &self.fetcher, &operator);
        let audited = match found {
            Found::Bundle(bundle) => {
                let now = (self.setup.clock)();
                audit(&self.setup.means, &self.fetcher, &bundle, now)
            }
            Found::Refused => {
                if self.unanswered(false) {
                    return Ok(Some(Outcome::Unanswered));
                }
                None
            }
            Found::Unseen => None,
        };
        let Some(audited) = audited else {
            self.board.unseen = self.board.unseen.saturating_add(1);
            return Ok(None);
        };
        self.keep(&audited, false)?;
        Ok(Some(audited.outcome))
    }

    fn audit_path(&self, receipt: ReceiptDigest) -> PathBuf {
        let folder = self.setup.folder.join("audits");
        folder.join(format!("{receipt}.json"))
    }

    /// Signs an audit, keeps it, counts it, and sends it to the log.
    fn keep(&mut self, audited: &Audited, honeypot: bool) -> Result<(), AuditorError> {
        let bundle = self.stated(audited, honeypot)?;
        let bytes = bundle
            .encode()
            .map_err(|e| AuditorError::State(Box::new(e)))?;
        let digest = bundle.receipt().digest();
        let is_new = match file::create(&self.audit_path(audited.receipt), &bytes, Access::Owner) {
            Ok(()) => true,
            // Made before a crash and not counted: the first stays.
            Err(StoreError::Exists { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let operator = audited.operator.to_string();
        let tally = self.board.operators.entry(operator.clone()).or_default();
        let counts = if honeypot {
            &mut tally.honeypots
        } else {
            &mut tally.drawn
        };
        audited.outcome.count(counts);
        self.tell(AuditorEvent::Audited {
            receipt: audited.receipt.to_string(),
            operator,
            method: audited.method.as_str().to_owned(),
            outcome: audited.outcome.as_str(),
            honeypot,
            words: audited.words.clone(),
            audit: digest.to_string(),
        });
        let publish = self.setup.publish.as_ref().filter(|_| is_new);
        if let Some(Err(words)) = publish.map(|publish| publish(digest)) {
            let audit = digest.to_string();
            self.tell(AuditorEvent::NotLogged { audit, words });
        }
        Ok(())
    }

    fn stated(&self, audited: &Audited, honeypot: bool) -> Result<Bundle, AuditorError> {
        let fail = |e: Box<dyn std::error::Error + Send + Sync>| AuditorError::State(e);
        let mut numbers: Vec<(Name, u64)> = Vec::new();
        let mut all = audited.numbers.clone();
        if honeypot {
            all.push(("honeypot", 1));
        }
        let unanswered = audited.outcome == Outcome::Unanswered;
        all.push(("answered", u64::from(!unanswered)));
        all.sort_unstable();
        for (name, value) in all {
            let name = Name::new(name).map_err(|e: NameError| fail(e.into()))?;
            numbers.push((name, value));
        }
        let method = Name::new(audited.method.as_str()).map_err(|e| fail(e.into()))?;
        let statement = Statement::Audit(Audit {
            operator: self.setup.key.public_key(),
            receipt: audited.receipt,
            method,
            method_version: audited.version,
            outcome: audited.outcome.stated(),
            numbers,
            time_unix_s: (self.setup.clock)(),
        });
        let envelope = sign(&statement, &self.setup.key).map_err(|e| fail(e.into()))?;
        let bundle = Bundle::new(envelope, Openings::default(), Vec::new());
        bundle.map_err(|e| fail(e.into()))
    }

    /// Sends a request of our own, if it is drawn for this round.
    fn honeypot(&mut self, interval: Duration) -> Result<bool, AuditorError> {
        let Some(honeypots) = &self.setup.honeypots else {
            return Ok(false);
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let (first, second) = random.split_at(8);
        let draw = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let wait = draw(first).checked_rem(honeypots.every_s.max(1));
        if wait.is_some_and(|at| at >= interval.as_secs().max(1)) {
            return Ok(false);
        }
        let operator = self.setup.means.operator.clone();
        let sent = honeypots
            .prompts
            .send(draw(second), &honeypots.client, &operator);
        let now = (self.setup.clock)();
        let audited = sent.and_then(|bundle| audit(&self.setup.means, &self.fetcher, &bundle, now));
        let Some(audited) = audited else {
            self.unanswered(true);
            self.write_board()?;
            self.tell(AuditorEvent::NoAnswer);
            return Ok(false);
        };
        self.keep(&audited, true)?;
        self.write_board()?;
        Ok(audited.outcome == Outcome::Refuted)
    }
}

/// Runs an auditor until `stop` completes, or for one round; a round that is under way is finished first. Whether an answer was found false.
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
    let mut refuted = false;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(refuted),
            _ = ticks.tick() => {}
        }
        let round = tokio::task::spawn_blocking(move || {
            let found = auditor.round(interval);
            (auditor, found)
        });
        let (back, found) = round.await.map_err(|_| AuditorError::Round)?;
        auditor = back;
        refuted |= found?;
        if once {
            return Ok(refuted);
        }
    }
}

/// Why a log was not looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the log cannot be read")]
    Tree(#[from] TreeError),
    #[error("the log had {before} entries and has {now}: it went back")]
    Shrunk { before: u64, now: u64 },
    #[error("the first {size} entries of the log are not those that it had")]
    Rewritten { size: u64 },
    #[error("the auditor failed")]
    Auditor(#[from] AuditorError),
}
