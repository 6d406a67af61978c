//! The prover of a sumcheck: the rounds' frame, and the folding of tables.
//!
//! A protocol gives its polynomial as [`Rounds`]: the values that a round's message needs, and what to do with the challenge. Messages, absorbing and challenges are made here, by the verifier's own functions.

use credence_method_snark::{K, Transcript, sumcheck};

/// A sum over {0,1}^n whose variables are set one after another, the highest first.
pub trait Rounds {
    /// Variables left.
    fn variables(&self) -> usize;

    /// The degree in each variable, 1 to 4.
    fn degree(&self) -> usize;

    /// `h(0), h(2), …, h(degree)` of the next variable's polynomial h: the sum over all others. `claim` is `h(0) + h(1)`.
    fn message(&mut self, claim: K) -> Vec<K>;

    /// Sets the next variable.
    fn bind(&mut self, challenge: K);
}

/// Proves all rounds: appends the messages to `out`, and gives the point and what is left of the claim.
pub fn prove(
    rounds: &mut impl Rounds,
    claim: K,
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
) -> sumcheck::Reduced {
    let mut reduced = sumcheck::Reduced {
        point: Vec::new(),
        value: claim,
    };
    for _ in 0..rounds.variables() {
        let message = rounds.message(reduced.value);
        for value in &message {
            value.write(out);
        }
        let challenge = sumcheck::challenge(&message, transcript);
        reduced.value = sumcheck::next_claim(reduced.value, &message, challenge);
        reduced.point.push(challenge);
        rounds.bind(challenge);
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_method_snark::{Reader, mle};

    /// Σ a·b over two tables.
    struct Product {
        a: Vec<K>,
        b: Vec<K>,
    }

    impl Rounds for Product {
        fn variables(&self) -> usize {
            usize::try_from(self.a.len().trailing_zeros()).unwrap()
        }

        fn degree(&self) -> usize {
            2
        }

        fn message(&mut self, _claim: K) -> Vec<K> {
            let half = self.a.len() / 2;
            let mut sums = vec![K::ZERO; 2];
            for i in 0..half {
                let (a0, a1, b0, b1) = (self.a[i], self.a[i + half], self.b[i], self.b[i + half]);
                sums[0] += a0 * b0;
                sums[1] += (a1 + a1 - a0) * (b1 + b1 - b0);
            }
            sums
        }

        fn bind(&mut self, challenge: K) {
            mle::fold(&mut self.a, challenge);
            mle::fold(&mut self.b, challenge);
        }
    }

    #[test]
    fn the_verifier_follows() {
        let a: Vec<K> = (1u32..=16).map(K::from).collect();
        let b: Vec<K> = (1u32..=16).map(|i| K::from(i * i)).collect();
        let claim = a.iter().zip(&b).map(|(a, b)| *a * *b).sum();
        let mut out = Vec::new();
        let mut product = Product {
            a: a.clone(),
            b: b.clone(),
        };
        let proved = prove(&mut product, claim, &mut Transcript::new("test"), &mut out);
        let mut reader = Reader::new(&out);
        let mut transcript = Transcript::new("test");
        let reduced = sumcheck::verify(4, 2, claim, &mut reader, &mut transcript).unwrap();
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(reduced, proved);
        let at = |table: Vec<K>| mle::evaluate_extension(table, &reduced.point).unwrap();
        assert_eq!(reduced.value, at(a) * at(b));
    }
}
