//! Matrix products, batch normalisation, scalers.

use credence_import::{AffineOp, GraphOp, LinearOp, ValueId};

use super::one;
use crate::constant::Constant;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// `[R, C]` to `[C, R]`.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..values.len())
        .map(|at| values[at % rows * columns + at / rows])
        .collect()
}

fn matrix<'a>(node: &'a Node<'_>, index: usize) -> Result<(&'a Constant, [usize; 2]), OnnxError> {
    let constant = node.floats(index)?;
    match <[usize; 2]>::try_from(constant.shape.as_slice()) {
        Ok(dims) if dims.iter().all(|&dim| dim > 0) => Ok((constant, dims)),
        _ => Err(node.operand_error(index, "a matrix", constant.describe())),
    }
}

/// `y = alpha·x·B + beta·C`.
pub(crate) fn gemm(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let attributes = node.attributes(&["alpha", "beta", "transA", "transB"])?;
    attributes.only("transA", 0)?;
    let x = node.value(0)?;
    let (weight, [first, second]) = matrix(node, 1)?;
    let alpha = attributes.float_or("alpha", 1.0)?;
    let beta = attributes.float_or("beta", 1.0)?;
    let by_rows = match attributes.int_or("transB", 0)? {
        0 => false,
        1 => true,
        got => return Err(attributes.error("transB", "0 or 1", got.to_string())),
    };
    let values = weight.floats().unwrap_or_default();
    let (rows, mut weight) = if by_rows {
        (first, values.to_vec())
    } else {
        (second, transposed(values, first, second))
    };
    weight.iter_mut().for_each(|w| *w *= alpha);
    let steps = steps(node, usize::from(!by_rows), rows, alpha)?;
    let bias = match node.operand(2) {
        None => Vec::new(),
        Some(_) => spread(node, 2, rows)?.iter().map(|b| b * beta).collect(),
    };
    // The operator is defined for matrices alone.
    let shape = t.shape(x);
    if shape.len() != 1 {
        return Err(node.operand_error(0, "[batch, K]", format!("[batch, {shape:?}]")));
    }
    Ok(one(t.push(
        node,
        GraphOp::Linear(LinearOp {
            x,
            rows,
            weight,
            bias,
            steps,
        }),
    )?))
}

/// What one step of each row's weights is, if the file has integers for them, times a factor.
fn steps(node: &Node<'_>, axis: usize, rows: usize, factor: f32) -> Result<Vec<f32>, OnnxError> {
    let steps = node.floats(1)?.steps_along(axis, rows);
    let scaled: Vec<f32> = steps.iter().map(|step| step * factor).collect();
    let sound = scaled.iter().all(|step| step.is_finite() && *step > 0.0);
    Ok(if sound { scaled } else { Vec::new() })
}

/// A constant of one element, or of `length` along its last axis, as `length` elements.
fn spread(node: &Node<'_>, index: usize, length: usize) -> Result<Vec<f32>, OnnxError> {
    let constant = node.floats(index)?;
    let values = constant.floats().unwrap_or_default();
    let along_last = constant.shape.last() == Some(&length) && values.len() == length;
    match values {
        [single] => Ok(vec![*single; length]),
        values if along_last => Ok(values.to_vec()),
        _ => Err(node.operand_error(
            index,
            format!("of 1 or {length} elements along its last axis"),
            constant.describe(),
        )),
    }
}

/// `y = a·b`: for a constant matrix b, for two computed factors, or for rows of a constant that an integer names.
pub(crate) fn mat_mul(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    if let Some(Slot::OneHot(hot)) = node.operand(0) {
        let hot = std::sync::Arc::clone(hot);
        return super::parts::one_hot_rows(t, node, &hot);
    }
    if let (Some(&Slot::Value(a)), Some(&Slot::Value(b))) = (node.operand(0), node.operand(1)) {
        return product(t, node, t.real(node, 0, a)?, t.real(node, 1, b)?);
    }
    let x = node.value(0)?;
    let (weight, [columns, rows]) = matrix(node, 1)?;
    let weight = transposed(weight.floats().unwrap_or_default(), columns, rows);
    let linear = LinearOp {
        x,
        rows,
        weight,
        bias: Vec::new(),
        steps: steps(node, 1, rows, 1.0)?,
    };
    Ok(one(t.push(node, GraphOp::Linear(linear))?))
}

