//! The relations of the ops that larger tensor models add (`docs/spec/arithmetic.md`, section 5.1).

use super::{CellError, Context, accumulate, accumulator};
use crate::{Divide, Gather, MatMul};

pub(super) fn gather(op: &Gather, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let width = cx.param_shape(op.table)?.last();
    let row = cx.value(op.x, index / width)?;
    let at = usize::try_from(row)
        .ok()
        .and_then(|row| row.checked_mul(width))
        .and_then(|at| at.checked_add(index % width));
    cx.param(
        op.table,
        at.ok_or(CellError::Parameter {
            what: "a row number",
            got: row,
        })?,
    )
}

pub(super) fn mat_mul(op: &MatMul, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let inner = cx.shape(op.a)?.last();
    let columns = cx.shape(op.b)?.last();
    let rows = match cx.shape(op.a)?.dims() {
        [.., rows, _] => *rows,
        _ => 1,
    };
    // The row of a counts through all the axes before; its matrix is the same in b.
    let (row, column) = (index / columns, index % columns);
    let matrix = row / rows;
    let mut sum = 0;
    for k in 0..inner {
        let a = cx.value(op.a, row * inner + k)?;
        let b = cx.value(op.b, (matrix * inner + k) * columns + column)?;
        sum = accumulate(sum, a, b)?;
    }
    accumulator(sum)
}

pub(super) fn divide(op: &Divide, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let length = cx.shape(op.a)?.last();
    let each = cx.shape(op.b)?.last() == length;
    let divisor = cx.value(op.b, if each { index } else { index / length })?;
    if divisor < 1 {
        return Err(CellError::Parameter {
            what: "a divisor",
            got: divisor,
        });
    }
    let sum = accumulate(divisor / 2, cx.value(op.a, index)?, op.factor.get())?;
    let quotient = sum.div_euclid(divisor);
    Ok(quotient.clamp(op.min.into(), op.max.into()))
}
