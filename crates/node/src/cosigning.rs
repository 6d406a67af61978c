//! Witnesses of the log: each new checkpoint is shown to them, and the newest that enough of them cosigned is what receipts are proved by.
//!
//! ```text
//! Ledger::published ─▶ witnesses, side by side ─quorum─▶ the cosigned checkpoint, kept ─▶ proofs
//! start: what was kept, if its cosignatures still are enough ─▶ proofs, whoever is down
//! ```
//!
//! Witnesses that are down, slow or wrong cost time and nothing else: the log goes on, and proofs come when the quorum does. One that says it has seen
//! another history is told of loudly. Without those that say so the quorum may still be met; if it cannot be met any more, the log ends: what it would sign next
//! might be a fork, and whoever runs it must find out first. As many witnesses that lie as it takes to break the quorum can so stop a log, and none can make it lie.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use credence_ledger::{Ledger, Published};
use credence_log::{Hash, KeyName, SignedCheckpoint, VerifierKey, cosignature};
use credence_witness::{
    Ask, Asked, Client, ClientError, Outcome, Proofs, ProofsError, WitnessAddress,
};

/// How often the log is looked at for a new checkpoint.
const LOOK: Duration = Duration::from_millis(50);
/// How long witnesses may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the rest is waited for once the quorum is there.
const LINGER: Duration = Duration::from_millis(100);
/// After which time an unchanged checkpoint is shown again: its cosignatures say how lately the log was seen to be whole.
const AGAIN: Duration = Duration::from_secs(600);
/// The longest pause after witnesses did not cosign.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How often and how long witnesses are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one look at the log to the next.
    pub look: Duration,
    /// The longest that one round of questions takes.
    pub deadline: Duration,
    /// How long the rest is waited for once the quorum is there.
    pub linger: Duration,
    /// After which time an unchanged checkpoint is shown again.
    pub again: Duration,
    /// The longest pause after witnesses did not cosign.
    pub pause_max: Duration,
}

impl Pace {
    /// As a server asks.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            look: LOOK,
            deadline: DEADLINE,
            linger: LINGER,
            again: AGAIN,
            pause_max: PAUSE_MAX,
        }
    }
}

/// Why witnesses cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum CosigningError {
    /// They are no witnesses, or too few.
    #[error("the witnesses cannot be asked")]
    Client(#[from] ClientError),
    /// The system gives no thread.
    #[error("no thread can be started for the witnesses")]
    Thread(#[source] io::Error),
}

/// The newest checkpoint that enough witnesses cosigned.
#[derive(Default)]
struct Newest {
    cosigned: Mutex<Option<Arc<SignedCheckpoint>>>,
    changed: Condvar,
}

/// Asks witnesses on a thread of its own, until it is dropped.
pub struct Cosigning {
    newest: Arc<Newest>,
    _end: Sender<()>,
}

struct LedgerProofs(Arc<Ledger>);

impl Proofs for LedgerProofs {
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProofsError> {
        let proof = self.0.consistency(old, new);
        proof.map_err(|source| ProofsError {
            old,
            new,
            source: source.into(),
        })
    }
}

impl Cosigning {
    /// Begins to ask `witnesses`, of which `quorum` must cosign.
    ///
    /// # Errors
    /// [`CosigningError`].
    pub fn start(
        ledger: Arc<Ledger>,
        witnesses: Vec<WitnessAddress>,
        quorum: usize,
    ) -> Result<Self, CosigningError> {
        Self::at_pace(ledger, witnesses, quorum, Pace::usual())
    }

    /// The same at another pace.
    ///
    /// # Errors
    /// [`CosigningError`].
    pub fn at_pace(
        ledger: Arc<Ledger>,
        witnesses: Vec<WitnessAddress>,
        quorum: usize,
        pace: Pace,
    ) -> Result<Self, CosigningError> {
        let keys: Vec<VerifierKey> = witnesses.iter().map(|one| one.key.clone()).collect();
        let client = Client::new(witnesses)?;
        client.check_quorum(quorum)?;
        let newest = Arc::new(Newest::default());
        if let Some(kept) = kept(&ledger, &keys, quorum) {
            newest.tell(kept);
        }
        let (end, ended) = channel();
        let mut asking = Asking {
            ledger: Arc::clone(&ledger),
            client,
            ask: Ask {
                quorum,
                deadline: pace.deadline,
                linger: pace.linger,
            },
            told: Arc::clone(&newest),
            accused: BTreeSet::new(),
        };
        let run = move || {
            let proofs: Arc<dyn Proofs> = Arc::new(LedgerProofs(Arc::clone(&ledger)));
            let mut asked = None;
            let mut pause = pace.look;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let Some(published) = ledger.published() else {
                    continue;
                };
                let is_fresh = |at: Instant| at.elapsed() < pace.again;
                if asked.is_some_and(|(number, at)| number == published.number && is_fresh(at)) {
                    continue;
                }
                match asking.round(&published, &proofs) {
                    Round::Cosigned => {
                        asked = Some((published.number, Instant::now()));
                        pause = pace.look;
                    }
                    Round::TooFew => pause = pace.pause_max.min(pause.saturating_mul(2)),
                    Round::Contradicted => return,
                }
            }
        };
        thread::Builder::new()
            .name("credence-cosign".to_owned())
            .spawn(run)
            .map_err(CosigningError::Thread)?;
        Ok(Self { newest, _end: end })
    }

    /// The newest cosigned checkpoint.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<SignedCheckpoint>> {
        let cosigned = self.newest.cosigned.lock();
        cosigned.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blocks until a cosigned checkpoint covers `position`, or `end`; whether one does.
    #[must_use]
    pub(crate) fn wait_for(&self, position: u64, end: Instant) -> bool {
        let covers = |held: &Option<Arc<SignedCheckpoint>>| {
            let size = |signed: &Arc<SignedCheckpoint>| signed.unverified().size();
            held.as_ref().is_some_and(|held| size(held) > position)
        };
        let held = self.newest.cosigned.lock();
        let held = held.unwrap_or_else(PoisonError::into_inner);
        let left = end.saturating_duration_since(Instant::now());
        let waited = self
            .newest
            .changed
            .wait_timeout_while(held, left, |held| !covers(held));
        let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        covers(&held)
    }
}

