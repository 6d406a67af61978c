//! Parts of values, repetitions, padding; sums and maxima along an axis.

use credence_exact::{Concat, Dtype, MaxPool, NodeId, Op, SumPool, Window};

use super::{Lowering, row_major};
use crate::error::LowerError;
use crate::graph::{GraphOp, Run, ValueId};
use crate::number::dim32;
use crate::quant::Quant;
use crate::view::View;

/// Most cells that one window takes together; longer axes are taken in blocks first.
const WINDOW_CELLS_MAX: usize = 2048;
/// Cells of a block.
const BLOCK: usize = 256;

impl Lowering<'_> {
    /// A part of a value, or a value repeated: one re-indexing.
    pub(super) fn part(&mut self, value: ValueId, view: &View) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let graph = self.planner.graph;
        let (x, axis, run) = match graph.node(value).op() {
            GraphOp::Slice { x, axis, run } => (*x, Some(*axis), *run),
            GraphOp::Expand { x, .. } => {
                let none = Run {
                    start: 0,
                    step: 1,
                    count: 1,
                };
                (*x, None, none)
            }
            _ => return Err(LowerError::Size),
        };
        let (from, to) = (self.dims(x).to_vec(), self.dims(value).to_vec());
        let order = self.order_of(x, view);
        let shape: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
        let node = self.emitter.arranged(&name, view, &order, &shape)?;
        let (mut step, mut offset) = (1_usize, 0);
        let mut factors = Vec::with_capacity(order.len());
        for &k in order.iter().rev() {
            let own = isize::try_from(step).map_err(|_| LowerError::Size)?;
            let stride = if Some(k) == axis {
                offset += run.start * step;
                own * run.step
            } else if from[k] == to[k] {
                own
            } else {
                0
            };
            factors.push((to[k], stride));
            step *= from[k];
        }
        factors.reverse();
        let node = self.emitter.taken(&name, node, offset, &factors)?;
        Ok(View::permuted(node, &to, &order))
    }

    pub(super) fn pad(
        &mut self,
        value: ValueId,
        view: &View,
        quant: Quant,
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let graph = self.planner.graph;
        let GraphOp::Pad {
            x,
            axis,
            counts,
            value: number,
        } = graph.node(value).op()
        else {
            return Err(LowerError::Size);
        };
        let from = self.dims(*x).to_vec();
        let order = self.order_of(*x, view);
        let shape: Vec<usize> = order.iter().map(|&k| from[k]).collect();
        let node = self.emitter.arranged(&name, view, &order, &shape)?;
        let along = order.iter().position(|k| k == axis).unwrap_or(0);
        let mut parts = vec![node];
        for (behind, &count) in counts.iter().enumerate() {
            if count > 0 {
                let mut shape = shape.clone();
                shape[along] = count;
                let filling = (quant.integer(*number), quant.dtype);
                let edge = self.constant(&name, node, &shape, filling)?;
                parts.insert(behind * parts.len(), edge);
            }
        }
        let to = self.dims(value).to_vec();
        let shape: Vec<usize> = order.iter().map(|&k| to[k]).collect();
        let op = Op::Concat(Concat {
            xs: parts,
            axis: dim32(along),
        });
        let node = self.emitter.node(&name, op, quant.dtype, &shape)?;
        Ok(View::permuted(node, &to, &order))
    }

    /// Sums or maxima along the last axis of a value: whichever way it lies, without moving it if that can be.
    pub(super) fn reduced(
        &mut self,
        name: &str,
        (x, view): (ValueId, &View),
        dtype: Option<Dtype>,
    ) -> Result<View, LowerError> {
        let dims = self.dims(x).to_vec();
        let last = dims.len() - 1;
        let (count, kept) = (dims[last], &dims[..last]);
        let rest: usize = kept.iter().product();
        let mut first = vec![last];
        first.extend(0..last);
        let node = if view.is_contiguous(&first) && !view.is_contiguous(&row_major(dims.len())) {
            let image = [count, 1, rest];
            let node = self.emitter.arranged(name, view, &first, &image)?;
            self.pool_down(name, node, (count, rest, 0), dtype)?
        } else {
            let image = [rest, count, 1];
            let order = row_major(dims.len());
            let node = self.emitter.arranged(name, view, &order, &image)?;
            self.pool_down(name, node, (count, rest, 1), dtype)?
        };
        Ok(View::row_major(node, kept))
    }

    /// Pools `count` cells along axis 0 or 1 of an image, in blocks first if there are many.
    fn pool_down(
        &mut self,
        name: &str,
        mut node: NodeId,
        (mut count, rest, axis): (usize, usize, usize),
        dtype: Option<Dtype>,
    ) -> Result<NodeId, LowerError> {
        loop {
            let blocks = if count > WINDOW_CELLS_MAX {
                BLOCK
            } else {
                count
            };
            let windows = count.div_ceil(blocks);
            let mut window = Window {
                kernel: [1, 1],
                stride: [1, 1],
                pad: [0; 4],
                dilation: [1, 1],
            };
            window.kernel[axis] = dim32(blocks);
            window.stride[axis] = dim32(blocks);
            window.pad[axis + 2] = dim32(windows * blocks - count);
            let (op, own) = match dtype {
                Some(dtype) => (Op::MaxPool(MaxPool { x: node, window }), dtype),
                None => (Op::SumPool(SumPool { x: node, window }), Dtype::I32),
            };
            let shape = if axis == 0 {
                [windows, 1, rest]
            } else {
                [rest, windows, 1]
            };
            node = self.emitter.node(&format!("{name}.sum"), op, own, &shape)?;
            count = windows;
            if count == 1 {
                return Ok(node);
            }
        }
    }

    /// A pool over windows of many cells: along one axis, then along the other.
    pub(super) fn pooled_sums(
        &mut self,
        name: &str,
        x: NodeId,
        window: Window,
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        let area = u64::from(window.kernel[0]) * u64::from(window.kernel[1]);
        if area <= u64::try_from(WINDOW_CELLS_MAX).unwrap_or(0) {
            let op = Op::SumPool(SumPool { x, window });
            return self.emitter.node(name, op, Dtype::I32, shape);
        }
        let only = |axis: usize| Window {
            kernel: [0, 1].map(|k| if k == axis { window.kernel[k] } else { 1 }),
            stride: [0, 1].map(|k| if k == axis { window.stride[k] } else { 1 }),
            dilation: [0, 1].map(|k| if k == axis { window.dilation[k] } else { 1 }),
            pad: [0, 1, 2, 3].map(|k| if k % 2 == axis { window.pad[k] } else { 0 }),
        };
        let height = self.emitter.shape(x).first().copied().unwrap_or(1);
        let rows = Op::SumPool(SumPool { x, window: only(1) });
        let between = [height, shape[1], shape[2]];
        let rows = self
            .emitter
            .node(&format!("{name}.rows"), rows, Dtype::I32, &between)?;
        let op = Op::SumPool(SumPool {
            x: rows,
            window: only(0),
        });
        self.emitter.node(name, op, Dtype::I32, shape)
    }
}
