//! The record of one batch: what was put in order, and the checkpoint that covers it.
//!
//! ```text
//! 8 bytes  `crdrec`, 0, version 1
//! u64      number           u64  time, milliseconds since 1970
//! u64      size before      u32  count, then so many digests of 32 bytes
//! u32      length, then the signed checkpoint
//! ```
//!
//! Integers are little-endian. Nothing here is signed but the checkpoint, and that is enough: its root says which digests
//! can have come after the tree before.

use credence_base::ReceiptDigest;
use credence_base::wire::{Reader, WireError, Writer};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::note::NOTE_LEN_MAX;

const MAGIC: [u8; 8] = *b"crdrec\x00\x01";

/// The most digests of one record.
pub(super) const COUNT_MAX: usize = 1 << 20;

/// The longest record, in bytes.
pub const RECORD_LEN_MAX: usize = COUNT_MAX * 32 + NOTE_LEN_MAX + 64;

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They begin otherwise, or are of another version.
    #[error("expected a record of version 1")]
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
    /// The checkpoint that covers it; unchecked in a record that was read.
    pub checkpoint: SignedCheckpoint,
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
        out.str(&self.checkpoint.encode())?;
        Ok(out.finish())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut input = Reader::new(bytes);
        if input.array::<8>().ok() != Some(MAGIC) {
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
        let digests = digests
            .iter()
            .copied()
            .map(ReceiptDigest::from_bytes)
            .collect();
        let checkpoint = SignedCheckpoint::parse(input.bytes(NOTE_LEN_MAX)?)?;
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
        let got = self.checkpoint.unverified().size();
        if expected == got {
            Ok(())
        } else {
            Err(RecordError::Size { expected, got })
        }
    }
}
