//! Steps of language models that read earlier positions: what is remembered, scores, means.
//!
//! ```text
//! k, v ──remember──▶ cache ──┬─▶ scores: q against keys, 16 positions at a time ──▶ the position's scores
//!                            └─▶ attend: weights by table, means of values ◀──┘
//! ```
//!
//! Heads that share keys are computed together, so that each key is loaded once for all of them.

use std::sync::OnceLock;

use credence_exact::fixed::{EXP_256_ENTRIES, exp_256};

use super::language::floor_by_inverse;
use super::{Place, Position};
use crate::cache::{Cache, KEY_LANES};
use crate::cells::{Cells, CellsMut, low32};
use crate::kernel::Rounding;

/// The scores of one node at a position: so many rows, behind those of the nodes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScorePlace {
    pub(crate) heads_before: usize,
    pub(crate) heads: usize,
}

/// As what a node is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Keys,
    Values,
}

/// Puts a node's cells into the cache.
pub(crate) struct Remember {
    pub(crate) x: Place,
    pub(crate) slot: usize,
    pub(crate) kind: Kind,
}

impl Remember {
    pub(crate) fn run(&self, at: &Position<'_>, cache: &mut Cache) {
        let Cells::I16(x) = at.read(self.x) else {
            return;
        };
        let position = at.row.position;
        match self.kind {
            Kind::Keys => cache.keys[self.slot].set(position, x),
            Kind::Values => cache.values[self.slot].set(position, x),
        }
    }
}

/// Positions that a position sees: from the first of its window to itself.
fn first_seen(position: usize, window: usize) -> usize {
    (position + 1).saturating_sub(window)
}

/// Queries against keys.
pub(crate) struct Scores {
    pub(crate) q: Place,
    pub(crate) y: ScorePlace,
    /// Which keys.
    pub(crate) slot: usize,
    pub(crate) multiplier: i64,
    pub(crate) rounding: Rounding,
    /// Most positions seen.
    pub(crate) window: usize,
}

/// Most heads that are computed together.
const HEADS: usize = 4;

impl Scores {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>, cache: &Cache) {
        let keys = &cache.keys[self.slot];
        let position = at.row.position;
        let seen = first_seen(position, self.window)..position + 1;
        let (q, y) = at.read_and_scores(self.q, self.y);
        let Cells::I16(q) = q else { return };
        let row = y.len() / self.y.heads;
        let (width, together) = (keys.width(), self.y.heads / keys.groups());
        for group in 0..keys.groups() {
            for within in (0..together).step_by(HEADS) {
                let head = group * together + within;
                let heads = HEADS.min(together - within);
                let q = &q[head * width..][..heads * width];
                let y = &mut y[head * row..][..heads * row];
                for tile in (0..position + 1).step_by(KEY_LANES) {
                    let tile_keys = keys.tile(group, tile);
                    for (q, y) in q.chunks_exact(width).zip(y.chunks_exact_mut(row)) {
                        let sums = dot(q, tile_keys);
                        let scores: &mut [i16] = &mut y[tile..][..KEY_LANES];
                        for ((score, sum), t) in scores.iter_mut().zip(sums).zip(tile..) {
                            let all = self.rounding.round(i64::from(sum) * self.multiplier);
                            let all = i16::try_from(all).unwrap_or_default();
                            *score = if seen.contains(&t) { all } else { 0 };
                        }
                    }
                }
            }
        }
        for y in y.chunks_exact_mut(row) {
            y[(position + 1).next_multiple_of(KEY_LANES)..].fill(0);
        }
    }
}

/// One query against a tile of keys: `keys[pair of d][position][within the pair]`. A checked model's sums fit 32 bits.
#[inline(always)]
fn dot(q: &[i16], keys: &[[i16; 2 * KEY_LANES]]) -> [i32; KEY_LANES] {
    let mut sums = [0_i32; KEY_LANES];
    for (pair, keys) in q.as_chunks::<2>().0.iter().zip(keys) {
        let (a, b) = (i32::from(pair[0]), i32::from(pair[1]));
        for (sum, k) in sums.iter_mut().zip(keys.as_chunks::<2>().0) {
            *sum = sum.wrapping_add(i32::from(k[0]) * a + i32::from(k[1]) * b);
        }
    }
    if let [last] = q.as_chunks::<2>().1 {
        let keys = keys.last().map_or(&[][..], |keys| keys.as_chunks::<2>().0);
        for (sum, k) in sums.iter_mut().zip(keys) {
            *sum = sum.wrapping_add(i32::from(k[0]) * i32::from(*last));
        }
    }
    sums
}

/// The profile's weights by distance from the maximum; the last entry is 0 and stands for all behind it.
fn weights() -> &'static [i16] {
    static WEIGHTS: OnceLock<Vec<i16>> = OnceLock::new();
    WEIGHTS.get_or_init(|| {
        let all = (0..=EXP_256_ENTRIES).map(|below| exp_256(below.into()));
        all.map(|weight| i16::try_from(weight).unwrap_or(i16::MAX))
            .collect()
    })
}

/// Means of values.
pub(crate) struct Attend {
    scores: ScorePlace,
    y: Place,
    /// Which values.
    slot: usize,
    window: usize,
    bits: u8,
    context: usize,
    /// Pairs of positions whose products' sum fits 32 bits.
    pairs: usize,
    weights: &'static [i16],
}

