//! What the crate promises, with vocabularies small enough to follow by hand: tokens, the canonical document, templates.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;
mod render;
mod spec;
mod tokens;
