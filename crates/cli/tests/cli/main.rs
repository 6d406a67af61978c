//! The binary, tested as a user sees it: what it prints, what it leaves behind, and its exit codes.
#![cfg(test)]

#[cfg(test)]
mod auditors;
#[cfg(test)]
mod bad_places;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod disputes;
#[cfg(test)]
mod exit_codes;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod import;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod language;
#[cfg(test)]
mod log_places;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod monitor;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod shared;
#[cfg(test)]
#[expect(dead_code, reason = "the store's tests use more of it")]
#[path = "../../../store/tests/common/postgres.rs"]
mod store_postgres;
#[cfg(test)]
#[expect(dead_code, reason = "the store's tests use more of it")]
#[path = "../../../store/tests/common/s3.rs"]
mod store_s3;
