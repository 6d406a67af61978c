//! The machine itself: one batch at a time through its steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use credence_base::ReceiptDigest;

use super::names::{Blob, Kind, NUMBER_MAX, numbered};
use super::record::{COUNT_MAX, Record, RecordError};
use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::edge::{Edge, EdgeError};
use crate::entry::{self, EntriesId};
use crate::hash::Hash;
use crate::key::Signer;
use crate::tile::WIDTH;

/// Why a sequencer does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequencerError {
    /// Too much is waiting. Nothing was taken in; try again after the next batch.
    #[error("{max} digests are waiting to be logged already; try again in a moment")]
    Full {
        /// The most that may wait.
        max: usize,
    },
    /// A write failed, or the like: recover from the objects first.
    #[error("the log has stopped and must be recovered from its objects before it goes on")]
    Stopped,
    /// A witness has seen what this log does not have.
    #[error(
        "a witness has seen another history of this log: it is stopped until its operator finds out why"
    )]
    Contradicted,
    /// Another sequencer has written this batch.
    #[error("record {number} is another sequencer's: two processes run this log, stop one of them")]
    Overtaken {
        /// The record's number.
        number: u64,
    },
    /// An event that no step asked for: an error of the caller.
    #[error("this event is not the result of the last step")]
    Unexpected,
    /// The index knows a position that no checkpoint covers yet.
    #[error(
        "the index has position {got} of a log of {size} entries: it belongs to another log or another process"
    )]
    Index {
        /// Entries in the log.
        size: u64,
        /// The position found.
        got: u64,
    },
    /// There are no more numbers.
    #[error("the log has had {NUMBER_MAX} batches, which is the most")]
    Numbers,
    /// The tree takes no more.
    #[error("the log's tree takes no more entries")]
    Edge(#[from] EdgeError),
    /// The checkpoint cannot be signed.
    #[error("the log's checkpoint cannot be signed")]
    Checkpoint(#[from] CheckpointError),
    /// The record cannot be written.
    #[error("the log's record cannot be written")]
    Record(#[from] RecordError),
}

/// What a sequencer holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Digests that wait for their batch.
    pub pool_max: usize,
    /// Digests of one batch, at most 1,048,576.
    pub batch_max: usize,
}

impl Limits {
    /// 65,536 that wait, all of which fit one batch.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            pool_max: 1 << 16,
            batch_max: 1 << 16,
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed; milliseconds since 1970.
    Tick {
        /// The clock. It may go back.
        now_ms: u64,
    },
    /// [`Step::Look`] is done: the position of each digest, in order.
    Looked(Vec<Option<u64>>),
    /// [`Step::Commit`] is done: `None` if the record was created, else what stood there.
    Committed(Option<Vec<u8>>),
    /// [`Step::Write`] is done, and all of it is durable.
    Written,
    /// [`Step::Extend`] is done.
    Extended,
    /// [`Step::Publish`] is done: `None` if the checkpoint was created, else what stood there.
    Published(Option<Vec<u8>>),
}

/// What to do next. Report its result as the [`Event`] of the same name, or an error by [`Sequencer::stop`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until the next tick.
    Wait,
    /// Find these digests in the index.
    Look(Vec<ReceiptDigest>),
    /// Create this object; durable when reported.
    Commit(Blob),
    /// Create these objects; durable when reported. Where one exists already, it must be the same, else it is an error.
    Write(Vec<Blob>),
    /// Add these digests to the index, from this position on.
    Extend {
        /// The first position.
        start: u64,
        /// The digests.
        digests: Vec<ReceiptDigest>,
    },
    /// Create this object; durable when reported.
    Publish(Blob),
    /// Tell whoever waits; then it goes on with the next tick.
    Acknowledge(Vec<Verdict>),
}

/// A digest is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The digest.
    pub digest: ReceiptDigest,
    /// Its position: the first, if it was there before.
    pub position: u64,
}