/// Values along a vector that are summed in registers at once.
const LANES: usize = 16;

impl Attend {
    /// `(window, bits)`: most positions seen, and how much finer the mean is; `(context, magnitude)`: most positions, and the largest magnitude of a value.
    pub(crate) fn new(
        scores: ScorePlace,
        y: Place,
        slot: usize,
        (window, bits): (usize, u8),
        (context, magnitude): (usize, i64),
    ) -> Self {
        let largest = magnitude.max(1).saturating_mul(i16::MAX.into());
        let terms = usize::try_from(i64::from(i32::MAX) / largest).unwrap_or(1);
        Self {
            scores,
            y,
            slot,
            window,
            bits,
            context,
            // At least one: twice 2¹⁵·(2¹⁵ − 1) fits.
            pairs: (terms / 2).max(1),
            weights: weights(),
        }
    }

    /// Operations of one position, at half of the context.
    pub(crate) const fn work(&self) -> usize {
        self.y.cells * self.context / 2
    }

    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>, cache: &Cache) {
        let values = &cache.values[self.slot];
        let position = at.row.position;
        let first = first_seen(position, self.window);
        let (scores, y) = at.scores_and_write(self.scores, self.y);
        let CellsMut::I16(y) = y else { return };
        let row = scores.len() / self.scores.heads;
        let together = self.scores.heads / values.groups();
        let mut weights = [0_i16; WEIGHTS_MAX];
        for (head, y) in y.chunks_exact_mut(values.width()).enumerate() {
            let scores = &scores[head * row..][first..position + 1];
            // Pairs begin at an even position; what is not seen weighs nothing.
            let start = first & !1;
            let len = (position + 1 - start).next_multiple_of(2);
            let own = &mut weights[..len];
            own.fill(0);
            let total = self.weigh(scores, &mut own[first - start..][..scores.len()]);
            for (block, y) in y.chunks_mut(LANES).enumerate() {
                let sums = self.sum(own, values.lanes(head / together, block), start / 2);
                mean(sums.map(|sum| sum << self.bits), total, y);
            }
        }
    }

    /// Weights of scores, and their sum.
    #[inline(always)]
    fn weigh(&self, scores: &[i16], weights: &mut [i16]) -> i64 {
        let max = scores.iter().copied().fold(i16::MIN, i16::max);
        let last = self.weights.len() - 1;
        let mut total = 0_i64;
        for (weight, score) in weights.iter_mut().zip(scores) {
            *weight = self.weights[usize::from(max.abs_diff(*score)).min(last)];
            total += i64::from(*weight);
        }
        total
    }

    /// `Σ_t e_t·v_t` of one block of lanes: `values[pair of positions][lane][within the pair]`, from a pair on.
    #[inline(always)]
    fn sum(&self, weights: &[i16], values: &[[i16; 2 * LANES]], first: usize) -> [i64; LANES] {
        let mut all = [0_i64; LANES];
        let weights = weights.as_chunks::<2>().0;
        let values = &values[first..][..weights.len()];
        for (weights, values) in weights.chunks(self.pairs).zip(values.chunks(self.pairs)) {
            let mut sums = [0_i32; LANES];
            for (pair, values) in weights.iter().zip(values) {
                let (a, b) = (i32::from(pair[0]), i32::from(pair[1]));
                for (sum, v) in sums.iter_mut().zip(values.as_chunks::<2>().0) {
                    *sum = sum.wrapping_add(i32::from(v[0]) * a + i32::from(v[1]) * b);
                }
            }
            for (all, sum) in all.iter_mut().zip(sums) {
                *all += i64::from(sum);
            }
        }
        all
    }
}

/// Most positions of a run: the limit on what a relation reads.
pub(crate) const WEIGHTS_MAX: usize = 4096;

/// `⌊(sum + ⌊total/2⌋)/total⌋`: sums are below 2⁵³ and quotients are 16-bit cells, so that a product with the inverse is exact enough.
#[inline(always)]
fn mean(sums: [i64; LANES], total: i64, y: &mut [i16]) {
    let (inverse, half) = (1.0 / wide(total), total / 2);
    for (y, sum) in y.iter_mut().zip(sums) {
        let quotient = floor_by_inverse(wide(sum + half), inverse);
        *y = low16(quotient);
    }
}

/// A number below 2⁵³ in magnitude as a float: exact.
#[inline(always)]
fn wide(n: i64) -> f64 {
    f64::from(low32(n >> 26)) * 67_108_864.0 + f64::from(low32(n & 0x3ff_ffff))
}

#[inline(always)]
fn low16(value: i32) -> i16 {
    crate::cells::Cell::low(value)
}

/// Rows of scores, by what a position sees; for whoever watches.
pub(crate) fn shown(place: ScorePlace, scores: &[i16], context: usize) -> Vec<i64> {
    let row = scores.len() / place.heads;
    let mut shown = vec![0; place.heads * context];
    for (shown, scores) in shown
        .chunks_exact_mut(context)
        .zip(scores.chunks_exact(row))
    {
        for (shown, score) in shown.iter_mut().zip(scores) {
            *shown = i64::from(*score);
        }
    }
    shown
}
