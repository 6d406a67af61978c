//! Tables over K, folded in blocks: the sums that a round of the opening needs.
//!
//! A table's index is `row·2^k + column`; a round sets the columns' bits, the highest first. It deliberately knows no transcript.

use credence_method_snark::{F, K, mle};
use rayon::prelude::*;

use crate::pcs::kernel::{ColumnSums, RowSums, run};
use crate::vector::{self, Fold};

/// Rows that one task sums.
const ROWS: usize = 1 << 10;

/// Elements that one task folds.
const ELEMENTS: usize = 1 << 12;

/// `1, base, base², …`
pub(crate) fn powers(first: K, base: K, count: usize) -> Vec<K> {
    core::iter::successors(Some(first), |power| Some(*power * base))
        .take(count)
        .collect()
}

/// For each column, `Σ eq(point, row)·value`.
pub(crate) fn eq_columns(values: &[F], width: usize, point: &[K]) -> Vec<K> {
    let shares = vector::eq_table(point, K::ONE);
    let parts = values
        .par_chunks(ROWS * width)
        .zip(shares.par_chunks(ROWS))
        .map(|(values, shares)| {
            run(ColumnSums {
                values,
                width,
                shares,
            })
        });
    parts.reduce(|| vec![K::ZERO; width], add)
}

/// For each column, `Σ base^row·value`.
pub(crate) fn power_columns(values: &[F], width: usize, base: K) -> Vec<K> {
    let parts = values
        .par_chunks(ROWS * width)
        .enumerate()
        .map(|(number, values)| {
            let start = u64::try_from(number * ROWS).unwrap_or(u64::MAX);
            let shares = powers(base.pow(start), base, values.len() / width);
            run(ColumnSums {
                values,
                width,
                shares: &shares,
            })
        });
    parts.reduce(|| vec![K::ZERO; width], add)
}

