//! How close the exact program comes to float outputs that are given as data.
//!
//! The outputs should come from an engine that shares nothing with the importer (`format-*` has one), or the report must say whose they are. Nothing
//! here decides whether a model is good enough: that is the caller's, and no verifier ever asks.

use std::sync::Arc;

use credence_exact::{NodeId, Op, Shift, rescale};
use credence_exec::{Engine, Options, PlanError, RunError};
use credence_model::{Elements, Model, NodeSpec, Tensor, TensorError, Tensors};

use crate::number::{from_count, from_len};

/// Positions that are run at a time: all values of a run are looked at, so they are held in memory.
const CHUNK: usize = 16;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Fidelity {
    /// Number of positions.
    pub positions: u64,
    /// One for each output, in order.
    pub outputs: Vec<OutputFidelity>,
    /// Nodes of which cells left the range of their stored form and were clamped.
    pub saturated: Vec<Saturation>,
}

/// One output against its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputFidelity {
    /// The output's name.
    pub name: String,
    /// Errors, for an output of reals.
    pub errors: Option<Errors>,
    /// Agreement of the winners, for an output of labels, or of reals with several in a row.
    pub top_1: Option<Agreement>,
}

/// Errors of reals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Largest absolute error.
    pub max: f64,
    /// Mean absolute error.
    pub mean: f64,
    /// Cosine of the angle between both, all positions as one vector; 1 if both are zero.
    pub cosine: f64,
    /// Largest magnitude of the reference, which errors are to be compared with.
    pub magnitude: f64,
}

/// How often two runs gave the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Rows that agree.
    pub same: u64,
    /// All rows.
    pub of: u64,
}

impl Agreement {
    /// The share that agrees, `0 ..= 1`; 1 of nothing.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.of == 0 {
            1.0
        } else {
            from_count(self.same) / from_count(self.of)
        }
    }
}

/// Cells of one node that were clamped where the float model has no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saturation {
    /// The node's name in the program.
    pub node: String,
    /// Cells that were clamped.
    pub cells: u64,
    /// All cells of the node, over all positions.
    pub of: u64,
}

