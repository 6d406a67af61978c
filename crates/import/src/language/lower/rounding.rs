//! Rows of real numbers to 8 bits: each to the nearest, or with what earlier errors of the row ask for (OPTQ, arXiv 2210.17323, in the form of Babai's
//! nearest plane, arXiv 2507.18553).
//!
//! ```text
//! x_t + Σ_{s<t} M_st·(x_s − q_s) ─▶ nearest integer, at most 127 ─▶ q_t
//! ```
//!
//! Sums are f32, by row and in the order of columns, with nothing fused: lanes are rows, so no instruction set and no number of threads changes one.
//! Deliberately absent: other scales than the largest magnitude's, since rotated rows have no outliers worth clipping.

use super::factor::{Factor, Span};
use crate::number::{narrow, round_to};

/// Rows that are rounded side by side.
pub(super) const LANES: usize = 32;
/// Largest magnitude of a weight.
const MAX: i32 = 127;

/// One column's errors, in steps.
type Errors = [f32; LANES];

/// Rounds at most [`LANES`] rows; a row of zeros has a scale of 0.
pub(super) fn round_rows(
    rows: &[f64],
    columns: usize,
    factor: Option<&Factor>,
    (weights, scales): (&mut [i8], &mut [f64]),
) {
    for (row, scale) in rows.chunks_exact(columns).zip(scales.iter_mut()) {
        let max = row.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        *scale = max / f64::from(MAX);
    }
    if let Some(factor) = factor {
        for span in &factor.spans {
            with_feedback(rows, columns, span, (weights, scales));
        }
        return;
    }
    let rows = rows.chunks_exact(columns);
    for ((row, out), &scale) in rows.zip(weights.chunks_exact_mut(columns)).zip(&*scales) {
        if scale > 0.0 {
            for (out, x) in out.iter_mut().zip(row) {
                *out = small(round_to(x / scale, -MAX, MAX));
            }
        }
    }
}

fn with_feedback(
    rows: &[f64],
    columns: usize,
    span: &Span,
    (weights, scales): (&mut [i8], &[f64]),
) {
    let mut errors: Vec<Errors> = Vec::with_capacity(span.rows.len());
    for (t, coefficients) in span.rows.iter().enumerate() {
        let asked = asked(coefficients, &errors);
        let mut own = [0.0; LANES];
        let cells = rows.iter().zip(weights.iter_mut()).skip(span.first + t);
        let cells = cells.step_by(columns).zip(scales);
        for (((x, out), &scale), (error, asked)) in cells.zip(own.iter_mut().zip(asked)) {
            if scale > 0.0 {
                let x = x / scale;
                let rounded = round_to(x + f64::from(asked), -MAX, MAX);
                *error = narrow(x - f64::from(rounded));
                *out = small(rounded);
            }
        }
        errors.push(own);
    }
}

/// What the errors so far ask of the next column: the sum in the order of columns, by itself for each row.
fn asked(coefficients: &[f32], errors: &[Errors]) -> Errors {
    let mut sums = [0.0; LANES];
    for (c, errors) in coefficients.iter().zip(errors) {
        for (sum, error) in sums.iter_mut().zip(errors) {
            *sum += c * error;
        }
    }
    sums
}

fn small(weight: i32) -> i8 {
    i8::try_from(weight).unwrap_or(0)
}

#[cfg(test)]
mod tests;
