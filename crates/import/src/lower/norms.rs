//! Normalisations, and softmaxes over more classes than one relation may read.
//!
//! ```text
//! S = Σx;  d = (x − S/C)·2^f;  A = max|d|;  q = d/A in 16 bits;  r = A·factor/√(Σd² + ε);  y = q·r
//! M = max x;  e = exp(x − M);  y = e/Σe
//! ```

use credence_exact::fixed::exp_neg;
use credence_exact::{
    Add, Divide, Dtype, MaxAbs, Mul, Multiplier, NodeId, Op, Quantise, RmsRatio, Shift, Table,
};

use super::{Lowering, row_major};
use crate::emit::Raw;
use crate::error::LowerError;
use crate::graph::ValueId;
use crate::number::{dim32, exponent_over, from_len, pow2, round_to};
use crate::plan::{PROBABILITY_BITS, SOFTMAX_BITS};
use crate::quant::{Quant, Scale};
use crate::view::View;

/// Bits of the multiplier of x in a difference, with those that make it finer.
const CENTRE_BITS: i32 = 30;
/// Most bits by which a difference is finer than what it is of.
const FINER_MAX: i32 = 10;
/// Steps of a quotient by the largest magnitude.
const LEVELS: u16 = 32_767;

fn multiplier(value: i32) -> Result<Multiplier, LowerError> {
    Multiplier::try_from(value).map_err(|_| LowerError::Size)
}

fn shift(bits: i32) -> Result<Shift, LowerError> {
    let bits = u8::try_from(bits).map_err(|_| LowerError::Size)?;
    Shift::try_from(bits).map_err(|_| LowerError::Size)
}

/// Vectors of a normalisation: how many, how long, and the node.
#[derive(Clone, Copy)]
struct Vectors {
    node: NodeId,
    rest: usize,
    count: usize,
}

