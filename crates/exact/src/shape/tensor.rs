//! The shapes of the ops that larger tensor models add.

use super::{Shape, ShapeError, Shapes, clamp_range, operand, require};
use crate::{Divide, Dtype, Gather, MatMul, NodeId};

fn show(shape: &Shape) -> String {
    format!("{:?}", shape.dims())
}

pub(super) fn gather(op: &Gather, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    let (table, _) = shapes.param(op.table)?;
    let &[_, width] = table.dims() else {
        return Err(operand("table", "[L, C]", show(table)));
    };
    let mut sizes = x.dims().to_vec();
    sizes.push(width);
    Shape::from_sizes(&sizes)
}

/// The last two axes of a factor, and those before.
fn factor<'s>(
    what: &'static str,
    node: NodeId,
    shapes: &'s impl Shapes,
) -> Result<(&'s [usize], [usize; 2]), ShapeError> {
    let (shape, dtype) = shapes.node(node)?;
    match shape.dims() {
        [outer @ .., rows, columns] if dtype != Dtype::I32 => Ok((outer, [*rows, *columns])),
        _ => Err(operand(
            what,
            "I8 or I16 of at least two axes",
            format!("{dtype:?} {:?}", shape.dims()),
        )),
    }
}

pub(super) fn mat_mul(op: &MatMul, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (outer, [rows, inner]) = factor("a", op.a, shapes)?;
    let (outer_b, [inner_b, columns]) = factor("b", op.b, shapes)?;
    let fits = outer == outer_b && inner == inner_b;
    require(fits, "b", "[.., K, N] beside [.., M, K]", || {
        format!("{outer_b:?} [{inner_b}, {columns}] beside {outer:?} [{rows}, {inner}]")
    })?;
    let mut sizes = outer.to_vec();
    sizes.extend([rows, columns]);
    Shape::from_sizes(&sizes)
}

pub(super) fn divide(op: &Divide, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let ((a, _), (b, _)) = (shapes.node(op.a)?, shapes.node(op.b)?);
    let same = match (a.dims().split_last(), b.dims().split_last()) {
        (Some((_, outer)), Some((1, outer_b))) => a == b || outer == outer_b,
        _ => a == b,
    };
    require(same, "b", "of the shape of a, or [.., 1]", || {
        format!("{} beside {}", show(b), show(a))
    })?;
    clamp_range(op.min, op.max)?;
    Ok(a.clone())
}
