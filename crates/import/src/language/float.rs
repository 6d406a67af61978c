//! The float run of a language model: what the fidelity of an integer program is measured against.
//!
//! ```text
//! tokens ─▶ embedding ─▶ blocks, all tokens at once ─▶ final norm ─▶ head at the chosen positions ─▶ logits
//! ```
//!
//! Arithmetic is f32 with sums in short runs. Each row of a matrix is made in f32 once per call and meets all tokens, so long calls are cheap per
//! token. Results may differ in the last bits from one platform to another (exponentials are the platform's): nothing of them reaches a model's bytes.
//! Deliberately absent: a cache between calls, batches of several texts, sampling.

use rayon::prelude::*;

use super::float_attention::{Shape, Turns, attend};
use super::float_kernel::{Sheet, product};
use super::graph::{
    Activation, Attention, Block, Feed, LanguageGraph, Linear, Norm, NormKind, Position,
};
use super::graph_rows::Rows;

/// Positions whose logits are made at once, which bounds the memory that a call takes beside its result.
const POSITIONS_PER_PASS: usize = 64;

/// Why a run gave no logits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FloatError {
    /// Nothing to run.
    #[error("a run needs at least one token")]
    Empty,
    /// More tokens than the model knows positions.
    #[error("the model was trained on {max} positions, but the run has {got}: shorten it")]
    TooLong {
        /// Positions the model has.
        max: usize,
        /// Tokens given.
        got: usize,
    },
    /// A token that the model does not have.
    #[error("token {index} is {got}, but the model has {count}")]
    Token {
        /// Which token of the run.
        index: usize,
        /// The token.
        got: u32,
        /// Tokens the model has.
        count: usize,
    },
    /// Logits asked for where there is no token.
    #[error("logits are asked for at position {got}, but the run has {count}")]
    Position {
        /// The position.
        got: usize,
        /// Tokens of the run.
        count: usize,
    },
    /// The model overflows, or its weights are not finite.
    #[error(
        "the logits at position {position} are not finite: the model overflows on these tokens, or holds NaN"
    )]
    NotFinite {
        /// The position.
        position: usize,
    },
}

/// Runs one model.
#[derive(Clone, Copy, Debug)]
pub struct FloatRun<'a> {
    graph: &'a LanguageGraph,
}

impl<'a> FloatRun<'a> {
    /// Runs of this model.
    #[must_use]
    pub const fn new(graph: &'a LanguageGraph) -> Self {
        Self { graph }
    }

    /// Logits after the tokens at `positions` (from 0, in any order), one vector as long as the vocabulary for each. All tokens run at once, on the
    /// threads of the rayon pool that the caller is in.
    ///
    /// # Errors
    /// [`FloatError`], naming the token or position.
    pub fn logits(&self, tokens: &[u32], positions: &[usize]) -> Result<Vec<Vec<f32>>, FloatError> {
        let rows = self.check(tokens, positions)?;
        let mut stream = self.embed(&rows);
        let turns = self.turns(rows.len());
        for block in &self.graph.blocks {
            self.block(block, &turns, &mut stream);
        }
        let mut logits = Vec::with_capacity(positions.len());
        for some in positions.chunks(POSITIONS_PER_PASS) {
            self.head(&stream, some, &mut logits)?;
        }
        Ok(logits)
    }

    fn check(&self, tokens: &[u32], positions: &[usize]) -> Result<Vec<usize>, FloatError> {
        let graph = self.graph;
        if tokens.is_empty() {
            return Err(FloatError::Empty);
        }
        if tokens.len() > graph.context {
            return Err(FloatError::TooLong {
                max: graph.context,
                got: tokens.len(),
            });
        }
        if let Some(&got) = positions.iter().find(|&&p| p >= tokens.len()) {
            let count = tokens.len();
            return Err(FloatError::Position { got, count });
        }
        let row = |(index, &got): (usize, &u32)| {
            let row = usize::try_from(got).ok();
            row.filter(|&row| row < graph.vocabulary)
                .ok_or(FloatError::Token {
                    index,
                    got,
                    count: graph.vocabulary,
                })
        };
        tokens.iter().enumerate().map(row).collect()
    }

    fn embed(&self, rows: &[usize]) -> Sheet {
        let graph = self.graph;
        let mut stream = Sheet::new(graph.width, rows.len());
        let mut values = vec![0.0; graph.width];
        let mut place = vec![0.0; graph.width];
        for (position, &row) in rows.iter().enumerate() {
            graph.embedding.read(row, &mut values);
            for value in &mut values {
                *value *= graph.embedding_scale;
            }
            if let Position::Learned(table) = &graph.position {
                table.read(position, &mut place);
                for (value, add) in values.iter_mut().zip(&place) {
                    *value += add;
                }
            }
            stream.set_column(position, &values);
        }
        stream
    }

    fn turns(&self, tokens: usize) -> Vec<Turns> {
        match &self.graph.position {
            Position::Rope(ropes) => ropes.iter().map(|rope| Turns::new(rope, tokens)).collect(),
            Position::Learned(_) => Vec::new(),
        }
    }

    fn block(&self, block: &Block, turns: &[Turns], stream: &mut Sheet) {
        let attended = self.attention(&block.attention, turns, stream);
        stream.add(&attended);
        let fed = self.feed(&block.feed, stream);
        stream.add(&fed);
    }

