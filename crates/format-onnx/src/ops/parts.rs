//! Parts of tensors and repetitions of them; shapes as constants, in which the size of the batch stays open.
//!
//! A value may stand with its batch on another axis than the first for a while, as exporters of attention have it: what only moves elements follows it
//! ([`Slot::Moved`]), everything else refuses it by name.

use std::sync::Arc;

use credence_import::{GraphOp, Run, ValueId};

use super::shapes::{axis_behind_batch, axis_of};
use super::{fold, one};
use crate::constant::{Constant, Values};
use crate::error::OnnxError;
use crate::translate::{Node, OneHot, Slot, Translator};

/// Most pieces that one operator is taken apart into.
const PIECES_MAX: usize = 1024;
/// An end of a slice that no batch reaches: all of it is meant.
const WHOLE_BATCH: i64 = 1 << 24;
/// Most elements that a constant is made to have.
const CELLS_MAX: usize = 1 << 24;

/// Sizes, the batch open: what `Shape` gives.
pub(crate) fn shape(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["end", "start"])?;
    let sizes = match node.operand(0) {
        Some(Slot::Constant(constant)) => {
            let sizes = constant.shape.iter().map(|&dim| i64::try_from(dim).ok());
            sizes.collect::<Vec<_>>()
        }
        _ => {
            let (x, batch) = node.placed(0)?;
            let mut sizes: Vec<Option<i64>> = t
                .shape(x)
                .iter()
                .map(|&dim| i64::try_from(dim).ok())
                .collect();
            sizes.insert(batch.min(sizes.len()), None);
            sizes
        }
    };
    let rank = i64::try_from(sizes.len()).unwrap_or(0);
    let end = |name: &str, default: i64| {
        let at = attributes.int_or(name, default)?;
        let at = if at < 0 { at + rank } else { at };
        Ok::<_, OnnxError>(usize::try_from(at.clamp(0, rank)).unwrap_or(0))
    };
    let (start, end) = (end("start", 0)?, end("end", rank)?);
    let part = sizes.get(start..end).unwrap_or_default().to_vec();
    Ok(fold::made(node, vec![part.len()], Values::of_sizes(part)))
}

/// One number in every element of a constant shape.
pub(crate) fn constant_of_shape(
    _: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["value"])?;
    let sizes = node.ints(0)?.unwrap_or_default();
    let shape: Option<Vec<usize>> = sizes.iter().map(|&n| usize::try_from(n).ok()).collect();
    let cells = |shape: &Vec<usize>| {
        let cells = shape.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
        cells.filter(|&cells| cells <= CELLS_MAX)
    };
    let Some((shape, cells)) = shape.and_then(|shape| {
        let cells = cells(&shape)?;
        Some((shape, cells))
    }) else {
        let expected = "sizes of at most 2^24 elements together";
        return Err(node.operand_error(0, expected, format!("{sizes:?}")));
    };
    let value = attributes.tensor("value")?.map(Constant::new).transpose()?;
    let values = match value.map(|value| value.values) {
        None => Values::Floats(vec![0.0; cells]),
        Some(Values::Floats(one)) if one.len() == 1 => Values::Floats(vec![one[0]; cells]),
        Some(Values::Ints(one)) if one.len() == 1 => Values::Ints(vec![one[0]; cells]),
        Some(_) => return Err(attributes.error("value", "of one element", "of several")),
    };
    Ok(fold::made(node, shape, values))
}

/// `start, start + delta, …` below `limit`, all constant.
pub(crate) fn range(_: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    node.attributes(&[])?;
    let (start, limit, delta) = (node.number(0)?, node.number(1)?, node.number(2)?);
    let count = ((limit - start) / delta).ceil();
    let cells = (0..=CELLS_MAX).find(|&n| fold::real(i64::try_from(n).unwrap_or(0)) >= count);
    let Some(cells) = cells.filter(|_| delta != 0.0 && count.is_finite()) else {
        return Err(node.operand_error(2, "a step that ends within 2^24", delta.to_string()));
    };
    let at = |n: usize| start + delta * fold::real(i64::try_from(n).unwrap_or(0));
    let integers = matches!(node.operand(0), Some(Slot::Constant(c)) if c.ints().is_some());
    let constant = Constant {
        name: node.name.clone(),
        shape: vec![cells],
        values: Values::Floats((0..cells).map(|n| crate::constant::narrow(at(n))).collect()),
    };
    if !integers {
        return Ok(vec![Slot::Constant(Arc::new(constant))]);
    }
    let (start, delta) = (node.ints(0)?, node.ints(2)?);
    let (Some([start]), Some([delta])) = (start, delta) else {
        return Err(node.operand_error(0, "three integers", "others"));
    };
    let all = (0..cells).map(|n| {
        let steps = delta.checked_mul(i64::try_from(n).ok()?)?;
        start.checked_add(steps)
    });
    let all = all.collect::<Option<Vec<i64>>>();
    let all = all.ok_or_else(|| node.operand_error(1, "within 64 bits", "beyond"))?;
    Ok(fold::made(node, vec![cells], Values::Ints(all)))
}

