//! The largest magnitude of every value: by what it is, where that settles it (a probability, a sum of leaves), else by observation.

use crate::calibrate::{Clipping, Observed};
use crate::ensemble::{TreeEnsemble, TreeNode};
use crate::graph::{Function, Graph, GraphOp, ValueId};
use crate::number::from_len;
use crate::quant::Quant;

/// Known reaches, and what was observed if there was a calibration set.
pub(crate) struct Reaches {
    known: Vec<Option<f64>>,
    /// What no input makes a value exceed, for want of an observation: sums of magnitudes, far above what happens.
    bounds: Vec<Option<f64>>,
    observed: Option<Observed>,
    clipping: Clipping,
}

/// A value about which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownReach(pub(crate) ValueId);

impl Reaches {
    pub(crate) fn new(graph: &Graph, observed: Option<Observed>, clipping: Clipping) -> Self {
        let mut known = Vec::with_capacity(graph.nodes().len());
        let mut bounds = Vec::with_capacity(graph.nodes().len());
        for value in graph.values() {
            known.push(settled(graph, value, &known));
            bounds.push(settled(graph, value, &bounds).or_else(|| bound(graph, value, &bounds)));
        }
        Self {
            known,
            bounds,
            observed,
            clipping,
        }
    }

    /// Largest magnitude.
    pub(crate) fn largest(&self, value: ValueId) -> Result<f64, UnknownReach> {
        let observed = || self.observed.as_ref().map(|observed| observed.max(value));
        self.known[value.0]
            .or_else(observed)
            .or(self.bounds[value.0])
            .ok_or(UnknownReach(value))
    }

    /// What a symmetric scale of `levels` steps should reach.
    pub(crate) fn clipped(&self, value: ValueId, levels: f64) -> Result<f64, UnknownReach> {
        match &self.observed {
            Some(observed) => Ok(observed.reach(value, self.clipping, levels)),
            None => self.largest(value),
        }
    }

    pub(crate) const fn observed(&self) -> Option<&Observed> {
        self.observed.as_ref()
    }
}

/// The reach that follows from the op and the reaches before.
fn settled(graph: &Graph, value: ValueId, known: &[Option<f64>]) -> Option<f64> {
    let of = |x: &ValueId| known[x.0];
    match graph.node(value).op() {
        GraphOp::Trees { ensemble, .. } => Some(largest_sum(ensemble)),
        GraphOp::Quantised { codes, .. } => Some(Quant::given(*codes).reach()),
        GraphOp::Softmax { .. }
        | GraphOp::Unary {
            function: Function::Sigmoid | Function::Tanh,
            ..
        } => Some(1.0),
        GraphOp::Clip { x, min, max } => {
            let ends = Some(min.abs().max(max.abs())).filter(|end| end.is_finite());
            match (ends, of(x)) {
                (Some(ends), Some(x)) => Some(ends.min(x)),
                (ends, x) => ends.or(x),
            }
        }
        GraphOp::Unary {
            x,
            function: Function::LeakyRelu { alpha },
        } => of(x).map(|x| x * alpha.abs().max(1.0)),
        GraphOp::Affine(op) => {
            let x = of(&op.x)?;
            let pairs = op.scale.iter().zip(&op.shift);
            Some(
                pairs
                    .map(|(scale, shift)| scale.abs() * x + shift.abs())
                    .fold(0.0, f64::max),
            )
        }
        GraphOp::Add { a, b, .. } => Some(of(a)? + of(b)?),
        GraphOp::Reshape { x, .. }
        | GraphOp::Transpose { x, .. }
        | GraphOp::MaxPool { x, .. }
        | GraphOp::Max { x }
        | GraphOp::Slice { x, .. }
        | GraphOp::Expand { x, .. }
        | GraphOp::AveragePool { x, .. } => of(x),
        GraphOp::Concat { xs, .. } => xs
            .iter()
            .map(of)
            .try_fold(0.0, |most, x| Some(f64::max(most, x?))),
        GraphOp::Input { .. }
        | GraphOp::Linear(_)
        | GraphOp::Conv(_)
        | GraphOp::ArgMax { .. }
        | GraphOp::Mul { .. }
        | GraphOp::Div { .. }
        | GraphOp::MatMul { .. }
        | GraphOp::Sum { .. }
        | GraphOp::Normalise { .. }
        | GraphOp::Pad { .. }
        | GraphOp::Rows { .. }
        | GraphOp::Unary {
            function: Function::Formula(_),
            ..
        }
        | GraphOp::Lookup { .. } => None,
    }
}

/// The bound of a product by those of its operands.
fn bound(graph: &Graph, value: ValueId, bounds: &[Option<f64>]) -> Option<f64> {
    let of = |x: &ValueId| bounds[x.0];
    let row = |weight: &[f32], rows: usize, bias: &[f32], x: f64| {
        let rows = weight.chunks_exact((weight.len() / rows.max(1)).max(1));
        let sums = rows.enumerate().map(|(r, row)| {
            let sum = row.iter().fold(0.0, |sum, w| sum + f64::from(w.abs()));
            sum * x + bias.get(r).map_or(0.0, |b| f64::from(b.abs()))
        });
        sums.fold(0.0, f64::max)
    };
    match graph.node(value).op() {
        GraphOp::Linear(op) => Some(row(&op.weight, op.rows, &op.bias, of(&op.x)?)),
        GraphOp::Conv(op) => Some(row(&op.weight, op.channels, &op.bias, of(&op.x)?)),
        GraphOp::Mul { a, b } => Some(of(a)? * of(b)?),
        GraphOp::Sum { x } => {
            let count = graph.node(*x).shape().last().copied().unwrap_or(1);
            Some(of(x)? * from_len(count))
        }
        GraphOp::MatMul { a, b } => {
            let count = graph.node(*a).shape().last().copied().unwrap_or(1);
            Some(of(a)? * of(b)? * from_len(count))
        }
        GraphOp::Pad { x, value, .. } => Some(of(x)?.max(value.abs())),
        _ => None,
    }
}

/// What no output of the ensemble exceeds in magnitude: for every tree its largest leaf.
pub(crate) fn largest_sum(ensemble: &TreeEnsemble) -> f64 {
    let leaf = |node: &TreeNode| match node {
        TreeNode::Leaf { weights } => weights.iter().fold(0.0, |sum, (_, w)| sum + w.abs()),
        TreeNode::Split { .. } => 0.0,
    };
    let base = ensemble
        .base()
        .iter()
        .fold(0.0, |most, b| b.abs().max(most));
    ensemble.trees().iter().fold(base, |sum, tree| {
        sum + tree.nodes.iter().map(leaf).fold(0.0, f64::max)
    })
}
