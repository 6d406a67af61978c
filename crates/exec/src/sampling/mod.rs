//! Sampling: the next token from a language model's logits, in integers (`docs/spec/sampling.md`).
//!
//! ```text
//! logits ─▶ bias, penalties ─▶ mask ─┬─▶ temperature 0: argmax ──────────────────────▶ token
//!                                    └─▶ weights ─▶ top_k ─▶ top_p ─▶ min_p ─▶ draw ─▶ token
//!                                                                       ▲
//!                                        seed, choice, step ─▶ ChaCha20 ┘
//! ```
//!
//! [`Sampler`] is fast and keeps its buffers from step to step; [`reference`] is the specification line by line. They agree on
//! every token, tests say. [`Parameters`] are what a claim commits to, in one spelling.
//!
//! What is deliberately absent: floating-point arithmetic, entropy (a seed is an argument), text (stop sequences and the end of a text are the
//! session's), and sorting (a truncation is one pair of weight and id, found by counting).

mod adjust;
mod codec;
mod draw;
mod error;
mod logprob;
mod parameters;
pub mod reference;
mod sampler;
mod truncate;
mod weights;

pub use adjust::{Allowed, Counts};
pub use codec::ParametersDecodeError;
pub use draw::Place;
pub use error::SamplingError;
pub use logprob::{LOGPROBS_MAX, Logprob, Logprobs, logprobs};
pub use parameters::{GrammarText, Parameters, ParametersError, Settings};
pub use sampler::{BLOCK, Sampler, Step};
pub use weights::{high, low};

/// Most tokens of a vocabulary.
pub const VOCABULARY_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
