//! Adds up the error of an opening, term by term.
//!
//! The analysis is WHIR's (eprint 2024/1586, section 5, error by error and round by round), for interleaved Reed–Solomon codes up to the Johnson radius, with multiplicity m = 32: a word is near if it
//! agrees with a codeword on a share of at least `α = √ρ·(1 + 1/64)` of the leaves. Each formula stands in `docs/spec/snark-pcs.md`, section 5, and the tables there are this module's output.

use crate::pcs::bits::{Bits, UNIT};
use crate::pcs::params::{Params, Round, WORK_BITS, query_bits};

/// What an error is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Two polynomials near one oracle agree at its sample point.
    Sample,
    /// Claims are joined by powers of a challenge: those of a statement, or those of a round's queries.
    Join,
    /// A wrong claim becomes right in a round of sumcheck.
    Sumcheck,
    /// Folding brings a word nearer to the code than it was.
    Fold,
    /// No query meets a leaf that is wrong; the work's bits are not in it.
    Query,
}

/// One error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Of what.
    pub term: Term,
    /// The round, from 0.
    pub round: usize,
    /// How small it is, without the work.
    pub bits: Bits,
    /// Bits that the work before it adds.
    pub work: u32,
}

/// log₂ |K|, rounded down: it is 192 less 2^-29.8.
const FIELD: Bits = Bits::whole(192).minus(UNIT);

/// `(2·(m+½)^5 + 3·(m+½)) / 3 + (m+½) + m` for m = 32, rounded up: with `N/ρ^(3/2)` it is not less than the three summands of the folding error.
const FOLD_FACTOR: u64 = 24_172_900;

/// By which theorem a line's nearness to the code is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Linear in the length: Ben-Sasson, Carmon, Haböck, Kopparty, Saraf, eprint 2025/2055, theorem 1.5. What is reported.
    Johnson2025,
    /// Quadratic in the length: Ben-Sasson, Carmon, Ishai, Kopparty, Saraf, eprint 2020/654, theorem 1.2.
    Johnson2020,
}

/// What collisions of the hash leave.
const HASH: Bits = Bits::whole(128);

/// Every error of an opening, commitment and opening together. None if the values are sent in clear: nothing is drawn then.
#[must_use]
pub fn report(params: &Params, bound: Bound) -> Vec<Entry> {
    let mut entries = Vec::new();
    let rounds = params.rounds();
    for (number, round) in rounds.iter().enumerate() {
        let mut add = |term, bits, work| {
            entries.push(Entry {
                term,
                round: number,
                bits,
                work,
            });
        };
        let before = match number.checked_sub(1).and_then(|at| rounds.get(at)) {
            // The statement: value and sample.
            None => 1,
            // The sample and the queries of the round before.
            Some(before) => before.queries.saturating_add(1),
        };
        add(Term::Sample, sample(round), 0);
        add(Term::Join, over(list(round).plus(log(before))), 0);
        for step in 1..=round.fold {
            add(Term::Sumcheck, over(list(round).plus(Bits::whole(1))), 0);
            add(Term::Fold, fold(round, step, bound), 0);
        }
        let queries = query_bits(round.log_inverse_rate).times(round.queries);
        add(Term::Query, queries, WORK_BITS);
    }
    entries
}

/// The bits of all errors together, the work counted: not fewer than [`Params::security`] asks for. Never more than 128, which is what the hash gives; so much is said of values sent in clear.
#[must_use]
pub fn total(params: &Params) -> Bits {
    total_by(params, Bound::Johnson2025)
}

/// The same by either bound.
#[must_use]
pub fn total_by(params: &Params, bound: Bound) -> Bits {
    let entries = report(params, bound);
    let errors: Vec<Bits> = entries
        .iter()
        .map(|entry| entry.bits.plus(Bits::whole(entry.work)))
        .collect();
    Bits::of_sum(&errors).min(HASH)
}

/// The bits of all errors together without the work.
#[must_use]
pub fn total_without_work(params: &Params) -> Bits {
    let entries = report(params, Bound::Johnson2025);
    let errors: Vec<Bits> = entries.iter().map(|entry| entry.bits).collect();
    Bits::of_sum(&errors).min(HASH)
}

/// What the same numbers of queries give if words are near only within half of the code's distance, where every step is elementary: `((1+ρ)/2)^t` a round, the work counted.
#[must_use]
pub fn total_by_unique_decoding(params: &Params) -> Bits {
    let mut errors = Vec::new();
    for round in params.rounds() {
        let rate = round.log_inverse_rate;
        let codeword = 1u64.checked_shl(rate).unwrap_or(u64::MAX);
        let agreement = Bits::log2_up(codeword.saturating_add(1));
        let each = Bits::whole(rate.saturating_add(1)).minus(agreement);
        errors.push(each.times(round.queries).plus(Bits::whole(WORK_BITS)));
        // All that is algebraic is less than this: lists have one word, and lines are near by chance of N / |K| a row.
        let algebraic = round.log_leaves().saturating_add(round.fold);
        errors.push(over(Bits::whole(algebraic.saturating_add(10))));
    }
    Bits::of_sum(&errors).min(HASH)
}

