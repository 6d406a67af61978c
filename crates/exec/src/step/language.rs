//! Steps of language models that read one position alone.

use std::sync::Arc;

use credence_exact::{Dtype, ParamId};
use credence_model::Model;

use super::{Place, Position};
use crate::cells::{CHUNK, Cells, low32, row};
use crate::kernel::Rounding;

/// The token's id.
pub(crate) struct Token {
    pub(crate) y: Place,
}

impl Token {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let token = at.row.token.cast_signed();
        at.write(self.y).0.set(0, token);
    }
}

/// The position's number.
pub(crate) struct Number {
    pub(crate) y: Place,
}

impl Number {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let number = i32::try_from(at.row.position).unwrap_or(i32::MAX);
        at.write(self.y).0.set(0, number);
    }
}

/// `clamp(rescale(table[x]·multiplier[x]))`. The table is read where the model has it: a run touches a few rows.
pub(crate) struct Embed {
    pub(crate) x: Place,
    pub(crate) y: Place,
    pub(crate) table: ParamId,
    pub(crate) dtype: Dtype,
    pub(crate) multipliers: Vec<i32>,
    pub(crate) rounding: Rounding,
}

impl Embed {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>, model: &Model) {
        let Some(table) = model.param(self.table) else {
            return;
        };
        let (mut y, others) = at.write(self.y);
        let number = row(others.read(self.x).get(0));
        let bytes = self.y.cells * self.dtype.width();
        let entries = Cells::new(self.dtype, &table.bytes()[number * bytes..][..bytes]);
        let multiplier = i64::from(self.multipliers[number]);
        let mut chunk = [0_i32; CHUNK];
        for first in (0..self.y.cells).step_by(CHUNK) {
            let cells = &mut chunk[..CHUNK.min(self.y.cells - first)];
            entries.widen(first, cells);
            for cell in cells.iter_mut() {
                *cell = self.rounding.round(i64::from(*cell) * multiplier);
            }
            y.narrow(first, cells);
        }
    }
}

/// `max(1, max |x|)` along the last axis.
pub(crate) struct MaxAbs {
    pub(crate) x: Place,
    pub(crate) y: Place,
    pub(crate) length: usize,
}

impl MaxAbs {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let mut chunk = [0_i32; CHUNK];
        for vector in 0..self.y.cells {
            let end = (vector + 1) * self.length;
            // |−2³¹| does not fit a signed number; a checked model's result does.
            let mut max = 1_u32;
            for first in (vector * self.length..end).step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(end - first)];
                x.widen(first, cells);
                let most = cells.iter().map(|cell| cell.unsigned_abs());
                max = most.fold(max, u32::max);
            }
            y.set(vector, max.cast_signed());
        }
    }
}

/// `clamp(⌊(limit·x + ⌊A/2⌋)/A⌋, ±limit)`.
pub(crate) struct Quantise {
    pub(crate) x: Place,
    pub(crate) scale: Place,
    pub(crate) y: Place,
    pub(crate) length: usize,
    pub(crate) limit: u16,
}

/// Adding it puts the nearest integer of a small number into the low bits: 2⁵² + 2⁵¹.
const MAGIC: f64 = 6_755_399_441_055_744.0;
/// Less than half of 1/A for every scale A below 2³¹, and more than the error of a product of magnitude 2¹⁷.
const NUDGE: f64 = 1.0 / 8_589_934_592.0;

/// `⌊n/d⌋` by a product with `inverse = 1/d` correctly rounded, for `1 ≤ d < 2³¹` and quotients below 2¹⁷ in magnitude, `n` and `d` integers.
///
/// The product is off by less than 2⁻³⁵. If d divides n, the quotient is an integer k, and the sum below lies between k − ½ and k + ½. Else the quotient
/// is at least 2⁻³¹ away from the next integer, so that adding 2⁻³³ does not reach it.
#[inline(always)]
pub(crate) fn floor_by_inverse(n: f64, inverse: f64) -> i32 {
    let bits = ((n * inverse + (NUDGE - 0.5)) + MAGIC).to_bits();
    low32(bits.cast_signed())
}

