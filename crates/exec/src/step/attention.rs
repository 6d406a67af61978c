//! Steps of language models that read other positions: what is remembered, scores, means.
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
use crate::Isa;
use crate::cache::Cache;
use crate::cells::{CHUNK, Cells, CellsMut, low32};
use crate::kernel::{HEADS, LANES, Pairs, Rounding, Weighted, Work, dots, vectorise, weighted};

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

/// The first of the positions up to `last` that a window of so many sees.
const fn first_seen(last: usize, window: usize) -> usize {
    (last + 1).saturating_sub(window)
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

impl Scores {
    pub(crate) fn run(&self, at: &mut Position<'_>, cache: &Cache, isa: Isa) {
        let keys = &cache.keys[self.slot];
        let last = at.row.last;
        let seen = first_seen(last, self.window)..last + 1;
        let (q, y) = at.read_and_scores(self.q, self.y);
        let Cells::I16(q) = q else { return };
        let row = y.len() / self.y.heads;
        let (width, together) = (keys.width(), self.y.heads / keys.groups());
        let (mut even, mut sums) = (Vec::new(), Vec::new());
        let tiles = (last + 1).div_ceil(LANES);
        sums.resize(HEADS.min(together) * tiles, [0; LANES]);
        for group in 0..keys.groups() {
            for within in (0..together).step_by(HEADS) {
                let head = group * together + within;
                let heads = HEADS.min(together - within);
                let q = pairs(&q[head * width..][..heads * width], width, &mut even);
                let y = &mut y[head * row..][..heads * row];
                for tile in 0..tiles {
                    let mut own = [[0; LANES]; HEADS];
                    dots(isa, q, keys.tile(group, tile * LANES), &mut own[..heads]);
                    for (h, own) in own.iter().enumerate().take(heads) {
                        sums[h * tiles + tile] = *own;
                    }
                }
                for (sums, y) in sums.chunks_exact(tiles).zip(y.chunks_exact_mut(row)) {
                    let y = &mut y[..tiles * LANES];
                    let (scores, sums) = (self, sums.as_flattened());
                    vectorise(isa, Rounded { scores, sums, y });
                    y[..seen.start].fill(0);
                    y[seen.end..].fill(0);
                }
            }
        }
        for y in y.chunks_exact_mut(row) {
            y[(last + 1).next_multiple_of(LANES)..].fill(0);
        }
    }
}

/// Queries whose cells stand in pairs: with a 0 behind each if their number is odd.
fn pairs<'a>(q: &'a [i16], width: usize, even: &'a mut Vec<i16>) -> &'a [i16] {
    if width.is_multiple_of(2) {
        return q;
    }
    even.clear();
    for query in q.chunks_exact(width) {
        even.extend_from_slice(query);
        even.push(0);
    }
    even
}

/// Sums of one head, to be rounded.
struct Rounded<'a> {
    scores: &'a Scores,
    sums: &'a [i32],
    y: &'a mut [i16],
}

impl Work for Rounded<'_> {
    #[inline(always)]
    fn run(self) {
        let Scores {
            multiplier,
            rounding,
            ..
        } = *self.scores;
        for (score, sum) in self.y.iter_mut().zip(self.sums) {
            *score = low16(rounding.round(i64::from(*sum) * multiplier));
        }
    }
}

/// The profile's weights by distance from the maximum; the last entry stands for all behind it.
fn weights() -> &'static [i32; TABLE] {
    static WEIGHTS: OnceLock<[i32; TABLE]> = OnceLock::new();
    WEIGHTS.get_or_init(|| {
        let mut weights = [0; TABLE];
        for (weight, below) in weights.iter_mut().zip(0..EXP_256_ENTRIES) {
            *weight = low32(exp_256(below.into()));
        }
        weights
    })
}

/// The last entry.
const LAST: i32 = 4095;
/// Entries of the table of weights: a power of two, so that an index needs no check; those behind the profile's are 0.
const TABLE: usize = 4096;
const _: () = assert!(EXP_256_ENTRIES < 4096);

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
    weights: &'static [i32; TABLE],
}

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

    pub(crate) fn run(&self, at: &mut Position<'_>, cache: &Cache, isa: Isa) {
        let values = &cache.values[self.slot];
        let last = at.row.last;
        let first = first_seen(last, self.window);
        let (scores, y) = at.scores_and_write(self.scores, self.y);
        let CellsMut::I16(y) = y else { return };
        let row = scores.len() / self.scores.heads;
        let together = self.scores.heads / values.groups();
        // Pairs begin at an even position; what is not seen weighs nothing.
        let start = first & !1;
        let pairs = (last + 1 - start).div_ceil(2);
        let mut weights = vec![vec![[0_i16; 2]; pairs]; together];
        let mut totals = vec![0_i64; together];
        let blocks = values.width().div_ceil(LANES);
        let mut sums = vec![[0_i64; LANES]; together * blocks];
        let heads = scores.chunks_exact(row * together);
        let results = y.chunks_exact_mut(values.width() * together);
        for (group, (scores, y)) in heads.zip(results).enumerate() {
            for ((scores, weights), total) in
                scores.chunks_exact(row).zip(&mut weights).zip(&mut totals)
            {
                let weights = &mut weights.as_flattened_mut()[first - start..];
                let scores = &scores[first..last + 1];
                vectorise(
                    isa,
                    Weigh {
                        table: self.weights,
                        scores,
                        weights,
                        total,
                    },
                );
            }
            let rows: Vec<&[Pairs]> = (0..blocks)
                .map(|block| &values.lanes(group, block)[start / 2..][..pairs])
                .collect();
            let sum = Weighted {
                weights: &weights,
                values: &rows,
                pairs: self.pairs,
            };
            weighted(isa, &sum, &mut sums);
            let heads = y
                .chunks_exact_mut(values.width())
                .zip(sums.chunks_exact(blocks));
            for ((y, sums), &total) in heads.zip(&totals) {
                let bits = self.bits;
                vectorise(
                    isa,
                    Means {
                        sums,
                        total,
                        bits,
                        y,
                    },
                );
            }
        }
    }
}

/// Weights of one head's scores, and their sum.
struct Weigh<'a> {
    table: &'static [i32; TABLE],
    scores: &'a [i16],
    weights: &'a mut [i16],
    total: &'a mut i64,
}

impl Work for Weigh<'_> {
    #[inline(always)]
    fn run(self) {
        let max = self.scores.iter().copied().fold(i16::MIN, i16::max);
        let mut total = 0_i64;
        for (weights, scores) in self
            .weights
            .chunks_mut(CHUNK)
            .zip(self.scores.chunks(CHUNK))
        {
            // Weights are below 2¹⁵, so that a chunk's fit.
            let mut sum = 0_i32;
            for (weight, score) in weights.iter_mut().zip(scores) {
                let below = (i32::from(max) - i32::from(*score)).min(LAST);
                let entry = self.table[crate::cells::row(below) % TABLE];
                *weight = low16(entry);
                sum += entry;
            }
            total += i64::from(sum);
        }
        *self.total = total;
    }
}

/// The means of one head.
struct Means<'a> {
    sums: &'a [[i64; LANES]],
    total: i64,
    bits: u8,
    y: &'a mut [i16],
}

impl Work for Means<'_> {
    #[inline(always)]
    fn run(self) {
        for (sums, y) in self.sums.iter().zip(self.y.chunks_mut(LANES)) {
            mean(sums.map(|sum| sum << self.bits), self.total, y);
        }
    }
}

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
