//! In which forms the ops on two values, and scalings that nothing takes up, read their operands.
//!
//! A product of two values is rounded by a shift alone, so one operand is stored at a scale that makes the rest of the ratio a power of two.

use credence_exact::{Dtype, SHIFT_MAX};

use super::{
    AffineOp, FEATURE_NOISE, Form, Formula, Function, HEADROOM, LIMBS_LEVELS, Planner, WIDE_LEVELS,
};
use crate::error::LowerError;
use crate::graph::{GraphOp, ValueId};
use crate::number::{exponent_over, from_len, pow2};
use crate::quant::{Quant, Scale};

/// Steps of a divisor on the positive side: it may be far below its largest.
const DIVISOR_LEVELS: f64 = 16_777_215.0;
/// The share of a value's signal that rounding it to 8 bits may make up: −30 dB.
const COARSE_NOISE: f64 = 1.0 / 1024.0;
/// A factor of a matrix product of two values: their sum stays below 2³¹.
const SUM_LIMIT: f64 = 2_147_483_647.0;

/// How a scaling and shifting that nothing takes up is computed.
pub(crate) enum Left {
    /// By reading the operand at another scale.
    Nothing(f64),
    /// As a table.
    Table,
    /// By a factor and a sum for each index along an axis.
    Each,
}

/// How this one is.
fn left(op: &AffineOp) -> Left {
    match (op.scale.as_slice(), op.shift.as_slice()) {
        ([scale], [shift]) if *shift == 0.0 && *scale > 0.0 => Left::Nothing(*scale),
        ([_], [_]) => Left::Table,
        _ => Left::Each,
    }
}

/// `x`, as a function.
pub(crate) fn itself() -> Function {
    Function::Formula(std::sync::Arc::new(Formula::x()))
}

