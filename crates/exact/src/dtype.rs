//! The integer types a value may be stored in.

use serde::{Deserialize, Serialize};

/// Storage type of a program's values and parameters. Little-endian two's complement wherever it becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// −128 ..= 127.
    I8,
    /// −2¹⁵ ..= 2¹⁵ − 1.
    I16,
    /// −2³¹ ..= 2³¹ − 1.
    I32,
}

/// A value does not fit its declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value {got} does not fit {dtype:?}")]
pub struct DtypeError {
    /// The declared type.
    pub dtype: Dtype,
    /// The value.
    pub got: i64,
}

impl Dtype {
    /// Width in bytes: 1, 2 or 4.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 => 4,
        }
    }

    /// Smallest and largest value.
    #[must_use]
    pub const fn range(self) -> (i64, i64) {
        match self {
            Self::I8 => (-128, 127),
            Self::I16 => (-32_768, 32_767),
            Self::I32 => (-2_147_483_648, 2_147_483_647),
        }
    }

    /// The narrowest type that holds every value of `min ..= max`, or `None` where 32 bits do not.
    #[must_use]
    pub fn narrowest(min: i64, max: i64) -> Option<Self> {
        [Self::I8, Self::I16, Self::I32]
            .into_iter()
            .find(|t| t.range().0 <= min && max <= t.range().1)
    }

    /// Returns `value` if it fits.
    ///
    /// # Errors
    /// [`DtypeError`] if it does not.
    pub fn check(self, value: i64) -> Result<i64, DtypeError> {
        let (min, max) = self.range();
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(DtypeError {
                dtype: self,
                got: value,
            })
        }
    }
}
