//! The border: from the bits of an FP32 element to an integer and back (`docs/spec/arithmetic.md`, section 3).
//!
//! Floats are taken apart as bit patterns and never added or multiplied as floats, so that the result is a matter of integers
//! on every machine.

/// An FP32 element that has no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BorderError {
    /// NaN or an infinity.
    #[error("element with bits {bits:#010x} is not a finite number")]
    NotFinite {
        /// The element's bits.
        bits: u32,
    },
}

/// Sign, significand below 2²⁴, and power of two of a finite FP32.
fn take_apart(bits: u32) -> Result<(bool, i128, i32), BorderError> {
    let exponent = (bits >> 23) & 0xff;
    if exponent == 0xff {
        return Err(BorderError::NotFinite { bits });
    }
    let fraction = bits & 0x007f_ffff;
    let significand = if exponent == 0 {
        fraction
    } else {
        fraction | 0x0080_0000
    };
    let power = i32::try_from(exponent.max(1)).unwrap_or(255) - 150;
    Ok((bits >> 31 == 1, i128::from(significand), power))
}

/// `clamp(⌊x·multiplier·2^−shift + ½⌋, min, max)` of the FP32 x with these bits, as if computed with rationals.
///
/// `multiplier` is below 2²⁴ and positive, `shift` in `−126 ..= 126`.
///
/// # Errors
/// [`BorderError::NotFinite`].
pub fn quantise(
    bits: u32,
    multiplier: i32,
    shift: i32,
    min: i32,
    max: i32,
) -> Result<i64, BorderError> {
    let (negative, significand, power) = take_apart(bits)?;
    let magnitude = significand * i128::from(multiplier);
    let product = if negative { -magnitude } else { magnitude };
    // |product| < 2^55, so a left shift of 64 stays below 2^119 and is far outside every clamp; a right shift of more than 64
    // leaves less than a half.
    let exponent = power.saturating_sub(shift);
    let rounded = if exponent >= 0 {
        product << exponent.min(64)
    } else {
        let down = exponent.unsigned_abs();
        if down > 64 {
            0
        } else {
            ((product << 1) + (1_i128 << down)) >> (down + 1)
        }
    };
    let clamped = rounded.max(i128::from(min)).min(i128::from(max));
    Ok(i64::try_from(clamped).unwrap_or(i64::from(max)))
}

/// The integer of −2³¹ ..= 2³¹ − 1 that orders finite FP32 values as they are ordered: `key(x) ≤ key(y)` if and only if `x ≤ y`.
/// Both zeros have key 0.
///
/// # Errors
/// [`BorderError::NotFinite`].
pub fn order_key(bits: u32) -> Result<i64, BorderError> {
    take_apart(bits)?;
    let magnitude = i64::from(bits & 0x7fff_ffff);
    Ok(if bits >> 31 == 1 {
        -magnitude
    } else {
        magnitude
    })
}

/// The bits of the FP32 nearest to `q·multiplier·2^−shift`, ties to even; +0 for zero.
///
/// `|q·multiplier| < 2⁶²` (q of 32 bits, `0 < multiplier < 2³¹`) and `0 ≤ shift ≤ 126`, so the result is zero or normal.
#[must_use]
pub fn to_fp32(q: i64, multiplier: i32, shift: i32) -> u32 {
    let product = i128::from(q) * i128::from(multiplier);
    let magnitude = u64::try_from(product.unsigned_abs()).unwrap_or(u64::MAX);
    if magnitude == 0 {
        return 0;
    }
    let length = 64 - magnitude.leading_zeros();
    let (mut significand, mut top) = if length <= 24 {
        (magnitude << (24 - length), length)
    } else {
        let drop = length - 24;
        let (kept, rest, half) = (
            magnitude >> drop,
            magnitude & ((1 << drop) - 1),
            1_u64 << (drop - 1),
        );
        let up = rest > half || (rest == half && kept & 1 == 1);
        (kept + u64::from(up), length)
    };
    if significand == 1 << 24 {
        significand >>= 1;
        top += 1;
    }
    let exponent = 126 + i64::from(top) - i64::from(shift);
    let biased = u32::try_from(exponent.clamp(1, 254)).unwrap_or(1);
    let fraction = u32::try_from(significand & 0x007f_ffff).unwrap_or(0);
    (u32::from(product < 0) << 31) | (biased << 23) | fraction
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantise_at_its_edges() {
        let cases: &[(f32, i32, i32, i64)] = &[
            (0.5, 1, 0, 1),
            (-0.5, 1, 0, 0),
            (-1.5, 1, 0, -1),
            (1.0, 127, 0, 127),
            (1.0, 128, 0, 127),
            (-3.0e38, 1, 0, -128),
            (f32::MAX, 0x00ff_ffff, -126, 127),
            (f32::MIN_POSITIVE, 1, 126, 0),
            (-f32::MIN_POSITIVE, 1, 126, 0),
            (16.0, 127, 4, 127),
            (1.0e-45, 1, -126, 0),
            (0.0, 5, 0, 0),
            (-0.0, 5, 0, 0),
        ];
        for &(x, multiplier, shift, expected) in cases {
            assert_eq!(
                quantise(x.to_bits(), multiplier, shift, -128, 127),
                Ok(expected),
                "{x} · {multiplier} / 2^{shift}"
            );
        }
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(
                quantise(x.to_bits(), 1, 0, -128, 127),
                Err(BorderError::NotFinite { bits: x.to_bits() })
            );
            assert_eq!(
                order_key(x.to_bits()),
                Err(BorderError::NotFinite { bits: x.to_bits() })
            );
        }
    }

    proptest! {
        #[test]
        fn quantise_equals_f64_where_f64_is_exact(x in -1.0e6_f32..1.0e6, multiplier in 1_i32..1 << 24, shift in -10_i32..40) {
            // 24 + 24 bits fit f64's 53, and adding one half is exact wherever it can change the floor of a clamped value.
            let exact = (f64::from(x) * f64::from(multiplier) * 2f64.powi(-shift) + 0.5).floor().clamp(-32768.0, 32767.0);
            let got = quantise(x.to_bits(), multiplier, shift, -32768, 32767).unwrap();
            prop_assert_eq!(i32::try_from(got).map(f64::from).unwrap(), exact);
        }

        #[test]
        fn order_key_orders(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            let keys = (order_key(a.to_bits()).unwrap(), order_key(b.to_bits()).unwrap());
            prop_assert_eq!(a.partial_cmp(&b).unwrap(), keys.0.cmp(&keys.1));
        }

        #[test]
        fn to_fp32_is_the_nearest(q in any::<i32>(), multiplier in 1_i32..=i32::MAX, shift in 0_i32..=126) {
            #[expect(clippy::cast_precision_loss, reason = "the conversion under test rounds to nearest, ties to even")]
            let nearest = (i64::from(q) * i64::from(multiplier)) as f32;
            let expected = f64::from(nearest) * 2f64.powi(-shift);
            prop_assert_eq!(f64::from(f32::from_bits(to_fp32(i64::from(q), multiplier, shift))), expected);
        }
    }
}
