//! Verifies by running the model again and comparing for equality.
//!
//! ```text
//! Case ──▶ opened input, parameters ──▶ Engine::run ──▶ outputs, trace root
//!            │                                             │
//!            └── claimed counts, finish, output, trace ────┴── equal? ──▶ Finding | Refutation
//! ```
//!
//! A language model's answer is run in one pass over all of its tokens, and every token is drawn anew.
//!
//! Arithmetic is exact, so there is no tolerance: one different bit anywhere in the output or in any value that the
//! claim's trace commits to is a refutation. It runs the fast engine, which equals the reference engine on every value.
//!
//! It deliberately needs no evidence, reads no file and knows no names: the model is given to it, and a claim about
//! another model is one that it cannot check, not one that is false.
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

mod compare;
mod encoder;
mod language;
mod params;
mod replay;

pub use params::{TENSOR_PARAMS, TensorParamsError, check_tensor_params};
pub use replay::{CONTENT_BYTES_MAX, Replay, ReplayError};
