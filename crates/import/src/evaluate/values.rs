//! The ops that combine values, reduce them, or take parts of them, in f64.

use super::{EvaluateError, Evaluator, rows, to_i64};
use crate::graph::{GraphOp, Run, ValueId};
use crate::number::from_len;

impl Evaluator<'_> {
    /// The value of one of these ops; `None` for any other.
    pub(super) fn combined(
        &self,
        index: usize,
        op: &GraphOp,
        values: &[Vec<f64>],
    ) -> Result<Option<Vec<f64>>, EvaluateError> {
        let of = |x: ValueId| values[x.0].as_slice();
        let shape = |x: ValueId| self.graph.node(x).shape.as_slice();
        let pairs = |a: ValueId, b: ValueId| of(a).iter().zip(of(b));
        Ok(Some(match op {
            GraphOp::Mul { a, b } => pairs(*a, *b).map(|(a, b)| a * b).collect(),
            GraphOp::Div { a, b } => pairs(*a, *b).map(|(a, b)| a / b).collect(),
            GraphOp::MatMul { a, b } => mat_mul(of(*a), of(*b), shape(*a), shape(*b)),
            GraphOp::Sum { x } => {
                let sum = |row: &[f64]| row.iter().fold(0.0, |sum, x| sum + x);
                rows(of(*x), shape(*x)).map(sum).collect()
            }
            GraphOp::Max { x } => {
                let max = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                rows(of(*x), shape(*x)).map(max).collect()
            }
            GraphOp::Normalise {
                x,
                epsilon,
                centred,
            } => rows(of(*x), shape(*x))
                .flat_map(|row| normalise(row, *epsilon, *centred))
                .collect(),
            GraphOp::Slice { x, axis, run } => slice(of(*x), shape(*x), *axis, *run),
            GraphOp::Expand { x, shape: to } => expand(of(*x), shape(*x), to),
            GraphOp::Pad {
                x,
                axis,
                counts,
                value,
            } => pad(of(*x), shape(*x), *axis, (*counts, *value)),
            GraphOp::Rows { x, table, width } => {
                let row = |&at: &f64| {
                    let got = to_i64(at);
                    let start = usize::try_from(got)
                        .ok()
                        .and_then(|at| at.checked_mul(*width));
                    let row = start.and_then(|start| table.get(start..)?.get(..*width));
                    row.ok_or_else(|| EvaluateError::Lookup {
                        node: self.graph.nodes()[index].name.clone(),
                        got,
                    })
                };
                let rows = of(*x).iter().map(row).collect::<Result<Vec<_>, _>>()?;
                rows.into_iter().flatten().map(|&w| f64::from(w)).collect()
            }
            _ => return Ok(None),
        }))
    }
}

fn mat_mul(a: &[f64], b: &[f64], from: &[usize], by: &[usize]) -> Vec<f64> {
    let inner = from.last().copied().unwrap_or(1);
    let rows = from.iter().rev().nth(1).copied().unwrap_or(1);
    let columns = by.last().copied().unwrap_or(1);
    let mut result = Vec::with_capacity(a.len() / inner * columns);
    for (number, a) in a.chunks_exact(inner).enumerate() {
        let b = &b[number / rows * inner * columns..][..inner * columns];
        let mut sums = vec![0.0; columns];
        for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
        result.extend(sums);
    }
    result
}

fn normalise(row: &[f64], epsilon: f64, centred: bool) -> Vec<f64> {
    let count = from_len(row.len());
    let mean = if centred {
        row.iter().fold(0.0, |sum, x| sum + x) / count
    } else {
        0.0
    };
    let squares = row.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
    let root = (squares / count + epsilon).sqrt();
    row.iter().map(|x| (x - mean) / root).collect()
}

/// Cells before an axis, along it, and behind it.
fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [
        shape.iter().take(axis).product(),
        shape.get(axis).copied().unwrap_or(1),
        shape.iter().skip(axis + 1).product(),
    ]
}

fn slice(x: &[f64], shape: &[usize], axis: usize, run: Run) -> Vec<f64> {
    let [outer, length, inner] = around(shape, axis);
    let mut result = Vec::with_capacity(outer * run.count * inner);
    for o in 0..outer {
        let mut at = run.start;
        for _ in 0..run.count {
            result.extend_from_slice(&x[(o * length + at) * inner..][..inner]);
            at = at.wrapping_add_signed(run.step);
        }
    }
    result
}

fn expand(x: &[f64], shape: &[usize], to: &[usize]) -> Vec<f64> {
    let mut values = x.to_vec();
    for (axis, (&from, &count)) in shape.iter().zip(to).enumerate() {
        if from != count {
            // Axes before this one have their new length already.
            let inner: usize = shape.iter().skip(axis + 1).product();
            let runs = values.chunks_exact(inner);
            values = runs.flat_map(|run| run.repeat(count)).collect();
        }
    }
    values
}

fn pad(
    x: &[f64],
    shape: &[usize],
    axis: usize,
    ([before, after], value): ([usize; 2], f64),
) -> Vec<f64> {
    let [_, length, inner] = around(shape, axis);
    let mut result = Vec::new();
    for part in x.chunks_exact(length * inner) {
        result.resize(result.len() + before * inner, value);
        result.extend_from_slice(part);
        result.resize(result.len() + after * inner, value);
    }
    result
}
