//! Chances with a guaranteed side: products, powers and binomial tails, rounded up or down at every step, never to the nearest.
//!
//! ```text
//! Chance = mantissa · 2^exponent, mantissa of 64 bits, with a direction     each step errs to that side alone
//! upper_bound(k, n, α): the least p, in millionths, for which P[at most k of n | p] ≤ α      (Clopper and Pearson, Biometrika 26, 1934)
//! sequence_bound(k, n, α): the least p ≥ k/n for which (n + 1)·C(n, k)·p^k·(1 − p)^(n − k) ≤ α   (Robbins, Ann. Math. Statist. 41, 1970; by Ville's inequality)
//! ```
//!
//! So a number that decides is never flattering: misses and rates are upper bounds, detections lower ones, on every machine the same. It deliberately uses no floating
//! point.

use core::cmp::Ordering;

/// One, in millionths.
pub const ONE_PPM: u32 = 1_000_000;

/// To which side a chance errs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The true value is at most this.
    Up,
    /// The true value is at least this.
    Down,
}

/// A number that is not negative, with the side to which it errs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// Its highest bit is set, unless it is 0.
    mantissa: u64,
    exponent: i64,
    side: Side,
}

impl Chance {
    /// Nothing.
    #[must_use]
    pub const fn zero(side: Side) -> Self {
        Self {
            mantissa: 0,
            exponent: 0,
            side,
        }
    }

    /// One.
    #[must_use]
    pub fn one(side: Side) -> Self {
        Self::ratio(1, 1, side)
    }

    /// `over / under`; 0 if `under` is.
    #[must_use]
    pub fn ratio(over: u64, under: u64, side: Side) -> Self {
        if under == 0 {
            return Self::zero(side);
        }
        let shift = 64_u32;
        let wide = u128::from(over) << shift;
        let quotient = wide / u128::from(under);
        let rest = !wide.is_multiple_of(u128::from(under));
        Self::normal(quotient, -i64::from(shift), rest, side)
    }

    /// So many millionths.
    #[must_use]
    pub fn ppm(ppm: u32, side: Side) -> Self {
        Self::ratio(ppm.into(), ONE_PPM.into(), side)
    }

    /// Brings `wide · 2^exponent`, and a little more if `rest`, to 64 bits.
    fn normal(wide: u128, exponent: i64, rest: bool, side: Side) -> Self {
        let bits = 128_u32.saturating_sub(wide.leading_zeros());
        if bits == 0 {
            // A rest alone is smaller than anything that is asked for; up, it is not nothing.
            let mantissa = if rest && side == Side::Up { 1 << 63 } else { 0 };
            return Self {
                mantissa,
                exponent: exponent.saturating_sub(63),
                side,
            };
        }
        let (kept, dropped, exponent) = if bits > 64 {
            let drop = bits.saturating_sub(64);
            let lost = wide & ((1_u128 << drop).saturating_sub(1)) != 0;
            (wide >> drop, lost, exponent.saturating_add(drop.into()))
        } else {
            let lift = 64_u32.saturating_sub(bits);
            (wide << lift, false, exponent.saturating_sub(lift.into()))
        };
        let up = (dropped || rest) && side == Side::Up;
        let kept = kept.saturating_add(u128::from(up));
        match u64::try_from(kept) {
            Ok(mantissa) => Self {
                mantissa,
                exponent,
                side,
            },
            // It was all ones, and one more is the next power of two.
            Err(_) => Self {
                mantissa: 1 << 63,
                exponent: exponent.saturating_add(1),
                side,
            },
        }
    }

