//! Verifies by opening a few cells of the run, chosen so that the operator could not foresee them.
//!
//! ```text
//! program, length of the run ──▶ Layout: where every cell and every parameter's entry stands in which tree
//!                                  │
//! Cell ──▶ Relations::evaluate ──reads──▶ Source: opened bytes, or all bytes of a run ──▶ the value that should stand there
//! ```
//!
//! Whoever has opened bytes needs no weights and no engine: a cell's relation reads at most a few thousand values. The same code serves the verifier
//! (its source holds what was opened), the operator (its source holds everything and notes what was read) and a referee.
//!
//! It deliberately does not run a model and reads no file.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unreachable,
        clippy::string_slice,
        clippy::panic_in_result_fn,
        clippy::wildcard_enum_match_arm
    )
)]

mod layout;
mod memo;
mod relation;
mod source;

pub use layout::{Extent, Layout, LayoutError, Place, Tree, View};
pub use relation::{
    Cell, DEPTH_MAX, Given, Missing, RelationError, Relations, STEPS_MAX, WrongCell,
};
pub use source::{Opened, OpenedError, Recorder, Runs, Source};
