//! Nodes of a random program that combine two values: products, quotients, rows by number, norms.

use credence_exact::{
    Divide, Dtype, Gather, MatMul, MaxAbs, Mul, Multiplier, NodeId, Op, Quantise, Reindex, Rescale,
    RmsRatio, Shift,
};

use super::{Builder, Value};

impl Builder<'_> {
    pub(super) fn gather(&mut self) -> Option<Value> {
        let x = self.value(|v| v.entries.is_some() && v.cells() <= 600)?;
        let (rows, width) = (x.entries?, self.choices.size(1, 12));
        let dtype = *self.choices.pick(&[Dtype::I8, Dtype::I16, Dtype::I32]);
        let (min, max) = dtype.range();
        let entries: Vec<i32> = (0..rows * width)
            .map(|_| i32::try_from(self.choices.range(min, max)).unwrap_or(0))
            .collect();
        let table = self.param(dtype, vec![rows, width], &entries);
        let mut dims = x.dims;
        dims.push(width);
        let cut = self.choices.chance(60);
        self.node(Op::Gather(Gather { x: x.id, table }), dims, dtype, cut);
        None
    }

    /// A value clamped to `min ..= max`, in the narrowest type.
    fn clamped(&mut self, x: &Value, (min, max): (i32, i32)) -> Option<Value> {
        let shift = if x.is_narrow() { 3 } else { 24 };
        let multiplier = self.choices.int(1, 1 << shift);
        let op = Op::Rescale(Rescale {
            x: x.id,
            multiplier: self.vector(&[multiplier]),
            shift: Shift::try_from(u8::try_from(shift).ok()?).ok()?,
            min,
            max,
        });
        let dtype = Dtype::narrowest(min.into(), max.into())?;
        let cut = self.choices.chance(60);
        Some(self.node(op, x.dims.clone(), dtype, cut))
    }

    /// A value times itself turned, matrix by matrix; of 8 bits, or of 16.
    pub(super) fn mat_mul(&mut self) -> Option<Value> {
        let x = self.value(|v| v.dims.len() >= 2 && v.last() <= 64 && v.cells() <= 3000)?;
        let mut factor = || {
            let reach = *self.choices.pick(&[127, 127, 5000]);
            self.clamped(&x, (-reach, reach))
        };
        let (a, b) = (factor()?, factor()?);
        let rank = b.dims.len();
        let mut strides = vec![1_i32; rank];
        for axis in (0..rank - 1).rev() {
            strides[axis] = strides[axis + 1] * i32::try_from(b.dims[axis + 1]).ok()?;
        }
        let mut dims = b.dims.clone();
        dims.swap(rank - 2, rank - 1);
        strides.swap(rank - 2, rank - 1);
        let op = Op::Reindex(Reindex {
            x: b.id,
            shape: dims.clone(),
            offset: 0,
            strides,
        });
        let cut = self.choices.chance(50);
        let turned = self.node(op, dims, b.dtype, cut);
        let mut result = a.dims.clone();
        result[rank - 1] = a.dims[rank - 2];
        let op = Op::MatMul(MatMul {
            a: a.id,
            b: turned.id,
        });
        self.accumulator(op, result, Dtype::I32)
    }

    /// The same shape with a last axis of one cell.
    fn reduced(x: &Value) -> Vec<u32> {
        let mut dims = x.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = 1;
        }
        dims
    }

    fn max_abs(&mut self, x: &Value) -> NodeId {
        let cut = self.choices.chance(60);
        let op = Op::MaxAbs(MaxAbs { x: x.id });
        self.node(op, Self::reduced(x), Dtype::I32, cut).id
    }

    fn axes_and_few(v: &Value) -> bool {
        !v.dims.is_empty() && v.last() <= 1000
    }

    pub(super) fn divide(&mut self) -> Option<Value> {
        let a = self.value(|v| Self::axes_and_few(v) && v.is_narrow())?;
        let b = if self.choices.chance(50) {
            self.max_abs(&a)
        } else {
            let reach = *self.choices.pick(&[1, 2, 100, 30_000]);
            self.clamped(&a, (1, reach))?.id
        };
        let factor = *self.choices.pick(&[0, 1, 127, 1 << 20, i32::MAX]);
        let (min, max, dtype) = self.clamps();
        let op = Op::Divide(Divide {
            a: a.id,
            b,
            factor: Multiplier::try_from(factor).ok()?,
            min,
            max,
        });
        let cut = self.choices.chance(60);
        self.node(op, a.dims, dtype, cut);
        None
    }

    pub(super) fn mul(&mut self) -> Option<Value> {
        let a = self.value(|v| Self::axes_and_few(v) && v.is_narrow())?;
        let b = if self.choices.chance(40) {
            self.max_abs(&a)
        } else {
            self.value(|v| v.dims == a.dims && v.is_narrow())?.id
        };
        let bias = self.bias(a.last());
        let (min, max, dtype) = self.clamps();
        let shift = u8::try_from(self.choices.size(1, 30)).ok()?;
        let op = Op::Mul(Mul {
            a: a.id,
            b,
            bias,
            shift: Shift::try_from(shift).ok()?,
            min,
            max,
        });
        let cut = self.choices.chance(60);
        self.node(op, a.dims, dtype, cut);
        None
    }

    /// A vector by its largest magnitude, and that over its length.
    pub(super) fn norm(&mut self) -> Option<Value> {
        let x = self.value(|v| Self::axes_and_few(v) && v.is_narrow())?;
        let scale = self.max_abs(&x);
        let limit = u16::try_from(*self.choices.pick(&[1, 127, 32_767])).ok()?;
        let op = Op::Quantise(Quantise {
            x: x.id,
            scale,
            limit,
        });
        let dtype = Dtype::narrowest(-i64::from(limit), limit.into())?;
        let cut = self.choices.chance(60);
        self.node(op, x.dims.clone(), dtype, cut);
        let factor = *self.choices.pick(&[1, 1000, 1 << 24, i32::MAX]);
        let op = Op::RmsRatio(RmsRatio {
            x: x.id,
            scale,
            factor: Multiplier::try_from(factor).ok()?,
            epsilon: *self.choices.pick(&[0, 1, 12_345, 1 << 50]),
            max: *self.choices.pick(&[1 << 20, i32::MAX]),
        });
        let cut = self.choices.chance(60);
        self.node(op, Self::reduced(&x), Dtype::I32, cut);
        None
    }
}
