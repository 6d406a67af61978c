//! The field K = F[x] / (x³ − 2), of about 2^192 elements: challenges and claims live here.
//!
//! 2 is not a cube in F: its order there is 192, and 3 divides p − 1 but once, so `2^((p−1)/3) ≠ 1`. An element is `c₀ + c₁·x + c₂·x²`, encoded as c₀, c₁, c₂. Every operation is
//! total. It deliberately has no vectors.

use core::iter::{Product, Sum};
use core::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::field::F;

/// 2 to the power of (p−1)/3: a third root of unity, by which `x^p = ROOT · x`.
const ROOT: F = F::from_u64(4_294_967_295);

/// Its square.
const ROOT_SQUARE: F = F::from_u64(18_446_744_065_119_617_025);

/// An element of K.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct K([F; 3]);

impl K {
    /// 0.
    pub const ZERO: Self = Self([F::ZERO; 3]);
    /// 1.
    pub const ONE: Self = Self([F::ONE, F::ZERO, F::ZERO]);
    /// 2.
    pub const TWO: Self = Self([F::TWO, F::ZERO, F::ZERO]);
    /// Bytes of an encoded element.
    pub const BYTES: usize = 24;

    /// The element with these coordinates.
    #[must_use]
    pub const fn new(coordinates: [F; 3]) -> Self {
        Self(coordinates)
    }

    /// Its coordinates.
    #[must_use]
    pub const fn coordinates(self) -> [F; 3] {
        self.0
    }

    /// 24 bytes: the coordinates one after another.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (slots, _) = bytes.as_chunks_mut();
        for (slot, coordinate) in slots.iter_mut().zip(self.0) {
            *slot = coordinate.to_bytes();
        }
        bytes
    }

    /// The element of 24 bytes, unless a coordinate is p or more.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let mut coordinates = [F::ZERO; 3];
        let (slots, _) = bytes.as_chunks();
        for (coordinate, slot) in coordinates.iter_mut().zip(slots) {
            *coordinate = F::from_bytes(*slot)?;
        }
        Some(Self(coordinates))
    }

    /// Appends the 24 bytes.
    pub fn write(self, out: &mut Vec<u8>) {
        for coordinate in self.0 {
            out.extend_from_slice(&coordinate.to_bytes());
        }
    }

    /// The element doubled.
    #[must_use]
    pub fn double(self) -> Self {
        self + self
    }

    /// The square.
    #[must_use]
    pub fn square(self) -> Self {
        self * self
    }

    /// The power; 0 to the power of 0 is 1.
    #[must_use]
    pub fn pow(self, mut exponent: u64) -> Self {
        let mut result = Self::ONE;
        let mut base = self;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result *= base;
            }
            base = base.square();
            exponent >>= 1;
        }
        result
    }

    /// `Σ a·b` over as many as both have; each coordinate is reduced once for many products.
    #[must_use]
    pub fn dot(a: &[Self], b: &[Self]) -> Self {
        /// Three words hold 2^31 sums of six products.
        const LONG: usize = 1 << 24;
        let mut sum = Self::ZERO;
        for (a, b) in a.chunks(LONG).zip(b.chunks(LONG)) {
            let mut sums = [Products::default(); 3];
            for (Self([a0, a1, a2]), Self([b0, b1, b2])) in a.iter().zip(b) {
                let (twice_b1, twice_b2) = (b1.double(), b2.double());
                let [c0, c1, c2] = sums;
                sums = [
                    c0.add(*a0, *b0).add(*a1, twice_b2).add(*a2, twice_b1),
                    c1.add(*a0, *b1).add(*a1, *b0).add(*a2, twice_b2),
                    c2.add(*a0, *b2).add(*a1, *b1).add(*a2, *b0),
                ];
            }
            sum += Self(sums.map(Products::reduce));
        }
        sum
    }

    /// The p-th power, which keeps sums and products.
    fn frobenius(self) -> Self {
        let [c0, c1, c2] = self.0;
        Self([c0, c1 * ROOT, c2 * ROOT_SQUARE])
    }

    /// The inverse; that of 0 is 0.
    #[must_use]
    pub fn inverse(self) -> Self {
        let once = self.frobenius();
        let others = once * once.frobenius();
        // The product of an element and its two conjugates is in F.
        let [norm, ..] = (self * others).0;
        others * norm.inverse()
    }
}

/// A sum of products of elements of F, reduced once: three words.
#[derive(Clone, Copy, Default)]
struct Products(u64, u64, u64);

impl Products {
    /// Adds a product. At most 2^31 of them.
    #[inline(always)]
    fn add(self, a: F, b: F) -> Self {
        let (low, high) = a.to_u64().carrying_mul(b.to_u64(), 0);
        let (low, carry) = self.0.overflowing_add(low);
        let (high, carry) = self.1.carrying_add(high, carry);
        if carry {
            Self(low, high, self.2.wrapping_add(1))
        } else {
            Self(low, high, self.2)
        }
    }

    #[inline(always)]
    fn reduce(self) -> F {
        // 2^128 = −2^32, modulo p.
        F::from_wide(self.0, self.1) - F::from_u64(self.2 << 32)
    }
}

