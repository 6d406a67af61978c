//! Multilinear polynomials on {0,1}^n: the equality polynomial, and evaluation.
//!
//! The polynomial of a table of 2^n values is the one of degree at most 1 in each variable that takes value number i at the point that i is in binary. Of a point, **the first coordinate is the
//! highest bit of i**: the table of `n` variables is two tables of `n−1`, one after another, for the first variable 0 and 1. So a column of 2^m values that stands at offset `j·2^m` of a longer
//! table has there the point `(bits of j, highest first) ‖ (its own point)`.
//!
//! It deliberately knows no sumcheck.

use core::ops::Mul;

use crate::extension::K;
use crate::field::F;

/// Variables of a table that is built here, at most: 2^32 values would not fit anywhere.
pub const VARIABLES_MAX: usize = 32;

/// `∏ (aᵢ·bᵢ + (1−aᵢ)·(1−bᵢ))` over the coordinates of both; those that only one has are left out.
#[must_use]
pub fn eq(a: &[K], b: &[K]) -> K {
    a.iter().zip(b).map(|(a, b)| eq_one(*a, *b)).product()
}

/// `a·b + (1−a)·(1−b)`.
#[must_use]
pub fn eq_one(a: K, b: K) -> K {
    let both = a * b;
    both + both + K::ONE - a - b
}

/// `eq(point, i)` for the number i, whose highest bit belongs to the first coordinate. Bits above the point's are not looked at.
#[must_use]
pub fn eq_index(point: &[K], index: u64) -> K {
    let bits = (0u32..).map(|bit| index.checked_shr(bit).unwrap_or(0) & 1 == 1);
    let factors = point.iter().rev().zip(bits);
    factors
        .map(|(coordinate, bit)| {
            if bit {
                *coordinate
            } else {
                K::ONE - *coordinate
            }
        })
        .product()
}

/// `scale · eq(point, i)` for every i, in order. Empty for a point of more than [`VARIABLES_MAX`] coordinates. Takes as many products as the table has values.
#[must_use]
pub fn eq_table(point: &[K], scale: K) -> Vec<K> {
    if point.len() > VARIABLES_MAX {
        return Vec::new();
    }
    let len = 1usize
        .checked_shl(u32::try_from(point.len()).unwrap_or(u32::MAX))
        .unwrap_or(0);
    let mut table = Vec::with_capacity(len);
    table.push(scale);
    // The first coordinate is the highest bit: it comes last, and puts a second half behind the first.
    for coordinate in point.iter().rev() {
        let half = table.len();
        table.extend_from_within(..);
        if let Some((zeros, ones)) = table.split_at_mut_checked(half) {
            for (zero, one) in zeros.iter_mut().zip(ones) {
                *one *= *coordinate;
                *zero -= *one;
            }
        }
    }
    table
}

/// The polynomial of `values` at `point`; `None` unless there are 2^n values for n coordinates.
#[must_use]
pub fn evaluate(values: &[F], point: &[K]) -> Option<K> {
    let (first, rest) = match point.split_first() {
        None => {
            let [value] = values else { return None };
            return Some(K::from(*value));
        }
        Some(split) => split,
    };
    let (zeros, ones) = halves(values, point.len())?;
    let folded: Vec<K> = zeros
        .iter()
        .zip(ones)
        .map(|(zero, one)| K::from(*zero) + *first * (*one - *zero))
        .collect();
    evaluate_extension(folded, rest)
}

/// The same, of values in K.
#[must_use]
pub fn evaluate_extension(mut values: Vec<K>, point: &[K]) -> Option<K> {
    halves(&values, point.len())?;
    for coordinate in point {
        fold(&mut values, *coordinate);
    }
    values.first().copied()
}

