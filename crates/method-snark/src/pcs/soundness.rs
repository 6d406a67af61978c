//! Adds up the error of an opening, term by term.
//!
//! The analysis is WHIR's (eprint 2024/1586, theorem 5.2 with the round-by-round errors of its section 5.2), for interleaved Reed–Solomon codes up to the Johnson radius, with multiplicity m = 32: a word is near if it
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

/// `(2·(m+½)^5 + 3·(m+½)) / 3 + (m+½)` for m = 32, rounded up: with `N/ρ^(3/2)` it is not less than both summands of the folding error.
const FOLD_FACTOR: u64 = 24_172_800;

/// Every error of an opening, commitment and opening together. None if the values are sent in clear: nothing is drawn then.
#[must_use]
pub fn report(params: &Params) -> Vec<Entry> {
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
            add(Term::Fold, fold(round, step), 0);
        }
        let queries = query_bits(round.log_inverse_rate).times(round.queries);
        add(Term::Query, queries, WORK_BITS);
    }
    entries
}

/// The bits of all errors together, the work counted: not fewer than [`Params::security`] asks for. Values sent in clear have no error but the hash's, and no fewer than 128 bits by it.
#[must_use]
pub fn total(params: &Params) -> Bits {
    let entries = report(params);
    let errors: Vec<Bits> = entries
        .iter()
        .map(|entry| entry.bits.plus(Bits::whole(entry.work)))
        .collect();
    Bits::of_sum(&errors).min(Bits::whole(128))
}

/// The bits of all errors together without the work.
#[must_use]
pub fn total_without_work(params: &Params) -> Bits {
    let errors: Vec<Bits> = report(params).iter().map(|entry| entry.bits).collect();
    Bits::of_sum(&errors).min(Bits::whole(128))
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

/// `2^(fold − step) · ((2·(m+½)^5 + 3·(m+½)) / (3·ρ^(3/2)) · N + (m+½)/√ρ) / |K|`: that a line through two words comes near the code where the words do not (mutual correlated agreement), for each interleaved row.
fn fold(round: &Round, step: u32) -> Bits {
    let rows = Bits::whole(round.fold.saturating_sub(step));
    let rate = Bits::halves(round.log_inverse_rate.saturating_mul(3));
    let leaves = Bits::whole(round.log_leaves());
    let factor = Bits::log2_up(FOLD_FACTOR);
    over(rows.plus(rate).plus(leaves).plus(factor))
}
