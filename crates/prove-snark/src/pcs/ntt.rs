//! Encoding: rows of coefficients to rows of values at roots of unity, all columns at once.
//!
//! ```text
//! n rows ──for each of 2^b cosets: row i times a power of the coset's shift──▶ n rows ──transform (natural in, reversed out)──▶ n rows of the codeword
//! ```
//!
//! Row number p of the codeword has the columns' values at `ω^(p's bits reversed)`, which is the order that `method_snark::pcs::steps::leaf_point` names. The transform splits by frequency, two layers at a time, first over the whole
//! memory and then over blocks that fit a core's cache. Rows are symbols of the interleaved code: one twiddle serves a whole row.

use credence_method_snark::{F, K};
use rayon::prelude::*;

use crate::pcs::kernel::{Kernel, add, mul, run, sub};

/// Words that fit a core's cache with room: 512 KiB.
const BLOCK_WORDS: usize = 1 << 16;

/// A symbol's elements, before they are encoded.
pub(crate) trait Row {
    /// Words of one element.
    const WORDS: usize;

    /// Writes all words, each times `by`.
    fn write<const HALVES: bool>(&self, by: u64, words: &mut [u64]);
}

impl Row for [F] {
    const WORDS: usize = 1;

    #[inline(always)]
    fn write<const HALVES: bool>(&self, by: u64, words: &mut [u64]) {
        for (word, value) in words.iter_mut().zip(self) {
            *word = mul::<HALVES>(value.to_u64(), by);
        }
    }
}

impl Row for [K] {
    const WORDS: usize = 3;

    #[inline(always)]
    fn write<const HALVES: bool>(&self, by: u64, words: &mut [u64]) {
        let (words, _) = words.as_chunks_mut::<3>();
        for (words, value) in words.iter_mut().zip(self) {
            for (word, coordinate) in words.iter_mut().zip(value.coordinates()) {
                *word = mul::<HALVES>(coordinate.to_u64(), by);
            }
        }
    }
}

/// The codeword, in words, of rows of `columns` elements: `2^log_inverse_rate` times as many rows. The number of rows is a power of two.
pub(crate) fn encode<T: Sync>(values: &[T], columns: usize, log_inverse_rate: u32) -> Vec<u64>
where
    [T]: Row,
{
    let rows = values.len() / columns;
    let width = columns * <[T] as Row>::WORDS;
    let log_rows = rows.trailing_zeros();
    let twiddles = powers(F::root_of_unity(log_rows), rows / 2);
    let root = F::root_of_unity(log_rows + log_inverse_rate).unwrap_or(F::ONE);
    let mut codeword = vec![0; (rows * width) << log_inverse_rate];
    let blocks = codeword.par_chunks_mut(rows * width).enumerate();
    blocks.for_each(|(coset, block)| {
        let reversed = coset
            .reverse_bits()
            .checked_shr(usize::BITS - log_inverse_rate);
        let shift = root.pow(u64::try_from(reversed.unwrap_or(0)).unwrap_or(0));
        run(Shift {
            values,
            columns,
            block,
            width,
            shift,
        });
        transform(block, width, &twiddles);
    });
    codeword
}

/// `1, root, root², …`
fn powers(root: Option<F>, count: usize) -> Vec<u64> {
    let root = root.unwrap_or(F::ONE);
    let powers = core::iter::successors(Some(F::ONE), |power| Some(*power * root));
    powers.take(count).map(F::to_u64).collect()
}

/// Copies rows, number i times `shift^i`.
struct Shift<'a, T> {
    values: &'a [T],
    columns: usize,
    block: &'a mut [u64],
    width: usize,
    shift: F,
}

impl<T> Kernel for Shift<'_, T>
where
    [T]: Row,
{
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let mut factor = F::ONE;
        let rows = self.block.chunks_exact_mut(self.width);
        for (words, row) in rows.zip(self.values.chunks_exact(self.columns)) {
            row.write::<HALVES>(factor.to_u64(), words);
            factor *= self.shift;
        }
    }
}

/// Transforms all rows of `data`. `twiddles` are those of the whole transform; a part of it takes every so-many-th.
fn transform(data: &mut [u64], width: usize, twiddles: &[u64]) {
    let rows = data.len() / width;
    if data.len() <= BLOCK_WORDS || rows < 16 {
        run(Block {
            data,
            width,
            twiddles,
        });
        return;
    }
    let quarter = data.len() / 4;
    run(Pass {
        data,
        width,
        twiddles,
    });
    data.par_chunks_mut(quarter)
        .for_each(|part| transform(part, width, twiddles));
}

