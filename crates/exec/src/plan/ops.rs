//! One step for each op: every parameter decoded or packed, every place known.

use credence_exact::{
    Add, ArgMax, Concat, Conv, GatherSum, Input, Linear, NodeId, Op, Reindex, Rescale, Shape,
    Softmax, Table, TreeLeaves, Window,
};

use super::build::{Broken, Builder};
use super::fuse::{axes, padded};
use crate::cells::index;
use crate::kernel::{Layout, Matrix, Packed, Rescaling, Run};
use crate::step::{self, Operand, Place, PoolKind, Rounding, Step, repeat};

impl Builder<'_> {
    /// The step that computes a node of this op and shape into a place.
    pub(super) fn step(&mut self, op: &Op, shape: &Shape, y: Place) -> Result<Step, Broken> {
        match op {
            Op::Input(op) => self.input(op, y),
            Op::Linear(op) => self.linear(op, y, None),
            Op::Conv(op) => self.conv(op, y, None),
            Op::Rescale(op) => self.rescale(op, y),
            Op::Add(op) => self.add(op, y),
            Op::Table(op) => self.table(op, y),
            Op::MaxPool(op) => self.pool(op.x, op.window, y, PoolKind::Max),
            Op::SumPool(op) => self.pool(op.x, op.window, y, PoolKind::Sum),
            Op::Reindex(op) => self.reindex(op, shape, y),
            Op::Concat(op) => self.concat(op, shape, y),
            Op::Softmax(op) => self.softmax(op, shape, y),
            Op::ArgMax(op) => self.arg_max(op, y),
            Op::TreeLeaves(op) => self.tree_leaves(op, y),
            Op::GatherSum(op) => self.gather_sum(op, y),
            Op::Token(_) => Ok(Step::Token(step::Token { y })),
            Op::Position(_) => Ok(Step::Number(step::Number { y })),
            Op::Embed(op) => self.embed(op, y),
            Op::MaxAbs(op) => self.max_abs(op.x, y),
            Op::Quantise(op) => self.quantise(op, y),
            Op::RmsRatio(op) => self.rms_ratio(op, y),
            Op::Mul(op) => self.mul(op, shape, y),
            Op::Rope(op) => self.rope(op, shape, y),
            Op::Scores(_) => Err("its scores have no place"),
            Op::Attend(op) => self.attend(op, y),
            Op::Hadamard(op) => self.hadamard(op, y),
            Op::Gather(op) => self.gather(op, y),
            Op::MatMul(op) => self.mat_mul(op, shape, y),
            Op::Divide(op) => self.divide(op, shape, y),
        }
    }

    fn input(&self, op: &Input, y: Place) -> Result<Step, Broken> {
        let input = index(op.index);
        let spec = self.model.program().spec().inputs.get(input);
        let encoding = step::Encoding::new(&spec.ok_or("its input is absent")?.encode);
        Ok(Step::Input(step::Input { input, y, encoding }))
    }

    fn rescale(&self, op: &Rescale, y: Place) -> Result<Step, Broken> {
        Ok(Step::Rescale(step::Rescale {
            x: self.place(op.x)?,
            y,
            multipliers: repeat(&self.param(op.multiplier)?),
            rounding: Rounding {
                shift: op.shift.bits(),
                min: op.min,
                max: op.max,
            },
        }))
    }

    fn add(&self, op: &Add, y: Place) -> Result<Step, Broken> {
        let sign = if op.negate_b { -1 } else { 1 };
        Ok(Step::Add(step::Add {
            a: self.place(op.a)?,
            b: self.place(op.b)?,
            y,
            a_multiplier: op.a_multiplier.get(),
            b_multiplier: sign * op.b_multiplier.get(),
            rounding: Rounding {
                shift: op.shift.bits(),
                min: op.min,
                max: op.max,
            },
        }))
    }

    fn table(&mut self, op: &Table, y: Place) -> Result<Step, Broken> {
        let (x, table) = (self.place(op.x)?, self.entries(op.table)?);
        Ok(Step::Table(step::Table {
            x,
            y,
            table,
            base: op.base,
        }))
    }

    fn softmax(&self, op: &Softmax, shape: &Shape, y: Place) -> Result<Step, Broken> {
        Ok(Step::Softmax(step::Softmax {
            x: self.place(op.x)?,
            y,
            length: shape.last(),
            exp: self.param(op.exp)?,
            bits: op.bits,
        }))
    }

    fn arg_max(&self, op: &ArgMax, y: Place) -> Result<Step, Broken> {
        let length = self.shape(op.x)?.last();
        Ok(Step::ArgMax(step::ArgMax {
            x: self.place(op.x)?,
            y,
            length,
        }))
    }

    fn gather_sum(&self, op: &GatherSum, y: Place) -> Result<Step, Broken> {
        let (table, bias) = (self.param(op.table)?, self.bias(op.bias)?);
        let x = self.place(op.x)?;
        Ok(Step::GatherSum(step::GatherSum::new(
            x,
            y,
            &table,
            bias.as_deref(),
        )))
    }

    fn pool(&self, x: NodeId, window: Window, y: Place, kind: PoolKind) -> Result<Step, Broken> {
        Ok(Step::Pool(step::Pool {
            kind,
            x: self.place(x)?,
            y,
            axes: axes(self.model, x, window).ok_or("its window does not fit")?,
            channels: self.shape(x)?.last(),
        }))
    }

    fn reindex(&self, op: &Reindex, shape: &Shape, y: Place) -> Result<Step, Broken> {
        let axes = shape.dims().iter().zip(&op.strides).map(|(&dim, &stride)| {
            let step = isize::try_from(stride).map_err(|_| "its steps do not fit")?;
            Ok((dim, step))
        });
        let axes = axes.collect::<Result<Vec<_>, Broken>>()?;
        let (x, offset) = (self.place(op.x)?, index(op.offset));
        Ok(Step::Reindex(step::Reindex { x, y, offset, axes }))
    }

    fn concat(&self, op: &Concat, shape: &Shape, y: Place) -> Result<Step, Broken> {
        let axis = index(op.axis);
        let outer = shape.dims().iter().take(axis).product();
        let part = |&x: &NodeId| {
            let inner = self.shape(x)?.dims().iter().skip(axis).product();
            Ok((self.place(x)?, inner))
        };
        let parts = op.xs.iter().map(part).collect::<Result<Vec<_>, Broken>>()?;
        Ok(Step::Concat(step::Concat { parts, y, outer }))
    }

    fn tree_leaves(&self, op: &TreeLeaves, y: Place) -> Result<Step, Broken> {
        let (nodes, roots) = (self.param(op.nodes)?, self.param(op.roots)?);
        let trees = step::TreeLeaves::new(self.place(op.x)?, y, &nodes, &roots);
        trees.map(Step::TreeLeaves).ok_or("its trees do not fit")
    }

    pub(super) fn linear(
        &self,
        op: &Linear,
        y: Place,
        rescaling: Option<Rescaling>,
    ) -> Result<Step, Broken> {
        let length = self.shape(op.x)?.last();
        let count = self.shape(op.x)?.cells() / length;
        let runs = [Run {
            x: 0,
            weight: 0,
            len: length,
        }];
        let (weights, bias) = (self.weights(op.weight)?, self.bias(op.bias)?);
        let outputs = weights.len() / length;
        let matrix = Matrix {
            weights,
            bias: bias.as_deref(),
            outputs,
            rescaling,
            dtype: y.dtype,
        };
        let packed = Packed::new(self.isa, &matrix, &runs).ok_or("its rows are too long")?;
        // From here on the packed weights serve. With the others beside them a large model would take twice the memory.
        self.model.release(op.weight);
        let operand = Operand::Vectors { length, count };
        self.product(self.place(op.x)?, y, operand, vec![packed])
    }

    pub(super) fn conv(
        &self,
        op: &Conv,
        y: Place,
        rescaling: Option<Rescaling>,
    ) -> Result<Step, Broken> {
        let (weights, bias) = (self.weights(op.weight)?, self.bias(op.bias)?);
        let shape = self
            .model
            .program()
            .param_shape(op.weight)
            .ok_or("its weights are absent")?;
        let outputs = shape
            .dims()
            .first()
            .copied()
            .ok_or("its weights have no rows")?;
        let Some(padded) = padded(self.model, op, Layout::of(self.isa)) else {
            let bias = bias.unwrap_or_else(|| vec![0; outputs]);
            let rescaling = rescaling.map(|all| (step::fill_up(&all.multipliers), all.rounding));
            return Ok(Step::DirectConv(step::DirectConv {
                x: self.place(op.x)?,
                y,
                axes: axes(self.model, op.x, op.window).ok_or("its window does not fit")?,
                channels: self.shape(op.x)?.last(),
                depth: shape.last(),
                weights: step::turn(weights, outputs),
                bias: step::fill_up(&bias),
                outputs,
                rescaling,
            }));
        };
        let (each, row) = (outputs / padded.groups, weights.len() / outputs);
        let runs = padded.runs();
        let groups = (0..padded.groups).map(|group| {
            let part = group * each..(group + 1) * each;
            let matrix = Matrix {
                weights: &weights[part.start * row..part.end * row],
                bias: bias.as_ref().map(|bias| &bias[part.clone()]),
                outputs: each,
                rescaling: rescaling.as_ref().map(|all| all.part(part.clone())),
                dtype: y.dtype,
            };
            Packed::new(self.isa, &matrix, &runs).ok_or("its windows are too large")
        });
        let groups = groups.collect::<Result<Vec<_>, Broken>>()?;
        self.product(self.place(op.x)?, y, Operand::Image(padded), groups)
    }

    fn product(
        &self,
        x: Place,
        y: Place,
        operand: Operand,
        groups: Vec<Packed>,
    ) -> Result<Step, Broken> {
        let starts = operand.starts(Layout::of(self.isa), self.tile_positions);
        Ok(Step::Product(step::Product {
            x,
            y,
            operand,
            groups,
            starts: starts.ok_or("its rows are not in order")?,
        }))
    }
}
