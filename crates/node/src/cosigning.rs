//! Witnesses of the log: each new checkpoint is shown to them, and the newest that enough of them cosigned is what receipts are proved by.
//!
//! ```text
//! Ledger::published ─▶ witnesses, side by side ─quorum─▶ the cosigned checkpoint ─▶ proofs
//! ```
//!
//! Witnesses that are down, slow or wrong cost time and nothing else: the log goes on, and proofs come when the quorum does. One that has seen another
//! history ends the log: what it would sign next might be a fork, and whoever runs it must find out first. A witness that lies so can stop a log, and
//! cannot make it lie.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use credence_ledger::{Ledger, Published};
use credence_log::Hash;
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
    cosigned: Mutex<Option<Arc<Published>>>,
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
        let client = Client::new(witnesses)?;
        client.check_quorum(quorum)?;
        let newest = Arc::new(Newest::default());
        let (end, ended) = channel();
        let told = Arc::clone(&newest);
        let ask = Ask {
            quorum,
            deadline: DEADLINE,
            linger: LINGER,
        };
        let run = move || {
            let proofs: Arc<dyn Proofs> = Arc::new(LedgerProofs(Arc::clone(&ledger)));
            let mut asked = None;
            let mut pause = LOOK;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let Some(published) = ledger.published() else {
                    continue;
                };
                let is_fresh = |at: Instant| at.elapsed() < AGAIN;
                if asked.is_some_and(|(number, at)| number == published.number && is_fresh(at)) {
                    continue;
                }
                let asked_now = ask_all(&client, &published, ask, &proofs);
                let newest = ledger.published().unwrap_or(published.clone());
                let size = newest.checkpoint.unverified().size();
                if let Some(witness) = asked_now
                    .as_ref()
                    .and_then(|asked| contradiction(asked, size))
                {
                    tracing::error!(
                        "NOTHING MORE IS LOGGED: witness `{witness}` has seen another history of this log than it has, which is of {size} entries. \
                         An older copy of the log runs, or its key runs elsewhere, or the witness lies: find out which before you start again"
                    );
                    ledger.contradict();
                    return;
                }
                match asked_now.and_then(|asked| cosigned(&published, asked)) {
                    Some(cosigned) => {
                        asked = Some((published.number, Instant::now()));
                        pause = LOOK;
                        told.tell(cosigned);
                    }
                    None => pause = PAUSE_MAX.min(pause.saturating_mul(2)),
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
    pub fn newest(&self) -> Option<Arc<Published>> {
        let cosigned = self.newest.cosigned.lock();
        cosigned.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blocks until a cosigned checkpoint covers `position`, or `end`; whether one does.
    #[must_use]
    pub(crate) fn wait_for(&self, position: u64, end: Instant) -> bool {
        let covers = |held: &Option<Arc<Published>>| {
            let size = |p: &Arc<Published>| p.checkpoint.unverified().size();
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
    fn tell(&self, cosigned: Published) {
        let held = self.cosigned.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(cosigned));
        self.changed.notify_all();
    }
}

/// What the witnesses say.
fn ask_all(
    client: &Client,
    published: &Published,
    ask: Ask,
    proofs: &Arc<dyn Proofs>,
) -> Option<Asked> {
    match client.ask(&published.checkpoint, ask, proofs) {
        Ok(asked) => Some(asked),
        Err(error) => {
            tracing::error!(cause = crate::chain_of(&error), "witnesses cannot be asked");
            None
        }
    }
}

/// The witness that has seen what a log of `size` entries cannot have shown it.
fn contradiction(asked: &Asked, size: u64) -> Option<String> {
    let another = |outcome: &Outcome| match outcome {
        Outcome::SplitView { .. } => true,
        Outcome::Ahead { size: seen } => *seen > size,
        _ => false,
    };
    let found = asked.outcomes.iter().find(|(_, outcome)| another(outcome));
    found.map(|(witness, _)| witness.name().to_string())
}

/// The checkpoint with its cosignatures, if there are enough.
fn cosigned(published: &Published, asked: Asked) -> Option<Published> {
    if !asked.quorum {
        for (witness, outcome) in &asked.outcomes {
            tracing::warn!("witness `{}`: {outcome:?}", witness.name());
        }
        return None;
    }
    let mut cosigned = published.clone();
    for line in asked.cosignatures {
        // A note holds as many signatures as there may be witnesses; one more is left out.
        if let Err(error) = cosigned.checkpoint.note_mut().add(line) {
            tracing::warn!(cause = crate::chain_of(&error), "a cosignature is left out");
        }
    }
    Some(cosigned)
}
