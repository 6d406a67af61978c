//! Errors as bits: −log₂ in fixed point, and sums of errors, always rounded against the prover.
//!
//! One unit is 2^-16 of a bit. There is no floating point: the same numbers come out everywhere.

/// −log₂ of an error, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bits(u64);

/// The least step.
pub(crate) const UNIT: Bits = Bits(1);

/// log₂(65/64), rounded up.
pub(crate) const MARGIN: Bits = Bits(1466);

/// Fraction bits of a unit.
const FRACTION: u32 = 16;

/// Fraction bits of the numbers that are summed.
const SCALE: u32 = 60;

impl Bits {
    /// So many bits.
    #[must_use]
    pub const fn whole(bits: u32) -> Self {
        let [b0, b1, b2, b3] = bits.to_le_bytes();
        Self(u64::from_le_bytes([0, 0, b0, b1, b2, b3, 0, 0]))
    }

    /// So many halves of a bit.
    #[must_use]
    pub(crate) const fn halves(halves: u32) -> Self {
        Self(Self::whole(halves).0 >> 1)
    }

    /// In units of 2^-16.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Whole bits, rounded down.
    #[must_use]
    pub const fn floor(self) -> u64 {
        self.0 >> FRACTION
    }

    /// Tenths of a bit, rounded down.
    #[must_use]
    pub const fn tenths(self) -> u64 {
        self.0.saturating_mul(10) >> FRACTION
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Not below 0.
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    pub(crate) const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(Self::whole(count).0 >> FRACTION))
    }

    /// log₂ of a number of at least 1, rounded up.
    pub(crate) fn log2_up(number: u64) -> Self {
        log2_up(u128::from(number.max(1)) << SCALE)
    }

    /// The error that is the sum of these errors; of none, as many bits as there are units for.
    #[must_use]
    pub fn of_sum(errors: &[Self]) -> Self {
        let Some(least) = errors.iter().copied().min() else {
            return Self(u64::MAX);
        };
        let sum = errors.iter().fold(0u128, |sum, error| {
            sum.saturating_add(exp2_up(error.minus(least)))
        });
        least.minus(log2_up(sum))
    }
}

/// `2^-bits` times 2^60, rounded up.
fn exp2_up(bits: Bits) -> u128 {
    let mut value = 1u128 << SCALE;
    let mut root = value << 1;
    // The number whose square is 2, whose fourth power is 2, and so on; rounded down, so that dividing by it rounds up.
    for place in (0..FRACTION).rev() {
        root = (root << SCALE).isqrt();
        if bits.0.checked_shr(place).unwrap_or(0) & 1 == 1 {
            value = (value << SCALE).div_ceil(root.max(1));
        }
    }
    let whole = u32::try_from(bits.floor()).unwrap_or(u32::MAX);
    value.checked_shr(whole).unwrap_or(0).saturating_add(1)
}

/// log₂ of `number / 2^60`, at least 1, rounded up.
fn log2_up(number: u128) -> Bits {
    let whole = number.max(1).ilog2().saturating_sub(SCALE);
    let mut rest = number.checked_shr(whole).unwrap_or(1).saturating_add(1);
    let mut units = 0u64;
    for _ in 0..FRACTION {
        rest = (rest.saturating_mul(rest) >> SCALE).saturating_add(1);
        units <<= 1;
        if rest >> SCALE > 1 {
            units |= 1;
            rest = (rest >> 1).saturating_add(1);
        }
    }
    Bits::whole(whole).plus(Bits(units.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn float(bits: Bits) -> f64 {
        f64::from(u32::try_from(bits.units()).unwrap()) / 65536.0
    }

    proptest! {
        #[test]
        fn sums_are_close_and_never_better(errors in proptest::collection::vec(0u64..(200 << 16), 1..60)) {
            let errors: Vec<Bits> = errors.into_iter().map(Bits).collect();
            let exact = -errors.iter().map(|e| (-float(*e)).exp2()).sum::<f64>().log2();
            let got = Bits::of_sum(&errors);
            if got > Bits(0) {
                prop_assert!(float(got) <= exact + 1e-9 && float(got) > exact - 1e-4, "{} {exact}", float(got));
            } else {
                prop_assert!(exact < 1e-4);
            }
        }

        #[test]
        fn logarithms_are_close_and_rounded_up(number in 1u64..1 << 50) {
            let exact = (f64::from(u32::try_from(number >> 25).unwrap()) * 33_554_432.0 + f64::from(u32::try_from(number & 0x1ff_ffff).unwrap())).log2();
            let got = float(Bits::log2_up(number));
            prop_assert!(got >= exact - 1e-9 && got < exact + 1e-4);
        }
    }

    #[test]
    fn the_margin_is_that_of_65_64ths() {
        let exact = (65.0f64 / 64.0).log2();
        assert!(float(MARGIN) >= exact && float(MARGIN) < exact + 1e-4);
        assert_eq!(Bits::whole(3).units(), 3 << 16);
        assert_eq!(Bits::halves(3).tenths(), 15);
        assert_eq!(Bits::whole(7).times(3).floor(), 21);
        assert_eq!(Bits::of_sum(&[]), Bits(u64::MAX));
    }
}
