//! States what is claimed, carries evidence, and defines what a verification method is and what it earns.
//!
//! ```text
//! contents ──commitment──▶ roots ──operator key, salts──▶ commitments ─┐
//! model id, counts, finish reason, nonce, seed source ─────────────────┴──▶ Claim ──▶ ClaimDigest
//!
//! Claim + operator's key + Openings ──Case::check──▶ Case ──Method::check──▶ Finding ──▶ Assurance ──▶ Confidence
//! ```
//!
//! A claim holds digests only, so it can be published. What they stand for travels as [`Openings`], to those entitled.
//!
//! It deliberately does not know what an input, an output or a trace looks like inside (the model's crates do), who
//! signed a claim (the receipt does), or which methods suffice (the verifier's policy does).
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

mod assurance;
mod case;
pub mod chain;
mod claim;
pub mod commitment;
mod fields;
mod method;
mod openings;
pub mod seed;

pub use assurance::{
    Assurance, Basis, Confidence, Finding, HASH_COLLISION_BITS, LogPlace, Number, Quantity,
    Soundness,
};
pub use case::Case;
pub use claim::{Claim, ClaimError, ClaimFields};
pub use commitment::{Commitments, Roots, Salts};
pub use fields::{ConstrainedDecoding, Counts, FinishReason, SeedSource};
pub use method::{Evidence, Fact, Method, MethodError, MethodId, Part, Refutation, Scalar};
pub use openings::{CheckedOpenings, Field, Opened, Openings, OpeningsError};
