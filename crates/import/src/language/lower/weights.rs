//! A language model's matrices in the new basis, quantised row by row: 8 bits and a scale for each row.
//!
//! ```text
//! reads the stream:  W ─▶ W·diag(gain)·R          writes the stream:  W ─▶ R·M·W        values: H·W, undone in what reads them
//! ```
//!
//! R is the rotation, M the subtraction of the mean where the model's norms have one (SliceGPT, arXiv 2401.15024, section 3.2), H the transform of
//! a head or of a block of the hidden layer. All in f64 with exactly rounded operations, a row at a time, so that every target gives the same bytes.

use credence_model::ParamBytes;
use rayon::prelude::*;

use super::LanguageLowerError;
use super::rotation::{Rotation, count, hadamard};
use crate::language::{
    Attention, Block, Feed, Head, LanguageGraph, Linear, Norm, NormKind, Position, Rows,
};
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

/// What becomes of the stream's basis.
#[derive(Clone, Copy)]
struct Basis {
    rotation: Option<Rotation>,
    centred: bool,
}

impl Basis {
    /// A norm behind a product has a gain in the old basis, so such a model keeps it.
    fn of(graph: &LanguageGraph) -> Self {
        let post =
            |block: &Block| block.attention.post_norm.is_some() || block.feed.post_norm.is_some();
        let rotates = !graph.blocks.iter().any(post);
        Self {
            rotation: rotates.then(|| Rotation::of(graph.width)),
            centred: graph.norm == NormKind::Layer,
        }
    }

    fn rotate(self, vector: &mut [f64]) {
        if let Some(rotation) = self.rotation {
            rotation.apply(vector);
        }
    }

    /// What is added to the stream.
    fn write(self, vector: &mut [f64]) {
        if self.centred {
            let mean = vector.iter().sum::<f64>() / count(vector.len());
            for cell in vector.iter_mut() {
                *cell -= mean;
            }
        }
        self.rotate(vector);
    }
}

/// All rows of a matrix as f64, row-major.
fn dense(matrix: &dyn Rows, what: &str) -> Result<Vec<f64>, LanguageLowerError> {
    let columns = matrix.columns();
    let mut values = vec![0.0; matrix.rows() * columns];
    values
        .par_chunks_exact_mut(columns)
        .enumerate()
        .for_each_init(
            || vec![0.0_f32; columns],
            |buffer, (row, out)| {
                matrix.read(row, buffer);
                for (out, x) in out.iter_mut().zip(buffer.iter()) {
                    *out = f64::from(*x);
                }
            },
        );
    if values.par_iter().all(|value| value.is_finite()) {
        return Ok(values);
    }
    Err(LanguageLowerError::NotFinite {
        what: what.to_owned(),
    })
}

/// Transforms every column of a matrix.
fn columns_through(values: &mut [f64], columns: usize, through: impl Fn(&mut [f64]) + Sync + Send) {
    let rows = values.len() / columns;
    let source: &[f64] = values;
    let turned: Vec<Vec<f64>> = (0..columns)
        .into_par_iter()
        .map(|column| {
            let mut vector: Vec<f64> = (0..rows)
                .map(|row| source[row * columns + column])
                .collect();
            through(&mut vector);
            vector
        })
        .collect();
    for (column, vector) in turned.iter().enumerate() {
        for (row, value) in vector.iter().enumerate() {
            values[row * columns + column] = *value;
        }
    }
}

/// Each row to 8 bits; a row of zeros has a scale of 0.
fn quantise(values: &[f64], columns: usize, bias: Vec<f64>) -> Matrix {
    let rows = values.len() / columns;
    let mut weights = vec![0_i8; values.len()];
    let mut scales = vec![0.0; rows];
    weights
        .par_chunks_exact_mut(columns)
        .zip(values.par_chunks_exact(columns))
        .zip(scales.par_iter_mut())
        .for_each(|((out, row), scale)| {
            let max = row.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
            *scale = max / 127.0;
            if *scale > 0.0 {
                for (out, x) in out.iter_mut().zip(row) {
                    *out = i8::try_from(round_to(x / *scale, -127, 127)).unwrap_or(0);
                }
            }
        });
    let weights: Vec<u8> = weights.into_iter().map(i8::cast_unsigned).collect();
    Matrix {
        columns,
        weights: weights.into(),
        scales,
        bias,
    }
}

