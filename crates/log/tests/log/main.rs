//! The log's formats from outside: against the specifications' own vectors, against a second implementation written
//! by others, and against whoever sends rubbish.
//!
//! One binary, so that the tests share what makes trees and keys.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod log_proofs;
mod notes;
mod policies;
mod shared;
mod tiles;
mod tree;
mod vectors;
mod witnesses;