/// A product of two computed factors, with as many axes; those before the last two become one.
fn product(
    t: &mut Translator,
    node: &Node<'_>,
    a: ValueId,
    b: ValueId,
) -> Result<Vec<Slot>, OnnxError> {
    let (first, second) = (t.shape(a), t.shape(b));
    let ([outer @ .., rows, inner], [outer_b @ .., inner_b, columns]) =
        (first.as_slice(), second.as_slice())
    else {
        let got = format!("[batch, {first:?}] and [batch, {second:?}]");
        return Err(node.operand_error(1, "two matrices behind the batch", got));
    };
    if outer != outer_b || inner != inner_b {
        let expected = format!("[batch, {outer:?}, {inner}, N]");
        return Err(node.operand_error(1, expected, format!("[batch, {second:?}]")));
    }
    let flat = |rows: usize, columns: usize| match outer {
        [] => vec![rows, columns],
        outer => vec![outer.iter().product(), rows, columns],
    };
    let a = t.reshape(node, a, flat(*rows, *inner))?;
    let b = t.reshape(node, b, flat(*inner, *columns))?;
    let y = t.push(node, GraphOp::MatMul { a, b })?;
    let mut shape = outer.to_vec();
    shape.extend([*rows, *columns]);
    Ok(one(t.reshape(node, y, shape)?))
}

/// Inference form: the running mean and variance are constants.
pub(crate) fn batch_normalization(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(5)?;
    let attributes = node.attributes(&["epsilon", "momentum", "spatial", "training_mode"])?;
    attributes.only("spatial", 1)?;
    attributes.only("training_mode", 0)?;
    let epsilon = f64::from(attributes.float_or("epsilon", 1e-5)?);
    let x = node.value(0)?;
    let channels = t.shape(x).first().copied().unwrap_or(1);
    let part = |index: usize| {
        let constant = node.floats(index)?;
        let values = constant.floats().unwrap_or_default();
        if values.len() == channels {
            Ok(values)
        } else {
            let expected = format!("of {channels} elements, one for each channel");
            Err(node.operand_error(index, expected, constant.describe()))
        }
    };
    let (gammas, betas, means, variances) = (part(1)?, part(2)?, part(3)?, part(4)?);
    let (mut scale, mut shift) = (Vec::new(), Vec::new());
    let first = gammas.iter().zip(betas);
    for (k, ((gamma, beta), (mean, variance))) in first.zip(means.iter().zip(variances)).enumerate()
    {
        let variance = f64::from(*variance) + epsilon;
        if variance <= 0.0 {
            let expected = "a variance that is positive with epsilon added";
            return Err(node.operand_error(4, expected, format!("{variance} for channel {k}")));
        }
        let factor = f64::from(*gamma) / variance.sqrt();
        scale.push(factor);
        shift.push(f64::from(*beta) - f64::from(*mean) * factor);
    }
    let affine = AffineOp {
        x,
        axis: 0,
        scale,
        shift,
    };
    Ok(one(t.push(node, GraphOp::Affine(affine))?))
}

/// `y = (x − offset)·scale`.
pub(crate) fn scaler(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["offset", "scale"])?;
    let x = node.value(0)?;
    let length = t.shape(x).last().copied().unwrap_or(1);
    let read = |name: &str, default: f64| -> Result<Vec<f64>, OnnxError> {
        let values = attributes.floats(name)?;
        match values.len() {
            0 => Ok(vec![default; length]),
            1 => Ok(vec![f64::from(values[0]); length]),
            n if n == length => Ok(values.iter().map(|&v| f64::from(v)).collect()),
            n => Err(attributes.error(
                name,
                format!("of 1 or {length} elements"),
                format!("of {n}"),
            )),
        }
    };
    let (offset, scale) = (read("offset", 0.0)?, read("scale", 1.0)?);
    let shift = offset.iter().zip(&scale).map(|(o, s)| -(o * s)).collect();
    let axis = t.shape(x).len().saturating_sub(1);
    let affine = AffineOp {
        x,
        axis,
        scale,
        shift,
    };
    Ok(one(t.push(node, GraphOp::Affine(affine))?))
}
