//! A referee's server over real sockets: honest parties, named liars, restarts, floods.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop a test that went wrong"
)]

mod common;
mod disputes;
mod filings;
mod hostile;
mod schemas;
