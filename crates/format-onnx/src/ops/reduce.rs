//! Sums, means, extremes and norms along axes; normalisations.

use credence_import::{AffineOp, Combination, Elementary, Formula, GraphOp, ValueId, Window};

use super::elementwise::{affine, scaled};
use super::functions::formula;
use super::one;
use super::shapes::axis_behind_batch;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// What is computed of each run of elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sum,
    Mean,
    Max,
    Min,
}

/// Axes of a position in rising order, and whether they stay with length 1.
struct Along {
    axes: Vec<usize>,
    keep: bool,
}

fn along(
    t: &Translator,
    node: &Node<'_>,
    x: ValueId,
    operand_since: i64,
) -> Result<Along, OnnxError> {
    let rank = t.shape(x).len() + 1;
    let by_operand = node.opset >= operand_since;
    let known: &[&str] = if by_operand {
        &["keepdims", "noop_with_empty_axes"]
    } else {
        &["axes", "keepdims"]
    };
    node.operands_max(if by_operand { 2 } else { 1 })?;
    let attributes = node.attributes(known)?;
    let axes = if by_operand {
        node.ints(1)?.map(<[i64]>::to_vec)
    } else {
        attributes.ints("axes")?.map(<[i64]>::to_vec)
    };
    let axes = axes.unwrap_or_default();
    let expected = "axes behind the batch, at least one";
    let found: Option<Vec<usize>> = axes
        .iter()
        .map(|&axis| axis_behind_batch(axis, rank).map(|at| at - 1))
        .collect();
    let mut found = found
        .filter(|found| !found.is_empty())
        .ok_or_else(|| attributes.error("axes", expected, format!("{axes:?}")))?;
    found.sort_unstable();
    found.dedup();
    let keep = attributes.int_or("keepdims", 1)? != 0;
    Ok(Along { axes: found, keep })
}

/// Brings axes to the end, as one.
fn gathered(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    axes: &[usize],
) -> Result<ValueId, OnnxError> {
    let shape = t.shape(x);
    let kept: Vec<usize> = (0..shape.len()).filter(|k| !axes.contains(k)).collect();
    let mut order = kept.clone();
    order.extend_from_slice(axes);
    let mut y = x;
    if !order.iter().copied().eq(0..shape.len()) {
        y = t.push(node, GraphOp::Transpose { x, order })?;
    }
    let mut joined: Vec<usize> = kept.iter().map(|&k| shape[k]).collect();
    joined.push(axes.iter().map(|&k| shape[k]).product());
    t.reshape(node, y, joined)
}

fn count(shape: &[usize], axes: &[usize]) -> f64 {
    let cells: usize = axes.iter().map(|&k| shape[k]).product();
    super::fold::real(i64::try_from(cells).unwrap_or(i64::MAX))
}

/// The shape that is left, with or without axes of length 1.
fn left(shape: &[usize], along: &Along) -> Vec<usize> {
    let kept = (0..shape.len()).filter(|k| along.keep || !along.axes.contains(k));
    kept.map(|k| if along.axes.contains(&k) { 1 } else { shape[k] })
        .collect()
}

fn reduced(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    along: &Along,
    kind: Kind,
) -> Result<ValueId, OnnxError> {
    let shape = t.shape(x);
    if kind == Kind::Mean
        && let (&[_, height, width], [1, 2]) = (shape.as_slice(), along.axes.as_slice())
    {
        // An image's mean stays with its channels last.
        let window = Window {
            kernel: [height, width].map(|k| u32::try_from(k).unwrap_or(u32::MAX)),
            stride: [1, 1],
            pad: [0; 4],
            dilation: [1, 1],
        };
        let y = t.push(node, GraphOp::AveragePool { x, window })?;
        return t.reshape(node, y, left(&shape, along));
    }
    let mut y = gathered(t, node, x, &along.axes)?;
    y = match kind {
        Kind::Sum => t.push(node, GraphOp::Sum { x: y })?,
        Kind::Mean => {
            let sum = t.push(node, GraphOp::Sum { x: y })?;
            scaled(t, node, sum, (1.0 / count(&shape, &along.axes), 0.0))?
        }
        Kind::Max => t.push(node, GraphOp::Max { x: y })?,
        Kind::Min => {
            let turned = scaled(t, node, y, (-1.0, 0.0))?;
            let max = t.push(node, GraphOp::Max { x: turned })?;
            scaled(t, node, max, (-1.0, 0.0))?
        }
    };
    t.reshape(node, y, left(&shape, along))
}

