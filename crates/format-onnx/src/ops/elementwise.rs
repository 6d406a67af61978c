//! Arithmetic element by element: with constants, or between two values, with numpy's broadcasting behind the batch.

use credence_import::{AffineOp, Combination, Elementary, Formula, GraphOp, ValueId};

use super::functions::formula;
use super::{fold, one};
use crate::constant::Constant;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// What stands on either side.
enum Sides<'a> {
    Values(ValueId, ValueId),
    /// Value and constant; whether the constant stands on the left.
    Constant(ValueId, &'a Constant, bool),
    /// Nothing depends on the inputs.
    Constants(&'a Constant, &'a Constant),
}

fn sides<'a>(t: &Translator, node: &'a Node<'_>) -> Result<Sides<'a>, OnnxError> {
    node.operands_max(2)?;
    match (node.operand(0), node.operand(1)) {
        (Some(Slot::Constant(a)), Some(Slot::Constant(b))) => Ok(Sides::Constants(a, b)),
        (Some(Slot::Constant(_)), _) => Ok(Sides::Constant(
            t.real(node, 1, node.value(1)?)?,
            node.floats(0)?,
            true,
        )),
        (_, Some(Slot::Constant(_))) => Ok(Sides::Constant(
            t.real(node, 0, node.value(0)?)?,
            node.floats(1)?,
            false,
        )),
        _ => Ok(Sides::Values(
            t.real(node, 0, node.value(0)?)?,
            t.real(node, 1, node.value(1)?)?,
        )),
    }
}

/// Two values of one shape: axes of length 1 are repeated.
pub(crate) fn broadcast(
    t: &mut Translator,
    node: &Node<'_>,
    a: ValueId,
    b: ValueId,
) -> Result<[ValueId; 2], OnnxError> {
    let (first, second) = (t.shape(a), t.shape(b));
    let fits = first.len() == second.len()
        && first
            .iter()
            .zip(&second)
            .all(|(&a, &b)| a == b || a == 1 || b == 1);
    if !fits {
        let expected = format!("a value that broadcasts against [batch, {first:?}]");
        return Err(node.operand_error(1, expected, format!("[batch, {second:?}]")));
    }
    let shape: Vec<usize> = first.iter().zip(&second).map(|(&a, &b)| a.max(b)).collect();
    Ok([t.expand(node, a, shape.clone())?, t.expand(node, b, shape)?])
}