impl Quantise {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let (x, scales) = (others.read(self.x), others.read(self.scale));
        let limit = i32::from(self.limit);
        let factor = f64::from(self.limit);
        let mut chunk = [0_i32; CHUNK];
        for vector in 0..scales.len() {
            let scale = scales.get(vector);
            let (inverse, half) = (1.0 / f64::from(scale), f64::from(scale / 2));
            let bound = i64::from(scale) << 1;
            let end = (vector + 1) * self.length;
            for first in (vector * self.length..end).step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(end - first)];
                x.widen(first, cells);
                // What is far outside is clamped first, so that quotients stay small; 2·A becomes 2·limit, and is clamped behind.
                let most = low32(bound.min(i64::from(i32::MAX)));
                for cell in cells.iter_mut() {
                    let near = (*cell).clamp(-most, most);
                    let quotient = floor_by_inverse(f64::from(near) * factor + half, inverse);
                    *cell = quotient.clamp(-limit, limit);
                }
                y.narrow(first, cells);
            }
        }
    }
}

/// `min(⌊A·factor/√(Σx² + epsilon)⌋, max)`.
pub(crate) struct RmsRatio {
    pub(crate) x: Place,
    pub(crate) scale: Place,
    pub(crate) y: Place,
    pub(crate) length: usize,
    pub(crate) factor: i64,
    pub(crate) epsilon: i64,
    pub(crate) max: i32,
}

impl RmsRatio {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let (x, scales) = (others.read(self.x), others.read(self.scale));
        let mut chunk = [0_i32; CHUNK];
        for vector in 0..self.y.cells {
            let mut sum = self.epsilon;
            let end = (vector + 1) * self.length;
            for first in (vector * self.length..end).step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(end - first)];
                x.widen(first, cells);
                let squares = cells.iter().map(|&x| i64::from(x) * i64::from(x));
                sum += squares.sum::<i64>();
            }
            let ratio = i64::from(scales.get(vector)) * self.factor / sum.isqrt().max(1);
            y.set(vector, low32(ratio.min(self.max.into())));
        }
    }
}

/// `clamp(rescale(a·b) + bias)`.
pub(crate) struct Mul {
    pub(crate) a: Place,
    pub(crate) b: Place,
    pub(crate) y: Place,
    /// Cells along the last axis.
    pub(crate) length: usize,
    /// Whether b has a cell for each of a, or one for each vector.
    pub(crate) each: bool,
    pub(crate) bias: Option<Vec<i32>>,
    pub(crate) rounding: Rounding,
}

impl Mul {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let (a, b) = (others.read(self.a), others.read(self.b));
        let (mut a_chunk, mut b_chunk) = ([0_i32; CHUNK], [0_i32; CHUNK]);
        for vector in 0..self.y.cells / self.length {
            let start = vector * self.length;
            for first in (0..self.length).step_by(CHUNK) {
                let len = CHUNK.min(self.length - first);
                let (a_cells, b_cells) = (&mut a_chunk[..len], &mut b_chunk[..len]);
                a.widen(start + first, a_cells);
                if self.each {
                    b.widen(start + first, b_cells);
                } else {
                    b_cells.fill(b.get(vector));
                }
                match &self.bias {
                    Some(bias) => self.round_biased(a_cells, b_cells, &bias[first..]),
                    None => {
                        for (a, b) in a_cells.iter_mut().zip(b_cells.iter()) {
                            *a = self.rounding.round(i64::from(*a) * i64::from(*b));
                        }
                    }
                }
                y.narrow(start + first, a_cells);
            }
        }
    }

    #[inline(always)]
    fn round_biased(&self, a: &mut [i32], b: &[i32], bias: &[i32]) {
        let Rounding { shift, min, max } = self.rounding;
        let half = 1_i64 << (shift - 1);
        for ((a, b), bias) in a.iter_mut().zip(b).zip(bias) {
            let sum = ((i64::from(*a) * i64::from(*b) + half) >> shift) + i64::from(*bias);
            *a = low32(sum.clamp(min.into(), max.into()));
        }
    }
}

/// Rotation of pairs by the position's angles.
pub(crate) struct Rope {
    pub(crate) x: Place,
    pub(crate) y: Place,
    /// Cells along the last axis.
    pub(crate) length: usize,
    /// Pairs that are rotated.
    pub(crate) pairs: usize,
    /// `[position][pair]`.
    pub(crate) cos: Arc<[i32]>,
    pub(crate) sin: Arc<[i32]>,
    /// Whether sums of two products and a half fit 32 bits.
    pub(crate) narrow: bool,
    pub(crate) rounding: Rounding,
}

