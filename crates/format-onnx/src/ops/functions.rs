//! Functions of one number: clips, and what becomes a table.

use std::sync::Arc;

use credence_import::{AffineOp, Combination, Elementary, Formula, Function, GraphOp, ValueId};

use super::elementwise::{affine, scaled};
use super::{fold, one};
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

use Combination::{Add, Divide, Maximum, Minimum, Multiply};

/// A formula of a value.
pub(crate) fn formula(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    formula: Formula,
) -> Result<ValueId, OnnxError> {
    let function = Function::Formula(Arc::new(formula));
    t.push(node, GraphOp::Unary { x, function })
}

/// An operator that is a formula of its operand, constant or not.
fn applied(t: &mut Translator, node: &Node<'_>, by: Formula) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    match node.operand(0) {
        Some(Slot::Constant(constant)) => fold::unary(node, constant, |x| by.of(x)),
        Some(&Slot::Moved(x, batch)) => {
            let y = formula(t, node, x, by)?;
            Ok(vec![Slot::Moved(y, batch)])
        }
        _ => {
            let x = t.real(node, 0, node.value(0)?)?;
            Ok(one(formula(t, node, x, by)?))
        }
    }
}

fn plain(
    t: &mut Translator,
    node: &Node<'_>,
    function: Elementary,
) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    applied(t, node, Formula::x().apply(function))
}

fn unary(
    t: &mut Translator,
    node: &Node<'_>,
    op: impl FnOnce(ValueId) -> GraphOp,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    if let Some(&Slot::Moved(x, batch)) = node.operand(0) {
        let y = t.push(node, op(x))?;
        return Ok(vec![Slot::Moved(y, batch)]);
    }
    let x = t.real(node, 0, node.value(0)?)?;
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

/// `x` above zero, `slope·x` below, a slope for all or for each index along neighbouring axes.
pub(crate) fn p_relu(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    let x = t.real(node, 0, node.value(0)?)?;
    let slope = node.floats(1)?;
    if let Some([single]) = slope.floats() {
        let alpha = f64::from(*single);
        let function = Function::LeakyRelu { alpha };
        return Ok(one(t.push(node, GraphOp::Unary { x, function })?));
    }
    let clip = |min, max| GraphOp::Clip { x, min, max };
    let above = t.push(node, clip(0.0, f64::INFINITY))?;
    let below = t.push(node, clip(f64::NEG_INFINITY, 0.0))?;
    let below = affine(t, node, below, (slope, 1), |c| (c, 0.0))?;
    let sum = GraphOp::Add {
        a: above,
        b: below,
        subtract: false,
    };
    Ok(one(t.push(node, sum)?))
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

/// Magnitude.
pub(crate) fn abs(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Abs)
}

/// Sine.
pub(crate) fn sin(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Sin)
}

/// Cosine.
pub(crate) fn cos(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Cos)
}

/// Gauss's error function.
pub(crate) fn erf(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Erf)
}

/// `e^x`.
pub(crate) fn exp(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Exp)
}

/// The largest integer not above x.
pub(crate) fn floor(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Floor)
}

/// Natural logarithm.
pub(crate) fn log(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Log)
}

/// −1, 0 or 1.
pub(crate) fn sign(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Sign)
}

/// Square root.
pub(crate) fn sqrt(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    plain(t, node, Elementary::Sqrt)
}

/// The smallest integer not below x.
pub(crate) fn ceil(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    let ceil = Formula::x()
        .scaled(-1.0, 0.0)
        .apply(Elementary::Floor)
        .scaled(-1.0, 0.0);
    applied(t, node, ceil)
}

/// `−x`.
pub(crate) fn neg(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    node.operands_max(1)?;
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        return fold::unary(node, constant, |x| -x);
    }
    let slots = unary(t, node, |x| {
        GraphOp::Affine(AffineOp {
            x,
            axis: 0,
            scale: vec![-1.0],
            shift: vec![0.0],
        })
    })?;
    if let (Some(Slot::Value(x)), [Slot::Value(y)]) = (node.operand(0), slots.as_slice())
        && t.is_integers(*x)
    {
        t.note_integers(*y);
    }
    Ok(slots)
}

/// `1/x`.
pub(crate) fn reciprocal(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    applied(t, node, Formula::constant(1.0).with(Divide, &Formula::x()))
}

