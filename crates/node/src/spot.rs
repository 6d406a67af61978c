//! Spot checks of what this server answered: a run is made again, and a few cells of it are opened.
//!
//! ```text
//! an auditor's challenge, a receipt's key ─▶ Spots::answer ─▶ evidence       any number of times, for any receipt that is kept
//! serve --spot ─────────────────────────────▶ Spots::attach ─▶ the bundle with evidence for a challenge of its own
//! ```
//!
//! Nothing of a run is kept for this. What is opened shows activations, and so the prompt: it goes to whoever has the receipt's key. One auditor
//! is answered at a time, and what is attached is made as answers are closed, which bounds memory: a run of a model of 135 million parameters takes some 0.7 MB
//! for each position, and its weights a second time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use credence_base::ModelId;
use credence_claim::{Case, Evidence, MethodError, MethodId, OpeningsError};
use credence_exec::Options;
use credence_method_spot::{Challenge, Demand, DemandError, EVIDENCE_VERSION};
use credence_model::Model;
use credence_prove_spot::{Carry, Opener, ProveError};
use credence_receipt::{Bundle, BundleError, OpenError, Statement};

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

/// Models whose runs can be opened.
pub struct Spots {
    models: BTreeMap<ModelId, (Arc<Model>, Options)>,
    /// The openers that were needed so far.
    openers: Mutex<BTreeMap<ModelId, Arc<Opener>>>,
    /// Held while an auditor is answered. What this server attaches to its own receipts does not wait for auditors.
    auditor: Mutex<()>,
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
        self.open(bundle, asked)
    }

    /// Whether an auditor would be told to come again.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.auditor.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn open(&self, bundle: &Bundle, asked: &SpotAsked) -> Result<Vec<u8>, SpotError> {
        let Statement::Inference(inference) = bundle.receipt().open()?.into_statement() else {
            return Err(SpotError::Kind);
        };
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
