//! The graph that every format is parsed into: real-valued, small, and free of any format's quirks.
//!
//! Shapes are those of one position (an item of a batch); images are `[C, H, W]`, as model files have them. A graph is made by
//! a [`GraphBuilder`](crate::GraphBuilder), which checks every node as it comes, so that whoever holds a [`Graph`] holds one whose operands
//! stand before their readers, whose shapes fit and whose weights are finite.
//!
//! What is deliberately absent: integers of the program to come, names of a format's ops, control flow, axes that mix positions.

use credence_exact::Window;
use credence_model::BorderType;

use std::sync::Arc;

use crate::ensemble::TreeEnsemble;
use crate::formula::Formula;

/// A value of a graph: the result of one of its nodes. Made by a builder alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

/// What a value's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Real numbers.
    Real,
    /// Integers that name something: the result of an argmax or of a lookup.
    Index,
}

/// One input of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphInput {
    /// Its name in the file.
    pub name: String,
    /// Element type outside.
    pub dtype: BorderType,
    /// Shape of one position outside.
    pub shape: Vec<usize>,
}

/// One output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphOutput {
    /// Its name in the file.
    pub name: String,
    /// The value it shows.
    pub value: ValueId,
}

/// One node: a name for people, what it computes, and the shape and kind that follow.
#[derive(Clone, Debug)]
pub struct GraphNode {
    pub(crate) name: String,
    pub(crate) op: GraphOp,
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
}

impl GraphNode {
    /// Its name in the file, or one that the format's parser made up.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it computes.
    #[must_use]
    pub const fn op(&self) -> &GraphOp {
        &self.op
    }

    /// Shape of its value for one position.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether its value is real or names something.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

/// Integers of 8 bits that stand for reals because a file says so: `(q − zero)·scale`, q in −128 … 127.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codes {
    /// Reals per step, positive.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero: i8,
}

/// `y[.., r] = bias[r] + Σ_k weight[r, k]·x[.., k]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearOp {
    /// Operand `[.., K]`.
    pub x: ValueId,
    /// Number of rows R.
    pub rows: usize,
    /// `[R, K]`, row-major.
    pub weight: Vec<f32>,
    /// `[R]`, or empty for none.
    pub bias: Vec<f32>,
    /// What one step of each row's weights is, where they are integers of 8 bits in the file; else empty.
    pub steps: Vec<f32>,
}

/// Two-dimensional convolution of a `[C, H, W]` value, as ONNX defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvOp {
    /// Operand `[C, H, W]`.
    pub x: ValueId,
    /// Number of output channels O.
    pub channels: usize,
    /// `[O, C/G, KH, KW]`, row-major.
    pub weight: Vec<f32>,
    /// `[O]`, or empty for none.
    pub bias: Vec<f32>,
    /// What one step of each channel's weights is, where they are integers of 8 bits in the file; else empty.
    pub steps: Vec<f32>,
    /// Geometry.
    pub window: Window,
    /// G.
    pub groups: usize,
}

/// `y = x·scale + shift`, each a single number or one for every index along `axis`.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineOp {
    /// Operand.
    pub x: ValueId,
    /// The axis that `scale` and `shift` run along.
    pub axis: usize,
    /// One entry, or as many as the axis is long.
    pub scale: Vec<f64>,
    /// As many as `scale`.
    pub shift: Vec<f64>,
}

/// A unary function that becomes a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// `x` for `x ≥ 0`, else `alpha·x`.
    LeakyRelu {
        /// Slope below zero.
        alpha: f64,
    },
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Any other.
    Formula(Arc<Formula>),
}

/// `count` elements of an axis from `start` on, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first.
    pub start: usize,
    /// From one to the next; may be negative, not 0.
    pub step: isize,
    /// How many, at least 1.
    pub count: usize,
}

