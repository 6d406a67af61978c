//! The shapes of the ops that language models add.

use super::{Shape, ShapeError, Shapes, clamp_range, matrix, operand, require, vector};
use crate::{Attend, Dtype, Embed, Hadamard, Mul, NodeId, Quantise, RmsRatio, Rope, Scores};

/// Largest block of a Hadamard transform.
const HADAMARD_MAX: u32 = 2048;
/// Numbers in canonical JSON are below this.
const EPSILON_LIMIT: u64 = 1 << 53;
/// Most bits by which a mean is finer than its values.
const FINER_MAX: u8 = 15;
/// Most columns of a table of rotations: half of a head's width.
const PAIRS_MAX: usize = 1024;

/// One cell.
pub(super) fn scalar() -> Result<Shape, ShapeError> {
    Shape::new(&[1])
}

fn show(shape: &Shape) -> String {
    format!("{:?}", shape.dims())
}

pub(super) fn embed(op: &Embed, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    require(x.dims() == [1], "x", "[1]", || show(x))?;
    let (table, dtype) = shapes.param(op.table)?;
    let expected = if dtype == Dtype::I16 {
        Dtype::I16
    } else {
        Dtype::I8
    };
    let [rows, width] = matrix("table", table, dtype, expected)?;
    let (multiplier, dtype) = shapes.param(op.multiplier)?;
    vector("multiplier", multiplier, dtype, &[rows])?;
    clamp_range(op.min, op.max)?;
    Shape::from_sizes(&[width])
}

/// The shape with a last axis of one cell.
fn reduced(x: &Shape) -> Result<Shape, ShapeError> {
    let mut sizes = x.dims().to_vec();
    match sizes.last_mut() {
        Some(last) => *last = 1,
        None => return Err(operand("x", "at least one axis", "a scalar")),
    }
    Shape::from_sizes(&sizes)
}

pub(super) fn max_abs(x: NodeId, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    reduced(shapes.node(x)?.0)
}

fn scale(x: &Shape, scale: NodeId, shapes: &impl Shapes) -> Result<(), ShapeError> {
    let (got, _) = shapes.node(scale)?;
    require(*got == reduced(x)?, "scale", "[.., 1]", || show(got))
}

pub(super) fn quantise(op: &Quantise, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    scale(x, op.scale, shapes)?;
    let limited = (1..=i16::MAX.unsigned_abs()).contains(&op.limit);
    require(limited, "limit", "1..=32,767", || op.limit.to_string())?;
    Ok(x.clone())
}

pub(super) fn rms_ratio(op: &RmsRatio, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    scale(x, op.scale, shapes)?;
    let small = op.epsilon < EPSILON_LIMIT;
    require(small, "epsilon", "below 2^53", || op.epsilon.to_string())?;
    clamp_range(0, op.max)?;
    reduced(x)
}

pub(super) fn mul(op: &Mul, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let ((a, _), (b, _)) = (shapes.node(op.a)?, shapes.node(op.b)?);
    let fits = a == b || *b == reduced(a)?;
    require(fits, "b", "of the shape of a, or [.., 1]", || {
        format!("{:?} beside {:?}", b.dims(), a.dims())
    })?;
    if let Some(bias) = op.bias {
        let (bias, dtype) = shapes.param(bias)?;
        vector("bias", bias, dtype, &[a.last()])?;
    }
    clamp_range(op.min, op.max)?;
    Ok(a.clone())
}

pub(super) fn rope(op: &Rope, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    let context = shapes.context()?;
    let (cos, cos_dtype) = shapes.param(op.cos)?;
    let (sin, sin_dtype) = shapes.param(op.sin)?;
    for (what, table, dtype) in [("cos", cos, cos_dtype), ("sin", sin, sin_dtype)] {
        let [rows, pairs] = matrix(what, table, dtype, Dtype::I16)?;
        let fits = rows == context && pairs <= PAIRS_MAX && 2 * pairs <= x.last() && cos == table;
        require(fits, what, "[context, K] with 2K ≤ D", || show(table))?;
    }
    clamp_range(op.min, op.max)?;
    Ok(x.clone())
}

/// Heads and width of a value of two axes of i16.
fn heads(what: &'static str, node: NodeId, shapes: &impl Shapes) -> Result<[usize; 2], ShapeError> {
    let (shape, dtype) = shapes.node(node)?;
    matrix(what, shape, dtype, Dtype::I16)
}

pub(super) fn scores(op: &Scores, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let [heads_q, width] = heads("q", op.q, shapes)?;
    let [heads_k, width_k] = heads("k", op.k, shapes)?;
    let fits = width == width_k && heads_q.is_multiple_of(heads_k);
    require(fits, "k", "[G, D] with G dividing H", || {
        format!("[{heads_k}, {width_k}] beside [{heads_q}, {width}]")
    })?;
    require(op.window != Some(0), "window", "at least 1", || {
        "0".to_owned()
    })?;
    require(
        !(op.ahead && op.window.is_some()),
        "window",
        "none where later positions are seen",
        || format!("{:?}", op.window),
    )?;
    clamp_range(op.min, op.max)?;
    Shape::from_sizes(&[heads_q, shapes.context()?])
}

pub(super) fn attend(op: &Attend, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let [heads_z, context] = heads("scores", op.scores, shapes)?;
    let fits = context == shapes.context()? && shapes.is_scores(op.scores);
    require(fits, "scores", "the result of `scores`", || {
        format!("[{heads_z}, {context}]")
    })?;
    let [heads_v, width] = heads("v", op.v, shapes)?;
    require(op.bits <= FINER_MAX, "bits", "0..=15", || {
        op.bits.to_string()
    })?;
    let divides = heads_z.is_multiple_of(heads_v);
    require(divides, "v", "[G, D] with G dividing H", || {
        format!("[{heads_v}, {width}] beside [{heads_z}, ..]")
    })?;
    Shape::from_sizes(&[heads_z, width])
}

pub(super) fn hadamard(op: &Hadamard, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    let size = usize::try_from(op.size).unwrap_or(usize::MAX);
    let fits = op.size.is_power_of_two()
        && (2..=HADAMARD_MAX).contains(&op.size)
        && x.last().is_multiple_of(size);
    require(fits, "size", "a power of two that divides C", || {
        format!("{} for {:?}", op.size, x.dims())
    })?;
    Ok(x.clone())
}
