//! Real servers that the suites run against.
#![expect(dead_code, reason = "no test file uses all of it")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

pub(crate) mod postgres;
pub(crate) mod s3;
