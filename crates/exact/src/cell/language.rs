//! The relations of the ops that language models add (`docs/spec/arithmetic.md`, section 6).

use core::ops::Range;

use super::{CellError, Context, accumulate, accumulator, bias};
use crate::fixed::exp_256;
use crate::{
    Attend, Embed, Hadamard, Mul, NodeId, Quantise, RmsRatio, Rope, Scores, Shape, ShapeError,
    Shift, Sight, clamp, rescale,
};

/// The shift of rotations: cosines and sines are in units of 2⁻¹⁴.
const ROPE_SHIFT: u8 = 14;

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn narrow(wide: i128) -> Result<i64, CellError> {
    i64::try_from(wide).map_err(|_| CellError::Accumulator { got: i64::MAX })
}

fn last(node: NodeId, cx: &impl Context) -> Result<usize, CellError> {
    Ok(cx.shape(node)?.last())
}

pub(super) fn embed(op: &Embed, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let row = cx.value(op.x, 0)?;
    let bad = CellError::Parameter {
        what: "a row number",
        got: row,
    };
    let Ok(row) = usize::try_from(row) else {
        return Err(bad);
    };
    let width = cx.param_shape(op.table)?.last();
    let Some(at) = row.checked_mul(width).and_then(|at| at.checked_add(index)) else {
        return Err(bad);
    };
    let multiplier = cx.param(op.multiplier, row)?;
    if multiplier < 0 {
        return Err(CellError::Parameter {
            what: "multiplier",
            got: multiplier,
        });
    }
    let product = accumulate(0, cx.param(op.table, at)?, multiplier)?;
    Ok(clamp(rescale(product, op.shift)?, op.min, op.max))
}

pub(super) fn max_abs(x: NodeId, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let length = last(x, cx)?;
    let mut max = 1;
    for k in 0..length {
        max = max.max(cx.value(x, index * length + k)?.saturating_abs());
    }
    Ok(max)
}

pub(super) fn quantise(
    op: &Quantise,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let length = last(op.x, cx)?;
    let scale = cx.value(op.scale, index / length)?;
    if scale < 1 {
        return Err(CellError::Parameter {
            what: "a scale",
            got: scale,
        });
    }
    let limit = i64::from(op.limit);
    let sum = accumulate(scale / 2, cx.value(op.x, index)?, limit)?;
    Ok(sum.div_euclid(scale).clamp(-limit, limit))
}

pub(super) fn rms_ratio(
    op: &RmsRatio,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let length = last(op.x, cx)?;
    let mut sum = i64::try_from(op.epsilon).unwrap_or(i64::MAX);
    for k in 0..length {
        let x = cx.value(op.x, index * length + k)?;
        sum = accumulate(sum, x, x)?;
    }
    let root = sum.isqrt().max(1);
    let scale = cx.value(op.scale, index)?;
    if scale < 0 {
        return Err(CellError::Parameter {
            what: "a scale",
            got: scale,
        });
    }
    let product = accumulate(0, scale, op.factor.get())?;
    Ok((product / root).min(i64::from(op.max)))
}

pub(super) fn mul(op: &Mul, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let length = last(op.a, cx)?;
    let broadcast = last(op.b, cx)? != length;
    let b = cx.value(op.b, if broadcast { index / length } else { index })?;
    let product = accumulate(0, cx.value(op.a, index)?, b)?;
    let bias = bias(op.bias, index % length, cx)?;
    let sum = rescale(product, op.shift)?.saturating_add(bias);
    Ok(clamp(sum, op.min, op.max))
}

