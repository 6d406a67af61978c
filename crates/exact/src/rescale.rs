//! The one rounding of profile `exact-1` (`docs/spec/arithmetic.md`, section 2).

use serde::{Deserialize, Serialize};

/// Largest shift of a rescale.
pub const SHIFT_MAX: u8 = 46;

/// Every accumulator `a` satisfies `|a| < ACCUMULATOR_LIMIT`, so that `|a·m| < 2⁶²` for every multiplier.
pub const ACCUMULATOR_LIMIT: i64 = 1 << 31;

/// A number outside what [`rescale`] is defined on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RescaleError {
    /// The shift is not in `1 ..= 46`.
    #[error("shift {got} is not in 1..=46")]
    Shift {
        /// The shift found.
        got: u8,
    },
    /// The multiplier is negative.
    #[error("multiplier {got} is negative")]
    Multiplier {
        /// The multiplier found.
        got: i32,
    },
    /// `a·m + 2^(s−1)` is not below 2⁶² in magnitude.
    #[error("sum {got} to be rescaled reaches 2^62")]
    Sum {
        /// The sum found, before rounding.
        got: i128,
    },
}

/// The shift `s` of a rescale, `1 ..= 46`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Shift(u8);

impl TryFrom<u8> for Shift {
    type Error = RescaleError;

    fn try_from(got: u8) -> Result<Self, RescaleError> {
        if (1..=SHIFT_MAX).contains(&got) {
            Ok(Self(got))
        } else {
            Err(RescaleError::Shift { got })
        }
    }
}

impl From<Shift> for u8 {
    fn from(shift: Shift) -> Self {
        shift.0
    }
}

impl Shift {
    /// The number of bits, `1 ..= 46`.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// A multiplier `m` of a rescale, `0 ..= 2³¹ − 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Multiplier(i32);

impl TryFrom<i32> for Multiplier {
    type Error = RescaleError;

    fn try_from(got: i32) -> Result<Self, RescaleError> {
        if got < 0 {
            Err(RescaleError::Multiplier { got })
        } else {
            Ok(Self(got))
        }
    }
}

impl From<Multiplier> for i32 {
    fn from(multiplier: Multiplier) -> Self {
        multiplier.0
    }
}

impl Multiplier {
    /// The value, `0 ..= 2³¹ − 1`.
    #[must_use]
    pub fn get(self) -> i64 {
        i64::from(self.0)
    }
}

/// `floor((sum + 2^(s−1)) / 2^s)`: half goes up, towards plus infinity, also for negative numbers.
///
/// `sum` is a product `a·m` or a sum of such products.
///
/// # Errors
/// [`RescaleError::Sum`] if the magnitude of `sum + 2^(s−1)` reaches 2⁶²; then nothing has wrapped.
pub fn rescale(sum: i64, shift: Shift) -> Result<i64, RescaleError> {
    let half = 1_i128 << (shift.0 - 1);
    let rounded = i128::from(sum) + half;
    match i64::try_from(rounded) {
        Ok(rounded) if rounded.unsigned_abs() < 1 << 62 => Ok(rounded >> shift.0),
        _ => Err(RescaleError::Sum { got: rounded }),
    }
}

/// `min(max(value, min), max)` for `min ≤ max`.
#[must_use]
pub fn clamp(value: i64, min: i32, max: i32) -> i64 {
    value.max(i64::from(min)).min(i64::from(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_goes_towards_plus_infinity() {
        let cases = [
            (3, 1, 2),
            (-3, 1, -1),
            (1, 1, 1),
            (-1, 1, 0),
            (-2, 1, -1),
            (5, 2, 1),
            (6, 2, 2),
            (-6, 2, -1),
            (-7, 2, -2),
        ];
        for (sum, shift, expected) in cases {
            assert_eq!(
                rescale(sum, Shift(shift)),
                Ok(expected),
                "sum {sum} shift {shift}"
            );
        }
    }

    #[test]
    fn sums_of_two_to_the_62_are_refused() {
        let edge = (1_i64 << 62) - 1;
        assert_eq!(rescale(edge - 1, Shift(1)), Ok(edge >> 1));
        assert_eq!(
            rescale(edge, Shift(1)),
            Err(RescaleError::Sum { got: 1 << 62 })
        );
        assert_eq!(
            rescale(i64::MAX, Shift(46)),
            Err(RescaleError::Sum {
                got: i128::from(i64::MAX) + (1 << 45)
            })
        );
        assert_eq!(
            rescale(i64::MIN, Shift(1)),
            Err(RescaleError::Sum {
                got: i128::from(i64::MIN) + 1
            })
        );
    }

    #[test]
    fn shifts_and_multipliers_outside_their_range_are_refused() {
        for shift in [0, 47, 255] {
            assert_eq!(
                Shift::try_from(shift),
                Err(RescaleError::Shift { got: shift })
            );
        }
        assert_eq!(
            Multiplier::try_from(-1),
            Err(RescaleError::Multiplier { got: -1 })
        );
    }
}
