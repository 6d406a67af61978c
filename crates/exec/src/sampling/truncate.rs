//! Truncation: top_k, top_p and min_p as one cut (`docs/spec/sampling.md`, sections 3.6 to 3.9).
//!
//! Each keeps a prefix of one order, weight descending and id ascending, so the last token kept says everything. It is found without sorting:
//! counts (top_k) or sums (top_p) by the upper ten bits of the weights, then the same inside the one bucket where the target falls, twice more; what is
//! left are equal weights, of which the lowest ids are kept.

use super::parameters::ONE;
use super::sampler::BLOCK;
use super::weights::WEIGHT_ONE;

/// Bits of a weight that one level tells apart.
const DIGIT_BITS: u8 = 10;
/// Shifts of the levels. The highest has one bucket more, for the largest weight, 2³⁰.
const SHIFTS: [u8; 3] = [20, 10, 0];
const DIGITS: usize = (1 << DIGIT_BITS) + 1;

/// The last token that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    weight: u32,
    id: usize,
}

impl Cut {
    /// Keeps every token of positive weight.
    pub(super) const NONE: Self = Self {
        weight: 1,
        id: usize::MAX,
    };

    /// Whether a token is kept.
    pub(super) fn keeps(self, weight: u32, id: usize) -> bool {
        weight > self.weight || (weight == self.weight && id <= self.id)
    }

    /// The cut that keeps less: both keep prefixes of one order.
    fn tighter(self, other: Self) -> Self {
        if other.keeps(self.weight, self.id) {
            self
        } else {
            other
        }
    }

    /// The sum of the weights that are kept, for each block of the vocabulary.
    pub(super) fn sums(self, weights: &[u32], sums: &mut Vec<u64>) {
        sums.clear();
        sums.extend(weights.chunks(BLOCK).enumerate().map(|(block, weights)| {
            let start = block * BLOCK;
            let least = if start + weights.len() <= self.id.saturating_add(1) {
                self.weight
            } else if start > self.id {
                self.weight + 1
            } else {
                let kept = weights
                    .iter()
                    .enumerate()
                    .filter(|&(at, &weight)| self.keeps(weight, start + at));
                return kept.map(|(_, &weight)| u64::from(weight)).sum();
            };
            let kept = weights
                .iter()
                .map(|&weight| if weight >= least { weight } else { 0 });
            kept.map(u64::from).sum::<u64>()
        }));
    }
}

/// How much to keep.
pub(super) struct Truncation {
    pub(super) top_k: u32,
    pub(super) top_p: u32,
    pub(super) min_p: u32,
}

impl Truncation {
    /// Finds the cut, and leaves in `sums` the kept weights of each block.
    ///
    /// `sums` holds the sums of all weights when called.
    pub(super) fn cut(&self, weights: &[u32], sums: &mut Vec<u64>) -> Cut {
        let mut cut = Cut::NONE;
        if self.top_k > 0
            && let Some(top_k) = cut_at(weights, self.top_k.into(), |_| 1)
        {
            cut = top_k;
            cut.sums(weights, sums);
        }
        let sum: u64 = sums.iter().sum();
        if self.top_p < ONE {
            let target = (u128::from(sum) * u128::from(self.top_p)).div_ceil(ONE.into());
            let target = u64::try_from(target).unwrap_or(sum).max(1);
            cut = cut_at(weights, target, u64::from).map_or(cut, |top_p| cut.tighter(top_p));
        }
        let least = (u64::from(WEIGHT_ONE) * u64::from(self.min_p)).div_ceil(ONE.into());
        let min_p = Cut {
            weight: u32::try_from(least).unwrap_or(WEIGHT_ONE).max(1),
            id: usize::MAX,
        };
        cut = cut.tighter(min_p);
        if cut != Cut::NONE {
            cut.sums(weights, sums);
        }
        cut
    }
}

/// The last token of the shortest prefix whose measure reaches the target, or none if all tokens of positive weight do not. `target ≥ 1`.
fn cut_at(weights: &[u32], target: u64, measure: impl Fn(u32) -> u64) -> Option<Cut> {
    let (mut base, mut rest) = (0_u32, target);
    for shift in SHIFTS {
        base <<= DIGIT_BITS;
        let mut measures = [0_u64; DIGITS];
        for &weight in weights {
            let digit = (weight >> shift).wrapping_sub(base);
            // Digit 0 takes whatever the others leave; it is where most weights are, and need not be measured.
            if let Some(cell) = usize::try_from(digit)
                .ok()
                .filter(|&digit| digit > 0)
                .and_then(|digit| measures.get_mut(digit))
            {
                *cell += measure(weight);
            }
        }
        // Below the highest level, the bucket behind the last belongs to the next prefix.
        let digits = if shift == SHIFTS[0] {
            DIGITS
        } else {
            DIGITS - 1
        };
        let mut digit = digits - 1;
        while digit > 0 && measures[digit] < rest {
            rest -= measures[digit];
            digit -= 1;
        }
        base += u32::try_from(digit).ok()?;
    }
    if base == 0 {
        return None;
    }
    let equals = usize::try_from(rest.div_ceil(measure(base))).ok()?;
    let mut ids = weights
        .iter()
        .enumerate()
        .filter(|&(_, &weight)| weight == base);
    let (id, _) = ids.nth(equals.checked_sub(1)?)?;
    Some(Cut { weight: base, id })
}