/// What `Slice` takes along one axis.
struct Cut {
    axis: usize,
    start: i64,
    end: i64,
    step: i64,
}

impl Cut {
    /// The elements of an axis of this length, as numpy's slices have them; none if there are none.
    fn run(&self, length: usize) -> Option<Run> {
        let length = i64::try_from(length).ok()?;
        let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
        let (low, high) = if self.step > 0 {
            (0, length)
        } else {
            (-1, length - 1)
        };
        let start = from_end(self.start).clamp(low, high);
        // A negative step ends before the first element: an end of −1 counts from the back, as everywhere.
        let end = from_end(self.end).clamp(low, high);
        let span = if self.step > 0 {
            end.checked_sub(start)?
        } else {
            start.checked_sub(end)?
        };
        let step = i64::try_from(self.step.unsigned_abs()).ok().filter(|&s| s > 0)?;
        let count = usize::try_from((span + step - 1).div_euclid(step)).ok()?;
        let run = Run {
            start: usize::try_from(start).ok()?,
            step: isize::try_from(self.step).ok()?,
            count,
        };
        (count > 0).then_some(run)
    }
}

/// The axes, starts, ends and steps of a slice: attributes before version 10, operands since.
fn cuts(node: &Node<'_>, rank: usize) -> Result<Vec<Cut>, OnnxError> {
    let (starts, ends, axes, steps): (Vec<i64>, Vec<i64>, Option<Vec<i64>>, Option<Vec<i64>>);
    if node.opset < 10 {
        node.operands_max(1)?;
        let attributes = node.attributes(&["axes", "ends", "starts"])?;
        let list = |name: &str| Ok::<_, OnnxError>(attributes.ints(name)?.map(<[i64]>::to_vec));
        (starts, ends) = (
            list("starts")?.unwrap_or_default(),
            list("ends")?.unwrap_or_default(),
        );
        (axes, steps) = (list("axes")?, None);
    } else {
        node.operands_max(5)?;
        node.attributes(&[])?;
        let list = |index: usize| Ok::<_, OnnxError>(node.ints(index)?.map(<[i64]>::to_vec));
        (starts, ends) = (
            list(1)?.unwrap_or_default(),
            list(2)?.unwrap_or_default(),
        );
        (axes, steps) = (list(3)?, list(4)?);
    }
    let count = starts.len();
    let axes = axes.unwrap_or_else(|| (0..).take(count).collect());
    let steps = steps.unwrap_or_else(|| vec![1; count]);
    let even = ends.len() == count && axes.len() == count && steps.len() == count;
    if !even || steps.contains(&0) {
        let got = format!("{starts:?}, {ends:?}, {axes:?}, {steps:?}");
        return Err(node.operand_error(
            1,
            "as many starts, ends, axes and steps, no step of 0",
            got,
        ));
    }
    let mut cuts: Vec<Cut> = Vec::with_capacity(count);
    for at in 0..count {
        let axis = axis_of(axes[at], rank).filter(|axis| cuts.iter().all(|c| c.axis != *axis));
        let axis = axis.ok_or_else(|| {
            node.operand_error(3, format!("distinct axes of {rank}"), format!("{axes:?}"))
        })?;
        cuts.push(Cut {
            axis,
            start: starts[at],
            end: ends[at],
            step: steps[at],
        });
    }
    Ok(cuts)
}

