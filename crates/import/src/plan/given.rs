//! Integers that a file has for its values: which they are, and in which form what is rounded to them is asked for.

use super::{Form, Planner};
use crate::graph::{Codes, Graph, GraphOp, ValueId};
use crate::producer::{Producer, producer};
use crate::quant::Quant;

/// For each value the integers that it is at: those it is rounded to, or those of what it takes its elements from.
pub(super) fn all(graph: &Graph) -> Vec<Option<Quant>> {
    let mut given: Vec<Option<Quant>> = Vec::with_capacity(graph.nodes().len());
    for value in graph.values() {
        let of = |x: &ValueId| given.get(x.0).copied().flatten();
        let own = match graph.node(value).op() {
            GraphOp::Quantised { codes, .. } => Some(Quant::given(*codes)),
            GraphOp::Reshape { x, .. }
            | GraphOp::Transpose { x, .. }
            | GraphOp::MaxPool { x, .. }
            | GraphOp::Max { x }
            | GraphOp::Slice { x, .. }
            | GraphOp::Expand { x, .. } => of(x),
            // Nothing else than the real 0 is sure to be among the integers.
            GraphOp::Pad { x, value, .. } if *value == 0.0 => of(x),
            GraphOp::Concat { xs, .. } => {
                let first = xs.first().and_then(of);
                first.filter(|_| xs.iter().all(|x| of(x) == first))
            }
            _ => None,
        };
        given.push(own);
    }
    given
}

impl Planner<'_> {
    /// What a rounding to a file's integers reads: those integers, where what makes x can give them, else the same about an integer 0.
    pub(super) fn codes_form(&self, x: ValueId, codes: Codes) -> Form {
        let wanted = Quant::given(codes);
        if let Some(known) = self.given[x.0] {
            return Form::Real(known);
        }
        let mut at = x;
        while let GraphOp::Clip { x, .. } = self.graph.node(at).op() {
            at = *x;
        }
        let shifts = matches!(
            producer(self.graph, at),
            Producer::Product { .. } | Producer::Table { .. }
        );
        Form::Real(if wanted.zero == 0 || shifts {
            wanted
        } else {
            wanted.about_zero()
        })
    }

    /// Whether an input is read at integers that the file has for it, in this form.
    pub(crate) fn given_to(&self, input: ValueId, quant: Quant) -> bool {
        self.graph.nodes().iter().any(|node| match node.op() {
            GraphOp::Quantised { x, codes } => {
                *x == input && self.codes_form(*x, *codes) == Form::Real(quant)
            }
            _ => false,
        })
    }
}
