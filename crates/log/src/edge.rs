//! A tree that is being appended to, with the partial tiles of its right edge: what a sequencer keeps in memory.
//!
//! ```text
//! TileId::right_edge(size) ─read─▶ Edge::from_tiles ─append…─▶ Edge::take_tiles ─write─▶ then root() may be signed
//! ```
//!
//! At most 8 · 255 hashes, plus the full tiles not yet taken. Nothing here is durable: whoever signs a checkpoint has written
//! the tiles first.
//!
//! It deliberately does not keep entries; the bundles that go with the tiles are the caller's.

use crate::SIZE_MAX;
use crate::frontier::{Frontier, FrontierError};
use crate::hash::{Hash, fold};
use crate::tile::{LEVEL_MAX, Tile, TileId, WIDTH};

/// Why the right edge of a tree was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// The tiles are not those that [`TileId::right_edge`] names, in its order.
    #[error("expected tile {expected:?} of the right edge, got {got:?}")]
    Tile {
        /// The tile due.
        expected: Option<TileId>,
        /// The tile given.
        got: Option<TileId>,
    },
    /// The log is full.
    #[error("a log holds at most {SIZE_MAX} entries")]
    Full,
}

/// A tree with the tiles of its right edge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// The hashes of the last tile of each level that is not full yet, lowest level first.
    levels: Vec<Vec<Hash>>,
    /// Full tiles since the last [`Edge::take_tiles`].
    full: Vec<Tile>,
    /// The size at the last [`Edge::take_tiles`].
    taken: u64,
}

impl Edge {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            levels: Vec::new(),
            full: Vec::new(),
            taken: 0,
        }
    }

    /// A tree of `size` entries from the tiles that [`TileId::right_edge`] names. Compare [`Edge::root`] with the
    /// checkpoint before going on: nothing else shows that the tiles are right.
    ///
    /// # Errors
    /// [`EdgeError`] when the tiles are others.
    pub fn from_tiles(size: u64, tiles: &[Tile]) -> Result<Self, EdgeError> {
        if size > SIZE_MAX {
            return Err(EdgeError::Full);
        }
        let expected = TileId::right_edge(size);
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        let count = expected.len().max(tiles.len());
        for at in 0..count {
            let (due, given) = (expected.get(at).copied(), tiles.get(at));
            match (due, given) {
                (Some(due), Some(given)) if due == given.id() => {
                    levels.resize(usize::from(due.level()), Vec::new());
                    levels.push(given.hashes().to_vec());
                }
                (due, given) => {
                    return Err(EdgeError::Tile {
                        expected: due,
                        got: given.map(Tile::id),
                    });
                }
            }
        }
        Ok(Self {
            size,
            levels,
            full: Vec::new(),
            taken: size,
        })
    }

    /// Entries so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf and gives its index.
    ///
    /// # Errors
    /// [`EdgeError::Full`] past [`SIZE_MAX`].
    pub fn append(&mut self, leaf: Hash) -> Result<u64, EdgeError> {
        let index = self.size;
        let size = index
            .checked_add(1)
            .filter(|size| *size <= SIZE_MAX)
            .ok_or(EdgeError::Full)?;
        let mut hash = leaf;
        for level in 0..=LEVEL_MAX {
            let place = usize::from(level);
            if self.levels.len() <= place {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(place) else {
                break;
            };
            hashes.push(hash);
            if hashes.len() < usize::from(WIDTH) {
                break;
            }
            let done = core::mem::take(hashes);
            let Some(root) = fold(done.clone()) else {
                break;
            };
            let shift = u32::from(level).saturating_add(1).saturating_mul(8);
            let index = index.checked_shr(shift).unwrap_or(0);
            let tile = TileId::new(level, index, WIDTH)
                .ok()
                .and_then(|id| Tile::from_hashes(id, done));
            self.full.extend(tile);
            hash = root;
        }
        self.size = size;
        Ok(index)
    }

    /// The tiles to write so that the tree of this size can be served: those that became full since the last call, and
    /// the partial ones that changed. As [`TileId::added`] names them, though in another order.
    pub fn take_tiles(&mut self) -> Vec<Tile> {
        let mut tiles = core::mem::take(&mut self.full);
        let old = TileId::right_edge(self.taken);
        for (id, hashes) in self.partial() {
            if !old.contains(&id) {
                tiles.extend(Tile::from_hashes(id, hashes.to_vec()));
            }
        }
        self.taken = self.size;
        tiles
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier()
            .map_or_else(|_| Hash::of_empty_tree(), |frontier| frontier.root())
    }

    /// The tree as its complete subtrees.
    ///
    /// # Errors
    /// [`FrontierError`], which no edge gives.
    pub fn frontier(&self) -> Result<Frontier, FrontierError> {
        let mut peaks = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            for height in (0..8).rev() {
                let count = 1usize << height;
                if rest.len() >= count
                    && let Some((head, tail)) = rest.split_at_checked(count)
                {
                    peaks.extend(fold(head.to_vec()));
                    rest = tail;
                }
            }
        }
        Frontier::from_peaks(self.size, peaks)
    }

    fn partial(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        TileId::right_edge(self.size).into_iter().filter_map(|id| {
            let hashes = self.levels.get(usize::from(id.level()))?;
            Some((id, hashes.as_slice()))
        })
    }
}
