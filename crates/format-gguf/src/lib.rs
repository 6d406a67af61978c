//! Parse GGUF into the importer's language graph.
//!
//! ```text
//! bytes ─parse─▶ Gguf: metadata, tensors ─settings and tensors of one architecture, each used─▶ credence_import::language::LanguageGraph
//!                  └── matrices stay where they are: a row is made in f32 when it is read
//! ```
//!
//! The format is that of <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian; blocks of quantised types are as
//! ggml lays them out. Deviations, all stricter: tensors must follow one another without gaps, padding must be zero, the file must end
//! where its last tensor does, and every tensor and every setting of the architecture and the tokenizer must be known.
//!
//! What is deliberately absent: files (bytes come in, memory-mapped if the caller likes), writing, split files, big-endian files, experts, adapters, tokenising.

#![forbid(unsafe_code)]

mod architecture;
mod blocks;
mod cursor;
mod error;
mod families;
mod file;
mod kind;
mod kquants;
mod matrix;
mod number;
mod quants;
mod settings;
mod tensors;
mod text;
mod value;

pub use architecture::{language_graph, supported_architectures};
pub use error::GgufError;
pub use file::{Bytes, Gguf, Limits, TensorInfo};
pub use kind::{TensorKind, supported_kinds};
pub use matrix::Matrix;
pub use value::{Scalar, Value, ValueKind};