fn operator(
    t: &mut Translator,
    node: &Node<'_>,
    operand_since: i64,
    kind: Kind,
) -> Result<Vec<Slot>, OnnxError> {
    let x = t.real(node, 0, node.value(0)?)?;
    let along = along(t, node, x, operand_since)?;
    Ok(one(reduced(t, node, x, &along, kind)?))
}

/// Sum along axes.
pub(crate) fn sum(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    operator(t, node, 13, Kind::Sum)
}

/// Mean along axes.
pub(crate) fn mean(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    operator(t, node, 18, Kind::Mean)
}

/// Maximum along axes.
pub(crate) fn max(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    operator(t, node, 18, Kind::Max)
}

/// Minimum along axes.
pub(crate) fn min(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    operator(t, node, 18, Kind::Min)
}

fn of_each(
    t: &mut Translator,
    node: &Node<'_>,
    before: Formula,
    after: Option<Formula>,
) -> Result<Vec<Slot>, OnnxError> {
    let x = t.real(node, 0, node.value(0)?)?;
    let along = along(t, node, x, 18)?;
    let x = formula(t, node, x, before)?;
    let mut y = reduced(t, node, x, &along, Kind::Sum)?;
    if let Some(after) = after {
        y = formula(t, node, y, after)?;
    }
    Ok(one(y))
}

fn square() -> Formula {
    Formula::x().with(Combination::Multiply, &Formula::x())
}

/// Sum of magnitudes along axes.
pub(crate) fn l1(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    of_each(t, node, Formula::x().apply(Elementary::Abs), None)
}

/// Root of the sum of squares along axes.
pub(crate) fn l2(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let root = Formula::x().apply(Elementary::Sqrt);
    of_each(t, node, square(), Some(root))
}

/// Sum of squares along axes.
pub(crate) fn sum_square(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    of_each(t, node, square(), None)
}

/// Each row less its mean, over its deviation, times gains, plus shifts.
pub(crate) fn layer_normalization(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let attributes = node.attributes(&["axis", "epsilon", "stash_type"])?;
    let epsilon = f64::from(attributes.float_or("epsilon", 1e-5)?);
    let x = t.real(node, 0, node.value(0)?)?;
    let shape = t.shape(x);
    let axis = attributes.int_or("axis", -1)?;
    let at = axis_behind_batch(axis, shape.len() + 1)
        .ok_or_else(|| attributes.error("axis", "one behind the batch", axis.to_string()))?;
    let mut joined = shape[..at - 1].to_vec();
    joined.push(shape[at - 1..].iter().product());
    let rows = t.reshape(node, x, joined)?;
    let op = GraphOp::Normalise {
        x: rows,
        epsilon,
        centred: true,
    };
    let y = t.push(node, op)?;
    let y = t.reshape(node, y, shape)?;
    gained(t, node, y, [1, 2])
}

/// `y·gain + shift`, both operands, the shift optional.
fn gained(
    t: &mut Translator,
    node: &Node<'_>,
    y: ValueId,
    [gain, shift]: [usize; 2],
) -> Result<Vec<Slot>, OnnxError> {
    let mut y = y;
    if node.operand(gain).is_some() {
        y = affine(t, node, y, (node.floats(gain)?, gain), |c| (c, 0.0))?;
    }
    if node.operand(shift).is_some() {
        y = affine(t, node, y, (node.floats(shift)?, shift), |c| (1.0, c))?;
    }
    Ok(one(y))
}

/// Each channel less its mean, over its deviation, times its gain, plus its shift.
pub(crate) fn instance_normalization(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let attributes = node.attributes(&["epsilon"])?;
    let epsilon = f64::from(attributes.float_or("epsilon", 1e-5)?);
    let x = t.real(node, 0, node.value(0)?)?;
    let shape = t.shape(x);
    let (&channels, rest) = shape
        .split_first()
        .ok_or_else(|| node.operand_error(0, "[batch, C, ..]", "[batch]"))?;
    let rows = t.reshape(node, x, vec![channels, rest.iter().product()])?;
    let op = GraphOp::Normalise {
        x: rows,
        epsilon,
        centred: true,
    };
    let y = t.push(node, op)?;
    let part = |index: usize| {
        let constant = node.floats(index)?;
        let values: Vec<f64> = constant
            .floats()
            .unwrap_or_default()
            .iter()
            .map(|&v| f64::from(v))
            .collect();
        if values.len() == channels {
            Ok(values)
        } else {
            let expected = format!("of {channels} elements, one for each channel");
            Err(node.operand_error(index, expected, constant.describe()))
        }
    };
    let affine = AffineOp {
        x: y,
        axis: 0,
        scale: part(1)?,
        shift: part(2)?,
    };
    let y = t.push(node, GraphOp::Affine(affine))?;
    Ok(one(t.reshape(node, y, shape)?))
}