/// A part of a tensor along some axes.
pub(crate) fn slice(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let empty = |node: &Node<'_>| node.operand_error(1, "a part with elements", "an empty one");
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        let cuts = cuts(node, constant.shape.len())?;
        let (mut shape, mut at) = (constant.shape.clone(), (0..constant.len()).collect());
        for cut in cuts {
            let run = cut.run(shape[cut.axis]).ok_or_else(|| empty(node))?;
            (shape, at) = taken(&shape, &at, cut.axis, run);
        }
        return Ok(fold::picked(node, constant, shape, &at));
    }
    let (mut x, batch) = node.placed(0)?;
    let rank = t.shape(x).len() + 1;
    for cut in cuts(node, rank)? {
        if cut.axis == batch {
            // All of the batch, whatever its size.
            if cut.start == 0 && cut.step == 1 && cut.end >= WHOLE_BATCH {
                continue;
            }
            return Err(node.operand_error(1, "all of the batch", "a part of it"));
        }
        let axis = behind(cut.axis, batch);
        let run = cut.run(t.shape(x)[axis]).ok_or_else(|| empty(node))?;
        x = sliced(t, node, x, axis, run)?;
    }
    Ok(vec![Slot::placed(x, batch)])
}

/// The axis of a position that an axis of the file is.
pub(crate) const fn behind(axis: usize, batch: usize) -> usize {
    if axis < batch { axis } else { axis - 1 }
}

fn sliced(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    axis: usize,
    run: Run,
) -> Result<ValueId, OnnxError> {
    let whole = Run {
        start: 0,
        step: 1,
        count: t.shape(x)[axis],
    };
    if run == whole {
        return Ok(x);
    }
    let integers = t.is_integers(x);
    let y = t.push(node, GraphOp::Slice { x, axis, run })?;
    if integers {
        t.note_integers(y);
    }
    Ok(y)
}

/// Indices of a part of a constant.
fn taken(shape: &[usize], at: &Vec<usize>, axis: usize, run: Run) -> (Vec<usize>, Vec<usize>) {
    let inner: usize = shape.iter().skip(axis + 1).product();
    let length = shape[axis] * inner;
    let mut kept = Vec::new();
    for outer in at.chunks_exact(length.max(1)) {
        let mut from = run.start;
        for _ in 0..run.count {
            kept.extend_from_slice(&outer[from * inner..(from + 1) * inner]);
            from = from.wrapping_add_signed(run.step);
        }
    }
    let mut shape = shape.to_vec();
    shape[axis] = run.count;
    (shape, kept)
}

/// Parts one behind the other along an axis.
pub(crate) fn split(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let mut known = vec!["axis"];
    known.push(if node.opset < 13 { "split" } else { "num_outputs" });
    node.operands_max(if node.opset < 13 { 1 } else { 2 })?;
    let attributes = node.attributes(&known)?;
    let (x, batch) = node.placed(0)?;
    let rank = t.shape(x).len() + 1;
    let axis = attributes.int_or("axis", 0)?;
    let at = axis_of(axis, rank)
        .filter(|&at| at != batch)
        .ok_or_else(|| attributes.error("axis", "one that is not the batch", axis.to_string()))?;
    let along = behind(at, batch);
    let length = t.shape(x)[along];
    let given = if node.opset < 13 {
        attributes.ints("split")?.map(<[i64]>::to_vec)
    } else {
        node.ints(1)?.map(<[i64]>::to_vec)
    };
    let parts = node.proto.output.len().clamp(1, PIECES_MAX);
    let even = length.div_ceil(parts);
    let sizes = given.unwrap_or_else(|| {
        let size = |n: usize| length.saturating_sub(n * even).min(even);
        (0..parts).map(|n| i64::try_from(size(n)).unwrap_or(0)).collect()
    });
    let sizes: Option<Vec<usize>> = sizes
        .iter()
        .map(|&size| usize::try_from(size).ok().filter(|&size| size > 0))
        .collect();
    let sizes = sizes.filter(|sizes| {
        sizes.len() <= PIECES_MAX
            && sizes.iter().try_fold(0_usize, |sum, &n| sum.checked_add(n)) == Some(length)
    });
    let sizes = sizes.ok_or_else(|| {
        node.operand_error(1, format!("positive sizes that sum to {length}"), "others")
    })?;
    let mut start = 0;
    let mut slots = Vec::with_capacity(sizes.len());
    for count in sizes {
        let step = 1;
        let y = sliced(t, node, x, along, Run { start, step, count })?;
        slots.push(Slot::placed(y, batch));
        start += count;
    }
    Ok(slots)
}

/// Constant indices, within an axis.
fn indices(node: &Node<'_>, index: usize, length: usize) -> Result<Vec<usize>, OnnxError> {
    let all = node.ints(index)?.unwrap_or_default();
    let size = i64::try_from(length).unwrap_or(i64::MAX);
    let inside = |&at: &i64| {
        let at = if at < 0 { at.saturating_add(size) } else { at };
        usize::try_from(at).ok().filter(|&at| at < length)
    };
    let found: Option<Vec<usize>> = all.iter().map(inside).collect();
    found.filter(|found| !found.is_empty()).ok_or_else(|| {
        node.operand_error(index, format!("indices within {length}"), format!("{all:?}"))
    })
}

