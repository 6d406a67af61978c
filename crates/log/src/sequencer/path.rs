//! An inclusion proof from tiles that were shown right first.
//!
//! ```text
//! right edge ─▶ the checkpoint's root?   each full tile on the way down ─▶ the hash that the tile above has of it?
//! entry ─▶ the leaf in its tile?          then Plan::inclusion
//! ```
//!
//! A proof of wrong tiles would fail at whoever checks it; here the tile that is wrong is named instead, and nothing is
//! served.

use credence_base::ReceiptDigest;

use crate::checkpoint::Checkpoint;
use crate::edge::{Edge, EdgeError};
use crate::hash::{Hash, fold};
use crate::proof::{Plan, PlanError, TileSet};
use crate::tile::{LEVEL_MAX, Tile, TileId, WIDTH};

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The position is not in the tree.
    #[error("the proof cannot be planned")]
    Plan(#[from] PlanError),
    /// The right edge does not fit together.
    #[error("the tiles of the right edge do not fit together")]
    Edge(#[from] EdgeError),
    /// The right edge leads to another root.
    #[error("one of the tiles of the right edge is damaged: they lead to root {got}, expected {expected} ({})", names.join(", "))]
    Root {
        /// The checkpoint's root.
        expected: Hash,
        /// The tiles' root.
        got: Hash,
        /// The tiles.
        names: Vec<String>,
    },
    /// A tile is not the one that the tile above it names.
    #[error("`{name}` is damaged: the tile above it has another hash of it; restore it")]
    Tile {
        /// Its name.
        name: String,
    },
    /// The entry is another one than the index says.
    #[error(
        "position {position} holds another entry than the index says; the index is damaged, empty it"
    )]
    Entry {
        /// The position.
        position: u64,
    },
    /// A tile that was asked for is not among those given.
    #[error("`{name}` is needed and was not given")]
    Absent {
        /// Its name.
        name: String,
    },
}

/// The tiles between one entry and the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    position: u64,
    size: u64,
    edge: Vec<TileId>,
    /// Full tiles on the way up that are not on the right edge, lowest first.
    full: Vec<TileId>,
}

impl Path {
    /// The path of the entry at `position` of a tree of `size` entries.
    ///
    /// # Errors
    /// [`PathError::Plan`] when it is not in the tree.
    pub fn new(position: u64, size: u64) -> Result<Self, PathError> {
        Plan::inclusion(position, size)?;
        let edge = TileId::right_edge(size);
        let mut full = Vec::new();
        let mut index = position;
        for level in 0..=LEVEL_MAX {
            index = index.checked_div(u64::from(WIDTH)).unwrap_or(0);
            match TileId::in_tree(level, index, size) {
                Some(id) if id.is_full() => full.push(id),
                Some(_) | None => break,
            }
        }
        Ok(Self {
            position,
            size,
            edge,
            full,
        })
    }

    /// The tiles to read: at most 16.
    #[must_use]
    pub fn tiles(&self) -> Vec<TileId> {
        self.edge.iter().chain(&self.full).copied().collect()
    }

    /// The proof, from the tiles of [`Self::tiles`] in their order.
    ///
    /// # Errors
    /// [`PathError`], which names the tile that is wrong.
    pub fn prove(
        &self,
        digest: &ReceiptDigest,
        checkpoint: &Checkpoint,
        tiles: &[Tile],
    ) -> Result<Vec<Hash>, PathError> {
        let (edge, full) = tiles
            .split_at_checked(self.edge.len())
            .unwrap_or((tiles, &[]));
        let root = Edge::from_tiles(self.size, edge)?.root();
        if (self.size, &root) != checkpoint.tree() {
            return Err(PathError::Root {
                expected: *checkpoint.root(),
                got: root,
                names: self.edge.iter().map(TileId::path).collect(),
            });
        }
        let mut leaf_tile = edge.first().filter(|tile| tile.id().level() == 0);
        let mut above: Option<&Tile> = None;
        for (at, id) in self.full.iter().enumerate().rev() {
            let name = id.path();
            let Some(tile) = full.get(at).filter(|tile| tile.id() == *id) else {
                return Err(PathError::Absent { name });
            };
            let level = id.level().saturating_add(1);
            let on_edge = edge.iter().find(|tile| tile.id().level() == level);
            let place = id
                .index()
                .checked_rem(u64::from(WIDTH))
                .and_then(|p| usize::try_from(p).ok());
            let parent = above.or(on_edge);
            let named = parent
                .zip(place)
                .and_then(|(parent, place)| parent.hashes().get(place));
            if fold(tile.hashes().to_vec()).as_ref() != named {
                return Err(PathError::Tile { name });
            }
            above = Some(tile);
            leaf_tile = Some(tile);
        }
        self.check_leaf(digest, leaf_tile)?;
        let mut set = TileSet::new();
        set.extend(tiles.iter().cloned());
        Ok(Plan::inclusion(self.position, self.size)?.make(&set)?)
    }

    fn check_leaf(&self, digest: &ReceiptDigest, tile: Option<&Tile>) -> Result<(), PathError> {
        let place = self
            .position
            .checked_rem(u64::from(WIDTH))
            .and_then(|p| usize::try_from(p).ok());
        let leaf = tile
            .zip(place)
            .and_then(|(tile, place)| tile.hashes().get(place));
        if leaf == Some(&Hash::of_receipt(digest)) {
            Ok(())
        } else {
            let position = self.position;
            Err(PathError::Entry { position })
        }
    }
}