impl From<F> for K {
    #[inline]
    fn from(value: F) -> Self {
        Self([value, F::ZERO, F::ZERO])
    }
}

impl From<u32> for K {
    fn from(value: u32) -> Self {
        Self::from(F::from(value))
    }
}

impl Add for K {
    type Output = Self;

    #[inline]
    fn add(self, Self([b0, b1, b2]): Self) -> Self {
        let [a0, a1, a2] = self.0;
        Self([a0 + b0, a1 + b1, a2 + b2])
    }
}

impl Sub for K {
    type Output = Self;

    #[inline]
    fn sub(self, Self([b0, b1, b2]): Self) -> Self {
        let [a0, a1, a2] = self.0;
        Self([a0 - b0, a1 - b1, a2 - b2])
    }
}

impl Neg for K {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        Self(self.0.map(|coordinate| -coordinate))
    }
}

impl Mul for K {
    type Output = Self;

    // Left to itself, the compiler calls it from loops, and moves its operands through memory.
    #[inline(always)]
    fn mul(self, Self([b0, b1, b2]): Self) -> Self {
        let [a0, a1, a2] = self.0;
        let (twice_b1, twice_b2) = (b1.double(), b2.double());
        let none = Products::default();
        Self([
            none.add(a0, b0)
                .add(a1, twice_b2)
                .add(a2, twice_b1)
                .reduce(),
            none.add(a0, b1).add(a1, b0).add(a2, twice_b2).reduce(),
            none.add(a0, b2).add(a1, b1).add(a2, b0).reduce(),
        ])
    }
}

impl Mul<F> for K {
    type Output = Self;

    #[inline]
    fn mul(self, other: F) -> Self {
        Self(self.0.map(|coordinate| coordinate * other))
    }
}

impl AddAssign for K {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for K {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl MulAssign for K {
    #[inline]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl MulAssign<F> for K {
    #[inline]
    fn mul_assign(&mut self, other: F) {
        *self = *self * other;
    }
}

impl Sum for K {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Self::add)
    }
}

impl Product for K {
    fn product<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ONE, Self::mul)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MODULUS;
    use proptest::prelude::*;

    fn coordinate() -> impl Strategy<Value = F> {
        prop_oneof![any::<u64>(), MODULUS - 3..MODULUS, 0u64..3].prop_map(F::from_u64)
    }

    fn element() -> impl Strategy<Value = K> {
        [coordinate(), coordinate(), coordinate()].prop_map(K::new)
    }

    proptest! {
        #[test]
        fn products_are_those_of_polynomials(a in element(), b in element()) {
            let mut plain = [F::ZERO; 5];
            for (i, x) in a.coordinates().into_iter().enumerate() {
                for (j, y) in b.coordinates().into_iter().enumerate() {
                    plain[i + j] += x * y;
                }
            }
            let [c0, c1, c2, c3, c4] = plain;
            prop_assert_eq!(a * b, K::new([c0 + c3.double(), c1 + c4.double(), c2]));
            prop_assert_eq!(a * b, b * a);
            prop_assert_eq!(a * b.coordinates()[0], a * K::from(b.coordinates()[0]));
        }

        #[test]
        fn a_dot_product_is_the_sum_of_products(a in proptest::collection::vec(element(), 0..40), b in proptest::collection::vec(element(), 0..40)) {
            let sum: K = a.iter().zip(&b).map(|(a, b)| *a * *b).sum();
            prop_assert_eq!(K::dot(&a, &b), sum);
        }

        #[test]
        fn laws(a in element(), b in element(), c in element()) {
            prop_assert_eq!((a + b) * c, a * c + b * c);
            prop_assert_eq!(a * b * c, a * (b * c));
            prop_assert_eq!(a - b + b, a);
            prop_assert_eq!(a * a.inverse(), if a == K::ZERO { K::ZERO } else { K::ONE });
            prop_assert_eq!(K::from_bytes(a.to_bytes()), Some(a));
        }
    }

    #[test]
    fn two_is_not_a_cube() {
        assert_eq!(ROOT, F::TWO.pow((MODULUS - 1) / 3));
        assert_eq!(ROOT_SQUARE, ROOT.square());
        assert_ne!(ROOT, F::ONE);
        assert_eq!(ROOT * ROOT * ROOT, F::ONE);
        let x = K::new([F::ZERO, F::ONE, F::ZERO]);
        assert_eq!(x * x * x, K::TWO);
        assert_eq!(x.pow(MODULUS), x.frobenius());
        assert_eq!(x.pow(5), x * x * x * x * x);
    }

    #[test]
    fn coordinates_of_p_or_more_are_refused() {
        for at in [0, 8, 16] {
            let mut bytes = [0; 24];
            bytes[at..at + 8].copy_from_slice(&MODULUS.to_le_bytes());
            assert_eq!(K::from_bytes(bytes), None);
        }
        let mut out = Vec::new();
        K::new([F::from(1u32), F::from(2u32), F::from(3u32)]).write(&mut out);
        assert_eq!(
            hex(&out),
            "010000000000000002000000000000000300000000000000"
        );
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
