//! Operators that move elements or do nothing at inference.

use std::sync::Arc;

use credence_import::{GraphOp, Kind};
use tract_onnx::pb::tensor_proto::DataType;

use super::parts::behind;
use super::{fold, one};
use crate::constant::{Constant, Values, narrow, type_name};
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

/// An axis of a tensor with `rank` axes as an index.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    usize::try_from(axis).ok().filter(|_| axis < rank)
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
    let made = |shape: Vec<usize>, values: Values| Constant::made(name(), shape, values);
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
    let is = |types: &[DataType]| types.iter().any(|&known| to == i32::from(known));
    let float = is(&[DataType::Float, DataType::Double, DataType::Float16]);
    let integer = is(&[DataType::Int32, DataType::Int64]);
    let truth = is(&[DataType::Bool]);
    let expected = match node.operand(0) {
        Some(slot @ Slot::OneHot(_)) if float || integer || truth => {
            return Ok(vec![slot.clone()]);
        }
        Some(Slot::OneHot(_)) => "a numeric type",
        Some(Slot::Codes(_)) => "absent: put a DequantizeLinear in front",
        Some(slot @ (Slot::Value(value) | Slot::Moved(value, _))) => {
            let integers = t.is_integers(*value);
            if truth && integers && !t.is_truths(*value) {
                return super::truths::of_integers(t, node, slot);
            }
            match t.builder.kind(*value) {
                Kind::Real if float || (integers && (integer || truth)) => {
                    return Ok(vec![slot.clone()]);
                }
                Kind::Index if integer => return Ok(vec![slot.clone()]),
                Kind::Real => "FLOAT",
                Kind::Index => "INT64",
            }
        }
        Some(Slot::Constant(constant)) => match (&constant.values, float, integer || truth) {
            (Values::Floats(_), true, _) | (Values::Ints(_) | Values::Sizes(_), _, true) => {
                let (shape, values) = (constant.shape.clone(), constant.values.clone());
                return Ok(fold::made(node, shape, values));
            }
            (Values::Ints(all), true, _) => {
                let all = all.iter().map(|&x| narrow(fold::real(x)));
                let shape = constant.shape.clone();
                return Ok(fold::made(node, shape, Values::Floats(all.collect())));
            }
            (Values::Floats(all), _, true) if !truth => {
                let cut = |&x: &f32| fold::whole(f64::from(x));
                if let Some(all) = all.iter().map(cut).collect() {
                    return Ok(fold::made(node, constant.shape.clone(), Values::Ints(all)));
                }
                "numbers that are finite"
            }
            _ => "FLOAT or INT64, the batch size staying an integer",
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
    let Some(target) = node.sizes(1)? else {
        return Err(node.operand_error(1, "given", "absent"));
    };
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        return reshaped(node, constant, &target);
    }
    let x = node.value(0)?;
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
            Some(0) => sizes.push(*shape.get(at).ok_or_else(error)?),
            Some(-1) if open.is_none() => {
                open = Some(at);
                sizes.push(1);
            }
            Some(dim) => sizes.push(usize::try_from(dim).map_err(|_| error())?),
            None => return Err(error()),
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
    let kept = matches!(batch, None | Some(0 | 1)) || (batch == Some(-1) && open.is_none());
    if !kept {
        return Err(error());
    }
    Ok(one(t.reshape(node, x, sizes)?))
}

/// A constant under another shape.
fn reshaped(
    node: &Node<'_>,
    constant: &Constant,
    target: &[Option<i64>],
) -> Result<Vec<Slot>, OnnxError> {
    let error = || {
        let expected = format!("a shape for {} elements", constant.len());
        node.operand_error(1, expected, format!("{target:?}"))
    };
    let mut open = None;
    let mut sizes = Vec::with_capacity(target.len());
    for (at, dim) in target.iter().enumerate() {
        sizes.push(match dim {
            Some(0) => *constant.shape.get(at).ok_or_else(error)?,
            Some(-1) if open.is_none() => {
                open = Some(at);
                1
            }
            Some(dim) => usize::try_from(*dim).map_err(|_| error())?,
            None => return Err(error()),
        });
    }
    let known = sizes.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
    let known = known.filter(|&known| known > 0).ok_or_else(error)?;
    match open {
        Some(at) if constant.len().is_multiple_of(known) => sizes[at] = constant.len() / known,
        _ if known == constant.len() => {}
        _ => return Err(error()),
    }
    Ok(fold::made(node, sizes, constant.values.clone()))
}

