//! Entries of unary tables, computed in fixed point, and the constant `exp_256` (`docs/spec/arithmetic.md`, section 7).
//!
//! Tables are parameters of a model, so no verifier computes them; [`exp_256`] is a constant of the profile, and every engine and verifier needs it.
//! They must be the same on every target: here is no floating point and no platform's mathematical library. Results are deterministic and within one unit of the last
//! place of the true value; that they are the nearest is not claimed.

/// Fraction bits of the numbers inside this module.
const BITS: u32 = 62;
const ONE: u128 = 1 << BITS;
/// ⌊ln 2 · 2⁶²⌋.
const LN_2: u128 = 3_196_577_161_300_663_914;

/// `exp(−x)` for `x` and the result in units of 2⁻⁶².
fn exp_neg_62(x: u128) -> u128 {
    let (halvings, rest) = (x / LN_2, x % LN_2);
    let Ok(halvings) = u32::try_from(halvings) else {
        return 0;
    };
    if halvings > BITS {
        return 0;
    }
    // Taylor's series of exp(−rest), rest < ln 2: the 22nd term is below 2^−80.
    let (mut even, mut odd, mut term) = (ONE, 0_u128, ONE);
    for k in 1..=22_u128 {
        term = ((term * rest) >> BITS) / k;
        if k % 2 == 0 {
            even += term
        } else {
            odd += term
        }
    }
    (even - odd) >> halvings
}

/// `value·2^bits` rounded to nearest, from units of 2⁻⁶².
fn round_to(value: u128, bits: u8) -> i64 {
    let drop = BITS - u32::from(bits.min(30));
    i64::try_from((value + (1 << (drop - 1))) >> drop).unwrap_or(i64::MAX)
}

fn magnitude_62(x: i32, x_bits: u8) -> u128 {
    u128::from(x.unsigned_abs()) << (BITS - u32::from(x_bits.min(30)))
}

/// `exp(−x/2^x_bits)·2^bits`, for `x_bits` and `bits` of at most 30.
#[must_use]
pub fn exp_neg(x: u32, x_bits: u8, bits: u8) -> i64 {
    round_to(
        exp_neg_62(u128::from(x) << (BITS - u32::from(x_bits.min(30)))),
        bits,
    )
}

/// Number of entries of [`exp_256`] that are not 0: `exp(−x/256)·2¹⁵` is below ½ from here on.
pub const EXP_256_ENTRIES: u32 = 2_840;

/// The weight of a score that lies `below/256` nats under the largest: `exp(−below/256)` in units of 2⁻¹⁵, at most 2¹⁵ − 1. A constant of the
/// profile, the same for every model.
#[must_use]
pub fn exp_256(below: u64) -> i64 {
    match u32::try_from(below) {
        Ok(below) if below < EXP_256_ENTRIES => exp_neg(below, 8, 15).min((1 << 15) - 1),
        _ => 0,
    }
}

/// `2^bits / (1 + exp(−x/2^x_bits))`, for `x_bits` and `bits` of at most 30.
#[must_use]
pub fn sigmoid(x: i32, x_bits: u8, bits: u8) -> i64 {
    let e = exp_neg_62(magnitude_62(x, x_bits));
    let upper = (ONE << BITS) / (ONE + e);
    round_to(if x < 0 { ONE - upper } else { upper }, bits)
}

/// `tanh(x/2^x_bits)·2^bits`, for `x_bits` and `bits` of at most 30.
#[must_use]
pub fn tanh(x: i32, x_bits: u8, bits: u8) -> i64 {
    let e = exp_neg_62(magnitude_62(x, x_bits) << 1);
    let magnitude = round_to(((ONE - e) << BITS) / (ONE + e), bits);
    if x < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_within_one_unit_of_the_true_value() {
        for x in (-200_000_i32..200_000).step_by(37) {
            let real = f64::from(x) / 4096.0;
            let close = |got: i64, expected: f64| {
                let got = f64::from(i32::try_from(got).unwrap());
                assert!(
                    (got - expected * 16_777_216.0).abs() <= 1.0,
                    "x {real}: {got} against {expected}"
                );
            };
            close(exp_neg(x.unsigned_abs(), 12, 24), (-real.abs()).exp());
            close(sigmoid(x, 12, 24), 1.0 / (1.0 + (-real).exp()));
            close(tanh(x, 12, 24), real.tanh());
        }
    }

    #[test]
    fn known_entries() {
        assert_eq!(exp_neg(0, 8, 24), 1 << 24);
        assert_eq!(exp_neg(u32::MAX, 0, 24), 0);
        assert_eq!(exp_neg(1 << 8, 8, 30), 395_007_542);
        assert_eq!(exp_256(0), 32_767);
        assert_eq!(exp_256(1), 32_640);
        assert_eq!(exp_256(u64::from(EXP_256_ENTRIES) - 1), 1);
        assert_eq!(exp_neg(EXP_256_ENTRIES, 8, 15), 0);
        assert_eq!(exp_256(u64::MAX), 0);
        assert_eq!(sigmoid(0, 8, 15), 1 << 14);
        assert_eq!(sigmoid(i32::MIN, 0, 15), 0);
        assert_eq!(tanh(i32::MIN, 0, 15), -(1 << 15));
        assert_eq!(tanh(0, 8, 15), 0);
    }
}