    /// The product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let wide = u128::from(self.mantissa).saturating_mul(other.mantissa.into());
        let exponent = self.exponent.saturating_add(other.exponent);
        Self::normal(wide, exponent, false, self.side)
    }

    /// The power.
    #[must_use]
    pub fn power(self, times: u64) -> Self {
        let (mut out, mut base, mut left) = (Self::one(self.side), self, times);
        while left > 0 {
            if left & 1 == 1 {
                out = out.times(base);
            }
            base = base.times(base);
            left >>= 1_u32;
        }
        out
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (large, small) = match (self.mantissa, other.mantissa) {
            (_, 0) => return self,
            (0, _) => {
                return Self {
                    side: self.side,
                    ..other
                };
            }
            _ if self.exponent >= other.exponent => (self, other),
            _ => (other, self),
        };
        let apart = large.exponent.saturating_sub(small.exponent);
        // Sixty bits of room below the larger one.
        let wide = u128::from(large.mantissa) << 60_u32;
        let exponent = large.exponent.saturating_sub(60);
        let (moved, rest) = match u32::try_from(apart) {
            Ok(apart) if apart <= 60 => {
                let up = 60_u32.saturating_sub(apart);
                (u128::from(small.mantissa) << up, false)
            }
            Ok(apart) if apart < 124 => {
                let down = apart.saturating_sub(60);
                let moved = u128::from(small.mantissa) >> down;
                (moved, u128::from(small.mantissa) != moved << down)
            }
            _ => (0, true),
        };
        Self::normal(wide.saturating_add(moved), exponent, rest, self.side)
    }

    /// One less this, erring to the other side; nothing if this is more than one.
    #[must_use]
    pub fn complement(self) -> Self {
        let side = match self.side {
            Side::Up => Side::Down,
            Side::Down => Side::Up,
        };
        if self.mantissa == 0 {
            return Self::one(side);
        }
        // In units of 2^−127, of which there are 2^127 in one.
        let shift = self.exponent.saturating_add(127);
        let one = 1_u128 << 127_u32;
        let (units, rest) = match u32::try_from(shift) {
            Ok(up) if up <= 64 => (u128::from(self.mantissa) << up, false),
            Ok(_) => return Self::zero(side),
            Err(_) => match u32::try_from(shift.saturating_neg()) {
                Ok(down) if down < 64 => {
                    let units = u128::from(self.mantissa) >> down;
                    (units, u128::from(self.mantissa) != units << down)
                }
                _ => (0, self.mantissa != 0),
            },
        };
        if units > one {
            return Self::zero(side);
        }
        // What was cut off is taken away as a whole unit if the result is to be no more than the truth.
        let cut = u128::from(rest && side == Side::Down);
        let left = one.saturating_sub(units).saturating_sub(cut);
        Self::normal(left, -127, false, side)
    }

    /// Which of two is larger.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.mantissa, other.mantissa) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Less,
            (_, 0) => Ordering::Greater,
            (own, others) => (self.exponent, own).cmp(&(other.exponent, others)),
        }
    }

    /// In millionths, rounded to its side; at most `u64::MAX`.
    #[must_use]
    pub fn to_ppm(self) -> u64 {
        let scaled = self.times(Self::ratio(ONE_PPM.into(), 1, self.side));
        let whole = |shift: u32| {
            let wide = u128::from(scaled.mantissa);
            let kept = wide >> shift;
            let more = kept << shift != wide && scaled.side == Side::Up;
            u64::try_from(kept)
                .unwrap_or(u64::MAX)
                .saturating_add(u64::from(more))
        };
        match (
            scaled.mantissa,
            u32::try_from(scaled.exponent.saturating_neg()),
        ) {
            (0, _) => 0,
            (_, Ok(shift)) if shift < 128 => whole(shift),
            (_, Ok(_)) => u64::from(scaled.side == Side::Up),
            (_, Err(_)) if scaled.exponent > 0 => u64::MAX,
            (_, Err(_)) => u64::from(scaled.side == Side::Up),
        }
    }

    /// The whole bits of its inverse, rounded to the side: a chance of at most, or at least, 2 to the minus this.
    #[must_use]
    pub fn bits(self) -> i64 {
        // mantissa·2^exponent < 2^(exponent + 64), and at least half of that.
        let top = self.exponent.saturating_add(64);
        match self.side {
            Side::Up if self.mantissa == 1 << 63 => top.saturating_sub(1).saturating_neg(),
            Side::Up => top.saturating_neg(),
            Side::Down => top.saturating_sub(1).saturating_neg(),
        }
    }
}

/// Whether at most `k` of `n` would be found with a chance of at most `alpha` if each were found with chance `ppm`.
fn is_unlikely(k: u64, n: u64, ppm: u32, alpha: &Chance) -> bool {
    if k >= n {
        return false;
    }
    if ppm >= ONE_PPM {
        return true;
    }
    let side = Side::Up;
    let odds = Chance::ratio(ppm.into(), ONE_PPM.saturating_sub(ppm).into(), side);
    let mut term = Chance::ppm(ONE_PPM.saturating_sub(ppm), side).power(n);
    let mut sum = term;
    for i in 0..k {
        if sum.compare(alpha) == Ordering::Greater {
            return false;
        }
        let step = Chance::ratio(n.saturating_sub(i), i.saturating_add(1), side);
        term = term.times(step).times(odds);
        sum = sum.plus(term);
    }
    sum.compare(alpha) != Ordering::Greater
}

