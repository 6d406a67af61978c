//! How a value of the graph is stored as integers: type, scale, clamp; and the multipliers that lead from one scale to another.

use credence_exact::{Dtype, SHIFT_MAX, Shift};

use crate::graph::Codes;
use crate::number::{exponent_over, pow2, round_to};

/// Bits of an input's multiplier, as the border has it. Scales of activations have a reciprocal of as many, so that an input is
/// encoded at exactly the scale that its readers assume.
const RECIPROCAL_BITS: i32 = 24;

/// A positive number of reals per integer step, ordered as numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scale(u64);

impl Scale {
    /// `2^exponent`.
    pub(crate) fn pow2(exponent: i32) -> Self {
        Self(pow2(exponent).to_bits())
    }

    /// The scale at which `levels` steps reach `reach`, its reciprocal rounded to 24 bits. A reach of 0, of a value that was never
    /// anything else, is taken as 1.
    pub(crate) fn reaching(reach: f64, levels: f64) -> Self {
        let reach = if reach < pow2(-100) { 1.0 } else { reach };
        Self(
            Reciprocal::of(reach.min(pow2(100)) / levels)
                .scale()
                .to_bits(),
        )
    }

    /// A scale whose reciprocal has few bits as it is.
    pub(crate) fn exactly(scale: f64) -> Self {
        Self(Reciprocal::of(scale).scale().to_bits())
    }

    /// A scale as it is, for values that no input is encoded at.
    pub(crate) const fn given(scale: f64) -> Self {
        Self(scale.to_bits())
    }

    /// The scale of a value that is this one's times a positive factor.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self::exactly(self.get() * factor)
    }

    /// Reals per step.
    pub(crate) fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// `1/scale` as `multiplier·2^−shift`, the form that an input's encoding has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reciprocal {
    /// `2²³ ..= 2²⁴ − 1`.
    pub(crate) multiplier: i32,
    pub(crate) shift: i32,
}

impl Reciprocal {
    /// The nearest to `1/scale`.
    pub(crate) fn of(scale: f64) -> Self {
        let reciprocal = 1.0 / scale;
        let shift = RECIPROCAL_BITS - exponent_over(reciprocal);
        let multiplier = round_to(reciprocal * pow2(shift), 0, 1 << RECIPROCAL_BITS);
        if multiplier == 1 << RECIPROCAL_BITS {
            Self {
                multiplier: multiplier >> 1,
                shift: shift - 1,
            }
        } else {
            Self { multiplier, shift }
        }
    }

    fn scale(self) -> f64 {
        pow2(self.shift) / f64::from(self.multiplier)
    }
}

/// A stored form of a real value: `x = (q − zero)·scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quant {
    pub(crate) dtype: Dtype,
    pub(crate) scale: Scale,
    /// The integer that stands for 0.
    pub(crate) zero: i32,
    pub(crate) min: i32,
    pub(crate) max: i32,
}

impl Quant {
    /// All of a type's range but its lowest value, so that negation stays inside.
    pub(crate) fn symmetric(dtype: Dtype, scale: Scale) -> Self {
        let max = i32::try_from(dtype.range().1).unwrap_or(i32::MAX);
        Self {
            dtype,
            scale,
            zero: 0,
            min: -max,
            max,
        }
    }

    /// All 256 integers of i8 for values that are never negative: twice the resolution of the symmetric form.
    pub(crate) const fn unsigned(scale: Scale) -> Self {
        Self {
            dtype: Dtype::I8,
            scale,
            zero: -128,
            min: -128,
            max: 127,
        }
    }

    /// All 256 integers of i8 for values of `low ..= high`, 0 among them and at an integer.
    pub(crate) fn between(low: f64, high: f64) -> Self {
        let scale = Scale::reaching(high - low, 254.0);
        let zero = round_to(-128.0 - low / scale.get(), -128, 127);
        Self {
            zero,
            ..Self::unsigned(scale)
        }
    }

    /// The integers that a file has for a value.
    pub(crate) fn given(codes: Codes) -> Self {
        Self {
            zero: i32::from(codes.zero),
            ..Self::unsigned(Scale::given(f64::from(codes.scale)))
        }
    }

