//! The canonical document that a model carries for its text: tokeniser and chat template as data.
//!
//! ```text
//! TextSpec ──to_bytes──▶ RFC 8785 JSON, part of the ModelId ──from_bytes──▶ TextSpec ──Text::new──▶ Text
//! ```
//!
//! The fields are those of a GGUF file (`tokenizer.ggml.*`), since that is where models come from and what other programs know.
//! One value has one spelling: absent fields are left out, numbers are integers (scores are the bits of their f32).
//!
//! It deliberately checks only form and size; what the fields mean together is checked by [`crate::Text::new`].

use credence_base::json;
use serde::{Deserialize, Serialize};

use crate::error::TextError;

/// The version of the document that this build reads and writes.
pub const SPEC_VERSION: u32 = 1;
/// Bytes of a document, at most.
pub const SPEC_BYTES_MAX: usize = 64 << 20;
/// Tokens of a vocabulary, at most.
pub const TOKENS_MAX: usize = 1 << 20;
/// Merges, at most.
pub const MERGES_MAX: usize = 2 << 20;
/// Bytes of a token's text, at most.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// Bytes of the text of a token that is looked for as such (control, unknown, user defined), at most.
pub const SPECIAL_BYTES_MAX: usize = 256;
/// Bytes of a chat template, at most.
pub const TEMPLATE_BYTES_MAX: usize = 256 << 10;

/// Tokeniser and chat template of a model, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSpec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// `bpe` (GGUF's `gpt2`: byte-level BPE), `spm` (GGUF's `llama`: sentencepiece with scores and byte fallback) or `wordpiece` (BERT's).
    pub kind: String,
    /// `bpe`: the pre-tokeniser, as in GGUF's `tokenizer.ggml.pre`. `wordpiece`: `bert-cased` or `bert-uncased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre: Option<String>,
    /// The texts of the tokens as in GGUF, by id: of `bpe` in GPT-2's byte alphabet, of `spm` with `▁` for a space.
    pub tokens: Vec<String>,
    /// The types of the tokens as in GGUF: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
    pub types: Vec<u8>,
    /// `bpe`: pairs of token texts with a space between, first merge first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merges: Option<Vec<String>>,
    /// `spm`: the bits of each token's score, an IEEE 754 binary32; the pair with the highest is joined first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<u32>>,
    /// Tokens with a role.
    pub special: SpecialIds,
    /// Whether a text that begins a context is preceded by `special.bos`.
    pub add_bos: bool,
    /// Whether a text that begins a context is followed by `special.eos`.
    pub add_eos: bool,
    /// `spm`: whether a space is put before a text, and after each special token. Must be false for `bpe`.
    pub add_space_prefix: bool,
    /// The tokens that end a generation, strictly increasing.
    pub ends: Vec<u32>,
    /// The chat template, in the Jinja that Hugging Face's models use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
}

/// The tokens that have a role, where the model has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialIds {
    /// Begins a context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<u32>,
    /// Ends a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eos: Option<u32>,
    /// Ends a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eot: Option<u32>,
    /// Stands for what is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unk: Option<u32>,
    /// Fills up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<u32>,
}

impl TextSpec {
    /// The canonical bytes, which a model's identity covers.
    ///
    /// # Errors
    /// [`TextError::TooLong`] when they are more than [`SPEC_BYTES_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, TextError> {
        let bytes = json::to_canonical(self).map_err(TextError::Json)?;
        if bytes.len() > SPEC_BYTES_MAX {
            return Err(TextError::TooLong {
                what: "text specification",
                max: SPEC_BYTES_MAX,
                got: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// Reads canonical bytes, of at most [`SPEC_BYTES_MAX`].
    ///
    /// # Errors
    /// [`TextError::Json`] when they are too many, or not the canonical JSON of a specification.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TextError> {
        json::from_canonical(bytes, SPEC_BYTES_MAX).map_err(TextError::Json)
    }
}
