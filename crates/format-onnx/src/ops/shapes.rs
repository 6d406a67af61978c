//! Operators that move elements or do nothing at inference.

use std::sync::Arc;

use credence_import::{GraphOp, Kind};
use tract_onnx::pb::tensor_proto::DataType;

use super::one;
use crate::constant::{Constant, Values, type_name};
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// An axis of a tensor with `rank` axes, the batch among them, as an index; the batch itself is refused.
pub(crate) fn axis_behind_batch(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    usize::try_from(axis)
        .ok()
        .filter(|_| (1..rank).contains(&axis))
}

/// The value itself.
pub(crate) fn identity(_: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    node.attributes(&[])?;
    match node.operand(0) {
        Some(slot) => Ok(vec![slot.clone()]),
        None => Err(node.operand_error(0, "given", "absent")),
    }
}

/// At inference the value itself.
pub(crate) fn dropout(_: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    node.attributes(&["ratio", "seed"])?;
    if node.operand(2).is_some() {
        return Err(node.operand_error(2, "absent: training is not supported", "present"));
    }
    Ok(one(node.value(0)?))
}

/// A constant tensor.
pub(crate) fn constant(_: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let known = [
        "value",
        "value_float",
        "value_floats",
        "value_int",
        "value_ints",
    ];
    let attributes = node.attributes(&known)?;
    let name = || node.name.clone();
    let made = |shape: Vec<usize>, values: Values| Constant {
        name: name(),
        shape,
        values,
    };
    let present = |name: &str| node.proto.attribute.iter().any(|a| a.name == name);
    let constant = if let Some(tensor) = attributes.tensor("value")? {
        Constant {
            name: name(),
            ..Constant::new(tensor)?
        }
    } else if present("value_float") {
        let value = attributes.float_or("value_float", 0.0)?;
        made(vec![], Values::Floats(vec![value]))
    } else if present("value_floats") {
        let values = attributes.floats("value_floats")?.to_vec();
        made(vec![values.len()], Values::Floats(values))
    } else if let Some(value) = attributes.int("value_int")? {
        made(vec![], Values::Ints(vec![value]))
    } else if let Some(values) = attributes.ints("value_ints")? {
        made(vec![values.len()], Values::Ints(values.to_vec()))
    } else {
        return Err(attributes.error("value", "given", "absent"));
    };
    Ok(vec![Slot::Constant(Arc::new(constant))])
}

/// Casts that change no value: to FLOAT for reals, to an integer type for indices.
pub(crate) fn cast(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["round_mode", "saturate", "to"])?;
    let to = attributes.int_or("to", 0)?;
    let to = i32::try_from(to).unwrap_or(0);
    let float = to == i32::from(DataType::Float);
    let integer = [DataType::Int32, DataType::Int64]
        .map(i32::from)
        .contains(&to);
    let expected = match node.operand(0) {
        Some(Slot::Value(value)) => match t.builder.kind(*value) {
            Kind::Real if float => return Ok(one(*value)),
            Kind::Index if integer => return Ok(one(*value)),
            Kind::Real => "FLOAT",
            Kind::Index => "INT64",
        },
        Some(slot @ Slot::Constant(constant)) => match &constant.values {
            Values::Floats(_) if float => return Ok(vec![slot.clone()]),
            Values::Ints(_) if integer => return Ok(vec![slot.clone()]),
            Values::Floats(_) => "FLOAT",
            Values::Ints(_) => "INT64",
        },
        None => return Err(node.operand_error(0, "given", "absent")),
    };
    Err(attributes.error("to", expected, type_name(to)))
}

/// All axes from one on as one; the batch stays by itself.
pub(crate) fn flatten(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["axis"])?;
    let x = node.value(0)?;
    let shape = t.shape(x);
    let axis = attributes.int_or("axis", 1)?;
    let from = if axis < 0 {
        axis + i64::try_from(shape.len()).unwrap_or(0) + 1
    } else {
        axis
    };
    if from != 1 {
        return Err(attributes.error(
            "axis",
            "1, which leaves the batch by itself",
            axis.to_string(),
        ));
    }
    let cells = shape.iter().product();
    Ok(one(t.reshape(node, x, vec![cells])?))
}