/// A matrix that reads the stream behind a norm, in real numbers: its rows with the gain, in the new basis, and the bias that the norm's own makes.
fn reading(
    basis: Basis,
    linear: &Linear,
    norm: &Norm,
    what: &str,
) -> Result<(Vec<f64>, Vec<f64>), LanguageLowerError> {
    let mut values = dense(&*linear.weight, what)?;
    let columns = linear.weight.columns();
    let gain: Vec<f64> = norm.gain.iter().map(|&g| f64::from(g)).collect();
    let mut bias = match (&linear.bias, &norm.bias) {
        (None, None) => Vec::new(),
        (Some(bias), _) => bias.iter().map(|&b| f64::from(b)).collect(),
        (None, Some(_)) => vec![0.0; linear.weight.rows()],
    };
    if let Some(shift) = &norm.bias {
        for (bias, row) in bias.iter_mut().zip(values.chunks_exact(columns)) {
            let terms = row.iter().zip(shift);
            *bias += terms.map(|(w, &b)| w * f64::from(b)).sum::<f64>();
        }
    }
    values.par_chunks_exact_mut(columns).for_each(|row| {
        for (cell, gain) in row.iter_mut().zip(&gain) {
            *cell *= gain;
        }
        basis.rotate(row);
    });
    Ok((values, bias))
}

/// A matrix that writes the stream, after `rows_through` has undone on each row what its operand went through.
fn writing(
    basis: Basis,
    linear: &Linear,
    what: &str,
    rows_through: impl Fn(&mut [f64]) + Sync + Send,
) -> Result<Matrix, LanguageLowerError> {
    let mut values = dense(&*linear.weight, what)?;
    let columns = linear.weight.columns();
    values.par_chunks_exact_mut(columns).for_each(rows_through);
    columns_through(&mut values, columns, |column| basis.write(column));
    let mut bias: Vec<f64> = Vec::new();
    if let Some(own) = &linear.bias {
        bias.extend(own.iter().map(|&b| f64::from(b)));
        basis.write(&mut bias);
    }
    Ok(quantise(&values, columns, bias))
}

/// Below one another; a missing bias is 0 where another has one.
fn stacked(parts: Vec<(Vec<f64>, Vec<f64>)>, columns: usize) -> Matrix {
    let biased = parts.iter().any(|(_, bias)| !bias.is_empty());
    let (mut values, mut biases) = (Vec::new(), Vec::new());
    for (part, bias) in parts {
        values.extend(part);
        if biased {
            biases.extend(bias);
            biases.resize(values.len() / columns, 0.0);
        }
    }
    quantise(&values, columns, biases)
}

impl Weights {
    pub(super) fn new(graph: &LanguageGraph) -> Result<Self, LanguageLowerError> {
        let basis = Basis::of(graph);
        let hidden = graph
            .blocks
            .first()
            .map_or(1, |block| block.feed.up.weight.rows());
        let hadamard = (1_usize << hidden.trailing_zeros()).min(HADAMARD_MAX);
        let mut blocks = Vec::with_capacity(graph.blocks.len());
        for (number, block) in graph.blocks.iter().enumerate() {
            blocks.push(block_weights(graph, basis, (number, block), hadamard)?);
        }
        let scale = f64::from(graph.embedding_scale);
        let positions = match &graph.position {
            Position::Learned(matrix) => Some(stream_rows(&**matrix, basis, 1.0, "positions")?),
            Position::Rope(_) => None,
        };
        let head = Linear {
            weight: match &graph.head {
                Head::Tied => graph.embedding.clone(),
                Head::Own(matrix) => matrix.clone(),
            },
            bias: None,
        };
        let head = reading_rows(basis, &head, &graph.final_norm, "the head")?;
        Ok(Self {
            embedding: stream_rows(&*graph.embedding, basis, scale, "the embedding")?,
            positions,
            blocks,
            head,
            hadamard,
        })
    }
}

