//! Repetitions and edges: expanding, tiling, padding, enlarging, choosing.

use credence_import::{GraphOp, Run, ValueId};

use super::parts::{PIECES_MAX, behind, sliced};
use super::shapes::axis_behind_batch;
use super::{fold, one};
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// Repetition along axes of length 1, to a constant shape.
pub(crate) fn expand(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    let Some(sizes) = node.sizes(1)? else {
        return Err(node.operand_error(1, "given", "absent"));
    };
    if let Some(Slot::OneHot(_)) = node.operand(0) {
        return Err(node.operand_error(0, "numbers", "a comparison with a row of integers"));
    }
    let (x, batch) = node.placed(0)?;
    let shape = t.shape(x);
    let error = || {
        let expected = format!("a shape that [batch, {shape:?}] broadcasts to, the batch apart");
        node.operand_error(1, expected, format!("{sizes:?}"))
    };
    // Sizes count from the last axis.
    let rank = shape.len() + 1;
    let missing = rank.checked_sub(sizes.len()).ok_or_else(error)?;
    let mut to = shape.clone();
    for (at, size) in sizes.iter().enumerate() {
        let axis = at + missing;
        match size {
            None if axis == batch => {}
            Some(1) => {}
            Some(size) if axis != batch => {
                let size = usize::try_from(*size).map_err(|_| error())?;
                let own = &mut to[behind(axis, batch)];
                if *own != size && *own != 1 {
                    return Err(error());
                }
                *own = size;
            }
            _ => return Err(error()),
        }
    }
    let y = t.expand(node, x, to)?;
    Ok(vec![Slot::placed(y, batch)])
}

/// Repetition of whole axes.
pub(crate) fn tile(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    let mut x = node.value(0)?;
    let repeats = node.ints(1)?.unwrap_or_default().to_vec();
    let error = || {
        let expected = "a positive count for each axis, 1 for the batch, at most 1,024";
        node.operand_error(1, expected, format!("{repeats:?}"))
    };
    let counts: Option<Vec<usize>> = repeats
        .iter()
        .map(|&n| {
            usize::try_from(n)
                .ok()
                .filter(|n| (1..=PIECES_MAX).contains(n))
        })
        .collect();
    match counts.as_deref() {
        Some([1, counts @ ..]) if counts.len() == t.shape(x).len() => {
            for (axis, &count) in counts.iter().enumerate() {
                if count > 1 {
                    let xs = vec![x; count];
                    x = t.push(node, GraphOp::Concat { xs, axis })?;
                }
            }
            Ok(one(x))
        }
        _ => Err(error()),
    }
}

/// Constant or mirrored edges.
pub(crate) fn pad(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let early = node.opset < 11;
    let known: &[&str] = if early {
        &["mode", "pads", "value"]
    } else {
        &["mode"]
    };
    node.operands_max(if early { 1 } else { 4 })?;
    let attributes = node.attributes(known)?;
    let mut x = node.value(0)?;
    let rank = t.shape(x).len() + 1;
    let (pads, value) = if early {
        let value = f64::from(attributes.float_or("value", 0.0)?);
        (attributes.ints("pads")?.unwrap_or_default().to_vec(), value)
    } else {
        let value = match node.operand(2) {
            Some(_) => node.number(2)?,
            None => 0.0,
        };
        (node.ints(1)?.unwrap_or_default().to_vec(), value)
    };
    let axes = match node.operand(3) {
        Some(_) => node.ints(3)?.unwrap_or_default().to_vec(),
        None => (0..).take(rank).collect(),
    };
    let error = || {
        let expected = format!("two counts of at least 0 for each of {rank} axes, 0 for the batch");
        node.operand_error(1, expected, format!("{pads:?}"))
    };
    if pads.len() != 2 * axes.len() {
        return Err(error());
    }
    let mode = attributes.string("mode")?.unwrap_or("constant");
    for (at, &axis) in axes.iter().enumerate() {
        let counts = [pads[at], pads[at + axes.len()]].map(|n| usize::try_from(n).ok());
        let [Some(before), Some(after)] = counts else {
            return Err(error());
        };
        if before == 0 && after == 0 {
            continue;
        }
        let axis = axis_behind_batch(axis, rank).ok_or_else(error)? - 1;
        x = match mode {
            "constant" => t.push(
                node,
                GraphOp::Pad {
                    x,
                    axis,
                    counts: [before, after],
                    value,
                },
            )?,
            "reflect" | "edge" => mirrored(t, node, (x, axis), [before, after], mode == "edge")?,
            other => return Err(attributes.error("mode", "constant, reflect or edge", other)),
        };
    }
    Ok(one(x))
}

/// The elements behind the edges, mirrored, or the edges themselves repeated.
fn mirrored(
    t: &mut Translator,
    node: &Node<'_>,
    (x, axis): (ValueId, usize),
    [before, after]: [usize; 2],
    edge: bool,
) -> Result<ValueId, OnnxError> {
    let shape = t.shape(x);
    let length = shape[axis];
    if !edge && (before >= length || after >= length) {
        let expected = format!("fewer than {length} mirrored elements");
        return Err(node.operand_error(1, expected, format!("{before} and {after}")));
    }
    let mut parts = Vec::new();
    for (count, first) in [(before, true), (after, false)] {
        if count > 0 && edge {
            let start = if first { 0 } else { length - 1 };
            let run = Run {
                start,
                step: 1,
                count: 1,
            };
            let one = sliced(t, node, x, axis, run)?;
            let mut to = shape.clone();
            to[axis] = count;
            parts.push(t.expand(node, one, to)?);
        } else if count > 0 {
            let start = if first { count } else { length - 2 };
            let run = Run {
                start,
                step: -1,
                count,
            };
            parts.push(sliced(t, node, x, axis, run)?);
        }
        if first {
            parts.push(x);
        }
    }
    t.push(node, GraphOp::Concat { xs: parts, axis })
}

