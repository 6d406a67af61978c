//! Causal attention over a whole sheet, and the rotation of queries and keys.
//!
//! Eight queries at a time against all keys they may see, by the same product as everything else: scores are keys times queries, results are values times
//! probabilities. Sliding windows and soft limits are honoured. Deliberately absent: a cache, since every call has all tokens.

use rayon::prelude::*;

use super::float_kernel::{GROUP, LANES, Lanes, Quad, Sheet, dot};
use super::graph::Rope;

/// Cosines and sines of one rotation: a row for each pair, a column for each token.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    cos: Sheet,
    sin: Sheet,
}

fn from_index(index: usize) -> f64 {
    u32::try_from(index).map_or(f64::INFINITY, f64::from)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "cosines and sines are computed in f64 and kept in f32"
)]
const fn narrow(x: f64) -> f32 {
    x as f32
}

impl Turns {
    pub(super) fn new(rope: &Rope, tokens: usize) -> Self {
        let pairs = rope.dims / 2;
        let mut turns = Self {
            cos: Sheet::new(pairs, tokens),
            sin: Sheet::new(pairs, tokens),
        };
        for pair in 0..pairs {
            let exponent = -2.0 * from_index(pair) / from_index(rope.dims);
            let factor = rope.factors.as_ref().map_or(1.0, |factors| factors[pair]);
            let step =
                f64::from(rope.base).powf(exponent) / f64::from(rope.linear) / f64::from(factor);
            let angles = (0..tokens).map(|position| from_index(position) * step);
            for (position, angle) in angles.enumerate() {
                turns.cos.row_mut(pair)[position] = narrow(angle.cos());
                turns.sin.row_mut(pair)[position] = narrow(angle.sin());
            }
        }
        turns
    }

    /// Rotates every head of a sheet.
    pub(super) fn apply(&self, sheet: &mut Sheet, head_width: usize) {
        let (pairs, stride) = (self.cos.features(), sheet.stride());
        let heads = sheet.values_mut().par_chunks_mut(head_width * stride);
        heads.for_each(|head| {
            let (low, high) = head.split_at_mut(pairs * stride);
            for pair in 0..pairs {
                let (cos, sin) = (self.cos.row(pair), self.sin.row(pair));
                let at = pair * stride;
                for (token, (&c, &s)) in cos.iter().zip(sin).enumerate() {
                    let (a, b) = (low[at + token], high[at + token]);
                    low[at + token] = a * c - b * s;
                    high[at + token] = a * s + b * c;
                }
            }
        });
    }
}

/// What attention needs to know beside its operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_width: usize,
    pub(super) scale: f32,
    pub(super) softcap: Option<f32>,
    pub(super) window: Option<usize>,
}

/// `softmax(q·k)·v` for every head.
pub(super) fn attend(q: &Sheet, k: &Sheet, v: &Sheet, shape: Shape) -> Sheet {
    let (width, stride) = (shape.head_width, q.stride());
    let mut out = Sheet::new(shape.heads * width, q.tokens());
    let chunks = out.values_mut().par_chunks_mut(width * stride.max(1));
    chunks.enumerate().for_each(|(head, chunk)| {
        let kv = head / (shape.heads / shape.kv_heads);
        let keys = key_quads(k, kv * width, width);
        let values = value_quads(v, kv * width, width);
        for tile in 0..stride / LANES {
            let queries = q.panel(tile, head * width..(head + 1) * width);
            let view = View::new(tile, q.tokens(), shape);
            let (weights, sums) = view.probabilities(&queries, &keys);
            for (group, quads) in values.iter().enumerate() {
                let found = dot(&weights, &quads[view.first..view.end]);
                for (lane, row) in found.iter().enumerate().take(width - group * GROUP) {
                    let at = (group * GROUP + lane) * stride + tile * LANES;
                    let cells = chunk[at..at + LANES].iter_mut();
                    for ((cell, value), sum) in cells.zip(row).zip(&sums) {
                        *cell = value / sum;
                    }
                }
            }
        }
    });
    out
}

/// Keys of one head: for every four tokens, their features side by side.
fn key_quads(k: &Sheet, first: usize, width: usize) -> Vec<Vec<Quad>> {
    let mut groups = vec![vec![[0.0; GROUP]; width]; k.stride() / GROUP];
    for feature in 0..width {
        let row = k.row(first + feature).chunks(GROUP);
        for (group, four) in groups.iter_mut().zip(row) {
            group[feature].copy_from_slice(four);
        }
    }
    groups
}

/// Values of one head: for every four features, all tokens; the last group is filled up with zeros.
fn value_quads(v: &Sheet, first: usize, width: usize) -> Vec<Vec<Quad>> {
    let mut groups = vec![vec![[0.0; GROUP]; v.stride()]; width.div_ceil(GROUP)];
    for feature in 0..width {
        let group = &mut groups[feature / GROUP];
        for (quad, &value) in group.iter_mut().zip(v.row(first + feature)) {
            quad[feature % GROUP] = value;
        }
    }
    groups
}

/// What eight queries see.
struct View {
    shape: Shape,
    /// Position of each query; padding sees what the last token sees.
    positions: [usize; LANES],
    /// First token that any of them sees, a multiple of four.
    first: usize,
    /// One past the last that any of them sees.
    end: usize,
}

impl View {
    fn new(tile: usize, tokens: usize, shape: Shape) -> Self {
        let last = tokens.saturating_sub(1);
        let positions = std::array::from_fn(|lane| (tile * LANES + lane).min(last));
        let window = shape.window.unwrap_or(usize::MAX);
        let first = (positions[0] + 1).saturating_sub(window);
        Self {
            shape,
            positions,
            first: first - first % GROUP,
            end: (positions[LANES - 1] + 1).min(tokens),
        }
    }

    fn sees(&self, lane: usize, token: usize) -> bool {
        let window = self.shape.window.unwrap_or(usize::MAX);
        let position = self.positions[lane];
        token <= position && position - token < window
    }

    /// e to the power of scores, the largest one taken off, and their sums.
    fn probabilities(&self, queries: &[Lanes], keys: &[Vec<Quad>]) -> (Vec<Lanes>, Lanes) {
        let mut scores = Vec::with_capacity(self.end - self.first + GROUP);
        for group in &keys[self.first / GROUP..self.end.div_ceil(GROUP)] {
            scores.extend(dot(queries, group));
        }
        scores.truncate(self.end - self.first);
        let mut highest = [f32::NEG_INFINITY; LANES];
        for (offset, score) in scores.iter_mut().enumerate() {
            for (lane, cell) in score.iter_mut().enumerate() {
                let scaled = *cell * self.shape.scale;
                let capped = (self.shape.softcap).map_or(scaled, |cap| cap * (scaled / cap).tanh());
                let seen = self.sees(lane, self.first + offset);
                *cell = if seen { capped } else { f32::NEG_INFINITY };
                highest[lane] = highest[lane].max(*cell);
            }
        }
        let mut sums = [0.0; LANES];
        for score in &mut scores {
            for ((cell, high), sum) in score.iter_mut().zip(&highest).zip(&mut sums) {
                *cell = (*cell - high).exp();
                *sum += *cell;
            }
        }
        (scores, sums)
    }
}
