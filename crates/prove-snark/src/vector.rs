//! Loops over slices of K in the widest vectors that the processor has: folding, and the sums of a layer of fractions.
//!
//! The loops are those that one would write with K's own operators, over [`Wide`], whose products the compiler turns into vectors of 512 bits where there are such (see `pcs/kernel.rs`); elsewhere they are K's own. Long ones are shared
//! among threads. What comes out is the same everywhere. It deliberately knows no protocol.

use core::ops::{Add, Mul, Sub};

use credence_method_snark::{F, K, mle};
use rayon::prelude::*;

use crate::pcs::kernel::{Kernel, add, mul, run, sub};

/// Elements that one task takes.
const TASK: usize = 1 << TASK_LOG;
const TASK_LOG: usize = 11;

/// Elements whose terms are kept before they are summed.
const BUFFER: usize = 64;

/// An element of K as words, with operators for loops.
#[derive(Debug, Clone, Copy)]
struct Wide<const HALVES: bool>([u64; 3]);

impl<const HALVES: bool> Wide<HALVES> {
    #[inline(always)]
    fn of(value: K) -> Self {
        Self(value.coordinates().map(F::to_u64))
    }

    #[inline(always)]
    fn element(self) -> K {
        K::new(self.0.map(F::from_u64))
    }
}

impl<const HALVES: bool> Add for Wide<HALVES> {
    type Output = Self;

    #[inline(always)]
    fn add(self, Self([b0, b1, b2]): Self) -> Self {
        let Self([a0, a1, a2]) = self;
        Self([add(a0, b0), add(a1, b1), add(a2, b2)])
    }
}

impl<const HALVES: bool> Sub for Wide<HALVES> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, Self([b0, b1, b2]): Self) -> Self {
        let Self([a0, a1, a2]) = self;
        Self([sub(a0, b0), sub(a1, b1), sub(a2, b2)])
    }
}

impl<const HALVES: bool> Mul for Wide<HALVES> {
    type Output = Self;

    /// Karatsuba: six products in F. Without vectors K's own nine, which are reduced three at a time, are faster.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        if !HALVES {
            return Self::of(self.element() * other.element());
        }
        let (Self([a0, a1, a2]), Self([b0, b1, b2])) = (self, other);
        let (v0, v1, v2) = (
            mul::<HALVES>(a0, b0),
            mul::<HALVES>(a1, b1),
            mul::<HALVES>(a2, b2),
        );
        let cross = |x: (u64, u64), y: (u64, u64), v: u64, w: u64| {
            sub(sub(mul::<HALVES>(add(x.0, x.1), add(y.0, y.1)), v), w)
        };
        let high = cross((a1, a2), (b1, b2), v1, v2);
        let low = cross((a0, a1), (b0, b1), v0, v1);
        let middle = cross((a0, a2), (b0, b2), v0, v2);
        Self([
            add(v0, add(high, high)),
            add(low, add(v2, v2)),
            add(middle, v1),
        ])
    }
}

/// Sets the highest variable of a table: its halves become one.
pub fn fold(values: &mut Vec<K>, challenge: K) {
    let half = values.len() / 2;
    let (zeros, ones) = values.split_at_mut(half);
    zeros
        .par_chunks_mut(TASK)
        .zip(ones.par_chunks(TASK))
        .for_each(|(zeros, ones)| {
            run(Fold {
                zeros,
                ones,
                challenge,
            });
        });
    values.truncate(half);
}

/// `zero + challenge·(one − zero)`, in place.
pub(crate) struct Fold<'a> {
    pub(crate) zeros: &'a mut [K],
    pub(crate) ones: &'a [K],
    pub(crate) challenge: K,
}

impl Kernel for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let challenge = Wide::<HALVES>::of(self.challenge);
        for (zero, one) in self.zeros.iter_mut().zip(self.ones) {
            let (z, o) = (Wide::<HALVES>::of(*zero), Wide::of(*one));
            *zero = (z + challenge * (o - z)).element();
        }
    }
}