/// A constant against a value: the value, repeated where the constant is longer, the neighbouring axes along which the constant varies, and its elements there.
fn varying(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    constant: &Constant,
    index: usize,
) -> Result<(ValueId, core::ops::Range<usize>, Vec<f64>), OnnxError> {
    let shape = t.shape(x);
    let error = || {
        node.operand_error(
            index,
            format!("a constant that broadcasts against [batch, {shape:?}] and does not vary along the batch"),
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
    let mut all = vec![1; missing];
    all.extend(dims);
    let fits = shape
        .iter()
        .zip(&all)
        .all(|(&own, &other)| own == other || own == 1 || other == 1);
    if !fits || all.contains(&0) {
        return Err(error());
    }
    let full: Vec<usize> = shape.iter().zip(&all).map(|(&a, &b)| a.max(b)).collect();
    let varies: Vec<usize> = (0..all.len()).filter(|&k| all[k] != 1).collect();
    let range = match (varies.first(), varies.last()) {
        (Some(&first), Some(&last)) => first..last + 1,
        _ => 0..0,
    };
    let values = constant.floats().unwrap_or_default();
    // Between the ends, axes of length 1 in the constant are filled.
    let values = fold::spread(values, &all[range.clone()], &full[range.clone()]);
    let x = t.expand(node, x, full)?;
    Ok((x, range, values.iter().map(|&v| f64::from(v)).collect()))
}

/// Applies `x·scale + shift` where both come from a constant's elements.
pub(crate) fn affine(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    (constant, index): (&Constant, usize),
    of: impl Fn(f64) -> (f64, f64),
) -> Result<ValueId, OnnxError> {
    let (x, range, values) = varying(t, node, x, constant, index)?;
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
    t.reshape(node, y, shape)
}

/// `x·scale + shift`, two numbers.
pub(crate) fn scaled(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    (scale, shift): (f64, f64),
) -> Result<ValueId, OnnxError> {
    let affine = AffineOp {
        x,
        axis: 0,
        scale: vec![scale],
        shift: vec![shift],
    };
    t.push(node, GraphOp::Affine(affine))
}

fn sum(t: &mut Translator, node: &Node<'_>, subtract: bool) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    match sides(t, node)? {
        Sides::Constants(a, b) => {
            fold::binary(node, a, b, |a, b| if subtract { a - b } else { a + b })
        }
        Sides::Values(a, b) => {
            let whole = t.is_integers(a) && t.is_integers(b);
            let [a, b] = broadcast(t, node, a, b)?;
            let y = t.push(node, GraphOp::Add { a, b, subtract })?;
            if whole {
                t.note_integers(y);
            }
            Ok(one(y))
        }
        Sides::Constant(x, constant, left) => {
            let index = usize::from(!left);
            let y = affine(t, node, x, (constant, index), |c| match (subtract, left) {
                (false, _) => (1.0, c),
                (true, false) => (1.0, -c),
                (true, true) => (-1.0, c),
            })?;
            Ok(one(y))
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

/// `a·b`.
pub(crate) fn mul(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    match sides(t, node)? {
        Sides::Constants(a, b) => fold::binary(node, a, b, |a, b| a * b),
        Sides::Values(a, b) => {
            let [a, b] = broadcast(t, node, a, b)?;
            Ok(one(t.push(node, GraphOp::Mul { a, b })?))
        }
        Sides::Constant(x, constant, left) => {
            let y = affine(t, node, x, (constant, usize::from(!left)), |c| (c, 0.0))?;
            Ok(one(y))
        }
    }
}

/// `a / b`; a computed b must be positive.
pub(crate) fn div(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    match sides(t, node)? {
        Sides::Constants(a, b) => fold::binary(node, a, b, |a, b| a / b),
        Sides::Values(a, b) => {
            let [a, b] = broadcast(t, node, a, b)?;
            Ok(one(t.push(node, GraphOp::Div { a, b })?))
        }
        Sides::Constant(x, constant, false) => {
            Ok(one(affine(t, node, x, (constant, 1), |c| (1.0 / c, 0.0))?))
        }
        Sides::Constant(x, constant, true) => {
            let inverse = Formula::constant(1.0).with(Combination::Divide, &Formula::x());
            let x = formula(t, node, x, inverse)?;
            Ok(one(affine(t, node, x, (constant, 0), |c| (c, 0.0))?))
        }
    }
}

/// `a^b` for a constant exponent of one element.
pub(crate) fn pow(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    if let (Some(Slot::Constant(a)), Some(Slot::Constant(b))) = (node.operand(0), node.operand(1)) {
        return fold::binary(node, a, b, f64::powf);
    }
    let x = t.real(node, 0, node.value(0)?)?;
    let exponent = node.number(1)?;
    let power = |count: u32| {
        (1..count).fold(Formula::x(), |power, _| {
            power.with(Combination::Multiply, &Formula::x())
        })
    };
    let by = if exponent == 1.0 {
        return Ok(one(x));
    } else if exponent == 2.0 {
        power(2)
    } else if exponent == 3.0 {
        power(3)
    } else if exponent == 0.5 {
        Formula::x().apply(Elementary::Sqrt)
    } else {
        Formula::x().with_number(Combination::Power, exponent)
    };
    Ok(one(formula(t, node, x, by)?))
}

/// The larger of `a` and `b` as `a + max(b − a, 0)`, the smaller as `a + min(b − a, 0)`.
fn extreme(
    t: &mut Translator,
    node: &Node<'_>,
    [a, b]: [ValueId; 2],
    max: bool,
) -> Result<ValueId, OnnxError> {
    let [a, b] = broadcast(t, node, a, b)?;
    let difference = GraphOp::Add {
        a: b,
        b: a,
        subtract: true,
    };
    let x = t.push(node, difference)?;
    let x = t.push(node, half_line(x, max))?;
    let sum = GraphOp::Add {
        a,
        b: x,
        subtract: false,
    };
    t.push(node, sum)
}

fn half_line(x: ValueId, max: bool) -> GraphOp {
    let (min, max) = if max {
        (0.0, f64::INFINITY)
    } else {
        (f64::NEG_INFINITY, 0.0)
    };
    GraphOp::Clip { x, min, max }
}

/// The extreme of a value and a constant.
fn extreme_constant(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    (index, max): (usize, bool),
) -> Result<ValueId, OnnxError> {
    let Some(constant) = node.constant(index)? else {
        return Err(node.operand_error(index, "given", "absent"));
    };
    if let Some([single]) = constant.floats() {
        let end = f64::from(*single);
        let (low, high) = if max {
            (end, f64::INFINITY)
        } else {
            (f64::NEG_INFINITY, end)
        };
        // An end at infinity is none.
        if low == f64::NEG_INFINITY && high == f64::INFINITY {
            return Ok(x);
        }
        let clip = GraphOp::Clip {
            x,
            min: low,
            max: high,
        };
        return t.push(node, clip);
    }
    let constant = node.floats(index)?;
    let x = affine(t, node, x, (constant, index), |c| (1.0, -c))?;
    let x = t.push(node, half_line(x, max))?;
    affine(t, node, x, (constant, index), |c| (1.0, c))
}

fn extremes(t: &mut Translator, node: &Node<'_>, max: bool) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    let constants: Vec<bool> = (0..node.operand_count())
        .map(|index| matches!(node.operand(index), Some(Slot::Constant(_))))
        .collect();
    if let ([true, true], Some(Slot::Constant(a)), Some(Slot::Constant(b))) =
        (constants.as_slice(), node.operand(0), node.operand(1))
    {
        return fold::binary(node, a, b, |a, b| if max { a.max(b) } else { a.min(b) });
    }
    let mut value: Option<ValueId> = None;
    for index in (0..constants.len()).filter(|&index| !constants[index]) {
        let x = t.real(node, index, node.value(index)?)?;
        value = Some(match value {
            Some(known) => extreme(t, node, [known, x], max)?,
            None => x,
        });
    }
    let Some(mut value) = value else {
        return Err(node.operand_error(0, "something that depends on the inputs", "constants"));
    };
    for index in (0..constants.len()).filter(|&index| constants[index]) {
        value = extreme_constant(t, node, value, (index, max))?;
    }
    Ok(one(value))
}

/// The largest of all operands.
pub(crate) fn max(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    extremes(t, node, true)
}

/// The smallest of all operands.
pub(crate) fn min(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    extremes(t, node, false)
}
