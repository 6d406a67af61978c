//! How sure a proof is: every term of the soundness error, added up (`docs/spec/snark.md`, section 6).
//!
//! All terms but the commitment's are a number of bad challenges over |K|, K of 2^191.99 elements. It deliberately takes sizes from the circuit alone.

use credence_claim::HASH_COLLISION_BITS;

use crate::circuit::Circuit;
use crate::functional::TIE_VARIABLES;
use crate::lookup;
use crate::pcs::soundness::{Bound, Entry, report};
use crate::pcs::{Bits, Params};
use crate::weights::WEIGHTS_SECURITY;

/// log₂ of |K|, rounded down; what the transcript's challenges lack of being uniform is less than what that leaves out.
const FIELD_BITS: u32 = 191;

/// Coordinates of a point over positions, at most.
const POSITION_VARIABLES: u128 = 20;

/// One term: what could go wrong, and at most how many challenges out of |K| let it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// What could go wrong.
    pub name: &'static str,
    /// Bad challenges.
    pub bad: u128,
}

fn wide(n: usize) -> u128 {
    u128::try_from(n).unwrap_or(u128::MAX)
}

/// What the terms depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Logarithm of the leaves of the lookup argument.
    pub log_leaves: u32,
    /// Logarithm of the committed values.
    pub log_witness: u32,
    /// Components of the longest tuple, its table's number apart.
    pub components: u8,
    /// Products of matrices that are tied.
    pub ties: usize,
    /// Products of two values.
    pub pairs: usize,
    /// Variables of the sumcheck of those.
    pub pair_variables: usize,
    /// Logarithm of the committed weights, where they are committed to.
    pub log_weights: Option<u32>,
}

impl Sizes {
    /// Those of a circuit whose weights are at hand.
    #[must_use]
    pub fn of(circuit: &Circuit) -> Self {
        Self {
            log_leaves: circuit.leaves_log(),
            log_witness: circuit.witness_log(),
            components: circuit.power_max(),
            ties: circuit.steps.iter().filter(|step| step.tied).count(),
            pairs: circuit.pairs.len(),
            pair_variables: crate::pairs::rounds(circuit),
            log_weights: None,
        }
    }
}

/// The terms, the commitment's apart.
#[must_use]
pub fn terms(sizes: Sizes) -> Vec<Term> {
    let layers = u128::from(sizes.log_leaves);
    let leaves = 1_u128.checked_shl(sizes.log_leaves).unwrap_or(u128::MAX);
    let degree = wide(lookup::DEGREE);
    let powers = u128::from(sizes.components).max(1);
    let rounds = layers.saturating_mul(layers.saturating_sub(1)) >> 1;
    // Denominators, numerators, three of products, equations, each tie; results of pairs, and two operands of each.
    let pairs = wide(sizes.pairs);
    let claims = wide(sizes.ties).saturating_add(6);
    let claims = claims
        .saturating_add(pairs.saturating_mul(2))
        .saturating_add(pairs.min(1));
    let variables = u128::from(sizes.log_witness);
    // Rows of ties, their columns, equations; and the positions of all.
    let ties_and_equations = wide(TIE_VARIABLES)
        .saturating_mul(3)
        .saturating_add(POSITION_VARIABLES);
    // Heads, rows, columns, and positions twice; all of them in one; and the rounds.
    let points = wide(crate::pairs::VARIABLES)
        .saturating_mul(3)
        .saturating_add(POSITION_VARIABLES.saturating_mul(2))
        .saturating_mul(pairs.min(1));
    let products = wide(sizes.pair_variables)
        .saturating_mul(wide(crate::pairs::DEGREE))
        .saturating_add(points)
        .saturating_add(pairs);
    // Two sums in one, and degree 2 in each variable.
    let weights = sizes
        .log_weights
        .map(|log| u128::from(log).saturating_mul(2));
    vec![
        Term {
            name: "a lookup that is in no table, or tuples that compress to one value",
            bad: leaves.saturating_mul(powers),
        },
        Term {
            name: "a layer of fractions: its two claims in one, and their two halves",
            bad: layers.saturating_mul(2),
        },
        Term {
            name: "the layers' sumchecks",
            bad: rounds.saturating_mul(degree),
        },
        Term {
            name: "a product that does not hold",
            bad: layers.saturating_add(1),
        },
        Term {
            name: "an equation or a tie that does not hold",
            bad: ties_and_equations,
        },
        Term {
            name: "a product of two values that does not hold",
            bad: products,
        },
        Term {
            name: "all claims in one",
            bad: claims,
        },
        Term {
            name: "the sumcheck over the committed values",
            bad: variables.saturating_mul(2),
        },
        Term {
            name: "committed weights: their two sums in one, and its sumcheck",
            bad: weights.map_or(0, |bad| bad.saturating_add(1)),
        },
    ]
}

