//! The work before a round's queries: the least nonce whose hash is good enough.
//!
//! Nonces are tried in order, a batch for each thread, so that the same proof comes out on any number of threads.

use credence_base::domain;
use credence_method_snark::pcs::steps::{is_work, work_block};
use rayon::prelude::*;

use crate::pcs::merkle::Many;

/// Nonces of one batch.
const BATCH: u64 = 1 << 10;

/// The least nonce that is work on `seed`. Takes 2^16 hashes on average.
pub(crate) fn grind(seed: &[u8; 32]) -> u64 {
    let many = Many::new(domain::SNARK_WORK);
    let threads = u64::try_from(rayon::current_num_threads()).unwrap_or(1);
    let round = 4 * threads.max(1);
    (0u64..)
        .step_by(usize::try_from(round).unwrap_or(1))
        .find_map(|first| {
            let batches = (first..first + round).into_par_iter();
            batches
                .map(|batch| try_batch(&many, seed, batch * BATCH))
                .find_first(Option::is_some)
                .flatten()
        })
        .unwrap_or(u64::MAX)
}

fn try_batch(many: &Many, seed: &[u8; 32], first: u64) -> Option<u64> {
    let blocks: Vec<[u8; 64]> = (first..first + BATCH)
        .map(|nonce| work_block(seed, nonce))
        .collect();
    let mut hashes = vec![[0; 32]; blocks.len()];
    many.batch(&blocks, &mut hashes);
    let found = hashes.iter().position(|hash| is_work(hash))?;
    Some(first + u64::try_from(found).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_method_snark::pcs::steps::has_worked;

    #[test]
    fn the_nonce_is_the_least_that_is_work() {
        for byte in 0..3 {
            let seed = [byte; 32];
            let nonce = grind(&seed);
            assert!(has_worked(&seed, nonce));
            assert!((0..nonce).all(|less| !has_worked(&seed, less)));
        }
    }
}
