//! Spot checks from end to end: honest runs pass, each named liar is caught by the check that is there for it, and as often as the formula says.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test may fail the test"
)]

mod common;
mod evidence;
mod honest;
mod liars;
mod making;
mod odds;
mod roles;
mod sizes;
mod vectors;
