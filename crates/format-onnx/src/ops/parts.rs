//! Parts of tensors: slices, pieces, elements and rows by index.
//!
//! A value may stand with its batch on another axis than the first for a while, as exporters of attention have it: what only moves elements follows it
//! ([`Slot::Moved`]), everything else refuses it by name.

use std::sync::Arc;

use credence_import::{GraphOp, Run, ValueId};

use super::shapes::axis_of;
use super::{fold, one};
use crate::constant::Constant;
use crate::error::OnnxError;
use crate::translate::{Node, OneHot, Slot, Translator};

/// Most pieces that one operator is taken apart into.
pub(super) const PIECES_MAX: usize = 1024;
/// An end of a slice that no batch reaches: all of it is meant.
const WHOLE_BATCH: i64 = 1 << 24;
/// Most elements that a constant is made to have.
const CELLS_MAX: usize = 1 << 24;

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
        let from_end = |at: i64| {
            if at < 0 {
                at.saturating_add(length)
            } else {
                at
            }
        };
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
        let step = i64::try_from(self.step.unsigned_abs())
            .unwrap_or(i64::MAX)
            .max(1);
        let count = if span > 0 { (span - 1) / step + 1 } else { 0 };
        let count = usize::try_from(count).ok()?;
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
    let (starts, ends, axes, steps) = if node.opset < 10 {
        node.operands_max(1)?;
        let attributes = node.attributes(&["axes", "ends", "starts"])?;
        let list = |name: &str| Ok::<_, OnnxError>(attributes.ints(name)?.map(<[i64]>::to_vec));
        (list("starts")?, list("ends")?, list("axes")?, None)
    } else {
        node.operands_max(5)?;
        node.attributes(&[])?;
        let list = |index: usize| Ok::<_, OnnxError>(node.ints(index)?.map(<[i64]>::to_vec));
        (list(1)?, list(2)?, list(3)?, list(4)?)
    };
    let (starts, ends) = (starts.unwrap_or_default(), ends.unwrap_or_default());
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
        let mut shape = constant.shape.clone();
        let mut at: Vec<usize> = (0..constant.len()).collect();
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

pub(super) fn sliced(
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
    let y = t.push(node, GraphOp::Slice { x, axis, run })?;
    t.note_as(x, y);
    Ok(y)
}

/// Indices of a part of a constant.
fn taken(shape: &[usize], at: &[usize], axis: usize, run: Run) -> (Vec<usize>, Vec<usize>) {
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
    known.push(if node.opset < 13 {
        "split"
    } else {
        "num_outputs"
    });
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
        (0..parts)
            .map(|n| i64::try_from(size(n)).unwrap_or(0))
            .collect()
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
        node.operand_error(
            index,
            format!("indices within {length}"),
            format!("{all:?}"),
        )
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
    let misplaced =
        |rank: usize| attributes.error("axis", format!("one of {rank}"), axis.to_string());
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

/// Elements along an axis, each by an index of its own: constant indices of a value or of a constant.
pub(crate) fn gather_elements(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    let axis = node.attributes(&["axis"])?.int_or("axis", 0)?;
    let Some(picks) = node.constant(1)? else {
        return Err(node.operand_error(1, "given", "absent"));
    };
    if let Some(Slot::Constant(constant)) = node.operand(0) {
        let (shape, cells) = elements(node, &constant.shape, axis, picks)?;
        return Ok(fold::picked(node, constant, shape, &cells));
    }
    let x = node.value(0)?;
    let mut from = t.shape(x);
    let cells: usize = from.iter().product();
    from.insert(0, 1);
    // The batch is 1 in the indices: they are the same for every position.
    let batch = picks.shape.first() == Some(&1) && axis_of(axis, from.len()) != Some(0);
    if !batch {
        let expected = "of a batch of 1, along an axis behind it";
        return Err(node.operand_error(1, expected, picks.describe()));
    }
    let (mut shape, cells_picked) = elements(node, &from, axis, picks)?;
    let runs = runs(&cells_picked);
    if runs.len() > PIECES_MAX {
        let expected = "indices of at most 1,024 even runs";
        return Err(node.operand_error(1, expected, format!("{} of them", runs.len())));
    }
    let line = t.reshape(node, x, vec![cells])?;
    let mut parts = Vec::with_capacity(runs.len());
    for run in runs {
        parts.push(sliced(t, node, line, 0, run)?);
    }
    let mut y = parts[0];
    if parts.len() > 1 {
        let op = GraphOp::Concat { xs: parts, axis: 0 };
        y = t.push(node, op)?;
    }
    t.note_as(x, y);
    shape.remove(0);
    Ok(one(t.reshape(node, y, shape)?))
}

/// For each index of `picks` the cell of a tensor of this shape that it means; and their shape.
fn elements(
    node: &Node<'_>,
    from: &[usize],
    axis: i64,
    picks: &Constant,
) -> Result<(Vec<usize>, Vec<usize>), OnnxError> {
    let error = || {
        let expected =
            format!("indices with as many axes as {from:?}, none longer but that of the indices");
        node.operand_error(1, expected, picks.describe())
    };
    let axis = axis_of(axis, from.len()).ok_or_else(error)?;
    let found = indices(node, 1, from[axis])?;
    let fits = picks.shape.len() == from.len()
        && (0..from.len()).all(|k| k == axis || picks.shape[k] <= from[k]);
    if !fits {
        return Err(error());
    }
    let mut cells = Vec::with_capacity(found.len());
    for (at, index) in found.into_iter().enumerate() {
        let (mut rest, mut step, mut cell) = (at, 1, 0);
        for k in (0..from.len()).rev() {
            let own = rest % picks.shape[k];
            rest /= picks.shape[k];
            cell += step * if k == axis { index } else { own };
            step *= from[k];
        }
        cells.push(cell);
    }
    Ok((picks.shape.clone(), cells))
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
    let cells = outer
        .checked_mul(found.len())
        .and_then(|n| n.checked_mul(inner));
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
    let rows = usize::try_from(most)
        .ok()
        .and_then(|most| most.checked_add(1));
    let least = hot.values.iter().copied().min().unwrap_or(0);
    let Some(rows) =
        rows.filter(|&rows| least >= 0 && rows <= 1 << 20 && places == hot.values.len())
    else {
        return Err(node.operand_error(
            0,
            "0 to 2^20, one for each row",
            format!("{least}..={most}"),
        ));
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
