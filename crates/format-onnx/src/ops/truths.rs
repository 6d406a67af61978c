//! Truths, as 1 and 0: comparisons, what combines them, and integers taken for truths.
//!
//! A difference of integers is clipped to −1 … 1 before it is compared with 0, so that the table that compares is exact however large they are.

use credence_import::{Combination, Formula, GraphOp, ValueId};

use super::elementwise::{affine, broadcast};
use super::functions::formula;
use super::{fold, one};
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

use Combination::{Add, Less, Subtract};

/// How two numbers are compared.
type Comparison = fn(Formula, &Formula) -> Formula;

/// The sign of an integer, or the part of the integers around one: what a table of integers is exact on.
fn clipped(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    around: f64,
) -> Result<ValueId, OnnxError> {
    let (min, max) = (around - 1.0, around + 1.0);
    t.push(node, GraphOp::Clip { x, min, max })
}

/// A value beside a constant; whether the constant stands on the left.
fn with_constant(
    t: &mut Translator,
    node: &Node<'_>,
    how: Comparison,
    left: bool,
) -> Result<ValueId, OnnxError> {
    let (own, other) = if left { (1, 0) } else { (0, 1) };
    let x = t.real(node, own, node.value(own)?)?;
    let constant = node.numbers(other)?;
    let ints = node.constant(other)?.and_then(|constant| constant.ints());
    let whole = t.is_integers(x) && ints.is_some();
    if let (true, Some([single])) = (whole, constant.floats()) {
        let number = f64::from(*single);
        let x = clipped(t, node, x, number)?;
        let number = Formula::constant(number);
        let by = if left {
            how(number, &Formula::x())
        } else {
            how(Formula::x(), &number)
        };
        return formula(t, node, x, by);
    }
    let sign = if left { -1.0 } else { 1.0 };
    let mut x = affine(t, node, x, (&constant, other), |c| (sign, -sign * c))?;
    if whole {
        x = clipped(t, node, x, 0.0)?;
    }
    formula(t, node, x, how(Formula::x(), &Formula::constant(0.0)))
}

/// A comparison with a number, or of two values, as 1 and 0.
fn compared(t: &mut Translator, node: &Node<'_>, how: Comparison) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    let y = match (node.operand(0), node.operand(1)) {
        (Some(Slot::Constant(a)), Some(Slot::Constant(b))) => {
            return fold::binary(node, a, b, |a, b| {
                how(Formula::constant(a), &Formula::constant(b)).of(0.0)
            });
        }
        (_, Some(Slot::Constant(_))) => with_constant(t, node, how, false)?,
        (Some(Slot::Constant(_)), _) => with_constant(t, node, how, true)?,
        _ => {
            let a = t.real(node, 0, node.value(0)?)?;
            let b = t.real(node, 1, node.value(1)?)?;
            let whole = t.is_integers(a) && t.is_integers(b);
            let [a, b] = broadcast(t, node, a, b)?;
            let subtract = true;
            let mut x = t.push(node, GraphOp::Add { a, b, subtract })?;
            if whole {
                x = clipped(t, node, x, 0.0)?;
            }
            formula(t, node, x, how(Formula::x(), &Formula::constant(0.0)))?
        }
    };
    t.note_truths(y);
    Ok(one(y))
}

/// 1 where `a = b`; of an integer against a row of integers, what a product with a matrix makes rows of it.
pub(crate) fn equal(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    if let Some(found) = super::parts::one_hot_of(t, node)? {
        return Ok(vec![found]);
    }
    compared(t, node, |a, b| a.with(Combination::Equal, b))
}

/// 1 where `a < b`.
pub(crate) fn less(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    compared(t, node, |a, b| a.with(Less, b))
}

/// 1 where `a > b`.
pub(crate) fn greater(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    compared(t, node, |a, b| b.clone().with(Less, &a))
}

fn negated(holds: &Formula) -> Formula {
    Formula::constant(1.0).with(Subtract, holds)
}

