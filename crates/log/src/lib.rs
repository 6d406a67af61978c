//! Orders digests in an append-only log and proves it, in C2SP's formats.
//!
//! ```text
//! ReceiptDigest ─hash::leaf─▶ leaf ─frontier/edge─▶ root ─checkpoint─▶ signed note ─witness─▶ cosigned note
//!                                      └─tile─▶ files that anyone may serve
//! proof::Plan ─tiles─▶ inclusion, consistency ─▶ verify_inclusion, verify_consistency
//! LogProof{index, inclusion, cosigned checkpoint} ─LogPolicy{logs, witnesses, quorum}─▶ Logged
//! ```
//!
//! `docs/spec/log.md` is normative for what we log and how; the formats are those of `tlog-tiles`, `tlog-checkpoint`,
//! `signed-note`, `tlog-cosignature`, `tlog-witness` and `tlog-proof` (C2SP) over the hashing of RFC 6962, section 2.1, so that other people's witnesses, monitors and
//! mirrors work with our logs unchanged.
//!
//! It deliberately does no I/O and keeps no time: tiles come in as bytes, and what must be stored goes out as bytes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unreachable,
        clippy::string_slice,
        clippy::panic_in_result_fn,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod checkpoint;
pub mod cosignature;
pub mod edge;
pub mod entry;
pub mod equivocation;
pub mod frontier;
pub mod hash;
pub mod key;
pub mod log_proof;
pub mod note;
pub mod policy;
pub mod proof;
mod text;
pub mod tile;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use edge::Edge;
pub use equivocation::{Equivocation, EquivocationError};
pub use frontier::Frontier;
pub use hash::Hash;
pub use key::{Algorithm, KeyName, Signer, VerifierKey};
pub use log_proof::{LOG_PROOF_LEN_MAX, LogProof, LogProofError, Logged};
pub use note::{Note, NoteSignature};
pub use policy::{Clock, LogPolicy, LogPolicyError, LogRefusal, Witnessed};
pub use tile::{Tile, TileId};
pub use witness::{AddCheckpoint, Answer, Record, Witness};

/// The most entries a log may hold: a proof then has at most 63 hashes (`tlog-witness`), and a size fits every
/// language's integers.
pub const SIZE_MAX: u64 = (1 << 63) - 1;