/// `clip(alpha·x + beta, 0, 1)`.
fn hard_gate(alpha: f64, beta: f64) -> Formula {
    Formula::x().scaled(alpha, beta).clipped(0.0, 1.0)
}

/// `clip(alpha·x + beta, 0, 1)`: a scaling and a clip, which cost nothing where something in front takes them up.
pub(crate) fn hard_sigmoid(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["alpha", "beta"])?;
    let alpha = f64::from(attributes.float_or("alpha", 0.2)?);
    let beta = f64::from(attributes.float_or("beta", 0.5)?);
    let x = t.real(node, 0, node.value(0)?)?;
    let x = scaled(t, node, x, (alpha, beta))?;
    let clip = GraphOp::Clip {
        x,
        min: 0.0,
        max: 1.0,
    };
    Ok(one(t.push(node, clip)?))
}

/// `x·clip(x/6 + 1/2, 0, 1)`.
pub(crate) fn hard_swish(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    let gate = hard_gate(1.0 / 6.0, 0.5);
    applied(t, node, Formula::x().with(Multiply, &gate))
}

/// `alpha·(e^x − 1)` below zero.
fn exponential(alpha: f64) -> Formula {
    let below = Formula::x()
        .with_number(Minimum, 0.0)
        .apply(Elementary::Exp)
        .scaled(alpha, -alpha);
    Formula::x().with_number(Maximum, 0.0).with(Add, &below)
}

/// `x` above zero, `alpha·(e^x − 1)` below.
pub(crate) fn elu(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let alpha = f64::from(node.attributes(&["alpha"])?.float_or("alpha", 1.0)?);
    applied(t, node, exponential(alpha))
}

/// `gamma·x` above zero, `gamma·alpha·(e^x − 1)` below.
pub(crate) fn selu(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let attributes = node.attributes(&["alpha", "gamma"])?;
    let alpha = f64::from(attributes.float_or("alpha", 1.673_263_2)?);
    let gamma = f64::from(attributes.float_or("gamma", 1.050_701)?);
    applied(t, node, exponential(alpha).scaled(gamma, 0.0))
}

/// `ln(1 + e^x)`, without overflow: `max(x, 0) + ln(1 + e^−|x|)`.
fn soft_plus() -> Formula {
    let tail = Formula::x()
        .apply(Elementary::Abs)
        .scaled(-1.0, 0.0)
        .apply(Elementary::Exp)
        .scaled(1.0, 1.0)
        .apply(Elementary::Log);
    Formula::x().with_number(Maximum, 0.0).with(Add, &tail)
}

/// `ln(1 + e^x)`.
pub(crate) fn softplus(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    applied(t, node, soft_plus())
}

/// `x·tanh(ln(1 + e^x))`.
pub(crate) fn mish(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    let gate = soft_plus().apply(Elementary::Tanh);
    applied(t, node, Formula::x().with(Multiply, &gate))
}

/// `x/(1 + |x|)`.
pub(crate) fn softsign(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.attributes(&[])?;
    let divisor = Formula::x().apply(Elementary::Abs).scaled(1.0, 1.0);
    applied(t, node, Formula::x().with(Divide, &divisor))
}

/// `x·Φ(x)`, exactly or by its approximation with tanh.
pub(crate) fn gelu(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let attributes = node.attributes(&["approximate"])?;
    let gate = match attributes.string("approximate")?.unwrap_or("none") {
        "none" => Formula::x()
            .scaled(core::f64::consts::FRAC_1_SQRT_2, 0.0)
            .apply(Elementary::Erf),
        "tanh" => {
            let cube = Formula::x()
                .with(Multiply, &Formula::x())
                .scaled(0.044_715, 1.0)
                .with(Multiply, &Formula::x());
            let root = (2.0 / core::f64::consts::PI).sqrt();
            cube.scaled(root, 0.0).apply(Elementary::Tanh)
        }
        other => return Err(attributes.error("approximate", "none or tanh", other)),
    };
    applied(t, node, gate.scaled(0.5, 0.5).with(Multiply, &Formula::x()))
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
                *end = node.number(index)?;
            }
        }
    }
    let x = node.value(0)?;
    Ok(one(t.push(node, GraphOp::Clip { x, min, max })?))
}