/// A batch under way.
#[derive(Debug, Clone)]
struct Batch {
    record: Record,
    edge: Edge,
    tail: Vec<ReceiptDigest>,
    blobs: Vec<Blob>,
    known: Vec<Verdict>,
}

#[derive(Debug, Clone)]
enum Phase {
    Idle,
    Looking {
        digests: Vec<ReceiptDigest>,
        now_ms: u64,
    },
    Committing {
        batch: Box<Batch>,
        bytes: Vec<u8>,
    },
    Writing(Box<Batch>),
    Extending(Box<Batch>),
    Publishing {
        batch: Box<Batch>,
        checkpoint: Box<SignedCheckpoint>,
    },
    Stopped,
}

/// What is published.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) number: u64,
    pub(super) time_ms: u64,
    pub(super) edge: Edge,
    /// The digests of the last bundle, if it is partial.
    pub(super) tail: Vec<ReceiptDigest>,
    pub(super) checkpoint: Option<SignedCheckpoint>,
}

/// Puts digests in order.
#[derive(Debug)]
pub struct Sequencer {
    signer: Arc<Signer>,
    limits: Limits,
    state: State,
    pool: Vec<ReceiptDigest>,
    /// What is in the pool or in the batch under way.
    held: BTreeSet<ReceiptDigest>,
    phase: Phase,
}

impl Sequencer {
    pub(super) fn new(signer: Arc<Signer>, limits: Limits, state: State) -> Self {
        Self {
            signer,
            limits,
            state,
            pool: Vec::new(),
            held: BTreeSet::new(),
            phase: Phase::Idle,
        }
    }

