//! Small steps of emission: nodes and parameters by name, and fixed-point constants for real factors.

use credence_exact::{
    Add, Dtype, Hadamard, Linear, MaxAbs, Mul, Multiplier, NodeId, Op, ParamId, Quantise, Reindex,
    Rescale, RmsRatio, Shift,
};
use credence_model::{NodeSpec, ParamBytes, ParamSpec, ProgramSpec};

use super::LanguageLowerError;
use super::rotation::count;
use super::weights::Matrix;
use crate::number::{exponent_above, exponent_over, pow2, round_to, round_wide};

/// The stream saturates here (DESIGN: i32, ±2²⁵).
pub(super) const STREAM_MAX: i32 = 1 << 25;
/// Fraction bits of a scale over the root of the mean square.
const RATIO_BITS: i32 = 16;
/// Largest such ratio: the root of the width is far below 2⁷.
const RATIO_MAX: i32 = 1 << 23;
/// What rounded sums are clamped to before they are multiplied with a scale.
const WIDE_MAX: i32 = 1 << 30;
/// Cells of 32 bits that one relation may read, less what else it reads.
const CELLS_MAX: usize = 2000;

/// A node and its cells along the last axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) node: NodeId,
    pub(super) width: usize,
}

/// A normalised operand: 8 bits, and what a product with it is multiplied with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    pub(super) q: Value,
    pub(super) by: NodeId,
    /// What a product is divided by, as an exponent of 2, once it has been multiplied with `by`.
    pub(super) bits: i32,
}

/// Where a product's result goes: unit 2^−bits for each row, its type and clamp, and whether it is cut.
pub(super) struct Target<'a> {
    pub(super) bits: &'a dyn Fn(usize) -> i32,
    pub(super) dtype: Dtype,
    pub(super) max: i32,
    pub(super) cut: bool,
}

/// A program that grows.
pub(super) struct Emit {
    pub(super) spec: ProgramSpec,
    pub(super) params: Vec<ParamBytes>,
}

fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn shift(bits: i32) -> Result<Shift, LanguageLowerError> {
    let bits = u8::try_from(bits).ok();
    let shift = bits.and_then(|bits| Shift::try_from(bits).ok());
    shift.ok_or(LanguageLowerError::Scale)
}

pub(super) fn multiplier(m: i32) -> Result<Multiplier, LanguageLowerError> {
    Multiplier::try_from(m).map_err(|_| LanguageLowerError::Scale)
}

/// `factors[i] ≈ multipliers[i]/2^shift` with 30 bits for the largest.
pub(super) fn fixed(factors: &[f64]) -> Result<(Vec<i32>, Shift), LanguageLowerError> {
    let max = factors.iter().copied().fold(0.0, f64::max);
    let bits = if max > 0.0 {
        (30 - exponent_over(max)).clamp(1, 46)
    } else {
        1
    };
    let one = pow2(bits);
    let all = factors
        .iter()
        .map(|factor| round_to(factor * one, 0, i32::MAX));
    Ok((all.collect(), shift(bits)?))
}

impl Emit {
    pub(super) fn node(&mut self, name: String, op: Op, dtype: Dtype, cut: bool) -> NodeId {
        let id = NodeId(length(self.spec.nodes.len()));
        self.spec.nodes.push(NodeSpec {
            name,
            op,
            dtype,
            cut,
        });
        id
    }

    pub(super) fn param(
        &mut self,
        name: String,
        dtype: Dtype,
        shape: &[usize],
        bytes: impl Into<ParamBytes>,
    ) -> ParamId {
        let id = ParamId(length(self.spec.params.len()));
        self.params.push(bytes.into());
        self.spec.params.push(ParamSpec {
            name,
            dtype,
            shape: shape.iter().map(|&n| length(n)).collect(),
        });
        id
    }

    pub(super) fn vector(&mut self, name: String, values: &[i32]) -> ParamId {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.param(name, Dtype::I32, &[values.len()], bytes)
    }

    pub(super) fn matrix(&mut self, name: String, matrix: &Matrix) -> ParamId {
        let shape = [matrix.scales.len(), matrix.columns];
        self.param(name, Dtype::I8, &shape, matrix.weights.clone())
    }

