//! Why a step gives no token, or no report.
//!
//! Every variant but [`SamplingError::NothingAllowed`] is a fault of the caller, who can check all of it before a request runs.

/// What is wrong with a step's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplingError {
    /// No logits, or too many.
    #[error(
        "a vocabulary has 1 to {max} tokens, but there are {got} logits: pass one for each token"
    )]
    Vocabulary {
        /// Most tokens.
        max: usize,
        /// Logits given.
        got: usize,
    },
    /// A bias for a token that the model does not have.
    #[error("a bias names token {got}, but ids end below {expected}: drop it from the biases")]
    BiasId {
        /// Tokens of the vocabulary.
        expected: usize,
        /// The id.
        got: u32,
    },
    /// A count for a token that the model does not have.
    #[error("a count names token {got}, but ids end below {expected}: count this model's tokens")]
    CountId {
        /// Tokens of the vocabulary.
        expected: usize,
        /// The id.
        got: u32,
    },
    /// A bitmap of another length.
    #[error(
        "a bitmap of allowed tokens has {expected} words here, but {got} were given: make it for this vocabulary"
    )]
    MaskLength {
        /// Words that the vocabulary needs.
        expected: usize,
        /// Words given.
        got: usize,
    },
    /// A bitmap that allows tokens beyond the vocabulary.
    #[error(
        "the bitmap allows tokens at or above {expected}, where the vocabulary ends: clear its last bits"
    )]
    MaskTail {
        /// Tokens of the vocabulary.
        expected: usize,
    },
    /// The bitmap allows nothing.
    #[error(
        "no token is allowed here: the constraint admits no continuation; loosen it, or end the text before"
    )]
    NothingAllowed,
    /// A report of too many tokens.
    #[error("a report names at most {max} tokens, but {got} were asked for: ask for fewer")]
    Report {
        /// Most tokens.
        max: usize,
        /// Tokens asked for.
        got: usize,
    },
    /// A report on a token that the model does not have.
    #[error(
        "a report is asked on token {got}, but ids end below {expected}: name one of this model's tokens"
    )]
    ReportId {
        /// Tokens of the vocabulary.
        expected: usize,
        /// The id.
        got: u32,
    },
}
