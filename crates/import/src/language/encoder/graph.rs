//! The parts of an encoder, and whether they fit together. It reads sizes, vectors and numbers, and deliberately no element of a matrix.

use std::ops::Deref;
use std::sync::Arc;

use crate::language::{Activation, LanguageError, Linear, Norm, Rows};

/// Most of anything that is counted: tokens, elements, positions.
const COUNT_MAX: usize = 1 << 20;
/// Most blocks.
const BLOCKS_MAX: usize = 1 << 10;

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first one's, that of the token that begins a text.
    First,
}

/// One block: `x = norm(x + out(attention(x)))`, then `x = norm(x + down(f(up(x))))`.
#[derive(Clone, Debug)]
pub struct EncoderBlock {
    /// Queries: `width` rows.
    pub q: Linear,
    /// Keys.
    pub k: Linear,
    /// Values.
    pub v: Linear,
    /// From heads back to the width.
    pub out: Linear,
    /// Behind the first sum; with a bias.
    pub attention_norm: Norm,
    /// Into the hidden layer.
    pub up: Linear,
    /// Back from it.
    pub down: Linear,
    /// Behind the second sum; with a bias.
    pub feed_norm: Norm,
}

/// All parts of an encoder, not yet checked.
#[derive(Clone, Debug)]
pub struct EncoderParts {
    /// For people.
    pub name: String,
    /// Tokens there are.
    pub vocabulary: usize,
    /// Elements of a position's vector.
    pub width: usize,
    /// Positions there are.
    pub context: usize,
    /// Heads; a divisor of `width`.
    pub heads: usize,
    /// ε of all norms.
    pub epsilon: f32,
    /// Function of the hidden layer.
    pub activation: Activation,
    /// One row for each token.
    pub embedding: Arc<dyn Rows>,
    /// One row for each position.
    pub positions: Arc<dyn Rows>,
    /// Added at every position: the embedding of the first kind of text.
    pub kind: Vec<f32>,
    /// Behind the embeddings.
    pub embedding_norm: Norm,
    /// In order.
    pub blocks: Vec<EncoderBlock>,
    /// How vectors become one.
    pub pooling: Pooling,
    /// Whether the one is brought to length 1.
    pub normalised: bool,
    /// Canonical bytes of the text specification.
    pub text: Vec<u8>,
}

/// An encoder whose parts fit together: every matrix and vector has the shape that the sizes ask for; vectors and numbers are finite.
#[derive(Clone, Debug)]
pub struct EncoderGraph(EncoderParts);

impl EncoderGraph {
    /// Checks the parts.
    ///
    /// # Errors
    /// [`LanguageError`], naming the first part that does not fit.
    pub fn new(parts: EncoderParts) -> Result<Self, LanguageError> {
        sizes(&parts)?;
        let EncoderParts {
            width,
            vocabulary,
            context,
            ..
        } = parts;
        matrix("the embedding", &*parts.embedding, (vocabulary, width))?;
        matrix("the positions", &*parts.positions, (context, width))?;
        vector("the embedding of kinds", &parts.kind, width)?;
        norm("the norm of embeddings", &parts.embedding_norm, width)?;
        for (number, block) in parts.blocks.iter().enumerate() {
            self::block(number, block, width)?;
        }
        Ok(Self(parts))
    }

    /// Elements of one head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.0.width / self.0.heads
    }

    /// Cells of the hidden layer.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.0.blocks.first().map_or(1, |b| b.up.weight.rows())
    }
}

impl Deref for EncoderGraph {
    type Target = EncoderParts;

    fn deref(&self) -> &EncoderParts {
        &self.0
    }
}

fn size(what: &'static str, got: usize, max: usize) -> Result<(), LanguageError> {
    if (1..=max).contains(&got) {
        return Ok(());
    }
    let min = 1;
    Err(LanguageError::Size {
        what,
        min,
        max,
        got,
    })
}

fn sizes(parts: &EncoderParts) -> Result<(), LanguageError> {
    size("vocabulary", parts.vocabulary, COUNT_MAX)?;
    size("width", parts.width, COUNT_MAX)?;
    size("context", parts.context, COUNT_MAX)?;
    size("number of heads", parts.heads, parts.width)?;
    size("number of blocks", parts.blocks.len(), BLOCKS_MAX)?;
    if !parts.width.is_multiple_of(parts.heads) {
        return Err(LanguageError::Multiple {
            what: "width",
            of: parts.heads,
            got: parts.width,
        });
    }
    if parts.epsilon.is_finite() && parts.epsilon > 0.0 {
        return Ok(());
    }
    Err(LanguageError::Number {
        what: "epsilon of norms",
        got: parts.epsilon,
    })
}

fn matrix(
    part: &str,
    got: &dyn Rows,
    (rows, columns): (usize, usize),
) -> Result<(), LanguageError> {
    if (got.rows(), got.columns()) == (rows, columns) {
        return Ok(());
    }
    Err(LanguageError::Shape {
        part: part.to_owned(),
        rows,
        columns,
        got_rows: got.rows(),
        got_columns: got.columns(),
    })
}

fn vector(part: &str, got: &[f32], expected: usize) -> Result<(), LanguageError> {
    if got.len() != expected {
        return Err(LanguageError::Length {
            part: part.to_owned(),
            expected,
            got: got.len(),
        });
    }
    match got.iter().enumerate().find(|(_, x)| !x.is_finite()) {
        None => Ok(()),
        Some((element, &got)) => Err(LanguageError::NotFinite {
            part: part.to_owned(),
            element,
            got,
        }),
    }
}

fn norm(part: &str, norm: &Norm, width: usize) -> Result<(), LanguageError> {
    vector(&format!("{part}, gain"), &norm.gain, width)?;
    match &norm.bias {
        Some(bias) => vector(&format!("{part}, bias"), bias, width),
        None => Ok(()),
    }
}

fn linear(
    part: &str,
    linear: &Linear,
    (rows, columns): (usize, usize),
) -> Result<(), LanguageError> {
    matrix(part, &*linear.weight, (rows, columns))?;
    match &linear.bias {
        Some(bias) => vector(&format!("{part}, bias"), bias, rows),
        None => Ok(()),
    }
}

fn block(number: usize, block: &EncoderBlock, width: usize) -> Result<(), LanguageError> {
    let name = |part: &str| format!("block {number}, {part}");
    for (part, product) in [
        ("queries", &block.q),
        ("keys", &block.k),
        ("values", &block.v),
        ("output", &block.out),
    ] {
        linear(&name(part), product, (width, width))?;
    }
    let hidden = block.up.weight.rows();
    size("hidden layer", hidden, COUNT_MAX)?;
    linear(&name("up"), &block.up, (hidden, width))?;
    linear(&name("down"), &block.down, (width, hidden))?;
    norm(&name("norm behind attention"), &block.attention_norm, width)?;
    norm(
        &name("norm behind the hidden layer"),
        &block.feed_norm,
        width,
    )
}
