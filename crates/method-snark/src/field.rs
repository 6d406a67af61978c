//! The field F of p = 2^64 − 2^32 + 1 elements (Goldilocks).
//!
//! A value is always kept as the one integer in `0 … p−1` that stands for it, so that equality of values is equality of bytes. Every operation is total.
//! It deliberately has no vectors: a prover's loops over many elements are its own.

use core::iter::Sum;
use core::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// The prime p.
pub const MODULUS: u64 = 0xffff_ffff_0000_0001;

/// 2^64 mod p.
const EPSILON: u64 = 0xffff_ffff;

/// F has a root of unity of order 2 to this power, and of no higher one.
pub const TWO_ADICITY: u32 = 32;

/// Generates all of F but zero.
const GENERATOR: F = F(7);

/// An element of F.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct F(u64);

impl F {
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 1.
    pub const ONE: Self = Self(1);
    /// 2.
    pub const TWO: Self = Self(2);
    /// Bytes of an encoded element.
    pub const BYTES: usize = 8;

    /// The element that `value` is, unless it is p or more.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value < MODULUS {
            Some(Self(value))
        } else {
            None
        }
    }

    /// `value` mod p.
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        let (less, under) = value.overflowing_sub(MODULUS);
        if under { Self(value) } else { Self(less) }
    }

    /// `value` mod p: a negative number −n is p − n. Two numbers of fewer than 63 bits that are equal in F are equal.
    #[must_use]
    pub const fn from_i64(value: i64) -> Self {
        let magnitude = Self::from_u64(value.unsigned_abs());
        if value < 0 {
            Self::ZERO.minus(magnitude)
        } else {
            magnitude
        }
    }

    /// `low + 2^64 · high` mod p.
    #[must_use]
    pub const fn from_wide(low: u64, high: u64) -> Self {
        // 2^64 = 2^32 − 1 and 2^96 = −1, modulo p.
        let (mut sum, borrow) = low.overflowing_sub(high >> 32);
        if borrow {
            sum = sum.wrapping_sub(EPSILON);
        }
        let middle = (high & EPSILON).wrapping_mul(EPSILON);
        let (mut sum, carry) = sum.overflowing_add(middle);
        if carry {
            sum = sum.wrapping_add(EPSILON);
        }
        Self::from_u64(sum)
    }

    /// `value` mod p.
    #[must_use]
    pub fn from_u128(value: u128) -> Self {
        let low = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
        let high = u64::try_from(value >> 64).unwrap_or(0);
        Self::from_wide(low, high)
    }

    /// The integer in `0 … p−1`.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Eight bytes, little-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_le_bytes()
    }

    /// The element of eight bytes, unless they are p or more.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        Self::new(u64::from_le_bytes(bytes))
    }

    const fn plus(self, other: Self) -> Self {
        let (sum, over) = self.0.overflowing_add(other.0);
        let (less, under) = sum.overflowing_sub(MODULUS);
        if over || !under {
            Self(less)
        } else {
            Self(sum)
        }
    }

    const fn minus(self, other: Self) -> Self {
        let (less, under) = self.0.overflowing_sub(other.0);
        if under {
            Self(less.wrapping_add(MODULUS))
        } else {
            Self(less)
        }
    }

    #[inline]
    fn times(self, other: Self) -> Self {
        let (low, high) = self.0.carrying_mul(other.0, 0);
        Self::from_wide(low, high)
    }

    /// The element doubled.
    #[must_use]
    pub const fn double(self) -> Self {
        self.plus(self)
    }

    /// The square.
    #[must_use]
    #[inline]
    pub fn square(self) -> Self {
        self.times(self)
    }

    /// The power; 0 to the power of 0 is 1.
    #[must_use]
    pub fn pow(self, mut exponent: u64) -> Self {
        let mut result = Self::ONE;
        let mut base = self;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.times(base);
            }
            base = base.square();
            exponent >>= 1;
        }
        result
    }

    /// The inverse; that of 0 is 0.
    #[must_use]
    pub fn inverse(self) -> Self {
        self.pow(MODULUS.wrapping_sub(2))
    }

    /// The root of unity of order `2^log_order` that all of this project uses: `7^((p−1) / 2^log_order)`. `None` above [`TWO_ADICITY`].
    #[must_use]
    pub fn root_of_unity(log_order: u32) -> Option<Self> {
        if log_order > TWO_ADICITY {
            return None;
        }
        Some(GENERATOR.pow(MODULUS.wrapping_sub(1) >> log_order))
    }
}