    /// Entries that a published checkpoint covers.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.state.edge.size()
    }

    /// The number of the last published checkpoint, 0 for none.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.state.number
    }

    /// When the last batch was put in order, in milliseconds since 1970. It never goes back.
    #[must_use]
    pub const fn time_ms(&self) -> u64 {
        self.state.time_ms
    }

    /// The last published checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.state.checkpoint.as_ref()
    }

    /// Digests that wait for their batch.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// Whether a batch is under way.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Stopped)
    }

    /// Takes a digest in. It is told of by a [`Verdict`] later, once, however often it is given until then.
    ///
    /// # Errors
    /// [`SequencerError::Full`] or [`SequencerError::Stopped`]; it was not taken in then.
    pub fn append(&mut self, digest: ReceiptDigest) -> Result<(), SequencerError> {
        if matches!(self.phase, Phase::Stopped) {
            return Err(SequencerError::Stopped);
        }
        if self.held.contains(&digest) {
            return Ok(());
        }
        if self.pool.len() >= self.limits.pool_max {
            let max = self.limits.pool_max;
            return Err(SequencerError::Full { max });
        }
        self.held.insert(digest);
        self.pool.push(digest);
        Ok(())
    }

    /// What waits, or is in the batch under way: whoever recovers the log may append it again, which is safe.
    #[must_use]
    pub fn held(&self) -> Vec<ReceiptDigest> {
        self.held.iter().copied().collect()
    }

    /// Stops for good: a write failed, or may have.
    pub fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.pool.clear();
        self.held.clear();
    }

    /// Takes an event and says what to do next.
    ///
    /// # Errors
    /// [`SequencerError`]; it has stopped then.
    pub fn handle(&mut self, event: Event) -> Result<Step, SequencerError> {
        let phase = core::mem::replace(&mut self.phase, Phase::Stopped);
        let next = self.next(phase, event);
        if next.is_err() {
            self.stop();
        }
        next
    }

    fn next(&mut self, phase: Phase, event: Event) -> Result<Step, SequencerError> {
        match (phase, event) {
            (Phase::Stopped, _) => Err(SequencerError::Stopped),
            (Phase::Idle, Event::Tick { now_ms }) => Ok(self.begin(now_ms)),
            // One batch at a time: the next begins with the next tick.
            (busy, Event::Tick { .. }) => {
                self.phase = busy;
                Ok(Step::Wait)
            }
            (Phase::Looking { digests, now_ms }, Event::Looked(positions)) => {
                self.looked(digests, &positions, now_ms)
            }
            (Phase::Committing { batch, bytes }, Event::Committed(stood)) => {
                let number = batch.record.number;
                created(stood, &bytes, number)?;
                Ok(self.write(batch))
            }
            (Phase::Writing(batch), Event::Written) => {
                let start = batch.record.start;
                let digests = batch.record.digests.clone();
                self.phase = Phase::Extending(batch);
                Ok(Step::Extend { start, digests })
            }
            (Phase::Extending(batch), Event::Extended) => {
                // Not before: everything under it is durable now, and the record is the only one of its number.
                let checkpoint = Box::new(batch.record.checkpoint.clone().sign(&self.signer)?);
                let blob = checkpoint_blob(batch.record.number, &checkpoint);
                self.phase = Phase::Publishing { batch, checkpoint };
                Ok(Step::Publish(blob))
            }
            (Phase::Publishing { batch, checkpoint }, Event::Published(stood)) => {
                let number = batch.record.number;
                let blob = checkpoint_blob(number, &checkpoint);
                created(stood, &blob.bytes, number)?;
                Ok(self.acknowledge(*batch, *checkpoint))
            }
            (_, _) => Err(SequencerError::Unexpected),
        }
    }

    fn begin(&mut self, now_ms: u64) -> Step {
        self.phase = Phase::Idle;
        if self.pool.is_empty() {
            return Step::Wait;
        }
        let count = self.limits.batch_max.min(COUNT_MAX).min(self.pool.len());
        let rest = self.pool.split_off(count);
        let digests = core::mem::replace(&mut self.pool, rest);
        self.phase = Phase::Looking {
            digests: digests.clone(),
            now_ms,
        };
        Step::Look(digests)
    }

    fn looked(
        &mut self,
        digests: Vec<ReceiptDigest>,
        positions: &[Option<u64>],
        now_ms: u64,
    ) -> Result<Step, SequencerError> {
        if positions.len() != digests.len() {
            return Err(SequencerError::Unexpected);
        }
        let size = self.size();
        let (mut known, mut fresh) = (Vec::new(), Vec::new());
        for (digest, position) in digests.into_iter().zip(positions) {
            match *position {
                None => fresh.push(digest),
                Some(position) if position < size => known.push(Verdict { digest, position }),
                Some(got) => return Err(SequencerError::Index { size, got }),
            }
        }
        if fresh.is_empty() {
            for verdict in &known {
                self.held.remove(&verdict.digest);
            }
            self.phase = Phase::Idle;
            return Ok(Step::Acknowledge(known));
        }
        let mut batch = self.plan(fresh, now_ms)?;
        batch.known = known;
        let number = batch.record.number;
        let bytes = batch.record.encode()?;
        self.phase = Phase::Committing {
            batch: Box::new(batch),
            bytes: bytes.clone(),
        };
        let name = numbered(Kind::Record, number);
        Ok(Step::Commit(Blob { name, bytes }))
    }

    /// The batch of these digests, with all that it will write.
    fn plan(&self, digests: Vec<ReceiptDigest>, now_ms: u64) -> Result<Batch, SequencerError> {
        let next = self.state.number.checked_add(1);
        let number = next
            .filter(|number| *number <= NUMBER_MAX)
            .ok_or(SequencerError::Numbers)?;
        let start = self.size();
        let (edge, tail, blobs) = grow(&self.state, &digests)?;
        let checkpoint = Checkpoint::new(self.signer.verifier().name(), edge.size(), edge.root())?;
        let record = Record {
            number,
            time_ms: self.state.time_ms.max(now_ms),
            start,
            digests,
            checkpoint,
        };
        Ok(Batch {
            record,
            edge,
            tail,
            blobs,
            known: Vec::new(),
        })
    }

    fn write(&mut self, mut batch: Box<Batch>) -> Step {
        let blobs = core::mem::take(&mut batch.blobs);
        self.phase = Phase::Writing(batch);
        Step::Write(blobs)
    }

    /// Goes on with a record that is there though the process ended before its batch was published: it is committed again
    /// with the same bytes, since that it can be read does not say that it is durable; then its batch is written, and published.
    ///
    /// # Errors
    /// [`SequencerError`] when the record does not follow from the state.
    pub(super) fn resume(
        &mut self,
        record: Record,
        bytes: Vec<u8>,
    ) -> Result<Step, SequencerError> {
        let (edge, tail, blobs) = grow(&self.state, &record.digests)?;
        let follows = record.start == self.size()
            && self.state.number.checked_add(1) == Some(record.number)
            && (edge.size(), &edge.root()) == record.checkpoint.tree();
        if !follows {
            let number = record.number;
            return Err(SequencerError::Overtaken { number });
        }
        self.held.extend(record.digests.iter().copied());
        let name = numbered(Kind::Record, record.number);
        let batch = Batch {
            record,
            edge,
            tail,
            blobs,
            known: Vec::new(),
        };
        self.phase = Phase::Committing {
            batch: Box::new(batch),
            bytes: bytes.clone(),
        };
        Ok(Step::Commit(Blob { name, bytes }))
    }

    fn acknowledge(&mut self, batch: Batch, checkpoint: SignedCheckpoint) -> Step {
        let Batch {
            record,
            edge,
            tail,
            known: mut verdicts,
            ..
        } = batch;
        self.state = State {
            number: record.number,
            time_ms: record.time_ms.max(self.state.time_ms),
            edge,
            tail,
            checkpoint: Some(checkpoint),
        };
        let placed = (record.start..).zip(record.digests);
        verdicts.extend(placed.map(|(position, digest)| Verdict { digest, position }));
        for verdict in &verdicts {
            self.held.remove(&verdict.digest);
        }
        self.phase = Phase::Idle;
        Step::Acknowledge(verdicts)
    }
}

