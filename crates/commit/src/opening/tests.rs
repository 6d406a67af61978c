//! Openings against BLAKE3 itself, at every size around a chunk boundary, and against whoever edits one.
#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is what is meant"
)]

use proptest::prelude::*;

use super::*;
use crate::tree::root;
use credence_base::domain;

const D: Domain = domain::TRACE_SECTION;

fn content(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap())
        .collect()
}

fn check(content: &[u8], ranges: &[Range<u64>]) -> Opening {
    let opening = open(D, content, ranges).unwrap();
    let total_len = u64::try_from(content.len()).unwrap();
    let shown = verify(D, &root(D, content), total_len, ranges, &opening).unwrap();
    assert_eq!(shown.len(), ranges.len());
    for (range, shown) in ranges.iter().zip(shown) {
        let expected = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(
            (shown.start(), shown.bytes()),
            (range.start, &content[expected]),
            "{range:?}"
        );
    }
    let encoded = opening.encode().unwrap();
    assert_eq!(Opening::decode(&encoded, content.len()).unwrap(), opening);
    opening
}

#[test]
fn every_size_around_a_chunk_boundary() {
    for chunks in 0..=20usize {
        for len in [chunks * 1024, chunks * 1024 + 1, (chunks + 1) * 1024 - 1] {
            let content = content(len);
            let end = u64::try_from(len).unwrap();
            if end == 0 {
                assert!(matches!(
                    open(D, &content, &[0..1]),
                    Err(OpeningError::Range { .. })
                ));
                continue;
            }
            check(&content, &[0..end]);
            check(&content, &[0..1]);
            check(&content, &[end - 1..end]);
            check(&content, &[end / 2..end / 2 + 1, 0..1, end - 1..end]);
        }
    }
}

#[test]
fn an_opening_is_as_small_as_the_tree_allows() {
    // One byte of 16 chunks: its chunk and four chaining values.
    let opening = check(&content(16 * 1024), &[5000..5001]);
    assert_eq!((opening.content.len(), opening.siblings.len()), (1024, 4));
    // Two neighbouring chunks under one parent share their path.
    let opening = check(&content(16 * 1024), &[4096..4097, 6143..6144]);
    assert_eq!((opening.content.len(), opening.siblings.len()), (2048, 3));
    // Everything: no chaining value at all.
    let opening = check(&content(16 * 1024), &[0..16 * 1024]);
    assert_eq!(
        (opening.content.len(), opening.siblings.len()),
        (16 * 1024, 0)
    );
}

#[test]
fn ranges_must_lie_in_the_content() {
    let content = content(3000);
    let cases = [
        (vec![], OpeningError::NoRange),
        (
            vec![5..5],
            OpeningError::Range {
                total_len: 3000,
                start: 5,
                end: 5,
            },
        ),
        (
            vec![0..1, 2999..3001],
            OpeningError::Range {
                total_len: 3000,
                start: 2999,
                end: 3001,
            },
        ),
        (
            vec![Range { start: 7, end: 6 }],
            OpeningError::Range {
                total_len: 3000,
                start: 7,
                end: 6,
            },
        ),
        (
            vec![0..u64::MAX],
            OpeningError::Range {
                total_len: 3000,
                start: 0,
                end: u64::MAX,
            },
        ),
    ];
    let good = open(D, &content, &[0..1]).unwrap();
    for (ranges, expected) in cases {
        assert_eq!(open(D, &content, &ranges), Err(expected.clone()));
        assert_eq!(
            verify(D, &root(D, &content), 3000, &ranges, &good),
            Err(expected)
        );
    }
    let long = verify(D, &root(D, &content), u64::MAX, &[0..1], &good);
    assert_eq!(
        long,
        Err(OpeningError::TooLong {
            max: CONTENT_LEN_MAX,
            got: u64::MAX
        })
    );
}

