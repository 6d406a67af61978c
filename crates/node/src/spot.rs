//! Spot checks of what this server answered: a run is made again, and a few cells of it are opened.
//!
//! ```text
//! an auditor's challenge, a receipt's key ─▶ Spots::answer ─▶ evidence       any number of times, for any receipt that is kept
//! serve --spot ─────────────────────────────▶ Spots::attach ─▶ the bundle with evidence for a challenge of its own
//! ```
//!
//! What is opened shows activations, and so the prompt: it goes to whoever has the receipt's key. One auditor is answered at a time, and what is attached is made as
//! answers are closed, which bounds memory: a run of a model of 135 million parameters takes some 0.7 MB for each position, and its weights a second time. The last run that
//! was audited is kept for some minutes after it was last asked for, if it is not too large: so any number of audits of one receipt in that time costs one run.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use credence_base::{ClaimDigest, ModelId};
use credence_claim::{Case, Evidence, MethodError, MethodId, OpeningsError};
use credence_exec::Options;
use credence_method_spot::{Challenge, Demand, DemandError, EVIDENCE_VERSION};
use credence_model::Model;
use credence_prove_spot::{Carry, Opener, ProveError, Rerun};
use credence_receipt::{Bundle, BundleError, Inference, OpenError, Statement};

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum SpotError {
    /// The model is not hosted here any more.
    #[error("model {0} is not hosted here")]
    Model(ModelId),
    /// Another run is being opened.
    #[error("another run is being opened; try again")]
    Busy,
    /// The receipt cannot be read.
    #[error("the receipt cannot be read")]
    Open(#[from] OpenError),
    /// It is a statement about something else.
    #[error("the receipt is not of an inference")]
    Kind,
    /// The bundle opens something else than was claimed.
    #[error("the bundle contradicts the claim")]
    Openings(#[from] OpeningsError),
    /// The run cannot be made again or opened.
    #[error("the run cannot be opened")]
    Prove(#[from] ProveError),
    /// The demand cannot be met.
    #[error("the demand cannot be met")]
    Demand(#[from] DemandError),
    /// The bundle cannot be put together.
    #[error("the bundle cannot be put together")]
    Bundle(#[from] BundleError),
}

/// What an auditor asks for.
#[derive(Debug, Clone)]
pub struct SpotAsked {
    /// Whence the draws come.
    pub challenge: Challenge,
    /// Cells to draw.
    pub cells: u32,
    /// Tokens to draw again.
    pub rows: u32,
    /// What of the model travels along.
    pub carry: Carry,
}

fn inference(bundle: &Bundle) -> Result<Inference, SpotError> {
    match bundle.receipt().open()?.into_statement() {
        Statement::Inference(inference) => Ok(inference),
        Statement::Key(_)
        | Statement::Equivocation(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_) => Err(SpotError::Kind),
    }
}

/// Models whose runs can be opened.
pub struct Spots {
    models: BTreeMap<ModelId, (Arc<Model>, Options)>,
    /// The openers that were needed so far.
    openers: Mutex<BTreeMap<ModelId, Arc<Opener>>>,
    /// Held while an auditor is answered. What this server attaches to its own receipts does not wait for auditors.
    auditor: Mutex<()>,
    /// The last run that was audited.
    kept: Arc<Mutex<Place>>,
    /// Runs made again for auditors so far.
    reruns: AtomicU64,
    keeping: Keeping,
}

/// How long a run is kept after it was last asked for, and how large it may be.
#[derive(Debug, Clone, Copy)]
struct Keeping {
    idle_max: Duration,
    bytes_max: usize,
}

/// Ten minutes, and half a gigabyte: 730 tokens of a model of 135 million parameters.
const KEEPING: Keeping = Keeping {
    idle_max: Duration::from_secs(600),
    bytes_max: 512 << 20,
};

/// A run that is kept.
struct Kept {
    rerun: Arc<Rerun<Arc<Opener>>>,
    asked: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a run is kept.
#[derive(Default)]
struct Place {
    kept: Option<Kept>,
    /// Whether a thread waits to let go of it.
    is_watched: bool,
}

/// Waits on a thread of its own until nobody has asked for the run for long enough, and lets go of it.
fn forget_later(place: &Arc<Mutex<Place>>, idle_max: Duration) -> std::io::Result<()> {
    let place: Weak<Mutex<Place>> = Arc::downgrade(place);
    let forget = move || {
        let mut wait = idle_max;
        loop {
            std::thread::sleep(wait);
            let Some(place) = place.upgrade() else {
                return;
            };
            let mut place = lock(&place);
            let idle = place.kept.as_ref().map(|kept| kept.asked.elapsed());
            match idle {
                Some(idle) if idle < idle_max => wait = idle_max.saturating_sub(idle),
                Some(_) | None => {
                    *place = Place::default();
                    return;
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("credence-spots".to_owned());
    thread.spawn(forget).map(|_| ())
}

fn inference(bundle: &Bundle) -> Result<Inference, SpotError> {
    match bundle.receipt().open()?.into_statement() {
        Statement::Inference(inference) => Ok(inference),
        Statement::Key(_)
        | Statement::Equivocation(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_) => Err(SpotError::Kind),
    }
}

/// Models whose runs can be opened.
pub struct Spots {
    models: BTreeMap<ModelId, (Arc<Model>, Options)>,
    /// The openers that were needed so far.
    openers: Mutex<BTreeMap<ModelId, Arc<Opener>>>,
    /// Held while an auditor is answered. What this server attaches to its own receipts does not wait for auditors.
    auditor: Mutex<()>,
    /// The last run that was audited.
    kept: Arc<Mutex<Place>>,
    /// Runs made again for auditors so far.
    reruns: AtomicU64,
    keeping: Keeping,
}

/// How long a run is kept after it was last asked for, and how large it may be.
#[derive(Debug, Clone, Copy)]
struct Keeping {
    idle_max: Duration,
    bytes_max: usize,
}

/// Ten minutes, and half a gigabyte: 730 tokens of a model of 135 million parameters.
const KEEPING: Keeping = Keeping {
    idle_max: Duration::from_secs(600),
    bytes_max: 512 << 20,
};

/// A run that is kept.
struct Kept {
    rerun: Arc<Rerun<Arc<Opener>>>,
    asked: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on a thread of its own until nobody has asked for the run for long enough, and lets go of it.
fn forget_later(kept: &Arc<Mutex<Option<Kept>>>, idle_max: Duration) -> std::io::Result<()> {
    let kept: Weak<Mutex<Option<Kept>>> = Arc::downgrade(kept);
    let forget = move || {
        let mut wait = idle_max;
        loop {
            std::thread::sleep(wait);
            let Some(kept) = kept.upgrade() else {
                return;
            };
            let mut kept = lock(&kept);
            let Some(idle) = kept.as_ref().map(|kept| kept.asked.elapsed()) else {
                return;
            };
            if idle >= idle_max {
                *kept = None;
                return;
            }
            wait = idle_max.saturating_sub(idle);
        }
    };
    let thread = std::thread::Builder::new().name("credence-spots".to_owned());
    thread.spawn(forget).map(|_| ())
}

impl Spots {
    /// Opens runs of these models, each prepared when it is first asked for.
    pub fn new(models: impl Iterator<Item = (Arc<Model>, Options)>) -> Self {
        Self {
            models: models
                .map(|(model, options)| (model.id(), (model, options)))
                .collect(),
            openers: Mutex::default(),
            auditor: Mutex::default(),
            kept: Arc::default(),
            reruns: AtomicU64::new(0),
            keeping: KEEPING,
        }
    }

    /// Answers a challenge about a bundle's claim, unless another one is being answered. Blocks its thread for as long as the run takes.
    ///
    /// # Errors
    /// [`SpotError`], [`SpotError::Busy`] among them.
    pub fn answer(&self, bundle: &Bundle, asked: &SpotAsked) -> Result<Vec<u8>, SpotError> {
        let _turn = match self.auditor.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(SpotError::Busy),
        };
        let inference = inference(bundle)?;
        // Openings that are not the claim's open no run, also one that is kept.
        let case = Case::check(&inference.claim, &inference.operator, bundle.openings())?;
        let rerun = match self.at_hand(&inference.claim.digest()) {
            Some(rerun) => rerun,
            None => self.run_and_keep(&case)?,
        };
        Ok(rerun.prove(&asked.challenge, (asked.cells, asked.rows), asked.carry)?)
    }

    /// How many runs were made again for auditors so far.
    pub fn reruns(&self) -> u64 {
        self.reruns.load(Ordering::Relaxed)
    }

    fn at_hand(&self, claim: &ClaimDigest) -> Option<Arc<Rerun<Arc<Opener>>>> {
        let mut place = lock(&self.kept);
        let own = place.kept.as_mut()?;
        if own.rerun.claim() != *claim || own.asked.elapsed() >= self.keeping.idle_max {
            return None;
        }
        own.asked = Instant::now();
        Some(Arc::clone(&own.rerun))
    }

    fn run_and_keep(&self, case: &Case<'_>) -> Result<Arc<Rerun<Arc<Opener>>>, SpotError> {
        // The one before goes first, so that two are never held.
        lock(&self.kept).kept = None;
        let opener = self.opener(case.claim().fields().model)?;
        let rerun = Arc::new(opener.rerun_kept(case)?);
        self.reruns.fetch_add(1, Ordering::Relaxed);
        if rerun.trace_bytes() <= self.keeping.bytes_max {
            let mut place = lock(&self.kept);
            // What nobody would let go of is not kept.
            if place.is_watched || forget_later(&self.kept, self.keeping.idle_max).is_ok() {
                place.is_watched = true;
                place.kept = Some(Kept {
                    rerun: Arc::clone(&rerun),
                    asked: Instant::now(),
                });
            }
        }
        Ok(rerun)
    }

    /// Whether an auditor would be told to come again.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.auditor.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn open(&self, bundle: &Bundle, asked: &SpotAsked) -> Result<Vec<u8>, SpotError> {
        let inference = inference(bundle)?;
        let case = Case::check(&inference.claim, &inference.operator, bundle.openings())?;
        let opener = self.opener(inference.claim.fields().model)?;
        let rerun = opener.rerun(&case)?;
        Ok(rerun.prove(&asked.challenge, (asked.cells, asked.rows), asked.carry)?)
    }

    fn opener(&self, id: ModelId) -> Result<Arc<Opener>, SpotError> {
        // An opener is whole or not there at all, also after a panic. It is made under the lock, so that it is made once.
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match openers.entry(id) {
            Entry::Occupied(ready) => Arc::clone(ready.get()),
            Entry::Vacant(place) => {
                let (model, options) = self.models.get(&id).ok_or(SpotError::Model(id))?;
                Arc::clone(place.insert(Arc::new(Opener::new(model, *options)?)))
            }
        })
    }

    /// The bundle with evidence that its operator made alone, for `demand`; without, where a spot check cannot say anything of the claim.
    ///
    /// # Errors
    /// [`SpotError`].
    pub(crate) fn attach(&self, bundle: &Bundle, demand: Demand) -> Result<Bundle, SpotError> {
        let asked = SpotAsked {
            challenge: Challenge::Claim,
            cells: demand.cells()?,
            rows: demand.rows,
            carry: Carry::Program,
        };
        let bytes = match self.open(bundle, &asked) {
            Ok(bytes) => bytes,
            // An answer that follows a grammar is for a replay.
            Err(SpotError::Prove(ProveError::Claim(MethodError::Missing(_)))) => {
                return Ok(bundle.clone());
            }
            Err(error) => return Err(error),
        };
        let mut evidence = bundle.evidence().to_vec();
        evidence.push(Evidence {
            method: MethodId::SPOT,
            version: u32::from(EVIDENCE_VERSION),
            bytes,
        });
        let openings = bundle.openings().clone();
        Ok(Bundle::new(bundle.receipt().clone(), openings, evidence)?)
    }
}

#[cfg(test)]
mod tests;