    /// The same reals in 16 bits about an integer 0: nothing is rounded between this form and the other.
    pub(crate) const fn about_zero(self) -> Self {
        Self {
            dtype: Dtype::I16,
            scale: self.scale,
            zero: 0,
            min: self.min - self.zero,
            max: self.max - self.zero,
        }
    }

    /// Largest magnitude of its reals.
    pub(crate) fn reach(self) -> f64 {
        let most = (self.max - self.zero).max(self.zero - self.min);
        f64::from(most) * self.scale.get()
    }

    /// The real that `zero` is away from the integer 0.
    pub(crate) fn offset(self) -> f64 {
        f64::from(self.zero) * self.scale.get()
    }

    /// The part of it that a clip leaves.
    pub(crate) fn clipped(self, min: f64, max: f64) -> Self {
        let [low, high] = [self.integer(min), self.integer(max)];
        Self {
            min: low.max(self.min).min(high),
            max: high,
            ..self
        }
    }

    /// The integer nearest to a real, clamped.
    pub(crate) fn integer(self, x: f64) -> i32 {
        let zero = f64::from(self.zero);
        round_to((x / self.scale.get()).round() + zero, self.min, self.max)
    }
}

/// A ratio of scales that no multiplier and shift express.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RatioError {
    pub(crate) got: f64,
}

/// Multipliers `m` and one shift `s` with `m/2^s` nearest to each ratio. The largest m is in `2³⁰ ..= 2³¹ − 1`, unless s is at its end.
pub(crate) fn multipliers(ratios: &[f64]) -> Result<(Vec<i32>, Shift), RatioError> {
    let largest = ratios.iter().copied().fold(0.0, f64::max);
    let wanted = if largest == 0.0 {
        1
    } else {
        31 - exponent_over(largest)
    };
    let error = RatioError { got: largest };
    if wanted < 1 || !largest.is_finite() {
        return Err(error);
    }
    let bits = u8::try_from(wanted).unwrap_or(SHIFT_MAX).min(SHIFT_MAX);
    let shift = Shift::try_from(bits).map_err(|_| error)?;
    let unit = pow2(i32::from(bits));
    let multipliers = ratios
        .iter()
        .map(|ratio| round_to(ratio * unit, 0, i32::MAX));
    Ok((multipliers.collect(), shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_have_24_bits() {
        for scale in [1.0, 0.125, 1.0 / 127.0, 3.7e-9, 12345.678, 1.0 / 3.0] {
            let Reciprocal { multiplier, shift } = Reciprocal::of(scale);
            assert!((1 << 23..1 << 24).contains(&multiplier), "{scale}");
            let error = (f64::from(multiplier) * pow2(-shift) * scale - 1.0).abs();
            assert!(error <= pow2(-24), "{scale}: {error}");
            let reached = Scale::reaching(scale, 1.0);
            assert_eq!(Scale::reaching(reached.get(), 1.0), reached, "stable");
        }
    }

    #[test]
    fn the_largest_multiplier_fills_31_bits() {
        let (got, shift) = multipliers(&[0.75, 0.1, 0.0]).unwrap();
        assert_eq!((got[0], got[2], shift.bits()), (3 << 29, 0, 31));
        let one = multipliers(&[1.0]).unwrap();
        assert_eq!((one.0, one.1.bits()), (vec![1 << 30], 30));
        assert_eq!(multipliers(&[pow2(-40)]).unwrap().0, [1 << 6]);
        assert_eq!(multipliers(&[0.0]).unwrap().0, [0]);
        assert!(multipliers(&[pow2(30)]).is_err());
        assert!(multipliers(&[f64::INFINITY]).is_err());
    }

    #[test]
    fn clips_stay_ranges() {
        let full = Quant::symmetric(Dtype::I8, Scale::pow2(-4));
        assert_eq!((full.min, full.max), (-127, 127));
        let relu6 = full.clipped(0.0, 6.0);
        assert_eq!((relu6.min, relu6.max), (0, 96));
        let above = full.clipped(100.0, f64::INFINITY);
        assert_eq!((above.min, above.max), (127, 127));
        assert_eq!(full.clipped(f64::NEG_INFINITY, f64::INFINITY), full);
        let unsigned = Quant::unsigned(Scale::pow2(-4)).clipped(0.0, 6.0);
        assert_eq!((unsigned.min, unsigned.max), (-128, -32));
        assert_eq!((unsigned.integer(0.0), unsigned.offset()), (-128, -8.0));
    }
}
