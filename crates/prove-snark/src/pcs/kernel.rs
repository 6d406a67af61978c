//! Arithmetic of F in loops: the same few operations on words, compiled for each instruction set and chosen when the program runs.
//!
//! A kernel is a struct with a loop inside; [`run`] calls it where vectors of 512 bits are at hand with products made of 32-bit halves, which the compiler turns into vectors, and elsewhere with the
//! processor's own product of words. Words are always below p. Both ways give the same words: a test compares them with the field's own operations.

use credence_method_snark::K;
use credence_method_snark::field::{F, MODULUS};
use pulp::{Arch, Simd, WithSimd};

const EPSILON: u64 = 0xffff_ffff;

/// A loop over words.
pub(crate) trait Kernel {
    type Output;

    /// Runs it, with products from halves if `HALVES`. Must be `#[inline(always)]`, so that it is compiled for the instruction set of its caller.
    fn run<const HALVES: bool>(self) -> Self::Output;
}

struct Chosen<T>(T);

impl<T: Kernel> WithSimd for Chosen<T> {
    type Output = T::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> T::Output {
        if size_of::<S::u64s>() == 64 {
            self.0.run::<true>()
        } else {
            self.0.run::<false>()
        }
    }
}

/// Runs a kernel in the widest vectors that there are.
pub(crate) fn run<T: Kernel>(kernel: T) -> T::Output {
    Arch::new().dispatch(Chosen(kernel))
}

#[inline(always)]
pub(crate) const fn add(a: u64, b: u64) -> u64 {
    let sum = a.wrapping_add(b);
    let less = sum.wrapping_sub(MODULUS);
    if (sum < a) | (sum >= MODULUS) {
        less
    } else {
        sum
    }
}

#[inline(always)]
pub(crate) const fn sub(a: u64, b: u64) -> u64 {
    let less = a.wrapping_sub(b);
    if a < b {
        less.wrapping_add(MODULUS)
    } else {
        less
    }
}

#[inline(always)]
pub(crate) fn mul<const HALVES: bool>(a: u64, b: u64) -> u64 {
    let (low, high) = if HALVES {
        halves(a, b)
    } else {
        a.carrying_mul(b, 0)
    };
    // 2^64 = 2^32 − 1 and 2^96 = −1, modulo p.
    let top = high >> 32;
    let sum = low.wrapping_sub(top);
    let sum = if low < top {
        sum.wrapping_sub(EPSILON)
    } else {
        sum
    };
    let middle = high & EPSILON;
    let middle = (middle << 32).wrapping_sub(middle);
    let more = sum.wrapping_add(middle);
    let more = if more < middle {
        more.wrapping_add(EPSILON)
    } else {
        more
    };
    if more >= MODULUS {
        more.wrapping_sub(MODULUS)
    } else {
        more
    }
}

/// The product of two words from four products of their halves, none of which overflows.
#[inline(always)]
const fn halves(a: u64, b: u64) -> (u64, u64) {
    let (a0, a1) = (a & EPSILON, a >> 32);
    let (b0, b1) = (b & EPSILON, b >> 32);
    let low = a0 * b0;
    let middle = a0 * b1 + (low >> 32);
    let cross = a1 * b0 + (middle & EPSILON);
    let high = a1 * b1 + (middle >> 32) + (cross >> 32);
    ((cross << 32) | (low & EPSILON), high)
}

/// For each column of rows of values, the sum of its values, each times its row's share.
pub(crate) struct ColumnSums<'a> {
    pub(crate) values: &'a [F],
    pub(crate) width: usize,
    pub(crate) shares: &'a [K],
}

