//! Tokenises and renders chat templates, as pinned by the model.
//!
//! A language model carries its tokeniser and chat template as one canonical document, which its identity covers:
//!
//! ```text
//! bytes in the model ──TextSpec::from_bytes──▶ TextSpec ──Text::new──▶ Text
//! conversation ──Text::render──▶ text ──Text::tokenise──▶ ids … ids ──Detokeniser──▶ text
//! ```
//!
//! The same document and input give the same ids and the same text on every machine: tables of Unicode are in the tree, and there is no
//! clock, environment, file or randomness. Ids are those that llama.cpp gives for the GGUF file the document was made from.
//!
//! It deliberately reads no GGUF (an importer fills in [`TextSpec`] and calls [`TextSpec::complete`]) and samples nothing.
#![forbid(unsafe_code)]

mod bpe;
mod classes;
mod complete;
mod detokenise;
mod error;
mod merge;
mod spec;
mod special;
mod split;
mod spm;
mod template;
mod text;
mod vocab;
mod wordpiece;

pub use detokenise::{Detokeniser, Show};
pub use error::TextError;
pub use spec::{
    MERGES_MAX, SPEC_BYTES_MAX, SPEC_VERSION, SPECIAL_BYTES_MAX, SpecialIds, TEMPLATE_BYTES_MAX,
    TOKEN_BYTES_MAX, TOKENS_MAX, TextSpec,
};
pub use template::{CONVERSATION_BYTES_MAX, CONVERSATION_DEPTH_MAX, Conversation, MESSAGES_MAX};
pub use text::{Context, Special, TEXT_BYTES_MAX, Text};