/// As `mle::eq_table`: `scale · eq(point, i)` for every i, the first coordinate the highest bit.
#[must_use]
pub fn eq_table(point: &[K], scale: K) -> Vec<K> {
    // The low bits alone, then a second half for each coordinate above them.
    let (high, low) = point.split_at(point.len().saturating_sub(TASK_LOG));
    let mut table = mle::eq_table(low, scale);
    table.reserve_exact(table.len() * ((1 << high.len()) - 1));
    for coordinate in high.iter().rev() {
        let half = table.len();
        table.resize(2 * half, K::ZERO);
        let (zeros, ones) = table.split_at_mut(half);
        let tasks = zeros.par_chunks_mut(TASK).zip(ones.par_chunks_mut(TASK));
        tasks.for_each(|(zeros, ones)| {
            run(Stretch {
                zeros,
                ones,
                coordinate: *coordinate,
            });
        });
    }
    table
}

struct Stretch<'a> {
    zeros: &'a mut [K],
    ones: &'a mut [K],
    coordinate: K,
}

impl Kernel for Stretch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let coordinate = Wide::<HALVES>::of(self.coordinate);
        for (zero, one) in self.zeros.iter_mut().zip(self.ones) {
            let value = Wide::<HALVES>::of(*zero);
            let share = value * coordinate;
            *one = share.element();
            *zero = (value - share).element();
        }
    }
}

/// Adds `factor` times another slice.
pub fn add_scaled(values: &mut [K], factor: K, others: &[K]) {
    values
        .par_chunks_mut(TASK)
        .zip(others.par_chunks(TASK))
        .for_each(|(values, others)| {
            run(AddScaled {
                values,
                factor,
                others,
            });
        });
}

struct AddScaled<'a> {
    values: &'a mut [K],
    factor: K,
    others: &'a [K],
}

impl Kernel for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let factor = Wide::<HALVES>::of(self.factor);
        for (value, other) in self.values.iter_mut().zip(self.others) {
            let sum = Wide::<HALVES>::of(*value) + factor * Wide::of(*other);
            *value = sum.element();
        }
    }
}

/// Adds fraction i to fraction i + half: numerators `p₀·q₁ + p₁·q₀`, denominators `q₀·q₁`. Both slices are of one even length.
#[must_use]
pub fn add_fractions(p: &[K], q: &[K]) -> (Vec<K>, Vec<K>) {
    let half = p.len().min(q.len()) / 2;
    let (p0, p1) = p.split_at(half);
    let (q0, q1) = q.split_at(half);
    let (mut numerators, mut denominators) = (vec![K::ZERO; half], vec![K::ZERO; half]);
    let sums = numerators
        .par_chunks_mut(TASK)
        .zip(denominators.par_chunks_mut(TASK));
    let left = p0.par_chunks(TASK).zip(q0.par_chunks(TASK));
    let right = p1.par_chunks(TASK).zip(q1.par_chunks(TASK));
    sums.zip(left.zip(right))
        .for_each(|(sums, (left, right))| run(AddFractions { sums, left, right }));
    (numerators, denominators)
}

struct AddFractions<'a> {
    sums: (&'a mut [K], &'a mut [K]),
    left: (&'a [K], &'a [K]),
    right: (&'a [K], &'a [K]),
}

impl Kernel for AddFractions<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const HALVES: bool>(self) {
        let sums = self.sums.0.iter_mut().zip(self.sums.1);
        let left = self.left.0.iter().zip(self.left.1);
        let right = self.right.0.iter().zip(self.right.1);
        for ((p, q), ((p0, q0), (p1, q1))) in sums.zip(left.zip(right)) {
            let (p0, q0) = (Wide::<HALVES>::of(*p0), Wide::of(*q0));
            let (p1, q1) = (Wide::<HALVES>::of(*p1), Wide::of(*q1));
            *p = (p0 * q1 + p1 * q0).element();
            *q = (q0 * q1).element();
        }
    }
}