impl Add for F {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        self.plus(other)
    }
}

impl Sub for F {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        self.minus(other)
    }
}

impl Mul for F {
    type Output = Self;

    #[inline]
    fn mul(self, other: Self) -> Self {
        self.times(other)
    }
}

impl Neg for F {
    type Output = Self;

    #[inline]
    fn neg(self) -> Self {
        Self::ZERO.minus(self)
    }
}

impl AddAssign for F {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl SubAssign for F {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        *self = self.minus(other);
    }
}

impl MulAssign for F {
    #[inline]
    fn mul_assign(&mut self, other: Self) {
        *self = self.times(other);
    }
}

impl Sum for F {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Self::plus)
    }
}

impl From<u32> for F {
    fn from(value: u32) -> Self {
        Self(u64::from(value))
    }
}

impl From<i64> for F {
    fn from(value: i64) -> Self {
        Self::from_i64(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: u128 = MODULUS as u128;

    fn edge() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            0u64..4,
            MODULUS - 4..MODULUS + 4,
            u64::MAX - 3..=u64::MAX,
            (1u64 << 32) - 3..(1u64 << 32) + 3,
        ]
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_integers_modulo_p(a in edge(), b in edge()) {
            let (x, y) = (F::from_u64(a), F::from_u64(b));
            let (a, b) = (u128::from(a) % P, u128::from(b) % P);
            prop_assert_eq!(u128::from(x.to_u64()), a);
            prop_assert_eq!(u128::from((x + y).to_u64()), (a + b) % P);
            prop_assert_eq!(u128::from((x - y).to_u64()), (a + P - b) % P);
            prop_assert_eq!(u128::from((x * y).to_u64()), a * b % P);
            prop_assert_eq!(x + -x, F::ZERO);
            prop_assert_eq!(x * x.inverse(), if x == F::ZERO { F::ZERO } else { F::ONE });
        }

        #[test]
        fn wide_numbers_are_reduced(low in edge(), high in edge()) {
            let wide = (u128::from(high) << 64) | u128::from(low);
            prop_assert_eq!(u128::from(F::from_wide(low, high).to_u64()), wide % P);
            prop_assert_eq!(F::from_u128(wide), F::from_wide(low, high));
        }

        #[test]
        fn signed_numbers_keep_their_sums(a in -(1i64 << 61)..(1i64 << 61), b in -(1i64 << 61)..(1i64 << 61)) {
            prop_assert_eq!(F::from_i64(a) + F::from_i64(b), F::from_i64(a + b));
            prop_assert_eq!(F::from_i64(a) == F::from_i64(b), a == b);
        }
    }

    #[test]
    fn one_encoding_for_each_value() {
        assert_eq!(F::from_bytes((MODULUS - 1).to_le_bytes()), Some(-F::ONE));
        assert_eq!(F::from_bytes(MODULUS.to_le_bytes()), None);
        assert_eq!(F::from_bytes([0xff; 8]), None);
        assert_eq!(F::from(3u32).to_bytes(), [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            F::from_i64(i64::MIN).to_u64(),
            MODULUS - (1 << 63),
            "the least number"
        );
    }

    #[test]
    fn roots_of_unity_have_their_order() {
        assert_eq!(F::root_of_unity(0), Some(F::ONE));
        assert_eq!(F::root_of_unity(1), Some(-F::ONE));
        assert_eq!(F::root_of_unity(33), None);
        for log_order in 1..=32u32 {
            let root = F::root_of_unity(log_order).unwrap();
            assert_eq!(root.pow(1 << (log_order - 1)), -F::ONE, "{log_order}");
            assert_eq!(Some(root.square()), F::root_of_unity(log_order - 1));
        }
        assert_eq!(
            F::root_of_unity(32).unwrap().to_u64(),
            1_753_635_133_440_165_772
        );
    }
}
