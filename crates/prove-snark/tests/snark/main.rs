//! Tests of proofs: honest runs, liars, and bytes from strangers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

mod apart;
mod attacks;
mod bytes;
mod claims;
mod common;
mod programs;
mod relation;
mod small;
mod speech;
mod story;
mod tokens;
mod vectors;