/// Bits of all terms together: the chance that challenges let a wrong run pass is at most 2 to the minus this, the commitment's error apart.
#[must_use]
pub fn interactive(sizes: Sizes) -> Bits {
    let all = terms(sizes);
    let sum = all.iter().fold(0_u128, |sum, t| sum.saturating_add(t.bad));
    Bits::whole(FIELD_BITS.saturating_sub(u128::BITS.saturating_sub(sum.leading_zeros())))
}

/// Whole bits of all errors of a proof together, at most those of the hash's collision resistance.
#[must_use]
pub fn total(sizes: Sizes, params: &Params) -> u32 {
    with(sizes, params, |entry| {
        entry.bits.plus(Bits::whole(entry.work))
    })
}

/// The same without the work that a prover must do before queries are drawn.
#[must_use]
pub fn total_without_work(sizes: Sizes, params: &Params) -> u32 {
    with(sizes, params, |entry| entry.bits)
}

fn with(sizes: Sizes, params: &Params, bits: impl Fn(&Entry) -> Bits) -> u32 {
    let mut opening = report(params, Bound::Johnson2025);
    let weights = sizes
        .log_weights
        .map(|log| Params::new(log, WEIGHTS_SECURITY));
    if let Some(Ok(weights)) = weights {
        opening.extend(report(&weights, Bound::Johnson2025));
    }
    let mut errors: Vec<Bits> = opening.iter().map(bits).collect();
    errors.push(interactive(sizes));
    let sum = u32::try_from(Bits::of_sum(&errors).floor()).unwrap_or(0);
    sum.min(HASH_COLLISION_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcs::Security;

    /// The page's table is what the functions give.
    #[test]
    fn the_page_says_so() {
        let page = include_str!("../../../docs/spec/snark.md");
        let mut missing = Vec::new();
        for log in [10, 14, 18, 22, 26] {
            let sizes = Sizes {
                log_leaves: log,
                log_witness: log,
                components: 4,
                ties: 100,
                pairs: 0,
                pair_variables: 0,
                log_weights: None,
            };
            let bits = |security| {
                let params = Params::new(log, security).unwrap();
                (total(sizes, &params), total_without_work(sizes, &params))
            };
            let (usual, plain) = bits(Security::Bits100);
            let (high, high_plain) = bits(Security::Bits128);
            // Committed weights, as many as values, cost less than a bit of a hundred.
            let apart = Sizes {
                log_weights: Some(log),
                ..sizes
            };
            for security in [Security::Bits100, Security::Bits128] {
                let params = Params::new(log, security).unwrap();
                let (with, without) = (total(apart, &params), total(sizes, &params));
                assert!(
                    with >= security.bits() && with <= without && with + 1 >= without,
                    "{with} {without}"
                );
            }
            let own = interactive(sizes).floor();
            let line = format!("| 2^{log} | {own} | {usual} | {plain} | {high} | {high_plain} |");
            assert!(usual >= 100 && high >= 128, "{line}");
            if !page.contains(&line) {
                missing.push(line);
            }
        }
        assert!(missing.is_empty(), "the page lacks\n{}", missing.join("\n"));
        for term in terms(Sizes {
            log_leaves: 4,
            log_witness: 4,
            components: 1,
            ties: 0,
            pairs: 0,
            pair_variables: 0,
            log_weights: None,
        }) {
            assert!(page.contains(term.name), "{}", term.name);
        }
    }
}
