//! A matrix of 8-bit weights, from the left times a vector of K: the one loop of a verifier that reads weights.
//!
//! `Σ_r u[r]·W[r, k]` for every k. Weights are taken as `w + 128`, which is no negative number, and coordinates of u in halves of 32 bits: products have 40 bits, so 2^24 rows are summed in words before anything is reduced, and
//! the loop becomes vectors of whatever width the processor has. What the 128 add is the same for all columns and subtracted in the end. It deliberately knows no op.

use pulp::{Arch, Simd, WithSimd};

use crate::extension::K;
use crate::field::F;

/// Rows after which sums are reduced: 2^40 times as many fit a word.
const ROWS_MAX: usize = 1 << 23;

/// Columns whose six sums stay in a core's cache.
const TILE: usize = 512;

/// Halves of the coordinates of an element.
const HALVES: usize = 6;

/// `Σ_r u[r]·W[r, k]` for the rows of `weights`, each of `columns` bytes in two's complement.
#[must_use]
pub fn fold_rows(weights: &[u8], columns: usize, u: &[K]) -> Vec<K> {
    let mut folded = vec![K::ZERO; columns];
    if columns == 0 {
        return folded;
    }
    let rows = weights.chunks_exact(columns);
    let halves: Vec<[u32; HALVES]> = u.iter().copied().map(halves).collect();
    for (weights, u) in weights
        .chunks(columns.saturating_mul(ROWS_MAX))
        .zip(halves.chunks(ROWS_MAX))
    {
        for (number, tile) in folded.chunks_mut(TILE).enumerate() {
            let first = number.saturating_mul(TILE);
            let some = Tile {
                weights,
                columns,
                first,
                len: tile.len(),
                u,
            };
            let sums = Arch::new().dispatch(some);
            for (at, value) in tile.iter_mut().enumerate() {
                *value += joined(&sums, at);
            }
        }
    }
    let all: K = u.iter().copied().take(rows.len()).sum();
    let offset = all * F::from_u64(128);
    for value in &mut folded {
        *value -= offset;
    }
    folded
}

/// Coordinates in halves, the low one first.
fn halves(value: K) -> [u32; HALVES] {
    let [a, b, c] = value.coordinates().map(F::to_u64);
    let low = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
    let high = |word: u64| u32::try_from(word >> 32).unwrap_or(0);
    [low(a), high(a), low(b), high(b), low(c), high(c)]
}

type Sums = [[u64; TILE]; HALVES];

/// The element whose coordinates' halves were summed.
fn joined(sums: &Sums, at: usize) -> K {
    let of = |half: &[u64; TILE]| u128::from(half.get(at).copied().unwrap_or(0));
    let [a, b, c, d, e, f] = sums.each_ref().map(of);
    let both = |low: u128, high: u128| F::from_u128(low.wrapping_add(high << 32));
    K::new([both(a, b), both(c, d), both(e, f)])
}

/// Some columns of some rows.
struct Tile<'a> {
    weights: &'a [u8],
    columns: usize,
    first: usize,
    len: usize,
    u: &'a [[u32; HALVES]],
}

impl WithSimd for Tile<'_> {
    type Output = Sums;

    // Compiled for the instruction set of its caller.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Sums {
        let mut sums = [[0_u64; TILE]; HALVES];
        for (row, u) in self.weights.chunks_exact(self.columns).zip(self.u) {
            let row = row.get(self.first..).unwrap_or_default();
            let row = row.get(..self.len).unwrap_or_default();
            for (sums, half) in sums.iter_mut().zip(u) {
                let half = u64::from(*half);
                for (sum, &weight) in sums.iter_mut().zip(row) {
                    // Two's complement with the sign turned over is the weight plus 128.
                    let product = u64::from(weight ^ 0x80).wrapping_mul(half);
                    *sum = sum.wrapping_add(product);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_sum_of_products(weights in proptest::collection::vec(any::<u8>(), 0..1200), columns in prop_oneof![1_usize..9, 505_usize..600], seed in any::<u64>()) {
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
