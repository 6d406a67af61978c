//! Opens a committed polynomial at a point: the verifier's walk (`method_snark::pcs`), from the other side.
//!
//! The first round's weights are a sum of two products, each of a part by row and a part by column, so its sumcheck runs over one row of column sums; only what the first fold leaves, a 2^fold-th, is ever a table over K.

use credence_method_snark::pcs::{Round, steps};
use credence_method_snark::{K, Transcript, mle, sumcheck};

use crate::pcs::commit::{Committed, Kept, Oracle, bytes};
use crate::pcs::grind::grind;
use crate::pcs::tables;
use crate::vector;

impl Committed {
    /// The value at `point`: `None` unless it has as many coordinates as the polynomial variables.
    #[must_use]
    pub fn evaluate(&self, point: &[K]) -> Option<K> {
        const COLUMNS: usize = 5;
        if Some(self.values.len()) != 1usize.checked_shl(u32::try_from(point.len()).ok()?) {
            return None;
        }
        let (rows, columns) = point.split_at(point.len().saturating_sub(COLUMNS));
        let sums = tables::eq_columns(&self.values, 1 << columns.len(), rows);
        mle::evaluate_extension(sums, columns)
    }

    /// Appends the proof that the polynomial takes `value` at `point`. If it does not, or the point is of another length, a verifier refuses what comes out.
    ///
    /// The transcript must be where the verifier's will be.
    pub fn open(&self, point: &[K], value: K, transcript: &mut Transcript, out: &mut Vec<u8>) {
        let join = steps::begin(&self.params, &self.commitment, point, value, transcript);
        let rounds = self.params.rounds();
        let (Some(kept), Some((first, rest))) = (&self.kept, rounds.split_first()) else {
            out.extend(bytes(&self.values));
            return;
        };
        let mut opening = self.first(kept, first, (point, join), transcript, out);
        let mut oracle = &kept.oracle;
        let mut next;
        let mut round = first;
        for following in rest {
            next = opening.follow(oracle, (round, following), transcript, out);
            opening.sumcheck(following, transcript, out);
            oracle = &next;
            round = following;
        }
        opening.end(oracle, round, transcript, out);
    }

    /// The first round's sumcheck.
    fn first(
        &self,
        kept: &Kept,
        round: &Round,
        (point, join): (&[K], K),
        transcript: &mut Transcript,
        out: &mut Vec<u8>,
    ) -> Opening {
        let mut width = 1usize << round.fold;
        let fold = usize::try_from(round.fold).unwrap_or(0);
        let (rows, columns) = point.split_at(point.len().saturating_sub(fold));
        let mut parts = [
            (
                tables::eq_columns(&self.values, width, rows),
                mle::eq_table(columns, K::ONE),
            ),
            (
                kept.sampled.clone(),
                tables::powers(join, kept.sample_point, width),
            ),
        ];
        let mut challenges = Vec::new();
        for _ in 0..round.fold {
            let mut message = [K::ZERO; 2];
            for (values, weights) in &parts {
                let [zero, two] = tables::message(values, weights, width);
                message = [message[0] + zero, message[1] + two];
            }
            let challenge = say(&message, transcript, out);
            for (values, weights) in &mut parts {
                *values = tables::fold(values, width, challenge);
                *weights = tables::fold(weights, width, challenge);
            }
            challenges.push(challenge);
            width /= 2;
        }
        let [(_, of_point), (_, of_sample)] = parts;
        let scale = of_point.first().copied().unwrap_or_default();
        let mut weights = vector::eq_table(rows, scale);
        let scale = of_sample.first().copied().unwrap_or_default();
        tables::add_powers(&mut weights, scale, kept.sample_point.pow(1 << round.fold));
        let shares = mle::eq_table(&challenges, K::ONE);
        Opening {
            values: tables::fold_rows(&self.values, &shares),
            weights,
        }
    }
}

/// Writes and absorbs a message, and draws the challenge.
fn say(message: &[K], transcript: &mut Transcript, out: &mut Vec<u8>) -> K {
    message.iter().for_each(|value| value.write(out));
    sumcheck::challenge(message, transcript)
}

/// What is left of the polynomial and its weights behind a fold.
struct Opening {
    values: Vec<K>,
    weights: Vec<K>,
}

impl Opening {
    fn sumcheck(&mut self, round: &Round, transcript: &mut Transcript, out: &mut Vec<u8>) {
        let mut width = 1usize << round.fold;
        for _ in 0..round.fold {
            let message = tables::message(&self.values, &self.weights, width);
            let challenge = say(&message, transcript, out);
            self.values = tables::fold(&self.values, width, challenge);
            self.weights = tables::fold(&self.weights, width, challenge);
            width /= 2;
        }
    }

    /// Commits to what the fold left, and joins what the queries of the oracle before say to the claim.
    fn follow(
        &mut self,
        oracle: &Oracle,
        (round, following): (&Round, &Round),
        transcript: &mut Transcript,
        out: &mut Vec<u8>,
    ) -> Oracle {
        let next = Oracle::new(following, &self.values);
        out.extend(next.root().as_bytes());
        let sample_point = steps::sample_point(&next.root(), transcript);
        let sample = tables::power_sum(&self.values, sample_point);
        sample.write(out);
        steps::sampled(sample, transcript);
        let (indices, join) = show(oracle, round, transcript, out);

        let mut scale = join;
        tables::add_powers(&mut self.weights, scale, sample_point);
        let queries: Vec<_> = indices
            .into_iter()
            .map(|index| {
                scale *= join;
                (scale, steps::leaf_point(round.log_leaves(), index))
            })
            .collect();
        tables::add_queries(&mut self.weights, &queries);
        next
    }

    fn end(self, oracle: &Oracle, round: &Round, transcript: &mut Transcript, out: &mut Vec<u8>) {
        self.values.iter().for_each(|value| value.write(out));
        steps::last(&self.values, transcript);
        show(oracle, round, transcript, out);
    }
}

/// Works, and shows the leaves that are drawn then; the challenge behind them.
fn show(
    oracle: &Oracle,
    round: &Round,
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
) -> (Vec<u64>, K) {
    let nonce = grind(&steps::work_seed(transcript));
    out.extend(nonce.to_le_bytes());
    let indices = steps::queries(round, nonce, transcript);
    let leaves = oracle.show(&indices, out);
    let join = steps::join(leaves, transcript);
    (indices, join)
}
