//! The ops of profile `exact-1`: what a node of a program computes, apart from weights and shapes.
//!
//! These types are wire types: their JSON form is part of a program and so of its `ModelId`
//! (`docs/spec/arithmetic.md`, sections 5, 5.1 and 6, have a paragraph for each). A new op is a new variant; a variant never changes.
//!
//! Shapes are those of one *position* (an item of a batch; later, a token): no op of a tensor model mixes positions, which is why
//! a batch gives the same integers as its items alone.

mod language;
mod tensor;

use serde::{Deserialize, Serialize};

pub use self::language::{
    Attend, Embed, Hadamard, MaxAbs, Mul, Position, Quantise, RmsRatio, Rope, Scores, Sight, Token,
};
pub use self::tensor::{Divide, Gather, MatMul};
use crate::{Multiplier, Shift};

/// The index of a node in its program. Operands always stand before the node that reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

/// The index of a parameter (an integer tensor) in its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParamId(pub u32);

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Read and encode one of the program's inputs.
    Input(Input),
    /// Rows of a matrix times a vector.
    Linear(Linear),
    /// Two-dimensional convolution.
    Conv(Conv),
    /// Multiply, round, clamp.
    Rescale(Rescale),
    /// Weighted sum of two values, rounded once, clamped.
    Add(Add),
    /// Unary function by table.
    Table(Table),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Sum over windows.
    SumPool(SumPool),
    /// Affine re-indexing: transpose, slice, broadcast, reshape.
    Reindex(Reindex),
    /// Join along an axis.
    Concat(Concat),
    /// Normalised exponentials along the last axis.
    Softmax(Softmax),
    /// Index of the maximum along the last axis.
    ArgMax(ArgMax),
    /// Leaf that each decision tree reaches.
    TreeLeaves(TreeLeaves),
    /// Sum of the table's rows that the operand's values name.
    GatherSum(GatherSum),
    /// The token at this position.
    Token(Token),
    /// The number of this position.
    Position(Position),
    /// A table's row, with its own scale.
    Embed(Embed),
    /// Largest magnitude along the last axis.
    MaxAbs(MaxAbs),
    /// Division by a scale of the operand's own.
    Quantise(Quantise),
    /// A scale over the root of a sum of squares.
    RmsRatio(RmsRatio),
    /// Product of two values.
    Mul(Mul),
    /// Rotation by the position's angles.
    Rope(Rope),
    /// Queries against the keys of the positions seen.
    Scores(Scores),
    /// Mean of the values of the positions seen.
    Attend(Attend),
    /// Walsh–Hadamard transform of blocks.
    Hadamard(Hadamard),
    /// Rows of a table by number.
    Gather(Gather),
    /// Matrix product of two values.
    MatMul(MatMul),
    /// Quotient of two values.
    Divide(Divide),
}

/// The program's input number `index`, encoded as its declaration says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Index into the program's inputs.
    pub index: u32,
}

/// `y[.., r] = bias[r] + Σ_k weight[r, k]·x[.., k]`, for x of shape `[.., K]` and i8, weight `[R, K]` of i8, bias `[R]` of i32.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Operand, i8.
    pub x: NodeId,
    /// Matrix `[R, K]`, i8.
    pub weight: ParamId,
    /// Vector `[R]`, i32.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bias: Option<ParamId>,
}

/// A window over the two leading axes of an `[H, W, C]` value; each pair is (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Height and width, each ≥ 1.
    pub kernel: [u32; 2],
    /// Steps, each ≥ 1.
    pub stride: [u32; 2],
    /// Cells outside the value before the first row, the first column, after the last row, the last column.
    pub pad: [u32; 4],
    /// Distances between the window's cells, each ≥ 1.
    pub dilation: [u32; 2],
}

/// `y[i, j, o] = bias[o] + Σ weight[o, u, v, c]·x[i·sy − top + u·dy, j·sx − left + v·dx, g·C/G + c]` with
/// `g = ⌊o·G/O⌋`; cells outside x count as 0. x `[H, W, C]` of i8, weight `[O, KH, KW, C/G]` of i8, bias `[O]` of i32.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Operand `[H, W, C]`, i8.
    pub x: NodeId,
    /// Weights `[O, KH, KW, C/G]`, i8: a row is one output channel.
    pub weight: ParamId,
    /// Vector `[O]`, i32.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bias: Option<ParamId>,
    /// Geometry; its kernel equals the weight's KH and KW.
    pub window: Window,
    /// G: divides both channel counts.
    pub groups: u32,
}