impl Newest {
    fn tell(&self, cosigned: SignedCheckpoint) {
        let held = self.cosigned.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(cosigned));
        self.changed.notify_all();
    }
}

/// What one round of questions comes to.
enum Round {
    /// Enough have cosigned.
    Cosigned,
    /// Too few, for now.
    TooFew,
    /// Too few, and for ever: the log has ended.
    Contradicted,
}

/// What the thread works with.
struct Asking {
    ledger: Arc<Ledger>,
    client: Client,
    ask: Ask,
    told: Arc<Newest>,
    /// Witnesses that were told of already.
    accused: BTreeSet<String>,
}

impl Asking {
    fn round(&mut self, published: &Published, proofs: &Arc<dyn Proofs>) -> Round {
        let asked = match self.client.ask(&published.checkpoint, self.ask, proofs) {
            Ok(asked) => asked,
            Err(error) => {
                tracing::error!(cause = crate::chain_of(&error), "witnesses cannot be asked");
                return Round::TooFew;
            }
        };
        let newest = self.ledger.published();
        let newest = newest.as_ref().map_or(published, |newest| &**newest);
        let size = newest.checkpoint.unverified().size();
        if self.is_lost(&asked, size) {
            self.ledger.contradict();
            return Round::Contradicted;
        }
        let Some(cosigned) = cosigned(published, asked) else {
            return Round::TooFew;
        };
        // Before it is told, so that a proof which was given once is given again after a restart.
        if let Err(error) = self.ledger.keep_cosigned(&cosigned) {
            tracing::warn!(
                cause = crate::chain_of(&error),
                "a cosigned checkpoint cannot be kept for the next start"
            );
        }
        self.told.tell(cosigned);
        Round::Cosigned
    }

    /// Says which witnesses claim to have seen another history; whether the others are too few to ever cosign.
    fn is_lost(&mut self, asked: &Asked, size: u64) -> bool {
        let against = accusers(asked, size);
        let others: BTreeSet<&KeyName> = asked
            .outcomes
            .iter()
            .map(|(witness, _)| witness.name())
            .filter(|name| !against.contains(name))
            .collect();
        let is_lost = !asked.quorum && others.len() < self.ask.quorum;
        for witness in &against {
            let name = witness.to_string();
            if is_lost {
                tracing::error!(
                    "NOTHING MORE IS LOGGED: witness `{name}` has seen another history of this log than it has, which is of {size} entries. \
                     An older copy of the log runs, or its key runs elsewhere, or the witness lies: find out which before you start again"
                );
            } else if !self.accused.contains(&name) {
                tracing::error!(
                    "ALARM: witness `{name}` says that it has seen another history of this log than it has, which is of {size} entries; enough others \
                     have not. It lies, or an older copy of the log runs, or its key runs elsewhere: find out which, and take it off the list if it lies"
                );
            }
        }
        self.accused = against.iter().map(ToString::to_string).collect();
        is_lost
    }
}

/// What was kept by the process before, if enough of these witnesses cosigned it.
fn kept(ledger: &Ledger, keys: &[VerifierKey], quorum: usize) -> Option<SignedCheckpoint> {
    let kept = match ledger.cosigned() {
        Ok(kept) => kept?,
        Err(error) => {
            tracing::warn!(
                cause = crate::chain_of(&error),
                "the cosigned checkpoint of before cannot be read"
            );
            return None;
        }
    };
    let by = |key: &&VerifierKey| {
        let times = cosignature::times(kept.note(), key);
        times.is_ok_and(|times| !times.is_empty())
    };
    let names: BTreeSet<&KeyName> = keys.iter().filter(by).map(VerifierKey::name).collect();
    (names.len() >= quorum).then_some(kept)
}

/// The witnesses that say to have seen what a log of `size` entries cannot have shown them.
fn accusers(asked: &Asked, size: u64) -> BTreeSet<&KeyName> {
    let another = |outcome: &Outcome| match outcome {
        Outcome::SplitView { .. } => true,
        Outcome::Ahead { size: seen } => *seen > size,
        _ => false,
    };
    let found = asked
        .outcomes
        .iter()
        .filter(|(_, outcome)| another(outcome));
    found.map(|(witness, _)| witness.name()).collect()
}

/// The checkpoint with its cosignatures, if there are enough.
fn cosigned(published: &Published, asked: Asked) -> Option<SignedCheckpoint> {
    if !asked.quorum {
        for (witness, outcome) in &asked.outcomes {
            tracing::warn!("witness `{}`: {outcome:?}", witness.name());
        }
        return None;
    }
    let mut cosigned = published.checkpoint.clone();
    for line in asked.cosignatures {
        // A note holds as many signatures as there may be witnesses; one more is left out.
        if let Err(error) = cosigned.note_mut().add(line) {
            tracing::warn!(cause = crate::chain_of(&error), "a cosignature is left out");
        }
    }
    Some(cosigned)
}
