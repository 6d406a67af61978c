//! How sure a proof is: every term of the soundness error, added up (`docs/spec/snark.md`, section 6).
//!
//! All terms but the commitment's are a number of bad challenges over |K|, K of 2^191.99 elements. It deliberately takes sizes from the circuit alone.

use crate::circuit::{Circuit, log2_ceil};
use crate::functional::TIE_VARIABLES;
use crate::lookup;

/// log₂ of |K|, rounded down; what the transcript's challenges lack of being uniform is less than what that leaves out.
const FIELD_BITS: u32 = 191;

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

/// The terms of a circuit, the commitment's apart.
#[must_use]
pub fn terms(circuit: &Circuit) -> Vec<Term> {
    let layers = u128::from(circuit.leaves_log());
    let leaves = 1_u128
        .checked_shl(circuit.leaves_log())
        .unwrap_or(u128::MAX);
    let degree = wide(lookup::DEGREE);
    let powers = u128::from(circuit.power_max()).max(1);
    let rounds = layers.saturating_mul(layers.saturating_sub(1)) >> 1;
    let ties = circuit.steps.iter().filter(|step| step.tied).count();
    // Denominators, numerators, three of products, equations, and each tie.
    let claims = wide(ties).saturating_add(6);
    let variables = u128::from(circuit.witness_log());
    let ties_and_equations = wide(TIE_VARIABLES).saturating_mul(3);
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
            name: "all claims in one",
            bad: claims,
        },
        Term {
            name: "the sumcheck over the committed values",
            bad: variables.saturating_mul(2),
        },
    ]
}

/// Bits of all terms together: the chance that challenges let a wrong run pass is at most 2 to the minus this, the commitment's error apart.
#[must_use]
pub fn bits(circuit: &Circuit) -> u32 {
    let all = terms(circuit);
    let sum = all.iter().fold(0_u128, |sum, t| sum.saturating_add(t.bad));
    let log = u128::BITS.saturating_sub(sum.leading_zeros());
    FIELD_BITS.saturating_sub(log)
}

/// Bits of two errors together.
#[must_use]
pub const fn together(a: u32, b: u32) -> u32 {
    let less = if a < b { a } else { b };
    less.saturating_sub(1)
}

/// The logarithm of the longest list of committed values, for the page's table.
#[must_use]
pub fn largest() -> u32 {
    log2_ceil(1_usize << 27)
}