/// `y = clamp(rescale(x·m, s), min, max)` with `m = multiplier[c]`, c the index along the last axis, or `multiplier[0]` if
/// that parameter has one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// Operand.
    pub x: NodeId,
    /// Vector `[C]` or `[1]`, i32, entries ≥ 0.
    pub multiplier: ParamId,
    /// Shift s.
    pub shift: Shift,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
}

/// `y = clamp(rescale(a·ma ± b·mb, s), min, max)`, both operands of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// First operand.
    pub a: NodeId,
    /// Second operand.
    pub b: NodeId,
    /// ma.
    pub a_multiplier: Multiplier,
    /// mb.
    pub b_multiplier: Multiplier,
    /// Subtract the second operand instead of adding it.
    pub negate_b: bool,
    /// Shift s.
    pub shift: Shift,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
}

/// `y = table[x − base]`. Every value that x can take has an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Operand.
    pub x: NodeId,
    /// Vector, at most 65,536 entries.
    pub table: ParamId,
    /// The value whose entry comes first.
    pub base: i32,
}

/// `y[i, j, c] = max x[i·sy − top + u·dy, j·sx − left + v·dx, c]` over the window's cells that lie inside x.
/// At least one does for every i, j.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Operand `[H, W, C]`.
    pub x: NodeId,
    /// Geometry.
    pub window: Window,
}

/// As [`MaxPool`], the sum instead of the maximum; cells outside x count as 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumPool {
    /// Operand `[H, W, C]`.
    pub x: NodeId,
    /// Geometry.
    pub window: Window,
}

/// `y[i₀, i₁, …] = x_flat[offset + Σ iₖ·strides[k]]`, x_flat the operand's cells in row-major order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reindex {
    /// Operand.
    pub x: NodeId,
    /// Shape of the result.
    pub shape: Vec<u32>,
    /// Cell of the operand that becomes the result's first.
    pub offset: u32,
    /// Steps in the operand, one for each axis of the result.
    pub strides: Vec<i32>,
}

/// The operands one after another along `axis`; other axes are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// Operands, at least one.
    pub xs: Vec<NodeId>,
    /// Axis of the join.
    pub axis: u32,
}

/// Along the last axis, with `M = max x`, `e_j = exp[min(M − x_j, n − 1)]`, `S = Σ e_j`:
/// `y_j = ⌊(e_j·2^bits + ⌊S/2⌋) / S⌋`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// Operand; its last axis has at most 1,024 cells.
    pub x: NodeId,
    /// Vector `[n]` of i32, `1 ≤ n ≤ 65,536`: entry 0 is positive, no entry is negative or above 2²⁴.
    pub exp: ParamId,
    /// Scale of the result, `1 ..= 24`: 2^bits stands for probability one.
    pub bits: u8,
}

/// Index of the largest cell along the last axis, the lowest on a tie; the axis disappears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgMax {
    /// Operand.
    pub x: NodeId,
}

/// For each tree t the leaf that x reaches: `c = roots[t]`; while `c ≥ 0`, with `(f, θ, l, r) = nodes[c]`,
/// `c = l if x[f] ≤ θ else r`; the leaf is `−1 − c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeLeaves {
    /// Operand `[F]`.
    pub x: NodeId,
    /// Matrix `[N, 4]` of i32. A child is another node's row, always a later one, or `−1 − leaf`.
    pub nodes: ParamId,
    /// Vector `[T]` of i32.
    pub roots: ParamId,
    /// No path has more comparisons than this, `1 ..= 255`.
    pub depth: u32,
}

/// `y[k] = bias[k] + Σ_t table[x[t], k]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatherSum {
    /// Operand `[T]`: row numbers of the table.
    pub x: NodeId,
    /// Matrix `[L, K]` of i32.
    pub table: ParamId,
    /// Vector `[K]`, i32.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bias: Option<ParamId>,
}

