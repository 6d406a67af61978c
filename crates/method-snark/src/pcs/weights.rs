//! The weights of a claim: of which linear form of the polynomial's values the claim is, kept as a sum of products of one-variable factors.
//!
//! ```text
//! W(i) = eq(point, i)·scale + Σ scale·base^i        i in binary, a factor for each bit
//! ```
//!
//! A round sets the lowest variables, the highest of them first. Each factor becomes a number, and what is left has the same form: so the verifier never has a table of W, and needs for each constraint two products a variable.

use core::ops::Mul;

use crate::extension::K;
use crate::field::F;
use crate::mle;

/// `scale · base^i`.
#[derive(Debug, Clone, Copy)]
struct Power<B> {
    scale: K,
    base: B,
}

/// W.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    point: Vec<K>,
    scale: K,
    samples: Vec<Power<K>>,
    queries: Vec<Power<F>>,
}

impl Weights {
    /// `eq(point, i)`.
    pub(crate) fn new(point: &[K]) -> Self {
        Self {
            point: point.to_vec(),
            scale: K::ONE,
            samples: Vec::new(),
            queries: Vec::new(),
        }
    }

    /// Adds `scale · base^i`.
    pub(crate) fn add_sample(&mut self, scale: K, base: K) {
        self.samples.push(Power { scale, base });
    }

    /// Adds `scale · base^i`.
    pub(crate) fn add_query(&mut self, scale: K, base: F) {
        self.queries.push(Power { scale, base });
    }

    /// Sets the lowest variables, the last of `challenges` the lowest.
    pub(crate) fn fold(&mut self, challenges: &[K]) {
        for challenge in challenges.iter().rev() {
            if let Some(coordinate) = self.point.pop() {
                self.scale *= mle::eq_one(coordinate, *challenge);
            }
            self.samples
                .iter_mut()
                .for_each(|power| power.fold(*challenge));
            self.queries
                .iter_mut()
                .for_each(|power| power.fold(*challenge));
        }
    }

    /// `Σ W(i) · values[i]`; `None` unless there are 2^m values for the m variables left.
    pub(crate) fn apply(&self, values: &[K]) -> Option<K> {
        let own = mle::evaluate_extension(values.to_vec(), &self.point)? * self.scale;
        let samples = self.samples.iter().map(|power| power.apply(values));
        let queries = self.queries.iter().map(|power| power.apply(values));
        Some(own + samples.chain(queries).sum())
    }
}

impl<B: Copy + Mul<Output = B> + Into<K>> Power<B>
where
    K: Mul<B, Output = K>,
{
    /// The lowest variable's factor is 1 or base: `1 + challenge·(base − 1)`.
    fn fold(&mut self, challenge: K) {
        self.scale *= K::ONE - challenge + challenge * self.base;
        self.base = self.base.mul(self.base);
    }

    fn apply(&self, values: &[K]) -> K {
        scaled(self.scale, mle::horner(values, self.base))
    }
}

/// By itself, as the bounds above make a product in K ambiguous.
fn scaled(scale: K, value: K) -> K {
    scale * value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_weights_and_values_keeps_the_sum() {
        let number = |i: u64| K::new([i * i + 3, i * 7 + 1, i].map(F::from_u64));
        let point: Vec<K> = (1..6).map(number).collect();
        let mut weights = Weights::new(&point);
        weights.add_sample(number(9), number(10));
        weights.add_query(number(11), F::from_u64(12));
        let table: Vec<K> = (0..32)
            .map(|i| {
                mle::eq_index(&point, i)
                    + number(9) * number(10).pow(i)
                    + number(11) * F::from_u64(12).pow(i)
            })
            .collect();
        let values: Vec<K> = (20..52).map(number).collect();
        let sum: K = table.iter().zip(&values).map(|(w, v)| *w * *v).sum();
        assert_eq!(weights.apply(&values), Some(sum));

        // W is multilinear in the bits of i: setting the lowest two of each, the higher of them first.
        let challenges = [number(60), number(61)];
        let set = |table: &[K]| -> Vec<K> {
            let rows = table.chunks(4);
            rows.map(|row| mle::evaluate_extension(row.to_vec(), &challenges).unwrap())
                .collect()
        };
        weights.fold(&challenges);
        let (table, values) = (set(&table), set(&values));
        let sum: K = table.iter().zip(&values).map(|(w, v)| *w * *v).sum();
        assert_eq!(weights.apply(&values), Some(sum));
        assert_eq!(weights.apply(&values[..4]), None);
    }
}