/// The two halves of a table of exactly `2^variables` values; for no variables, the value and nothing.
fn halves<T>(values: &[T], variables: usize) -> Option<(&[T], &[T])> {
    let len = 1usize.checked_shl(u32::try_from(variables).ok()?)?;
    (values.len() == len)
        .then(|| values.split_at_checked(len.div_ceil(2)))
        .flatten()
}

/// Sets the first variable to `coordinate`: halves the table.
pub fn fold(values: &mut Vec<K>, coordinate: K) {
    let half = values.len() >> 1;
    if let Some((zeros, ones)) = values.split_at_mut_checked(half) {
        for (zero, one) in zeros.iter_mut().zip(ones) {
            *zero += coordinate * (*one - *zero);
        }
    }
    values.truncate(half);
}

/// The polynomial in one variable whose coefficients are `values`, lowest first, at `at`, in F or in K.
#[must_use]
pub fn horner<B: Copy>(values: &[K], at: B) -> K
where
    K: Mul<B, Output = K>,
{
    let falling = values.iter().rev();
    falling.fold(K::ZERO, |sum, value| sum * at + *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = K> {
        [any::<u64>(), any::<u64>(), any::<u64>()].prop_map(|c| K::new(c.map(F::from_u64)))
    }

    fn bits(index: u64, len: usize) -> Vec<K> {
        let bit = |at: usize| u32::try_from((index >> (len - 1 - at)) & 1).unwrap();
        (0..len).map(|at| K::from(bit(at))).collect()
    }

    proptest! {
        #[test]
        fn evaluation_is_the_sum_with_eq(point in proptest::collection::vec(element(), 0..6), seed in any::<u64>()) {
            let len = 1u64 << point.len();
            let values: Vec<F> = (0..len).map(|i| F::from_u64(seed.wrapping_mul(i + 1))).collect();
            let table = eq_table(&point, K::ONE);
            let sum: K = table.iter().zip(&values).map(|(e, v)| *e * *v).sum();
            prop_assert_eq!(evaluate(&values, &point), Some(sum));
            let wide: Vec<K> = values.iter().map(|v| K::from(*v)).collect();
            prop_assert_eq!(evaluate_extension(wide, &point), Some(sum));
            for (i, e) in (0..len).zip(&table) {
                prop_assert_eq!(*e, eq(&point, &bits(i, point.len())));
                prop_assert_eq!(*e, eq_index(&point, i));
            }
        }

        #[test]
        fn a_column_stands_behind_its_offset(point in proptest::collection::vec(element(), 2), values in proptest::collection::vec(any::<u64>(), 16)) {
            let values: Vec<F> = values.into_iter().map(F::from_u64).collect();
            for j in 0..4u64 {
                let column = &values[usize::try_from(j * 4).unwrap()..][..4];
                let whole = [bits(j, 2), point.clone()].concat();
                prop_assert_eq!(evaluate(&values, &whole), evaluate(column, &point));
            }
        }
    }

    #[test]
    fn tables_of_another_size_have_no_value() {
        for len in [0, 1, 3, 5, 8] {
            let values = vec![F::ONE; len];
            assert_eq!(evaluate(&values, &[K::ONE, K::ZERO]), None);
            assert_eq!(
                evaluate_extension(vec![K::ONE; len], &[K::ONE, K::ZERO]),
                None
            );
        }
        assert_eq!(evaluate(&[F::ONE], &[]), Some(K::ONE));
        assert_eq!(evaluate(&[F::ONE, F::ONE], &[]), None);
        assert_eq!(evaluate(&[], &[]), None);
        assert!(eq_table(&[K::ONE; 33], K::ONE).is_empty());
        assert_eq!(evaluate(&[F::ONE], &[K::ONE; 100]), None);
    }

    #[test]
    fn horner_is_lowest_first() {
        let values = [K::ONE, K::TWO, K::from(3u32)];
        assert_eq!(horner(&values, K::from(10u32)), K::from(321u32));
        assert_eq!(horner(&[], K::ONE), K::ZERO);
    }
}