/// What a node computes.
#[derive(Clone, Debug)]
pub enum GraphOp {
    /// Input number `index` of the graph.
    Input {
        /// Index into the graph's inputs.
        index: usize,
    },
    /// Matrix times vectors.
    Linear(LinearOp),
    /// Convolution.
    Conv(ConvOp),
    /// Scaling and shifting: batch normalisation, scalers, sums and products with constants.
    Affine(AffineOp),
    /// `min(max(x, min), max)`; the ends may be infinite.
    Clip {
        /// Operand.
        x: ValueId,
        /// Lower end.
        min: f64,
        /// Upper end.
        max: f64,
    },
    /// A unary function.
    Unary {
        /// Operand.
        x: ValueId,
        /// Which.
        function: Function,
    },
    /// `a + b`, or `a − b`, of one shape.
    Add {
        /// First operand.
        a: ValueId,
        /// Second operand.
        b: ValueId,
        /// Subtract the second.
        subtract: bool,
    },
    /// `a·b`, of one shape.
    Mul {
        /// First operand.
        a: ValueId,
        /// Second operand.
        b: ValueId,
    },
    /// `a/b`, of one shape; b is positive.
    Div {
        /// What is divided.
        a: ValueId,
        /// What it is divided by.
        b: ValueId,
    },
    /// Matrix products of two values: `[.., M, K]` times `[.., K, N]`.
    MatMul {
        /// First operand.
        a: ValueId,
        /// Second operand.
        b: ValueId,
    },
    /// Sum along the last axis, which disappears.
    Sum {
        /// Operand.
        x: ValueId,
    },
    /// Maximum along the last axis, which disappears.
    Max {
        /// Operand.
        x: ValueId,
    },
    /// `(x − mean)/√(variance + epsilon)` along the last axis; without centring, mean is 0.
    Normalise {
        /// Operand.
        x: ValueId,
        /// What is added to the variance, at least 0.
        epsilon: f64,
        /// Whether the mean is taken off.
        centred: bool,
    },
    /// Some elements along an axis.
    Slice {
        /// Operand.
        x: ValueId,
        /// The axis.
        axis: usize,
        /// Which of its elements.
        run: Run,
    },
    /// Repetition along axes of length 1.
    Expand {
        /// Operand.
        x: ValueId,
        /// The new shape, with as many axes.
        shape: Vec<usize>,
    },
    /// A number before and behind what there is along an axis.
    Pad {
        /// Operand.
        x: ValueId,
        /// The axis.
        axis: usize,
        /// How many before and how many behind.
        counts: [usize; 2],
        /// The number.
        value: f64,
    },
    /// The rows of a table that the elements of an integer input, or indices, name: a last axis of `width` more.
    Rows {
        /// Operand.
        x: ValueId,
        /// `[L, width]`, row-major.
        table: Vec<f32>,
        /// Length of a row.
        width: usize,
    },
    /// Maximum over windows of a `[C, H, W]` value, padding left out.
    MaxPool {
        /// Operand.
        x: ValueId,
        /// Geometry.
        window: Window,
    },
    /// Mean over windows of a `[C, H, W]` value, padding counted as zeros.
    AveragePool {
        /// Operand.
        x: ValueId,
        /// Geometry.
        window: Window,
    },
    /// The same elements in row-major order under another shape.
    Reshape {
        /// Operand.
        x: ValueId,
        /// The new shape of a position.
        shape: Vec<usize>,
    },
    /// Axes in another order: axis k of the result is axis `order[k]` of x.
    Transpose {
        /// Operand.
        x: ValueId,
        /// A permutation of the axes.
        order: Vec<usize>,
    },
    /// Join along an axis.
    Concat {
        /// Operands, at least one.
        xs: Vec<ValueId>,
        /// Axis of the join.
        axis: usize,
    },
    /// Normalised exponentials along the last axis.
    Softmax {
        /// Operand.
        x: ValueId,
    },
    /// Index of the largest element along the last axis, the lowest on a tie; the axis disappears.
    ArgMax {
        /// Operand.
        x: ValueId,
    },
    /// Sums of decision trees' leaves.
    Trees {
        /// Operand `[F]`.
        x: ValueId,
        /// The trees.
        ensemble: TreeEnsemble,
    },
    /// `(clamp(round(x/scale) + zero) − zero)·scale`, halves to even: a value at the integers that the file has for it.
    Quantised {
        /// Operand.
        x: ValueId,
        /// Which integers.
        codes: Codes,
    },
    /// `values[x]`.
    Lookup {
        /// Operand, of kind [`Kind::Index`].
        x: ValueId,
        /// Entries, each of magnitude below 2⁵³.
        values: Vec<i64>,
    },
}

