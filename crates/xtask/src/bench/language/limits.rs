//! What a language model's parts cannot do without: bytes of weights to be read, multiply-adds to be made.

use credence_exact::{Op, ParamId};
use credence_model::{LanguageLayout, Model, Program};

use super::{GENERATE, PROMPT, real};

/// Needs of one token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Multiply-adds of products of every position, attention apart; each weight is one byte and used once.
    pub(crate) products: f64,
    /// The same where a token is drawn: last layer's work and the head.
    pub(crate) drawn: f64,
    /// Multiply-adds of attention for each earlier position.
    pub(crate) attention: f64,
    /// Bytes of keys and values for each earlier position.
    pub(crate) remembered: f64,
}

impl Limits {
    /// Of a model.
    ///
    /// # Errors
    /// It takes tensors.
    pub(crate) fn of(model: &Model) -> Result<Self, String> {
        let program = model.program();
        let layout = program.language().ok_or("not a language model\n")?;
        let mut limits = Self {
            remembered: remembered(program, layout),
            ..Self::default()
        };
        for (id, node, shape) in program.nodes() {
            match &node.op {
                Op::Linear(op) => {
                    let cells = real(shape.cells()) * per_cell(program, op.weight);
                    if layout.is_carried(id) {
                        limits.products += cells;
                    } else {
                        limits.drawn += cells;
                    }
                }
                // Each is a product of its 16-bit vector with one vector for each earlier position.
                Op::Scores(op) => {
                    let q = program.shape(op.q).map_or(0, |shape| shape.cells());
                    limits.attention += real(q);
                }
                Op::Attend(_) => limits.attention += real(shape.cells()),
                _ => {}
            }
        }
        Ok(limits)
    }

    /// Bytes that one decoded token reads, in the middle of the decoded answer.
    pub(crate) fn decode_bytes(&self) -> f64 {
        self.products + self.drawn + self.remembered * real(PROMPT + GENERATE / 2)
    }

    /// Multiply-adds of `tokens` in one pass, logits asked for `drawn` of them.
    pub(crate) fn pass(&self, tokens: usize, drawn: usize) -> f64 {
        let (tokens, drawn) = (real(tokens), real(drawn));
        tokens * self.products + drawn * self.drawn + self.attention * tokens * (tokens + 1.0) / 2.0
    }
}

/// Weights that one output cell of a product reads.
fn per_cell(program: &Program, weight: ParamId) -> f64 {
    let shape = program.param_shape(weight);
    shape.map_or(0.0, |shape| {
        let rows = shape.dims().first().copied().unwrap_or(1);
        real(shape.cells() / rows.max(1))
    })
}

/// Keys and values are 16-bit.
fn remembered(program: &Program, layout: &LanguageLayout) -> f64 {
    let nodes = layout.keys().iter().chain(layout.values());
    let cells = nodes.map(|&node| program.shape(node).map_or(0, |shape| shape.cells()));
    2.0 * real(cells.sum())
}