/// Enlargement by whole numbers, each element repeated.
pub(crate) fn resize(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let known = [
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    ];
    let attributes = node.attributes(&known)?;
    attributes.only("antialias", 0)?;
    if attributes.ints("axes")?.is_some() {
        return Err(attributes.error("axes", "absent", "present"));
    }
    let upsample = node.proto.op_type == "Upsample";
    let text = |name: &str, default: &'static str| {
        Ok::<_, OnnxError>(attributes.string(name)?.unwrap_or(default))
    };
    let mode = text("mode", "nearest")?;
    if mode != "nearest" {
        return Err(attributes.error("mode", "nearest", mode));
    }
    let early = upsample || node.opset < 11;
    let transform = if early {
        "asymmetric"
    } else {
        text("coordinate_transformation_mode", "half_pixel")?
    };
    let nearest = if early {
        "floor"
    } else {
        text("nearest_mode", "round_prefer_floor")?
    };
    let rounds = nearest.starts_with("round_prefer");
    let sound = match transform {
        "asymmetric" => nearest == "floor",
        "half_pixel" | "pytorch_half_pixel" | "tf_half_pixel_for_nn" => rounds,
        _ => false,
    };
    if !sound {
        let expected = "asymmetric with floor, or half_pixel with round_prefer_floor or _ceil";
        let got = format!("{transform} with {nearest}");
        return Err(attributes.error("coordinate_transformation_mode", expected, got));
    }
    let x = node.value(0)?;
    let shape = t.shape(x);
    let factors = factors(node, &shape, if early { 1 } else { 2 })?;
    repeated(t, node, x, &factors)
}

/// By how much each axis behind the batch grows.
fn factors(node: &Node<'_>, shape: &[usize], scales: usize) -> Result<Vec<usize>, OnnxError> {
    let error = |got: String| {
        let expected = "whole factors, or sizes that are multiples, for each axis, 1 for the batch";
        node.operand_error(scales, expected, got)
    };
    if let Some(Slot::Constant(constant)) = node.operand(scales)
        && let Some(all) = constant.floats().filter(|all| !all.is_empty())
    {
        let whole = |&factor: &f32| {
            let wanted = f64::from(factor);
            (1..=1024_usize).find(|&n| {
                let n = fold::real(i64::try_from(n).unwrap_or(0));
                (n - wanted).abs() < 1e-6
            })
        };
        let factors: Option<Vec<usize>> = all.iter().map(whole).collect();
        return match factors.as_deref() {
            Some([1, rest @ ..]) if rest.len() == shape.len() => Ok(rest.to_vec()),
            _ => Err(error(format!("{all:?}"))),
        };
    }
    let sizes = node.sizes(scales + 1)?.unwrap_or_default();
    let factor = |(&from, to): (&usize, &Option<i64>)| {
        let to = usize::try_from((*to)?).ok()?;
        to.is_multiple_of(from)
            .then(|| to / from)
            .filter(|n| (1..=1024).contains(n))
    };
    let behind = sizes.get(1..).unwrap_or_default();
    let factors: Option<Vec<usize>> = shape.iter().zip(behind).map(factor).collect();
    factors
        .filter(|factors| factors.len() == shape.len() && sizes.len() == shape.len() + 1)
        .ok_or_else(|| error(format!("{sizes:?}")))
}

fn repeated(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    factors: &[usize],
) -> Result<Vec<Slot>, OnnxError> {
    let shape = t.shape(x);
    let (mut split, mut grown, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for (&length, &factor) in shape.iter().zip(factors) {
        split.push(length);
        grown.push(length);
        if factor > 1 {
            split.push(1);
            grown.push(factor);
        }
        whole.push(length * factor);
    }
    let x = t.reshape(node, x, split)?;
    let x = t.expand(node, x, grown)?;
    Ok(one(t.reshape(node, x, whole)?))
}

/// `a` where the condition is 1, `b` where it is 0: `b + condition·(a − b)`, or one of two constants.
pub(crate) fn select(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    use super::elementwise::{affine, broadcast};
    node.operands_max(3)?;
    node.attributes(&[])?;
    let condition = node.value(0)?;
    if !t.is_truths(condition) {
        return Err(node.operand_error(0, "the result of a comparison", "numbers"));
    }
    let product = |t: &mut Translator, c: ValueId, index: usize| match node.operand(index) {
        Some(Slot::Constant(_)) => affine(t, node, c, (node.floats(index)?, index), |v| (v, 0.0)),
        _ => {
            let x = t.real(node, index, node.value(index)?)?;
            let [a, b] = broadcast(t, node, x, c)?;
            t.push(node, GraphOp::Mul { a, b })
        }
    };
    let chosen = product(t, condition, 1)?;
    let otherwise = super::elementwise::scaled(t, node, condition, (-1.0, 1.0))?;
    let other = product(t, otherwise, 2)?;
    let [a, b] = broadcast(t, node, chosen, other)?;
    let subtract = false;
    Ok(one(t.push(node, GraphOp::Add { a, b, subtract })?))
}
