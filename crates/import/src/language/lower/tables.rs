//! Tables of rotations and of activations, in integer arithmetic: equal on every target.

use credence_exact::fixed::{sigmoid, tanh};

use super::LanguageLowerError;
use crate::language::{Activation, Rope};
use crate::number::{pow2, round_to};

/// Fraction bits of cosines and sines: the profile's.
const ANGLE_BITS: i32 = 14;
/// 2π to the nearest f64.
const TAU: f64 = core::f64::consts::TAU;

/// Bytes of the cosines and of the sines, `[context, dims/2]` of i16.
///
/// Angles are f64: the frequency `base^(−2i/dims)`, its product with the position, the remainder of 2π. Powers, cosines and sines are those of the portable
/// `libm` crate, made of exactly rounded operations, so that their bits do not depend on the target.
pub(super) fn rotation_table(rope: &Rope, context: usize) -> [Vec<u8>; 2] {
    let pairs = rope.dims / 2;
    let frequencies: Vec<f64> = (0..pairs).map(|pair| frequency(rope, pair)).collect();
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for position in 0..context {
        let position = f64::from(u32::try_from(position).unwrap_or(u32::MAX));
        for frequency in &frequencies {
            let angle = position * frequency;
            let angle = angle - (angle / TAU).floor() * TAU;
            let one = pow2(ANGLE_BITS);
            let fixed = |x: f64| i16::try_from(round_to(x * one, -(1 << 14), 1 << 14));
            cos.extend(fixed(libm::cos(angle)).unwrap_or(0).to_le_bytes());
            sin.extend(fixed(libm::sin(angle)).unwrap_or(0).to_le_bytes());
        }
    }
    [cos, sin]
}

fn frequency(rope: &Rope, pair: usize) -> f64 {
    let exponent = -2.0 * super::rotation::count(pair) / super::rotation::count(rope.dims);
    let factor = rope.factors.as_ref().and_then(|all| all.get(pair));
    let divisor = f64::from(rope.linear) * factor.map_or(1.0, |&factor| f64::from(factor));
    libm::pow(f64::from(rope.base), exponent) / divisor
}

/// The activation of every 16-bit number, argument and result in units of 2^−bits.
pub(super) fn activation(kind: Activation, bits: i32) -> Result<Vec<i16>, LanguageLowerError> {
    let unit = u8::try_from(bits).map_err(|_| LanguageLowerError::Scale)?;
    let entry = |x: i16| {
        let wide = i64::from(x);
        let share = match kind {
            Activation::Silu => sigmoid(x.into(), unit, 30),
            // 0.5·(1 + tanh(√(2/π)·(x + 0.044715·x³))): the argument in units of 2⁻²⁰.
            // 0.5·(1 + erf(x/√2)), the error function being that of the portable `libm` crate.
            Activation::Gelu => {
                let real = f64::from(x) * pow2(-bits);
                let share = 0.5 + 0.5 * libm::erf(real * core::f64::consts::FRAC_1_SQRT_2);
                i64::from(round_to(share * pow2(30), 0, 1 << 30))
            }
            Activation::GeluTanh => {
                let real = f64::from(x) * pow2(-bits);
                let inner = 0.797_884_560_802_865_4 * (real + 0.044_715 * real * real * real);
                let inner = round_to(inner * pow2(20), -(1 << 30), 1 << 30);
                ((1 << 30) + tanh(inner, 20, 30)) >> 1
            }
        };
        let rounded = (wide * share + (1 << 29)) >> 30;
        i16::try_from(rounded).unwrap_or(if rounded < 0 { i16::MIN } else { i16::MAX })
    };
    Ok((i16::MIN..=i16::MAX).map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_are_near_the_real_functions() {
        for kind in [Activation::Silu, Activation::GeluTanh, Activation::Gelu] {
            for bits in [6, 8, 10] {
                let table = activation(kind, bits).unwrap();
                for (x, entry) in (i16::MIN..).zip(&table).step_by(97) {
                    let real = f64::from(x) * pow2(-bits);
                    let expected = match kind {
                        Activation::Silu => real / (1.0 + (-real).exp()),
                        Activation::Gelu => {
                            // Φ by its series at 0, of 120 terms in f64; at the ends it is 0 or 1.
                            let x = real / 2.0_f64.sqrt();
                            let (mut term, mut sum) = (x, x);
                            for n in 1..120 {
                                let n = f64::from(n);
                                term *= -x * x / n;
                                sum += term / (2.0 * n + 1.0);
                            }
                            let erf = sum * 2.0 / std::f64::consts::PI.sqrt();
                            let erf = if x.abs() > 4.0 { x.signum() } else { erf };
                            0.5 * real * (1.0 + erf)
                        }
                        _ => {
                            let inner = 0.797_884_560_8 * (real + 0.044_715 * real.powi(3));
                            0.5 * real * (1.0 + inner.tanh())
                        }
                    };
                    let got = f64::from(*entry) * pow2(-bits);
                    assert!(
                        (got - expected).abs() <= 0.51 * pow2(-bits),
                        "{real}: {got}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn rotations_keep_lengths() {
        let rope = Rope {
            base: 10_000.0,
            dims: 8,
            factors: Some(vec![1.0, 1.0, 2.0, 8.0]),
            linear: 1.0,
        };
        let [cos, sin] = rotation_table(&rope, 300);
        let read = |bytes: &[u8]| -> Vec<f64> {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| f64::from(i16::from_le_bytes(*b)) / 16_384.0)
                .collect()
        };
        for (at, (c, s)) in read(&cos).into_iter().zip(read(&sin)).enumerate() {
            assert!((c * c + s * s - 1.0).abs() < 2e-4, "{at}: {c}, {s}");
        }
        let position: f64 = 299.0;
        let expected = (position * 10_000.0_f64.powf(-0.75) / 8.0).cos();
        assert!((read(&cos)[299 * 4 + 3] - expected).abs() < 1e-4);
    }
}
