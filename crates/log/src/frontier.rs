//! A tree known by its right edge alone: the roots of the complete subtrees its size is the sum of.
//!
//! Appending costs one hash on average and the state has at most 63 hashes, whatever the log holds. It is what a
//! monitor keeps between two checkpoints.
//!
//! It deliberately cannot prove anything: proofs need tiles ([`crate::edge`], [`crate::proof`]).

use crate::SIZE_MAX;
use crate::hash::Hash;

/// Why a frontier was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The number of hashes is not the number of ones in the size.
    #[error("a tree of {size} entries has {expected} complete subtrees, got {got}")]
    Peaks {
        /// Entries.
        size: u64,
        /// Subtrees of that size.
        expected: usize,
        /// Hashes given.
        got: usize,
    },
    /// The log is full.
    #[error("a log holds at most {SIZE_MAX} entries")]
    Full,
}

/// The right edge of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// The largest subtree first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// A tree of `size` entries from the roots of its complete subtrees, the largest first. Whether they are right,
    /// [`Frontier::root`] shows against a checkpoint.
    ///
    /// # Errors
    /// [`FrontierError`] when there are too many or too few hashes, or the size is past [`SIZE_MAX`].
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        if size > SIZE_MAX {
            return Err(FrontierError::Full);
        }
        let expected = usize::try_from(size.count_ones()).unwrap_or(usize::MAX);
        let got = peaks.len();
        if expected != got {
            return Err(FrontierError::Peaks {
                size,
                expected,
                got,
            });
        }
        Ok(Self { size, peaks })
    }

    /// Entries so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf and gives its index.
    ///
    /// # Errors
    /// [`FrontierError::Full`] past [`SIZE_MAX`].
    pub fn append(&mut self, leaf: Hash) -> Result<u64, FrontierError> {
        let index = self.size;
        let size = index
            .checked_add(1)
            .filter(|size| *size <= SIZE_MAX)
            .ok_or(FrontierError::Full)?;
        let mut hash = leaf;
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = Hash::of_node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = size;
        Ok(index)
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let joined = self
            .peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| Hash::of_node(&left, &right));
        joined.unwrap_or_else(Hash::of_empty_tree)
    }
}