#[test]
fn every_flipped_truncated_or_extended_byte_is_refused() {
    let content = content(9 * 1024 + 17);
    let total_len = u64::try_from(content.len()).unwrap();
    let ranges = [1500..1600, 9216..9217];
    let root = root(D, &content);
    let bytes = check(&content, &ranges).encode().unwrap();
    let accepts = |bytes: &[u8]| {
        Opening::decode(bytes, content.len())
            .is_ok_and(|opening| verify(D, &root, total_len, &ranges, &opening).is_ok())
    };
    assert!(accepts(&bytes));
    for at in 0..bytes.len() {
        for flip in [1u8, 0x80] {
            let mut edited = bytes.clone();
            edited[at] ^= flip;
            assert!(!accepts(&edited), "byte {at}");
        }
        assert!(!accepts(&bytes[..at]), "cut at {at}");
    }
    assert!(!accepts(&[bytes.as_slice(), &[0]].concat()));
}

#[test]
fn surplus_and_shortage_are_named() {
    let content = content(4096);
    let root = root(D, &content);
    let good = open(D, &content, &[0..1]).unwrap();
    let with = |edit: &dyn Fn(&mut Opening)| {
        let mut opening = good.clone();
        edit(&mut opening);
        verify(D, &root, 4096, &[0..1], &opening).unwrap_err()
    };
    assert_eq!(
        with(&|o| o.content.push(0)),
        OpeningError::Surplus {
            content: 1,
            siblings: 0
        }
    );
    assert_eq!(
        with(&|o| o.siblings.push([0; 32])),
        OpeningError::Surplus {
            content: 0,
            siblings: 1
        }
    );
    assert_eq!(
        with(&|o| o.content.truncate(1000)),
        OpeningError::ShortContent {
            expected: 1024,
            got: 1000
        }
    );
    assert_eq!(
        with(&|o| o.siblings.truncate(1)),
        OpeningError::ShortSiblings
    );
}

#[test]
fn a_length_is_not_shown_unless_the_last_chunk_is() {
    let content = content(5000);
    let root = root(D, &content);
    let opening = open(D, &content, &[0..10]).unwrap();
    // The trees of 5,000 and 8,192 bytes split alike on the way to the first chunk. The bytes shown are right
    // all the same, since a chunk's chaining value holds its position.
    let shown = verify(D, &root, 8192, core::slice::from_ref(&(0..10)), &opening).unwrap();
    assert_eq!(shown[0].bytes(), &content[..10]);
    let last = open(D, &content, &[4999..5000]).unwrap();
    for wrong in [4097, 4999, 5001, 5120, 8192] {
        assert!(
            verify(D, &root, wrong, &[wrong - 1..wrong], &last).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn another_domain_length_or_range_is_refused() {
    let content = content(5000);
    let root = root(D, &content);
    let opening = open(D, &content, &[0..10]).unwrap();
    let wrong = |domain, len, range: Range<u64>| {
        assert!(verify(domain, &root, len, &[range], &opening).is_err());
    };
    wrong(domain::INPUT, 5000, 0..10);
    wrong(D, 4096, 0..10);
    wrong(D, 5000, 1024..1034);
    wrong(D, 5000, 0..2000);
    // An interior chaining value is not a root.
    let inner = Digest::from_bytes(opening.siblings[0]);
    assert!(verify(D, &inner, 1024, &[0..10], &opening).is_err());
}

proptest! {
    #[test]
    fn any_ranges_of_any_content(
        len in 1usize..20 * 1024,
        picks in prop::collection::vec((any::<u64>(), any::<u64>()), 1..6),
    ) {
        let total = u64::try_from(len).unwrap();
        let ranges: Vec<Range<u64>> = picks
            .into_iter()
            .map(|(a, b)| {
                let start = a % total;
                start..start + 1 + b % (total - start)
            })
            .collect();
        check(&content(len), &ranges);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        total_len in any::<u64>(),
        start in any::<u64>(),
        end in any::<u64>(),
    ) {
        if let Ok(opening) = Opening::decode(&bytes, 4096) {
            let root = Digest::from_bytes([0; 32]);
            prop_assert!(verify(D, &root, total_len, core::slice::from_ref(&(start..end)), &opening).is_err());
        }
    }
}
