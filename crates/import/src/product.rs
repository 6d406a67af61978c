//! Matrix products and convolutions, with what has been folded into their weights.

use credence_exact::{Add, Conv, Dtype, Linear, Multiplier, NodeId, Op, ParamId, Shift, Window};

use crate::emit::{Raw, i32_bytes};
use crate::error::LowerError;
use crate::graph::{ConvOp, GraphOp, LinearOp, ValueId};
use crate::input::StoredFeatures;
use crate::lower::{IMAGE, Lowering, row_major};
use crate::number::dim32;
use crate::plan::Form;
use crate::producer::{Fold, feed};
use crate::rows::{Read, Rows, quantise};
use crate::view::View;

/// A window of one cell.
pub(crate) const UNIT_WINDOW: Window = Window {
    kernel: [1, 1],
    stride: [1, 1],
    pad: [0; 4],
    dilation: [1, 1],
};

/// The operand of a product: which value, in which form, what is folded into the columns, and what one step stands for.
struct Operand {
    x: ValueId,
    form: Form,
    fold: Fold,
    /// Reals per step: one, or one for each column; and what columns are centred about, if they are.
    stored: StoredFeatures,
    /// The integer that stands for 0.
    zero: i32,
    /// The mean of each column, or channel, in what its weight is multiplied with, where it is known.
    means: Vec<f64>,
}

impl Operand {
    /// What a column's weight is multiplied by, so that one scale is left for all of them.
    fn column(&self, k: usize) -> f64 {
        let feature = if self.stored.scales.len() == 1 {
            1.0
        } else {
            self.stored.scales[k]
        };
        self.fold.scale_at(k) * feature
    }

    /// What a column adds for each unit of its weight when its integer is 0.
    fn shift(&self, k: usize) -> f64 {
        let centre = self.stored.centres.get(k).copied().unwrap_or(0.0);
        self.fold.shift_at(k) + self.fold.scale_at(k) * centre
    }

    /// What a row's step is multiplied by: one factor for all columns, if it is one and positive.
    fn uniform(&self) -> Option<f64> {
        let one = self.fold.scale.len() == 1 && self.stored.scales.len() == 1;
        one.then(|| self.fold.scale[0])
            .filter(|&factor| factor > 0.0)
    }

    /// What one step of a row's weights is, if the file says so and what is folded into the row leaves it so.
    fn step(&self, steps: &[f32], fold: &Fold, r: usize) -> Option<f64> {
        let factor = self.uniform()? * fold.scale_at(r);
        let step = f64::from(*steps.get(r)?) * factor;
        (factor > 0.0).then_some(step)
    }

    /// The scale that is left.
    fn scale(&self) -> f64 {
        if let [scale] = self.stored.scales[..] {
            scale
        } else {
            1.0
        }
    }

    fn read<'a>(&self, mean: &'a dyn Fn(usize, usize) -> Option<f64>) -> Read<'a> {
        Read {
            scale: self.scale(),
            zero: self.zero,
            mean,
        }
    }
}

