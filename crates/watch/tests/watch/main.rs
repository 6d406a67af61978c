//! Reading, auditing, serving and monitoring logs, honest and not.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod auditors;
mod audits;
mod follows;
mod monitors;
mod serves;
mod shared;
mod trees;
mod world;
