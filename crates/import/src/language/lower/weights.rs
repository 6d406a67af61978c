//! A language model's products in 8 bits with a scale for each row, and the rows of its stream in 16.
//!
//! ```text
//! real ─▶ rounded to the nearest ─ runs on a text ─▶ what products read ─▶ rounded again, errors fed to the columns after
//! ```
//!
//! The first rounding is what units and inputs are measured with. Deliberately absent: what becomes of matrices before they are rounded (`real`), and
//! how rows are rounded (`rounding`).

use credence_model::ParamBytes;
use rayon::prelude::*;

use super::LanguageLowerError;
use super::factor::Factor;
use super::inputs::{Collected, Inputs, PRODUCTS};
use super::real::{self, Basis, BlockReal, Real, RowBuffer};
use super::rounding::{LANES, round_rows};
use crate::language::{Head, LanguageGraph, Linear, Norm, Position, Rows};
use crate::number::round_to;

/// A quantised matrix: `weight[r, k]·scales[r]` is the real number, and `bias[r]` is added.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) columns: usize,
    pub(super) weights: ParamBytes,
    pub(super) scales: Vec<f64>,
    /// In real numbers; empty if there is none.
    pub(super) bias: Vec<f64>,
}

/// Rows that are added to the stream, in 16 bits: `entries[r, k]·scales[r]` is the real number.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: usize,
    pub(super) entries: ParamBytes,
    pub(super) scales: Vec<f64>,
}

/// One block's products.
pub(super) struct BlockWeights {
    /// Queries, keys, values, one below the other.
    pub(super) qkv: Matrix,
    pub(super) out: Matrix,
    /// Gate above up; up alone if there is no gate.
    pub(super) gate_up: Matrix,
    pub(super) down: Matrix,
}

/// All products of a model.
pub(super) struct Weights {
    pub(super) embedding: Table,
    pub(super) positions: Option<Table>,
    pub(super) blocks: Vec<BlockWeights>,
    pub(super) head: Matrix,
    /// Cells of a block of the online transform before the last product of a block.
    pub(super) hadamard: usize,
}

/// Largest block of the online transform: its sums of 22-bit cells fit 32 bits.
const HADAMARD_MAX: usize = 512;

impl Weights {
    /// Every weight rounded to the nearest.
    pub(super) fn new(graph: &LanguageGraph) -> Result<Self, LanguageLowerError> {
        let basis = Basis::of(graph);
        let hidden = graph
            .blocks
            .first()
            .map_or(1, |block| block.feed.up.weight.rows());
        let hadamard = (1_usize << hidden.trailing_zeros()).min(HADAMARD_MAX);
        let mut blocks = Vec::with_capacity(graph.blocks.len());
        for block in graph.blocks.iter().enumerate() {
            let real = real::block(graph, basis, block, hadamard)?;
            blocks.push(BlockWeights::new(real, None));
        }
        let scale = f64::from(graph.embedding_scale);
        let positions = match &graph.position {
            Position::Learned(matrix) => Some(stream_rows(&**matrix, basis, 1.0, "positions")?),
            Position::Rope(_) => None,
        };
        Ok(Self {
            embedding: stream_rows(&*graph.embedding, basis, scale, "the embedding")?,
            positions,
            blocks,
            head: head(graph, basis, None)?,
            hadamard,
        })
    }

    /// The same, but products rounded for what they read. Inputs are dropped as they are used.
    pub(super) fn fed_back(
        mut self,
        graph: &LanguageGraph,
        collected: Collected,
    ) -> Result<Self, LanguageLowerError> {
        let basis = Basis::of(graph);
        let blocks = graph.blocks.iter().enumerate().zip(collected.blocks);
        for (own, (block, inputs)) in self.blocks.iter_mut().zip(blocks) {
            let real = real::block(graph, basis, block, self.hadamard)?;
            *own = BlockWeights::new(real, Some(&inputs));
        }
        self.head = head(graph, basis, Some(&collected.head))?;
        Ok(self)
    }
}

impl BlockWeights {
    /// In the order in which inputs are collected.
    #[cfg(test)]
    pub(super) const fn all(&self) -> [&Matrix; PRODUCTS] {
        [&self.qkv, &self.out, &self.gate_up, &self.down]
    }

    pub(super) fn new(real: BlockReal, inputs: Option<&[Inputs; PRODUCTS]>) -> Self {
        let BlockReal {
            qkv,
            out,
            gate_up,
            down,
        } = real;
        let [a, b, c, d] = match inputs {
            Some(inputs) => inputs.each_ref().map(Some),
            None => [None; PRODUCTS],
        };
        Self {
            qkv: rounded(qkv, a),
            out: rounded(out, b),
            gate_up: rounded(gate_up, c),
            down: rounded(down, d),
        }
    }
}

