//! What leaves a program: indices, and how outputs are decoded.

use credence_exact::{ArgMax, Dtype, Op};
use credence_model::{Decode, OutputSpec};

use super::{Lowering, row_major};
use crate::error::LowerError;
use crate::graph::{GraphOp, Kind, ValueId};
use crate::number::{dim32, pow2};
use crate::plan::Form;
use crate::quant::Quant;
use crate::view::View;

impl Lowering<'_> {
    /// An argmax, or what only renames or moves indices.
    pub(super) fn index(&mut self, value: ValueId, view: &View) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        match self.planner.graph.node(value).op() {
            GraphOp::ArgMax { x } => {
                let dims = self.dims(*x).to_vec();
                let order = row_major(dims.len());
                let x = self.emitter.arranged(&name, view, &order, &dims)?;
                let last = i64::from(dim32(dims.last().copied().unwrap_or(1))) - 1;
                let dtype = Dtype::narrowest(0, last).unwrap_or(Dtype::I32);
                let shape = self.dims(value).to_vec();
                let node = self
                    .emitter
                    .node(&name, Op::ArgMax(ArgMax { x }), dtype, &shape)?;
                Ok(View::row_major(node, &shape))
            }
            GraphOp::Lookup { .. } => Ok(view.clone()),
            _ => self.moved(value, Form::Index, core::slice::from_ref(view)),
        }
    }

    /// One output: its node and how its integers become elements.
    pub(super) fn output(&mut self, name: &str, value: ValueId) -> Result<OutputSpec, LowerError> {
        let form = self.planner.output_form(value)?;
        let view = self.view((value, form))?;
        let dims = self.dims(value).to_vec();
        let order = row_major(dims.len());
        let node = self.emitter.arranged(name, &view, &order, &dims)?;
        let decode = match form {
            Form::Real(quant) => scale_decoding(quant),
            _ => self.index_decoding(value),
        };
        Ok(OutputSpec {
            name: name.to_owned(),
            node,
            decode,
        })
    }

    /// The lookups between an output and its argmax, as one.
    fn index_decoding(&self, value: ValueId) -> Decode {
        let graph = self.planner.graph;
        let mut values: Option<Vec<i64>> = None;
        let mut at = value;
        while graph.node(at).kind() == Kind::Index {
            match graph.node(at).op() {
                GraphOp::Lookup { x, values: inner } => {
                    values = Some(match values {
                        None => inner.clone(),
                        Some(outer) => compose(&outer, inner),
                    });
                    at = *x;
                }
                GraphOp::Reshape { x, .. } | GraphOp::Transpose { x, .. } => at = *x,
                _ => break,
            }
        }
        match values {
            Some(values) if !values.iter().copied().eq(0..) => Decode::Lookup { values },
            _ => Decode::Integer {},
        }
    }
}

/// `outer[inner[k]]`; entries that `outer` lacks are left out, and then the program's own bounds refuse them.
fn compose(outer: &[i64], inner: &[i64]) -> Vec<i64> {
    inner
        .iter()
        .map_while(|&at| outer.get(usize::try_from(at).ok()?).copied())
        .collect()
}

/// The decoding of a scale that is a power of two.
fn scale_decoding(quant: Quant) -> Decode {
    let scale = quant.scale.get();
    let (mut multiplier, mut shift) = (1_i32, 0_i32);
    while pow2(-shift) > scale && shift < 126 {
        shift += 1;
    }
    while f64::from(multiplier) < scale && multiplier < 1 << 30 {
        multiplier *= 2;
    }
    Decode::Scale { multiplier, shift }
}