    /// The largest magnitude along the last axis: over blocks first where one relation would read too much.
    pub(super) fn max_abs(&mut self, name: &str, x: Value, block: usize) -> NodeId {
        let mut of = x.node;
        if x.width > CELLS_MAX && x.width.is_multiple_of(block) && block > 1 {
            let shape = [x.width / block, block];
            let parts = self.reindex(format!("{name}.blocks"), x.node, 0, &shape, Dtype::I32);
            let op = Op::MaxAbs(MaxAbs { x: parts });
            let maxima = self.node(format!("{name}.scale.blocks"), op, Dtype::I32, true);
            let flat = [x.width / block];
            of = self.reindex(format!("{name}.scales"), maxima, 0, &flat, Dtype::I32);
        }
        let op = Op::MaxAbs(MaxAbs { x: of });
        self.node(format!("{name}.scale"), op, Dtype::I32, true)
    }

    /// Consecutive cells in another shape.
    pub(super) fn reindex(
        &mut self,
        name: String,
        x: NodeId,
        offset: usize,
        shape: &[usize],
        dtype: Dtype,
    ) -> NodeId {
        let mut strides = Vec::new();
        let mut stride = 1_i32;
        for &dim in shape.iter().rev() {
            strides.push(stride);
            stride = stride.saturating_mul(i32::try_from(dim).unwrap_or(i32::MAX));
        }
        strides.reverse();
        let op = Reindex {
            x,
            shape: shape.iter().map(|&n| length(n)).collect(),
            offset: length(offset),
            strides,
        };
        self.node(name, Op::Reindex(op), dtype, false)
    }

    /// `x/max|x|` in so many steps.
    pub(super) fn quantise(&mut self, name: &str, x: Value, scale: NodeId, limit: u16) -> NodeId {
        let op = Quantise {
            x: x.node,
            scale,
            limit,
        };
        let dtype = if limit < 128 { Dtype::I8 } else { Dtype::I16 };
        // What a product of long rows reads is opened as it is.
        let cut = x.width > CELLS_MAX / 2;
        self.node(format!("{name}.q"), Op::Quantise(op), dtype, cut)
    }

    /// The scale over the root of the mean square, in units of 2⁻¹⁶; cells of x are in units of 2^−bits.
    pub(super) fn ratio(
        &mut self,
        name: &str,
        x: Value,
        (scale, epsilon, bits): (NodeId, f64, i32),
    ) -> Result<NodeId, LanguageLowerError> {
        let width = count(x.width);
        let squares = width * epsilon * pow2(2 * bits);
        let op = RmsRatio {
            x: x.node,
            scale,
            factor: multiplier(round_to(width.sqrt() * pow2(RATIO_BITS), 1, i32::MAX))?,
            epsilon: round_wide(squares).ok_or(LanguageLowerError::Scale)?,
            max: RATIO_MAX,
        };
        Ok(self.node(format!("{name}.ratio"), Op::RmsRatio(op), Dtype::I32, true))
    }

    /// An RMS norm without its gain.
    pub(super) fn norm(
        &mut self,
        name: &str,
        x: Value,
        (epsilon, bits): (f64, i32),
    ) -> Result<Scaled, LanguageLowerError> {
        let scale = self.max_abs(name, x, 0);
        let by = self.ratio(name, x, (scale, epsilon, bits))?;
        let node = self.quantise(name, x, scale, 127);
        let q = Value {
            node,
            width: x.width,
        };
        let bits = RATIO_BITS;
        Ok(Scaled { q, by, bits })
    }

    /// An operand by its own scale, in units of 2^−bits.
    pub(super) fn scaled(&mut self, name: &str, x: Value, (bits, block): (i32, usize)) -> Scaled {
        let by = self.max_abs(name, x, block);
        let node = self.quantise(name, x, by, 127);
        let q = Value {
            node,
            width: x.width,
        };
        Scaled { q, by, bits }
    }