/// 1 where `a ≤ b`.
pub(crate) fn less_or_equal(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    compared(t, node, |a, b| negated(&b.clone().with(Less, &a)))
}

/// 1 where `a ≥ b`.
pub(crate) fn greater_or_equal(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    compared(t, node, |a, b| negated(&a.with(Less, b)))
}

/// 1 where x is 0.
pub(crate) fn not(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    node.attributes(&[])?;
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        return fold::unary(node, constant, |x| 1.0 - x);
    }
    let (x, batch) = node.placed(0)?;
    truth_operand(t, node, 0, x)?;
    let y = formula(t, node, x, negated(&Formula::x()))?;
    t.note_truths(y);
    Ok(vec![Slot::placed(y, batch)])
}

fn truth_operand(
    t: &Translator,
    node: &Node<'_>,
    index: usize,
    x: ValueId,
) -> Result<(), OnnxError> {
    if t.is_truths(x) {
        return Ok(());
    }
    Err(node.operand_error(
        index,
        "truths: the result of a comparison, or a cast to BOOL",
        "numbers",
    ))
}

/// Two truths by the sum of both.
fn combined(
    t: &mut Translator,
    node: &Node<'_>,
    of: fn(f64) -> bool,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    let sum = match (node.operand(0), node.operand(1)) {
        (Some(Slot::Constant(a)), Some(Slot::Constant(b))) => {
            return fold::binary(node, a, b, |a, b| truth(of(a + b)));
        }
        (a, b) => {
            let constant = [a, b].map(|side| matches!(side, Some(Slot::Constant(_))));
            match constant.iter().position(|constant| *constant) {
                Some(index) => {
                    let x = node.value(1 - index)?;
                    truth_operand(t, node, 1 - index, x)?;
                    affine(t, node, x, (&node.numbers(index)?, index), |c| (1.0, c))?
                }
                None => {
                    let (a, b) = (node.value(0)?, node.value(1)?);
                    truth_operand(t, node, 0, a)?;
                    truth_operand(t, node, 1, b)?;
                    let [a, b] = broadcast(t, node, a, b)?;
                    let subtract = false;
                    t.push(node, GraphOp::Add { a, b, subtract })?
                }
            }
        }
    };
    // The function of the sums 0, 1 and 2, constant about each.
    let step = |at: f64, height: f64| {
        Formula::constant(at)
            .with(Less, &Formula::x())
            .scaled(height, 0.0)
    };
    let values = [0.0, 1.0, 2.0].map(|sum| truth(of(sum)));
    let by = Formula::constant(values[0])
        .with(Add, &step(0.5, values[1] - values[0]))
        .with(Add, &step(1.5, values[2] - values[1]));
    let y = formula(t, node, sum, by)?;
    t.note_truths(y);
    Ok(one(y))
}

/// 1 where both are.
pub(crate) fn and(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    combined(t, node, |sum| sum > 1.5)
}

/// 1 where one is, or both.
pub(crate) fn or(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    combined(t, node, |sum| sum > 0.5)
}

/// 1 where one is and the other is not.
pub(crate) fn xor(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    combined(t, node, |sum| sum > 0.5 && sum < 1.5)
}

/// Integers as truths: 1 where they are not 0.
pub(crate) fn of_integers(
    t: &mut Translator,
    node: &Node<'_>,
    slot: &Slot,
) -> Result<Vec<Slot>, OnnxError> {
    let (x, batch) = match slot {
        Slot::Moved(x, batch) => (*x, *batch),
        _ => (node.value(0)?, 0),
    };
    let x = t.real(node, 0, x)?;
    let x = clipped(t, node, x, 0.0)?;
    let by = negated(&Formula::x().with_number(Combination::Equal, 0.0));
    let y = formula(t, node, x, by)?;
    t.note_truths(y);
    Ok(vec![Slot::placed(y, batch)])
}