impl Planner<'_> {
    /// How a scaling and shifting that nothing takes up is computed here: integers too many for a table one by one.
    pub(crate) fn left(&self, op: &AffineOp) -> Left {
        match left(op) {
            Left::Table if op.axis < self.graph.node(op.x).shape().len() => {
                if self.wholes[op.x.0] && matches!(self.whole_table(op.x), Ok(None)) {
                    Left::Each
                } else {
                    Left::Table
                }
            }
            left => left,
        }
    }

    /// What a scaling that nothing takes up reads.
    pub(super) fn diagonal_operand(&self, op: &AffineOp, quant: Quant) -> Result<Form, LowerError> {
        match self.left(op) {
            Left::Nothing(factor) => Ok(Form::Real(Quant {
                scale: quant.scale.times(1.0 / factor),
                ..quant
            })),
            Left::Table => self.table_operand(op.x, &itself(), quant),
            Left::Each => self.term(op.x),
        }
    }

    /// Which factor is stored at a scale that suits the result: a repeated one, which costs least.
    pub(crate) fn suited_second(&self, a: ValueId, b: ValueId) -> bool {
        let repeats = |x: ValueId| matches!(self.graph.node(x).op(), GraphOp::Expand { .. });
        repeats(b) || !repeats(a)
    }

    pub(super) fn factors(
        &self,
        a: ValueId,
        b: ValueId,
        quant: Quant,
    ) -> Result<Vec<(ValueId, Form)>, LowerError> {
        let suited_second = self.suited_second(a, b);
        let (free, suited) = if suited_second { (a, b) } else { (b, a) };
        let form = self.wide(free)?;
        let Form::Real(wide) = form else {
            return Err(LowerError::Size);
        };
        let reach = self.largest(suited)?.max(pow2(-100));
        // One step of the result over one of the free factor, halved as often as the suited one still fits its type.
        let unit = quant.scale.get() / wide.scale.get();
        let room = exponent_over(unit * WIDE_LEVELS / reach) - 1;
        let (shift, dtype) = if room >= 1 {
            (room.min(i32::from(SHIFT_MAX)), Dtype::I16)
        } else {
            (1, Dtype::I32)
        };
        let scale = Scale::exactly(unit * pow2(-shift));
        let suited = (suited, Form::Real(Quant::symmetric(dtype, scale)));
        let free = (free, form);
        Ok(if suited_second {
            vec![free, suited]
        } else {
            vec![suited, free]
        })
    }

    /// The divisor is never below one step.
    pub(super) fn fraction(
        &self,
        a: ValueId,
        b: ValueId,
        quant: Quant,
    ) -> Result<Vec<(ValueId, Form)>, LowerError> {
        let form = self.wide(a)?;
        let Form::Real(wide) = form else {
            return Err(LowerError::Size);
        };
        let reach = self.largest(b)?.max(pow2(-100));
        let step = reach / DIVISOR_LEVELS;
        let factor = (wide.scale.get() / (step * quant.scale.get())).round();
        let factor = factor.clamp(1.0, pow2(30));
        let scale = Scale::exactly(wide.scale.get() / (factor * quant.scale.get()));
        let mut divisor = Quant::symmetric(Dtype::I32, scale);
        divisor.min = 1;
        Ok(vec![(a, form), (b, Form::Real(divisor))])
    }

    /// Rows of the smallest table that an input's elements name rows of, if they do.
    pub(crate) fn rows_named_by(&self, input: ValueId) -> Option<usize> {
        let tables = self.graph.nodes().iter().filter_map(|node| {
            let GraphOp::Rows { x, table, width } = node.op() else {
                return None;
            };
            let mut source = *x;
            while let GraphOp::Reshape { x, .. }
            | GraphOp::Transpose { x, .. }
            | GraphOp::Slice { x, .. }
            | GraphOp::Expand { x, .. } = self.graph.node(source).op()
            {
                source = *x;
            }
            (source == input).then(|| table.len() / width)
        });
        tables.min()
    }

    /// A form in which a product reads a computed value of which 8 bits at one scale lose too much: few large elements among many small ones.
    pub(super) fn finer(
        &self,
        base: ValueId,
        x: ValueId,
        quant: Quant,
    ) -> Result<Option<Form>, LowerError> {
        let Some(observed) = self.reaches.observed() else {
            return Ok(None);
        };
        if let GraphOp::Input { .. } = self.graph.node(x).op() {
            return Ok(None);
        }
        // A single vector costs next to nothing, and is most often what decides.
        let single = matches!(self.graph.node(base).op(), GraphOp::Linear(_))
            && self.graph.node(x).shape().len() == 1;
        let most = if single { FEATURE_NOISE } else { COARSE_NOISE };
        let step = quant.scale.get();
        let reach = f64::from(quant.max - quant.zero) * step;
        let noise = observed.noise(x, step, reach);
        if let Some(form) = self.by_channel((base, x), step, most) {
            return Ok(Some(form));
        }
        if noise > most {
            return self.two_limbs(x).map(Some);
        }
        Ok(None)
    }

    /// 16 bits that a product reads as two limbs of 8.
    pub(super) fn two_limbs(&self, x: ValueId) -> Result<Form, LowerError> {
        let scale = Scale::reaching(HEADROOM * self.largest(x)?, LIMBS_LEVELS);
        let top = scale.get() * LIMBS_LEVELS;
        let quant = Quant::symmetric(Dtype::I16, scale);
        Ok(Form::Real(quant.clipped(-top, top)))
    }

    /// 16 bits, or as many as leave room for the sum.
    pub(super) fn matrices(
        &self,
        a: ValueId,
        b: ValueId,
    ) -> Result<Vec<(ValueId, Form)>, LowerError> {
        let inner = self.graph.node(a).shape().last().copied().unwrap_or(1);
        let levels = (SUM_LIMIT / from_len(inner)).sqrt().floor();
        let levels = levels.min(WIDE_LEVELS);
        let of = |x: ValueId| {
            if let Some(given) = self.given[x.0].map(Quant::about_zero)
                && f64::from(given.max.max(-given.min)) <= levels
            {
                return Ok((x, Form::Real(given)));
            }
            let reach = self.reaches.clipped(x, levels);
            let reach = reach.map_err(|unknown| self.uncalibrated(unknown.0))?;
            let quant = Quant::symmetric(Dtype::I16, Scale::reaching(reach, levels));
            let top = quant.scale.get() * levels;
            Ok((x, Form::Real(quant.clipped(-top, top))))
        };
        Ok(vec![of(a)?, of(b)?])
    }
}