/// Indices as runs, each as long as it can be.
fn runs(indices: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &at in indices {
        if let Some(last) = runs.last_mut() {
            let end = last.start.wrapping_add_signed(
                last.step
                    .wrapping_mul(isize::try_from(last.count - 1).unwrap_or(0)),
            );
            let step = isize::try_from(at)
                .unwrap_or(0)
                .wrapping_sub(isize::try_from(end).unwrap_or(0));
            if step != 0 && (last.count == 1 || last.step == step) {
                last.step = step;
                last.count += 1;
                continue;
            }
        }
        runs.push(Run {
            start: at,
            step: 1,
            count: 1,
        });
    }
    runs
}

/// Elements along an axis by index: constant indices of a value, computed or constant indices of a constant.
pub(crate) fn gather(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    let attributes = node.attributes(&["axis"])?;
    let axis = attributes.int_or("axis", 0)?;
    let misplaced = |rank: usize| attributes.error("axis", format!("one of {rank}"), axis.to_string());
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        let rank = constant.shape.len();
        let at = axis_of(axis, rank).ok_or_else(|| misplaced(rank))?;
        if !matches!(node.operand(1), Some(Slot::Constant(_))) {
            return rows(t, node, constant, at);
        }
        return gathered(node, constant, at);
    }
    let (x, batch) = node.placed(0)?;
    let rank = t.shape(x).len() + 1;
    let at = axis_of(axis, rank)
        .filter(|&at| at != batch)
        .ok_or_else(|| misplaced(rank))?;
    let along = behind(at, batch);
    let Some(constant) = node.constant(1)? else {
        return Err(node.operand_error(1, "given", "absent"));
    };
    let found = indices(node, 1, t.shape(x)[along])?;
    let runs = runs(&found);
    if runs.len() > PIECES_MAX || constant.shape.len() > 1 {
        let expected = "a number, or a list of indices in at most 1,024 even runs";
        return Err(node.operand_error(1, expected, constant.describe()));
    }
    let mut parts = Vec::with_capacity(runs.len());
    for run in runs {
        parts.push(sliced(t, node, x, along, run)?);
    }
    let mut y = parts[0];
    if parts.len() > 1 {
        let op = GraphOp::Concat {
            xs: parts,
            axis: along,
        };
        y = t.push(node, op)?;
    }
    if !constant.shape.is_empty() {
        return Ok(vec![Slot::placed(y, batch)]);
    }
    let mut shape = t.shape(y);
    shape.remove(along);
    let y = t.reshape(node, y, shape)?;
    Ok(vec![Slot::placed(y, batch - usize::from(at < batch))])
}

/// A constant's elements at constant indices.
fn gathered(node: &Node<'_>, constant: &Constant, at: usize) -> Result<Vec<Slot>, OnnxError> {
    let found = indices(node, 1, constant.shape[at])?;
    let own = match node.operand(1) {
        Some(Slot::Constant(own)) => own.shape.clone(),
        _ => Vec::new(),
    };
    let (before, rest) = constant.shape.split_at(at);
    let inner: usize = rest.iter().skip(1).product();
    let outer: usize = before.iter().product();
    let step = constant.shape[at] * inner;
    let cells = outer.checked_mul(found.len()).and_then(|n| n.checked_mul(inner));
    if cells.is_none_or(|cells| cells > CELLS_MAX) {
        return Err(node.operand_error(1, "of at most 2^24 elements", "more"));
    }
    let mut cells = Vec::new();
    for o in 0..outer {
        for &index in &found {
            let from = o * step + index * inner;
            cells.extend(from..from + inner);
        }
    }
    let mut shape = before.to_vec();
    shape.extend(own);
    shape.extend_from_slice(&rest[1..]);
    Ok(fold::picked(node, constant, shape, &cells))
}

/// Rows of a constant by computed number.
fn rows(
    t: &mut Translator,
    node: &Node<'_>,
    constant: &Constant,
    at: usize,
) -> Result<Vec<Slot>, OnnxError> {
    let x = node.value(1)?;
    let table = node.floats(0)?.floats().unwrap_or_default().to_vec();
    if at != 0 {
        return Err(node.operand_error(0, "gathered along axis 0", format!("along axis {at}")));
    }
    let width = table.len() / constant.shape[0].max(1);
    let y = t.push(node, GraphOp::Rows { x, table, width })?;
    let mut shape = t.shape(x);
    shape.extend_from_slice(&constant.shape[1..]);
    Ok(one(t.reshape(node, y, shape)?))
}

