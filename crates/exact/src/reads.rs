//! How much a cell relation reads: which cells of which operands, at most, determine one cell.
//!
//! A spot check opens what a relation reads, and a referee computes it, so a program is held to a limit
//! (`docs/spec/trace.md`, section 5). Counts are upper bounds that hold for every cell of the node.

use crate::shape::{ShapeError, Shapes};
use crate::{Dtype, NodeId, Op, ParamId, Window};

/// What one relation may cost at most: 2,048 values, 4,096 of 16 bits, or 16,384 of 8 bits, and 256 more for the scales and multipliers beside them.
pub const COST_MAX: u64 = 16_640;

/// What one value read counts: 1 if it has 8 bits, 4 if it has 16, else 8.
#[must_use]
pub const fn cost_of(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::I8 => 1,
        Dtype::I16 => 4,
        Dtype::I32 => 8,
    }
}

/// What one cell of a node reads at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Cells of operands: each entry counts by itself unless `alternatives`.
    pub nodes: Vec<(NodeId, u64)>,
    /// Whether a cell reads from one of `nodes` only, not from all.
    pub alternatives: bool,
    /// Cells of an operand at this and earlier positions.
    pub past: Vec<(NodeId, u64)>,
    /// Entries of parameters, counted by [`cost_of`] their type.
    pub params: Vec<(ParamId, u64)>,
}

/// What one cell of a node with this op reads at most.
///
/// # Errors
/// [`ShapeError`] if a shape is missing.
pub fn reads(op: &Op, shapes: &impl Shapes) -> Result<Reads, ShapeError> {
    let of = |node, count: usize| (node, u64::try_from(count).unwrap_or(u64::MAX));
    let entries = |param, count: usize| (param, u64::try_from(count).unwrap_or(u64::MAX));
    let mut reads = Reads::default();
    match op {
        Op::Input(_) => {}
        Op::Linear(op) => {
            let columns = shapes.param(op.weight)?.0.last();
            reads.nodes.push(of(op.x, columns));
            reads.params.push(entries(op.weight, columns));
            reads.params.extend(op.bias.map(|bias| (bias, 1)));
        }
        Op::Conv(op) => {
            let weight = shapes.param(op.weight)?.0;
            let row = weight.cells() / weight.dims().first().copied().unwrap_or(1);
            reads.nodes.push(of(op.x, row));
            reads.params.push(entries(op.weight, row));
            reads.params.extend(op.bias.map(|bias| (bias, 1)));
        }
        Op::Rescale(op) => {
            reads.nodes.push((op.x, 1));
            reads.params.push((op.multiplier, 1));
        }
        Op::Add(op) => reads.nodes.extend([(op.a, 1), (op.b, 1)]),
        Op::Table(op) => {
            reads.nodes.push((op.x, 1));
            reads.params.push((op.table, 1));
        }
        Op::MaxPool(op) => reads.nodes.push((op.x, window_cells(op.window))),
        Op::SumPool(op) => reads.nodes.push((op.x, window_cells(op.window))),
        Op::Reindex(op) => reads.nodes.push((op.x, 1)),
        Op::Concat(op) => {
            reads.nodes.extend(op.xs.iter().map(|&x| (x, 1)));
            reads.alternatives = true;
        }
        Op::Softmax(op) => {
            let length = shapes.node(op.x)?.0.last();
            reads.nodes.push(of(op.x, length));
            reads.params.push(entries(op.exp, length));
        }
        Op::ArgMax(op) => reads.nodes.push(of(op.x, shapes.node(op.x)?.0.last())),
        Op::TreeLeaves(op) => {
            reads.nodes.push((op.x, u64::from(op.depth)));
            reads
                .params
                .extend([(op.nodes, 4 * u64::from(op.depth)), (op.roots, 1)]);
        }
        Op::GatherSum(op) => {
            let trees = shapes.node(op.x)?.0.cells();
            reads.nodes.push(of(op.x, trees));
            reads.params.push(entries(op.table, trees));
            reads.params.extend(op.bias.map(|bias| (bias, 1)));
        }
        Op::Gather(_)
        | Op::MatMul(_)
        | Op::Divide(_)
        | Op::Token(_)
        | Op::Position(_)
        | Op::Embed(_)
        | Op::MaxAbs(_)
        | Op::Quantise(_)
        | Op::RmsRatio(_)
        | Op::Mul(_)
        | Op::Rope(_)
        | Op::Scores(_)
        | Op::Attend(_)
        | Op::Hadamard(_) => return later(op, shapes),
    }
    Ok(reads)
}

/// Those that language models and larger tensor models add.
fn later(op: &Op, shapes: &impl Shapes) -> Result<Reads, ShapeError> {
    let of = |node, count: usize| (node, u64::try_from(count).unwrap_or(u64::MAX));
    let mut reads = Reads::default();
    match op {
        Op::Gather(op) => {
            reads.nodes.push((op.x, 1));
            reads.params.push((op.table, 1));
        }
        Op::MatMul(op) => {
            let inner = shapes.node(op.a)?.0.last();
            reads.nodes.extend([of(op.a, inner), of(op.b, inner)]);
        }
        Op::Divide(op) => reads.nodes.extend([(op.a, 1), (op.b, 1)]),
        Op::Embed(op) => {
            reads.nodes.push((op.x, 1));
            reads.params.extend([(op.table, 1), (op.multiplier, 1)]);
        }
        Op::MaxAbs(op) => reads.nodes.push(of(op.x, shapes.node(op.x)?.0.last())),
        Op::Quantise(op) => reads.nodes.extend([(op.x, 1), (op.scale, 1)]),
        Op::RmsRatio(op) => {
            let length = shapes.node(op.x)?.0.last();
            reads.nodes.extend([of(op.x, length), (op.scale, 1)]);
        }
        Op::Mul(op) => {
            reads.nodes.extend([(op.a, 1), (op.b, 1)]);
            reads.params.extend(op.bias.map(|bias| (bias, 1)));
        }
        Op::Rope(op) => {
            reads.nodes.push((op.x, 2));
            reads.params.extend([(op.cos, 1), (op.sin, 1)]);
        }
        Op::Scores(op) => {
            let width = shapes.node(op.q)?.0.last();
            reads.nodes.push(of(op.q, width));
            reads.past.push(of(op.k, width));
        }
        Op::Attend(op) => {
            let context = shapes.context()?;
            reads.nodes.push(of(op.scores, context));
            reads.past.push(of(op.v, context));
        }
        Op::Hadamard(op) => reads.nodes.push((op.x, u64::from(op.size))),
        _ => {}
    }
    Ok(reads)
}

fn window_cells(window: Window) -> u64 {
    window.kernel.into_iter().map(u64::from).product()
}