/// Four tables of one even length, and weights, half as many: for the polynomial `s·y + u·w` in the highest variable, the weighted sums of its values at 0 and of its leading coefficients.
///
/// `Σ rest·(s₀·y₀ + u₀·w₀)` and `Σ rest·((s₁ − s₀)·(y₁ − y₀) + (u₁ − u₀)·(w₁ − w₀))`.
#[must_use]
pub fn fraction_sums(s: &[K], y: &[K], (u, w): (&[K], &[K]), rest: &[K]) -> [K; 2] {
    let tables = [s, y, u, w];
    // Nothing is summed behind the shortest.
    let shortest = tables.iter().map(|table| table.len() / 2).min();
    let half = rest.len().min(shortest.unwrap_or(0));
    let tables = tables.map(|table| table.split_at(table.len() / 2));
    let starts = (0..half.div_ceil(TASK)).into_par_iter();
    starts
        .map(|task| {
            let start = task * TASK;
            let end = half.min(start + TASK);
            run(FractionSums {
                zeros: tables.map(|(zeros, _)| cut(zeros, start, end)),
                ones: tables.map(|(_, ones)| cut(ones, start, end)),
                rest: cut(rest, start, end),
            })
        })
        .reduce(|| [K::ZERO; 2], |[a0, a1], [b0, b1]| [a0 + b0, a1 + b1])
}

fn cut(part: &[K], start: usize, end: usize) -> &[K] {
    part.get(start..end).unwrap_or_default()
}

struct FractionSums<'a> {
    zeros: [&'a [K]; 4],
    ones: [&'a [K]; 4],
    rest: &'a [K],
}

/// Sums so far, a lane for each place in a block.
struct Lanes {
    at_zero: [K; BUFFER],
    leading: [K; BUFFER],
}

impl Lanes {
    /// Adds a block of each table. All loops are over arrays, so that they become vectors.
    #[inline(always)]
    fn add<const HALVES: bool>(
        &mut self,
        [s0, y0, u0, w0]: [&[K; BUFFER]; 4],
        [s1, y1, u1, w1]: [&[K; BUFFER]; 4],
        rest: &[K; BUFFER],
    ) {
        for i in 0..BUFFER {
            let of = |table: &[K; BUFFER]| Wide::<HALVES>::of(table[i]);
            let (s, y, u, w) = (of(s0), of(y0), of(u0), of(w0));
            let zero = s * y + u * w;
            let lead = (of(s1) - s) * (of(y1) - y) + (of(u1) - u) * (of(w1) - w);
            self.at_zero[i] = (of(&self.at_zero) + of(rest) * zero).element();
            self.leading[i] = (of(&self.leading) + of(rest) * lead).element();
        }
    }
}

impl Kernel for FractionSums<'_> {
    type Output = [K; 2];

    #[inline(always)]
    fn run<const HALVES: bool>(self) -> [K; 2] {
        let mut lanes = Lanes {
            at_zero: [K::ZERO; BUFFER],
            leading: [K::ZERO; BUFFER],
        };
        let zeros = self.zeros.map(|table| table.as_chunks::<BUFFER>());
        let ones = self.ones.map(|table| table.as_chunks::<BUFFER>());
        let (blocks, tail) = self.rest.as_chunks::<BUFFER>();
        for (at, rest) in blocks.iter().enumerate() {
            let zeros = zeros.map(|(blocks, _)| &blocks[at]);
            let ones = ones.map(|(blocks, _)| &blocks[at]);
            lanes.add::<HALVES>(zeros, ones, rest);
        }
        // Filled up with zeros, of which no term comes.
        let zeros = zeros.map(|(_, tail)| filled(tail));
        let ones = ones.map(|(_, tail)| filled(tail));
        lanes.add::<HALVES>(zeros.each_ref(), ones.each_ref(), &filled(tail));
        [lanes.at_zero, lanes.leading].map(|sums| sums.into_iter().sum())
    }
}

