//! Openings by blocks lead to the ordinary root, for every size and first block, and no other bytes do.

use credence_base::domain;
use proptest::prelude::*;

use super::*;
use crate::tree;

fn content(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap())
        .collect()
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

fn checked(all: &[u8], runs: &Runs, parts: &Parts) -> Result<(), BlocksError> {
    let root = tree::root(domain::OUTPUT, all);
    let opened = (parts.content.as_slice(), parts.values.as_slice());
    verify(domain::OUTPUT, &root, wide(all.len()), runs, opened)
}

#[test]
fn every_block_of_every_size_opens_under_the_librarys_root() {
    for len in [
        1_usize, 63, 64, 65, 127, 128, 1000, 1023, 1024, 1025, 2048, 2100, 3072, 5000, 16_384,
        17_001,
    ] {
        let all = content(len);
        for block in 0..len.div_ceil(64) {
            let runs = Runs::of_blocks(vec![wide(block)]);
            let parts = open(domain::OUTPUT, &all, &runs).unwrap();
            checked(&all, &runs, &parts).unwrap();
            let range = &runs.byte_ranges(wide(len))[0];
            let [start, end] = [range.start, range.end].map(|n| usize::try_from(n).unwrap());
            assert_eq!(parts.content, all[start..end], "{len} {block}");
            assert_eq!(start, block * 64);
        }
    }
}

#[test]
fn a_long_content_with_a_counter_of_more_than_a_byte() {
    let all = content(1 << 20);
    let runs = Runs::of_blocks(vec![3, 16 * 700 + 5, 16 * 701, 16 * 1023 + 15]);
    let parts = open(domain::OUTPUT, &all, &runs).unwrap();
    checked(&all, &runs, &parts).unwrap();
    assert_eq!(runs.as_slice().len(), 3);
}

#[test]
fn whole_chunks_open_as_they_always_did() {
    let all = content(9000);
    let runs = Runs::of_blocks(vec![16, 32, 128]);
    let parts = open(domain::OUTPUT, &all, &runs).unwrap();
    let ranges = [1024..3072, 8192..9000];
    let before = crate::opening::open(domain::OUTPUT, &all, &ranges).unwrap();
    assert_eq!(
        before.size_bytes(),
        parts.content.len() + 32 * parts.values.len()
    );
}

#[test]
fn runs_have_one_form() {
    let run = |first, chunks| Run { first, chunks };
    let cases: [(&[Run], bool); 10] = [
        (&[run(0, 1)], true),
        (&[run(5, 2), run(40, 1)], true),
        (&[run(5, 1), run(17, 1)], true),
        (&[run(5, 1), run(16, 1)], false),
        (&[run(5, 1), run(6, 1)], false),
        (&[run(20, 1), run(5, 1)], false),
        (&[run(5, 0)], false),
        (&[run(0, 5)], true),
        (&[run(0, 6)], false),
        (&[run(u64::MAX, 1)], false),
    ];
    for (runs, fits) in cases {
        assert_eq!(Runs::new(runs.to_vec(), 5000).is_ok(), fits, "{runs:?}");
    }
    // Behind the last byte of the last chunk there is no block.
    assert!(Runs::new(vec![run(78, 1)], 5000).is_ok());
    assert!(Runs::new(vec![run(79, 1)], 5000).is_err());
    let nothing = open(domain::OUTPUT, b"x", &Runs::default());
    assert_eq!(nothing, Err(BlocksError::NoRun));
    let empty = open(domain::OUTPUT, b"", &Runs::of_blocks(vec![0]));
    assert_eq!(empty, Err(BlocksError::Length { got: 0 }));
}

proptest! {
    #[test]
    fn any_blocks_open_and_no_change_is_accepted(
        len in 1_usize..40_000,
        picks in proptest::collection::vec(0_usize..40_000, 1..12),
        flip in 0_usize..1_000_000,
    ) {
        let all = content(len);
        let blocks = picks.iter().map(|pick| wide(pick % len / 64)).collect();
        let runs = Runs::of_blocks(blocks);
        prop_assert_eq!(Runs::new(runs.as_slice().to_vec(), wide(len)), Ok(runs.clone()));
        let parts = open(domain::OUTPUT, &all, &runs).unwrap();
        prop_assert_eq!(checked(&all, &runs, &parts), Ok(()));
        let shown: Vec<u8> = runs.byte_ranges(wide(len)).iter().flat_map(|range| {
            let [start, end] = [range.start, range.end].map(|n| usize::try_from(n).unwrap());
            all[start..end].to_vec()
        }).collect();
        prop_assert_eq!(&shown, &parts.content);
        let mut other = parts.clone();
        let size = parts.content.len() + 32 * parts.values.len();
        match flip % size {
            at if at < parts.content.len() => other.content[at] ^= 1 << (flip % 8),
            at => {
                let at = at - parts.content.len();
                other.values[at / 32][at % 32] ^= 1 << (flip % 8);
            }
        }
        prop_assert!(checked(&all, &runs, &other).is_err());
        let mut shorter = parts.clone();
        shorter.content.pop();
        prop_assert_eq!(checked(&all, &runs, &shorter), Err(BlocksError::ShortContent));
        if !parts.values.is_empty() {
            let mut fewer = parts.clone();
            fewer.values.pop();
            prop_assert!(checked(&all, &runs, &fewer).is_err());
        }
        let mut more = parts;
        more.values.push([0; 32]);
        prop_assert!(checked(&all, &runs, &more).is_err());
    }
}