/// The upper bound of Clopper and Pearson on a rate, in millionths: of `n` that were looked at `k` were found, and a larger rate would have given so few with a chance of
/// at most `alpha_ppm` millionths. Rounded up. With nothing looked at, every rate is possible.
#[must_use]
pub fn upper_bound(k: u64, n: u64, alpha_ppm: u32) -> u32 {
    let alpha = Chance::ppm(alpha_ppm, Side::Down);
    let (mut low, mut high) = (0, ONE_PPM);
    if k >= n {
        return ONE_PPM;
    }
    // Unlikely at `high`, not at `low`, or `low` is 0.
    while high.abs_diff(low) > 1 {
        let middle = low.midpoint(high);
        if is_unlikely(k, n, middle, &alpha) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The number of ways to choose `k` of `n`, rounded up.
fn choose(n: u64, k: u64) -> Chance {
    let fewer = k.min(n.saturating_sub(k));
    let mut ways = Chance::one(Side::Up);
    for i in 0..fewer {
        let step = Chance::ratio(n.saturating_sub(i), i.saturating_add(1), Side::Up);
        ways = ways.times(step);
    }
    ways
}

/// An upper bound on a rate that holds at every moment at once, in millionths, rounded up: of `n` that were looked at so far `k` were found, and the chance that there is ever
/// a moment at which the rate is larger than this is at most `alpha_ppm` millionths.
///
/// `M_n(p) = ∫ q^k (1 − q)^(n − k) dq / (p^k (1 − p)^(n − k)) = 1 / ((n + 1)·C(n, k)·p^k·(1 − p)^(n − k))` is a martingale that starts at 1 if p is the rate, so by Ville's
/// inequality it reaches 1/α with a chance of at most α. The rates for which it has not form an interval around k/n, whose upper end this is.
#[must_use]
pub fn sequence_bound(k: u64, n: u64, alpha_ppm: u32) -> u32 {
    if k >= n {
        return ONE_PPM;
    }
    let alpha = Chance::ppm(alpha_ppm, Side::Down);
    let all = Chance::ratio(n.saturating_add(1), 1, Side::Up).times(choose(n, k));
    let is_out = |ppm: u32| {
        if ppm >= ONE_PPM {
            return true;
        }
        let found = Chance::ppm(ppm, Side::Up).power(k);
        let not = Chance::ppm(ONE_PPM.saturating_sub(ppm), Side::Up).power(n.saturating_sub(k));
        all.times(found).times(not).compare(&alpha) != Ordering::Greater
    };
    // From the first millionth that is not below k/n the chance falls.
    let seen = u128::from(k).saturating_mul(ONE_PPM.into());
    let seen = seen.div_ceil(n.into());
    let (mut low, mut high) = (u32::try_from(seen).unwrap_or(ONE_PPM), ONE_PPM);
    while high.abs_diff(low) > 1 {
        let middle = low.midpoint(high);
        if is_out(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_of_clopper_and_pearson() {
        // One-sided, computed with fractions of integers of any length (Python's `fractions`): the least millionth.
        let cases = [
            (0, 0, 50_000, 1_000_000),
            (0, 1, 50_000, 950_000),
            (0, 100, 50_000, 29_514),
            (0, 100, 10_000, 45_008),
            (0, 1000, 50_000, 2_992),
            (1, 4, 50_000, 751_396),
            (1, 4, 10_000, 859_133),
            (1, 100, 50_000, 46_560),
            (3, 97, 10_000, 99_862),
            (5, 50, 50_000, 198_834),
            (5, 50, 10_000, 241_553),
            (10, 10, 50_000, 1_000_000),
            (3, 2, 50_000, 1_000_000),
        ];
        for (k, n, alpha, expected) in cases {
            // Where the bound is met exactly, rounding may err by one to the careful side.
            let got = upper_bound(k, n, alpha);
            assert!(
                got.checked_sub(expected).is_some_and(|more| more <= 1),
                "{k} of {n} at {alpha}: {got}"
            );
        }
    }

    #[test]
    fn bounds_of_a_confidence_sequence() {
        // Computed with fractions of integers of any length (Python's `fractions`): the least millionth.
        let cases = [
            (0, 0, 50_000, 1_000_000),
            (0, 1, 50_000, 975_000),
            (0, 100, 50_000, 73_285),
            (0, 100, 10_000, 88_080),
            (0, 1000, 50_000, 9_856),
            (1, 4, 50_000, 857_122),
            (1, 100, 50_000, 94_797),
            (3, 97, 10_000, 151_358),
            (5, 50, 50_000, 287_661),
            (10, 10, 50_000, 1_000_000),
        ];
        for (k, n, alpha, expected) in cases {
            let got = sequence_bound(k, n, alpha);
            assert!(
                got.checked_sub(expected).is_some_and(|more| more <= 1),
                "{k} of {n} at {alpha}: {got}"
            );
            assert!(k >= n || got > upper_bound(k, n, alpha), "{k} of {n}");
        }
    }

    /// The largest count at `n` looks, not below `least`, whose bound is below the rate; nothing if there is none.
    fn misses(
        (n, ppm): (u64, u32),
        least: Option<u64>,
        bound: fn(u64, u64, u32) -> u32,
    ) -> Option<u64> {
        let mut most = least;
        loop {
            let next = most.map_or(0, |most| most + 1);
            if next > n || bound(next, n, 50_000) >= ppm {
                return most;
            }
            most = Some(next);
        }
    }

    /// Walks of 400 audits each, looked at after every one. The bound for a fixed number is below the rate at some moment in far more than 5 % of the walks; the sequence's in
    /// no more than that.
    #[test]
    fn a_confidence_sequence_holds_at_every_look_and_a_fixed_bound_does_not() {
        const WALKS: u64 = 10_000;
        for ppm in [20_000, 100_000, 300_000] {
            let thresholds = |bound| {
                let mut last = None;
                let mut all = Vec::new();
                for n in 1..=400 {
                    last = misses((n, ppm), last, bound);
                    all.push(last);
                }
                all
            };
            let (fixed, always) = (thresholds(upper_bound), thresholds(sequence_bound));
            let (mut fixed_missed, mut always_missed) = (0_u64, 0_u64);
            let mut state = u64::from(ppm);
            for _ in 0..WALKS {
                let (mut found, mut fixed_bad, mut always_bad) = (0_u64, false, false);
                for (fixed, always) in fixed.iter().zip(&always) {
                    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut mixed = state;
                    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    mixed ^= mixed >> 31;
                    found += u64::from(mixed % 1_000_000 < u64::from(ppm));
                    fixed_bad |= fixed.is_some_and(|most| found <= most);
                    always_bad |= always.is_some_and(|most| found <= most);
                }
                fixed_missed += u64::from(fixed_bad);
                always_missed += u64::from(always_bad);
            }
            assert!(always_missed * 20 <= WALKS, "{ppm}: {always_missed}");
            assert!(fixed_missed * 10 > WALKS, "{ppm}: {fixed_missed}");
        }
    }

    /// The same walks, in which a wrong answer is met with silence, and counted as such 60 audits late. Over what is settled alone the bound is below the rate in more than
    /// 10 % of the walks; with what waits counted as wrong it holds.
    #[test]
    fn silence_that_enters_late_breaks_a_bound_unless_what_waits_counts_as_wrong() {
        const WALKS: u64 = 2_000;
        const LATE: usize = 60;
        for ppm in [100_000, 300_000] {
            let mut last = None;
            let mut most = vec![None];
            for n in 1..=400 {
                last = misses((n, ppm), last, sequence_bound);
                most.push(last);
            }
            let (mut settled_missed, mut strict_missed) = (0_u64, 0_u64);
            let mut state = u64::from(ppm);
            for _ in 0..WALKS {
                let (mut walk, mut settled_bad, mut strict_bad) = (Vec::new(), false, false);
                let (mut wrong, mut known) = (0_u64, 0_u64);
                for at in 0..400_usize {
                    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut mixed = state;
                    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    mixed ^= mixed >> 31;
                    walk.push(mixed % 1_000_000 < u64::from(ppm));
                    wrong += u64::from(walk[at]);
                    known += u64::from(at >= LATE && walk[at - LATE]);
                    let right = walk.len() - usize::try_from(wrong).unwrap();
                    let settled = right + usize::try_from(known).unwrap();
                    settled_bad |= most[settled].is_some_and(|most| known <= most);
                    let counts = crate::auditor::Counts {
                        replayed: u64::try_from(right).unwrap(),
                        unanswered: known,
                        ..Default::default()
                    };
                    let (k, n) = counts.unsettled_as_wrong(wrong - known);
                    let n = usize::try_from(n).unwrap();
                    strict_bad |= most[n].is_some_and(|most| k <= most);
                }
                settled_missed += u64::from(settled_bad);
                strict_missed += u64::from(strict_bad);
            }
            assert!(strict_missed * 20 <= WALKS, "{ppm}: {strict_missed}");
            assert!(settled_missed * 10 > WALKS, "{ppm}: {settled_missed}");
        }
    }

    #[test]
    fn powers_err_to_their_side() {
        for side in [Side::Up, Side::Down] {
            let half = Chance::ratio(1, 2, side);
            assert_eq!(half.power(80).bits(), 80);
            assert_eq!(half.complement().to_ppm(), 500_000);
            assert_eq!(Chance::one(side).complement().to_ppm(), 0);
            assert_eq!(Chance::zero(side).complement().to_ppm(), 1_000_000);
        }
        let up = Chance::ratio(2, 3, Side::Up).power(1000);
        let down = Chance::ratio(2, 3, Side::Down).power(1000);
        assert_eq!(up.compare(&down), Ordering::Greater);
        assert_eq!((up.bits(), down.bits()), (584, 585));
        assert_eq!(up.to_ppm(), 1);
        assert_eq!(down.to_ppm(), 0);
        // What is next to nothing leaves next to one.
        assert_eq!(up.complement().to_ppm(), 999_999);
        assert_eq!(down.complement().to_ppm(), 1_000_000);
    }

    fn float(chance: Chance) -> f64 {
        let exponent = i32::try_from(chance.exponent).unwrap();
        let high = u32::try_from(chance.mantissa >> 32).unwrap();
        let low = u32::try_from(chance.mantissa & 0xffff_ffff).unwrap();
        (f64::from(high) * 4_294_967_296.0 + f64::from(low)) * 2_f64.powi(exponent)
    }

    proptest! {
        #[test]
        fn arithmetic_is_near_and_on_its_side(a in 1_u64..1 << 40, b in 1_u64..1 << 40, c in 1_u64..1 << 40, d in 1_u64..1 << 40) {
            let of = |side| (Chance::ratio(a, b, side), Chance::ratio(c, d, side));
            let (up, down) = (of(Side::Up), of(Side::Down));
            let pairs = [
                (up.0.times(up.1), down.0.times(down.1)),
                (up.0.plus(up.1), down.0.plus(down.1)),
                (down.0.complement(), up.0.complement()),
            ];
            for (up, down) in pairs {
                prop_assert!(up.compare(&down) != Ordering::Less);
                prop_assert!((float(up) - float(down)).abs() <= 1e-15 * float(up).max(1.0));
            }
            #[expect(clippy::cast_precision_loss, reason = "a test compares with what is known to be near")]
            let (x, y) = (a as f64 / b as f64, c as f64 / d as f64);
            prop_assert!((float(up.0.plus(up.1)) / (x + y) - 1.0).abs() < 1e-12);
            prop_assert!((float(up.0.times(up.1)) / (x * y) - 1.0).abs() < 1e-12);
        }

        #[test]
        fn bounds_grow_with_what_is_found_and_shrink_with_what_is_looked_at(k in 0_u64..20, n in 1_u64..400) {
            let at = |k, n, alpha| upper_bound(k, n, alpha);
            prop_assert!(at(k, n, 50_000) <= at(k + 1, n, 50_000));
            prop_assert!(at(k, n + 1, 50_000) <= at(k, n, 50_000));
            prop_assert!(at(k, n, 50_000) <= at(k, n, 10_000));
            // Never below what was seen.
            prop_assert!(u64::from(at(k, n, 50_000)) * n >= k.min(n) * 1_000_000);
        }
    }
}