fn log(number: u32) -> Bits {
    Bits::log2_up(u64::from(number))
}

/// `1 / |K|` times 2 to this.
const fn over(bits: Bits) -> Bits {
    FIELD.minus(bits)
}

/// log₂ of the codewords near one word, `32/ρ` at most: the Johnson bound for agreement α and a code of distance more than 1 − ρ, interleaved or not.
fn list(round: &Round) -> Bits {
    Bits::whole(round.log_inverse_rate.saturating_add(5))
}

/// `L²/2 · 2^variables / |K|`.
fn sample(round: &Round) -> Bits {
    let lists = list(round).times(2).minus(Bits::whole(1));
    over(lists.plus(Bits::whole(round.variables)))
}

/// `2^(fold − step) · e / |K|`, e the challenges for which a line through two words comes near the code where the words do not, for each of the interleaved rows that are left.
///
/// `e ≤ ((2·(m+½)^5 + 3·(m+½)) / (3·ρ^(3/2)) · N + (m+½)/√ρ) + m/ρ · N`, or `e ≤ 2^35/ρ^(3/2) · N² + m/ρ · N`; the last summand makes the agreement mutual.
fn fold(round: &Round, step: u32, bound: Bound) -> Bits {
    let rows = Bits::whole(round.fold.saturating_sub(step));
    let rate = Bits::halves(round.log_inverse_rate.saturating_mul(3));
    let leaves = Bits::whole(round.log_leaves());
    let challenges = match bound {
        Bound::Johnson2025 => leaves.plus(Bits::log2_up(FOLD_FACTOR)),
        // A unit for the last summand.
        Bound::Johnson2020 => leaves.times(2).plus(Bits::whole(35)).plus(UNIT),
    };
    over(rows.plus(rate).plus(challenges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcs::params::{CLEAR_MAX, LOG_LEN_MAX, Security};

    #[test]
    fn every_size_has_the_security_asked_for() {
        for security in [Security::Bits100, Security::Bits128] {
            for log_len in 0..=LOG_LEN_MAX {
                let params = Params::new(log_len, security).unwrap();
                let total = total(&params);
                assert!(total >= Bits::whole(security.bits()), "{log_len}");
                assert!(total_without_work(&params) >= Bits::whole(security.bits() - WORK_BITS));
                assert_eq!(
                    report(&params, Bound::Johnson2025).is_empty(),
                    log_len <= CLEAR_MAX
                );
            }
        }
        for log_len in 0..=LOG_LEN_MAX {
            let params = Params::new(log_len, Security::Bits100).unwrap();
            let total = total_by(&params, Bound::Johnson2020);
            assert!(
                total >= Bits::whole(100),
                "{log_len}: by the older bound as well"
            );
        }
    }

    /// Each formula once more, in floating point.
    #[test]
    fn terms_are_those_of_the_formulas() {
        let (m, field) = (32.0f64, 192.0f64);
        for log_len in [12, 17, 20, 28] {
            let params = Params::new(log_len, Security::Bits100).unwrap();
            let entries = report(&params, Bound::Johnson2025);
            let expected_len: u32 = params.rounds().iter().map(|r| 3 + 2 * r.fold).sum();
            assert_eq!(entries.len(), usize::try_from(expected_len).unwrap());
            let mut step = 0;
            for entry in entries {
                let round = params.rounds()[entry.round];
                let before = match entry.round {
                    0 => 1.0,
                    at => f64::from(params.rounds()[at - 1].queries) + 1.0,
                };
                let rho = (-f64::from(round.log_inverse_rate)).exp2();
                let leaves = f64::from(round.log_leaves()).exp2();
                let list = m / rho;
                let exact = match entry.term {
                    Term::Sample => {
                        let degree = f64::from(round.variables);
                        field - (list * list / 2.0).log2() - degree
                    }
                    Term::Join => {
                        step = 0;
                        field - (list * before).log2()
                    }
                    Term::Sumcheck => field - (2.0 * list).log2(),
                    Term::Fold => {
                        step += 1;
                        let line =
                            (2.0 * (m + 0.5).powi(5) + 3.0 * (m + 0.5)) / (3.0 * rho.powf(1.5));
                        let all = line * leaves + (m + 0.5) / rho.sqrt() + list * leaves;
                        field - all.log2() - f64::from(round.fold - step)
                    }
                    Term::Query => {
                        let each = (rho.sqrt() * (1.0 + 1.0 / (2.0 * m))).log2();
                        -each * f64::from(round.queries)
                    }
                };
                let got = f64::from(u32::try_from(entry.bits.units()).unwrap()) / 65536.0;
                assert!(got <= exact && got > exact - 0.01, "{entry:?} {exact}");
                assert_eq!(entry.work, if entry.term == Term::Query { 16 } else { 0 });
            }
        }
    }
}