impl Lowering<'_> {
    /// The accumulators of a product, `fold` folded into its rows.
    pub(crate) fn product(
        &mut self,
        value: ValueId,
        base: ValueId,
        fold: &Fold,
        (x, form): (ValueId, Form),
    ) -> Result<Raw, LowerError> {
        let (_, in_front) = feed(self.planner.graph, base);
        let stored = match form {
            Form::Real(quant) => StoredFeatures {
                scales: vec![quant.scale.get()],
                centres: Vec::new(),
            },
            Form::Channels { of, .. } => StoredFeatures {
                scales: self.planner.channel_steps(of),
                centres: Vec::new(),
            },
            form => {
                let noted = self.features.get(&(x, form));
                noted.cloned().ok_or(LowerError::Size)?
            }
        };
        let zero = match form {
            Form::Real(quant) => quant.zero,
            _ => 0,
        };
        let operand = Operand {
            x,
            form,
            fold: in_front,
            means: self.means(x, &stored),
            stored,
            zero,
        };
        match self.planner.graph.node(base).op() {
            GraphOp::Linear(op) => self.linear(value, op, fold, &operand),
            GraphOp::Conv(op) => self.conv(value, op, fold, &operand),
            _ => Err(LowerError::Size),
        }
    }

    /// Means of the features of an input, or of the channels of any value, in what their weights are multiplied with.
    fn means(&self, x: ValueId, stored: &StoredFeatures) -> Vec<f64> {
        let Some(observed) = self.planner.reaches.observed() else {
            return Vec::new();
        };
        let features: Vec<f64> = match observed.features(x) {
            Some(features) => features.iter().map(|feature| feature.mean).collect(),
            None => observed.channels(x).iter().map(|c| c.mean).collect(),
        };
        let stored_at = |(k, mean): (usize, f64)| {
            let centre = stored.centres.get(k).copied().unwrap_or(0.0);
            let step = if stored.scales.len() == 1 {
                1.0
            } else {
                stored.scales[k]
            };
            (mean - centre) / step
        };
        features.into_iter().enumerate().map(stored_at).collect()
    }

    fn linear(
        &mut self,
        value: ValueId,
        op: &LinearOp,
        fold: &Fold,
        operand: &Operand,
    ) -> Result<Raw, LowerError> {
        let name = self.name(value).to_owned();
        let view = self.view((operand.x, operand.form))?;
        let dims = self.dims(operand.x).to_vec();
        let columns = dims.last().copied().unwrap_or(1);
        // A single vector is read in the order its cells have, the columns following; several in their own.
        let cells = if dims.len() == 1 {
            view.cells()
        } else {
            (0..columns).collect()
        };
        let weight = |r: usize| {
            let row = &op.weight[r * columns..(r + 1) * columns];
            let mut arranged = vec![0.0; columns];
            for (k, &w) in row.iter().enumerate() {
                arranged[cells[k]] = f64::from(w) * operand.column(k) * fold.scale_at(r);
            }
            arranged
        };
        let bias = |r: usize| {
            let row = &op.weight[r * columns..(r + 1) * columns];
            let own = op.bias.get(r).map_or(0.0, |&b| f64::from(b));
            let shifted = row
                .iter()
                .enumerate()
                .fold(own, |sum, (k, &w)| sum + f64::from(w) * operand.shift(k));
            shifted * fold.scale_at(r) + fold.shift_at(r)
        };
        let step = |r: usize| operand.step(&op.steps, fold, r);
        let mut columns_of = vec![0; columns];
        for (k, &cell) in cells.iter().enumerate() {
            columns_of[cell] = k;
        }
        let mean = |_: usize, cell: usize| operand.means.get(columns_of[cell]).copied();
        let rows = quantise(op.rows, operand.read(&mean), weight, bias, step);
        let shape = [op.rows, columns];
        let (weight, bias) = self.row_params(&name, &rows, &shape)?;
        let mut shape = dims.clone();
        if let Some(last) = shape.last_mut() {
            *last = op.rows;
        }
        let limbs = self.limbs_of(&name, operand, &view)?;
        let mut parts = Vec::with_capacity(limbs.len());
        for view in &limbs {
            let x = if dims.len() == 1 {
                self.vector(&name, view, columns)?
            } else {
                let order = row_major(dims.len());
                self.emitter.arranged(&name, view, &order, &dims)?
            };
            let own = if parts.len() + 1 == limbs.len() {
                bias
            } else {
                None
            };
            let linear = Linear {
                x,
                weight,
                bias: own,
            };
            parts.push(Op::Linear(linear));
        }
        let node = self.summed(&name, parts, &shape)?;
        Ok(Raw {
            view: View::row_major(node, self.dims(value)),
            scales: rows.scales.iter().map(|s| s * operand.scale()).collect(),
        })
    }

    /// All cells of a view's node as one vector, in the order they have.
    fn vector(&mut self, name: &str, view: &View, cells: usize) -> Result<NodeId, LowerError> {
        let line = View::row_major(view.node, &[cells]);
        self.emitter.arranged(name, &line, &[0], &[cells])
    }

    /// What a product reads: its operand's view, or its two limbs, the high one first.
    fn limbs_of(
        &mut self,
        name: &str,
        operand: &Operand,
        view: &View,
    ) -> Result<Vec<View>, LowerError> {
        let wide = matches!(operand.form, Form::Real(quant) if quant.dtype == Dtype::I16);
        if operand.form != Form::Limbs && !wide {
            return Ok(vec![view.clone()]);
        }
        if wide && !self.limbs.contains_key(&operand.x) {
            let halves = self.halves(name, view)?;
            self.limbs.insert(operand.x, halves);
        }
        let limbs = self.limbs.get(&operand.x).cloned();
        Ok(limbs.ok_or(LowerError::Size)?.to_vec())
    }

    /// A product's accumulators: one node, or `256·(W·high) + (W·low + bias)`.
    fn summed(
        &mut self,
        name: &str,
        parts: Vec<Op>,
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        let names: &[&str] = if parts.len() == 1 {
            &["acc"]
        } else {
            &["high", "low"]
        };
        let mut nodes = Vec::with_capacity(parts.len());
        for (part, limb) in parts.into_iter().zip(names) {
            let name = format!("{name}.{limb}");
            nodes.push(self.emitter.node(&name, part, Dtype::I32, shape)?);
        }
        let (a, b) = match nodes[..] {
            [only] => return Ok(only),
            [high, low] => (high, low),
            _ => return Err(LowerError::Size),
        };
        let multiplier = |m: i32| Multiplier::try_from(m).map_err(|_| LowerError::Size);
        let op = Op::Add(Add {
            a,
            b,
            a_multiplier: multiplier(512)?,
            b_multiplier: multiplier(2)?,
            negate_b: false,
            shift: Shift::try_from(1).map_err(|_| LowerError::Size)?,
            min: -i32::MAX,
            max: i32::MAX,
        });
        self.emitter
            .node(&format!("{name}.acc"), op, Dtype::I32, shape)
    }

    fn conv(
        &mut self,
        value: ValueId,
        op: &ConvOp,
        fold: &Fold,
        operand: &Operand,
    ) -> Result<Raw, LowerError> {
        let name = self.name(value).to_owned();
        let view = self.view((operand.x, operand.form))?;
        let depth = self.dims(operand.x)[0] / op.groups;
        let row = op.weight.len() / op.channels;
        let area = row / depth;
        let channel = |r: usize, c: usize| r * op.groups / op.channels * depth + c;
        let weight = |r: usize| {
            let from = &op.weight[r * row..(r + 1) * row];
            let mut arranged = vec![0.0; row];
            for (at, &w) in from.iter().enumerate() {
                let (c, cell) = (at / area, at % area);
                arranged[cell * depth + c] =
                    f64::from(w) * operand.column(channel(r, c)) * fold.scale_at(r);
            }
            arranged
        };
        let bias = |r: usize| {
            let from = &op.weight[r * row..(r + 1) * row];
            let own = op.bias.get(r).map_or(0.0, |&b| f64::from(b));
            let shifted = from.iter().enumerate().fold(own, |sum, (at, &w)| {
                sum + f64::from(w) * operand.shift(channel(r, at / area))
            });
            shifted * fold.scale_at(r) + fold.shift_at(r)
        };
        let step = |r: usize| operand.step(&op.steps, fold, r);
        let mean = |r: usize, at: usize| operand.means.get(channel(r, at % depth)).copied();
        let rows = quantise(op.channels, operand.read(&mean), weight, bias, step);
        let [height, width] = op.window.kernel.map(|k| usize::try_from(k).unwrap_or(1));
        let shape = [op.channels, height, width, depth];
        let (weight, bias) = self.row_params(&name, &rows, &shape)?;
        let limbs = self.limbs_of(&name, operand, &view)?;
        let mut parts = Vec::with_capacity(limbs.len());
        for view in &limbs {
            let own = if parts.len() + 1 == limbs.len() {
                bias
            } else {
                None
            };
            parts.push(Op::Conv(Conv {
                x: self.image(&name, operand.x, view)?,
                weight,
                bias: own,
                window: op.window,
                groups: dim32(op.groups),
            }));
        }
        let scales = rows.scales.iter().map(|s| s * operand.scale()).collect();
        let dims = self.dims(value).to_vec();
        let shape = IMAGE.map(|axis| dims[axis]);
        let node = self.summed(&name, parts, &shape)?;
        Ok(Raw {
            view: View::permuted(node, &dims, &IMAGE),
            scales,
        })
    }

    fn row_params(
        &mut self,
        name: &str,
        rows: &Rows,
        shape: &[usize],
    ) -> Result<(ParamId, Option<ParamId>), LowerError> {
        let weight = self.emitter.param(
            &format!("{name}.weight"),
            Dtype::I8,
            shape,
            rows.weight.clone(),
        )?;
        let bias = if rows.bias.iter().any(|&b| b != 0) {
            let bytes = i32_bytes(&rows.bias);
            let shape = [rows.bias.len()];
            let bias = self
                .emitter
                .param(&format!("{name}.bias"), Dtype::I32, &shape, bytes)?;
            Some(bias)
        } else {
            None
        };
        Ok((weight, bias))
    }
}
