//! From what lies in the store back to a sequencer, after a crash at any point.
//!
//! ```text
//! newest checkpoint, newest record ─new─▶ reads(): right edge ─finish─▶ Sequencer, and what was still to be done
//! ```
//!
//! The newest checkpoint `m` says how far the log was published. Record `m` tells when; record `m + 1`, if there is one, was
//! committed and is carried through. Any other pair of numbers means that objects have gone. The tiles of the right edge
//! must lead to the checkpoint's root and the last bundle to its tile, else nothing is served or appended.

use std::sync::Arc;

use super::machine::{Limits, Sequencer, SequencerError, State, Step};
use super::record::{Record, RecordError};
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::edge::{Edge, EdgeError};
use crate::entry::{self, EntriesError, EntriesId};
use crate::hash::Hash;
use crate::key::Signer;
use crate::tile::{Tile, TileError, TileId, WIDTH};

/// Why a log cannot be recovered as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// Objects are missing: the two numbers do not go together.
    #[error(
        "the newest checkpoint is {checkpoint} and the newest record {record}: objects of the log are missing, restore them"
    )]
    Numbers {
        /// The newest checkpoint's number, 0 for none.
        checkpoint: u64,
        /// The newest record's number, 0 for none.
        record: u64,
    },
    /// The checkpoint is damaged, or of another log or key.
    #[error("checkpoint {number} is not one of this log's key; check that key and log go together")]
    Checkpoint {
        /// Its number.
        number: u64,
        /// Why.
        source: CheckpointError,
    },
    /// The record is damaged.
    #[error("record {number} is damaged; restore it")]
    Record {
        /// Its number.
        number: u64,
        /// Why.
        source: RecordError,
    },
    /// The record is whole but is another one than its name says, of another log, or has another checkpoint than was published.
    #[error("record {number} does not belong to its log, number and checkpoint")]
    Foreign {
        /// Its number.
        number: u64,
    },
    /// A file is not what was asked for.
    #[error("expected {expected} files of the right edge, got {got}")]
    Count {
        /// Files that were asked for.
        expected: usize,
        /// Files given.
        got: usize,
    },
    /// A tile has another length than its name says.
    #[error("`{name}` is damaged; restore it")]
    Tile {
        /// Its name.
        name: String,
        /// Why.
        source: TileError,
    },
    /// A bundle has another form than its name says.
    #[error("`{name}` is damaged; restore it")]
    Entries {
        /// Its name.
        name: String,
        /// Why.
        source: EntriesError,
    },
    /// The bundle is not what its tile says.
    #[error("the entries of `{name}` are not those of its tile; restore both")]
    Leaves {
        /// The bundle's name.
        name: String,
    },
    /// The tiles lead to another root than the checkpoint has.
    #[error("the tiles of the right edge lead to root {got}, and checkpoint {number} says {expected}: one of them is damaged ({})", names.join(", "))]
    Root {
        /// The checkpoint's number.
        number: u64,
        /// Its root.
        expected: Hash,
        /// The root of the tiles.
        got: Hash,
        /// The tiles.
        names: Vec<String>,
    },
    /// The tiles do not fit together.
    #[error("the tiles of the right edge do not fit together")]
    Edge(#[from] EdgeError),
    /// The committed record does not follow from the published tree.
    #[error("the last record cannot be carried through")]
    Resume(#[from] SequencerError),
}

/// What was found in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest checkpoint: its number and bytes.
    pub checkpoint: Option<(u64, Vec<u8>)>,
    /// The newest record: its number and bytes.
    pub record: Option<(u64, Vec<u8>)>,
}

/// A log that is being recovered.
#[derive(Debug)]
pub struct Recovery {
    signer: Arc<Signer>,
    limits: Limits,
    number: u64,
    checkpoint: Option<SignedCheckpoint>,
    /// The newest record, as it was read, and its bytes.
    record: Option<(Record, Vec<u8>)>,
}

/// A recovered log.
#[derive(Debug)]
pub struct Resumed {
    /// The sequencer.
    pub sequencer: Sequencer,
    /// What to do before anything else: [`Step::Commit`] once more for a record that is there and not published, since
    /// whoever made it may have ended before it was durable, else [`Step::Wait`].
    pub step: Step,
    /// The record that [`Step::Commit`] is of.
    pub pending: Option<Record>,
}

