//! A log's tree as one checkpoint has it: tiles are read when they are needed, and each is checked before it is used or kept.
//!
//! ```text
//! Tree::open: right edge of the tree ─▶ root = the checkpoint's?
//! full tile ─▶ its 256 hashes joined = the hash that the tile above has of it?   up to the right edge
//! proofs, roots of earlier sizes, entries ─▶ from checked tiles alone
//! ```
//!
//! A checked tile is right if the checkpoint is, so what a source serves can be wrong or missing but never believed.
//!
//! It deliberately keeps a bounded number of tiles, and asks no clock.

use std::collections::BTreeMap;

use credence_base::ReceiptDigest;
use credence_log::checkpoint::CheckpointError;
use credence_log::edge::EdgeError;
use credence_log::entry::{EntriesError, EntriesId, decode, leaves};
use credence_log::log_proof::LogProofError;
use credence_log::proof::{Plan, PlanError, TileSet};
use credence_log::tile::{TileError, WIDTH};
use credence_log::{Checkpoint, Edge, Hash, LogProof, SignedCheckpoint, Tile, TileId, VerifierKey};

use crate::source::{LogFile, LogSource, SourceError, read_or_fuller};

/// The most checked tiles that are kept: 32 MiB.
const TILES_MAX: usize = 4096;

/// Why a log's tree cannot be read. [`TreeError::is_wrong`] tells what the log has done wrong from what may be there later.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file cannot be read just now.
    #[error("a file of the log cannot be read")]
    Source(#[from] SourceError),
    /// A file that the checkpoint's tree has is not there.
    #[error("`{path}` is not there, though the checkpoint covers it")]
    Missing {
        /// The file, below the log's prefix.
        path: String,
    },
    /// The checkpoint is not the log's.
    #[error("the checkpoint is not one of the log's")]
    Checkpoint(#[from] CheckpointError),
    /// A tile has the wrong length.
    #[error("`{path}` is no tile")]
    Tile {
        /// The tile, below the log's prefix.
        path: String,
        /// Why not.
        #[source]
        source: TileError,
    },
    /// A tile is not the one that the tree has at its place.
    #[error(
        "the hashes of `{path}` lead to {got}, expected {expected}: the tile is not of this tree"
    )]
    TileHash {
        /// The tile, below the log's prefix.
        path: String,
        /// The hash that the tile above has of it.
        expected: Hash,
        /// The hash over its hashes.
        got: Hash,
    },
    /// The right edge does not lead to the checkpoint's root.
    #[error(
        "the tiles at the right edge lead to root {got}, but the checkpoint of {size} entries says {expected}"
    )]
    Root {
        /// Entries.
        size: u64,
        /// The checkpoint's root.
        expected: Hash,
        /// The tiles' root.
        got: Hash,
    },
    /// The right edge is not one.
    #[error("the right edge of the tree cannot be put together")]
    Edge(#[from] EdgeError),
    /// A bundle has the wrong form.
    #[error("`{path}` is no bundle of entries")]
    Entries {
        /// The bundle, below the log's prefix.
        path: String,
        /// Why not.
        #[source]
        source: EntriesError,
    },
    /// An entry is not the one that the tree has.
    #[error("entry {index} in `{path}` is not the one in the tree")]
    Entry {
        /// Its index in the log.
        index: u64,
        /// The bundle, below the log's prefix.
        path: String,
    },
    /// What was asked for is not in the tree.
    #[error("the tree does not have what was asked for")]
    Plan(#[from] PlanError),
    /// No proof can be put together.
    #[error("no proof can be put together")]
    Proof(#[from] LogProofError),
}

impl TreeError {
    /// Whether the log shows something false, as opposed to nothing at all: a file of the right length with other hashes. What has another length may be
    /// some server's page that says it is out of order.
    #[must_use]
    pub const fn is_wrong(&self) -> bool {
        match self {
            Self::TileHash { .. } | Self::Root { .. } | Self::Entry { .. } => true,
            Self::Tile { .. }
            | Self::Entries { .. }
            | Self::Source(_)
            | Self::Missing { .. }
            | Self::Checkpoint(_)
            | Self::Edge(_)
            | Self::Plan(_)
            | Self::Proof(_) => false,
        }
    }
}

/// Reads the newest checkpoint and checks the log's signature.
///
/// # Errors
/// [`TreeError`] when there is none, or it is not the log's.
pub fn head(source: &dyn LogSource, log: &VerifierKey) -> Result<SignedCheckpoint, TreeError> {
    let bytes = source
        .read(LogFile::Checkpoint)?
        .ok_or_else(|| TreeError::Missing {
            path: LogFile::Checkpoint.path(),
        })?;
    let signed = SignedCheckpoint::parse(&bytes)?;
    signed.verify(log)?;
    Ok(signed)
}

/// A tree, with the tiles of it that were checked.
pub struct Tree<'a> {
    source: &'a dyn LogSource,
    size: u64,
    /// By level and index, as wide as the tree has them.
    tiles: BTreeMap<(u8, u64), Tile>,
}

/// The tiles of a tree that were checked, without what they were read from.
#[derive(Debug)]
pub struct Checked {
    size: u64,
    tiles: BTreeMap<(u8, u64), Tile>,
}

impl Checked {
    /// Entries in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree again, to be read from the same log.
    pub fn tree(self, source: &dyn LogSource) -> Tree<'_> {
        let Self { size, tiles } = self;
        Tree {
            source,
            size,
            tiles,
        }
    }
}