impl Kernel for ColumnSums<'_> {
    type Output = Vec<K>;

    #[inline(always)]
    fn run<const HALVES: bool>(self) -> Vec<K> {
        let mut first = vec![0u64; self.width];
        let mut second = vec![0u64; self.width];
        let mut third = vec![0u64; self.width];
        for (row, share) in self.values.chunks_exact(self.width).zip(self.shares) {
            let [s0, s1, s2] = share.coordinates().map(F::to_u64);
            let sums = first.iter_mut().zip(&mut second).zip(&mut third);
            for (((a, b), c), value) in sums.zip(row) {
                let value = value.to_u64();
                *a = add(*a, mul::<HALVES>(value, s0));
                *b = add(*b, mul::<HALVES>(value, s1));
                *c = add(*c, mul::<HALVES>(value, s2));
            }
        }
        let sums = first.into_iter().zip(second).zip(third);
        sums.map(|((a, b), c)| K::new([a, b, c].map(F::from_u64)))
            .collect()
    }
}

/// For each row of values, their sum, each times its column's share.
pub(crate) struct RowSums<'a> {
    pub(crate) values: &'a [F],
    /// One for each column; a multiple of eight.
    pub(crate) shares: &'a [K],
    pub(crate) sums: &'a mut [K],
}

const LANES: usize = 8;

impl Kernel for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let shares: [Vec<u64>; 3] = core::array::from_fn(|at| {
            let words = self
                .shares
                .iter()
                .map(|share| share.coordinates()[at].to_u64());
            words.collect()
        });
        let [first, second, third] = &shares;
        let rows = self.values.chunks_exact(self.shares.len());
        for (sum, row) in self.sums.iter_mut().zip(rows) {
            *sum = K::new([
                product::<HALVES>(row, first),
                product::<HALVES>(row, second),
                product::<HALVES>(row, third),
            ]);
        }
    }
}

#[inline(always)]
fn product<const HALVES: bool>(row: &[F], shares: &[u64]) -> F {
    let mut lanes = [0u64; LANES];
    let (rows, _) = row.as_chunks::<LANES>();
    let (shares, _) = shares.as_chunks::<LANES>();
    for (values, shares) in rows.iter().zip(shares) {
        for at in 0..LANES {
            lanes[at] = add(lanes[at], mul::<HALVES>(values[at].to_u64(), shares[at]));
        }
    }
    F::from_u64(lanes.into_iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..MODULUS,
            MODULUS - 4..MODULUS,
            0u64..4,
            EPSILON - 3..EPSILON + 3
        ]
    }

    proptest! {
        #[test]
        fn words_are_those_of_the_field(a in word(), b in word()) {
            let (x, y) = (F::from_u64(a), F::from_u64(b));
            prop_assert_eq!(add(a, b), (x + y).to_u64());
            prop_assert_eq!(sub(a, b), (x - y).to_u64());
            prop_assert_eq!(mul::<true>(a, b), (x * y).to_u64());
            prop_assert_eq!(mul::<false>(a, b), (x * y).to_u64());
        }

        #[test]
        fn sums_are_those_of_the_field(words in proptest::collection::vec(word(), 64), shares in proptest::collection::vec([word(), word(), word()], 8)) {
            let values: Vec<F> = words.into_iter().map(F::from_u64).collect();
            let shares: Vec<K> = shares.into_iter().map(|c| K::new(c.map(F::from_u64))).collect();
            let columns: Vec<K> = (0..8).map(|j| (0..8).map(|i| shares[i] * values[i * 8 + j]).sum()).collect();
            let rows: Vec<K> = (0..8).map(|i| (0..8).map(|j| shares[j] * values[i * 8 + j]).sum()).collect();
            let column_sums = || ColumnSums { values: &values, width: 8, shares: &shares };
            prop_assert_eq!(&run(column_sums()), &columns);
            prop_assert_eq!(&column_sums().run::<false>(), &columns);
            prop_assert_eq!(&column_sums().run::<true>(), &columns);
            let mut sums = vec![K::ZERO; 8];
            run(RowSums { values: &values, shares: &shares, sums: &mut sums });
            prop_assert_eq!(&sums, &rows);
            let mut sums = vec![K::ZERO; 8];
            RowSums { values: &values, shares: &shares, sums: &mut sums }.run::<false>();
            prop_assert_eq!(&sums, &rows);
        }
    }
}
