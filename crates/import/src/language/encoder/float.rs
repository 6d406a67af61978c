//! The float run of an encoder: what the fidelity of an integer program is measured against.
//!
//! Arithmetic is f32 with sums in short runs, softmax and pooling in f64. Results may differ in the last bits from one platform to another: nothing of
//! them reaches a model's bytes. Deliberately absent: several texts at once.

use rayon::prelude::*;

use super::graph::{EncoderBlock, EncoderGraph, Pooling};
use crate::language::float::{activate, linear, normalise};
use crate::language::float_kernel::Sheet;
use crate::language::{FloatError, Norm, NormKind};

/// Runs one encoder.
#[derive(Clone, Copy, Debug)]
pub struct EncoderRun<'a> {
    graph: &'a EncoderGraph,
}

impl<'a> EncoderRun<'a> {
    /// Runs of this encoder.
    #[must_use]
    pub const fn new(graph: &'a EncoderGraph) -> Self {
        Self { graph }
    }

    /// The embedding of a text, given as tokens.
    ///
    /// # Errors
    /// [`FloatError`], naming the token.
    pub fn embedding(&self, tokens: &[u32]) -> Result<Vec<f32>, FloatError> {
        let mut x = self.embed(tokens)?;
        for block in &self.graph.blocks {
            x = self.block(block, &x);
        }
        let pooled: Vec<f64> = (0..x.features())
            .map(|feature| {
                let cells = &x.row(feature)[..tokens.len()];
                match self.graph.pooling {
                    Pooling::First => f64::from(cells[0]),
                    Pooling::Mean => {
                        let sum: f64 = cells.iter().map(|&x| f64::from(x)).sum();
                        sum / crate::number::from_len(cells.len())
                    }
                }
            })
            .collect();
        let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
        let by = if self.graph.normalised && length > 0.0 {
            1.0 / length
        } else {
            1.0
        };
        let vector: Vec<f32> = pooled
            .iter()
            .map(|x| crate::number::narrow(x * by))
            .collect();
        if vector.iter().all(|x| x.is_finite()) {
            return Ok(vector);
        }
        let position = tokens.len() - 1;
        Err(FloatError::NotFinite { position })
    }

    fn embed(&self, tokens: &[u32]) -> Result<Sheet, FloatError> {
        let graph = self.graph;
        let max = graph.context;
        if tokens.is_empty() {
            return Err(FloatError::Empty);
        }
        if tokens.len() > max {
            let got = tokens.len();
            return Err(FloatError::TooLong { max, got });
        }
        let mut sheet = Sheet::new(graph.width, tokens.len());
        let (mut word, mut place) = (vec![0.0; graph.width], vec![0.0; graph.width]);
        for (index, &got) in tokens.iter().enumerate() {
            let count = graph.vocabulary;
            let row = usize::try_from(got).ok().filter(|&row| row < count);
            let row = row.ok_or(FloatError::Token { index, got, count })?;
            graph.embedding.read(row, &mut word);
            graph.positions.read(index, &mut place);
            for ((word, place), kind) in word.iter_mut().zip(&place).zip(&graph.kind) {
                *word += place + kind;
            }
            sheet.set_column(index, &word);
        }
        Ok(self.norm(&graph.embedding_norm, sheet))
    }

    fn norm(&self, norm: &Norm, mut x: Sheet) -> Sheet {
        let stride = x.stride();
        normalise(x.values_mut(), stride, NormKind::Layer, self.graph.epsilon);
        for (feature, &gain) in norm.gain.iter().enumerate() {
            let add = norm.bias.as_ref().map_or(0.0, |bias| bias[feature]);
            for value in x.row_mut(feature) {
                *value = *value * gain + add;
            }
        }
        x
    }

    fn block(&self, block: &EncoderBlock, x: &Sheet) -> Sheet {
        let [q, k, v] = [&block.q, &block.k, &block.v].map(|part| linear(part, x));
        let mut sum = linear(&block.out, &self.attend(&q, &k, &v));
        sum.add(x);
        let x = self.norm(&block.attention_norm, sum);
        let mut hidden = linear(&block.up, &x);
        let function = self.graph.activation;
        let cells = hidden.values_mut().par_iter_mut();
        cells.for_each(|cell| *cell = activate(function, *cell));
        let mut sum = linear(&block.down, &hidden);
        sum.add(&x);
        self.norm(&block.feed_norm, sum)
    }

    fn attend(&self, q: &Sheet, k: &Sheet, v: &Sheet) -> Sheet {
        let (width, tokens) = (self.graph.head_width(), q.tokens());
        let scale = 1.0 / crate::number::from_len(width).sqrt();
        let mut out = Sheet::new(q.features(), tokens);
        let stride = out.stride();
        let heads = out.values_mut().par_chunks_mut(width * stride);
        heads.enumerate().for_each(|(head, out)| {
            let row = |sheet: &'_ Sheet, d: usize| -> Vec<f64> {
                let cells = &sheet.row(head * width + d)[..tokens];
                cells.iter().map(|&x| f64::from(x)).collect()
            };
            let rows = |sheet: &Sheet| (0..width).map(|d| row(sheet, d)).collect::<Vec<_>>();
            let (q, k, v) = (rows(q), rows(k), rows(v));
            for t in 0..tokens {
                let mut weights = vec![0.0; tokens];
                for (q, k) in q.iter().zip(&k) {
                    for (weight, k) in weights.iter_mut().zip(k) {
                        *weight += q[t] * k;
                    }
                }
                let max = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for weight in &mut weights {
                    *weight = ((*weight - max) * scale).exp();
                    sum += *weight;
                }
                for (out, v) in out.chunks_exact_mut(stride).zip(&v) {
                    let mean: f64 = weights.iter().zip(v).map(|(w, v)| w * v).sum();
                    out[t] = crate::number::narrow(mean / sum);
                }
            }
        });
        out
    }
}
