//! Counting is held against real openings: equal for known blocks, enough for chunks wherever they stand.

use credence_base::domain::WEIGHTS;
use credence_commit::blocks::{Runs, open};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{OpeningSize, tree_size};

fn opened(len: usize, blocks: &[u64]) -> OpeningSize {
    let content: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0]).collect();
    let parts = open(WEIGHTS, &content, &Runs::of_blocks(blocks.to_vec())).unwrap();
    OpeningSize {
        content: u64::try_from(parts.content.len()).unwrap(),
        values: u64::try_from(parts.values.len() * 32).unwrap(),
    }
}

fn within(len: usize, blocks: &[u64]) -> Vec<u64> {
    let all = u64::try_from(len.div_ceil(64)).unwrap();
    blocks.iter().map(|block| block % all).collect()
}

proptest! {
    #[test]
    fn known_blocks_are_counted_exactly(len in 1_usize..40_000, blocks in vec(0_u64..640, 1..20)) {
        let blocks = within(len, &blocks);
        let size = u64::try_from(len).unwrap();
        prop_assert_eq!(tree_size(size, blocks.clone(), 0), opened(len, &blocks));
    }

    #[test]
    fn lone_chunks_are_enough_wherever_they_stand(
        len in 1_usize..40_000,
        blocks in vec(0_u64..640, 0..8),
        lone in vec(0_u64..640, 1..8),
    ) {
        let (blocks, lone) = (within(len, &blocks), within(len, &lone));
        let size = u64::try_from(len).unwrap();
        let said = tree_size(size, blocks.clone(), u64::try_from(lone.len()).unwrap());
        let got = opened(len, &[blocks, lone].concat());
        prop_assert!(got.content <= said.content && got.values <= said.values, "{:?} {:?}", got, said);
    }
}

#[test]
fn nothing_takes_nothing() {
    assert_eq!(tree_size(5000, Vec::new(), 0), OpeningSize::default());
}
