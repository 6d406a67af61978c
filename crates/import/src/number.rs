//! The few float operations that an import rests on, equal on every target.
//!
//! Additions, subtractions, multiplications, divisions and square roots of f64 are exactly rounded by IEEE 754 and Rust neither fuses nor
//! reorders them; powers of two are made from bits. Nothing here calls a platform's mathematical library.

/// Exponents of normal f64 numbers.
const EXPONENT_MIN: i32 = -1022;
const EXPONENT_MAX: i32 = 1023;

/// `2^exponent`, for exponents of normal numbers; others are taken as the nearest of these.
pub(crate) fn pow2(exponent: i32) -> f64 {
    let biased = exponent.clamp(EXPONENT_MIN, EXPONENT_MAX) + 1023;
    f64::from_bits(u64::from(biased.unsigned_abs()) << 52)
}

/// The least e with `x ≤ 2^e`, for positive normal x.
pub(crate) fn exponent_above(x: f64) -> i32 {
    let bits = x.to_bits();
    let biased = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let exact = bits & ((1 << 52) - 1) == 0;
    biased - 1023 + i32::from(!exact)
}

/// The least e with `x < 2^e`, for positive normal x.
pub(crate) fn exponent_over(x: f64) -> i32 {
    let biased = i32::try_from((x.to_bits() >> 52) & 0x7ff).unwrap_or(0);
    biased - 1022
}

/// x rounded to the nearest integer, halves away from zero, and clamped. NaN gives `min`.
pub(crate) fn round_to(x: f64, min: i32, max: i32) -> i32 {
    let rounded = x.round();
    if rounded >= f64::from(max) {
        max
    } else if rounded > f64::from(min) {
        truncate(rounded)
    } else {
        min
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "no conversion from f64 to an integer is infallible; callers have brought the value into range"
)]
const fn truncate(x: f64) -> i32 {
    x as i32
}

/// x rounded to the nearest integer, if `0 ≤ x < 2⁵³`, where every integer is an f64.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no conversion from f64 to an integer is infallible; the value has been seen to be in range"
)]
pub(crate) fn round_wide(x: f64) -> Option<u64> {
    let rounded = x.round();
    (0.0..9_007_199_254_740_992.0)
        .contains(&rounded)
        .then_some(rounded as u64)
}

/// The nearest f32; what exceeds its range is infinite.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no conversion from f64 to f32 is infallible; `as` rounds to the nearest, ties to even, on every target"
)]
pub(crate) const fn narrow(x: f64) -> f32 {
    x as f32
}

/// ⌊x⌋ for `0 ≤ x`, at most `max`. NaN gives 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and the result is clamped"
)]
pub(crate) const fn floor_index(x: f64, max: usize) -> usize {
    let index = x as usize;
    if index < max { index } else { max }
}

/// A count as f64: exact below 2⁵³, which no count here reaches.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of cells and positions are below 2^53"
)]
pub(crate) const fn from_count(count: u64) -> f64 {
    count as f64
}

/// A length as f64.
pub(crate) fn from_len(len: usize) -> f64 {
    from_count(u64::try_from(len).unwrap_or(u64::MAX))
}

/// A dimension as the wire has it; no checked dimension exceeds it.
pub(crate) fn dim32(dim: usize) -> u32 {
    u32::try_from(dim).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_exponents() {
        for e in [-1022, -30, -1, 0, 1, 52, 1023] {
            assert_eq!(exponent_above(pow2(e)), e, "2^{e}");
            assert_eq!(exponent_over(pow2(e)), e + 1, "2^{e}");
            assert_eq!(exponent_above(pow2(e) * 1.25), e + 1, "1.25·2^{e}");
        }
        assert_eq!(pow2(-3), 0.125);
        assert_eq!(pow2(10), 1024.0);
    }

    #[test]
    fn rounding_goes_away_from_zero_and_stays_in_range() {
        let cases = [
            (0.5, 1),
            (-0.5, -1),
            (2.4, 2),
            (-2.6, -3),
            (1e30, 127),
            (-1e30, -127),
            (f64::NAN, -127),
            (126.5, 127),
            (127.4, 127),
        ];
        for (x, expected) in cases {
            assert_eq!(round_to(x, -127, 127), expected, "{x}");
        }
        assert_eq!(floor_index(3.99, 10), 3);
        assert_eq!(floor_index(1e300, 10), 10);
    }
}
