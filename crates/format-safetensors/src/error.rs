//! Why a folder is refused. Each message names the file and the setting or tensor, and the remedy where there is one.

use credence_import::language::{LanguageError, TextSpecError};

/// A folder that is no model this version takes.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// A file is longer than is read.
    #[error("`{file}` has {got} bytes; at most {max} are read")]
    TooLong {
        /// The file.
        file: &'static str,
        /// Its bytes.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A file is not JSON, or not of its form.
    #[error("`{file}` cannot be read as its JSON")]
    Json {
        /// The file.
        file: &'static str,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// A setting has a value that changes what is computed in a way this version does not know.
    #[error("`{file}` has {what} `{got}`; this version takes {known}")]
    Unsupported {
        /// The file.
        file: &'static str,
        /// Which setting.
        what: &'static str,
        /// Its value, shortened.
        got: String,
        /// What it could be.
        known: &'static str,
    },
    /// A folder that says nowhere how a text's vectors become one.
    #[error(
        "the folder has no `{file}`, so nothing says how a text's vectors become one: save the model with sentence-transformers"
    )]
    NoPooling {
        /// The file.
        file: &'static str,
    },
    /// Ids of the vocabulary are not 0, 1, 2 and so on.
    #[error("the vocabulary of `tokenizer.json` has {got} pieces, but none of id {missing}")]
    Vocabulary {
        /// Pieces there are.
        got: usize,
        /// The first id that no piece has.
        missing: usize,
    },
    /// Vocabulary and embedding are of two sizes.
    #[error("`tokenizer.json` has {got} pieces, `config.json` {expected}: they are of two models")]
    Sizes {
        /// Of the configuration.
        expected: usize,
        /// Of the tokenizer.
        got: usize,
    },
    /// A token that the tokenizer names and the vocabulary does not have.
    #[error("the tokenizer names the token `{name}`, which its vocabulary does not have")]
    NoToken {
        /// Its text, shortened.
        name: String,
    },
    /// The header of the weights does not fit the file.
    #[error("`model.safetensors` is damaged or no safetensors file")]
    Header(#[source] safetensors::SafeTensorError),
    /// A tensor is missing.
    #[error("`model.safetensors` has no tensor `{name}`")]
    NoTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that no part of the model is.
    #[error(
        "`model.safetensors` has the tensor `{name}`, which this version does not know: it is another architecture"
    )]
    UnknownTensor {
        /// Its name, shortened.
        name: String,
    },
    /// A tensor of an element type or shape that is not taken.
    #[error("tensor `{name}` is {got}; expected {expected}")]
    Tensor {
        /// Its name.
        name: String,
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// The tokenizer is refused by what tokenises.
    #[error("the model's tokenizer cannot be imported")]
    Text(#[from] TextSpecError),
    /// The parts do not fit together.
    #[error("the model's parts do not fit together")]
    Parts(#[from] LanguageError),
}

/// Characters of a model's own words that a message repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// At most [`SHOWN_CHARS_MAX`] characters of what a file says.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
