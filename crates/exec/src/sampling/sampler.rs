//! The fast sampler: one step from logits to a token, equal to [`reference`](super::reference) on every one.
//!
//! Passes over the vocabulary are plain loops that a compiler vectorises, by blocks of 256; buffers are kept from step to step, so a step
//! allocates nothing after the first.

use super::adjust::{self, Allowed, Counts, MASKED};
use super::draw::{Place, draw};
use super::truncate::Truncation;
use super::weights::Scale;
use super::{Parameters, SamplingError};

/// Values of one block of the trees over a vocabulary.
pub const BLOCK: usize = 256;

/// What a step takes beside the parameters.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// One for each token of the vocabulary, in units of 2⁻¹⁶ nat.
    pub logits: &'a [i32],
    /// The tokens generated so far.
    pub counts: &'a Counts,
    /// The tokens that may come, if the decoding is constrained.
    pub allowed: Option<Allowed<'a>>,
    /// Where the token stands.
    pub place: Place,
}

/// Takes tokens from logits. Its buffers grow to the vocabulary once; results do not depend on what it did before.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    adjusted: Vec<i32>,
    maxima: Vec<i32>,
    weights: Vec<u32>,
    sums: Vec<u64>,
}

impl Sampler {
    /// With empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            adjusted: Vec::new(),
            maxima: Vec::new(),
            weights: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// The id of the next token.
    ///
    /// # Errors
    /// [`SamplingError`]: the arguments do not fit the vocabulary, or no token is allowed.
    pub fn sample(
        &mut self,
        parameters: &Parameters,
        step: &Step<'_>,
    ) -> Result<u32, SamplingError> {
        let settings = parameters.settings();
        let Step {
            logits,
            counts,
            allowed,
            place,
        } = *step;
        self.sums.clear();
        adjust::check(logits, settings, counts, allowed)?;
        adjust::adjust(&mut self.adjusted, logits, settings, counts);
        if let Some(allowed) = allowed {
            adjust::mask(&mut self.adjusted, allowed);
        }
        let max = self.maximum().ok_or(SamplingError::NothingAllowed)?;
        let token = if settings.temperature == 0 {
            self.first(max)
        } else {
            self.weigh(max, settings.temperature);
            let truncation = Truncation {
                top_k: settings.top_k,
                top_p: settings.top_p,
                min_p: settings.min_p,
            };
            let cut = truncation.cut(&self.weights, &mut self.sums);
            draw(place.number(), &self.weights, cut, &self.sums)
        };
        // The largest weight is positive and always kept, so there is a token.
        let token = token.and_then(|token| u32::try_from(token).ok());
        token.ok_or(SamplingError::NothingAllowed)
    }

    /// Level 1 of the tree of maxima of the last step: of adjusted logits, by block. A block with no token allowed has `i32::MIN`.
    #[must_use]
    pub fn block_maxima(&self) -> &[i32] {
        &self.maxima
    }

    /// Level 1 of the tree of kept weights of the last step, by block. Empty after a greedy step.
    #[must_use]
    pub fn block_sums(&self) -> &[u64] {
        &self.sums
    }

    fn maximum(&mut self) -> Option<i32> {
        let largest = |cells: &[i32]| cells.iter().fold(MASKED, |max, &cell| max.max(cell));
        self.maxima.clear();
        self.maxima.extend(self.adjusted.chunks(BLOCK).map(largest));
        Some(largest(&self.maxima)).filter(|&max| max != MASKED)
    }

    /// The lowest id whose adjusted logit is the maximum.
    fn first(&self, max: i32) -> Option<usize> {
        let start = BLOCK * self.maxima.iter().position(|&own| own == max)?;
        let inside = self
            .adjusted
            .get(start..)?
            .iter()
            .position(|&cell| cell == max)?;
        Some(start + inside)
    }

    /// Writes all weights and their sums by block.
    fn weigh(&mut self, max: i32, temperature: u32) {
        let scale = Scale::new(temperature);
        let weight = |&cell: &i32| {
            let distance = if cell == MASKED {
                scale.end()
            } else {
                max.abs_diff(cell)
            };
            scale.weight(distance)
        };
        self.weights.clear();
        self.weights.extend(self.adjusted.iter().map(weight));
        let sum = |weights: &[u32]| weights.iter().copied().map(u64::from).sum::<u64>();
        self.sums.extend(self.weights.chunks(BLOCK).map(sum));
    }
}