impl<'a> Tree<'a> {
    /// The tree of a checkpoint, whose right edge is read and checked now. The checkpoint's signature is the caller's to check.
    ///
    /// # Errors
    /// [`TreeError`] when the right edge is missing or wrong.
    pub fn open(source: &'a dyn LogSource, checkpoint: &Checkpoint) -> Result<Self, TreeError> {
        let size = checkpoint.size();
        let mut edge = Vec::new();
        for id in TileId::right_edge(size) {
            edge.push(read_tile(source, id)?);
        }
        let got = Edge::from_tiles(size, &edge)?.root();
        if got != *checkpoint.root() {
            return Err(TreeError::Root {
                size,
                expected: *checkpoint.root(),
                got,
            });
        }
        let tiles = edge
            .into_iter()
            .map(|tile| ((tile.id().level(), tile.id().index()), tile))
            .collect();
        Ok(Self {
            source,
            size,
            tiles,
        })
    }

    /// What was checked, to go on with later.
    #[must_use]
    pub fn into_checked(self) -> Checked {
        Checked {
            size: self.size,
            tiles: self.tiles,
        }
    }

    /// Entries in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tile at this place, checked, as wide as this tree has it.
    ///
    /// # Errors
    /// [`TreeError`] when it is missing or wrong.
    pub fn tile(&mut self, level: u8, index: u64) -> Result<&Tile, TreeError> {
        self.make_room();
        // Up to a tile that is checked; the right edge is, so this ends.
        let mut missing = Vec::new();
        let mut at = (level, index);
        while !self.tiles.contains_key(&at) {
            let id = TileId::in_tree(at.0, at.1, self.size).ok_or_else(|| self.outside(index))?;
            missing.push(id);
            at = (at.0.saturating_add(1), at.1 / u64::from(WIDTH));
        }
        for id in missing.into_iter().rev() {
            let tile = read_tile(self.source, id)?;
            let above = (id.level().saturating_add(1), id.index() / u64::from(WIDTH));
            let place = usize::try_from(id.index() % u64::from(WIDTH)).unwrap_or(usize::MAX);
            let expected = self
                .tiles
                .get(&above)
                .and_then(|tile| tile.hashes().get(place))
                .copied()
                .ok_or_else(|| self.outside(index))?;
            let got = join(tile.hashes());
            if got != expected {
                return Err(TreeError::TileHash {
                    path: id.path(),
                    expected,
                    got,
                });
            }
            self.tiles.insert((id.level(), id.index()), tile);
        }
        let size = self.size;
        self.tiles
            .get(&(level, index))
            .ok_or(TreeError::Plan(PlanError::Index { index, size }))
    }

    /// The root of the tree's first `size` entries, as this tree has them.
    ///
    /// # Errors
    /// [`TreeError`] when it has fewer, or a tile is missing or wrong.
    pub fn root_at(&mut self, size: u64) -> Result<Hash, TreeError> {
        if size > self.size {
            return Err(TreeError::Plan(PlanError::Order {
                old: size,
                new: self.size,
            }));
        }
        let hashes = self.make(&Plan::root(size)?)?;
        Ok(hashes.first().copied().unwrap_or_else(Hash::of_empty_tree))
    }

    /// The consistency proof from `old` entries to this tree.
    ///
    /// # Errors
    /// As [`Tree::root_at`].
    pub fn consistency(&mut self, old: u64) -> Result<Vec<Hash>, TreeError> {
        self.make(&Plan::consistency(old, self.size)?)
    }

