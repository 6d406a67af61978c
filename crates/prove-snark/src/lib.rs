//! Makes succinct proofs of runs.
//!
//! ```text
//! run: a request ─engine─▶ all values of all nodes ─▶ witness: slots, counts, publics
//! prover: witness ─▶ proof          lookup: all lookups and products          sumcheck: a sum over {0,1}^n, round by round
//! ```
//!
//! What is checked, and in what order, is the verifier's to say (`method-snark`); this crate follows it. It deliberately decides nothing that a verifier believes.
#![forbid(unsafe_code)]

pub mod lookup;
pub mod opening;
pub mod prover;
pub mod run;
pub mod sumcheck;
pub mod witness;
