//! Verifies by a succinct proof: the verifier alone.
//!
//! ```text
//! field, extension: F (Goldilocks) and K (its cubic extension)     mle: multilinear polynomials on {0,1}^n
//! reader: a proof's bytes ──▶ values                               transcript: what was said so far ──▶ challenges
//! sumcheck: a sum over {0,1}^n ──▶ one claim at a random point     pcs: a claim at a point ──▶ true or refused
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

pub mod extension;
pub mod field;
pub mod mle;
pub mod pcs;
pub mod reader;
pub mod sumcheck;
pub mod transcript;

pub use extension::K;
pub use field::F;
pub use reader::{ReadError, Reader};
pub use transcript::Transcript;