/// Why fidelity could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FidelityError {
    /// The program cannot be planned on this machine.
    #[error("the program cannot be run")]
    Plan(#[from] PlanError),
    /// The inputs do not fit.
    #[error("the program cannot be run on these inputs")]
    Run(#[from] RunError),
    /// The reference has no such output, or another type or shape of it.
    #[error("the float reference of output `{name}` is {got}, expected {expected}")]
    Reference {
        /// The output.
        name: String,
        /// Type and shape of the program's output.
        expected: String,
        /// What the reference has.
        got: String,
    },
    /// Inputs could not be cut into parts.
    #[error("the inputs cannot be cut into parts")]
    Tensors(#[from] TensorError),
}

/// Runs the program on `inputs` and compares with `reference`, the float outputs for the same inputs.
///
/// # Errors
/// [`FidelityError`] if the program cannot be run on them, or the reference is of something else.
pub fn measure(
    model: &Arc<Model>,
    inputs: &Tensors,
    reference: &Tensors,
    options: Options,
) -> Result<Fidelity, FidelityError> {
    let engine = Engine::new(Arc::clone(model), options)?;
    let nodes = &model.program().spec().nodes;
    let mut counts = vec![(0_u64, 0_u64); nodes.len()];
    let mut known: Vec<Vec<i64>> = vec![Vec::new(); nodes.len()];
    let mut positions = 0;
    let mut outputs: Vec<Vec<Elements>> = vec![Vec::new(); model.program().spec().outputs.len()];
    let mut shapes = Vec::new();
    for part in parts(inputs)? {
        let execution = engine.run_observed(&part, &mut |node: NodeId, _, cells| {
            let at = usize::try_from(node.0).unwrap_or(usize::MAX);
            if let (Some(spec), Some(count)) = (nodes.get(at), counts.get_mut(at)) {
                count.0 += saturated(model, spec, &known, cells.len());
                count.1 += u64::try_from(cells.len()).unwrap_or(u64::MAX);
                // Operands of the same position come before their readers.
                known[at] = cells.to_vec();
            }
        })?;
        positions += execution.positions;
        shapes = execution
            .outputs
            .iter()
            .map(|t| t.shape().to_vec())
            .collect();
        for (all, tensor) in outputs.iter_mut().zip(execution.outputs.iter()) {
            all.push(tensor.elements().clone());
        }
    }
    let specs = model.program().spec().outputs.iter();
    let outputs = specs
        .zip(outputs)
        .zip(shapes)
        .map(|((spec, elements), mut shape)| {
            if let Some(batch) = shape.first_mut() {
                *batch = positions;
            }
            compare(&spec.name, &shape, &elements, reference.get(&spec.name))
        });
    let saturated = nodes
        .iter()
        .zip(&counts)
        .filter(|(_, (cells, _))| *cells > 0);
    Ok(Fidelity {
        positions,
        outputs: outputs.collect::<Result<_, _>>()?,
        saturated: saturated
            .map(|(node, &(cells, of))| Saturation {
                node: node.name.clone(),
                cells,
                of,
            })
            .collect(),
    })
}

/// Cells that a clamp has changed because the type ends there. A lower end of the clamp that is the form's zero (0, or −128 for unsigned forms) is a
/// rectifier's, and an end inside the type's range a clip of the model's own: neither is counted.
fn saturated(model: &Model, node: &NodeSpec, known: &[Vec<i64>], cells: usize) -> u64 {
    let of = |x: NodeId| known.get(usize::try_from(x.0).unwrap_or(usize::MAX));
    let (sums, shift): (Vec<i64>, Shift) = match &node.op {
        Op::Rescale(op) => {
            let (Some(x), Some(multiplier)) = (of(op.x), model.param(op.multiplier)) else {
                return 0;
            };
            let multipliers = multiplier.to_i32_vec();
            let all = x.iter().zip(multipliers.iter().cycle());
            (all.map(|(x, m)| x * i64::from(*m)).collect(), op.shift)
        }
        Op::Add(op) => {
            let (Some(a), Some(b)) = (of(op.a), of(op.b)) else {
                return 0;
            };
            let sign = if op.negate_b { -1 } else { 1 };
            let (ma, mb) = (op.a_multiplier.get(), sign * op.b_multiplier.get());
            let all = a.iter().zip(b);
            (all.map(|(a, b)| a * ma + b * mb).collect(), op.shift)
        }
        _ => return 0,
    };
    let (low, high) = match &node.op {
        Op::Rescale(op) => (op.min, op.max),
        Op::Add(op) => (op.min, op.max),
        _ => return 0,
    };
    let top = node.dtype.range().1;
    let outside = |sum: &&i64| {
        let Ok(value) = rescale(**sum, shift) else {
            return false;
        };
        let above = i64::from(high) == top && value > top;
        let below = i64::from(low) == -top && value < -top;
        above || below
    };
    let count = sums.iter().take(cells).filter(outside).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The inputs in parts of at most [`CHUNK`] positions. What does not have one batch is one part, which the engine refuses by name.
fn parts(inputs: &Tensors) -> Result<Vec<Tensors>, TensorError> {
    let batch = |tensor: &Tensor| {
        let first = tensor.shape().first().copied();
        first.and_then(|first| usize::try_from(first).ok())
    };
    let batches: Vec<Option<usize>> = inputs.iter().map(batch).collect();
    let positions = match batches.first() {
        Some(&Some(positions))
            if positions > 0 && batches.iter().all(|b| *b == Some(positions)) =>
        {
            positions
        }
        _ => return Ok(vec![inputs.clone()]),
    };
    let mut parts = Vec::with_capacity(positions.div_ceil(CHUNK));
    for from in (0..positions).step_by(CHUNK) {
        let to = positions.min(from + CHUNK);
        let tensors = inputs.iter().map(|tensor| {
            let size = tensor.elements().len() / positions;
            let range = from * size..to * size;
            let elements = match tensor.elements() {
                Elements::Fp32(all) => Elements::Fp32(all[range].to_vec()),
                Elements::Int32(all) => Elements::Int32(all[range].to_vec()),
                Elements::Int64(all) => Elements::Int64(all[range].to_vec()),
            };
            let mut shape = tensor.shape().to_vec();
            if let Some(batch) = shape.first_mut() {
                *batch = u64::try_from(to - from).unwrap_or(u64::MAX);
            }
            Tensor::new(tensor.name(), shape, elements)
        });
        parts.push(Tensors::new(tensors.collect::<Result<_, _>>()?)?);
    }
    Ok(parts)
}

fn describe(elements: &Elements, shape: &[u64]) -> String {
    format!("{} {shape:?}", elements.border_type().name())
}

fn compare(
    name: &str,
    shape: &[u64],
    parts: &[Elements],
    reference: Option<&Tensor>,
) -> Result<OutputFidelity, FidelityError> {
    let error = |got: String| FidelityError::Reference {
        name: name.to_owned(),
        expected: parts
            .first()
            .map_or_else(String::new, |part| describe(part, shape)),
        got,
    };
    let reference = reference.ok_or_else(|| error("missing".to_owned()))?;
    let mismatch = || error(describe(reference.elements(), reference.shape()));
    if reference.shape() != shape {
        return Err(mismatch());
    }
    let row = if shape.len() > 1 {
        shape.last().copied().unwrap_or(1)
    } else {
        1
    };
    let row = usize::try_from(row).unwrap_or(usize::MAX).max(1);
    match reference.elements() {
        Elements::Fp32(expected) => {
            let mut got = Vec::with_capacity(expected.len());
            for part in parts {
                match part {
                    Elements::Fp32(part) => got.extend_from_slice(part),
                    Elements::Int32(_) | Elements::Int64(_) => return Err(mismatch()),
                }
            }
            Ok(OutputFidelity {
                name: name.to_owned(),
                errors: Some(errors(&got, expected)),
                top_1: (row > 1).then(|| winners(&got, expected, row)),
            })
        }
        Elements::Int64(expected) => {
            let mut got = Vec::with_capacity(expected.len());
            for part in parts {
                match part {
                    Elements::Int64(part) => got.extend_from_slice(part),
                    Elements::Int32(_) | Elements::Fp32(_) => return Err(mismatch()),
                }
            }
            let same = got.iter().zip(expected).filter(|(a, b)| a == b).count();
            Ok(OutputFidelity {
                name: name.to_owned(),
                errors: None,
                top_1: Some(agreement(same, expected.len())),
            })
        }
        Elements::Int32(_) => Err(mismatch()),
    }
}

fn agreement(same: usize, of: usize) -> Agreement {
    Agreement {
        same: u64::try_from(same).unwrap_or(u64::MAX),
        of: u64::try_from(of).unwrap_or(u64::MAX),
    }
}

fn errors(got: &[f32], expected: &[f32]) -> Errors {
    let (mut max, mut sum, mut magnitude) = (0.0_f64, 0.0, 0.0_f64);
    let (mut dot, mut own, mut other) = (0.0, 0.0, 0.0);
    for (&a, &b) in got.iter().zip(expected) {
        let (a, b) = (f64::from(a), f64::from(b));
        let error = (a - b).abs();
        max = max.max(error);
        sum += error;
        magnitude = magnitude.max(b.abs());
        dot += a * b;
        own += a * a;
        other += b * b;
    }
    let lengths = (own * other).sqrt();
    Errors {
        max,
        mean: sum / from_len(got.len().max(1)),
        cosine: match lengths > 0.0 {
            true => dot / lengths,
            false if own == other => 1.0,
            false => 0.0,
        },
        magnitude,
    }
}

/// Rows whose first largest element is the same.
fn winners(got: &[f32], expected: &[f32], row: usize) -> Agreement {
    let winner = |row: &[f32]| {
        let mut best = 0;
        for (k, x) in row.iter().enumerate() {
            if *x > row[best] {
                best = k;
            }
        }
        best
    };
    let rows = got.chunks_exact(row).zip(expected.chunks_exact(row));
    let same = rows.filter(|(a, b)| winner(a) == winner(b)).count();
    agreement(same, got.len() / row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_winners() {
        let measured = errors(&[1.0, 2.0, -3.0], &[1.0, 2.5, -3.0]);
        assert_eq!((measured.max, measured.magnitude), (0.5, 3.0));
        assert!((measured.mean - 0.5 / 3.0).abs() < 1e-12);
        assert!((0.99..1.0).contains(&measured.cosine));
        assert_eq!(errors(&[0.0], &[0.0]).cosine, 1.0);
        assert_eq!(errors(&[0.0], &[1.0]).cosine, 0.0);
        let same = winners(&[1.0, 2.0, 5.0, 4.0], &[0.0, 9.0, 1.0, 3.0], 2);
        assert_eq!((same, same.share()), (Agreement { same: 1, of: 2 }, 0.5));
    }
}