    fn attention(&self, attention: &Attention, turns: &[Turns], stream: &Sheet) -> Sheet {
        let graph = self.graph;
        let x = self.norm(&attention.norm, stream);
        let mut q = linear(&attention.q, &x);
        let mut k = linear(&attention.k, &x);
        let v = linear(&attention.v, &x);
        for (sheet, gain) in [(&mut q, &attention.q_norm), (&mut k, &attention.k_norm)] {
            if let Some(gain) = gain {
                head_norm(sheet, gain, graph.epsilon);
            }
            if let Some(turns) = turns.get(attention.rope) {
                turns.apply(sheet, graph.head_width);
            }
        }
        let shape = Shape {
            heads: graph.heads,
            kv_heads: graph.kv_heads,
            head_width: graph.head_width,
            scale: graph.attention_scale,
            softcap: graph.softcaps.attention,
            window: attention.window,
        };
        let out = linear(&attention.out, &attend(&q, &k, &v, shape));
        self.maybe_norm(attention.post_norm.as_ref(), out)
    }

    fn feed(&self, feed: &Feed, stream: &Sheet) -> Sheet {
        let x = self.norm(&feed.norm, stream);
        let mut up = linear(&feed.up, &x);
        let function = self.graph.activation;
        if let Some(gate) = &feed.gate {
            let mut gate = linear(gate, &x);
            let cells = gate.values_mut().par_iter_mut().zip(up.values_mut());
            cells.for_each(|(gate, up)| *up *= activate(function, *gate));
        } else {
            let cells = up.values_mut().par_iter_mut();
            cells.for_each(|up| *up = activate(function, *up));
        }
        self.maybe_norm(feed.post_norm.as_ref(), linear(&feed.down, &up))
    }

    fn norm(&self, norm: &Norm, x: &Sheet) -> Sheet {
        let mut out = x.clone();
        normalise(
            out.values_mut(),
            x.stride(),
            self.graph.norm,
            self.graph.epsilon,
        );
        for (feature, &gain) in norm.gain.iter().enumerate() {
            let add = norm.bias.as_ref().map_or(0.0, |bias| bias[feature]);
            for value in out.row_mut(feature) {
                *value = *value * gain + add;
            }
        }
        out
    }

    fn maybe_norm(&self, norm: Option<&Norm>, x: Sheet) -> Sheet {
        match norm {
            Some(norm) => self.norm(norm, &x),
            None => x,
        }
    }

    fn head(
        &self,
        stream: &Sheet,
        positions: &[usize],
        logits: &mut Vec<Vec<f32>>,
    ) -> Result<(), FloatError> {
        let mut chosen = Sheet::new(stream.features(), positions.len());
        for (column, &position) in positions.iter().enumerate() {
            let values: Vec<f32> = stream.column(position).collect();
            chosen.set_column(column, &values);
        }
        let normed = self.norm(&self.graph.final_norm, &chosen);
        let out = product(self.graph.head_matrix(), None, &normed);
        for (column, &position) in positions.iter().enumerate() {
            let cap = |x: f32| (self.graph.softcaps.logits).map_or(x, |c| c * (x / c).tanh());
            let values: Vec<f32> = out.column(column).map(cap).collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(FloatError::NotFinite { position });
            }
            logits.push(values);
        }
        Ok(())
    }
}

pub(super) fn linear(linear: &Linear, x: &Sheet) -> Sheet {
    let weight: &dyn Rows = &*linear.weight;
    product(weight, linear.bias.as_deref(), x)
}

/// A number of features, exact up to 2^24, which is more than a graph has.
fn count_f32(count: usize) -> f32 {
    let high = u16::try_from(count >> 12).unwrap_or(u16::MAX);
    let low = u16::try_from(count & 0xfff).unwrap_or(u16::MAX);
    f32::from(high) * 4096.0 + f32::from(low)
}

/// Brings every column to unit size: rows of `values` are features, `stride` apart.
pub(super) fn normalise(values: &mut [f32], stride: usize, kind: NormKind, epsilon: f32) {
    let count = count_f32(values.len() / stride.max(1));
    if kind == NormKind::Layer {
        let mut means = vec![0.0_f32; stride];
        for row in values.chunks_exact(stride) {
            for (mean, value) in means.iter_mut().zip(row) {
                *mean += value / count;
            }
        }
        for row in values.chunks_exact_mut(stride) {
            for (value, mean) in row.iter_mut().zip(&means) {
                *value -= mean;
            }
        }
    }
    let mut squares = vec![0.0_f32; stride];
    for row in values.chunks_exact(stride) {
        for (square, value) in squares.iter_mut().zip(row) {
            *square += value * value;
        }
    }
    for square in &mut squares {
        *square = 1.0 / (*square / count + epsilon).sqrt();
    }
    for row in values.chunks_exact_mut(stride) {
        for (value, factor) in row.iter_mut().zip(&squares) {
            *value *= factor;
        }
    }
}

/// An RMS norm of each head.
fn head_norm(sheet: &mut Sheet, gain: &[f32], epsilon: f32) {
    let stride = sheet.stride();
    let heads = sheet.values_mut().par_chunks_mut(gain.len() * stride);
    heads.for_each(|head| {
        normalise(head, stride, NormKind::Rms, epsilon);
        for (row, gain) in head.chunks_exact_mut(stride).zip(gain) {
            for value in row {
                *value *= gain;
            }
        }
    });
}

pub(super) fn activate(function: Activation, x: f32) -> f32 {
    match function {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
    }
}

#[cfg(test)]
pub(super) mod tests;
