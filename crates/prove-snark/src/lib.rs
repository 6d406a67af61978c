//! Makes succinct proofs of runs.
//!
//! ```text
//! pcs: values ──▶ commitment, and openings of it        sumcheck: the prover of a sum over {0,1}^n, round by round        vector: loops over K
//! ```
//!
//! What is checked, and in what order, is the verifier's to say (`method-snark`); this crate follows it. It deliberately decides nothing that a verifier believes.
#![forbid(unsafe_code)]

pub mod pcs;
pub mod sumcheck;
pub mod vector;
