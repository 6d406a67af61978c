//! Opens cells of a run: runs the claimed request again once, and answers any number of challenges from it.
//!
//! ```text
//! Model ──▶ Opener ──rerun(Case)──▶ Rerun: all sections of the trace in memory ──prove(Challenge)──▶ evidence
//! ```
//!
//! An operator keeps nothing of a run: exact arithmetic gives the same bytes again. While a rerun lives it holds the whole trace (some 0.7 MB for each
//! position of a model of 135 million parameters), and the opener a second copy of the weights, in the order of their tree. What is opened is what the
//! verifier's own checks read. It deliberately draws nothing, signs nothing and decides nothing: challenge and counts are arguments.
#![forbid(unsafe_code)]

mod opener;

pub use opener::{Carry, Opener, ProveError, Rerun};