impl GraphOp {
    /// The op's name, for messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Linear(_) => "linear",
            Self::Conv(_) => "conv",
            Self::Affine(_) => "affine",
            Self::Clip { .. } => "clip",
            Self::Unary { .. } => "unary function",
            Self::Add { .. } => "add",
            Self::MaxPool { .. } => "max pool",
            Self::AveragePool { .. } => "average pool",
            Self::Reshape { .. } => "reshape",
            Self::Transpose { .. } => "transpose",
            Self::Concat { .. } => "concat",
            Self::Softmax { .. } => "softmax",
            Self::ArgMax { .. } => "argmax",
            Self::Trees { .. } => "tree ensemble",
            Self::Lookup { .. } => "lookup",
            Self::Mul { .. } => "product of two values",
            Self::Div { .. } => "quotient of two values",
            Self::MatMul { .. } => "matrix product of two values",
            Self::Sum { .. } => "sum",
            Self::Max { .. } => "maximum",
            Self::Normalise { .. } => "normalisation",
            Self::Slice { .. } => "slice",
            Self::Expand { .. } => "expand",
            Self::Pad { .. } => "pad",
            Self::Rows { .. } => "rows of a table",
            Self::Quantised { .. } => "rounding to 8 bits",
        }
    }

    /// The values it reads, in order.
    #[must_use]
    pub fn operands(&self) -> Vec<ValueId> {
        match self {
            Self::Input { .. } => Vec::new(),
            Self::Linear(op) => vec![op.x],
            Self::Conv(op) => vec![op.x],
            Self::Affine(op) => vec![op.x],
            Self::Add { a, b, .. }
            | Self::Mul { a, b }
            | Self::Div { a, b }
            | Self::MatMul { a, b } => vec![*a, *b],
            Self::Concat { xs, .. } => xs.clone(),
            Self::Clip { x, .. }
            | Self::Unary { x, .. }
            | Self::MaxPool { x, .. }
            | Self::AveragePool { x, .. }
            | Self::Reshape { x, .. }
            | Self::Transpose { x, .. }
            | Self::Softmax { x }
            | Self::ArgMax { x }
            | Self::Trees { x, .. }
            | Self::Sum { x }
            | Self::Max { x }
            | Self::Normalise { x, .. }
            | Self::Slice { x, .. }
            | Self::Expand { x, .. }
            | Self::Pad { x, .. }
            | Self::Rows { x, .. }
            | Self::Quantised { x, .. }
            | Self::Lookup { x, .. } => vec![*x],
        }
    }
}

/// A checked graph. Made by [`GraphBuilder::finish`](crate::GraphBuilder::finish) alone.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) inputs: Vec<GraphInput>,
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) outputs: Vec<GraphOutput>,
}

impl Graph {
    /// What a request brings, in order. Input number k is the value of node k.
    #[must_use]
    pub fn inputs(&self) -> &[GraphInput] {
        &self.inputs
    }

    /// The nodes, operands first.
    #[must_use]
    pub fn nodes(&self) -> &[GraphNode] {
        &self.nodes
    }

    /// What an answer holds, in order.
    #[must_use]
    pub fn outputs(&self) -> &[GraphOutput] {
        &self.outputs
    }

    /// The node that computes a value.
    pub(crate) fn node(&self, value: ValueId) -> &GraphNode {
        &self.nodes[value.0]
    }

    /// All values, operands first.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = ValueId> + use<> {
        (0..self.nodes.len()).map(ValueId)
    }
}
