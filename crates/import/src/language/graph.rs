//! A language model as floats, free of any file format's quirks: sizes, matrices, and what each block does with them.
//!
//! One shape covers the decoders this version knows: a residual stream of one width; blocks of causal attention and a feed-forward part, each
//! after a norm and, in some families, before another; rotated or learned positions. Rotations are in `halves` order: element i of a head pairs
//! with element i + dims/2, whatever the file had.
//!
//! [`LanguageParts`] is what a format fills in; [`LanguageGraph`] is the same after [`LanguageGraph::new`] has found that it fits together, and
//! cannot be changed. Deliberately absent: experts, cross-attention, biases on the head, integers of the program to come.

use std::ops::Deref;
use std::sync::Arc;

use super::graph_check;
use super::graph_error::LanguageError;
use super::graph_rows::Rows;
use super::graph_text::TextSource;

/// How vectors are normalised before their gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / sqrt(mean(x²) + ε)`.
    Rms,
    /// `(x − mean(x)) / sqrt(var(x) + ε)`.
    Layer,
}

/// The gain and bias of one norm; which kind it is says the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Factors, one for each element.
    pub gain: Vec<f32>,
    /// Added after the gain.
    pub bias: Option<Vec<f32>>,
}

/// `W·x + b`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// W: one row for each output.
    pub weight: Arc<dyn Rows>,
    /// b.
    pub bias: Option<Vec<f32>>,
}

/// One way of rotating queries and keys: pair i at position p turns by `p / linear · base^(−2i/dims) / factors[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub base: f32,
    /// Elements of a head that turn: an even number, the first ones.
    pub dims: usize,
    /// What each frequency is divided by: `dims / 2` numbers, or none if all are 1.
    pub factors: Option<Vec<f32>>,
    /// What positions are divided by.
    pub linear: f32,
}

/// How a model knows positions.
#[derive(Clone, Debug)]
pub enum Position {
    /// Queries and keys are rotated; blocks say by which of these.
    Rope(Vec<Rope>),
    /// A row of this matrix is added to the embedding: as many rows as the context has positions.
    Learned(Arc<dyn Rows>),
}

/// The function inside the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU in its approximation by tanh.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
}

/// The attention of one block.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Before the products.
    pub norm: Norm,
    /// Queries: `heads · head_width` rows.
    pub q: Linear,
    /// Keys: `kv_heads · head_width` rows.
    pub k: Linear,
    /// Values: as many rows as keys.
    pub v: Linear,
    /// From heads back to the residual stream.
    pub out: Linear,
    /// Gain of an RMS norm of each head's query, before it is rotated.
    pub q_norm: Option<Vec<f32>>,
    /// Gain of an RMS norm of each head's key, before it is rotated.
    pub k_norm: Option<Vec<f32>>,
    /// Of the result, before it is added to the residual stream.
    pub post_norm: Option<Norm>,
    /// Positions a query sees, itself among them; all up to itself if there is no window.
    pub window: Option<usize>,
    /// Which of the model's rotations; 0 where positions are learned.
    pub rope: usize,
}

/// The feed-forward part of one block: `down(f(gate) · up)`, or `down(f(up))` if there is no gate.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Before the products.
    pub norm: Norm,
    /// What goes through the activation, if gated.
    pub gate: Option<Linear>,
    /// The other factor.
    pub up: Linear,
    /// Back to the residual stream.
    pub down: Linear,
    /// Of the result, before it is added to the residual stream.
    pub post_norm: Option<Norm>,
}

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    /// First half.
    pub attention: Attention,
    /// Second half.
    pub feed: Feed,
}

/// What turns the last vector into logits.
#[derive(Clone, Debug)]
pub enum Head {
    /// The embedding matrix again, without its scale.
    Tied,
    /// A matrix of its own.
    Own(Arc<dyn Rows>),
}

/// `c · tanh(x / c)`, where there is a c.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softcaps {
    /// On scores before the softmax.
    pub attention: Option<f32>,
    /// On logits.
    pub logits: Option<f32>,
}

/// All parts of a language model, not yet checked.
#[derive(Clone, Debug)]
pub struct LanguageParts {
    /// For people.
    pub name: String,
    /// Tokens there are.
    pub vocabulary: usize,
    /// Elements of the residual stream.
    pub width: usize,
    /// Positions the model was trained on.
    pub context: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; a divisor of `heads`.
    pub kv_heads: usize,
    /// Elements of one head.
    pub head_width: usize,
    /// What scores are multiplied by.
    pub attention_scale: f32,
    /// Kind of all norms but those of queries and keys.
    pub norm: NormKind,
    /// ε of all norms.
    pub epsilon: f32,
    /// Positions.
    pub position: Position,
    /// Activation of all blocks.
    pub activation: Activation,
    /// Whether the feed-forward parts have gates.
    pub gated: bool,
    /// One row for each token.
    pub embedding: Arc<dyn Rows>,
    /// What embeddings are multiplied by.
    pub embedding_scale: f32,
    /// In order.
    pub blocks: Vec<Block>,
    /// Before the head.
    pub final_norm: Norm,
    /// The head.
    pub head: Head,
    /// Soft limits.
    pub softcaps: Softcaps,
    /// The tokenizer's data.
    pub text: TextSource,
}

/// A language model whose parts fit together: every matrix and vector has the shape the sizes ask for, vectors and numbers are finite, ids are
/// those of tokens. Elements of matrices are not looked at.
#[derive(Clone, Debug)]
pub struct LanguageGraph(LanguageParts);

impl LanguageGraph {
    /// Checks the parts.
    ///
    /// # Errors
    /// [`LanguageError`], naming the first part that does not fit.
    pub fn new(parts: LanguageParts) -> Result<Self, LanguageError> {
        graph_check::check(&parts)?;
        Ok(Self(parts))
    }

    /// The head's matrix, tied or not.
    #[must_use]
    pub fn head_matrix(&self) -> &dyn Rows {
        match &self.0.head {
            Head::Tied => &*self.0.embedding,
            Head::Own(matrix) => &**matrix,
        }
    }

    /// The parts, to be changed and checked anew.
    #[must_use]
    pub fn into_parts(self) -> LanguageParts {
        self.0
    }
}

impl Deref for LanguageGraph {
    type Target = LanguageParts;

    fn deref(&self) -> &LanguageParts {
        &self.0
    }
}
