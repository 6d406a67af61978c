//! Reading a tree: what is right is found, what is wrong is never used.

use std::sync::Arc;

use credence_log::proof::{verify_consistency, verify_inclusion};
use credence_log::{Clock, Hash, LogPolicy, TileId};
use credence_watch::source::{LogFile, SourceError};
use credence_watch::{LogSource, Tree, TreeError, head};

use crate::shared::{History, Shown, log_key};

#[test]
fn proofs_and_earlier_roots_verify_at_every_size() {
    let history = Arc::new(History::new(700, 0, 0));
    for size in [1, 2, 255, 256, 257, 511, 512, 513, 700] {
        let shown = Shown::new(&history, size);
        let checkpoint = head(&*shown, &log_key()).unwrap();
        let new = checkpoint.unverified();
        let mut tree = Tree::open(&*shown, new).unwrap();
        for old in (0..=size).step_by(7).chain([size]) {
            let before = history.checkpoint(old).unverified();
            assert_eq!(
                tree.root_at(old).unwrap(),
                *before.root(),
                "{old} of {size}"
            );
            let proof = tree.consistency(old).unwrap();
            verify_consistency(before.tree(), new.tree(), &proof).unwrap();
        }
        for index in (0..size).step_by(13) {
            let entry = &history.entries[usize::try_from(index).unwrap()];
            let proof = tree.inclusion(index).unwrap();
            verify_inclusion(&Hash::of_receipt(entry), index, new.tree(), &proof).unwrap();
            assert_eq!(tree.find(entry).unwrap(), Some(index));
            let travelling = tree.log_proof(index, &checkpoint).unwrap();
            let policy = LogPolicy::new(vec![log_key()], Vec::new(), 0).unwrap();
            let clock = Clock {
                now_unix_s: 1,
                skew_max_s: 1,
            };
            travelling.verify(entry, &policy, clock).unwrap();
        }
        let mut tail = Vec::new();
        tree.each_entry(size / 2, |index, entry| {
            tail.push((index, *entry));
            true
        })
        .unwrap();
        let expected: Vec<_> = (size / 2..size)
            .map(|at| (at, history.entries[usize::try_from(at).unwrap()]))
            .collect();
        assert_eq!(tail, expected);
        assert!(tree.inclusion(size).is_err());
        assert!(tree.root_at(size + 1).is_err());
    }
}

/// A source with one file spoilt or gone.
struct Spoilt<'a> {
    shown: &'a Shown,
    file: LogFile,
    how: Option<usize>,
}

impl LogSource for Spoilt<'_> {
    fn read(&self, file: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        let mut found = self.shown.read(file)?;
        if file == self.file {
            match (self.how, &mut found) {
                (Some(bit), Some(bytes)) => {
                    let at = bit / 8 % bytes.len();
                    bytes[at] ^= 1 << (bit % 8);
                }
                (None, _) => return Ok(None),
                (Some(_), None) => {}
            }
        }
        Ok(found)
    }
}

#[test]
fn a_spoilt_tile_is_named_and_a_partial_one_is_replaced_by_the_full_one() {
    let history = Arc::new(History::new(700, 0, 0));
    let shown = Shown::new(&history, 600);
    let checkpoint = history.checkpoint(600).unverified();
    let read = |spoilt: &Spoilt<'_>| {
        let mut tree = Tree::open(spoilt, checkpoint)?;
        tree.root_at(300)
    };
    for (level, index) in [(0, 0), (0, 1), (0, 2), (1, 0)] {
        let id = TileId::in_tree(level, index, 600).unwrap();
        for bit in (0..usize::from(id.width()) * 256).step_by(97) {
            let file = LogFile::Tile(id);
            match read(&Spoilt {
                shown: &shown,
                file,
                how: Some(bit),
            }) {
                // Tile 0 is not needed for the root of 300 entries but as a whole.
                Ok(root) => assert_eq!(
                    (root, (level, index)),
                    (*history.checkpoint(300).unverified().root(), (0, 0))
                ),
                Err(error) => assert!(error.is_wrong(), "{error}"),
            }
        }
        let gone = read(&Spoilt {
            shown: &shown,
            file: LogFile::Tile(id),
            how: None,
        });
        assert!(matches!(gone, Ok(_) | Err(TreeError::Missing { .. })));
    }
    // The log has grown meanwhile, and removed the partial tile of 600.
    shown.grow(700);
    let grown = Arc::new(History::new(768, 0, 0));
    shown.view().history = grown;
    shown.view().tiles = 768;
    let file = LogFile::Tile(TileId::in_tree(0, 2, 600).unwrap());
    let root = read(&Spoilt {
        shown: &shown,
        file,
        how: None,
    })
    .unwrap();
    assert_eq!(root, *history.checkpoint(300).unverified().root());
}

#[test]
fn a_head_of_another_key_is_refused() {
    let history = Arc::new(History::new(5, 0, 0));
    let shown = Shown::new(&history, 5);
    let other = crate::shared::signer("log.example/receipts", 9);
    assert!(matches!(
        head(&*shown, other.verifier()),
        Err(TreeError::Checkpoint(_))
    ));
    shown.view().says = Some(b"rubbish".to_vec());
    assert!(head(&*shown, &log_key()).is_err());
}
