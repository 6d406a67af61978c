//! An audit: a whole log computed again from its entries, and the first thing that is wrong, by name.
//!
//! ```text
//! head ─signature─▶ bundle by bundle: entries ─▶ leaves = the tile's? ─▶ full tiles of every level = the log's?
//!                        └ numbered checkpoint of this size? ─▶ signature, root = the tree's?
//! end ─▶ right edge = the log's tiles? ─▶ root = the head's?
//! ```
//!
//! When a bundle and its tile differ, the way from the tile to the checkpoint says which of the two is wrong.
//!
//! It deliberately runs in one thread: a core does millions of entries a second, and nothing is kept but the right edge.

use std::collections::BTreeMap;
use std::iter::Peekable;

use credence_log::checkpoint::CheckpointError;
use credence_log::entry::{EntriesId, decode, leaves};
use credence_log::{Edge, Hash, SignedCheckpoint, Tile, TileId, VerifierKey};
use serde::Serialize;

use crate::source::{LogFile, LogSource, Numbered, SourceError, read_or_fuller};
use crate::tree::{Tree, TreeError, index_of};

/// What is wrong with a log: the first thing met.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The newest checkpoint is missing or not the log's.
    #[error("the log's newest checkpoint is not to be had")]
    Head(#[source] TreeError),
    /// A file cannot be read.
    #[error("a file of the log cannot be read")]
    Source(#[from] SourceError),
    /// A file is missing or has the wrong form.
    #[error("a file of the log is missing or damaged")]
    File(#[source] TreeError),
    /// An entry is not the one in the tree, which the checkpoint vouches for.
    #[error("entry {index} in `{path}` is wrong: its leaf is {got}, and the tree has {expected}")]
    Entry {
        /// Its index in the log.
        index: u64,
        /// The bundle, below the log's prefix.
        path: String,
        /// The tree's leaf.
        expected: Hash,
        /// The leaf of the bundle's entry.
        got: Hash,
    },
    /// A hash in a tile is not the one that the entries give.
    #[error("hash {at} in `{path}` is wrong: the entries give {expected}, and the tile has {got}")]
    TileHash {
        /// The tile, below the log's prefix.
        path: String,
        /// The hash's place in the tile.
        at: usize,
        /// What the entries give.
        expected: Hash,
        /// The tile's hash.
        got: Hash,
    },
    /// All files agree with one another, and the checkpoint with none of them.
    #[error(
        "the checkpoint of {size} entries says root {got}, and all files of the log lead to {expected}"
    )]
    Root {
        /// Entries.
        size: u64,
        /// The files' root.
        expected: Hash,
        /// The checkpoint's root.
        got: Hash,
    },
    /// A numbered checkpoint is not signed by the log.
    #[error("checkpoint number {number} is not one of the log's")]
    Checkpoint {
        /// Its number.
        number: u64,
        /// Why not.
        #[source]
        source: CheckpointError,
    },
    /// A numbered checkpoint says another root.
    #[error(
        "checkpoint number {number}, of {size} entries, says root {got}, and the entries lead to {expected}"
    )]
    CheckpointRoot {
        /// Its number.
        number: u64,
        /// Its size.
        size: u64,
        /// The entries' root.
        expected: Hash,
        /// Its root.
        got: Hash,
    },
    /// A numbered checkpoint is of fewer entries than one before it.
    #[error("checkpoint number {number} is of {got} entries, after one of {before}")]
    CheckpointOrder {
        /// Its number.
        number: u64,
        /// The size before.
        before: u64,
        /// Its size.
        got: u64,
    },
    /// The log is full.
    #[error("the log has more entries than a log may have")]
    Full,
    /// Whoever asked has had enough.
    #[error("the audit was stopped after {done} entries")]
    Stopped {
        /// Entries that were right.
        done: u64,
    },
}

/// How far an audit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AuditProgress {
    /// Entries that are right so far.
    pub done: u64,
    /// Entries in all.
    pub of: u64,
}

