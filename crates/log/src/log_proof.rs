//! Proofs that travel: index, inclusion proof and cosigned checkpoint in one text (C2SP `tlog-proof`).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! [extra <base64>]
//! index <decimal>
//! <hash, base64>*
//!
//! <checkpoint>
//! ```
//!
//! Verifying needs no network: the leaf comes from the receipt, logs and witnesses from the policy, the size from the
//! checkpoint.
//!
//! It deliberately gives no meaning to `extra`, which nothing authenticates; ours have none.

use credence_base::ReceiptDigest;

use crate::SIZE_MAX;
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::hash::Hash;
use crate::note::NOTE_LEN_MAX;
use crate::policy::{Clock, LogPolicy, LogRefusal, Witnessed};
use crate::proof::{HASHES_MAX, ProofError, verify_inclusion};
use crate::text::{decimal, from_base64, line, to_base64};

/// The longest extra data, in bytes.
pub const EXTRA_LEN_MAX: usize = 4096;

/// The longest proof, in bytes.
pub const LOG_PROOF_LEN_MAX: usize = NOTE_LEN_MAX + 16 * 1024;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// Too many bytes.
    #[error("a log proof has at most {LOG_PROOF_LEN_MAX} bytes, got {got}")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// Not UTF-8, or another first line.
    #[error("expected a log proof that begins with the line `{HEADER}`")]
    Header,
    /// The extra data is empty, too long or not base64.
    #[error("the log proof's extra data is not the base64 of 1 to {EXTRA_LEN_MAX} bytes")]
    Extra,
    /// No index where it must stand.
    #[error("expected a line `index <decimal>` in the log proof")]
    Index,
    /// A line is no hash.
    #[error("line {at} of the inclusion proof is not the base64 of a 32-byte hash")]
    Hash {
        /// Its number, from 0.
        at: usize,
    },
    /// Too many hashes.
    #[error("an inclusion proof has at most {HASHES_MAX} hashes")]
    Hashes,
    /// The checkpoint is none.
    #[error("the log proof ends in no checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The checkpoint is not accepted.
    #[error("the log proof's checkpoint does not meet the policy")]
    Refused(#[source] LogRefusal),
    /// The proof does not lead from the entry to the checkpoint.
    #[error("the log proof does not show that the entry is in the log")]
    Inclusion(#[source] ProofError),
}

/// A proof that an entry is in a log, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// An entry that was shown to be in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    index: u64,
    witnessed: Witnessed,
}

impl Logged {
    /// The entry's index.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint that covers it, and who saw it.
    #[must_use]
    pub const fn witnessed(&self) -> &Witnessed {
        &self.witnessed
    }
}

