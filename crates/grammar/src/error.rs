//! Why a shape is no grammar, or an answer cannot go on.

/// What is wrong. All but [`GrammarError::Vocabulary`] and [`GrammarError::Token`] are of what a client asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A kind that this build does not know.
    #[error("expected a grammar of kind 1 or 2, got {got}: a newer build may read it")]
    Kind {
        /// The kind.
        got: u8,
    },
    /// Too long.
    #[error("a grammar has at most {max} bytes, but has {got}: shorten the schema")]
    TooLong {
        /// Most bytes.
        max: usize,
        /// Its bytes.
        got: usize,
    },
    /// No JSON, nested too deeply, or with a member twice.
    #[error(
        "the schema is not JSON of at most {max} levels with each member once: mend or flatten it"
    )]
    Json {
        /// Most levels.
        max: usize,
    },
    /// JSON in another spelling than the canonical one.
    #[error("the grammar is not in canonical form: encode it as the specification says")]
    NotCanonical,
    /// A keyword that is not followed.
    #[error("the keyword `{keyword}` at `{at}` is not supported: leave it out")]
    Keyword {
        /// The keyword.
        keyword: String,
        /// Where, as a JSON pointer.
        at: String,
    },
    /// A keyword with a value that it does not have.
    #[error("the keyword `{keyword}` at `{at}` must be {expected}")]
    Value {
        /// The keyword.
        keyword: String,
        /// Where, as a JSON pointer.
        at: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A schema that refers to itself with nothing in between.
    #[error("the schema at `{at}` refers to itself: put an object or a list in between")]
    Circle {
        /// Where, as a JSON pointer.
        at: String,
    },
    /// Nothing fits.
    #[error("no JSON of at most {max} levels fits the schema: loosen it")]
    Empty {
        /// Most levels.
        max: usize,
    },
    /// Too many parts.
    #[error("a grammar has at most {max} parts: simplify the schema")]
    TooLarge {
        /// Most parts.
        max: usize,
    },
    /// No tool, or too many.
    #[error("a forced call has 1 to {max} tools to choose from, but has {got}")]
    Tools {
        /// Most tools.
        max: usize,
        /// Tools given.
        got: usize,
    },
    /// A tool's name that cannot be written into a call.
    #[error(
        "the name of a tool that is forced has 1 to {max} of the characters `a-z`, `A-Z`, `0-9`, `_` and `-`: rename `{got}`"
    )]
    Name {
        /// Most bytes.
        max: usize,
        /// The name, cut short.
        got: String,
    },
    /// Following the grammar is too much work.
    #[error("the grammar has too many ways to go on here: simplify the schema")]
    Work,
    /// The model has no token for what must come.
    #[error("the model has no token that the grammar allows here")]
    NoToken,
    /// A token that was not allowed.
    #[error("token {got} is not one that the grammar allows here")]
    Token {
        /// The token.
        got: u32,
    },
    /// The model's answers cannot end.
    #[error("no token of the model ends an answer, so none can be constrained")]
    Vocabulary,
}
