//! A small deterministic source of choices: SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, 2014).
//!
//! Not for anything secret.

/// A seeded source of choices. The same seed gives the same choices on every machine.
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `min ..= max`.
    pub fn range(&mut self, min: i64, max: i64) -> i64 {
        let span = u128::from(max.abs_diff(min)) + 1;
        let step = (u128::from(self.bits()) * span) >> 64;
        i64::try_from(i128::from(min) + i128::try_from(step).unwrap_or(0)).unwrap_or(max)
    }

    /// A number of `min ..= max`.
    pub fn size(&mut self, min: u32, max: u32) -> u32 {
        u32::try_from(self.range(min.into(), max.into())).unwrap_or(max)
    }

    /// A 32-bit number of `min ..= max`.
    pub fn int(&mut self, min: i32, max: i32) -> i32 {
        i32::try_from(self.range(min.into(), max.into())).unwrap_or(max)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.size(0, 99) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let last = i64::try_from(of.len()).unwrap_or(i64::MAX) - 1;
        let at = usize::try_from(self.range(0, last)).unwrap_or(0);
        &of[at]
    }
}
