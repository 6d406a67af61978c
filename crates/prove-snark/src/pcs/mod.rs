//! The polynomial commitment's prover.
//!
//! ```text
//! values ──encode (ntt)──▶ codeword ──hash (merkle)──▶ root ──▶ Commitment, kept with what opens it as Committed
//! Committed, point ──open: sums, folds, the next oracles, work (grind)──▶ bytes of proof
//! ```
//!
//! The commitment of given values is one and the same, whoever makes it, on any number of threads and any instruction set; so is an opening. Loops over many elements run in the widest vectors that the processor has, chosen
//! when the program runs (crate `pulp`), or one by one.

mod commit;
mod grind;
pub(crate) mod kernel;
mod merkle;
mod ntt;
mod open;
mod tables;

pub use commit::{CommitError, Committed, commit, kept_bytes, memory_bytes, opening_bytes};

#[cfg(test)]
mod tests;
