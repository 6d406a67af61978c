//! Inclusion and consistency proofs: which hashes they are, making them from tiles, and verifying them.
//!
//! ```text
//! Plan::inclusion, Plan::consistency ─tiles()─▶ read them into a TileSet ─make─▶ hashes
//! verify_inclusion, verify_consistency         RFC 9162, sections 2.1.3.2 and 2.1.4.2
//! ```
//!
//! The proofs are those of RFC 6962, sections 2.1.1 and 2.1.2. Sizes and indices come from the verifier, never from the
//! proof; a proof is a list of hashes and nothing else.
//!
//! It deliberately reads no files: a plan says which tiles it needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::SIZE_MAX;
use crate::hash::Hash;
use crate::tile::{Node, Tile, TileId};

/// The most hashes a proof has.
pub const HASHES_MAX: usize = 63;

/// Why a proof cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The entry is not in the tree.
    #[error("entry {index} is not in a tree of {size} entries")]
    Index {
        /// The entry's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The old tree is larger than the new one.
    #[error("a tree of {old} entries cannot come before one of {new}")]
    Order {
        /// The old size.
        old: u64,
        /// The new size.
        new: u64,
    },
    /// The tree is larger than a log may be.
    #[error("a log holds at most {SIZE_MAX} entries, got {size}")]
    Size {
        /// The size given.
        size: u64,
    },
    /// A tile is needed and was not given.
    #[error("tile {tile} is needed and was not given")]
    Tile {
        /// The tile.
        tile: TileId,
    },
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry is not in the tree.
    #[error("entry {index} is not in a tree of {size} entries")]
    Index {
        /// The entry's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The old tree is larger than the new one.
    #[error("a tree of {old} entries cannot come before one of {new}")]
    Order {
        /// The old size.
        old: u64,
        /// The new size.
        new: u64,
    },
    /// The proof has too many or too few hashes for the sizes.
    #[error("the proof has {got} hashes, which is not what these sizes need")]
    Len {
        /// Hashes given.
        got: usize,
    },
    /// The proof leads to another root.
    #[error("the proof leads to root {got}, expected {expected}")]
    Root {
        /// The root that was to be shown.
        expected: Hash,
        /// The root that the proof leads to.
        got: Hash,
    },
    /// The proof leads to another root of the old tree.
    #[error("the proof leads to root {got} of the old tree, expected {expected}")]
    OldRoot {
        /// The old root.
        expected: Hash,
        /// The root that the proof leads to.
        got: Hash,
    },
}

/// Something that knows hashes of a tree.
pub trait HashReader {
    /// The hash of a complete subtree of the tree of `size` entries.
    ///
    /// # Errors
    /// [`PlanError::Tile`] when the tile that holds it is not there.
    fn hash(&self, node: Node, size: u64) -> Result<Hash, PlanError>;
}

/// Tiles in memory. They are as right as where they came from: a proof made of wrong tiles does not verify.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TileSet(BTreeMap<(u8, u64), Tile>);

impl TileSet {
    /// No tiles.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a tile; of two of one place the wider one stays.
    pub fn insert(&mut self, tile: Tile) {
        let id = tile.id();
        let place = (id.level(), id.index());
        if self
            .0
            .get(&place)
            .is_none_or(|known| known.id().width() < id.width())
        {
            self.0.insert(place, tile);
        }
    }
}

impl Extend<Tile> for TileSet {
    fn extend<I: IntoIterator<Item = Tile>>(&mut self, tiles: I) {
        for tile in tiles {
            self.insert(tile);
        }
    }
}

impl HashReader for TileSet {
    fn hash(&self, node: Node, size: u64) -> Result<Hash, PlanError> {
        let (tile, at) = TileId::of_node(node, size).ok_or(PlanError::Size { size })?;
        self.0
            .get(&(tile.level(), tile.index()))
            .and_then(|found| found.subtree(at, node.height_in_tile()))
            .ok_or(PlanError::Tile { tile })
    }
}

/// Which hashes a proof consists of: each over a range of leaves, as complete subtrees from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    hashes: Vec<Vec<Node>>,
}

