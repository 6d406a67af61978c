//! Says which tokens may come next in an answer that must be JSON of a given shape (`docs/spec/grammar.md`).
//!
//! ```text
//! JSON schema, tools ─▶ Grammar: canonical text, what a claim's parameters hold
//!                          │ compile: nodes, each keyword followed or refused by name
//! token bytes ─▶ Vocabulary::constrain ─▶ Constraint ─allowed─▶ bitmap for the sampler
//!                                             ▲                        │
//!                                             └────────take────────────┘ the token drawn
//! ```
//!
//! A constraint is a set of threads, each a place in the grammar and a stack; a byte moves every thread or ends it. Integers alone, no clock and no hash order that could be
//! seen: the same grammar, tokens and answer give the same bitmap on every machine. Work is counted and bounded at each step, whatever a client sends.
//!
//! What is deliberately absent: guessing. A keyword that is not followed is refused by name.

#![forbid(unsafe_code)]

mod compile;
mod constraint;
mod error;
mod grammar;
mod json;
mod machine;
mod nodes;
mod number;
mod objects;
mod seen;
mod stacks;
mod strings;
mod trie;
mod vocabulary;

pub use constraint::Constraint;
pub use error::GrammarError;
pub use grammar::{GRAMMAR_BYTES_MAX, Grammar, Kind, NAME_BYTES_MAX, TOOLS_MAX};
pub use json::DEPTH_MAX;
pub use vocabulary::Vocabulary;

/// The engine, as a claim names it.
pub const ENGINE: &str = "credence-grammar";

/// The version of `docs/spec/grammar.md` that this is, as a claim names it. Another version may allow other tokens.
pub const VERSION: &str = "1";