/// What `x = [0, 1, …]` means for an integer x behind a last axis of one, if this is it.
pub(crate) fn one_hot_of(t: &Translator, node: &Node<'_>) -> Result<Option<Slot>, OnnxError> {
    let (index, constant) = match (node.operand(0), node.operand(1)) {
        (Some(Slot::Value(_)), Some(Slot::Constant(constant))) => (0, constant),
        (Some(Slot::Constant(constant)), Some(Slot::Value(_))) => (1, constant),
        _ => return Ok(None),
    };
    let x = node.value(index)?;
    let row = constant.shape.last() == Some(&constant.len()) && constant.len() > 1;
    match constant.ints() {
        Some(values) if row && t.shape(x).last() == Some(&1) && t.is_integers(x) => {
            let values = values.to_vec();
            Ok(Some(Slot::OneHot(Arc::new(OneHot { x, values }))))
        }
        _ => Ok(None),
    }
}

/// A product of what is 1 at one place with a matrix: the matrix's row of that place.
pub(crate) fn one_hot_rows(
    t: &mut Translator,
    node: &Node<'_>,
    hot: &OneHot,
) -> Result<Vec<Slot>, OnnxError> {
    let matrix = node.floats(1)?;
    let &[places, width] = matrix.shape.as_slice() else {
        return Err(node.operand_error(1, "a matrix", matrix.describe()));
    };
    let most = hot.values.iter().copied().max().unwrap_or(0);
    let rows = usize::try_from(most).ok().and_then(|most| most.checked_add(1));
    let least = hot.values.iter().copied().min().unwrap_or(0);
    let Some(rows) = rows.filter(|&rows| least >= 0 && rows <= 1 << 20 && places == hot.values.len())
    else {
        return Err(node.operand_error(0, "0 to 2^20, one for each row", format!("{least}..={most}")));
    };
    let entries = matrix.floats().unwrap_or_default();
    let mut table = vec![0.0; rows * width];
    for (place, &value) in hot.values.iter().enumerate() {
        let at = usize::try_from(value).unwrap_or(0) * width;
        table[at..at + width].copy_from_slice(&entries[place * width..(place + 1) * width]);
    }
    t.notes.push(format!(
        "`{}` looks rows up: integers outside 0 to {most} are refused, where the file would take a row of zeros",
        node.name
    ));
    let mut shape = t.shape(hot.x);
    shape.pop();
    let x = t.reshape(node, hot.x, shape)?;
    Ok(one(t.push(node, GraphOp::Rows { x, table, width })?))
}

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
        .map(|&n| usize::try_from(n).ok().filter(|n| (1..=PIECES_MAX).contains(n)))
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
        to.is_multiple_of(from).then(|| to / from).filter(|n| (1..=1024).contains(n))
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
    if !t.is_integers(condition) {
        return Err(node.operand_error(0, "the result of a comparison", "real numbers"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_numpys() {
        let run = |start, end, step, length| {
            let cut = Cut {
                axis: 0,
                start,
                end,
                step,
            };
            let run = cut.run(length)?;
            let end = isize::try_from(run.start).unwrap()
                + run.step * isize::try_from(run.count - 1).unwrap();
            Some((run.start, end, run.count))
        };
        assert_eq!(run(0, i64::MAX, 1, 5), Some((0, 4, 5)));
        assert_eq!(run(1, -1, 2, 6), Some((1, 3, 2)));
        assert_eq!(run(-1, i64::MIN, -1, 4), Some((3, 0, 4)));
        assert_eq!(run(i64::MAX, 0, -2, 5), Some((4, 2, 2)));
        assert_eq!(run(3, 3, 1, 5), None);
        assert_eq!(run(i64::MIN, i64::MAX, i64::MIN, 5), None);
        assert_eq!(run(2, 4, i64::MAX, 5), Some((2, 2, 1)));
    }

    #[test]
    fn indices_become_runs() {
        let found = runs(&[4, 3, 2, 2, 7, 9, 11]);
        let parts: Vec<_> = found.iter().map(|r| (r.start, r.step, r.count)).collect();
        assert_eq!(parts, [(4, -1, 3), (2, 5, 2), (9, 2, 2)]);
    }
}
