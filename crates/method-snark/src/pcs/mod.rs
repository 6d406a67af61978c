//! The polynomial commitment's verifier: WHIR (Arnon, Chiesa, Fenzi, Yogev, eprint 2024/1586) over interleaved Reed–Solomon codes.
//!
//! ```text
//! Params::new(log_len, security) ──▶ the whole shape of commitment and proof
//! Commitment, point, value, proof ──verify──▶ the committed polynomial takes this value at this point, or why that is not shown
//! soundness::report(params) ──▶ every term of the error, and their sum
//! ```
//!
//! A multilinear polynomial with 2^n values in F is committed to by a root and one value outside of the domain, and opened at one point in K^n. Small ones are sent in clear. No set-up, no secrets: the
//! commitment of given values is one and the same for whoever makes it. It hides nothing. Normative: `docs/spec/snark-pcs.md`. The prover is another crate.

mod bits;
mod commitment;
pub mod merkle;
mod params;
pub mod soundness;
pub mod steps;
mod verify;
mod weights;

pub use bits::Bits;
pub use commitment::Commitment;
pub use params::{CLEAR_MAX, LOG_LEN_MAX, Params, ParamsError, Round, Security, Shape, WORK_BITS};
pub use verify::{PcsError, verify};
