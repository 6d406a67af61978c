//! Products and quotients of two values, matrix products of them, and scalings that nothing takes up.

use credence_exact::{Divide, Dtype, Gather, MatMul, Mul, Multiplier, NodeId, Op, Shift};

use super::{Lowering, canonical_order, row_major};
use crate::emit::Raw;
use crate::error::LowerError;
use crate::graph::{AffineOp, ValueId};
use crate::number::{exponent_over, pow2, round_to};
use crate::plan::Form;
use crate::quant::{Quant, Scale};
use crate::view::View;

/// Bits of a scaling's largest factor.
const FACTOR_BITS: i32 = 22;
/// Bits by which a scaled value is finer than the form asked for, where that has 8.
const FINER_BITS: i32 = 8;

/// An operand: its value, its view, its form.
pub(super) type Operand<'v> = (ValueId, &'v View, Quant);

impl Lowering<'_> {
    fn ratio(name: &str, ratio: f64) -> LowerError {
        LowerError::Ratio {
            node: name.to_owned(),
            ratio,
        }
    }

    /// The shift nearest to multiplying by `ratio`, which the plan has made a power of two.
    fn shift(name: &str, ratio: f64) -> Result<Shift, LowerError> {
        let bits = -(exponent_over(ratio * 0.75));
        let shift = u8::try_from(bits).ok().map(Shift::try_from);
        shift
            .and_then(Result::ok)
            .ok_or_else(|| Self::ratio(name, ratio))
    }

    /// Two values in one arrangement: as they lie, if they lie alike, else in the one that is everyone's.
    pub(super) fn aligned(
        &mut self,
        name: &str,
        value: ValueId,
        [a, b]: [&View; 2],
    ) -> Result<[View; 2], LowerError> {
        let same = a.lies_as(b) && self.emitter.shape(a.node) == self.emitter.shape(b.node);
        if same {
            return Ok([a.clone(), b.clone()]);
        }
        Ok([
            self.canonical(name, value, a)?,
            self.canonical(name, value, b)?,
        ])
    }

    pub(super) fn mul(
        &mut self,
        value: ValueId,
        [(_, a, from_a), (_, b, from_b)]: [Operand<'_>; 2],
        quant: Quant,
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let [a, b] = self.aligned(&name, value, [a, b])?;
        let ratio = from_a.scale.get() * from_b.scale.get() / quant.scale.get();
        let op = Op::Mul(Mul {
            a: a.node,
            b: b.node,
            bias: None,
            shift: Self::shift(&name, ratio)?,
            min: quant.min,
            max: quant.max,
        });
        let shape = self.emitter.shape(a.node);
        let node = self.emitter.node(&name, op, quant.dtype, &shape)?;
        Ok(a.of(node))
    }

    pub(super) fn divide(
        &mut self,
        value: ValueId,
        [(_, a, from_a), (_, b, from_b)]: [Operand<'_>; 2],
        quant: Quant,
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let [a, b] = self.aligned(&name, value, [a, b])?;
        let factor = from_a.scale.get() / (from_b.scale.get() * quant.scale.get());
        let factor = Multiplier::try_from(round_to(factor, 1, i32::MAX));
        let op = Op::Divide(Divide {
            a: a.node,
            b: b.node,
            factor: factor.map_err(|_| LowerError::Size)?,
            min: quant.min,
            max: quant.max,
        });
        let shape = self.emitter.shape(a.node);
        let node = self.emitter.node(&name, op, quant.dtype, &shape)?;
        Ok(a.of(node))
    }

    pub(super) fn mat_mul(
        &mut self,
        value: ValueId,
        [(a, a_view, from_a), (b, b_view, from_b)]: [Operand<'_>; 2],
    ) -> Result<Raw, LowerError> {
        let name = self.name(value).to_owned();
        let mut arranged = |x: ValueId, view: &View| {
            let dims = self.dims(x).to_vec();
            self.emitter
                .arranged(&name, view, &row_major(dims.len()), &dims)
        };
        let op = Op::MatMul(MatMul {
            a: arranged(a, a_view)?,
            b: arranged(b, b_view)?,
        });
        let dims = self.dims(value).to_vec();
        let node = self
            .emitter
            .node(&format!("{name}.acc"), op, Dtype::I32, &dims)?;
        Ok(Raw {
            view: View::row_major(node, &dims),
            scales: vec![from_a.scale.get() * from_b.scale.get()],
        })
    }

    /// One number in every cell of a shape: a cell of some node, times 0, clamped to the number.
    pub(super) fn constant(
        &mut self,
        name: &str,
        some: NodeId,
        shape: &[usize],
        (number, dtype): (i32, Dtype),
    ) -> Result<NodeId, LowerError> {
        let spread = self.emitter.spread(name, some, shape)?;
        let view = View::row_major(spread, shape);
        let quant = Quant {
            dtype,
            scale: Scale::pow2(0),
            zero: 0,
            min: number,
            max: number,
        };
        let view = self
            .emitter
            .rescaled(&format!("{name}.constant"), &view, &[0.0], quant)?;
        Ok(view.node)
    }

    /// `x·scale[k] + shift[k]` along an axis, from 16 bits, in the form asked for.
    pub(super) fn each(
        &mut self,
        value: ValueId,
        op: &AffineOp,
        (view, from): (&View, Quant),
        quant: Quant,
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        // Where 8 bits are asked for, the sum of two roundings would be coarse: first in 16, then once more.
        let wide = if quant.dtype == Dtype::I8 {
            let scale = quant.scale.times(pow2(-FINER_BITS));
            Quant::symmetric(Dtype::I16, scale)
        } else {
            quant
        };
        let dims = self.dims(value).to_vec();
        let mut order: Vec<usize> = (0..dims.len()).filter(|&k| k != op.axis).collect();
        order.push(op.axis);
        let along = dims[op.axis];
        let rest = dims.iter().product::<usize>() / along;
        let x = self.emitter.arranged(&name, view, &order, &[rest, along])?;
        let at = |all: &[f64], k: usize| all[if all.len() == 1 { 0 } else { k }];
        let largest = op.scale.iter().fold(pow2(-60), |most, s| s.abs().max(most));
        let unit = from.scale.get() / wide.scale.get();
        let bits = (FACTOR_BITS - exponent_over(largest * unit)).clamp(1, 46);
        let number = |x: f64| round_to(x, -i32::MAX, i32::MAX);
        let factors: Vec<i32> = (0..along)
            .map(|k| number(at(&op.scale, k) * unit * pow2(bits)))
            .collect();
        if factors.iter().any(|f| f.unsigned_abs() >= 1 << 30) {
            return Err(Self::ratio(&name, largest * unit));
        }
        let sums: Vec<i32> = (0..along)
            .map(|k| round_to(at(&op.shift, k) / wide.scale.get(), -(1 << 30), 1 << 30))
            .collect();
        let factors = self.repeated(&name, x, rest, &factors)?;
        let bias = if sums.iter().all(|&sum| sum == 0) {
            None
        } else {
            Some(self.emitter.vector(&format!("{name}.shift"), &sums)?)
        };
        let mul = Op::Mul(Mul {
            a: x,
            b: factors,
            bias,
            shift: u8::try_from(bits)
                .ok()
                .and_then(|bits| Shift::try_from(bits).ok())
                .ok_or(LowerError::Size)?,
            min: wide.min,
            max: wide.max,
        });
        let node = self.emitter.node(&name, mul, wide.dtype, &[rest, along])?;
        let view = View::permuted(node, &dims, &order);
        if wide == quant {
            return Ok(view);
        }
        self.emitter
            .rescaled(&name, &view, &[pow2(-FINER_BITS)], quant)
    }

    /// A row of numbers, once for each of `rest` rows: row 0 of a table by numbers that are all 0.
    fn repeated(
        &mut self,
        name: &str,
        some: NodeId,
        rest: usize,
        entries: &[i32],
    ) -> Result<NodeId, LowerError> {
        let zeros = self.constant(name, some, &[rest], (0, Dtype::I8))?;
        let bytes = crate::emit::i32_bytes(entries);
        let table = self.emitter.param(
            &format!("{name}.factors"),
            Dtype::I32,
            &[1, entries.len()],
            bytes,
        )?;
        let op = Op::Gather(Gather { x: zeros, table });
        let shape = [rest, entries.len()];
        self.emitter
            .node(&format!("{name}.factors"), op, Dtype::I32, &shape)
    }

    /// The rows of a table that indices name, each entry in the form asked for.
    pub(super) fn rows(
        &mut self,
        value: ValueId,
        (x, view): (ValueId, &View),
        (table, width): (&[f32], usize),
        quant: Quant,
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let dims = self.dims(x).to_vec();
        let x = self
            .emitter
            .arranged(&name, view, &row_major(dims.len()), &dims)?;
        let entries = table.iter().map(|&w| quant.integer(f64::from(w)));
        let bytes: Vec<u8> = entries
            .flat_map(|entry| entry.to_le_bytes().into_iter().take(quant.dtype.width()))
            .collect();
        let shape = [table.len() / width, width];
        let table = self
            .emitter
            .param(&format!("{name}.table"), quant.dtype, &shape, bytes)?;
        let shape = self.dims(value).to_vec();
        let op = Op::Gather(Gather { x, table });
        let node = self.emitter.node(&name, op, quant.dtype, &shape)?;
        Ok(View::row_major(node, &shape))
    }

    /// The order of axes that is everyone's, if a value's elements lie in it or in none; else the one they lie in.
    pub(super) fn order_of(&self, value: ValueId, view: &View) -> Vec<usize> {
        let canonical = canonical_order(self.dims(value).len());
        match view.order() {
            Some(order) if !view.is_contiguous(&canonical) => order,
            Some(order) if canonical != [1, 2, 0] => order,
            _ => canonical,
        }
    }

    /// The form of an operand of reals.
    pub(super) fn real_form(form: Form) -> Result<Quant, LowerError> {
        match form {
            Form::Real(quant) => Ok(quant),
            _ => Err(LowerError::Size),
        }
    }
}
