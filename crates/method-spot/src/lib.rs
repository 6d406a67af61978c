//! Verifies by opening a few cells of the run, chosen so that the operator could not foresee them.
//!
//! ```text
//! Case, Evidence ──▶ Subject: the run that the claim is about ──challenge──▶ Draws: cells, tokens, values ──▶ Checks ──▶ Finding | Refutation
//!
//! program, length of the run ──▶ Layout: where every cell and every parameter's entry stands in which tree
//!                                  │
//! Cell ──▶ Relations::evaluate ──reads──▶ Source: opened bytes, or all bytes of a run ──▶ the value that should stand there
//! ```
//!
//! Whoever has opened bytes needs no weights and no engine: a cell's relation reads at most a few thousand values. The same code serves the verifier
//! (its source holds what was opened), the operator (its source holds everything and notes what was read) and a referee.
//!
//! Of the engine's crate only the sampler is used, so that tokens are drawn by the one implementation there is; of `generate`, the forms of prompt and answer. It
//! deliberately runs no model, holds no weights and reads no file.
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

mod card;
mod challenge;
mod checks;
mod draw;
mod evidence;
mod language;
mod layout;
mod memo;
mod pack;
mod relation;
mod size;
mod source;
mod spot;
mod subject;
mod trees;
mod work;

pub use card::{CARD_VERSION, Card, CardError, CardParts, text_range};
pub use challenge::{CELLS_MAX, Challenge, Demand, DemandError, Form, Kind, Stream, bits_of};
pub use checks::{CheckError, Checks, Looked};
pub use draw::{Draws, TooLarge, entries_beside};
pub use evidence::{
    EVIDENCE_BYTES_MAX, EVIDENCE_VERSION, Evidence, EvidenceError, ROWS_MAX, TreeEvidence,
};
pub use layout::{Extent, Layout, LayoutError, Place, Tree, View};
pub use pack::{PackError, pack, unpack};
pub use relation::{
    Cell, DEPTH_MAX, Given, Missing, RelationError, Relations, STEPS_MAX, WrongCell,
};
pub use size::{OpeningSize, opening_size};
pub use source::{Opened, OpenedError, Recorder, Source};
pub use spot::Spot;
pub use subject::{CONTENT_BYTES_MAX, Subject};
pub use trees::{TreesError, open_trees, root_of, show, trace_root};
