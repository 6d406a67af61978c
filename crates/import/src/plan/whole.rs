//! Integers among the reals of a graph: inputs of integers, and what stays one. They are read at a scale of 1, where nothing is rounded.

use credence_exact::Dtype;
use credence_model::BorderType;

use super::{Form, HEADROOM, Planner, WIDE_LEVELS};
use crate::error::LowerError;
use crate::forest::INTEGER_MAX;
use crate::graph::{Graph, GraphOp, ValueId};
use crate::number::{exponent_above, pow2, round_to};
use crate::quant::{Quant, Scale};

/// Most entries of a table.
const ENTRIES_MAX: f64 = 65_536.0;

/// For each value, whether all its elements are integers because of what it is.
pub(super) fn wholes(graph: &Graph) -> Vec<bool> {
    let mut wholes: Vec<bool> = Vec::with_capacity(graph.nodes().len());
    let integer = |x: &f64| x.is_infinite() || x.fract() == 0.0;
    for value in graph.values() {
        let of = |x: &ValueId| wholes.get(x.0).copied().unwrap_or(false);
        let whole = match graph.node(value).op() {
            GraphOp::Input { index } => graph
                .inputs()
                .get(*index)
                .is_some_and(|input| input.dtype != BorderType::Fp32),
            GraphOp::Reshape { x, .. }
            | GraphOp::Transpose { x, .. }
            | GraphOp::Slice { x, .. }
            | GraphOp::Expand { x, .. }
            | GraphOp::Max { x } => of(x),
            GraphOp::Clip { x, min, max } => of(x) && integer(min) && integer(max),
            GraphOp::Affine(op) => of(&op.x) && op.scale.iter().chain(&op.shift).all(integer),
            GraphOp::Add { a, b, .. } => of(a) && of(b),
            GraphOp::Concat { xs, .. } => xs.iter().all(of),
            _ => false,
        };
        wholes.push(whole);
    }
    wholes
}

impl Planner<'_> {
    /// Integers few enough for a table, as they are.
    pub(super) fn whole_table(&self, x: ValueId) -> Result<Option<Form>, LowerError> {
        if !self.wholes[x.0] {
            return Ok(None);
        }
        let (low, high) = match self.graph.node(x).op() {
            GraphOp::Clip { min, max, .. } if max - min < ENTRIES_MAX => (*min, *max),
            _ => {
                let reach = HEADROOM * self.largest(x)?;
                let top = pow2(exponent_above(reach.max(1.0))) - 1.0;
                (-top, top)
            }
        };
        let most = low.abs().max(high.abs());
        if high - low >= ENTRIES_MAX || most > f64::from(INTEGER_MAX) {
            return Ok(None);
        }
        let dtype = if most <= WIDE_LEVELS {
            Dtype::I16
        } else {
            Dtype::I32
        };
        let end = |x: f64| round_to(x, -INTEGER_MAX, INTEGER_MAX);
        Ok(Some(Form::Real(Quant {
            dtype,
            scale: Scale::pow2(0),
            zero: 0,
            min: end(low),
            max: end(high),
        })))
    }

    /// What a sum or difference reads: integers as they are, all else as 16 bits.
    pub(super) fn term(&self, x: ValueId) -> Result<Form, LowerError> {
        if !self.wholes[x.0] {
            return self.wide(x);
        }
        let reach = HEADROOM * self.largest(x)?;
        let dtype = if reach <= WIDE_LEVELS {
            Dtype::I16
        } else {
            Dtype::I32
        };
        Ok(Form::Real(Quant::symmetric(dtype, Scale::pow2(0))))
    }
}
