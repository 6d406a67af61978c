//! A witness: cosigns a log's checkpoints as long as each continues the last one (C2SP `tlog-witness`, `add-checkpoint`).
//!
//! ```text
//! POST body ─AddCheckpoint::parse─▶ Witness::answer(record, request, now) ─▶ Answer
//!                                      200: store the new Record first, then send the body
//! ```
//!
//! A state machine without a state: the record of the log's last checkpoint is an argument, and so is the time. Whoever calls
//! reads the record, calls, and stores the new one only if the old one is still there, in one transaction; only then
//! does the cosignature leave the machine. A record never goes back.
//!
//! It deliberately offers no `sign-subtree`, which is optional, and keeps no copy of the log.

use std::collections::BTreeMap;

use crate::SIZE_MAX;
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::cosignature::{CosignatureError, cosign};
use crate::equivocation::Equivocation;
use crate::hash::Hash;
use crate::key::{Algorithm, Signer, VerifierKey};
use crate::log_proof::{HashLines, read_hashes};
use crate::note::NOTE_LEN_MAX;
use crate::proof::{HASHES_MAX, ProofError, verify_consistency};
use crate::text::{decimal, line};

/// The longest request, in bytes.
pub const REQUEST_LEN_MAX: usize = NOTE_LEN_MAX + 8 * 1024;

/// The media type of an answer of 409, which is a size.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// Why bytes are not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many bytes.
    #[error("a request has at most {REQUEST_LEN_MAX} bytes, got {got}")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// Not UTF-8.
    #[error("a request is UTF-8 text")]
    Utf8,
    /// The first line is not the old size.
    #[error("expected the line `old <decimal>` at the start of the request")]
    Old,
    /// A line is no hash.
    #[error("line {at} of the consistency proof is not the base64 of a 32-byte hash")]
    Hash {
        /// Its number, from 0.
        at: usize,
    },
    /// Too many hashes.
    #[error("a consistency proof has at most {HASHES_MAX} hashes")]
    Hashes,
    /// The checkpoint is none.
    #[error("the request ends in no checkpoint")]
    Checkpoint(#[source] CheckpointError),
}

/// Why a witness cannot be set up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The witness's own key is a log's.
    #[error("the witness's key cannot cosign")]
    Key(#[source] CosignatureError),
    /// A log's key is a witness's.
    #[error("`{0}` is not a log's key: its type is not 0x01")]
    Log(VerifierKey),
}

/// The body of a request to cosign a checkpoint, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness is thought to have seen last.
    pub old_size: u64,
    /// The consistency proof from that size.
    pub proof: Vec<Hash>,
    /// The checkpoint to cosign.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads a body of at most [`REQUEST_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`RequestError`] when the bytes are none; the answer is then [`Answer::BadRequest`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > REQUEST_LEN_MAX {
            return Err(RequestError::TooLong { got: bytes.len() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| RequestError::Utf8)?;
        let (first, rest) = line(text).ok_or(RequestError::Old)?;
        let old_size = first
            .strip_prefix("old ")
            .and_then(|digits| decimal(digits, SIZE_MAX))
            .ok_or(RequestError::Old)?;
        let (proof, rest) = read_hashes(rest).map_err(|error| match error {
            HashLines::Line { at } => RequestError::Hash { at },
            HashLines::TooMany => RequestError::Hashes,
        })?;
        let checkpoint =
            SignedCheckpoint::parse(rest.as_bytes()).map_err(RequestError::Checkpoint)?;
        Ok(Self {
            old_size,
            proof,
            checkpoint,
        })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            text.push_str(&format!("{hash}\n"));
        }
        text.push('\n');
        text.push_str(&self.checkpoint.encode());
        text
    }
}

/// What a witness keeps of one log: the last checkpoint that it cosigned, with its own cosignature and the log's signature. It
/// is also what a witness serves to monitors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(SignedCheckpoint);

impl Record {
    /// Reads what [`Record::encode`] gave, from the witness's own storage: nothing is checked but the form.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is no checkpoint.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        SignedCheckpoint::parse(bytes).map(Self)
    }

    /// Its bytes: the cosigned checkpoint.
    #[must_use]
    pub fn encode(&self) -> String {
        self.0.encode()
    }

    /// The checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.0
    }
}

