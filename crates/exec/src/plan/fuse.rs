//! Which nodes need no memory: sums that only a rounding reads, and re-indexings that move nothing.

use credence_exact::{Conv, NodeId, Op, Reindex, Shape, Window};
use credence_model::Model;

use crate::cells::index;
use crate::kernel::Layout;
use crate::step::{Axis, Padded};

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has memory of its own and a step that fills it.
    Own,
    /// Its sums stay in registers; the rounding is part of its step.
    Fused { rescale: NodeId },
    /// It is computed by the step of the sums it rounds.
    Rounds,
    /// Its cells stand among the position's scores, whose number grows.
    Scores,
    /// It shows its operand's cells from `first` on.
    Alias { of: NodeId, first: usize },
}

/// The fate of every node.
pub(super) fn fates(model: &Model) -> Vec<Fate> {
    let program = model.program();
    let readers = readers(model);
    let mut fates = vec![Fate::Own; readers.len()];
    for (id, node, shape) in program.nodes() {
        let at = index(id.0);
        if matches!(node.op, Op::Scores(_)) {
            fates[at] = Fate::Scores;
        }
        if let Op::Reindex(op) = &node.op
            && !node.cut
            && program.node(op.x).is_some_and(|x| x.dtype == node.dtype)
            && is_contiguous(op, shape)
        {
            fates[at] = Fate::Alias {
                of: op.x,
                first: index(op.offset),
            };
        }
        if let [reader] = readers[at][..]
            && !node.cut
            && matches!(node.op, Op::Linear(_) | Op::Conv(_))
            && let Some(Op::Rescale(_)) = program.node(reader).map(|node| &node.op)
        {
            fates[at] = Fate::Fused { rescale: reader };
            fates[index(reader.0)] = Fate::Rounds;
        }
    }
    fates
}

/// The nodes that read each node.
pub(super) fn readers(model: &Model) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); model.program().spec().nodes.len()];
    for (id, node, _) in model.program().nodes() {
        for operand in node.op.operands() {
            readers[index(operand.0)].push(id);
        }
    }
    readers
}

/// The padded image that a convolution's kernel reads, or `None` if it is computed without one: when channels meet one to one,
/// and when the image or the packed weights would be out of proportion.
pub(super) fn padded(model: &Model, op: &Conv, layout: Layout) -> Option<Padded> {
    let program = model.program();
    let [_, _, channels] = program.shape(op.x)?.image().ok()?;
    let groups = index(op.groups);
    let weight = program.param_shape(op.weight)?;
    let outputs = weight.dims().first()? / groups;
    let depth = channels / groups;
    let filled = outputs.next_multiple_of(layout.lanes) * depth.next_multiple_of(layout.group);
    if groups > 1 && filled > 8 * outputs * depth {
        return None;
    }
    let padded = Padded {
        axes: axes(model, op.x, op.window)?,
        channels,
        groups,
    };
    // Offsets into the panel are kept in 32 bits.
    let bytes = padded.cells()?.checked_mul(layout.form.width())?;
    u32::try_from(bytes).ok().map(|_| padded)
}

/// A window's two axes over a node's value.
pub(super) fn axes(model: &Model, x: NodeId, window: Window) -> Option<[Axis; 2]> {
    let [height, width, _] = model.program().shape(x)?.image().ok()?;
    let axis = |axis: usize, length: usize| {
        let [kernel, stride, dilation] =
            [window.kernel, window.stride, window.dilation].map(|pair| index(pair[axis]));
        let (before, after) = (index(window.pad[axis]), index(window.pad[axis + 2]));
        let reach = dilation * (kernel - 1) + 1;
        let windows = (length + before + after).checked_sub(reach)? / stride + 1;
        Some(Axis {
            kernel,
            stride,
            dilation,
            pad: before,
            length,
            windows,
        })
    };
    Some([axis(0, height)?, axis(1, width)?])
}

/// Whether the result's cells stand one after another in the operand. The step of an axis of one cell does not count.
fn is_contiguous(op: &Reindex, shape: &Shape) -> bool {
    let mut expected = 1;
    for (&dim, &stride) in shape.dims().iter().zip(&op.strides).rev() {
        if dim > 1 && usize::try_from(stride) != Ok(expected) {
            return false;
        }
        expected *= dim;
    }
    true
}
