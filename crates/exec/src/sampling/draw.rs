//! The draw: a 64-bit number from ChaCha20, and the token it falls on (`docs/spec/sampling.md`, sections 3.10, 5 and 7).
//!
//! Each token has a block of the key stream of its own, addressed by choice and step, so a step needs no state from those before.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use super::sampler::BLOCK;
use super::truncate::Cut;

/// Where in the stream of random numbers a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The request's seed.
    pub seed: [u8; 32],
    /// The number of this completion among those of the request, from 0.
    pub choice: u32,
    /// The index of the token in its completion, from 0.
    pub step: u32,
}

impl Place {
    /// The 64-bit number of this place.
    #[must_use]
    pub fn number(&self) -> u64 {
        let mut stream = ChaCha20Rng::from_seed(self.seed);
        stream.set_stream(self.choice.into());
        stream.set_block_pos(self.step.into());
        stream.next_u64()
    }
}

/// The token that `number` falls on: first its block, then inside. `sums` are those of the kept weights.
pub(super) fn draw(number: u64, weights: &[u32], cut: Cut, sums: &[u64]) -> Option<usize> {
    let sum: u64 = sums.iter().sum();
    let value = (u128::from(number) * u128::from(sum)) >> 64;
    let mut rest = u64::try_from(value).ok()?;
    let mut passed = |sum: u64| match rest.checked_sub(sum) {
        Some(less) => {
            rest = less;
            true
        }
        None => false,
    };
    let start = BLOCK * sums.iter().position(|&sum| !passed(sum))?;
    let kept = |(at, &weight): (usize, &u32)| {
        if cut.keeps(weight, start + at) {
            weight
        } else {
            0
        }
    };
    let mut cells = weights
        .get(start..)?
        .iter()
        .take(BLOCK)
        .enumerate()
        .map(kept);
    Some(start + cells.position(|weight| !passed(weight.into()))?)
}
