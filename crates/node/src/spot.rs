//! Spot checks of what this server answered: a run is made again, and a few cells of it are opened.
//!
//! ```text
//! an auditor's challenge, a receipt's key ─▶ Spots::answer ─▶ evidence       any number of times, for any receipt that is kept
//! serve --spot ─────────────────────────────▶ Spots::attach ─▶ the bundle with evidence for a challenge of its own
//! ```
//!
//! Nothing of a run is kept for this. What is opened shows activations, and so the prompt: it goes to whoever has the receipt's key. One run is made
//! again at a time, which bounds memory: a run of a model of 135 million parameters takes some 0.7 MB for each position, and its weights a second time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use credence_base::ModelId;
use credence_claim::{Case, Evidence, MethodId, OpeningsError};
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
    /// The openers that were needed so far. Held while one is used.
    openers: Mutex<BTreeMap<ModelId, Opener>>,
}

impl Spots {
    /// Opens runs of these models, each prepared when it is first asked for.
    pub fn new(models: impl Iterator<Item = (Arc<Model>, Options)>) -> Self {
        Self {
            models: models
                .map(|(model, options)| (model.id(), (model, options)))
                .collect(),
            openers: Mutex::default(),
        }
    }

    /// Answers a challenge about a bundle's claim, unless another one is being answered. Blocks its thread for as long as the run takes.
    ///
    /// # Errors
    /// [`SpotError`], [`SpotError::Busy`] among them.
    pub fn answer(&self, bundle: &Bundle, asked: &SpotAsked) -> Result<Vec<u8>, SpotError> {
        match self.openers.try_lock() {
            Ok(mut openers) => self.open(&mut openers, bundle, asked),
            Err(TryLockError::Poisoned(held)) => self.open(&mut held.into_inner(), bundle, asked),
            Err(TryLockError::WouldBlock) => Err(SpotError::Busy),
        }
    }

    fn open(
        &self,
        openers: &mut BTreeMap<ModelId, Opener>,
        bundle: &Bundle,
        asked: &SpotAsked,
    ) -> Result<Vec<u8>, SpotError> {
        let Statement::Inference(inference) = bundle.receipt().open()?.into_statement() else {
            return Err(SpotError::Kind);
        };
        let id = inference.claim.fields().model;
        let case = Case::check(&inference.claim, &inference.operator, bundle.openings())?;
        let opener = match openers.entry(id) {
            Entry::Occupied(ready) => ready.into_mut(),
            Entry::Vacant(place) => {
                let (model, options) = self.models.get(&id).ok_or(SpotError::Model(id))?;
                place.insert(Opener::new(model, *options)?)
            }
        };
        let rerun = opener.rerun(&case)?;
        Ok(rerun.prove(&asked.challenge, (asked.cells, asked.rows), asked.carry)?)
    }

    /// The bundle with evidence that its operator made alone, for `demand`.
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
        // An opener is whole or not there at all, also after a panic.
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = self.open(&mut openers, bundle, &asked)?;
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
