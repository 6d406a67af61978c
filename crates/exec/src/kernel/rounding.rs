//! The one rounding, in 64-bit integers.

use crate::cells::low32;

/// `clamp(⌊(sum + 2^(shift−1)) / 2^shift⌋, min, max)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding {
    /// 1 ..= 46.
    pub(crate) shift: u8,
    pub(crate) min: i32,
    pub(crate) max: i32,
}

impl Rounding {
    /// What is added before the shift.
    #[inline(always)]
    pub(crate) const fn half(self) -> i64 {
        1 << (self.shift - 1)
    }

    /// Rounds and clamps a sum of products. A checked model keeps it below 2⁶² in magnitude with the half added.
    #[inline(always)]
    pub(crate) fn round(self, sum: i64) -> i32 {
        let rounded = (sum + self.half()) >> self.shift;
        low32(rounded.max(self.min.into()).min(self.max.into()))
    }
}