impl Op {
    /// The op's name, as in its JSON form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Linear(_) => "linear",
            Self::Conv(_) => "conv",
            Self::Rescale(_) => "rescale",
            Self::Add(_) => "add",
            Self::Table(_) => "table",
            Self::MaxPool(_) => "max_pool",
            Self::SumPool(_) => "sum_pool",
            Self::Reindex(_) => "reindex",
            Self::Concat(_) => "concat",
            Self::Softmax(_) => "softmax",
            Self::ArgMax(_) => "arg_max",
            Self::TreeLeaves(_) => "tree_leaves",
            Self::GatherSum(_) => "gather_sum",
            Self::Token(_) => "token",
            Self::Position(_) => "position",
            Self::Embed(_) => "embed",
            Self::MaxAbs(_) => "max_abs",
            Self::Quantise(_) => "quantise",
            Self::RmsRatio(_) => "rms_ratio",
            Self::Mul(_) => "mul",
            Self::Rope(_) => "rope",
            Self::Scores(_) => "scores",
            Self::Attend(_) => "attend",
            Self::Hadamard(_) => "hadamard",
            Self::Gather(_) => "gather",
            Self::MatMul(_) => "mat_mul",
            Self::Divide(_) => "divide",
        }
    }

    /// The nodes it reads, in order.
    #[must_use]
    pub fn operands(&self) -> Vec<NodeId> {
        match self {
            Self::Input(_) | Self::Token(_) | Self::Position(_) => Vec::new(),
            Self::Linear(op) => vec![op.x],
            Self::Conv(op) => vec![op.x],
            Self::Rescale(op) => vec![op.x],
            Self::Add(op) => vec![op.a, op.b],
            Self::Table(op) => vec![op.x],
            Self::MaxPool(op) => vec![op.x],
            Self::SumPool(op) => vec![op.x],
            Self::Reindex(op) => vec![op.x],
            Self::Concat(op) => op.xs.clone(),
            Self::Softmax(op) => vec![op.x],
            Self::ArgMax(op) => vec![op.x],
            Self::TreeLeaves(op) => vec![op.x],
            Self::GatherSum(op) => vec![op.x],
            Self::Embed(op) => vec![op.x],
            Self::MaxAbs(op) => vec![op.x],
            Self::Quantise(op) => vec![op.x, op.scale],
            Self::RmsRatio(op) => vec![op.x, op.scale],
            Self::Mul(op) => vec![op.a, op.b],
            Self::Rope(op) => vec![op.x],
            Self::Scores(op) => vec![op.q, op.k],
            Self::Attend(op) => vec![op.scores, op.v],
            Self::Hadamard(op) => vec![op.x],
            Self::Gather(op) => vec![op.x],
            Self::MatMul(op) => vec![op.a, op.b],
            Self::Divide(op) => vec![op.a, op.b],
        }
    }

    /// The operand that is read at this and at earlier positions, if there is one: keys, values.
    #[must_use]
    pub const fn remembered(&self) -> Option<NodeId> {
        match self {
            Self::Scores(op) => Some(op.k),
            Self::Attend(op) => Some(op.v),
            _ => None,
        }
    }

    /// The parameters it reads, in order.
    #[must_use]
    pub fn params(&self) -> Vec<ParamId> {
        match self {
            Self::Linear(op) => [Some(op.weight), op.bias].into_iter().flatten().collect(),
            Self::Conv(op) => [Some(op.weight), op.bias].into_iter().flatten().collect(),
            Self::Rescale(op) => vec![op.multiplier],
            Self::Table(op) => vec![op.table],
            Self::Softmax(op) => vec![op.exp],
            Self::TreeLeaves(op) => vec![op.nodes, op.roots],
            Self::GatherSum(op) => [Some(op.table), op.bias].into_iter().flatten().collect(),
            Self::Embed(op) => vec![op.table, op.multiplier],
            Self::Mul(op) => op.bias.into_iter().collect(),
            Self::Rope(op) => vec![op.cos, op.sin],
            Self::Gather(op) => vec![op.table],
            Self::Token(_)
            | Self::Position(_)
            | Self::MaxAbs(_)
            | Self::Quantise(_)
            | Self::RmsRatio(_)
            | Self::Scores(_)
            | Self::Attend(_)
            | Self::Hadamard(_)
            | Self::MatMul(_)
            | Self::Divide(_)
            | Self::Input(_)
            | Self::Add(_)
            | Self::MaxPool(_)
            | Self::SumPool(_)
            | Self::Reindex(_)
            | Self::Concat(_)
            | Self::ArgMax(_) => Vec::new(),
        }
    }
}