fn filled<T: Copy + Default>(values: &[T]) -> [T; BUFFER] {
    let mut block = [T::default(); BUFFER];
    for (slot, value) in block.iter_mut().zip(values) {
        *slot = *value;
    }
    block
}

/// A value that is weighed: an element of F or of K.
pub trait Value: Copy + Default + Send + Sync + private::Times {}

impl Value for F {}
impl Value for K {}

mod private {
    use super::{F, K, Wide, add, mul, sub};

    /// Arithmetic of values in loops.
    pub trait Times: Copy {
        /// `2·one − zero`: the value at 2 of the line through both.
        fn at_two(zero: Self, one: Self) -> Self;

        /// The product with a weight, in words.
        fn times<const HALVES: bool>(self, weight: [u64; 3]) -> [u64; 3];
    }

    impl Times for F {
        #[inline(always)]
        fn at_two(zero: Self, one: Self) -> Self {
            let one = one.to_u64();
            Self::from_u64(sub(add(one, one), zero.to_u64()))
        }

        #[inline(always)]
        fn times<const HALVES: bool>(self, weight: [u64; 3]) -> [u64; 3] {
            weight.map(|word| mul::<HALVES>(self.to_u64(), word))
        }
    }

    impl Times for K {
        #[inline(always)]
        fn at_two(zero: Self, one: Self) -> Self {
            let (zero, one) = (Wide::<false>::of(zero), Wide::of(one));
            (one + one - zero).element()
        }

        #[inline(always)]
        fn times<const HALVES: bool>(self, weight: [u64; 3]) -> [u64; 3] {
            (Wide::<HALVES>::of(self) * Wide(weight)).0
        }
    }
}

/// A table of values in F or K and one of weights, of one even length: the polynomial `Σ value·weight` in the highest variable, at 0 and at 2.
#[must_use]
pub fn product_sums<V: Value>(values: &[V], weights: &[K]) -> [K; 2] {
    let half = values.len().min(weights.len()) / 2;
    let (v0, v1) = values.split_at(half);
    let (w0, w1) = weights.split_at(half);
    let values = v0.par_chunks(TASK).zip(v1.par_chunks(TASK));
    let weights = w0.par_chunks(TASK).zip(w1.par_chunks(TASK));
    values
        .zip(weights)
        .map(|(values, weights)| run(ProductSums { values, weights }))
        .reduce(|| [K::ZERO; 2], |[a0, a1], [b0, b1]| [a0 + b0, a1 + b1])
}

struct ProductSums<'a, V> {
    values: (&'a [V], &'a [V]),
    weights: (&'a [K], &'a [K]),
}

impl<V: Value> Kernel for ProductSums<'_, V> {
    type Output = [K; 2];

    #[inline(always)]
    fn run<const HALVES: bool>(self) -> [K; 2] {
        let mut sums = [[K::ZERO; BUFFER]; 2];
        let (v0, v0_tail) = self.values.0.as_chunks::<BUFFER>();
        let (v1, v1_tail) = self.values.1.as_chunks::<BUFFER>();
        let (w0, w0_tail) = self.weights.0.as_chunks::<BUFFER>();
        let (w1, w1_tail) = self.weights.1.as_chunks::<BUFFER>();
        for ((v0, v1), (w0, w1)) in v0.iter().zip(v1).zip(w0.iter().zip(w1)) {
            add_products::<V, HALVES>(&mut sums, (v0, v1), (w0, w1));
        }
        add_products::<V, HALVES>(
            &mut sums,
            (&filled(v0_tail), &filled(v1_tail)),
            (&filled(w0_tail), &filled(w1_tail)),
        );
        sums.map(|sums| sums.into_iter().sum())
    }
}

