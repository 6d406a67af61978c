//! The ops that language models add: positions are tokens, and a token reads those before it (`docs/spec/arithmetic.md`, section 6).
//!
//! Scales are dynamic here: one for each vector, computed from it ([`MaxAbs`], [`Quantise`]), and a product's result is brought back by multiplying
//! with the scale ([`Mul`]). [`Scores`] and [`Attend`] alone read other positions.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Multiplier, NodeId, ParamId, Shift};

/// The id of the token at this position. Shape `[1]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {}

/// The number of this position, from 0. Shape `[1]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {}

/// `y[c] = clamp(rescale(table[x, c]·multiplier[x], s), min, max)`: the row that x names, with the row's own scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embed {
    /// Operand `[1]`: a row number.
    pub x: NodeId,
    /// Matrix `[L, C]` of i8 or i16.
    pub table: ParamId,
    /// Vector `[L]` of i32, entries ≥ 0.
    pub multiplier: ParamId,
    /// Shift s.
    pub shift: Shift,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
}

/// `y[.., 0] = max(1, max_c |x[.., c]|)`. Shape of x with a last axis of 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxAbs {
    /// Operand `[.., C]`.
    pub x: NodeId,
}

/// `y = clamp(⌊(limit·x + ⌊A/2⌋)/A⌋, −limit, limit)`, `A = scale[.., 0] ≥ 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantise {
    /// Operand `[.., C]`.
    pub x: NodeId,
    /// Scale `[.., 1]`: what becomes `limit`; at least 1.
    pub scale: NodeId,
    /// Largest magnitude of the result, `1 ..= 32,767`.
    pub limit: u16,
}

/// `y[.., 0] = min(⌊A·factor/r⌋, max)`, `A = scale[.., 0]`, `r = max(1, ⌊√(Σ_c x[.., c]² + epsilon)⌋)`: a scale over the root of a sum of squares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RmsRatio {
    /// Operand `[.., C]`.
    pub x: NodeId,
    /// Scale `[.., 1]`, at least 0.
    pub scale: NodeId,
    /// What the scale is multiplied with.
    pub factor: Multiplier,
    /// Added to the sum of squares; below 2⁵³.
    pub epsilon: u64,
    /// Upper end of the clamp, ≥ 0.
    pub max: i32,
}

/// `y = clamp(rescale(a·b, s) + bias[c], min, max)`, c the index along the last axis; b has a's shape, or a last axis of 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mul {
    /// First operand `[.., C]`.
    pub a: NodeId,
    /// Second operand, `[.., C]` or `[.., 1]`.
    pub b: NodeId,
    /// Vector `[C]`, i32.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bias: Option<ParamId>,
    /// Shift s.
    pub shift: Shift,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
}

/// Rotates pairs by the position's angles: with `c = cos[p, i]`, `s = sin[p, i]` in units of 2⁻¹⁴, p the position and `i < K`,
/// `y[.., i] = clamp(rescale(x[.., i]·c − x[.., i+K]·s, 14))`, `y[.., i+K] = clamp(rescale(x[.., i+K]·c + x[.., i]·s, 14))`; cells from 2K on are
/// `clamp(x)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rope {
    /// Operand `[.., D]`, `2K ≤ D`.
    pub x: NodeId,
    /// Matrix `[N, K]` of i16, N the program's context.
    pub cos: ParamId,
    /// As `cos`.
    pub sin: ParamId,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
}

/// `y[h, t] = clamp(rescale(multiplier·Σ_d q[h, d]·k_t[⌊h·G/H⌋, d], s), min, max)` for every position t that this one sees: itself and those before, at
/// most `window` of them, or all of the run if it sees `ahead`. Units of 1/256 nat. Other cells do not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Queries `[H, D]`, i16.
    pub q: NodeId,
    /// Keys `[G, D]`, i16, cut; G divides H.
    pub k: NodeId,
    /// What sums are multiplied with.
    pub multiplier: Multiplier,
    /// Shift s.
    pub shift: Shift,
    /// Lower end of the clamp.
    pub min: i32,
    /// Upper end of the clamp.
    pub max: i32,
    /// How many positions are seen, itself included; all if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub window: Option<u32>,
    /// Whether every position of the run is seen, later ones too; encoders alone have it, and it takes no window.
    #[serde(skip_serializing_if = "core::ops::Not::not", default)]
    pub ahead: bool,
}

/// Which positions a position sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// At most so many, itself the last of them; all before it if absent.
    pub window: Option<u32>,
    /// Every position of the run instead.
    pub ahead: bool,
}

impl Sight {
    /// The positions that one of a run of `positions` sees: never none if it is one of them.
    #[must_use]
    pub fn range(self, position: usize, positions: usize) -> Range<usize> {
        if self.ahead {
            return 0..positions;
        }
        let window = self.window.and_then(|window| usize::try_from(window).ok());
        let end = position.saturating_add(1);
        end.saturating_sub(window.unwrap_or(usize::MAX))..end
    }
}

impl Scores {
    /// Which positions it has scores of.
    #[must_use]
    pub const fn sight(&self) -> Sight {
        Sight {
            window: self.window,
            ahead: self.ahead,
        }
    }
}

/// `y[h, d] = ⌊(2^bits·Σ_t e_t·v_t[⌊h·G/H⌋, d] + ⌊S/2⌋)/S⌋` over the positions t that have a score, with `M = max_t scores[h, t]`,
/// `e_t = exp256(M − scores[h, t])` and `S = Σ_t e_t`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attend {
    /// A [`Scores`] node, `[H, N]`.
    pub scores: NodeId,
    /// Values `[G, D]`, i16, cut; G divides H.
    pub v: NodeId,
    /// By how many bits the result is finer than the values, `0 ..= 15`: a mean of many is smaller than the largest of them.
    pub bits: u8,
}

/// Along the last axis, in blocks of `size`: `y[b·size + i] = Σ_j (−1)^popcount(i & j)·x[b·size + j]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hadamard {
    /// Operand `[.., C]`; `size` divides C.
    pub x: NodeId,
    /// A power of two, `2 ..= 2,048`.
    pub size: u32,
}
