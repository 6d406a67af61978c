//! Arithmetic element by element, with constants or between two values, and unary functions.

use credence_import::{AffineOp, Function, GraphOp, ValueId};

use super::one;
use crate::constant::Constant;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// What stands on either side.
enum Sides<'a> {
    Values(ValueId, ValueId),
    /// Value and constant; whether the constant stands on the left.
    Constant(ValueId, &'a Constant, bool),
}

fn sides<'a>(t: &Translator, node: &'a Node<'_>) -> Result<Sides<'a>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    match (node.operand(0), node.operand(1)) {
        (Some(&Slot::Value(a)), Some(&Slot::Value(b))) => {
            Ok(Sides::Values(t.real(node, 0, a)?, t.real(node, 1, b)?))
        }
        (Some(&Slot::Value(x)), _) => {
            Ok(Sides::Constant(t.real(node, 0, x)?, node.floats(1)?, false))
        }
        (_, _) => Ok(Sides::Constant(
            t.real(node, 1, node.value(1)?)?,
            node.floats(0)?,
            true,
        )),
    }
}

/// A constant broadcast against a value: the axes it varies along, which must be neighbours, and its elements along them.
fn varying(
    t: &Translator,
    node: &Node<'_>,
    x: ValueId,
    constant: &Constant,
    index: usize,
) -> Result<(core::ops::Range<usize>, Vec<f64>), OnnxError> {
    let shape = t.shape(x);
    let error = || {
        node.operand_error(
            index,
            format!("a constant that varies along neighbouring axes of [batch, {shape:?}], not along the batch"),
            constant.describe(),
        )
    };
    // Axes of the constant count from the last; those before the value's, the batch among them, have length 1.
    let mut dims = constant.shape.clone();
    let extra = dims.len().saturating_sub(shape.len());
    if dims.drain(..extra).any(|dim| dim != 1) {
        return Err(error());
    }
    let missing = shape.len() - dims.len();
    let varies: Vec<usize> = (0..dims.len()).filter(|&k| dims[k] != 1).collect();
    let fits = varies.iter().all(|&k| dims[k] == shape[k + missing]);
    let values = constant.floats().unwrap_or_default();
    let range = match (varies.first(), varies.last()) {
        (Some(&first), Some(&last)) => first + missing..last + 1 + missing,
        _ => 0..0,
    };
    // Between the ends, axes of length 1 in the constant are broadcast unless the value's are as short.
    let length: usize = shape
        .get(range.clone())
        .map_or(1, |dims| dims.iter().product());
    if !fits || length != values.len() {
        return Err(error());
    }
    Ok((range, values.iter().map(|&v| f64::from(v)).collect()))
}

/// Applies `x·scale + shift` where both come from a constant's elements.
fn affine(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    (constant, index): (&Constant, usize),
    of: impl Fn(f64) -> (f64, f64),
) -> Result<Vec<Slot>, OnnxError> {
    let (range, values) = varying(t, node, x, constant, index)?;
    let (scale, shift): (Vec<f64>, Vec<f64>) = values.into_iter().map(of).unzip();
    let shape = t.shape(x);
    // Axes that vary together are one axis for as long.
    let mut joined = shape.clone();
    if range.len() > 1 {
        joined.splice(range.clone(), [scale.len()]);
    }
    let x = t.reshape(node, x, joined)?;
    let y = t.push(
        node,
        GraphOp::Affine(AffineOp {
            x,
            axis: range.start,
            scale,
            shift,
        }),
    )?;
    Ok(one(t.reshape(node, y, shape)?))
}

fn sum(t: &mut Translator, node: &Node<'_>, subtract: bool) -> Result<Vec<Slot>, OnnxError> {
    match sides(t, node)? {
        Sides::Values(a, b) => Ok(one(t.push(node, GraphOp::Add { a, b, subtract })?)),
        Sides::Constant(x, constant, left) => {
            let index = usize::from(!left);
            affine(t, node, x, (constant, index), |c| match (subtract, left) {
                (false, _) => (1.0, c),
                (true, false) => (1.0, -c),
                (true, true) => (-1.0, c),
            })
        }
    }
}

/// `a + b`.
pub(crate) fn add(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    sum(t, node, false)
}

/// `a − b`.
pub(crate) fn sub(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    sum(t, node, true)
}

/// `a·b`, one of them constant.
pub(crate) fn mul(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    match sides(t, node)? {
        Sides::Values(..) => Err(node.operand_error(1, "a constant", "a computed value")),
        Sides::Constant(x, constant, left) => {
            affine(t, node, x, (constant, usize::from(!left)), |c| (c, 0.0))
        }
    }
}

/// `a / b` for a constant b.
pub(crate) fn div(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    match sides(t, node)? {
        Sides::Constant(x, constant, false) => {
            affine(t, node, x, (constant, 1), |c| (1.0 / c, 0.0))
        }
        Sides::Constant(_, _, true) | Sides::Values(..) => {
            Err(node.operand_error(1, "a constant", "a computed value"))
        }
    }
}

fn unary(
    t: &mut Translator,
    node: &Node<'_>,
    op: impl FnOnce(ValueId) -> GraphOp,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let x = node.value(0)?;
    Ok(one(t.push(node, op(x))?))
}

/// `max(x, 0)`.
pub(crate) fn relu(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    unary(t, node, |x| GraphOp::Clip {
        x,
        min: 0.0,
        max: f64::INFINITY,
    })
}

/// `x` above zero, `alpha·x` below.
pub(crate) fn leaky_relu(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let alpha = f64::from(node.attributes(&["alpha"])?.float_or("alpha", 0.01)?);
    unary(t, node, |x| GraphOp::Unary {
        x,
        function: Function::LeakyRelu { alpha },
    })
}

/// `1 / (1 + exp(−x))`.
pub(crate) fn sigmoid(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    unary(t, node, |x| GraphOp::Unary {
        x,
        function: Function::Sigmoid,
    })
}

/// Hyperbolic tangent.
pub(crate) fn tanh(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    unary(t, node, |x| GraphOp::Unary {
        x,
        function: Function::Tanh,
    })
}

/// `min(max(x, low), high)`, the ends being attributes before version 11 and operands since.
pub(crate) fn clip(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let (mut min, mut max) = (f64::NEG_INFINITY, f64::INFINITY);
    if node.opset < 11 {
        let attributes = node.attributes(&["min", "max"])?;
        node.operands_max(1)?;
        min = f64::from(attributes.float_or("min", f32::MIN)?);
        max = f64::from(attributes.float_or("max", f32::MAX)?);
    } else {
        node.attributes(&[])?;
        node.operands_max(3)?;
        for (index, end) in [(1, &mut min), (2, &mut max)] {
            if node.operand(index).is_some() {
                let constant = node.floats(index)?;
                match constant.floats() {
                    Some([single]) => *end = f64::from(*single),
                    _ => return Err(node.operand_error(index, "one number", constant.describe())),
                }
            }
        }
    }
    let x = node.value(0)?;
    Ok(one(t.push(node, GraphOp::Clip { x, min, max })?))
}
