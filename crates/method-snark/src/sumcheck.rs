//! The verifier of a sumcheck (Lund, Fortnow, Karloff, Nisan 1992), of degree at most 4 in each variable.
//!
//! ```text
//! Σ over {0,1}^n of g = claim ──n rounds: h(0), h(2), …, h(d); challenge r──▶ g(r₁, …, r_n) = value
//! ```
//!
//! A prover sends of each round's polynomial h all values at `0 … d` but the one at 1, which is `claim − h(0)`: so the check of a round is not made but built in, and the degree is the
//! message's length. Each round is absorbed before its challenge is drawn; a wrong claim stays wrong but with a chance of at most `d/|K|` a round. Whether `g` takes `value` at the point is the caller's to check.

use crate::extension::K;
use crate::field::F;
use crate::reader::{ReadError, Reader};
use crate::transcript::Transcript;

/// The highest degree in one variable.
pub const DEGREE_MAX: usize = 4;

/// Why a sumcheck is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SumcheckError {
    /// The caller asks for a degree that is not verified here.
    #[error("expected a degree of 1 to {DEGREE_MAX}, got {got}")]
    Degree {
        /// The degree.
        got: usize,
    },
    /// The message of a round cannot be read.
    #[error("the message of round {round} cannot be read: send a proof that is whole")]
    Read {
        /// The round, from 0.
        round: usize,
        /// Why.
        #[source]
        source: ReadError,
    },
}

/// What is left of the claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduced {
    /// The challenges, in the order of the rounds.
    pub point: Vec<K>,
    /// What the polynomial has to be there.
    pub value: K,
}

/// Follows `rounds` rounds of degree `degree`. Both must come from what the verifier knows.
///
/// # Errors
/// [`SumcheckError`].
pub fn verify(
    rounds: usize,
    degree: usize,
    claim: K,
    reader: &mut Reader<'_>,
    transcript: &mut Transcript,
) -> Result<Reduced, SumcheckError> {
    if !(1..=DEGREE_MAX).contains(&degree) {
        return Err(SumcheckError::Degree { got: degree });
    }
    let mut reduced = Reduced {
        point: Vec::new(),
        value: claim,
    };
    for round in 0..rounds {
        let message = reader
            .ks(degree)
            .map_err(|source| SumcheckError::Read { round, source })?;
        let challenge = challenge(&message, transcript);
        reduced.value = next_claim(reduced.value, &message, challenge);
        reduced.point.push(challenge);
    }
    Ok(reduced)
}

/// Absorbs a round's message and draws its challenge; prover and verifier alike.
pub fn challenge(message: &[K], transcript: &mut Transcript) -> K {
    transcript.absorb_ks("sumcheck round", message);
    // A wrong claim becomes a right one with a chance of at most (length of the message) / |K|.
    transcript.challenge_k("sumcheck challenge")
}

/// `h(at)` of the polynomial h with `h(0) + h(1) = claim` and, by the message, `h(0), h(2), …, h(d)`.
#[must_use]
pub fn next_claim(claim: K, message: &[K], at: K) -> K {
    let Some((zero, rest)) = message.split_first() else {
        return claim;
    };
    let mut values = Vec::with_capacity(message.len().saturating_add(1));
    values.push(*zero);
    values.push(claim - *zero);
    values.extend_from_slice(rest);
    interpolate(&values, at)
}

/// The polynomial of degree below `values.len()` with these values at 0, 1, 2, …, at `at`.
#[must_use]
pub fn interpolate(values: &[K], at: K) -> K {
    let nodes: Vec<F> = (0u32..).map(F::from).take(values.len()).collect();
    let mut sum = K::ZERO;
    for (i, value) in values.iter().enumerate() {
        let mut numerator = *value;
        let mut denominator = F::ONE;
        let own = nodes.get(i).copied().unwrap_or_default();
        for (j, node) in nodes.iter().enumerate() {
            if i != j {
                numerator *= at - K::from(*node);
                denominator *= own - *node;
            }
        }
        sum += numerator * inverse(denominator);
    }
    sum
}

