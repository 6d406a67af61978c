//! All that counted in a dispute, so that anyone reaches its verdict again.
//!
//! ```text
//! u32 length of the terms ‖ terms ‖ u32 n ‖ n × (u64 time ‖ u8 0, or u8 1 ‖ u32 length ‖ message)
//! ```
//!
//! Times are the referee's word; but a party that answers signs the times of all entries before its own. It deliberately holds nothing that was ignored.

use credence_base::wire::{Reader, WireError, Writer};
use credence_claim::Claim;
use credence_method_spot::Card;

use crate::message::MESSAGE_BYTES_MAX;
use crate::referee::{Ignored, Referee, RefereeError, Status};
use crate::terms::{Terms, TermsError};
use crate::verdict::Verdict;

/// Most bytes of a transcript.
pub const TRANSCRIPT_BYTES_MAX: usize = 256 << 20;

/// Bytes of the shortest entry.
const ENTRY_BYTES_MIN: usize = 9;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in seconds since 1970-01-01 UTC, by the referee's clock.
    pub time_unix_s: u64,
    /// The message; none if time had run out.
    pub message: Option<Vec<u8>>,
}

/// Why a transcript shows no verdict.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// Other bytes.
    #[error("the bytes are not a transcript")]
    Wire(#[from] WireError),
    /// Terms that are none.
    #[error("the transcript's terms are refused")]
    Terms(#[from] TermsError),
    /// There is no such dispute.
    #[error("the transcript is of no dispute about this claim")]
    Referee(#[from] RefereeError),
    /// An entry that a referee would have ignored.
    #[error("entry {number} of the transcript would have been ignored")]
    Ignored {
        /// Which, from 0.
        number: usize,
        /// Why.
        #[source]
        source: Ignored,
    },
    /// An entry at which nothing happened.
    #[error("nothing happened at entry {number} of the transcript")]
    Nothing {
        /// Which, from 0.
        number: usize,
    },
    /// It stops before the end.
    #[error("the transcript stops before a verdict")]
    Unfinished,
}

/// A whole dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Its terms.
    pub terms: Terms,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

impl Transcript {
    /// The canonical bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for more entries or longer messages than there can be.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer
            .bytes(&self.terms.encode())?
            .count(self.entries.len())?;
        for entry in &self.entries {
            writer.u64(entry.time_unix_s);
            match &entry.message {
                None => writer.u8(0),
                Some(message) => writer.u8(1).bytes(message)?,
            };
        }
        Ok(writer.finish())
    }

    /// Reads the canonical bytes, at most [`TRANSCRIPT_BYTES_MAX`].
    ///
    /// # Errors
    /// [`TranscriptError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TranscriptError> {
        if bytes.len() > TRANSCRIPT_BYTES_MAX {
            let (max, got) = (TRANSCRIPT_BYTES_MAX, bytes.len());
            return Err(WireError::TooLong { max, got }.into());
        }
        let mut reader = Reader::new(bytes);
        let terms = Terms::decode(reader.bytes(Terms::LEN)?)?;
        let count = reader.count(reader.remaining(), ENTRY_BYTES_MIN)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let time_unix_s = reader.u64()?;
            let message = match reader.u8()? {
                0 => None,
                1 => Some(reader.bytes(MESSAGE_BYTES_MAX)?.to_vec()),
                got => return Err(WireError::Tag { got }.into()),
            };
            entries.push(Entry {
                time_unix_s,
                message,
            });
        }
        reader.finish()?;
        Ok(Self { terms, entries })
    }

    /// Runs the referee over it again.
    ///
    /// # Errors
    /// [`TranscriptError`] unless every entry counts and the last one ends the dispute.
    pub fn check(&self, card: &Card, claim: &Claim) -> Result<Verdict, TranscriptError> {
        let mut referee = Referee::new(card, claim, self.terms)?;
        for (number, entry) in self.entries.iter().enumerate() {
            let taken = referee.step(entry.message.as_deref(), entry.time_unix_s);
            let taken = taken.map_err(|source| TranscriptError::Ignored { number, source })?;
            // A late message is no entry: that time had run out is.
            if taken.as_ref() != Some(entry) {
                return Err(TranscriptError::Nothing { number });
            }
        }
        match referee.status() {
            Status::Over(verdict) => Ok(verdict),
            Status::Awaiting { .. } => Err(TranscriptError::Unfinished),
        }
    }
}