/// What a witness answers. The body of what is not said here is the server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: cosigned. `record` must be durable, and still follow the record that was given, before `body` is sent.
    Cosigned {
        /// What to keep.
        record: Box<Record>,
        /// The body: one signature line.
        body: String,
    },
    /// 400: the old size is larger than the checkpoint's.
    BadRequest,
    /// 403: no accepted key of the log has signed it.
    Forbidden,
    /// 404: the log is unknown.
    NotFound,
    /// 409: the witness has seen another size last. The body is that size and a newline, of the type [`SIZE_MEDIA_TYPE`].
    Conflict {
        /// That size.
        size: u64,
    },
    /// 422: the checkpoint does not continue the last one.
    Unprocessable {
        /// In what.
        reason: ProofError,
    },
}

impl Answer {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Cosigned { .. } => 200,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict { .. } => 409,
            Self::Unprocessable { .. } => 422,
        }
    }
}

/// A witness: its key, and the logs it watches.
#[derive(Debug)]
pub struct Witness {
    signer: Signer,
    logs: BTreeMap<String, Vec<VerifierKey>>,
}

impl Witness {
    /// A witness of these logs; several keys of one name are one log's.
    ///
    /// # Errors
    /// [`WitnessError`] when a key has the other type.
    pub fn new(signer: Signer, logs: Vec<VerifierKey>) -> Result<Self, WitnessError> {
        let own = signer.verifier();
        if own.algorithm() != Algorithm::CosignatureV1 {
            let name = own.name().clone();
            return Err(WitnessError::Key(CosignatureError::Algorithm(name)));
        }
        let mut by_origin: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for log in logs {
            if log.algorithm() != Algorithm::Ed25519 {
                return Err(WitnessError::Log(log));
            }
            let origin = log.name().as_str().to_owned();
            by_origin.entry(origin).or_default().push(log);
        }
        Ok(Self {
            signer,
            logs: by_origin,
        })
    }

    /// The witness's own key.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// Answers a request about the log that its checkpoint names, of which `record` is the last checkpoint cosigned, if any.
    ///
    /// The order of the checks: log known, signature, sizes, what was seen last, consistency.
    ///
    /// # Errors
    /// [`CosignatureError::Time`] when the witness has no clock: nothing was cosigned.
    pub fn answer(
        &self,
        record: Option<&Record>,
        request: &AddCheckpoint,
        now_unix_s: u64,
    ) -> Result<Answer, CosignatureError> {
        let signed = &request.checkpoint;
        let Some(keys) = self.logs.get(signed.unverified().origin()) else {
            return Ok(Answer::NotFound);
        };
        if signing_key(keys, signed).is_none() {
            return Ok(Answer::Forbidden);
        }
        let new = signed.unverified().tree();
        if request.old_size > new.0 {
            return Ok(Answer::BadRequest);
        }
        let empty = Hash::of_empty_tree();
        let old = record.map_or((0, &empty), |record| record.0.unverified().tree());
        if request.old_size != old.0 {
            return Ok(Answer::Conflict { size: old.0 });
        }
        if let Err(reason) = verify_consistency(old, new, &request.proof) {
            return Ok(Answer::Unprocessable { reason });
        }
        let line = cosign(signed, now_unix_s, &self.signer)?;
        let body = line.encode();
        // The witness keeps what it vouches for and nothing else, so a record is small whatever was sent.
        let mut kept = signed.stripped(keys);
        if kept.note_mut().add(line).is_err() {
            return Ok(Answer::Forbidden);
        }
        Ok(Answer::Cosigned {
            record: Box::new(Record(kept)),
            body,
        })
    }

    /// Evidence against the log, if the request's checkpoint is one that cannot be true beside the record's. A witness may
    /// publish it; it never cosigns.
    #[must_use]
    pub fn evidence(&self, record: &Record, request: &AddCheckpoint) -> Option<Equivocation> {
        let origin = request.checkpoint.unverified().origin();
        let keys = self.logs.get(origin)?;
        keys.iter()
            .find_map(|log| Equivocation::check(log, &record.0, &request.checkpoint).ok())
    }
}

/// A key among `keys` that signed the checkpoint; none when a signature said to be by one of them is bad.
fn signing_key<'a>(keys: &'a [VerifierKey], signed: &SignedCheckpoint) -> Option<&'a VerifierKey> {
    let mut found = None;
    for key in keys {
        match signed.verify_root(key) {
            Ok(_) => found = found.or(Some(key)),
            Err(CheckpointError::Unsigned { .. }) => {}
            Err(_) => return None,
        }
    }
    found
}