pub(super) fn rope(op: &Rope, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let length = last(op.x, cx)?;
    let pairs = cx.param_shape(op.cos)?.last();
    let (first, within) = (index / length * length, index % length);
    let x = cx.value(op.x, index)?;
    if within >= 2 * pairs {
        return Ok(clamp(x, op.min, op.max));
    }
    let pair = within % pairs;
    let angle = cx.position()? * pairs + pair;
    let (cos, sin) = (cx.param(op.cos, angle)?, cx.param(op.sin, angle)?);
    let sum = accumulate(0, x, cos)?;
    let sum = if within < pairs {
        accumulate(sum, cx.value(op.x, first + pair + pairs)?, -sin)?
    } else {
        accumulate(sum, cx.value(op.x, first + pair)?, sin)?
    };
    let shift = Shift::try_from(ROPE_SHIFT)?;
    Ok(clamp(rescale(sum, shift)?, op.min, op.max))
}

/// The positions that this one sees.
fn seen(sight: Sight, cx: &impl Context) -> Result<Range<usize>, CellError> {
    let positions = if sight.ahead { cx.positions()? } else { 0 };
    Ok(sight.range(cx.position()?, positions))
}

/// The group of keys or values that head `head` of `heads` reads.
fn group(head: usize, heads: usize, x: NodeId, cx: &impl Context) -> Result<usize, CellError> {
    let groups = cx.shape(x)?.dims().first().copied().unwrap_or(1);
    Ok(head * groups / heads)
}

fn heads(shape: &Shape) -> usize {
    shape.dims().first().copied().unwrap_or(1)
}

pub(super) fn scores(
    op: &Scores,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let (head, earlier) = (index / shape.last(), index % shape.last());
    if !seen(op.sight(), cx)?.contains(&earlier) {
        return Err(CellError::Absent {
            what: "the scores",
            index,
        });
    }
    let width = last(op.q, cx)?;
    let group = group(head, heads(shape), op.k, cx)?;
    let mut sum = 0;
    for d in 0..width {
        let q = cx.value(op.q, head * width + d)?;
        sum = accumulate(sum, q, cx.past(op.k, earlier, group * width + d)?)?;
    }
    let product = accumulate(0, accumulator(sum)?, op.multiplier.get())?;
    Ok(clamp(rescale(product, op.shift)?, op.min, op.max))
}

pub(super) fn attend(
    op: &Attend,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let (head, d) = (index / shape.last(), index % shape.last());
    let context = last(op.scores, cx)?;
    let seen = seen(cx.sight(op.scores)?, cx)?;
    let mut row = Vec::new();
    for other in seen.start..seen.end.min(context) {
        row.push((other, cx.value(op.scores, head * context + other)?));
    }
    let max = row.iter().map(|&(_, score)| score).max().unwrap_or(0);
    let group = group(head, heads(shape), op.v, cx)?;
    let (mut sum, mut weights) = (0_i128, 0_i64);
    for (other, score) in row {
        let weight = exp_256(max.abs_diff(score));
        let v = cx.past(op.v, other, group * shape.last() + d)?;
        sum += i128::from(weight) * i128::from(v);
        weights += weight;
    }
    let half = i128::from(weights / 2);
    let mean = ((sum << op.bits.min(15)) + half).checked_div_euclid(weights.into());
    narrow(mean.ok_or(CellError::Absent {
        what: "the positions seen",
        index,
    })?)
}

pub(super) fn hadamard(
    op: &Hadamard,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let size = usize::try_from(op.size).unwrap_or(usize::MAX);
    let Some(i) = index.checked_rem(size) else {
        return Err(CellError::Shape(ShapeError::Operand {
            what: "size",
            expected: "a power of two".to_owned(),
            got: op.size.to_string(),
        }));
    };
    let first = index - i;
    let mut sum = 0;
    for j in 0..size {
        let sign = if (i & j).count_ones() % 2 == 0 { 1 } else { -1 };
        sum = accumulate(sum, cx.value(op.x, first + j)?, sign)?;
    }
    accumulator(sum)
}

/// The position as a value.
pub(super) fn position(cx: &mut impl Context) -> Result<i64, CellError> {
    Ok(signed(cx.position()?))
}
