//! Verifies by a succinct proof: the verifier alone.
//!
//! ```text
//! field, extension: F (Goldilocks) and K (its cubic extension)     mle: multilinear polynomials on {0,1}^n
//! reader: a proof's bytes ──▶ values                               transcript: what was said so far ──▶ challenges
//! sumcheck: a sum over {0,1}^n ──▶ one claim at a random point     pcs: a claim at a point ──▶ true or refused
//!
//! circuit: a model and a number of positions ──▶ slots and what must hold of them        relation: the two together, for good
//! run: what of a run is public        lookup: all lookups and products ──▶ claims at one point
//! pairs: products of two values ──▶ claims about operands        public_rows: public nodes that the verifier reads itself
//! functional: claims about slots ──▶ weights of committed and public ones        protocol, verify: all of it in order
//! known: a model, or a card of it        weights: weights that are committed to instead of read
//! subject, speech: what a claim says        snark: the method        security: every term of the error
//! ```
//!
//! All sizes come from what the verifier knows, never from a proof. It deliberately holds no prover, no clock and no randomness, and nothing in it can panic.
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

pub mod circuit;
pub mod extension;
pub mod field;
pub mod fold;
pub mod functional;
pub mod grid;
mod known;
pub mod lookup;
pub mod mle;
pub mod pairs;
pub mod pcs;
pub mod protocol;
pub mod public_rows;
pub mod reader;
mod relation;
mod rows;
pub mod run;
pub mod security;
mod snark;
mod speech;
mod subject;
pub mod sumcheck;
pub mod transcript;
mod verify;
pub mod weights;

pub use extension::K;
pub use field::F;
pub use known::Known;
pub use reader::{ReadError, Reader};
pub use relation::Relation;
pub use snark::{
    EVIDENCE_BYTES_MAX, EVIDENCE_VERSION, EVIDENCE_VERSION_APART, EvidenceError, Snark, Voucher,
};
pub use speech::Speech;
pub use subject::{CONTENT_BYTES_MAX, Subject};
pub use transcript::Transcript;
pub use verify::{ProofError, WITNESS_DEGREE, verify};