impl Plan {
    /// The proof that entry `index` is in the tree of `size` entries.
    ///
    /// # Errors
    /// [`PlanError`] when it is not, or the tree is too large.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, PlanError> {
        check_size(size)?;
        if index >= size {
            return Err(PlanError::Index { index, size });
        }
        let (mut start, mut end) = (0, size);
        let mut hashes = Vec::new();
        while let Some(middle) = split(start, end) {
            if index < middle {
                hashes.push(subtrees(middle, end));
                end = middle;
            } else {
                hashes.push(subtrees(start, middle));
                start = middle;
            }
        }
        hashes.reverse();
        Ok(Self { size, hashes })
    }

    /// The proof that the tree of `old` entries begins the tree of `new` entries. It is empty when `old` is 0 or `new`.
    ///
    /// # Errors
    /// [`PlanError`] when `old` is larger, or `new` too large.
    pub fn consistency(old: u64, new: u64) -> Result<Self, PlanError> {
        check_size(new)?;
        if old > new {
            return Err(PlanError::Order { old, new });
        }
        let mut hashes = Vec::new();
        if old > 0 && old < new {
            // RFC 6962, section 2.1.2: SUBPROOF, from the root down.
            let (mut start, mut end) = (0, new);
            while old != end {
                let Some(middle) = split(start, end) else {
                    break;
                };
                if old <= middle {
                    hashes.push(subtrees(middle, end));
                    end = middle;
                } else {
                    hashes.push(subtrees(start, middle));
                    start = middle;
                }
            }
            // The old tree itself needs no showing when it is a complete subtree at the left edge.
            if start > 0 {
                hashes.push(subtrees(start, end));
            }
            hashes.reverse();
        }
        Ok(Self { size: new, hashes })
    }

    /// The root of the tree of `size` entries.
    ///
    /// # Errors
    /// [`PlanError::Size`] when it is too large.
    pub fn root(size: u64) -> Result<Self, PlanError> {
        check_size(size)?;
        Ok(Self {
            size,
            hashes: vec![subtrees(0, size)],
        })
    }

    /// The tiles needed, each once. A full tile does in the place of a partial one.
    #[must_use]
    pub fn tiles(&self) -> BTreeSet<TileId> {
        let nodes = self.hashes.iter().flatten();
        nodes
            .filter_map(|node| TileId::of_node(*node, self.size))
            .map(|(tile, _)| tile)
            .collect()
    }

    /// The hashes, in the order of the proof.
    ///
    /// # Errors
    /// [`PlanError::Tile`] for the first tile that is missing.
    pub fn make(&self, reader: &impl HashReader) -> Result<Vec<Hash>, PlanError> {
        self.hashes
            .iter()
            .map(|nodes| {
                let mut joined = None;
                for node in nodes.iter().rev() {
                    let left = reader.hash(*node, self.size)?;
                    joined = Some(match joined {
                        None => left,
                        Some(right) => Hash::of_node(&left, &right),
                    });
                }
                Ok(joined.unwrap_or_else(Hash::of_empty_tree))
            })
            .collect()
    }
}

const fn check_size(size: u64) -> Result<(), PlanError> {
    if size > SIZE_MAX {
        Err(PlanError::Size { size })
    } else {
        Ok(())
    }
}

/// Where a range of leaves is split: after the largest power of two that is smaller than its length.
fn split(start: u64, end: u64) -> Option<u64> {
    let last = end.checked_sub(start)?.checked_sub(1)?;
    let half = 1u64.checked_shl(last.checked_ilog2()?)?;
    start.checked_add(half)
}

/// The complete subtrees of a range whose start is a multiple of the power of two it is split by.
fn subtrees(start: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = start;
    while let Some(level) = end.checked_sub(at).and_then(u64::checked_ilog2) {
        let Some((index, next)) = at
            .checked_shr(level)
            .zip(1u64.checked_shl(level).and_then(|len| at.checked_add(len)))
        else {
            break;
        };
        nodes.push(Node { level, index });
        at = next;
    }
    nodes
}

/// Checks that `leaf` is entry `index` of the tree of `size` entries and this root.
///
/// # Errors
/// [`ProofError`] when the proof does not show it.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    tree: (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    let (size, root) = tree;
    let wrong_len = ProofError::Len { got: proof.len() };
    let mut last = match size.checked_sub(1) {
        Some(last) if index <= last => last,
        Some(_) | None => return Err(ProofError::Index { index, size }),
    };
    let mut at = index;
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong_len);
        }
        if is_odd(at) || at == last {
            hash = Hash::of_node(sibling, &hash);
            (at, last) = climb(at, last);
        } else {
            hash = Hash::of_node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_len);
    }
    if hash != *root {
        return Err(ProofError::Root {
            expected: *root,
            got: hash,
        });
    }
    Ok(())
}

/// Checks that the tree `old` begins the tree `new`, each given as its size and root.
///
/// # Errors
/// [`ProofError`] when the proof does not show it.
pub fn verify_consistency(
    old: (u64, &Hash),
    new: (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    let wrong_len = ProofError::Len { got: proof.len() };
    if old_size > new_size {
        return Err(ProofError::Order {
            old: old_size,
            new: new_size,
        });
    }
    if old_size == 0 || old_size == new_size {
        return verify_trivial(old, new, proof);
    }
    let (mut at, mut last) = (old_size.saturating_sub(1), new_size.saturating_sub(1));
    // A complete old tree is where the proof starts, and is not part of it.
    let (start, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(wrong_len)?
    };
    while is_odd(at) {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        if last == 0 {
            return Err(wrong_len);
        }
        if is_odd(at) || at == last {
            old_hash = Hash::of_node(sibling, &old_hash);
            new_hash = Hash::of_node(sibling, &new_hash);
            (at, last) = climb(at, last);
        } else {
            new_hash = Hash::of_node(&new_hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_len);
    }
    if old_hash != *old_root {
        return Err(ProofError::OldRoot {
            expected: *old_root,
            got: old_hash,
        });
    }
    same_root(new_root, new_hash)
}

/// An empty or an equal old tree: nothing is to be shown, so the proof is empty.
fn verify_trivial(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if !proof.is_empty() {
        return Err(ProofError::Len { got: proof.len() });
    }
    let empty = Hash::of_empty_tree();
    if old_size == 0 && *old_root != empty {
        return Err(ProofError::OldRoot {
            expected: *old_root,
            got: empty,
        });
    }
    if old_size == new_size {
        same_root(new_root, *old_root)
    } else {
        Ok(())
    }
}

fn same_root(expected: &Hash, got: Hash) -> Result<(), ProofError> {
    if got == *expected {
        Ok(())
    } else {
        Err(ProofError::Root {
            expected: *expected,
            got,
        })
    }
}

/// Up from a node without a right sibling, until it is a right child or the leftmost of its level.
const fn climb(mut at: u64, mut last: u64) -> (u64, u64) {
    while !is_odd(at) && at != 0 {
        at >>= 1;
        last >>= 1;
    }
    (at, last)
}

const fn is_odd(value: u64) -> bool {
    value & 1 == 1
}
