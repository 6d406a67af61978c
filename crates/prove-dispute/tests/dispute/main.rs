//! Disputes from the first message to the verdict: honest parties and named liars, on random models.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop a test that went wrong"
)]

mod challengers;
mod common;
mod draws;
mod liars;
mod protocol;
mod sites;
mod sizes;