impl Lowering<'_> {
    pub(super) fn normalise(
        &mut self,
        value: ValueId,
        (x, view, from): (ValueId, &View, Quant),
        (epsilon, centred): (f64, bool),
        quant: Quant,
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let dims = self.dims(x).to_vec();
        let count = dims.last().copied().unwrap_or(1);
        let rest = dims.iter().product::<usize>() / count;
        let order = row_major(dims.len());
        // Σ of squares stays below 2^61: |d| < 2^(16 + f).
        let length_bits = exponent_over(from_len(count));
        let finer = ((60 - length_bits) / 2 - 16).clamp(0, FINER_MAX);
        let sums = if centred {
            Some(self.reduced(&name, (x, view), None)?)
        } else {
            None
        };
        let node = self.emitter.arranged(&name, view, &order, &[rest, count])?;
        let x = Vectors { node, rest, count };
        let d = match sums {
            Some(sums) => self.centred_by(&name, x, &sums, finer)?,
            None => self.finer(&name, x, finer)?,
        };
        let scale = from.scale.get() * pow2(-finer);
        let y = self.over_root(&name, d, (epsilon / (scale * scale), quant))?;
        Ok(View::row_major(y, &dims))
    }

    /// `(x − S/C)·2^finer`.
    fn centred_by(
        &mut self,
        name: &str,
        x: Vectors,
        sums: &View,
        finer: i32,
    ) -> Result<Vectors, LowerError> {
        let Vectors { rest, count, .. } = x;
        let sums = self.emitter.repeated_along(name, sums.node, rest, count)?;
        let unit = pow2(CENTRE_BITS);
        let most = 1_i32 << (17 + finer);
        let op = Op::Add(Add {
            a: x.node,
            b: sums,
            a_multiplier: multiplier(round_to(unit, 0, i32::MAX))?,
            b_multiplier: multiplier(round_to(unit / from_len(count), 0, i32::MAX))?,
            negate_b: true,
            shift: shift(CENTRE_BITS - finer)?,
            min: 1 - most,
            max: most - 1,
        });
        let node = self
            .emitter
            .node(&format!("{name}.centred"), op, Dtype::I32, &[rest, count])?;
        Ok(Vectors { node, ..x })
    }

    /// `x·2^finer`.
    fn finer(&mut self, name: &str, x: Vectors, finer: i32) -> Result<Vectors, LowerError> {
        let view = View::row_major(x.node, &[x.rest, x.count]);
        let wide = Quant::symmetric(Dtype::I32, Scale::pow2(-finer));
        let name = format!("{name}.finer");
        let view = self.emitter.rescaled(&name, &view, &[pow2(finer)], wide)?;
        Ok(Vectors {
            node: view.node,
            ..x
        })
    }

    /// `d/√(mean of d² + epsilon)` in the form asked for.
    fn over_root(
        &mut self,
        name: &str,
        d: Vectors,
        (epsilon, quant): (f64, Quant),
    ) -> Result<NodeId, LowerError> {
        let Vectors { node, rest, count } = d;
        let one = [rest, 1];
        let scale = self.emitter.node(
            &format!("{name}.largest"),
            Op::MaxAbs(MaxAbs { x: node }),
            Dtype::I32,
            &one,
        )?;
        // y·step = q·r·√C/(LEVELS·factor), and that is q·r·2^−bits·step.
        let length = from_len(count);
        let unit = length.sqrt() / (f64::from(LEVELS) * quant.scale.get());
        let bits = (24 - exponent_over(unit)).clamp(1, 46);
        let factor = unit * pow2(bits);
        let error = || LowerError::Ratio {
            node: name.to_owned(),
            ratio: unit,
        };
        if !(pow2(10)..pow2(31)).contains(&factor) || epsilon * length >= pow2(52) {
            return Err(error());
        }
        let factor = round_to(factor, 1, i32::MAX);
        let ratio = Op::RmsRatio(RmsRatio {
            x: node,
            scale,
            factor: multiplier(factor)?,
            epsilon: to_u64(epsilon * length),
            max: i32::MAX,
        });
        let ratio = self
            .emitter
            .node(&format!("{name}.ratio"), ratio, Dtype::I32, &one)?;
        let q = Op::Quantise(Quantise {
            x: node,
            scale,
            limit: LEVELS,
        });
        let shape = [rest, count];
        let q = self
            .emitter
            .node(&format!("{name}.unit"), q, Dtype::I16, &shape)?;
        let mul = Op::Mul(Mul {
            a: q,
            b: ratio,
            bias: None,
            shift: shift(bits)?,
            min: quant.min,
            max: quant.max,
        });
        self.emitter.node(name, mul, quant.dtype, &shape)
    }

    /// A softmax along a long axis.
    pub(super) fn long_softmax(
        &mut self,
        value: ValueId,
        x: ValueId,
        view: &View,
    ) -> Result<Raw, LowerError> {
        let name = self.name(value).to_owned();
        let dims = self.dims(x).to_vec();
        let count = dims.last().copied().unwrap_or(1);
        let rest = dims.iter().product::<usize>() / count;
        let max = self.reduced(&format!("{name}.max"), (x, view), Some(Dtype::I32))?;
        let max = self.emitter.repeated_along(&name, max.node, rest, count)?;
        let order = row_major(dims.len());
        let x = self.emitter.arranged(&name, view, &order, &[rest, count])?;
        // The sum of all exponentials stays below 2^31.
        let bits = u8::try_from(30 - exponent_over(from_len(count))).unwrap_or(1);
        let mut entries: Vec<i32> = Vec::new();
        while entries.last() != Some(&0) {
            let at = dim32(entries.len());
            entries.push(i32::try_from(exp_neg(at, SOFTMAX_BITS, bits)).unwrap_or(0));
        }
        let last = i32::try_from(entries.len() - 1).map_err(|_| LowerError::Size)?;
        let below = Op::Add(Add {
            a: max,
            b: x,
            a_multiplier: multiplier(2)?,
            b_multiplier: multiplier(2)?,
            negate_b: true,
            shift: shift(1)?,
            min: 0,
            max: last,
        });
        let shape = [rest, count];
        let dtype = Dtype::narrowest(0, last.into()).unwrap_or(Dtype::I32);
        let below = self
            .emitter
            .node(&format!("{name}.below"), below, dtype, &shape)?;
        let table = self.emitter.shared("exp", Dtype::I32, &entries)?;
        let e = Op::Table(Table {
            x: below,
            table,
            base: 0,
        });
        let e = self
            .emitter
            .node(&format!("{name}.exp"), e, Dtype::I32, &shape)?;
        let sums = self.reduced(
            &format!("{name}.total"),
            (value, &View::row_major(e, &dims)),
            None,
        )?;
        // The largest of a row has an exponential above 0, so a sum is at least 1; this says it in a way that bounds see.
        let sums = self.emitter.reshaped(&name, sums.node, &[rest, 1])?;
        let positive = Op::MaxAbs(MaxAbs { x: sums });
        let positive =
            self.emitter
                .node(&format!("{name}.total"), positive, Dtype::I32, &[rest, 1])?;
        let divided = Op::Divide(Divide {
            a: e,
            b: positive,
            factor: multiplier(1 << PROBABILITY_BITS)?,
            min: 0,
            max: 1 << PROBABILITY_BITS,
        });
        let node = self.emitter.node(&name, divided, Dtype::I32, &shape)?;
        Ok(Raw {
            view: View::row_major(node, &dims),
            scales: vec![pow2(-PROBABILITY_BITS)],
        })
    }
}

/// An integer of at most 52 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers have brought the value into range"
)]
const fn to_u64(x: f64) -> u64 {
    x as u64
}