fn checkpoint_blob(number: u64, checkpoint: &SignedCheckpoint) -> Blob {
    Blob {
        name: numbered(Kind::Checkpoint, number),
        bytes: checkpoint.encode().into_bytes(),
    }
}

/// An object that existed may be our own, if an answer was lost; bytes tell, since signatures are deterministic.
fn created(stood: Option<Vec<u8>>, ours: &[u8], number: u64) -> Result<(), SequencerError> {
    match stood {
        Some(theirs) if theirs != ours => Err(SequencerError::Overtaken { number }),
        Some(_) | None => Ok(()),
    }
}

/// The tree with more digests, the digests of its last partial bundle, and the bundles and tiles to write.
fn grow(
    state: &State,
    digests: &[ReceiptDigest],
) -> Result<(Edge, Vec<ReceiptDigest>, Vec<Blob>), SequencerError> {
    let mut edge = state.edge.clone();
    let old = edge.size();
    for digest in digests {
        edge.append(Hash::of_receipt(digest))?;
    }
    let mut entries = state.tail.clone();
    entries.extend_from_slice(digests);
    let mut blobs = Vec::new();
    let mut chunks = entries.chunks(usize::from(WIDTH));
    for id in EntriesId::added(old, edge.size()) {
        let Some(chunk) = chunks.next() else { break };
        blobs.push(Blob {
            name: id.path(),
            bytes: entry::encode(chunk),
        });
    }
    for tile in edge.take_tiles() {
        blobs.push(Blob {
            name: tile.id().path(),
            bytes: tile.encode(),
        });
    }
    let (_, tail) = entries.as_chunks::<256>();
    Ok((edge, tail.to_vec(), blobs))
}