/// What a log that is right consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The log's name.
    pub log: String,
    /// Entries, each of which is in its place.
    pub entries: u64,
    /// The root, in base64.
    pub root: String,
    /// Tiles that are right.
    pub tiles: u64,
    /// Numbered checkpoints that are right.
    pub checkpoints: u64,
    /// Numbered checkpoints that came after the audited one, whose signatures alone were checked.
    pub newer: u64,
}

/// Audits a log. `progress` is called once for every bundle of 256 entries and says whether to go on.
///
/// # Errors
/// [`AuditError`], the first thing that is wrong.
pub fn audit(
    source: &dyn LogSource,
    log: &VerifierKey,
    mut progress: impl FnMut(AuditProgress) -> bool,
) -> Result<AuditReport, AuditError> {
    let head = crate::tree::head(source, log).map_err(AuditError::Head)?;
    let of = head.unverified().size();
    let mut audit = Audit {
        source,
        head: &head,
        edge: Edge::new(),
        partial: BTreeMap::new(),
        tiles: 0,
        history: History::new(source.numbered()?, log),
    };
    audit.history.compare(&audit.edge)?;
    for bundle in 0..of.div_ceil(256) {
        audit.bundle(bundle)?;
        let done = audit.edge.size();
        if !progress(AuditProgress { done, of }) {
            return Err(AuditError::Stopped { done });
        }
    }
    audit.right_edge()?;
    let root = audit.edge.root();
    if root != *head.unverified().root() {
        return Err(AuditError::Root {
            size: of,
            expected: root,
            got: *head.unverified().root(),
        });
    }
    let newer = audit.history.rest()?;
    Ok(AuditReport {
        log: log.name().as_str().to_owned(),
        entries: of,
        root: root.to_string(),
        tiles: audit.tiles,
        checkpoints: audit.history.right,
        newer,
    })
}

struct Audit<'a> {
    source: &'a dyn LogSource,
    head: &'a SignedCheckpoint,
    edge: Edge,
    /// The newest partial tile of each level above the leaves.
    partial: BTreeMap<u8, Tile>,
    tiles: u64,
    history: History<'a>,
}

impl Audit<'_> {
    /// One bundle, its tile, and the tiles above that became full with it.
    fn bundle(&mut self, bundle: u64) -> Result<(), AuditError> {
        let of = self.head.unverified().size();
        let Some(id) = EntriesId::in_tree(bundle, of) else {
            return Ok(());
        };
        let path = id.path();
        let bytes = self.file(LogFile::Entries(id))?;
        let entries = decode(id, &bytes)
            .map_err(|source| AuditError::File(TreeError::Entries { path, source }))?;
        let leaves = leaves(&entries);
        self.compare_leaves(id, &leaves)?;
        for leaf in leaves {
            self.edge.append(leaf).map_err(|_| AuditError::Full)?;
            if self.history.is_at(self.edge.size()) {
                self.history.compare(&self.edge)?;
            }
        }
        for tile in self.edge.take_tiles() {
            match tile.id().level() {
                0 => {}
                _ if tile.id().is_full() => self.compare_tile(&tile)?,
                // Partial tiles of earlier sizes may have been removed; those of the last one stand.
                level => {
                    self.partial.insert(level, tile);
                }
            }
        }
        Ok(())
    }

    /// The partial tiles above the leaves, once all entries are in.
    fn right_edge(&mut self) -> Result<(), AuditError> {
        for id in TileId::right_edge(self.head.unverified().size()) {
            if let Some(tile) = self.partial.remove(&id.level()) {
                self.compare_tile(&tile)?;
            }
        }
        Ok(())
    }

    /// The tile of a bundle's leaves; if they differ, the checkpoint says which is wrong.
    fn compare_leaves(&mut self, id: EntriesId, leaves: &[Hash]) -> Result<(), AuditError> {
        let tile = self.tile(id.tile())?;
        self.tiles = self.tiles.saturating_add(1);
        let wrong = leaves
            .iter()
            .zip(tile.hashes())
            .enumerate()
            .find(|(_, (leaf, hash))| leaf != hash);
        let Some((at, (leaf, hash))) = wrong else {
            return Ok(());
        };
        let vouched = Tree::open(self.source, self.head.unverified())
            .and_then(|mut tree| tree.tile(0, id.tile().index()).cloned());
        if vouched.is_ok_and(|vouched| vouched == tile) {
            return Err(AuditError::Entry {
                index: index_of(id.tile().index(), at),
                path: id.path(),
                expected: *hash,
                got: *leaf,
            });
        }
        Err(AuditError::TileHash {
            path: id.tile().path(),
            at,
            expected: *leaf,
            got: *hash,
        })
    }

    fn compare_tile(&mut self, expected: &Tile) -> Result<(), AuditError> {
        let found = self.tile(expected.id())?;
        self.tiles = self.tiles.saturating_add(1);
        let wrong = expected
            .hashes()
            .iter()
            .zip(found.hashes())
            .enumerate()
            .find(|(_, (expected, got))| expected != got);
        match wrong {
            None => Ok(()),
            Some((at, (expected, got))) => Err(AuditError::TileHash {
                path: found.id().path(),
                at,
                expected: *expected,
                got: *got,
            }),
        }
    }

    fn tile(&self, id: TileId) -> Result<Tile, AuditError> {
        let bytes = self.file(LogFile::Tile(id))?;
        Tile::decode(id, &bytes).map_err(|source| {
            AuditError::File(TreeError::Tile {
                path: id.path(),
                source,
            })
        })
    }

    fn file(&self, file: LogFile) -> Result<Vec<u8>, AuditError> {
        read_or_fuller(self.source, file)?
            .ok_or_else(|| AuditError::File(TreeError::Missing { path: file.path() }))
    }
}