/// The inverse of `± i!·(d−i)!`; those of degrees up to 4 without a power.
fn inverse(denominator: F) -> F {
    const KNOWN: [(u64, u64); 5] = [
        (1, 1),
        (2, 9_223_372_034_707_292_161),
        (4, 13_835_058_052_060_938_241),
        (6, 15_372_286_724_512_153_601),
        (24, 17_678_129_733_188_976_641),
    ];
    let opposite = -denominator;
    for (value, inverse) in KNOWN {
        let (value, inverse) = (F::from_u64(value), F::from_u64(inverse));
        if value == denominator {
            return inverse;
        }
        if value == opposite {
            return -inverse;
        }
    }
    denominator.inverse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = K> {
        [any::<u64>(), any::<u64>(), any::<u64>()].prop_map(|c| K::new(c.map(F::from_u64)))
    }

    proptest! {
        #[test]
        fn interpolation_gives_the_polynomial(coefficients in proptest::collection::vec(element(), 1..6), at in element()) {
            let value = |x: K| crate::mle::horner(&coefficients, x);
            let values: Vec<K> = (0u32..).map(|i| value(K::from(i))).take(coefficients.len()).collect();
            prop_assert_eq!(interpolate(&values, at), value(at));
            if values.len() > 1 {
                let message = [&values[..1], &values[2..]].concat();
                prop_assert_eq!(next_claim(values[0] + values[1], &message, at), value(at));
            }
        }
    }

    /// The sum of x·y over {0,1}² is 1.
    fn proof(transcript: &mut Transcript) -> Vec<u8> {
        let mut out = Vec::new();
        // First round: h(x) = x, of degree 1.
        let first = challenge(&[K::ZERO], transcript);
        K::ZERO.write(&mut out);
        // Second round: h(y) = r·y.
        challenge(&[K::ZERO], transcript);
        K::ZERO.write(&mut out);
        assert_ne!(first, K::ZERO);
        out
    }

    #[test]
    fn known_inverses_are_inverses() {
        for value in [1i64, 2, 3, 4, 6, 24, 120] {
            for value in [F::from_i64(value), F::from_i64(-value)] {
                assert_eq!(inverse(value) * value, F::ONE);
            }
        }
    }

    #[test]
    fn an_honest_run_ends_at_the_value() {
        let bytes = proof(&mut Transcript::new("test"));
        let mut reader = Reader::new(&bytes);
        let reduced = verify(2, 1, K::ONE, &mut reader, &mut Transcript::new("test")).unwrap();
        assert_eq!(reduced.value, reduced.point[0] * reduced.point[1]);
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_wrong_claim_ends_elsewhere() {
        let bytes = proof(&mut Transcript::new("test"));
        let mut transcript = Transcript::new("test");
        let reduced = verify(2, 1, K::TWO, &mut Reader::new(&bytes), &mut transcript).unwrap();
        assert_ne!(reduced.value, reduced.point[0] * reduced.point[1]);
    }

    #[test]
    fn truncated_rounds_and_other_degrees_are_refused() {
        let bytes = [0; 47];
        let result = verify(
            2,
            1,
            K::ONE,
            &mut Reader::new(&bytes),
            &mut Transcript::new("test"),
        );
        assert!(matches!(result, Err(SumcheckError::Read { round: 1, .. })));
        for got in [0, 5] {
            let result = verify(
                0,
                got,
                K::ONE,
                &mut Reader::new(&[]),
                &mut Transcript::new("test"),
            );
            assert_eq!(result, Err(SumcheckError::Degree { got }));
        }
    }

    #[test]
    fn each_message_moves_its_challenge() {
        let of = |message: &[K]| challenge(message, &mut Transcript::new("test"));
        assert_ne!(of(&[K::ONE]), of(&[K::TWO]));
    }
}
