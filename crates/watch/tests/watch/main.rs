//! Reading, auditing, serving and monitoring logs, honest and not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

mod auditors;
mod audits;
mod audits_of_answers;
mod follows;
mod honeypots;
mod monitors;
mod operator;
mod serves;
mod shared;
mod trees;
mod world;
