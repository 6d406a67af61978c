//! Makes succinct proofs of runs.
//!
//! ```text
//! prove: a claim ─▶ its evidence
//! run: a request ─engine─▶ all values of all nodes ─▶ witness: slots, counts, publics
//! prover: witness ─▶ proof          lookup: all lookups and products          pairs: products of two values          memory: how much it will take
//! weights: a model's weights, committed to once, and their card
//! pcs: values ──▶ commitment, and openings of it        sumcheck: the prover of a sum over {0,1}^n, round by round        vector: loops over K
//! ```
//!
//! What is checked, and in what order, is the verifier's to say (`method-snark`); this crate follows it. It deliberately decides nothing that a verifier believes.
#![forbid(unsafe_code)]

pub mod lookup;
mod memory;
pub mod pairs;
pub mod pcs;
mod prove;
pub mod prover;
pub mod run;
pub mod sumcheck;
pub mod vector;
mod weights;
pub mod witness;

pub use memory::{memory_bytes, memory_bytes_apart};
pub use prove::{Options, ProveError, prove, prove_with_weights};
pub use weights::{Weights, WeightsCommitError};
