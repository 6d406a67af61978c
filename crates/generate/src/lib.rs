//! Generate text: from a request to tokens drawn and their text, and again for whoever checks.
//!
//! ```text
//! Prompt ─template, tokeniser─▶ ids ─▶ Session ─logits─▶ Generation: sampler, stop texts ─▶ token, text, Finish
//!    │ canonical bytes                                        │ canonical bytes
//!    ▼                                                        ▼
//!  a claim's input                                         a claim's output ─▶ retrace: all tokens in one pass, each drawn anew
//! ```
//!
//! Whoever serves and whoever verifies use the same [`Generation`]; it takes logits and gives tokens, and knows neither clocks nor clients. What is
//! deliberately absent: sockets, batching, entropy (seeds are arguments), claims and signatures.

#![forbid(unsafe_code)]

mod embed;
mod generation;
mod language;
mod output;
mod prompt;
mod retrace;
mod stops;

pub use credence_grammar::{ENGINE, VERSION};
pub use embed::{EmbedError, Embedder, Embedding};
pub use generation::{Finish, Generation, GenerationError, Limits, Piece};
pub use language::{Language, LanguageError};
pub use output::{OUTPUT_BYTES_MAX, Output, OutputError};
pub use prompt::{Content, INPUT_BYTES_MAX, Prompt, PromptError};
pub use retrace::{RetraceError, Retraced, retrace};