fn rounded(real: Real, inputs: Option<&Inputs>) -> Matrix {
    let Real {
        columns,
        values,
        bias,
    } = real;
    let factor = inputs.map(|inputs| Factor::new(inputs, columns));
    let mut weights = vec![0_i8; values.len()];
    let mut scales = vec![0.0; values.len() / columns];
    weights
        .par_chunks_mut(columns * LANES)
        .zip(values.par_chunks(columns * LANES))
        .zip(scales.par_chunks_mut(LANES))
        .for_each(|((weights, rows), scales)| {
            round_rows(rows, columns, factor.as_ref(), (weights, scales));
        });
    Matrix {
        columns,
        weights: bytes(weights),
        scales,
        bias,
    }
}

fn bytes(weights: Vec<i8>) -> ParamBytes {
    let bytes: Vec<u8> = weights.into_iter().map(i8::cast_unsigned).collect();
    bytes.into()
}

fn head(
    graph: &LanguageGraph,
    basis: Basis,
    inputs: Option<&Inputs>,
) -> Result<Matrix, LanguageLowerError> {
    let linear = Linear {
        weight: match &graph.head {
            Head::Tied => graph.embedding.clone(),
            Head::Own(matrix) => matrix.clone(),
        },
        bias: None,
    };
    let factor = inputs.map(|inputs| Factor::new(inputs, graph.width));
    reading_rows(basis, &linear, &graph.final_norm, factor.as_ref())
}

/// As matrices of blocks that read the stream, a few rows at a time: the head is large, since it has a row for each token.
fn reading_rows(
    basis: Basis,
    linear: &Linear,
    norm: &Norm,
    factor: Option<&Factor>,
) -> Result<Matrix, LanguageLowerError> {
    let (rows, columns) = (linear.weight.rows(), linear.weight.columns());
    let gain: Vec<f64> = norm.gain.iter().map(|&g| f64::from(g)).collect();
    let mut weights = vec![0_i8; rows * columns];
    let mut scales = vec![0.0; rows];
    let mut bias = vec![0.0; rows];
    let tasks = weights
        .par_chunks_mut(columns * LANES)
        .zip(scales.par_chunks_mut(LANES))
        .zip(bias.par_chunks_mut(LANES));
    tasks.enumerate().try_for_each_init(
        || (RowBuffer::new(columns), Vec::new()),
        |(buffer, values), (task, ((weights, scales), biases))| {
            values.clear();
            for (at, bias) in biases.iter_mut().enumerate() {
                let row = buffer.read(&*linear.weight, task * LANES + at, "the head")?;
                if let Some(shift) = &norm.bias {
                    let terms = row.iter().zip(shift);
                    *bias = terms.map(|(w, &b)| w * f64::from(b)).sum::<f64>();
                }
                for (cell, gain) in row.iter_mut().zip(&gain) {
                    *cell *= gain;
                }
                basis.rotate(row);
                values.extend_from_slice(row);
            }
            round_rows(values, columns, factor, (weights, scales));
            Ok::<(), LanguageLowerError>(())
        },
    )?;
    if norm.bias.is_none() {
        bias.clear();
    }
    Ok(Matrix {
        columns,
        weights: bytes(weights),
        scales,
        bias,
    })
}

/// Rows that are themselves added to the stream. Nothing averages their error out, and a run reads a few of them, so they have 16 bits.
fn stream_rows(
    matrix: &dyn Rows,
    basis: Basis,
    scale: f64,
    what: &str,
) -> Result<Table, LanguageLowerError> {
    let through = |row: &mut [f64]| {
        for cell in row.iter_mut() {
            *cell *= scale;
        }
        basis.write(row);
    };
    stream_table(matrix, through, what)
}

/// The same, after `through` has been done to each row.
pub(super) fn stream_table(
    matrix: &dyn Rows,
    through: impl Fn(&mut [f64]) + Sync + Send,
    what: &str,
) -> Result<Table, LanguageLowerError> {
    const BYTES: usize = 2;
    let columns = matrix.columns();
    let mut entries = vec![0_u8; matrix.rows() * columns * BYTES];
    let mut scales = vec![0.0; matrix.rows()];
    entries
        .par_chunks_exact_mut(columns * BYTES)
        .zip(scales.par_iter_mut())
        .enumerate()
        .try_for_each_init(
            || RowBuffer::new(columns),
            |buffer, (number, (out, own))| {
                let row = buffer.read(matrix, number, what)?;
                through(row);
                let max = row.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
                *own = max / 32_767.0;
                if *own > 0.0 {
                    for (out, x) in out.chunks_exact_mut(BYTES).zip(row.iter()) {
                        let entry = i16::try_from(round_to(x / *own, -32_767, 32_767));
                        out.copy_from_slice(&entry.unwrap_or(0).to_le_bytes());
                    }
                }
                Ok::<(), LanguageLowerError>(())
            },
        )?;
    Ok(Table {
        columns,
        entries: entries.into(),
        scales,
    })
}