impl Recovery {
    /// Looks at what was found. The signer must be the one whose log it is.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn new(signer: Arc<Signer>, limits: Limits, found: &Found) -> Result<Self, RecoveryError> {
        let number = found.checkpoint.as_ref().map_or(0, |(number, _)| *number);
        let last = found.record.as_ref().map_or(0, |(number, _)| *number);
        if last != number && number.checked_add(1) != Some(last) {
            return Err(RecoveryError::Numbers {
                checkpoint: number,
                record: last,
            });
        }
        let checkpoint = match &found.checkpoint {
            None => None,
            Some((number, bytes)) => {
                let number = *number;
                let failed = |source| RecoveryError::Checkpoint { number, source };
                let checkpoint = SignedCheckpoint::parse(bytes).map_err(failed)?;
                checkpoint.verify(signer.verifier()).map_err(failed)?;
                Some(checkpoint)
            }
        };
        let record = match &found.record {
            None => None,
            Some((number, bytes)) => {
                let number = *number;
                let failed = |source| RecoveryError::Record { number, source };
                let record = Record::decode(bytes).map_err(failed)?;
                let origin = signer.verifier().name().as_str();
                if record.number != number || record.checkpoint.origin() != origin {
                    return Err(RecoveryError::Foreign { number });
                }
                Some((record, bytes.clone()))
            }
        };
        if let (Some(checkpoint), Some((record, _))) = (&checkpoint, &record)
            && record.number == number
            && record.checkpoint.tree() != checkpoint.unverified().tree()
        {
            return Err(RecoveryError::Foreign { number });
        }
        Ok(Self {
            signer,
            limits,
            number,
            checkpoint,
            record,
        })
    }

    fn size(&self) -> u64 {
        self.checkpoint
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.unverified().size())
    }

    /// The files to read: the tiles of the right edge, lowest level first, then the last bundle if it is partial.
    #[must_use]
    pub fn reads(&self) -> Vec<String> {
        let tiles = TileId::right_edge(self.size())
            .into_iter()
            .map(|id| id.path());
        tiles
            .chain(self.last_bundle().map(|id| id.path()))
            .collect()
    }

    fn last_bundle(&self) -> Option<EntriesId> {
        let index = self.size().checked_div(u64::from(WIDTH))?;
        EntriesId::in_tree(index, self.size())
    }

    /// Takes the files of [`Self::reads`], in their order.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn finish(self, files: &[Vec<u8>]) -> Result<Resumed, RecoveryError> {
        let ids = TileId::right_edge(self.size());
        let bundle = self.last_bundle();
        let expected = ids.len().saturating_add(usize::from(bundle.is_some()));
        if files.len() != expected {
            let got = files.len();
            return Err(RecoveryError::Count { expected, got });
        }
        let mut tiles = Vec::new();
        for (id, bytes) in ids.iter().zip(files) {
            let failed = |source| RecoveryError::Tile {
                name: id.path(),
                source,
            };
            tiles.push(Tile::decode(*id, bytes).map_err(failed)?);
        }
        let edge = Edge::from_tiles(self.size(), &tiles)?;
        if let Some(checkpoint) = &self.checkpoint
            && edge.root() != *checkpoint.unverified().root()
        {
            return Err(RecoveryError::Root {
                number: self.number,
                expected: *checkpoint.unverified().root(),
                got: edge.root(),
                names: ids.iter().map(TileId::path).collect(),
            });
        }
        let tail = match (bundle, files.last()) {
            (Some(id), Some(bytes)) => read_tail(id, bytes, tiles.first())?,
            (_, _) => Vec::new(),
        };
        self.start(edge, tail)
    }

    fn start(
        self,
        edge: Edge,
        tail: Vec<credence_base::ReceiptDigest>,
    ) -> Result<Resumed, RecoveryError> {
        let (pending, time_ms) = match self.record {
            Some((record, _)) if record.number == self.number => (None, record.time_ms),
            Some(pending) => (Some(pending), 0),
            None => (None, 0),
        };
        let state = State {
            number: self.number,
            time_ms,
            edge,
            tail,
            checkpoint: self.checkpoint,
        };
        let mut sequencer = Sequencer::new(self.signer, self.limits, state);
        let step = match &pending {
            None => Step::Wait,
            Some((record, bytes)) => sequencer.resume(record.clone(), bytes.clone())?,
        };
        Ok(Resumed {
            sequencer,
            step,
            pending: pending.map(|(record, _)| record),
        })
    }
}

fn read_tail(
    id: EntriesId,
    bytes: &[u8],
    tile: Option<&Tile>,
) -> Result<Vec<credence_base::ReceiptDigest>, RecoveryError> {
    let name = id.path();
    let entries = match entry::decode(id, bytes) {
        Ok(entries) => entries,
        Err(source) => return Err(RecoveryError::Entries { name, source }),
    };
    let leaves = entry::leaves(&entries);
    let same = tile.is_some_and(|tile| tile.id() == id.tile() && tile.hashes() == leaves);
    if same {
        Ok(entries)
    } else {
        Err(RecoveryError::Leaves { name })
    }
}
