//! A language model's matrices in the new basis, in real numbers.
//!
//! ```text
//! reads the stream:  W ─▶ W·diag(gain)·R          writes the stream:  W ─▶ R·M·W        values: H·W, undone in what reads them
//! ```
//!
//! R is the rotation, M the subtraction of the mean where the model's norms have one (SliceGPT, arXiv 2401.15024, section 3.2), H the transform of
//! a head or of a block of the hidden layer. All in f64 with exactly rounded operations, a row at a time, so that every target gives the same bytes.
//! Deliberately absent: rounding (`rounding`), and matrices with a row for each token, which are made a few rows at a time (`weights`).

use rayon::prelude::*;

use super::LanguageLowerError;
use super::rotation::{Rotation, count, hadamard};
use crate::language::{Attention, Block, Feed, LanguageGraph, Linear, Norm, NormKind, Rows};

/// A matrix before it is rounded.
pub(super) struct Real {
    pub(super) columns: usize,
    /// Row-major.
    pub(super) values: Vec<f64>,
    /// Empty if there is none.
    pub(super) bias: Vec<f64>,
}

/// One block's products.
pub(super) struct BlockReal {
    pub(super) qkv: Real,
    pub(super) out: Real,
    pub(super) gate_up: Real,
    pub(super) down: Real,
}

/// What becomes of the stream's basis.
#[derive(Clone, Copy)]
pub(super) struct Basis {
    rotation: Option<Rotation>,
    centred: bool,
}

impl Basis {
    /// A norm behind a product has a gain in the old basis, so such a model keeps it.
    pub(super) fn of(graph: &LanguageGraph) -> Self {
        let post =
            |block: &Block| block.attention.post_norm.is_some() || block.feed.post_norm.is_some();
        let rotates = !graph.blocks.iter().any(post);
        Self {
            rotation: rotates.then(|| Rotation::of(graph.width)),
            centred: graph.norm == NormKind::Layer,
        }
    }

    pub(super) fn rotate(self, vector: &mut [f64]) {
        if let Some(rotation) = self.rotation {
            rotation.apply(vector);
        }
    }

    /// What is added to the stream.
    pub(super) fn write(self, vector: &mut [f64]) {
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
pub(super) fn dense(matrix: &dyn Rows, what: &str) -> Result<Vec<f64>, LanguageLowerError> {
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
pub(super) fn columns_through(
    values: &mut [f64],
    columns: usize,
    through: impl Fn(&mut [f64]) + Sync + Send,
) {
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

/// One row in f32 as it is read, and in f64 as it is worked on.
pub(super) struct RowBuffer {
    read: Vec<f32>,
    row: Vec<f64>,
}

impl RowBuffer {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            read: vec![0.0; columns],
            row: vec![0.0; columns],
        }
    }

    pub(super) fn read(
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
) -> Result<Real, LanguageLowerError> {
    let mut values = dense(&*linear.weight, what)?;
    let columns = linear.weight.columns();
    values.par_chunks_exact_mut(columns).for_each(rows_through);
    columns_through(&mut values, columns, |column| basis.write(column));
    let mut bias: Vec<f64> = Vec::new();
    if let Some(own) = &linear.bias {
        bias.extend(own.iter().map(|&b| f64::from(b)));
        basis.write(&mut bias);
    }
    Ok(Real {
        columns,
        values,
        bias,
    })
}

/// Below one another; a missing bias is 0 where another has one.
pub(super) fn stacked(parts: Vec<(Vec<f64>, Vec<f64>)>, columns: usize) -> Real {
    let biased = parts.iter().any(|(_, bias)| !bias.is_empty());
    let (mut values, mut biases) = (Vec::new(), Vec::new());
    for (part, bias) in parts {
        values.extend(part);
        if biased {
            biases.extend(bias);
            biases.resize(values.len() / columns, 0.0);
        }
    }
    Real {
        columns,
        values,
        bias: biases,
    }
}

/// Turns the rows over whose gain behind the product is negative: multipliers have no sign, and an RMS norm in between does not see one. Gains repeat
/// head by head.
fn signed((values, bias): &mut (Vec<f64>, Vec<f64>), columns: usize, gains: Option<&[f32]>) {
    let Some(gains) = gains else {
        return;
    };
    let turned = |(gain, _): &(&f32, &mut [f64])| **gain < 0.0;
    let rows = gains.iter().cycle().zip(values.chunks_exact_mut(columns));
    let biases = gains.iter().cycle().zip(bias.chunks_exact_mut(1));
    for (_, row) in rows.filter(turned).chain(biases.filter(turned)) {
        row.iter_mut().for_each(|cell| *cell = -*cell);
    }
}

fn signed_rows(real: &mut Real, norm: Option<&Norm>) {
    let columns = real.columns;
    let mut parts = (
        core::mem::take(&mut real.values),
        core::mem::take(&mut real.bias),
    );
    signed(&mut parts, columns, norm.map(|norm| &norm.gain[..]));
    (real.values, real.bias) = parts;
}

/// The products of one block; `hadamard_size` is the online transform's.
pub(super) fn block(
    graph: &LanguageGraph,
    basis: Basis,
    (number, block): (usize, &Block),
    hadamard_size: usize,
) -> Result<BlockReal, LanguageLowerError> {
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
    let mut queries = reading(basis, q, norm, &name("queries"))?;
    signed(&mut queries, width, attention.q_norm.as_deref());
    let mut keys = reading(basis, k, norm, &name("keys"))?;
    signed(&mut keys, width, attention.k_norm.as_deref());
    let qkv = vec![queries, keys, (values, bias)];
    let mut out = writing(basis, &attention.out, &name("output"), |row| {
        row.chunks_exact_mut(graph.head_width)
            .for_each(|part| head.apply(part));
    })?;
    signed_rows(&mut out, attention.post_norm.as_ref());
    let Feed { norm, gate, up, .. } = feed;
    let mut gate_up = Vec::new();
    if let Some(gate) = gate {
        gate_up.push(reading(basis, gate, norm, &name("gate"))?);
    }
    gate_up.push(reading(basis, up, norm, &name("up"))?);
    let mut down = writing(basis, &feed.down, &name("down"), |row| {
        row.chunks_exact_mut(hadamard_size).for_each(hadamard);
    })?;
    signed_rows(&mut down, feed.post_norm.as_ref());
    Ok(BlockReal {
        qkv: stacked(qkv, width),
        out,
        gate_up: stacked(gate_up, width),
        down,
    })
}