    /// A product with a normalised operand: `factor` times it, in the target's units.
    pub(super) fn product(
        &mut self,
        name: &str,
        x: Scaled,
        (matrix, factor): (&Matrix, f64),
        target: &Target<'_>,
    ) -> Result<Value, LanguageLowerError> {
        let weight = self.matrix(format!("{name}.weight"), matrix);
        let op = Linear {
            x: x.q.node,
            weight,
            bias: None,
        };
        let sums = self.node(format!("{name}.sums"), Op::Linear(op), Dtype::I32, false);
        let real = |(row, scale): (usize, &f64)| scale / 127.0 * factor * pow2((target.bits)(row));
        let reals: Vec<f64> = matrix.scales.iter().enumerate().map(real).collect();
        // Sums keep their magnitude: the largest factor becomes one, and what that takes is undone behind the scale.
        let max = reals.iter().copied().fold(0.0, f64::max);
        let gain = if max > 0.0 { -exponent_above(max) } else { 0 };
        let gain = gain.clamp(1 - x.bits, 46 - x.bits);
        let scaled: Vec<f64> = reals.iter().map(|real| real * pow2(gain)).collect();
        let (multipliers, bits) = fixed(&scaled)?;
        let op = Rescale {
            x: sums,
            multiplier: self.vector(format!("{name}.multiplier"), &multipliers),
            shift: bits,
            min: -WIDE_MAX,
            max: WIDE_MAX,
        };
        let wide = self.node(format!("{name}.wide"), Op::Rescale(op), Dtype::I32, false);
        let bias = (!matrix.bias.is_empty()).then(|| {
            let real = |(row, bias): (usize, &f64)| bias * pow2((target.bits)(row));
            let all = matrix.bias.iter().enumerate().map(real);
            all.map(|b| round_to(b, -WIDE_MAX, WIDE_MAX))
                .collect::<Vec<i32>>()
        });
        let bias = bias.map(|bias| self.vector(format!("{name}.bias"), &bias));
        let op = Mul {
            a: wide,
            b: x.by,
            bias,
            shift: shift(gain + x.bits)?,
            min: -target.max,
            max: target.max,
        };
        Ok(Value {
            node: self.node(name.to_owned(), Op::Mul(op), target.dtype, target.cut),
            width: matrix.scales.len(),
        })
    }

    /// `clamp(x·factor)`, the same factor for all cells.
    pub(super) fn rescale(
        &mut self,
        name: String,
        x: NodeId,
        (factor, max): (f64, i32),
        (dtype, cut): (Dtype, bool),
    ) -> Result<NodeId, LanguageLowerError> {
        let (multipliers, shift) = fixed(&[factor])?;
        let op = Rescale {
            x,
            multiplier: self.vector(format!("{name}.multiplier"), &multipliers),
            shift,
            min: -max,
            max,
        };
        Ok(self.node(name, Op::Rescale(op), dtype, cut))
    }

    /// A norm with its gain, along the last axis: x in units of 2^−from, the result in units of 2^−to.
    pub(super) fn gained(
        &mut self,
        name: &str,
        x: Value,
        gain: &[f32],
        (epsilon, from, to): (f64, i32, i32),
    ) -> Result<(NodeId, NodeId, i32), LanguageLowerError> {
        let scale = self.max_abs(name, x, 0);
        let by = self.ratio(name, x, (scale, epsilon, from))?;
        let q = self.quantise(name, x, scale, i16::MAX.unsigned_abs());
        let real = |g: &f32| f64::from(g.abs()) / f64::from(i16::MAX) * pow2(to);
        let reals: Vec<f64> = gain.iter().map(real).collect();
        let max = reals.iter().copied().fold(0.0, f64::max);
        let up = if max > 0.0 {
            14 - exponent_above(max)
        } else {
            0
        };
        let up = up.clamp(1 - RATIO_BITS, 46 - RATIO_BITS);
        let scaled: Vec<f64> = reals.iter().map(|real| real * pow2(up)).collect();
        let (multipliers, bits) = fixed(&scaled)?;
        let op = Rescale {
            x: q,
            multiplier: self.vector(format!("{name}.gain"), &multipliers),
            shift: bits,
            min: -WIDE_MAX,
            max: WIDE_MAX,
        };
        let wide = self.node(format!("{name}.wide"), Op::Rescale(op), Dtype::I32, false);
        Ok((wide, by, up + RATIO_BITS))
    }

    /// The stream and what is added to it.
    pub(super) fn add(
        &mut self,
        name: String,
        a: NodeId,
        b: NodeId,
    ) -> Result<NodeId, LanguageLowerError> {
        let op = Add {
            a,
            b,
            a_multiplier: multiplier(2)?,
            b_multiplier: multiplier(2)?,
            negate_b: false,
            shift: shift(1)?,
            min: -STREAM_MAX,
            max: STREAM_MAX,
        };
        Ok(self.node(name, Op::Add(op), Dtype::I32, true))
    }

    /// The online transform.
    pub(super) fn hadamard(&mut self, name: String, x: NodeId, size: usize) -> NodeId {
        let op = Hadamard {
            x,
            size: length(size),
        };
        self.node(name, Op::Hadamard(op), Dtype::I32, false)
    }
}
