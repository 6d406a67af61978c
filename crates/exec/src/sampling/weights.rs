//! Weights: temperature and exponential in two table look-ups and one rounding (`docs/spec/sampling.md`, sections 3.4, 3.5 and 4).
//!
//! The division by the temperature is exact: the quotient by a fixed divisor is the upper half of one product. Distances so
//! far below the maximum that their weight is 0 are cut off before it, so the product has bounds that make it so (see [`Scale`]).

use std::sync::LazyLock;

use credence_exact::fixed::exp_neg;

use super::parameters::ONE;

/// The weight of the likeliest token.
pub(super) const WEIGHT_ONE: u32 = 1 << WEIGHT_BITS;
const WEIGHT_BITS: u8 = 30;
/// Scaled distances from here on weigh nothing: 22 nats, in units of 2⁻¹⁶.
const DISTANCE_END: u64 = 22 << 16;
const LOW_BITS: u8 = 11;
const LOW_LEN: usize = 1 << LOW_BITS;
/// Entries of the high table that are not 0.
const HIGH_LEN: usize = 704;

/// Both tables. The high one is padded with zeros to a power of two, so that masked indices need no check.
struct Tables {
    high: [u32; 1024],
    low: [u32; LOW_LEN],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let entry = |index: usize, x_bits| {
        let value = u32::try_from(index).map_or(0, |x| exp_neg(x, x_bits, WEIGHT_BITS));
        u32::try_from(value).unwrap_or(0)
    };
    Tables {
        high: std::array::from_fn(|index| if index < HIGH_LEN { entry(index, 5) } else { 0 }),
        low: std::array::from_fn(|index| entry(index, 16)),
    }
});

/// The table of whole steps of 1/32 nat, `HIGH` of the specification: 705 entries, the last 0.
#[must_use]
pub fn high() -> &'static [u32] {
    TABLES.high.get(..=HIGH_LEN).unwrap_or(&[])
}

/// The table of what is below 1/32 nat in steps of 2⁻¹⁶, `LOW` of the specification: 2,048 entries.
#[must_use]
pub fn low() -> &'static [u32] {
    &TABLES.low
}

/// From a distance below the maximum to a weight, at one temperature t.
///
/// The scaled distance is `⌊n/t⌋`, `n = d·10⁶ + ⌊t/2⌋`. With `m = ⌈2⁶³/t⌉ = (2⁶³ + e)/t`, `0 ≤ e < t`, it equals `⌊n·m/2⁶³⌋` as
/// long as `n·e < 2⁶³`; and distances below `end` have `n < 22·2¹⁶·t`, so `n·e < 22·2¹⁶·t² < 2⁶³`, since `t < 2²¹`. At `end` itself the quotient is
/// rounded up or exact, and so still past the table.
pub(super) struct Scale {
    tables: &'static Tables,
    half: u64,
    reciprocal: u64,
    /// The least distance that weighs nothing.
    end: u32,
}

impl Scale {
    /// For a temperature in millionths, `1 ..= 2_000_000`.
    pub(super) fn new(temperature: u32) -> Self {
        let t = u64::from(temperature.max(1));
        let half = t / 2;
        let last = (DISTANCE_END * t - half - 1) / u64::from(ONE);
        Self {
            tables: &TABLES,
            half,
            reciprocal: (1_u64 << 63).div_ceil(t),
            end: u32::try_from(last + 1).unwrap_or(u32::MAX),
        }
    }

    /// The weight of a token at this distance below the maximum, in units of 2⁻¹⁶ nat.
    pub(super) fn weight(&self, distance: u32) -> u32 {
        let n = u64::from(distance.min(self.end)) * u64::from(ONE) + self.half;
        let quotient = (u128::from(n << 1) * u128::from(self.reciprocal)) >> 64;
        let scaled = u64::try_from(quotient)
            .unwrap_or(u64::MAX)
            .min(DISTANCE_END);
        let index = |value: u64, len: usize| usize::try_from(value).unwrap_or(0) & (len - 1);
        let high = self.tables.high[index(scaled >> LOW_BITS, 1024)];
        let low = self.tables.low[index(scaled, LOW_LEN)];
        let product = u64::from(high) * u64::from(low) + (1 << (WEIGHT_BITS - 1));
        u32::try_from(product >> WEIGHT_BITS).unwrap_or(WEIGHT_ONE)
    }

    /// The distance of what has no weight.
    pub(super) const fn end(&self) -> u32 {
        self.end
    }
}