/// All layers of a transform.
struct Block<'a> {
    data: &'a mut [u64],
    width: usize,
    twiddles: &'a [u64],
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let mut part = self.data.len();
        while part >= 4 * self.width {
            for data in self.data.chunks_exact_mut(part) {
                four::<HALVES>(data, self.width, self.twiddles);
            }
            part /= 4;
        }
        if part == 2 * self.width {
            for data in self.data.chunks_exact_mut(part) {
                let (first, second) = data.split_at_mut(self.width);
                for (a, b) in first.iter_mut().zip(second) {
                    (*a, *b) = (add(*a, *b), sub(*a, *b));
                }
            }
        }
    }
}

/// The first two layers of a transform.
struct Pass<'a> {
    data: &'a mut [u64],
    width: usize,
    twiddles: &'a [u64],
}

impl Kernel for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        four::<HALVES>(self.data, self.width, self.twiddles);
    }
}

/// Two layers over a transform of `data`: rows i, i + q, i + 2q, i + 3q of 4q become the four rows number i of the four transforms of q rows.
#[inline(always)]
fn four<const HALVES: bool>(data: &mut [u64], width: usize, twiddles: &[u64]) {
    let quarter = data.len() / 4;
    let rows = quarter / width;
    let stride = twiddles.len() / (2 * rows).max(1);
    // The fourth root of unity: half of the twiddles up.
    let fourth = twiddles.get(twiddles.len() / 2).copied().unwrap_or(1);
    let (a, rest) = data.split_at_mut(quarter);
    let (b, rest) = rest.split_at_mut(quarter);
    let (c, d) = rest.split_at_mut(quarter);
    let rows = a
        .chunks_exact_mut(width)
        .zip(b.chunks_exact_mut(width))
        .zip(c.chunks_exact_mut(width).zip(d.chunks_exact_mut(width)));
    for (number, ((a, b), (c, d))) in rows.enumerate() {
        let once = twiddles.get(number * stride).copied().unwrap_or(1);
        let twice = mul::<false>(once, once);
        let thrice = mul::<false>(twice, once);
        let words = a
            .iter_mut()
            .zip(b.iter_mut())
            .zip(c.iter_mut().zip(d.iter_mut()));
        for ((a, b), (c, d)) in words {
            let (even, odd) = (add(*a, *c), add(*b, *d));
            let (less, turned) = (sub(*a, *c), mul::<HALVES>(sub(*b, *d), fourth));
            *a = add(even, odd);
            *b = mul::<HALVES>(sub(even, odd), twice);
            *c = mul::<HALVES>(add(less, turned), once);
            *d = mul::<HALVES>(sub(less, turned), thrice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_method_snark::pcs::steps::leaf_point;

    #[test]
    fn rows_of_the_codeword_are_values_at_the_points_of_leaves() {
        for (log_rows, columns, log_inverse_rate) in [
            (0, 8, 3),
            (1, 8, 1),
            (2, 24, 2),
            (3, 8, 7),
            (5, 9, 1),
            (6, 8, 2),
        ] {
            let rows = 1usize << log_rows;
            let values: Vec<F> = (0..rows * columns)
                .map(|at| F::from_u64((at * at * 77 + 5) as u64))
                .collect();
            let codeword = encode(&values, columns, log_inverse_rate);
            assert_eq!(codeword.len(), (rows * columns) << log_inverse_rate);
            for (leaf, symbol) in codeword.chunks(columns).enumerate() {
                let point = leaf_point(log_rows + log_inverse_rate, leaf as u64);
                for (column, got) in symbol.iter().enumerate() {
                    let falling = (0..rows).rev().map(|row| values[row * columns + column]);
                    let value = falling.fold(F::ZERO, |sum, value| sum * point + value);
                    assert_eq!(*got, value.to_u64(), "{log_rows} {leaf} {column}");
                }
            }
        }
    }

    #[test]
    fn elements_of_the_extension_are_three_columns() {
        let wide: Vec<K> = (0..64u64)
            .map(|i| K::new([i, i * i + 1, 7 * i + 2].map(F::from_u64)))
            .collect();
        let flat: Vec<F> = wide.iter().flat_map(|value| value.coordinates()).collect();
        assert_eq!(encode(&wide, 8, 2), encode(&flat, 24, 2));
    }

    /// Large enough to go over memory first: compared with the same in one block.
    #[test]
    fn large_transforms_equal_small_ones() {
        let (rows, width) = (1 << 12, 64);
        let twiddles = powers(F::root_of_unity(12), rows / 2);
        let mut whole: Vec<u64> = (0..rows * width).map(|at| (at * 31) as u64).collect();
        let mut block = whole.clone();
        transform(&mut whole, width, &twiddles);
        Block {
            data: &mut block,
            width,
            twiddles: &twiddles,
        }
        .run::<false>();
        assert!(whole == block);
    }
}
