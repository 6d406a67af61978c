//! The record of one batch: what was put in order, and the tree that comes of it.
//!
//! ```text
//! 8 bytes  `crdrec`, 0, version 2
//! u64      number           u64  time, milliseconds since 1970
//! u64      size before      u32  count, then so many digests of 32 bytes
//! u32      length, then the log's origin
//! 32 bytes the root of the tree after them
//! ```
//!
//! Integers are little-endian. Nothing here is signed: a record may be written and lost again, and a second signature for
//! its number would then be a second truth. The checkpoint is signed when all under it is durable, and since signatures
//! are deterministic, whoever carries the record through signs the same bytes.
//!
//! Version 1 held the signed checkpoint in the place of origin and root. It is still read, and no longer written.

use credence_base::ReceiptDigest;
use credence_base::wire::{Reader, WireError, Writer};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::hash::Hash;
use crate::key::{KeyName, KeyNameError};
use crate::note::NOTE_LEN_MAX;

const MAGIC_V1: [u8; 8] = *b"crdrec\x00\x01";
const MAGIC: [u8; 8] = *b"crdrec\x00\x02";

/// The longest name of a log, in bytes.
const ORIGIN_LEN_MAX: usize = 255;

/// The most digests of one record.
pub(super) const COUNT_MAX: usize = 1 << 20;

/// The longest record, in bytes.
pub const RECORD_LEN_MAX: usize = COUNT_MAX * 32 + NOTE_LEN_MAX + 64;

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They begin otherwise, or are of another version.
    #[error("expected a record of version 1 or 2")]
    Magic,
    /// They end early, go on, or hold a length over its limit.
    #[error("the record's bytes are not whole")]
    Wire(#[from] WireError),
    /// A record of nothing.
    #[error("expected at least one digest in a record")]
    Empty,
    /// The checkpoint is none.
    #[error("the record holds no checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// The origin is no log's name.
    #[error("the record names no log")]
    Origin(#[from] KeyNameError),
    /// The checkpoint has another size than the digests lead to.
    #[error("expected a checkpoint of {expected} entries in the record, got {got}")]
    Size {
        /// Entries before, and those of the record.
        expected: u64,
        /// What the checkpoint says.
        got: u64,
    },
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1.
    pub number: u64,
    /// When it was put in order, in milliseconds since 1970; never less than the record before.
    pub time_ms: u64,
    /// Entries before it.
    pub start: u64,
    /// Its digests, in order.
    pub digests: Vec<ReceiptDigest>,
    /// The checkpoint that will cover it, which nobody has signed here.
    pub checkpoint: Checkpoint,
}

impl Record {
    /// Its bytes.
    ///
    /// # Errors
    /// [`RecordError`] when it could not be read again.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let mut out = Writer::new();
        out.raw(&MAGIC)
            .u64(self.number)
            .u64(self.time_ms)
            .u64(self.start)
            .count(self.digests.len())?;
        for digest in &self.digests {
            out.raw(digest.as_bytes());
        }
        out.str(self.checkpoint.origin())?
            .raw(self.checkpoint.root().as_bytes());
        Ok(out.finish())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut input = Reader::new(bytes);
        let magic = input.array::<8>().map_err(|_| RecordError::Magic)?;
        if magic != MAGIC && magic != MAGIC_V1 {
            return Err(RecordError::Magic);
        }
        let (number, time_ms, start) = (input.u64()?, input.u64()?, input.u64()?);
        let count = usize::try_from(input.u32()?).unwrap_or(usize::MAX);
        if count > COUNT_MAX {
            let max = COUNT_MAX;
            return Err(WireError::TooLong { max, got: count }.into());
        }
        let (digests, rest) = input.raw(count.saturating_mul(32))?.as_chunks::<32>();
        debug_assert!(rest.is_empty());
        let digests: Vec<_> = digests
            .iter()
            .copied()
            .map(ReceiptDigest::from_bytes)
            .collect();
        let checkpoint = if magic == MAGIC_V1 {
            let signed = SignedCheckpoint::parse(input.bytes(NOTE_LEN_MAX)?)?;
            signed.unverified().clone()
        } else {
            let origin = KeyName::new(input.str(ORIGIN_LEN_MAX)?)?;
            let root = Hash::from_bytes(input.array::<32>()?);
            let added = u64::try_from(count).unwrap_or(u64::MAX);
            Checkpoint::new(&origin, start.saturating_add(added), root)?
        };
        input.finish()?;
        let record = Self {
            number,
            time_ms,
            start,
            digests,
            checkpoint,
        };
        record.check()?;
        Ok(record)
    }

    fn check(&self) -> Result<(), RecordError> {
        if self.digests.is_empty() {
            return Err(RecordError::Empty);
        }
        if self.digests.len() > COUNT_MAX {
            let (max, got) = (COUNT_MAX, self.digests.len());
            return Err(WireError::TooLong { max, got }.into());
        }
        let count = u64::try_from(self.digests.len()).unwrap_or(u64::MAX);
        let expected = self.start.saturating_add(count);
        let got = self.checkpoint.size();
        if expected == got {
            Ok(())
        } else {
            Err(RecordError::Size { expected, got })
        }
    }
}
