//! What computes a value once scalings and shifts around it have been folded away.
//!
//! A batch normalisation behind a convolution is part of its weights; a scaler in front of a matrix is part of its columns; a scaling behind a
//! sigmoid is part of its table. Only what is left over becomes an op of its own.

use crate::graph::{AffineOp, Function, Graph, GraphOp, ValueId};

/// `x·scale + shift`, one entry for all or one for each row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) scale: Vec<f64>,
    pub(crate) shift: Vec<f64>,
}

impl Fold {
    pub(crate) fn identity() -> Self {
        Self {
            scale: vec![1.0],
            shift: vec![0.0],
        }
    }

    /// First this, then the other.
    pub(crate) fn then(&self, scale: &[f64], shift: &[f64]) -> Self {
        let length = self.scale.len().max(scale.len());
        let at = |all: &[f64], k: usize| all[if all.len() == 1 { 0 } else { k }];
        let indices = || 0..length;
        Self {
            scale: indices()
                .map(|k| at(&self.scale, k) * at(scale, k))
                .collect(),
            shift: indices()
                .map(|k| at(&self.shift, k) * at(scale, k) + at(shift, k))
                .collect(),
        }
    }

    /// The same with a constant added.
    pub(crate) fn shifted(&self, by: f64) -> Self {
        Self {
            scale: self.scale.clone(),
            shift: self.shift.iter().map(|shift| shift + by).collect(),
        }
    }

    pub(crate) fn scale_at(&self, k: usize) -> f64 {
        self.scale[if self.scale.len() == 1 { 0 } else { k }]
    }

    pub(crate) fn shift_at(&self, k: usize) -> f64 {
        self.shift[if self.shift.len() == 1 { 0 } else { k }]
    }
}

/// What computes a value.
pub(crate) enum Producer<'a> {
    /// A linear or convolution node, its rows scaled and shifted.
    Product { base: ValueId, fold: Fold },
    /// A table of a function, its entries scaled and shifted.
    Table {
        x: ValueId,
        function: Function,
        fold: Fold,
    },
    /// A scaling and shifting that nothing takes up.
    Diagonal(&'a AffineOp),
    /// Any other op.
    Plain(&'a GraphOp),
}

/// What computes `value`.
pub(crate) fn producer(graph: &Graph, value: ValueId) -> Producer<'_> {
    let mut chain = Vec::new();
    let mut base = value;
    while let GraphOp::Affine(op) = graph.node(base).op() {
        chain.push(op);
        base = op.x;
    }
    let fold = || {
        chain
            .iter()
            .rev()
            .fold(Fold::identity(), |fold, op| fold.then(&op.scale, &op.shift))
    };
    let all_along = |axis: usize| {
        chain
            .iter()
            .all(|op| op.axis == axis || op.scale.len() == 1)
    };
    let uniform = chain.iter().all(|op| op.scale.len() == 1);
    match (graph.node(base).op(), chain.first()) {
        (GraphOp::Linear(_), _) if all_along(graph.node(base).shape().len() - 1) => {
            Producer::Product { base, fold: fold() }
        }
        (GraphOp::Conv(_), _) if all_along(0) => Producer::Product { base, fold: fold() },
        (GraphOp::Unary { x, function }, _) if uniform => Producer::Table {
            x: *x,
            function: function.clone(),
            fold: fold(),
        },
        (_, Some(&first)) => Producer::Diagonal(first),
        (op, None) => Producer::Plain(op),
    }
}

/// What a linear or convolution node reads once a scaling in front of it is folded into its columns (linear) or input channels.
pub(crate) fn feed(graph: &Graph, base: ValueId) -> (ValueId, Fold) {
    let (mut x, axis, padded) = match graph.node(base).op() {
        GraphOp::Linear(op) => {
            let rank = graph.node(op.x).shape().len();
            (op.x, rank.saturating_sub(1), false)
        }
        GraphOp::Conv(op) => (op.x, 0, op.window.pad.iter().any(|&pad| pad > 0)),
        _ => return (base, Fold::identity()),
    };
    let mut chain = Vec::new();
    // What a product in front has taken up already is left to it. A shift cannot pass padding, which is zero behind it.
    while let Producer::Diagonal(op) = producer(graph, x) {
        let along = op.axis == axis || op.scale.len() == 1;
        if !along || (padded && op.shift.iter().any(|&shift| shift != 0.0)) {
            break;
        }
        chain.push(op);
        x = op.x;
    }
    let fold = chain
        .iter()
        .rev()
        .fold(Fold::identity(), |fold, op| fold.then(&op.scale, &op.shift));
    (x, fold)
}
