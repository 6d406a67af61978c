//! The kinds of statement besides inferences and keys: a log's two truths, a commitment's binding, a model's origin.
//!
//! Each is someone's word, signed, and shows no more than that: what can be checked again is checked by whoever reads it.
//! That two checkpoints contradict each other is for `credence-verify`, which knows the log's formats; that a root is of a
//! model's weights, or a model of a file, is for whoever holds both.
//!
//! It deliberately parses neither notes nor options: here they are text of a bounded length.

use credence_base::{Digest, FileDigest, ModelId, Name, PublicKey};

/// The longest verifier key of a log, in bytes.
pub const LOG_KEY_LEN_MAX: usize = 512;

/// The longest note in evidence, in bytes: a checkpoint with its log's signature and no other.
pub const NOTE_LEN_MAX: usize = 4096;

/// The longest options of an import, in bytes.
pub const OPTIONS_LEN_MAX: usize = 4096;

/// Someone shows that a log signed two checkpoints that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// Who shows it, and signs.
    pub operator: PublicKey,
    /// The log's key, as a verifier key of `signed-note`: 1 to 512 bytes.
    pub log: String,
    /// One checkpoint, as a signed note: 1 to 4,096 bytes.
    pub first: String,
    /// The other one.
    pub second: String,
    /// When it was shown, in seconds since 1970-01-01 UTC, by the operator's own clock.
    pub time_unix_s: u64,
}

/// Someone says that a proof system's commitment is to the weights of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsBinding {
    /// Who says so, and signs.
    pub operator: PublicKey,
    /// The model.
    pub model: ModelId,
    /// The scheme of the commitment.
    pub scheme: Name,
    /// The commitment.
    pub root: Digest,
    /// The rule by which the one follows from the other.
    pub derivation: Tool,
    /// When, in seconds since 1970-01-01 UTC, by the operator's own clock.
    pub time_unix_s: u64,
}

/// Someone says that a model was made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Who says so, and signs.
    pub operator: PublicKey,
    /// The model.
    pub model: ModelId,
    /// The file.
    pub file: FileDigest,
    /// What made it.
    pub importer: Tool,
    /// The options that it was made with, in the importer's own words: at most 4,096 bytes.
    pub options: String,
    /// The digest of the calibration set, if there was one.
    pub calibration: Option<Digest>,
    /// When, in seconds since 1970-01-01 UTC, by the operator's own clock.
    pub time_unix_s: u64,
}

/// A program or a rule, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Name,
}
