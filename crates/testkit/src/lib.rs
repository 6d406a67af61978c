//! Generators, decoders under attack, honest samples, and processes that are killed; used by tests alone.
//!
//! Nothing that ships depends on this crate. A helper here fails the test that called it instead of returning an error.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what goes wrong here fails a test, which is the purpose"
)]

pub mod decoders;
pub mod kill;
pub mod liars;
pub mod mutation;
pub mod program_gen;
pub mod samples;
pub mod schema;
pub mod speaking;
pub mod tamper;