/// Axes in another order. The batch may leave the first place, and is followed.
pub(crate) fn transpose(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["perm"])?;
    let perm = attributes.ints("perm")?;
    let order = |rank: usize| {
        let order: Option<Vec<usize>> = match perm {
            Some(perm) => perm
                .iter()
                .map(|&axis| usize::try_from(axis).ok())
                .collect(),
            None => Some((0..rank).rev().collect()),
        };
        let mut sorted = order.clone().unwrap_or_default();
        sorted.sort_unstable();
        order
            .filter(|_| sorted.iter().copied().eq(0..rank))
            .ok_or_else(|| {
                let expected = format!("a permutation of {rank} axes");
                attributes.error("perm", expected, format!("{perm:?}"))
            })
    };
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        let order = order(constant.shape.len())?;
        let shape = order.iter().map(|&axis| constant.shape[axis]).collect();
        let at = turned(&constant.shape, &order);
        let slots = fold::picked(node, constant, shape, &at);
        return Ok(super::quantised::with_steps(slots, constant, &order));
    }
    let (x, batch) = node.placed(0)?;
    let order = order(t.shape(x).len() + 1)?;
    let to = order.iter().position(|&axis| axis == batch).unwrap_or(0);
    let rest = order.iter().filter(|&&axis| axis != batch);
    let order: Vec<usize> = rest.map(|&axis| behind(axis, batch)).collect();
    if order.iter().copied().eq(0..order.len()) {
        return Ok(vec![Slot::placed(x, to)]);
    }
    let y = t.push(node, GraphOp::Transpose { x, order })?;
    t.note_as(x, y);
    Ok(vec![Slot::placed(y, to)])
}

/// For each element of a transposed tensor the index of the one it was.
fn turned(shape: &[usize], order: &[usize]) -> Vec<usize> {
    let mut steps = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis] * shape[axis];
    }
    let mut at = vec![0];
    for &axis in order {
        at = at
            .into_iter()
            .flat_map(|from| (0..shape[axis]).map(move |k| (from, k)))
            .map(|(from, k)| from + k * steps[axis])
            .collect();
    }
    at
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
    let given = axes(node)?;
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        let rank = constant.shape.len();
        let drop: Option<Vec<usize>> = match given {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis, rank)).collect(),
            None => Some((0..rank).filter(|&k| constant.shape[k] == 1).collect()),
        };
        let drop = drop.filter(|drop| drop.iter().all(|&k| constant.shape[k] == 1));
        let drop = drop.ok_or_else(|| node.operand_error(1, "axes of length 1", "others"))?;
        let kept = (0..rank).filter(|k| !drop.contains(k));
        let shape = kept.map(|k| constant.shape[k]).collect();
        return Ok(fold::made(node, shape, constant.values.clone()));
    }
    let (x, batch) = node.placed(0)?;
    let shape = t.shape(x);
    let Some(axes) = given else {
        return Err(node.operand_error(1, "given: without axes the batch may go too", "absent"));
    };
    let mut drop = vec![false; shape.len() + 1];
    for &axis in axes {
        let at = axis_of(axis, shape.len() + 1)
            .filter(|&at| at != batch && shape[behind(at, batch)] == 1);
        let Some(at) = at else {
            let expected = format!("axes of length 1 of [batch, {shape:?}], not the batch");
            return Err(node.operand_error(1, expected, format!("{axes:?}")));
        };
        drop[at] = true;
    }
    let kept = (0..drop.len()).filter(|&at| at != batch && !drop[at]);
    let kept = kept.map(|at| shape[behind(at, batch)]).collect();
    let before = drop[..batch].iter().filter(|drop| **drop).count();
    Ok(vec![Slot::placed(
        t.reshape(node, x, kept)?,
        batch - before,
    )])
}

