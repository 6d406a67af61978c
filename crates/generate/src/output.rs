//! What was answered: text and the token ids drawn (`docs/spec/generation.md`, section 3), as RFC 8785 JSON.

use credence_base::json::{JsonError, from_canonical, to_canonical};
use serde::{Deserialize, Serialize};

/// Most bytes of an output.
pub const OUTPUT_BYTES_MAX: usize = 16 << 20;

const VERSION: u8 = 1;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    version: u8,
    /// What the client reads.
    pub text: String,
    /// Every token drawn, one that ended the text and those of a stop text among them.
    pub tokens: Vec<u32>,
}

/// Why bytes are no output.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Not the canonical JSON of an output.
    #[error("the bytes are not an output in canonical form")]
    Json(#[from] JsonError),
    /// Another version.
    #[error("expected version 1 of an output, got {got}")]
    Version {
        /// The version found.
        got: u8,
    },
}

impl Output {
    /// An answer of this version.
    #[must_use]
    pub const fn new(text: String, tokens: Vec<u32>) -> Self {
        Self {
            version: VERSION,
            text,
            tokens,
        }
    }

    /// The canonical bytes: what a claim commits to as output.
    ///
    /// # Errors
    /// [`OutputError::Json`], which no output gives.
    pub fn encode(&self) -> Result<Vec<u8>, OutputError> {
        Ok(to_canonical(self)?)
    }

    /// Reads canonical bytes, and nothing but them.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, OutputError> {
        let output: Self = from_canonical(bytes, OUTPUT_BYTES_MAX)?;
        match output.version {
            VERSION => Ok(output),
            got => Err(OutputError::Version { got }),
        }
    }
}
