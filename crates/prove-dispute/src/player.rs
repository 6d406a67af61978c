//! A party's model, and a claim's request run again on it.
//!
//! It deliberately does not ask whether the run is the claim's: a challenger plays because it is not.

use std::sync::Arc;

use credence_base::json::JsonError;
use credence_base::wire::WireError;
use credence_claim::{Case, MethodError};
use credence_commit::blocks::BlocksError;
use credence_exec::{Append, Engine, Options, PlanError, RunError, SessionError};
use credence_method_spot::{CONTENT_BYTES_MAX, Card, CardError, CardParts, Subject, Tree, root_of};
use credence_model::{Model, TensorLimits, Tensors, program_bytes};

/// Bytes at a multiple of which a parameter begins in the tree of weights.
const PARAM_ALIGN: usize = 64;

/// The contents of a trace's sections by kind, empty where there is none.
pub type Sections = [Vec<u8>; 4];

/// Why a party cannot play.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The model cannot be run on this machine.
    #[error("the model cannot be run on this machine")]
    Plan(#[from] PlanError),
    /// The program cannot be written.
    #[error("the program cannot be written")]
    Json(#[from] JsonError),
    /// The model's card cannot be made.
    #[error("the model's card cannot be made")]
    Card(#[from] CardError),
    /// Something is too long to be written.
    #[error("the message cannot be written")]
    Wire(#[from] WireError),
    /// The claim is of another model.
    #[error("the claim is of another model than the one at hand")]
    Model,
    /// The claim cannot be read, or contradicts itself: opened, it loses by that alone.
    #[error("the claim cannot be run again")]
    Claim(#[source] MethodError),
    /// A tensor model's request is refused.
    #[error("the request cannot be run again")]
    Run(#[from] RunError),
    /// A language model's tokens are refused.
    #[error("the tokens cannot be run again")]
    Session(#[from] SessionError),
    /// The session kept nothing, which one that records does.
    #[error("the run was not recorded; please report this")]
    NotRecorded,
    /// The claim's contents or salts are not at hand.
    #[error("the claim's contents and salts are not all at hand: an operator must open them")]
    Openings,
    /// The run at hand is shorter than the claim's.
    #[error("the run at hand ends before what is asked for: it is not of this claim's length")]
    Short,
    /// Bytes cannot be opened.
    #[error("{tree:?} cannot be opened")]
    Open {
        /// Which tree.
        tree: Tree,
        /// Why.
        #[source]
        source: BlocksError,
    },
}

/// A model, ready to be disputed about.
pub struct Player {
    engine: Engine,
    card: Card,
    card_bytes: Vec<u8>,
    weights: Vec<u8>,
}

impl core::fmt::Debug for Player {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Player({})", self.card.id())
    }
}

/// The tree of weights: every parameter, filled up.
fn weights(model: &Model) -> Vec<u8> {
    let mut all = Vec::new();
    for bytes in model.params() {
        all.extend_from_slice(bytes);
        all.resize(all.len().next_multiple_of(PARAM_ALIGN), 0);
    }
    all
}

impl Player {
    /// Prepares a model: copies its weights into the order of their tree and hashes them.
    ///
    /// # Errors
    /// [`PlayError`] if it cannot be run here.
    pub fn new(model: &Arc<Model>, options: Options) -> Result<Self, PlayError> {
        let engine = Engine::new(Arc::clone(model), options)?;
        let program = program_bytes(model.program().spec())?;
        let weights = weights(model);
        let parts = CardParts {
            program: &program,
            weights_len: u64::try_from(weights.len()).unwrap_or(u64::MAX),
            weights_root: &root_of(Tree::Weights, &weights),
            text: None,
        };
        let card_bytes = parts.encode()?;
        let card = Card::decode(model.id(), &card_bytes)?;
        Ok(Self {
            engine,
            card,
            card_bytes,
            weights,
        })
    }

    /// The model's card, without its text.
    #[must_use]
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// The same as bytes, for a referee.
    #[must_use]
    pub fn card_bytes(&self) -> &[u8] {
        &self.card_bytes
    }

    /// The bytes of the tree of weights.
    #[must_use]
    pub fn weights(&self) -> &[u8] {
        &self.weights
    }

    /// Runs a claim's request again, on the tokens that it claims.
    ///
    /// # Errors
    /// [`PlayError`] if the claim is of another model, or has no sense.
    pub fn rerun(&self, case: &Case<'_>) -> Result<Sections, PlayError> {
        if case.claim().fields().model != self.card.id() {
            return Err(PlayError::Model);
        }
        let subject = Subject::read(&self.card, case).map_err(PlayError::Claim)?;
        let Some((tokens, sampled)) = subject.tokens() else {
            let input = case.input().map_err(PlayError::Claim)?;
            let limits = TensorLimits {
                bytes_max: CONTENT_BYTES_MAX,
            };
            let inputs = Tensors::decode(input, limits).map_err(RunError::from)?;
            let bytes = self.engine.run(&inputs)?.trace.bytes().to_vec();
            return Ok([bytes, Vec::new(), Vec::new(), Vec::new()]);
        };
        let mut session = self.engine.recording_session()?;
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled,
        }];
        self.engine.advance(&mut appends, &mut |_, _, _| {})?;
        session.sections().ok_or(PlayError::NotRecorded)
    }
}