/// As [`reading`] and [`quantise`], a row at a time: for a matrix that is large, since it has a row for each token.
fn reading_rows(
    basis: Basis,
    linear: &Linear,
    norm: &Norm,
    what: &str,
) -> Result<Matrix, LanguageLowerError> {
    let (rows, columns) = (linear.weight.rows(), linear.weight.columns());
    let gain: Vec<f64> = norm.gain.iter().map(|&g| f64::from(g)).collect();
    let mut weights = vec![0_u8; rows * columns];
    let mut scales = vec![0.0; rows];
    let mut biases = vec![0.0; rows];
    weights
        .par_chunks_exact_mut(columns)
        .zip(scales.par_iter_mut())
        .zip(biases.par_iter_mut())
        .enumerate()
        .try_for_each_init(
            || RowBuffer::new(columns),
            |buffer, (number, ((out, scale), bias))| {
                let row = buffer.read(&*linear.weight, number, what)?;
                if let Some(shift) = &norm.bias {
                    let terms = row.iter().zip(shift);
                    *bias = terms.map(|(w, &b)| w * f64::from(b)).sum::<f64>();
                }
                for (cell, gain) in row.iter_mut().zip(&gain) {
                    *cell *= gain;
                }
                basis.rotate(row);
                let max = row.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
                *scale = max / 127.0;
                if *scale > 0.0 {
                    for (out, x) in out.iter_mut().zip(row.iter()) {
                        let rounded = i8::try_from(round_to(x / *scale, -127, 127));
                        *out = rounded.unwrap_or(0).cast_unsigned();
                    }
                }
                Ok::<(), LanguageLowerError>(())
            },
        )?;
    let own = linear.bias.iter().flatten();
    for (bias, &own) in biases.iter_mut().zip(own) {
        *bias += f64::from(own);
    }
    let biased = norm.bias.is_some() || linear.bias.is_some();
    Ok(Matrix {
        columns,
        weights: weights.into(),
        scales,
        bias: if biased { biases } else { Vec::new() },
    })
}

/// One row in f32 as it is read, and in f64 as it is worked on.
struct RowBuffer {
    read: Vec<f32>,
    row: Vec<f64>,
}

impl RowBuffer {
    fn new(columns: usize) -> Self {
        Self {
            read: vec![0.0; columns],
            row: vec![0.0; columns],
        }
    }

    fn read(
        &mut self,
        matrix: &dyn Rows,
        number: usize,
        what: &str,
    ) -> Result<&mut [f64], LanguageLowerError> {
        matrix.read(number, &mut self.read);
        for (out, x) in self.row.iter_mut().zip(&self.read) {
            *out = f64::from(*x);
        }
        if self.row.iter().all(|value| value.is_finite()) {
            return Ok(&mut self.row);
        }
        Err(LanguageLowerError::NotFinite {
            what: what.to_owned(),
        })
    }
}

/// Rows that are themselves added to the stream. Nothing averages their error out, and a run reads a few of them, so they have 16 bits.
fn stream_rows(
    matrix: &dyn Rows,
    basis: Basis,
    scale: f64,
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
                for cell in row.iter_mut() {
                    *cell *= scale;
                }
                basis.write(row);
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

fn block_weights(
    graph: &LanguageGraph,
    basis: Basis,
    (number, block): (usize, &Block),
    hadamard_size: usize,
) -> Result<BlockWeights, LanguageLowerError> {
    let name = |part: &str| format!("block {number}, {part}");
    let Block { attention, feed } = block;
    let Attention { norm, q, k, v, .. } = attention;
    let head = Rotation::of(graph.head_width);
    let width = graph.width;
    let (mut values, mut bias) = reading(basis, v, norm, &name("values"))?;
    columns_through(&mut values, width, |column| {
        column
            .chunks_exact_mut(graph.head_width)
            .for_each(|part| head.apply(part));
    });
    bias.chunks_exact_mut(graph.head_width)
        .for_each(|part| head.apply(part));
    let qkv = vec![
        reading(basis, q, norm, &name("queries"))?,
        reading(basis, k, norm, &name("keys"))?,
        (values, bias),
    ];
    let out = writing(basis, &attention.out, &name("output"), |row| {
        row.chunks_exact_mut(graph.head_width)
            .for_each(|part| head.apply(part));
    })?;
    let Feed { norm, gate, up, .. } = feed;
    let mut gate_up = Vec::new();
    if let Some(gate) = gate {
        gate_up.push(reading(basis, gate, norm, &name("gate"))?);
    }
    gate_up.push(reading(basis, up, norm, &name("up"))?);
    let down = writing(basis, &feed.down, &name("down"), |row| {
        row.chunks_exact_mut(hadamard_size).for_each(hadamard);
    })?;
    Ok(BlockWeights {
        qkv: stacked(qkv, width),
        out,
        gate_up: stacked(gate_up, width),
        down,
    })
}