/// A constant shape; its first entry stands for the batch.
pub(crate) fn reshape(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    let attributes = node.attributes(&["allowzero"])?;
    attributes.only("allowzero", 0)?;
    let x = node.value(0)?;
    let Some(target) = node.ints(1)? else {
        return Err(node.operand_error(1, "given", "absent"));
    };
    let shape = t.shape(x);
    let cells: usize = shape.iter().product();
    let error = || {
        node.operand_error(
            1,
            format!("a shape whose first axis is the batch of [batch, {shape:?}]"),
            format!("{target:?}"),
        )
    };
    let (&batch, rest) = target.split_first().ok_or_else(error)?;
    let mut sizes = Vec::with_capacity(rest.len());
    let mut open = None;
    for (at, &dim) in rest.iter().enumerate() {
        match dim {
            // Copied from the operand, whose axis 0 is the batch.
            0 => sizes.push(*shape.get(at).ok_or_else(error)?),
            -1 if open.is_none() => {
                open = Some(at);
                sizes.push(1);
            }
            _ => sizes.push(usize::try_from(dim).map_err(|_| error())?),
        }
    }
    let known = sizes
        .iter()
        .try_fold(1_usize, |n, &dim| n.checked_mul(dim))
        .filter(|&known| known > 0)
        .ok_or_else(error)?;
    match open {
        Some(at) if cells.is_multiple_of(known) => sizes[at] = cells / known,
        _ if known == cells => {}
        _ => return Err(error()),
    }
    // With a batch of −1 the other axes are all known, and then their product is that of one position.
    if ![0, -1, 1].contains(&batch) || (batch == -1 && open.is_some()) {
        return Err(error());
    }
    Ok(one(t.reshape(node, x, sizes)?))
}

/// Axes in another order; the batch stays first.
pub(crate) fn transpose(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["perm"])?;
    let x = node.value(0)?;
    let rank = t.shape(x).len() + 1;
    let perm = attributes.ints("perm")?;
    let behind = match perm {
        Some([0, rest @ ..]) if rest.len() + 1 == rank => rest,
        None if rank == 1 => &[],
        other => {
            let expected = format!("a permutation of {rank} axes that keeps the batch first");
            return Err(attributes.error("perm", expected, format!("{other:?}")));
        }
    };
    let order: Option<Vec<usize>> = behind
        .iter()
        .map(|&axis| usize::try_from(axis).ok()?.checked_sub(1))
        .collect();
    let order =
        order.ok_or_else(|| attributes.error("perm", "a permutation", format!("{perm:?}")))?;
    Ok(one(t.push(node, GraphOp::Transpose { x, order })?))
}

/// Axes of `Squeeze` and `Unsqueeze`: an attribute before version 13, an operand since.
fn axes<'a>(node: &'a Node<'_>) -> Result<Option<&'a [i64]>, OnnxError> {
    if node.opset < 13 {
        node.operands_max(1)?;
        node.attributes(&["axes"])?;
        let found = node.proto.attribute.iter().find(|a| a.name == "axes");
        Ok(found.map(|a| a.ints.as_slice()))
    } else {
        node.operands_max(2)?;
        node.attributes(&[])?;
        node.ints(1)
    }
}

/// Drops axes of length 1.
pub(crate) fn squeeze(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let x = node.value(0)?;
    let shape = t.shape(x);
    let Some(axes) = axes(node)? else {
        return Err(node.operand_error(1, "given: without axes the batch may go too", "absent"));
    };
    let mut drop = vec![false; shape.len()];
    for &axis in axes {
        let at = axis_behind_batch(axis, shape.len() + 1).filter(|&at| shape[at - 1] == 1);
        let Some(at) = at else {
            let expected = format!("axes of length 1 of [batch, {shape:?}], not the batch");
            return Err(node.operand_error(1, expected, format!("{axes:?}")));
        };
        drop[at - 1] = true;
    }
    let kept = shape.iter().zip(drop).filter(|(_, drop)| !drop);
    let kept = kept.map(|(&dim, _)| dim).collect();
    Ok(one(t.reshape(node, x, kept)?))
}

/// Inserts axes of length 1.
pub(crate) fn unsqueeze(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let x = node.value(0)?;
    let shape = t.shape(x);
    let axes = axes(node)?.unwrap_or_default();
    let rank = shape.len() + 1 + axes.len();
    let mut inserted = vec![false; rank];
    for &axis in axes {
        let at = axis_behind_batch(axis, rank).filter(|&at| !inserted[at]);
        let Some(at) = at else {
            let expected = "distinct axes behind the batch";
            return Err(node.operand_error(1, expected, format!("{axes:?}")));
        };
        inserted[at] = true;
    }
    let mut rest = shape.into_iter();
    let sizes = inserted
        .into_iter()
        .skip(1)
        .map(|new| if new { 1 } else { rest.next().unwrap_or(1) });
    let sizes = sizes.collect();
    Ok(one(t.reshape(node, x, sizes)?))
}

/// Join along an axis behind the batch.
pub(crate) fn concat(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let attributes = node.attributes(&["axis"])?;
    let axis = attributes.int_or("axis", 1)?;
    let xs = (0..node.operand_count())
        .map(|index| node.value(index))
        .collect::<Result<Vec<_>, _>>()?;
    let rank = xs.first().map_or(1, |&x| t.shape(x).len() + 1);
    let at = axis_behind_batch(axis, rank)
        .ok_or_else(|| attributes.error("axis", "one behind the batch", axis.to_string()))?;
    Ok(one(t.push(node, GraphOp::Concat { xs, axis: at - 1 })?))
}