impl Rope {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let angles = at.row.position * self.pairs..(at.row.position + 1) * self.pairs;
        let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let (mut low, mut high) = ([0_i32; CHUNK], [0_i32; CHUNK]);
        for start in (0..self.y.cells).step_by(self.length) {
            for first in (0..self.pairs).step_by(CHUNK) {
                let len = CHUNK.min(self.pairs - first);
                let (low, high) = (&mut low[..len], &mut high[..len]);
                x.widen(start + first, low);
                x.widen(start + self.pairs + first, high);
                let angles = cos[first..].iter().zip(&sin[first..]);
                let pairs = low.iter_mut().zip(high.iter_mut()).zip(angles);
                if self.narrow {
                    let Rounding { shift, min, max } = self.rounding;
                    let half = 1_i32 << (shift - 1);
                    for ((low, high), (c, s)) in pairs {
                        let (a, b) = (*low, *high);
                        *low = ((a * c - b * s + half) >> shift).clamp(min, max);
                        *high = ((b * c + a * s + half) >> shift).clamp(min, max);
                    }
                } else {
                    for ((low, high), (c, s)) in pairs {
                        let (a, b) = (i64::from(*low), i64::from(*high));
                        let (c, s) = (i64::from(*c), i64::from(*s));
                        *low = self.rounding.round(a * c - b * s);
                        *high = self.rounding.round(b * c + a * s);
                    }
                }
                y.narrow(start + first, low);
                y.narrow(start + self.pairs + first, high);
            }
            for rest in start + 2 * self.pairs..start + self.length {
                let Rounding { min, max, .. } = self.rounding;
                y.set(rest, x.get(rest).clamp(min, max));
            }
        }
    }
}

/// Walsh–Hadamard transform of blocks.
pub(crate) struct Hadamard {
    pub(crate) x: Place,
    pub(crate) y: Place,
    pub(crate) size: usize,
}

/// Largest block.
const HADAMARD_MAX: usize = 2048;

impl Hadamard {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let (mut from, mut to) = ([0_i32; HADAMARD_MAX], [0_i32; HADAMARD_MAX]);
        let (from, to) = (&mut from[..self.size], &mut to[..self.size]);
        for first in (0..self.y.cells).step_by(self.size) {
            x.widen(first, from);
            // Each pass has the same geometry: sums of neighbours into the first half, differences into the second. Sums of a checked model fit.
            for _ in 0..self.size.ilog2() {
                let (sums, differences) = to.split_at_mut(self.size / 2);
                let pairs = from.as_chunks::<2>().0.iter();
                let halves = sums.iter_mut().zip(differences.iter_mut());
                for ((sum, difference), [a, b]) in halves.zip(pairs) {
                    *sum = a.wrapping_add(*b);
                    *difference = a.wrapping_sub(*b);
                }
                from.copy_from_slice(to);
            }
            y.narrow(first, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(n: i64, d: i32) {
        let n_float = f64::from(i32::try_from(n >> 24).unwrap()) * 16_777_216.0
            + f64::from(i32::try_from(n & 0xff_ffff).unwrap());
        let quotient = floor_by_inverse(n_float, 1.0 / f64::from(d));
        assert_eq!(i64::from(quotient), n.div_euclid(d.into()), "{n} / {d}");
    }

    #[test]
    fn quotients_beside_integers() {
        for d in [
            1,
            2,
            3,
            7,
            127,
            32_767,
            65_537,
            (1 << 30) - 1,
            1 << 30,
            i32::MAX - 1,
            i32::MAX,
        ] {
            for k in [
                -70_000, -32_767, -127, -2, -1, 0, 1, 2, 126, 127, 32_767, 70_000,
            ] {
                for off in [-2, -1, 0, 1, 2] {
                    check(i64::from(d) * k + off, d);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn quotients(d in 1..=i32::MAX, k in -70_000_i64..70_000, off in -3_i64..3, rest in any::<u32>()) {
            check(i64::from(d) * k + off, d);
            check(i64::from(d) * k + i64::from(rest) % i64::from(d), d);
        }
    }
}