    /// The inclusion proof of entry `index`.
    ///
    /// # Errors
    /// As [`Tree::root_at`].
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<Hash>, TreeError> {
        self.make(&Plan::inclusion(index, self.size)?)
    }

    /// The proof, as it travels, that entry `index` is in the tree of `checkpoint`, which this tree was opened with.
    ///
    /// # Errors
    /// As [`Tree::root_at`].
    pub fn log_proof(
        &mut self,
        index: u64,
        checkpoint: &SignedCheckpoint,
    ) -> Result<LogProof, TreeError> {
        Ok(LogProof::new(
            index,
            self.inclusion(index)?,
            checkpoint.clone(),
        )?)
    }

    /// The entries of bundle `bundle` (256 each, the last one fewer), each checked.
    ///
    /// # Errors
    /// [`TreeError`] when a file is missing or wrong.
    pub fn entries(&mut self, bundle: u64) -> Result<Vec<ReceiptDigest>, TreeError> {
        let id = EntriesId::in_tree(bundle, self.size).ok_or_else(|| self.outside(bundle))?;
        let path = id.path();
        let bytes = read_or_fuller(self.source, LogFile::Entries(id))?
            .ok_or_else(|| TreeError::Missing { path: path.clone() })?;
        let entries = match decode(id, &bytes) {
            Ok(entries) => entries,
            Err(source) => return Err(TreeError::Entries { path, source }),
        };
        let tile = self.tile(0, bundle)?;
        let wrong = leaves(&entries)
            .iter()
            .zip(tile.hashes())
            .position(|(leaf, hash)| leaf != hash);
        match wrong {
            None => Ok(entries),
            Some(at) => Err(TreeError::Entry {
                index: index_of(bundle, at),
                path,
            }),
        }
    }

    /// Calls `each` with every entry from `from` on, until it says to stop.
    ///
    /// # Errors
    /// As [`Tree::entries`].
    pub fn each_entry(
        &mut self,
        from: u64,
        mut each: impl FnMut(u64, &ReceiptDigest) -> bool,
    ) -> Result<(), TreeError> {
        let width = u64::from(WIDTH);
        for bundle in from / width..self.size.div_ceil(width) {
            for (at, entry) in self.entries(bundle)?.iter().enumerate() {
                let index = index_of(bundle, at);
                if index >= from && !each(index, entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The index of an entry, looked for from the newest bundle to the oldest.
    ///
    /// # Errors
    /// As [`Tree::entries`].
    pub fn find(&mut self, wanted: &ReceiptDigest) -> Result<Option<u64>, TreeError> {
        for bundle in (0..self.size.div_ceil(u64::from(WIDTH))).rev() {
            let found = self
                .entries(bundle)?
                .iter()
                .position(|entry| entry == wanted);
            if let Some(at) = found {
                return Ok(Some(index_of(bundle, at)));
            }
        }
        Ok(None)
    }

    fn make(&mut self, plan: &Plan) -> Result<Vec<Hash>, TreeError> {
        let mut tiles = TileSet::new();
        for id in plan.tiles() {
            tiles.insert(self.tile(id.level(), id.index())?.clone());
        }
        Ok(plan.make(&tiles)?)
    }

    fn make_room(&mut self) {
        if self.tiles.len() >= TILES_MAX {
            let edge = TileId::right_edge(self.size);
            self.tiles.retain(|(level, index), _| {
                edge.iter()
                    .any(|id| (id.level(), id.index()) == (*level, *index))
            });
        }
    }

    const fn outside(&self, index: u64) -> TreeError {
        TreeError::Plan(PlanError::Index {
            index,
            size: self.size,
        })
    }
}

/// The index in the log of the entry at this place of a bundle.
pub(crate) fn index_of(bundle: u64, at: usize) -> u64 {
    bundle
        .saturating_mul(u64::from(WIDTH))
        .saturating_add(u64::try_from(at).unwrap_or(u64::MAX))
}

/// A tile, unchecked but for its length.
fn read_tile(source: &dyn LogSource, id: TileId) -> Result<Tile, TreeError> {
    let path = id.path();
    let bytes = read_or_fuller(source, LogFile::Tile(id))?
        .ok_or_else(|| TreeError::Missing { path: path.clone() })?;
    Tile::decode(id, &bytes).map_err(|source| TreeError::Tile { path, source })
}

/// The hash over the hashes of a full tile.
pub(crate) fn join(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => Hash::of_node(left, right),
                other => other.first().copied().unwrap_or_else(Hash::of_empty_tree),
            })
            .collect();
    }
    level.pop().unwrap_or_else(Hash::of_empty_tree)
}