fn add(a: Vec<K>, b: Vec<K>) -> Vec<K> {
    a.into_iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Each row's sum of values times `shares`.
pub(crate) fn fold_rows(values: &[F], shares: &[K]) -> Vec<K> {
    let width = shares.len();
    let mut sums = vec![K::ZERO; values.len() / width];
    sums.par_chunks_mut(ROWS)
        .zip(values.par_chunks(ROWS * width))
        .for_each(|(sums, values)| {
            run(RowSums {
                values,
                shares,
                sums,
            });
        });
    sums
}

/// `h(0)` and `h(2)` of the highest column bit's polynomial, for `Σ values·weights` over blocks of `width`.
pub(crate) fn message(values: &[K], weights: &[K], width: usize) -> [K; 2] {
    let task = ELEMENTS.max(width);
    values
        .par_chunks(task)
        .zip(weights.par_chunks(task))
        .map(|(values, weights)| {
            let mut sums = [K::ZERO; 2];
            let rows = values.chunks_exact(width).zip(weights.chunks_exact(width));
            for (values, weights) in rows {
                let (v0, v1) = values.split_at(width / 2);
                let (w0, w1) = weights.split_at(width / 2);
                for ((v0, v1), (w0, w1)) in v0.iter().zip(v1).zip(w0.iter().zip(w1)) {
                    sums[0] += *v0 * *w0;
                    sums[1] += (v1.double() - *v0) * (w1.double() - *w0);
                }
            }
            sums
        })
        .reduce(|| [K::ZERO; 2], |[a0, a1], [b0, b1]| [a0 + b0, a1 + b1])
}

/// Sets the highest column bit: blocks of `width` become blocks of half of it.
pub(crate) fn fold(table: &[K], width: usize, challenge: K) -> Vec<K> {
    let half = width / 2;
    let mut folded = vec![K::ZERO; table.len() / 2];
    let task = ELEMENTS.max(half);
    folded
        .par_chunks_mut(task)
        .zip(table.par_chunks(task * 2))
        .for_each(|(folded, table)| {
            let rows = folded.chunks_exact_mut(half).zip(table.chunks_exact(width));
            for (zeros, row) in rows {
                let (from, ones) = row.split_at(half);
                zeros.copy_from_slice(from);
                run(Fold {
                    zeros,
                    ones,
                    challenge,
                });
            }
        });
    folded
}

/// Adds `scale·base^i` to each value.
pub(crate) fn add_powers(table: &mut [K], scale: K, base: K) {
    let tasks = table.par_chunks_mut(ELEMENTS).enumerate();
    tasks.for_each(|(number, part)| {
        let start = u64::try_from(number * ELEMENTS).unwrap_or(u64::MAX);
        let mut power = scale * base.pow(start);
        for slot in part {
            *slot += power;
            power *= base;
        }
    });
}

/// Adds `Σ scale·base^i` over all of `queries` to each value: in blocks, each the product of a row of scales and a table of low powers.
pub(crate) fn add_queries(table: &mut [K], queries: &[(K, F)]) {
    const BLOCK: usize = 64;
    let width = BLOCK.min(table.len());
    let low: Vec<F> = queries
        .iter()
        .flat_map(|(_, base)| {
            core::iter::successors(Some(F::ONE), |power| Some(*power * *base)).take(width)
        })
        .collect();
    let blocks_a_task = ELEMENTS / BLOCK;
    let tasks = table.par_chunks_mut(blocks_a_task * width).enumerate();
    tasks.for_each(|(number, part)| {
        let start = u64::try_from(number * blocks_a_task * width).unwrap_or(u64::MAX);
        let step = u64::try_from(width).unwrap_or(1);
        let steps: Vec<F> = queries.iter().map(|(_, base)| base.pow(step)).collect();
        let scaled = queries.iter().map(|(scale, base)| *scale * base.pow(start));
        let mut shares: Vec<K> = scaled.collect();
        for block in part.chunks_mut(width) {
            let sums = run(ColumnSums {
                values: &low,
                width,
                shares: &shares,
            });
            for (slot, sum) in block.iter_mut().zip(sums) {
                *slot += sum;
            }
            for (share, step) in shares.iter_mut().zip(&steps) {
                *share *= *step;
            }
        }
    });
}

/// `Σ table[i]·base^i`.
pub(crate) fn power_sum(table: &[K], base: K) -> K {
    let parts = table.par_chunks(ELEMENTS).enumerate();
    parts
        .map(|(number, part)| {
            let start = u64::try_from(number * ELEMENTS).unwrap_or(u64::MAX);
            mle::horner(part, base) * base.pow(start)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(i: u64) -> K {
        K::new([i * i + 3, i * 7 + 1, i].map(F::from_u64))
    }

    #[test]
    fn sums_over_tables_are_the_plain_sums() {
        let values: Vec<F> = (0..1u64 << 15).map(|i| F::from_u64(i * i + 9)).collect();
        let wide: Vec<K> = (0..1 << 15).map(number).collect();
        let point: Vec<K> = (0..12).map(number).collect();
        let base = number(5);
        let columns = eq_columns(&values, 8, &point);
        let powers = power_columns(&values, 8, base);
        for column in 0..8 {
            let rows = || values.chunks(8).map(|row| row[column]).enumerate();
            let plain = rows()
                .map(|(i, v)| mle::eq_index(&point, i as u64) * v)
                .sum();
            assert_eq!(columns[column], plain);
            let plain = rows().map(|(i, v)| base.pow(i as u64) * v).sum();
            assert_eq!(powers[column], plain);
        }
        let shares: Vec<K> = (0..8).map(number).collect();
        let folded = fold_rows(&values, &shares);
        for (sum, row) in folded.iter().zip(values.chunks(8)) {
            assert_eq!(*sum, row.iter().zip(&shares).map(|(v, s)| *s * *v).sum());
        }
        let plain = wide
            .iter()
            .enumerate()
            .map(|(i, v)| *v * base.pow(i as u64));
        assert_eq!(power_sum(&wide, base), plain.sum());
    }

    #[test]
    fn weights_are_the_plain_powers() {
        for len in [8u64, 64, 1 << 13] {
            let mut table = vec![K::ONE; usize::try_from(len).unwrap()];
            let queries = [(number(1), F::from_u64(77)), (number(2), -F::ONE)];
            add_queries(&mut table, &queries);
            add_powers(&mut table, number(3), number(4));
            for (i, got) in (0..len).zip(&table) {
                let plain = queries.iter().map(|(s, b)| *s * b.pow(i)).sum::<K>();
                assert_eq!(*got, K::ONE + plain + number(3) * number(4).pow(i));
            }
        }
    }

    #[test]
    fn a_round_keeps_the_claim() {
        let values: Vec<K> = (0..1 << 14).map(number).collect();
        let weights: Vec<K> = (5..5 + (1 << 14)).map(number).collect();
        let sum = |a: &[K], b: &[K]| -> K { a.iter().zip(b).map(|(a, b)| *a * *b).sum() };
        let message = message(&values, &weights, 8);
        let challenge = number(1000);
        let claim = sum(&values, &weights);
        let expected = credence_method_snark::sumcheck::next_claim(claim, &message, challenge);
        let (values, weights) = (fold(&values, 8, challenge), fold(&weights, 8, challenge));
        assert_eq!(sum(&values, &weights), expected);
    }
}
