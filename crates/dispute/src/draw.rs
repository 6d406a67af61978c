//! One token's draw by single logits and by blocks of 256 (`docs/spec/sampling.md`), so that no message holds a whole row.
//!
//! ```text
//! logits ─adjusted─▶ x ─weight─▶ w ─cuts─▶ kept or not ─tally of a block─▶ Sums        all blocks' sums ─▶ the block on which u falls ─▶ the token
//! ```
//!
//! It is the specification line by line for one token or one block; tests hold it against the sampler. It deliberately believes nobody's sums: they are compared.

use credence_exact::NodeId;
use credence_exec::sampling::{BLOCK, Counts, Place, Settings, high, low};
use credence_method_spot::Cell;

use crate::message::Sums;
use crate::subject::Run;

/// One, in the parameters' fixed point.
const ONE: u128 = 1_000_000;

/// What one token was drawn with.
#[derive(Debug, Clone)]
pub struct Drawing {
    settings: Settings,
    counts: Counts,
    number: u64,
    claimed: u32,
    position: u64,
    vocabulary: u32,
    node: NodeId,
}

/// The last tokens that top_k and top_p keep: weight and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuts {
    /// None if all tokens of positive weight are kept.
    pub top_k: Option<(u64, u32)>,
    /// Always there: the likeliest is kept.
    pub top_p: (u64, u32),
}

/// One block's weights, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The sums.
    pub sums: Sums,
    /// Kept weights by id, those of weight 0 left out.
    pub kept: Vec<(u32, u64)>,
}

/// Whether a token is in the prefix that ends with `last`.
fn keeps(last: (u64, u32), weight: u64, id: u32) -> bool {
    let (least, last) = last;
    weight > least || (weight == least && id <= last)
}

impl Drawing {
    /// The draw of answer token `index`. None if the run has none.
    #[must_use]
    pub fn of(run: &Run<'_>, index: u32) -> Option<Self> {
        let draws = run.draws()?;
        let language = run.layout().program().spec().language.as_ref()?;
        let at = usize::try_from(index).ok()?;
        let claimed = *draws.drawn.get(at)?;
        let place = Place {
            seed: draws.seed,
            choice: draws.choice,
            step: index,
        };
        Some(Self {
            settings: draws.parameters.settings().clone(),
            counts: draws.drawn.iter().take(at).copied().collect(),
            number: place.number(),
            claimed,
            position: draws.prompt.checked_sub(1)?.checked_add(index.into())?,
            vocabulary: language.vocabulary,
            node: language.logits,
        })
    }

    /// Whether the likeliest token is taken and nothing is drawn.
    #[must_use]
    pub const fn is_greedy(&self) -> bool {
        self.settings.temperature == 0
    }

    /// The token that the claim says.
    #[must_use]
    pub const fn claimed(&self) -> u32 {
        self.claimed
    }