#[inline(always)]
fn add_products<V: Value, const HALVES: bool>(
    [at_zero, at_two]: &mut [[K; BUFFER]; 2],
    (v0, v1): (&[V; BUFFER], &[V; BUFFER]),
    (w0, w1): (&[K; BUFFER], &[K; BUFFER]),
) {
    for i in 0..BUFFER {
        let (zero, one) = (Wide::<HALVES>::of(w0[i]), Wide::of(w1[i]));
        let product = Wide::<HALVES>(v0[i].times::<HALVES>(zero.0));
        at_zero[i] = (Wide::of(at_zero[i]) + product).element();
        let weight = one + one - zero;
        let product = Wide::<HALVES>(V::at_two(v0[i], v1[i]).times::<HALVES>(weight.0));
        at_two[i] = (Wide::of(at_two[i]) + product).element();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(len: u64, seed: u64) -> Vec<K> {
        let word = |i: u64| F::from_u64((i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 40));
        (0..len)
            .map(|i| K::new([word(3 * i), word(3 * i + 1), -word(i)]))
            .collect()
    }

    #[test]
    fn loops_give_what_operators_give() {
        for len in [2u64, 4, 128, 256, 8192] {
            let (p, q) = (table(len, 1), table(len, 2));
            let half = p.len() / 2;
            let factor = table(1, 9)[0];
            let (mut fast, mut slow) = (p.clone(), p.clone());
            fold(&mut fast, factor);
            mle::fold(&mut slow, factor);
            assert_eq!(fast, slow);

            let mut fast = p.clone();
            add_scaled(&mut fast, factor, &q);
            let slow = p.iter().zip(&q).map(|(p, q)| *p + factor * *q);
            assert!(fast.iter().copied().eq(slow));

            let (fast_p, fast_q) = add_fractions(&p, &q);
            for i in 0..half {
                assert_eq!(fast_p[i], p[i] * q[i + half] + p[i + half] * q[i]);
                assert_eq!(fast_q[i], q[i] * q[i + half]);
            }

            let (u, w, rest) = (table(len, 3), table(len, 4), table(len / 2, 5));
            let (mut zero, mut lead) = (K::ZERO, K::ZERO);
            for i in 0..half {
                let difference = |t: &[K]| t[i + half] - t[i];
                zero += rest[i] * (p[i] * q[i] + u[i] * w[i]);
                let products = difference(&p) * difference(&q) + difference(&u) * difference(&w);
                lead += rest[i] * products;
            }
            assert_eq!(fraction_sums(&p, &q, (&u, &w), &rest), [zero, lead]);
        }
    }

    #[test]
    fn sums_of_products_are_the_plain_ones() {
        for len in [2u64, 64, 130, 8192] {
            let (values, weights) = (table(len, 1), table(len, 2));
            let base: Vec<F> = values.iter().map(|v| v.coordinates()[1]).collect();
            let half = values.len() / 2;
            let plain = |value: &dyn Fn(usize) -> K| -> [K; 2] {
                let at_two = |i: usize| {
                    let weight = weights[i + half].double() - weights[i];
                    (value(i + half).double() - value(i)) * weight
                };
                [
                    (0..half).map(|i| value(i) * weights[i]).sum(),
                    (0..half).map(at_two).sum(),
                ]
            };
            let wide = plain(&|i| values[i]);
            assert_eq!(product_sums(&values, &weights), wide, "{len}");
            let narrow = plain(&|i| K::from(base[i]));
            assert_eq!(product_sums(&base, &weights), narrow, "{len}");
        }
    }

    #[test]
    fn tables_of_eq_are_the_plain_ones() {
        for variables in [0, 1, 10, 11, 12, 14] {
            let point = table(variables, 8);
            let scale = table(1, 3)[0];
            assert_eq!(eq_table(&point, scale), mle::eq_table(&point, scale));
        }
    }

    #[test]
    fn both_kinds_of_products_are_those_of_the_field() {
        for (a, b) in table(64, 6).into_iter().zip(table(64, 7)) {
            let plain = (Wide::<false>::of(a) * Wide::of(b)).element();
            let halves = (Wide::<true>::of(a) * Wide::of(b)).element();
            assert_eq!([plain, halves], [a * b; 2]);
        }
    }
}