/// The numbered checkpoints, in their order.
struct History<'a> {
    numbered: Peekable<Signed<'a>>,
    right: u64,
    next: Option<u64>,
}

/// Numbered checkpoints with the log's signature checked, none smaller than the one before.
struct Signed<'a> {
    log: &'a VerifierKey,
    numbered: Numbered,
    before: u64,
}

impl Iterator for Signed<'_> {
    type Item = Result<(u64, SignedCheckpoint), AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, bytes) = match self.numbered.next()? {
            Ok(found) => found,
            Err(error) => return Some(Err(AuditError::Source(error))),
        };
        let signed = SignedCheckpoint::parse(&bytes)
            .and_then(|signed| signed.verify(self.log).cloned().map(|_| signed));
        Some(match signed {
            Err(source) => Err(AuditError::Checkpoint { number, source }),
            Ok(signed) if signed.unverified().size() < self.before => {
                Err(AuditError::CheckpointOrder {
                    number,
                    before: self.before,
                    got: signed.unverified().size(),
                })
            }
            Ok(signed) => {
                self.before = signed.unverified().size();
                Ok((number, signed))
            }
        })
    }
}

impl<'a> History<'a> {
    fn new(numbered: Numbered, log: &'a VerifierKey) -> Self {
        let signed = Signed {
            log,
            numbered,
            before: 0,
        };
        Self {
            numbered: signed.peekable(),
            right: 0,
            next: None,
        }
    }

    /// Whether the next one is of this size, as far as is known, or bad.
    fn is_at(&self, size: u64) -> bool {
        self.next.is_some_and(|next| next <= size)
    }

    /// Compares those of the tree's size with it, and looks at the next.
    fn compare(&mut self, edge: &Edge) -> Result<(), AuditError> {
        loop {
            let due = match self.numbered.peek() {
                None => {
                    self.next = None;
                    return Ok(());
                }
                Some(Ok((_, signed))) => signed.unverified().size(),
                Some(Err(_)) => edge.size(),
            };
            if due > edge.size() {
                self.next = Some(due);
                return Ok(());
            }
            let Some(found) = self.numbered.next() else {
                return Ok(());
            };
            let (number, signed) = found?;
            let (size, got) = signed.unverified().tree();
            let expected = edge.root();
            if expected != *got {
                return Err(AuditError::CheckpointRoot {
                    number,
                    size,
                    expected,
                    got: *got,
                });
            }
            self.right = self.right.saturating_add(1);
        }
    }

    /// Those after the audited size: their number, once their signatures are right.
    fn rest(&mut self) -> Result<u64, AuditError> {
        let mut count = 0u64;
        for found in self.numbered.by_ref() {
            found?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}