    /// The number of tokens.
    #[must_use]
    pub const fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// The number of blocks of 256.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.vocabulary
            .div_ceil(u32::try_from(BLOCK).unwrap_or(256))
    }

    /// The ids of a block.
    #[must_use]
    pub fn ids(&self, block: u32) -> core::ops::Range<u32> {
        let size = u32::try_from(BLOCK).unwrap_or(256);
        let first = block.saturating_mul(size);
        first.min(self.vocabulary)..first.saturating_add(size).min(self.vocabulary)
    }

    /// The cell of a token's logit.
    #[must_use]
    pub fn logit(&self, id: u32) -> Cell {
        Cell {
            position: self.position,
            node: self.node,
            index: usize::try_from(id).unwrap_or(usize::MAX),
        }
    }

    /// The adjusted logit (section 3.1).
    #[must_use]
    pub fn adjusted(&self, id: u32, logit: i64) -> i64 {
        let biases = &self.settings.logit_bias;
        let bias = biases.binary_search_by_key(&id, |&(id, _)| id).ok();
        let bias = bias.and_then(|at| biases.get(at)).map_or(0, |&(_, b)| b);
        let count = self.counts.get(id);
        let often = i128::from(count).saturating_mul(self.settings.frequency_penalty.into());
        let present = if count > 0 {
            i128::from(self.settings.presence_penalty)
        } else {
            0
        };
        let a = i128::from(bias)
            .saturating_sub(often)
            .saturating_sub(present);
        let moved = a.saturating_mul(1 << 16_u32).saturating_add(500_000);
        let moved = moved.checked_div_euclid(1_000_000).unwrap_or(0);
        let limit = i128::from(i32::MAX);
        let x = i128::from(logit).saturating_add(moved);
        i64::try_from(x.max(limit.saturating_neg()).min(limit)).unwrap_or(0)
    }

    /// The weight (sections 3.4 and 3.5) of adjusted logit `x` where the largest is `max`.
    #[must_use]
    pub fn weight(&self, max: i64, x: i64) -> u64 {
        let t = i64::from(self.settings.temperature);
        let half = t.checked_div(2).unwrap_or(0);
        let distance = max.saturating_sub(x).max(0);
        let scaled = distance.saturating_mul(1_000_000).saturating_add(half);
        let y = scaled.checked_div(t).unwrap_or(i64::MAX).min(22 << 16_u32);
        let y = usize::try_from(y).unwrap_or(0);
        let of = |table: &[u32], at| table.get(at).copied().map_or(0, u64::from);
        let (high, low) = (of(high(), y >> 11_u32), of(low(), y & 0x7ff));
        high.saturating_mul(low).saturating_add(1 << 29_u32) >> 30_u32
    }

    /// Adds up the block that begins with token `first`.
    #[must_use]
    pub fn tally(&self, cuts: &Cuts, max: i64, (first, logits): (u32, &[i64])) -> Tally {
        let mut tally = Tally::default();
        for (id, &logit) in (first..).zip(logits) {
            let weight = self.weight(max, self.adjusted(id, logit));
            let by_top_k = cuts.top_k.is_none_or(|last| keeps(last, weight, id));
            if weight == 0 || !by_top_k {
                continue;
            }
            let sums = &mut tally.sums;
            sums.count = sums.count.saturating_add(1);
            sums.by_top_k = sums.by_top_k.saturating_add(weight);
            if !keeps(cuts.top_p, weight, id) {
                continue;
            }
            sums.by_top_p = sums.by_top_p.saturating_add(weight);
            let share = u128::from(weight).saturating_mul(ONE);
            if share >= u128::from(self.settings.min_p) << 30_u32 {
                sums.kept = sums.kept.saturating_add(weight);
                tally.kept.push((id, weight));
            }
        }
        tally
    }

    /// Whether the sums of all blocks are those of these cuts, as far as sums alone say: top_k keeps as many as it must, top_p the shortest prefix.
    #[must_use]
    pub fn fits(&self, cuts: &Cuts, sums: &[Sums]) -> bool {
        let total = |of: fn(&Sums) -> u64| sums.iter().map(of).fold(0, u64::saturating_add);
        let count = total(|sums| sums.count.into());
        let asked = u64::from(self.settings.top_k);
        let counted = match cuts.top_k {
            None => asked == 0 || count <= asked,
            Some((weight, _)) => asked > 0 && weight > 0 && count == asked,
        };
        let (least, last) = cuts.top_p;
        let inside = cuts.top_k.is_none_or(|cut| keeps(cut, least, last));
        let wanted =
            u128::from(total(|sums| sums.by_top_k)).saturating_mul(u128::from(self.settings.top_p));
        let reached = total(|sums| sums.by_top_p);
        let Some(before) = reached.checked_sub(least) else {
            return false;
        };
        let enough = u128::from(reached).saturating_mul(ONE) >= wanted;
        let shortest = u128::from(before).saturating_mul(ONE) < wanted;
        counted && inside && least > 0 && enough && shortest
    }

    /// The block on which the draw falls, and what is left of it there. None if nothing is kept.
    #[must_use]
    pub fn falls(&self, sums: &[Sums]) -> Option<(u32, u64)> {
        let all = sums.iter().map(|sums| sums.kept);
        let all = all.fold(0, u64::saturating_add);
        let value = u128::from(self.number).saturating_mul(all.into()) >> 64_u32;
        let mut rest = u64::try_from(value).ok()?;
        for (block, sums) in (0_u32..).zip(sums) {
            match rest.checked_sub(sums.kept) {
                Some(left) => rest = left,
                None => return Some((block, rest)),
            }
        }
        None
    }

    /// The token of a block on which the rest of a draw falls.
    #[must_use]
    pub fn token(tally: &Tally, mut rest: u64) -> Option<u32> {
        for &(id, weight) in &tally.kept {
            match rest.checked_sub(weight) {
                Some(left) => rest = left,
                None => return Some(id),
            }
        }
        None
    }

    /// The cuts of a whole row of logits, its likeliest token, and all sums: what an honest operator says.
    #[must_use]
    pub fn sums_of(&self, logits: &[i64]) -> Option<(u32, Cuts, Vec<Sums>)> {
        let x: Vec<i64> = (0_u32..)
            .zip(logits)
            .map(|(id, &logit)| self.adjusted(id, logit))
            .collect();
        let max = *x.iter().max()?;
        let likeliest = u32::try_from(x.iter().position(|&x| x == max)?).ok()?;
        let weights = (0_u32..).zip(x.iter().map(|&x| self.weight(max, x)));
        let mut order: Vec<(u32, u64)> = weights.filter(|&(_, weight)| weight > 0).collect();
        order.sort_unstable_by_key(|&(id, weight)| (core::cmp::Reverse(weight), id));
        let most = usize::try_from(self.settings.top_k).unwrap_or(usize::MAX);
        let mut top_k = None;
        if most > 0 && order.len() > most {
            order.truncate(most);
            top_k = order.last().map(|&(id, weight)| (weight, id));
        }
        let sum = order
            .iter()
            .fold(0_u64, |sum, &(_, w)| sum.saturating_add(w));
        let wanted = u128::from(sum).saturating_mul(self.settings.top_p.into());
        let mut prefix = 0_u64;
        let last = order.iter().find(|&&(_, weight)| {
            prefix = prefix.saturating_add(weight);
            u128::from(prefix).saturating_mul(ONE) >= wanted
        });
        let top_p = last.map(|&(id, weight)| (weight, id))?;
        let cuts = Cuts { top_k, top_p };
        let block = |(first, logits): (u32, &[i64])| self.tally(&cuts, max, (first, logits)).sums;
        let firsts = (0..self.blocks()).map(|block| self.ids(block).start);
        let sums = firsts.zip(logits.chunks(BLOCK)).map(block).collect();
        Some((likeliest, cuts, sums))
    }
}

#[cfg(test)]
mod tests;