impl LogProof {
    /// The proof that entry `index` is in the checkpoint's tree, from the hashes that a plan made.
    ///
    /// # Errors
    /// [`LogProofError`] when a proof cannot have so many hashes, or an index so large.
    pub fn new(
        index: u64,
        hashes: Vec<Hash>,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, LogProofError> {
        if index >= SIZE_MAX {
            return Err(LogProofError::Index);
        }
        if hashes.len() > HASHES_MAX {
            return Err(LogProofError::Hashes);
        }
        Ok(Self {
            extra: None,
            index,
            hashes,
            checkpoint,
        })
    }

    /// The entry's index, unchecked.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint, unchecked.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// What the extra line holds. Nothing authenticates it.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Its text form. Parsing it gives the same proof.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", to_base64(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&format!("{hash}\n"));
        }
        text.push('\n');
        text.push_str(&self.checkpoint.encode());
        text
    }

    /// Reads a proof of at most [`LOG_PROOF_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`LogProofError`] when the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogProofError> {
        if bytes.len() > LOG_PROOF_LEN_MAX {
            return Err(LogProofError::TooLong { got: bytes.len() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| LogProofError::Header)?;
        let (header, rest) = line(text).ok_or(LogProofError::Header)?;
        if header != HEADER {
            return Err(LogProofError::Header);
        }
        let (second, after) = line(rest).ok_or(LogProofError::Index)?;
        let (extra, index, rest) = match second.strip_prefix("extra ") {
            None => (None, second, after),
            Some(extra) => {
                let extra = read_extra(extra).ok_or(LogProofError::Extra)?;
                let (index, after) = line(after).ok_or(LogProofError::Index)?;
                (Some(extra), index, after)
            }
        };
        let index = index
            .strip_prefix("index ")
            .and_then(|digits| decimal(digits, SIZE_MAX.saturating_sub(1)))
            .ok_or(LogProofError::Index)?;
        let (hashes, rest) = read_hashes(rest).map_err(|error| match error {
            HashLines::Line { at } => LogProofError::Hash { at },
            HashLines::TooMany => LogProofError::Hashes,
        })?;
        let checkpoint =
            SignedCheckpoint::parse(rest.as_bytes()).map_err(LogProofError::Checkpoint)?;
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint,
        })
    }

    /// Checks that `receipt` is in a log as the policy wants it, in the order: log's key, cosignatures, quorum, age,
    /// inclusion.
    ///
    /// # Errors
    /// [`LogProofError::Refused`] or [`LogProofError::Inclusion`].
    pub fn verify(
        &self,
        receipt: &ReceiptDigest,
        policy: &LogPolicy,
        clock: Clock,
    ) -> Result<Logged, LogProofError> {
        let witnessed = policy
            .check(&self.checkpoint, clock)
            .map_err(LogProofError::Refused)?;
        self.included(receipt, witnessed)
    }

    /// As [`LogProof::verify`], whatever the checkpoint's age: for what stays true once it was logged.
    ///
    /// # Errors
    /// As [`LogProof::verify`].
    pub fn verify_at_any_age(
        &self,
        receipt: &ReceiptDigest,
        policy: &LogPolicy,
        clock: Clock,
    ) -> Result<Logged, LogProofError> {
        let witnessed = policy
            .check_at_any_age(&self.checkpoint, clock)
            .map_err(LogProofError::Refused)?;
        self.included(receipt, witnessed)
    }

    fn included(
        &self,
        receipt: &ReceiptDigest,
        witnessed: Witnessed,
    ) -> Result<Logged, LogProofError> {
        let leaf = Hash::of_receipt(receipt);
        let tree = witnessed.checkpoint().tree();
        verify_inclusion(&leaf, self.index, tree, &self.hashes)
            .map_err(LogProofError::Inclusion)?;
        Ok(Logged {
            index: self.index,
            witnessed,
        })
    }
}

fn read_extra(text: &str) -> Option<Vec<u8>> {
    // Three bytes are four characters.
    let fits = text.len() <= EXTRA_LEN_MAX.div_ceil(3).saturating_mul(4);
    let extra = fits.then(|| from_base64(text)).flatten()?;
    (!extra.is_empty() && extra.len() <= EXTRA_LEN_MAX).then_some(extra)
}

/// Why lines of hashes cannot be read.
pub(crate) enum HashLines {
    /// A line is no hash, or there is no empty line after them.
    Line {
        /// Its number, from 0.
        at: usize,
    },
    /// More than a proof may have.
    TooMany,
}

/// Reads hashes, one in a line, to the empty line; gives what stands after it.
pub(crate) fn read_hashes(text: &str) -> Result<(Vec<Hash>, &str), HashLines> {
    let mut hashes = Vec::new();
    let mut rest = text;
    loop {
        let at = hashes.len();
        let (one, after) = line(rest).ok_or(HashLines::Line { at })?;
        if one.is_empty() {
            return Ok((hashes, after));
        }
        if at >= HASHES_MAX {
            return Err(HashLines::TooMany);
        }
        hashes.push(Hash::from_base64(one).map_err(|_| HashLines::Line { at })?);
        rest = after;
    }
}
