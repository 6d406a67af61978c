//! A matrix of 8-bit weights, from the left times a vector of K: the one loop of a verifier that reads weights.
//!
//! `Σ_r u[r]·W[r, k]` for every k. Weights are taken as `w + 128`, which is no negative number, so sums are of plain 128-bit integers, reduced once for each column; what that adds is the
//! same for all columns and subtracted in the end. It deliberately knows no op.

use crate::extension::K;
use crate::field::F;

/// Rows after which sums are reduced: `2^64 · 255 · 2^32 < 2^128`.
const ROWS_MAX: usize = 1 << 32;

/// `Σ_r u[r]·W[r, k]` for the rows of `weights`, each of `columns` bytes in two's complement.
#[must_use]
pub fn fold_rows(weights: &[u8], columns: usize, u: &[K]) -> Vec<K> {
    let mut folded = vec![K::ZERO; columns];
    if columns == 0 {
        return folded;
    }
    let rows = weights.chunks_exact(columns);
    for (weights, u) in weights
        .chunks(columns.saturating_mul(ROWS_MAX))
        .zip(u.chunks(ROWS_MAX))
    {
        fold_some(weights, u, &mut folded);
    }
    let all: K = u.iter().copied().take(rows.len()).sum();
    let offset = all * F::from_u64(128);
    for value in &mut folded {
        *value -= offset;
    }
    folded
}

fn fold_some(weights: &[u8], u: &[K], folded: &mut [K]) {
    let columns = folded.len();
    let mut sums = vec![[0_u128; 3]; columns];
    for (row, u) in weights.chunks_exact(columns).zip(u) {
        let [a, b, c] = u.coordinates().map(|c| u128::from(c.to_u64()));
        for (sum, &weight) in sums.iter_mut().zip(row) {
            // Two's complement with the sign turned over is the weight plus 128.
            let w = u128::from(weight ^ 0x80);
            let [x, y, z] = sum;
            *x = x.wrapping_add(a.wrapping_mul(w));
            *y = y.wrapping_add(b.wrapping_mul(w));
            *z = z.wrapping_add(c.wrapping_mul(w));
        }
    }
    for (value, sum) in folded.iter_mut().zip(sums) {
        *value += K::new(sum.map(reduce));
    }
}

/// A 128-bit integer modulo the prime.
fn reduce(sum: u128) -> F {
    let low = u64::try_from(sum & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(sum >> 64).unwrap_or(0);
    F::from_wide(low, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_sum_of_products(weights in proptest::collection::vec(any::<u8>(), 0..120), columns in 1_usize..9, seed in any::<u64>()) {
            let rows = weights.len() / columns;
            let u: Vec<K> = (0..rows as u64).map(|i| K::new([seed, seed ^ i, seed.wrapping_mul(i + 1)].map(F::from_u64))).collect();
            let folded = fold_rows(&weights, columns, &u);
            for k in 0..columns {
                let sum: K = (0..rows)
                    .map(|r| u[r] * F::from_i64(i8::from_le_bytes([weights[r * columns + k]]).into()))
                    .sum();
                prop_assert_eq!(folded[k], sum);
            }
        }
    }
}
