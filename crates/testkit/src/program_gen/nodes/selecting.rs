//! Nodes of a random program that move cells, look them up, or reduce them.

use credence_exact::{ArgMax, Concat, Dtype, GatherSum, Op, Reindex, Softmax, Table, TreeLeaves};

use super::super::random::Choices;
use super::{Builder, Value};

impl Builder<'_> {
    pub(super) fn table(&mut self) -> Option<Value> {
        let x = self.value(Value::is_narrow)?;
        let (base, length) = if x.dtype == Dtype::I8 {
            (-128, 256)
        } else {
            (-32_768, 65_536)
        };
        let dtype = *self.choices.pick(&[Dtype::I8, Dtype::I16, Dtype::I32]);
        let (min, max) = dtype.range();
        let entries: Vec<i32> = (0..length)
            .map(|_| i32::try_from(self.choices.range(min, max)).unwrap_or(0))
            .collect();
        // A table's entries may be kept in a type of their own.
        let table = self.param(dtype, vec![length], &entries);
        let cut = self.choices.chance(60);
        self.node(
            Op::Table(Table {
                x: x.id,
                table,
                base,
            }),
            x.dims,
            dtype,
            cut,
        );
        None
    }

    pub(super) fn reindex(&mut self) -> Option<Value> {
        let x = self.value(|v| !v.dims.is_empty())?;
        let mut strides = vec![1_i32; x.dims.len()];
        for axis in (0..x.dims.len() - 1).rev() {
            strides[axis] = strides[axis + 1] * i32::try_from(x.dims[axis + 1]).unwrap_or(1);
        }
        let mut axes: Vec<(u32, i32)> = x.dims.iter().copied().zip(strides).collect();
        let mut offset = 0;
        match self.choices.size(0, 4) {
            0 => axes = vec![(x.cells(), 1)],
            1 => axes.reverse(),
            2 => {
                // A slice of the first axis, one after another.
                let (dim, stride) = axes[0];
                let start = self.choices.size(0, dim - 1);
                axes[0] = (self.choices.size(1, dim - start), stride);
                offset = start * u32::try_from(stride).unwrap_or(0);
            }
            3 => {
                // Backwards along the last axis, and every row twice.
                let (dim, _) = axes.pop()?;
                axes.extend([(2, 0), (dim, -1)]);
                offset = dim - 1;
            }
            _ => axes.rotate_left(1),
        }
        let (shape, strides): (Vec<u32>, Vec<i32>) = axes.into_iter().unzip();
        let dtype = if self.choices.chance(10) {
            Dtype::I32
        } else {
            x.dtype
        };
        let cut = self.choices.chance(30);
        let op = Op::Reindex(Reindex {
            x: x.id,
            shape: shape.clone(),
            offset,
            strides,
        });
        let mut moved = self.node(op, shape, dtype, cut);
        self.passes_on(&x, &mut moved);
        None
    }

    pub(super) fn concat(&mut self) -> Option<Value> {
        let first = self.value(|v| !v.dims.is_empty())?;
        let axis = self
            .choices
            .size(0, u32::try_from(first.dims.len()).ok()? - 1);
        let at = usize::try_from(axis).ok()?;
        let mut dims = first.dims.clone();
        let mut xs = vec![first.id];
        let mut dtype = first.dtype;
        for _ in 0..self.choices.size(0, 2) {
            let other = self.value(|v| {
                v.dims.len() == dims.len()
                    && (0..dims.len()).all(|k| k == at || v.dims[k] == dims[k])
            })?;
            dims[at] += other.dims[at];
            dtype = dtype.max(other.dtype);
            xs.push(other.id);
        }
        let cut = self.choices.chance(30);
        self.node(Op::Concat(Concat { xs, axis }), dims, dtype, cut);
        None
    }

    pub(super) fn softmax(&mut self) -> Option<Value> {
        let x = self.value(|v| !v.dims.is_empty() && v.last() <= 300)?;
        let length = self.choices.size(1, 400);
        // Small entries make quotients that end in one half.
        let reach = *self.choices.pick(&[1 << 24, 3, 1]);
        let mut exp: Vec<i32> = (0..length).map(|_| self.choices.int(0, reach)).collect();
        exp[0] = exp[0].max(1);
        if self.choices.chance(50) {
            exp.sort_unstable_by(|a, b| b.cmp(a));
            exp[0] = exp[0].max(1);
        }
        let exp = self.vector(&exp);
        let bits = u8::try_from(self.choices.size(1, 24)).ok()?;
        let dtype = Dtype::narrowest(0, 1 << bits)?;
        self.node(
            Op::Softmax(Softmax { x: x.id, exp, bits }),
            x.dims,
            dtype,
            true,
        );
        None
    }

    pub(super) fn arg_max(&mut self) -> Option<Value> {
        let x = self.value(|v| !v.dims.is_empty())?;
        let mut dims = x.dims.clone();
        dims.pop();
        let dtype = Dtype::narrowest(0, i64::from(x.last()) - 1)?;
        let cut = self.choices.chance(60);
        self.node(Op::ArgMax(ArgMax { x: x.id }), dims, dtype, cut);
        if let Some(last) = self.values.last_mut() {
            last.entries = Some(x.last());
        }
        None
    }

    /// Trees of random form; some nodes are shared.
    pub(super) fn trees(&mut self) -> Option<Value> {
        let x = self.value(|v| v.dims.len() == 1)?;
        let count = self.choices.size(1, 60);
        let leaves = self.choices.int(1, 100);
        let last = i32::try_from(count).ok()? - 1;
        let mut heights = vec![0_u32; usize::try_from(count).ok()?];
        let mut records = Vec::new();
        for node in (0..=last).rev() {
            let child = |choices: &mut Choices| {
                // Near children make tall trees.
                let later = node < last && choices.chance(70);
                let to = if later {
                    choices.int(node + 1, last.min(node + 9))
                } else {
                    -1 - choices.int(0, leaves - 1)
                };
                (to, usize::try_from(to).map_or(0, |to| heights[to]))
            };
            let ((left, l), (right, r)) = (child(self.choices), child(self.choices));
            let feature = self.choices.int(0, i32::try_from(x.cells()).ok()? - 1);
            let (min, max) = x.dtype.range();
            let threshold = match self.choices.size(0, 3) {
                0 => *self.choices.pick(&[min, max, 0]),
                1 => self.choices.range(-100, 100),
                _ => self.choices.range(min, max),
            };
            heights[usize::try_from(node).ok()?] = 1 + l.max(r);
            records.push([feature, i32::try_from(threshold).ok()?, left, right]);
        }
        records.reverse();
        let records: Vec<i32> = records.into_iter().flatten().collect();
        let nodes = self.param(Dtype::I32, vec![count, 4], &records);
        let trees = self.choices.size(1, 40);
        let mut roots: Vec<i32> = (0..trees)
            .map(|_| self.choices.int(-leaves, last))
            .collect();
        roots[0] = 0;
        let tallest = heights.iter().copied().max()?;
        let op = Op::TreeLeaves(TreeLeaves {
            x: x.id,
            nodes,
            roots: self.vector(&roots),
            depth: tallest.min(255),
        });
        let dtype = *self.choices.pick(&[Dtype::I8, Dtype::I16, Dtype::I32]);
        self.node(op, vec![trees], dtype, true);
        if let Some(value) = self.values.last_mut() {
            value.entries = u32::try_from(leaves).ok();
        }
        None
    }

    pub(super) fn gather_sum(&mut self) -> Option<Value> {
        let x = self.value(|v| v.dims.len() == 1 && v.entries.is_some())?;
        let (rows, width) = (x.entries?, self.choices.size(1, 40));
        let reach = (1 << 30) / i32::try_from(x.cells()).ok()?;
        let entries: Vec<i32> = (0..rows * width)
            .map(|_| self.choices.int(-reach, reach))
            .collect();
        let table = self.param(Dtype::I32, vec![rows, width], &entries);
        let bias = self.bias(width);
        let op = Op::GatherSum(GatherSum {
            x: x.id,
            table,
            bias,
        });
        self.accumulator(op, vec![width], Dtype::I32)
    }
}
