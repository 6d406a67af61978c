//! Parse a Hugging Face folder of an encoder into the importer's graph.
//!
//! ```text
//! config.json ─▶ sizes     tokenizer.json ─▶ WordPiece     modules.json, 1_Pooling/config.json ─▶ how vectors become one
//!         └──────────────────────┴───────────────┬───────────────┘
//! model.safetensors ─tensors by name, each used──┴─▶ credence_import::language::EncoderGraph
//! ```
//!
//! Taken are models of type `bert` in the form that sentence-transformers writes. Whatever changes what is computed and is not known is refused by
//! name: other types, positions, normalisers, poolings, tensors left over. Settings that matter to training alone are not looked at.
//!
//! What is deliberately absent: files (bytes come in), weights in several files, tokenising, pairs of texts, heads for tasks.

#![forbid(unsafe_code)]

mod config;
mod error;
mod folder;
mod matrix;
mod pooling;
mod tokenizer;
mod weights;

pub use error::SafetensorsError;
pub use folder::{
    Bytes, CONFIG_FILE, Folder, JSON_BYTES_MAX, MODULES_FILE, POOLING_FILE, TOKENIZER_FILE,
    WEIGHTS_BYTES_MAX, WEIGHTS_FILE, encoder_graph,
};