/// Inserts axes of length 1.
pub(crate) fn unsqueeze(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let axes = axes(node)?.unwrap_or_default();
    let rank = match node.operand(0) {
        Some(Slot::Constant(constant)) => constant.shape.len(),
        _ => t.shape(node.placed(0)?.0).len() + 1,
    };
    let mut inserted = vec![false; rank + axes.len()];
    for &axis in axes {
        let at = axis_of(axis, inserted.len()).filter(|&at| !inserted[at]);
        let Some(at) = at else {
            let expected = "distinct axes of the result";
            return Err(node.operand_error(1, expected, format!("{axes:?}")));
        };
        inserted[at] = true;
    }
    let filled = |shape: &[usize]| {
        let mut rest = shape.iter().copied();
        let sizes = inserted
            .iter()
            .map(|&new| if new { 1 } else { rest.next().unwrap_or(1) });
        sizes.collect::<Vec<usize>>()
    };
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        let shape = filled(&constant.shape);
        return Ok(fold::made(node, shape, constant.values.clone()));
    }
    let (x, batch) = node.placed(0)?;
    let mut whole = t.shape(x);
    // The batch takes part as an axis, and is taken out again where it has come to stand.
    whole.insert(batch, 1);
    let mut sizes = filled(&whole);
    let kept = (0..inserted.len()).filter(|&at| !inserted[at]);
    let to = kept.into_iter().nth(batch).unwrap_or(0);
    sizes.remove(to);
    Ok(vec![Slot::placed(t.reshape(node, x, sizes)?, to)])
}

/// Join along an axis that is not the batch.
pub(crate) fn concat(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let attributes = node.attributes(&["axis"])?;
    let axis = attributes.int_or("axis", 1)?;
    let constants = (0..node.operand_count())
        .map(|index| match node.operand(index) {
            Some(Slot::Constant(constant)) => Some(constant.as_ref()),
            _ => None,
        })
        .collect::<Option<Vec<&Constant>>>();
    if let Some(constants) = constants {
        return joined(node, &constants, axis);
    }
    let mut xs = Vec::with_capacity(node.operand_count());
    let mut place = None;
    for index in 0..node.operand_count() {
        let (x, batch) = node.placed(index)?;
        if *place.get_or_insert(batch) != batch {
            let expected = "with its batch on the axis of the others";
            return Err(node.operand_error(index, expected, format!("on axis {batch}")));
        }
        xs.push(x);
    }
    let batch = place.unwrap_or(0);
    let rank = xs.first().map_or(1, |&x| t.shape(x).len() + 1);
    let at = axis_of(axis, rank)
        .filter(|&at| at != batch)
        .ok_or_else(|| attributes.error("axis", "one behind the batch", axis.to_string()))?;
    let axis = behind(at, batch);
    let y = t.push(node, GraphOp::Concat { xs, axis })?;
    Ok(vec![Slot::placed(y, batch)])
}

/// Constants of one axis, one behind the other.
fn joined(node: &Node<'_>, constants: &[&Constant], axis: i64) -> Result<Vec<Slot>, OnnxError> {
    let flat = constants.iter().all(|constant| constant.shape.len() == 1);
    if !flat || ![0, -1].contains(&axis) {
        let expected = "of one axis, as all constants that are joined";
        return Err(node.operand_error(0, expected, "others"));
    }
    let cells = constants.iter().map(|constant| constant.values.len());
    let cells = cells.fold(0, usize::saturating_add);
    if cells > fold::CELLS_MAX {
        let expected = "joined to at most 2^24 elements";
        return Err(node.operand_error(0, expected, cells.to_string()));
    }
    let floats = constants.iter().map(|constant| constant.floats());
    if let Some(all) = floats.collect::<Option<Vec<_>>>() {
        let all = all.concat();
        return Ok(fold::made(node, vec![all.len()], Values::Floats(all)));
    }
    let sizes = constants.iter().map(|constant| constant.sizes());
    let all = sizes.collect::<Option<Vec<_>>>();
    let all = all.ok_or_else(|| node.operand_error(0, "of one kind", "floats and integers"))?;
    let all = all.concat();
    Ok(fold::made(node, vec![all.len()], Values::of_sizes(all)))
}
