//! The ops that larger tensor models add: rows by number, products of two values, quotients (`docs/spec/arithmetic.md`, section 5.1).

use serde::{Deserialize, Serialize};

use crate::{Multiplier, NodeId, ParamId};

/// `y[.., c] = table[x[..], c]`: the row that each cell of x names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gather {
    /// Operand `[..]`: row numbers.
    pub x: NodeId,
    /// Matrix `[L, C]` of any type.
    pub table: ParamId,
}

/// `y[.., m, n] = Σ_k a[.., m, k]·b[.., k, n]`, for two values of i8 or i16 with the same axes before the last two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatMul {
    /// First operand `[.., M, K]`.
    pub a: NodeId,
    /// Second operand `[.., K, N]`.
    pub b: NodeId,
}

/// `y[.., c] = clamp(⌊(factor·a[.., c] + ⌊b/2⌋)/b⌋, min, max)` with `b = b[.., c]`, or `b[.., 0]` for every c where b is `[.., 1]`; `b ≥ 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divide {
    /// What is divided, `[.., C]`.
    pub a: NodeId,
    /// What it is divided by, of the same shape or `[.., 1]`; its cells are at least 1.
    pub b: NodeId,
    /// Steps of the result for a quotient of 1.
    pub factor: Multiplier,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
}
