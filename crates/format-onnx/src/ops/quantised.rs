//! Operators on integers of 8 bits, as quantisers write them. The integers of the file are kept: those of weights become the program's, and values are rounded to
//! the scales that the file gives, so that none of them needs calibration.
//!
//! ```text
//! QuantizeLinear ─▶ a value rounded to its integers, and these as a name ([`Slot::Codes`]) ─DequantizeLinear─▶ the value
//! ```
//!
//! Integers of 0 … 255 stand here as −128 … 127. Scales along an axis are for weights alone; 4 and 16 bits, blocks and floats of 8 bits are refused by name.

use std::sync::Arc;

use credence_import::{Codes, GraphOp, ValueId, Window};
use tract_onnx::pb::tensor_proto::DataType;

use super::elementwise::scaled;
use super::{fold, layers, one, windows};
use crate::constant::{Constant, Steps, Values, narrow, type_name};
use crate::error::OnnxError;
use crate::translate::{Coded, Node, Slot, Translator};

/// Operators that take elements as they are, so that integers stay integers of the same scale.
const MOVES: [&str; 9] = [
    "Flatten",
    "Gather",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The integers that an operator only moves, if it is one that does.
pub(crate) fn moved_codes(node: &Node<'_>) -> Option<Coded> {
    match node.operand(0) {
        Some(Slot::Codes(coded)) if MOVES.contains(&node.proto.op_type.as_str()) => Some(*coded),
        _ => None,
    }
}

/// What has been moved, as integers again.
pub(crate) fn as_codes(slots: Vec<Slot>, coded: Coded) -> Vec<Slot> {
    let again = |slot| match slot {
        Slot::Value(value) => Slot::Codes(Coded { value, ..coded }),
        other => other,
    };
    slots.into_iter().map(again).collect()
}

/// A constant's steps after its axes have been put in another order.
pub(crate) fn with_steps(slots: Vec<Slot>, from: &Constant, order: &[usize]) -> Vec<Slot> {
    let turned = |slot| match (slot, &from.steps) {
        (Slot::Constant(constant), Some(steps)) => {
            let axis = order.iter().position(|&axis| axis == steps.axis);
            let scales = steps.scales.clone();
            let mut constant = Constant::clone(&constant);
            constant.steps = axis.map(|axis| Steps { scales, axis });
            Slot::Constant(Arc::new(constant))
        }
        (slot, _) => slot,
    };
    slots.into_iter().map(turned).collect()
}

/// Scales and zero points along an axis, or one of each.
struct Grid {
    scales: Vec<f32>,
    zeros: Vec<i64>,
    /// Whether integers are −128 … 127, if the file says so.
    signed: bool,
}

fn element(kind: DataType) -> i32 {
    i32::from(kind)
}

/// The scale and the zero point that stand at these operands.
fn grid(node: &Node<'_>, [scale, zero]: [usize; 2], other: i32) -> Result<Grid, OnnxError> {
    let scales = node.floats(scale)?.floats().unwrap_or_default().to_vec();
    if scales.is_empty() || scales.iter().any(|s| *s < f32::MIN_POSITIVE) {
        let got = format!("{} of them, not all positive", scales.len());
        return Err(node.operand_error(scale, "positive numbers", got));
    }
    let zero_point = node.constant(zero)?;
    let kind = zero_point.map_or(other, |constant| constant.element);
    let signed = kind == element(DataType::Int8);
    let known = [DataType::Int8, DataType::Uint8, DataType::Int32].map(element);
    if !known.contains(&kind) {
        let expected = "of INT8 or UINT8";
        return Err(node.operand_error(zero, expected, format!("of {}", type_name(kind))));
    }
    let zeros = match node.ints(zero)? {
        Some(zeros) => zeros.to_vec(),
        None => vec![0],
    };
    if zeros.len() != scales.len() && zeros.len() != 1 {
        let got = zeros.len().to_string();
        return Err(node.operand_error(zero, "as many as scales", got));
    }
    Ok(Grid {
        scales,
        zeros,
        signed,
    })
}

impl Grid {
    /// One scale and zero point for a computed value.
    fn codes(&self, node: &Node<'_>, index: usize) -> Result<Codes, OnnxError> {
        let (&[scale], &[zero]) = (self.scales.as_slice(), self.zeros.as_slice()) else {
            let got = format!("{} of them", self.scales.len());
            return Err(node.operand_error(index, "one scale for a computed value", got));
        };
        let zero = i8::try_from(if self.signed { zero } else { zero - 128 });
        let zero = zero.map_err(|_| node.operand_error(index, "a zero point of 8 bits", "another"));
        Ok(Codes { scale, zero: zero? })
    }

    fn at(&self, k: usize) -> (f32, i64) {
        let of = |len: usize| if len == 1 { 0 } else { k };
        (
            self.scales[of(self.scales.len())],
            self.zeros[of(self.zeros.len())],
        )
    }

    /// For each element of a constant the index of its scale: along an axis, or 0.
    fn places(
        &self,
        node: &Node<'_>,
        constant: &Constant,
        axis: i64,
    ) -> Result<(usize, Vec<usize>), OnnxError> {
        let cells = constant.len();
        if self.scales.len() == 1 {
            return Ok((0, vec![0; cells]));
        }
        let rank = constant.shape.len();
        let axis =
            super::shapes::axis_of(axis, rank).filter(|&k| constant.shape[k] == self.scales.len());
        let Some(axis) = axis else {
            let expected = format!(
                "one, or one for each index along an axis of {:?}",
                constant.shape
            );
            return Err(node.operand_error(1, expected, format!("{} of them", self.scales.len())));
        };
        let inner: usize = constant.shape.iter().skip(axis + 1).product();
        let along = self.scales.len();
        Ok((axis, (0..cells).map(|at| at / inner % along).collect()))
    }
}

/// Refuses what later versions of these operators have beside scales and zero points.
fn plain(node: &Node<'_>) -> Result<i64, OnnxError> {
    let known = [
        "axis",
        "block_size",
        "output_dtype",
        "precision",
        "saturate",
    ];
    let attributes = node.attributes(&known)?;
    for name in ["block_size", "output_dtype", "precision"] {
        attributes.only(name, 0)?;
    }
    attributes.int_or("axis", 1)
}

/// A value rounded to integers of 8 bits, or a constant's integers.
pub(crate) fn quantize(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let axis = plain(node)?;
    let grid = grid(node, [1, 2], element(DataType::Uint8))?;
    if let Some(Slot::Constant(_)) = node.operand(0) {
        let constant = node.floats(0)?;
        let (_, places) = grid.places(node, constant, axis)?;
        let low = if grid.signed { -128.0 } else { 0.0 };
        let all = constant.floats().unwrap_or_default().iter().zip(places);
        let all = all.map(|(&x, k)| {
            let (scale, zero) = grid.at(k);
            let code = f64::from((x / scale).round_ties_even()) + fold::real(zero);
            fold::whole(code.clamp(low, low + 255.0)).unwrap_or(0)
        });
        let values = Values::Ints(all.collect());
        let kind = if grid.signed {
            DataType::Int8
        } else {
            DataType::Uint8
        };
        let made = Constant::made(node.name.clone(), constant.shape.clone(), values);
        let made = Constant {
            element: element(kind),
            ..made
        };
        return Ok(vec![Slot::Constant(Arc::new(made))]);
    }
    let x = t.real(node, 0, node.value(0)?)?;
    Ok(vec![rounded(t, node, x, &grid, 1)?])
}

/// A value at the integers of a grid, and these as what stands for it.
fn rounded(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    grid: &Grid,
    index: usize,
) -> Result<Slot, OnnxError> {
    let codes = grid.codes(node, index)?;
    let value = t.push(node, GraphOp::Quantised { x, codes })?;
    Ok(Slot::Codes(Coded {
        value,
        codes,
        signed: grid.signed,
    }))
}

/// What integers stand for.
pub(crate) fn dequantize(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let axis = plain(node)?;
    Ok(vec![real(t, node, [0, 1, 2], axis)?])
}

/// What the integers at the first of these operands stand for, by the scale and zero point at the others.
fn real(
    t: &mut Translator,
    node: &Node<'_>,
    [x, scale, zero]: [usize; 3],
    axis: i64,
) -> Result<Slot, OnnxError> {
    match node.operand(x) {
        Some(Slot::Codes(coded)) => {
            let kind = if coded.signed {
                DataType::Int8
            } else {
                DataType::Uint8
            };
            let grid = grid(node, [scale, zero], element(kind))?;
            let codes = grid.codes(node, scale)?;
            if grid.signed != coded.signed {
                return Err(node.operand_error(zero, "of the type of the integers", "another"));
            }
            if codes == coded.codes {
                return Ok(Slot::Value(coded.value));
            }
            // (x/s + z − z')·s'.
            let factor = f64::from(codes.scale) / f64::from(coded.codes.scale);
            let shift = f64::from(coded.codes.zero) - f64::from(codes.zero);
            let shift = shift * f64::from(codes.scale);
            let y = scaled(t, node, coded.value, (factor, shift))?;
            Ok(Slot::Value(y))
        }
        Some(Slot::Constant(constant)) if constant.ints().is_some() => weights(
            t,
            node,
            constant,
            (grid(node, [scale, zero], constant.element)?, axis),
        ),
        Some(Slot::Constant(constant)) => {
            Err(node.operand_error(x, "integers", constant.describe()))
        }
        Some(_) => Err(node.operand_error(x, "the integers of a QuantizeLinear", "reals")),
        None => Err(node.operand_error(x, "given", "absent")),
    }
}

/// A constant's integers as floats, which remember their steps.
fn weights(
    t: &mut Translator,
    node: &Node<'_>,
    constant: &Constant,
    (grid, axis): (Grid, i64),
) -> Result<Slot, OnnxError> {
    let (axis, places) = grid.places(node, constant, axis)?;
    let ints = constant.ints().unwrap_or_default().iter().zip(places);
    let mut floats = Vec::with_capacity(constant.len());
    let mut bytes = true;
    for (&code, k) in ints {
        let (scale, zero) = grid.at(k);
        let code = code.saturating_sub(zero);
        bytes &= (-128..=127).contains(&code);
        floats.push(narrow(fold::real(code) * f64::from(scale)));
    }
    let of_bytes = [DataType::Int8, DataType::Uint8].map(element);
    if !bytes && of_bytes.contains(&constant.element) {
        t.notes.push(format!(
            "`{}`: its integers less their zero point leave −128 … 127, so the weights are rounded anew",
            constant.name
        ));
    }
    let made = Constant::made(
        constant.name.clone(),
        constant.shape.clone(),
        Values::Floats(floats),
    );
    let scales = grid.scales;
    let steps = bytes.then_some(Steps { scales, axis });
    Ok(Slot::Constant(Arc::new(Constant { steps, ..made })))
}

/// A convolution's operand and window: where the integer 0 is not the real 0, what is outside becomes part of the operand.
pub(super) fn padded(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    mut window: Window,
) -> Result<(ValueId, Window), OnnxError> {
    let mut at = x;
    let shifted = loop {
        match t.builder.op(at) {
            Some(GraphOp::Quantised { codes, .. }) => break codes.zero != 0,
            Some(
                GraphOp::Reshape { x, .. }
                | GraphOp::Transpose { x, .. }
                | GraphOp::Slice { x, .. }
                | GraphOp::MaxPool { x, .. },
            ) => at = *x,
            _ => break false,
        }
    };
    if !shifted {
        return Ok((x, window));
    }
    let mut y = x;
    for axis in 0..2 {
        let counts = [window.pad[axis], window.pad[axis + 2]];
        let counts = counts.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        if counts != [0, 0] {
            let op = GraphOp::Pad {
                x: y,
                axis: axis + 1,
                counts,
                value: 0.0,
            };
            y = t.push(node, op)?;
        }
    }
    window.pad = [0; 4];
    Ok((y, window))
}

/// An integer bias at the scale of what it is added to.
fn bias(
    node: &Node<'_>,
    index: usize,
    x_scale: f32,
    (weight, axis): (&Slot, usize),
) -> Result<Option<Slot>, OnnxError> {
    let Some(all) = node.ints(index)? else {
        return Ok(None);
    };
    let steps = match weight {
        Slot::Constant(constant) => constant.steps_along(axis, all.len()),
        _ => Vec::new(),
    };
    if steps.len() != all.len() {
        let expected = "one integer for each channel of weights that are integers of 8 bits less their zero point";
        return Err(node.operand_error(index, expected, format!("{} of them", all.len())));
    }
    let floats = all
        .iter()
        .zip(steps)
        .map(|(&b, step)| narrow(fold::real(b) * f64::from(step) * f64::from(x_scale)));
    let values = Values::Floats(floats.collect());
    let made = Constant::made(node.name.clone(), vec![all.len()], values);
    Ok(Some(Slot::Constant(Arc::new(made))))
}

/// A result of these slots, rounded to the integers of a grid.
fn result(
    t: &mut Translator,
    node: &Node<'_>,
    slots: &[Slot],
    at: [usize; 2],
) -> Result<Vec<Slot>, OnnxError> {
    let grid = grid(node, at, element(DataType::Uint8))?;
    match slots {
        [Slot::Value(y)] => Ok(vec![rounded(t, node, *y, &grid, at[0])?]),
        _ => Err(node.operand_error(0, "a value", "another")),
    }
}

/// A convolution of integers with integers, rounded to integers.
pub(crate) fn conv(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(9)?;
    let x = real(t, node, [0, 1, 2], 1)?;
    let weight = real(t, node, [3, 4, 5], 0)?;
    let x_scale = node
        .floats(1)?
        .floats()
        .and_then(|all| all.first().copied());
    let bias = bias(node, 8, x_scale.unwrap_or(1.0), (&weight, 0))?;
    let slots = windows::conv(t, &node.with(vec![Some(x), Some(weight), bias]))?;
    result(t, node, &slots, [6, 7])
}

/// A matrix product of integers, rounded to integers.
pub(crate) fn mat_mul(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(8)?;
    let a = real(t, node, [0, 1, 2], -1)?;
    let b = real(t, node, [3, 4, 5], -1)?;
    let slots = layers::mat_mul(t, &node.with(vec![Some(a), Some(b)]))?;
    result(t, node, &slots, [6, 7])
}

/// onnxruntime's matrix product of integers with an integer bias, rounded to integers unless no scale of the result is given.
pub(crate) fn gemm(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(9)?;
    let attributes = node.attributes(&["alpha", "transA", "transB"])?;
    let alpha = attributes.float_or("alpha", 1.0)?;
    let axis = usize::from(attributes.int_or("transB", 0)? == 0);
    let x = real(t, node, [0, 1, 2], -1)?;
    let weight = real(t, node, [3, 4, 5], i64::from(axis == 1))?;
    let x_scale = node
        .floats(1)?
        .floats()
        .and_then(|all| all.first().copied());
    let bias = bias(node, 6, alpha * x_scale.unwrap_or(1.0), (&weight, axis))?;
    let slots = layers::gemm(t, &node.with(vec![Some(x), Some(weight), bias]))?;
    if node.operand(7).is_none() {
        return Ok(slots);
    }
    result(t, node, &slots, [7, 8])
}

/// onnxruntime's sum of integers, rounded to integers.
pub(crate) fn add(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(8)?;
    let a = real(t, node, [0, 1, 2], -1)?;
    let b = real(t, node, [3, 4, 5], -1)?;
    let slots = super::elementwise::add(t, &node.with(vec![Some(a), Some(b)]))?;
    result(t, node, &slots, [6, 7])
}

/// An operand as its integers less a zero point, times a step; and that step.
fn integers(
    t: &mut Translator,
    node: &Node<'_>,
    [x, zero]: [usize; 2],
    axis: i64,
) -> Result<(Slot, f64), OnnxError> {
    let zeros = node.ints(zero)?.unwrap_or(&[0]).to_vec();
    match node.operand(x) {
        Some(Slot::Codes(coded)) => {
            let &[zero_point] = zeros.as_slice() else {
                let got = format!("{} of them", zeros.len());
                return Err(node.operand_error(zero, "one", got));
            };
            let own = i64::from(coded.codes.zero) + if coded.signed { 0 } else { 128 };
            let scale = f64::from(coded.codes.scale);
            let shift = fold::real(own.saturating_sub(zero_point)) * scale;
            let y = if shift == 0.0 {
                coded.value
            } else {
                scaled(t, node, coded.value, (1.0, shift))?
            };
            Ok((Slot::Value(y), scale))
        }
        Some(Slot::Constant(constant)) if constant.ints().is_some() => {
            let grid = Grid {
                scales: vec![1.0; zeros.len()],
                zeros,
                signed: constant.element == element(DataType::Int8),
            };
            Ok((weights(t, node, constant, (grid, axis))?, 1.0))
        }
        Some(_) => {
            let expected = "the integers of a QuantizeLinear, or constant ones";
            Err(node.operand_error(x, expected, "others"))
        }
        None => Err(node.operand_error(x, "given", "absent")),
    }
}

/// Both operands of a product of integers, and the product of their steps.
fn pair(
    t: &mut Translator,
    node: &Node<'_>,
    axis: i64,
) -> Result<(Vec<Option<Slot>>, f64), OnnxError> {
    node.operands_max(4)?;
    let (a, first) = integers(t, node, [0, 2], -1)?;
    let (b, second) = integers(t, node, [1, 3], axis)?;
    Ok((vec![Some(a), Some(b)], first * second))
}

/// Sums over their step: integers again.
fn summed(
    t: &mut Translator,
    node: &Node<'_>,
    slots: Vec<Slot>,
    step: f64,
) -> Result<Vec<Slot>, OnnxError> {
    let [Slot::Value(y)] = slots.as_slice() else {
        return Ok(slots);
    };
    let y = scaled(t, node, *y, (1.0 / step, 0.0))?;
    t.note_integers(y);
    Ok(one(y))
}

/// A convolution of integers, its sums as they are.
pub(crate) fn conv_integer(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let (operands, step) = pair(t, node, 0)?;
    let slots = windows::conv(t, &node.with(operands))?;
    summed(t, node, slots, step)
}

/// A matrix product of integers, its sums as they are.
pub(crate) fn mat_mul_integer(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let (operands, step) = pair(t, node, -1)?;
    let slots = layers::mat_mul(t, &node.with(operands))?;
    summed(t, node, slots, step)
}
