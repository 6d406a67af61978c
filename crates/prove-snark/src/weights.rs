//! Commits to a model's weights, once for all its proofs, and proves what they add to one.
//!
//! ```text
//! Model ─▶ all matrices in one polynomial ─commit─▶ Committed;  program, public parameters, bounds, commitment ─▶ card
//! claims about the weights ─▶ one sum ─sumcheck─▶ the committed weights at one point ─▶ its opening
//! ```
//!
//! The same model gives the same card on every machine. It deliberately signs nothing: who vouches for a card is for others to say.

use std::sync::Arc;

use credence_base::domain;
use credence_base::json::JsonError;
use credence_base::wire::WireError;
use credence_commit::{OpeningError, opening, tree};
use credence_exact::NodeId;
use credence_method_snark::pcs::{Params, ParamsError};
use credence_method_snark::weights::{
    Block, Card, CardError, CardParts, Layout, WEIGHTS_SECURITY, WeightsId, public_ranges,
};
use credence_method_snark::{F, Known as _};
use credence_model::{Interval, Model, program_bytes};

use crate::pcs::{CommitError, Committed, commit, kept_bytes};

/// Each tensor of a model's tree begins at a multiple of this.
const PARAM_ALIGN: usize = 64;

/// A model's weights, committed to, with their card.
#[derive(Debug)]
pub struct Weights {
    card: Arc<Card>,
    bytes: Vec<u8>,
    committed: Committed,
}

/// Why weights are not committed to.
#[derive(Debug, thiserror::Error)]
pub enum WeightsCommitError {
    /// More weights than can be committed to.
    #[error("the model's weights are more than can be committed to")]
    Params(#[from] ParamsError),
    /// They are not as many as the parameters say.
    #[error("the model's weights cannot be committed to")]
    Commit(#[from] CommitError),
    /// The program has no canonical JSON.
    #[error("the model's program cannot be written")]
    Json(#[from] JsonError),
    /// The public parameters cannot be shown.
    #[error("the model's public parameters cannot be shown under its id")]
    Opening(#[from] OpeningError),
    /// Too much for a card.
    #[error("the model's card cannot be written")]
    Wire(#[from] WireError),
    /// The model has no card.
    #[error("the model has no card of weights")]
    Card(#[from] CardError),
}

impl Weights {
    /// Commits to the weights of a model. Takes as long as committing to that many values does, and [`Self::memory_bytes`].
    ///
    /// # Errors
    /// [`WeightsCommitError`]: the model has no matrices, or too large ones.
    pub fn commit(model: &Model) -> Result<Self, WeightsCommitError> {
        let layout = Layout::new(model.program()).ok_or(CardError::NoWeights)?;
        let params = Params::new(layout.log_len(), WEIGHTS_SECURITY)?;
        let committed = commit(&params, values(model, &layout))?;
        let program = program_bytes(model.program().spec())?;
        let content = content(model);
        let ranges = public_ranges(model.program()).map(|(ranges, _)| ranges);
        let ranges = ranges.unwrap_or_default();
        let public = if ranges.is_empty() {
            None
        } else {
            Some(opening::open(domain::WEIGHTS, &content, &ranges)?)
        };
        let nodes = 0_u32..u32::try_from(model.program().spec().nodes.len()).unwrap_or(0);
        let bounds: Vec<Interval> = nodes.filter_map(|id| model.bounds(NodeId(id))).collect();
        let parts = CardParts {
            program: &program,
            weights_len: u64::try_from(content.len()).unwrap_or(u64::MAX),
            weights_root: &tree::root(domain::WEIGHTS, &content),
            public: public.as_ref(),
            bounds: &bounds,
            commitment: (&params, committed.commitment()),
        };
        let bytes = parts.encode()?;
        let card = Card::decode(model.id(), WeightsId::of(&bytes), &bytes)?;
        Ok(Self {
            card: Arc::new(card),
            bytes,
            committed,
        })
    }

    /// The card.
    #[must_use]
    pub const fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// Its bytes.
    #[must_use]
    pub fn card_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> WeightsId {
        self.card
            .weights()
            .unwrap_or_else(|| WeightsId::of(&self.bytes))
    }

    /// The commitment, with what opens it.
    #[must_use]
    pub const fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Bytes of memory that the commitment to a model's weights takes for as long as it is kept; 0 if there is none.
    #[must_use]
    pub fn memory_bytes(model: &Model) -> u64 {
        let params = Layout::new(model.program())
            .and_then(|layout| Params::new(layout.log_len(), WEIGHTS_SECURITY).ok());
        params.map_or(0, |params| kept_bytes(&params))
    }
}

/// All matrices, filled up with zeros.
fn values(model: &Model, layout: &Layout) -> Vec<F> {
    let mut values = vec![F::ZERO; 1 << layout.log_len()];
    for block in layout.blocks() {
        let Block {
            param,
            columns,
            log_columns,
            log_rows,
            start,
            ..
        } = *block;
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let own = values.get_mut(start..start + (1 << (log_rows + log_columns)));
        let rows = own.unwrap_or_default().chunks_mut(1 << log_columns);
        let Some(view) = model.param(param) else {
            continue;
        };
        for (row, bytes) in rows.zip(view.bytes().chunks(columns.max(1))) {
            for (value, byte) in row.iter_mut().zip(bytes) {
                *value = F::from_i64(i8::from_le_bytes([*byte]).into());
            }
        }
    }
    values
}

/// The content of the model's tree of weights (`trace.md`, section 4).
fn content(model: &Model) -> Vec<u8> {
    let mut content = Vec::new();
    for bytes in model.params() {
        content.extend_from_slice(bytes);
        content.resize(content.len().next_multiple_of(PARAM_ALIGN), 0);
    }
    content
}
