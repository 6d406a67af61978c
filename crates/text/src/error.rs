//! Why a text specification, a text or a template is refused.
//!
//! One variant per reason. No message repeats a prompt; what it repeats of a model is shortened.

use credence_base::json::JsonError;

/// Characters of a model's own words that a message repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// Why a text specification, a text or a template is refused.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The specification's bytes are not its canonical JSON.
    #[error("the model's text specification cannot be read; import the model again")]
    Json(#[source] JsonError),
    /// A version of the specification that this build does not know.
    #[error(
        "expected version {expected} of the text specification, got {got}; use a build that knows it"
    )]
    Version {
        /// The version this build reads.
        expected: u32,
        /// The version given.
        got: u32,
    },
    /// A kind of tokeniser that is not supported.
    #[error(
        "the tokeniser kind `{got}` is not supported, only `bpe`, `spm` and `wordpiece` are; choose another model"
    )]
    Kind {
        /// The kind given, shortened.
        got: String,
    },
    /// A pre-tokeniser that is not supported.
    #[error("the pre-tokeniser `{got}` is not supported; choose a model with one of: {known}")]
    Pre {
        /// The name given, shortened.
        got: String,
        /// The names that are known.
        known: String,
    },
    /// A field that belongs to the other kind of tokeniser, or is missing from this one.
    #[error("a `{kind}` tokeniser needs `{needs}` and must not have `{not}`")]
    Fields {
        /// The kind of tokeniser.
        kind: &'static str,
        /// The field it needs.
        needs: &'static str,
        /// The field it must not have.
        not: &'static str,
    },
    /// Something has more parts than is allowed.
    #[error("expected at most {max} {what}, got {got}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// A list that must have one entry per token does not.
    #[error("expected {expected} {what}, one per token, got {got}")]
    PerToken {
        /// What the list holds.
        what: &'static str,
        /// Number of tokens.
        expected: usize,
        /// Entries given.
        got: usize,
    },
    /// A vocabulary with no token at all.
    #[error("the vocabulary is empty; import the model again")]
    NoTokens,
    /// A token with no text.
    #[error("token {id} has no text; name it `[EMPTY_{id}]`")]
    EmptyToken {
        /// The token.
        id: usize,
    },
    /// Two tokens with one text.
    #[error("tokens {first} and {second} have the same text; a text must name one token")]
    DuplicateToken {
        /// The token that has the text first.
        first: u32,
        /// The token that repeats it.
        second: usize,
    },
    /// A token type that is not one of GGUF's.
    #[error("token {id} has type {got}; expected 1 (normal) to 6 (byte)")]
    TokenType {
        /// The token.
        id: usize,
        /// The type given.
        got: u8,
    },
    /// A token of type byte whose text is not that of a byte.
    #[error("token {id} is of type byte; expected a text such as `<0x0A>`")]
    ByteToken {
        /// The token.
        id: usize,
    },
    /// A sentencepiece vocabulary without a token for a byte that text can hold.
    #[error(
        "the vocabulary has no token for byte {byte:#04x}; an `spm` tokeniser needs all that UTF-8 uses"
    )]
    ByteAbsent {
        /// The byte.
        byte: u8,
    },
    /// A merge that is not two texts with a space between.
    #[error("merge {index} is not two texts with one space between them")]
    MergeForm {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A merge that names, or makes, a text that is no token.
    #[error("merge {index} names or makes a text that is no token of the vocabulary")]
    MergeToken {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A merge that stands in the list twice.
    #[error("merge {index} repeats an earlier one")]
    MergeRepeated {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A score that is not a finite number.
    #[error("the score of token {id} is not a finite number")]
    Score {
        /// The token.
        id: usize,
    },
    /// An id beyond the vocabulary.
    #[error("{what} {got} is beyond the vocabulary of {size} tokens")]
    IdRange {
        /// What the id is of.
        what: &'static str,
        /// The id.
        got: u32,
        /// Number of tokens.
        size: usize,
    },
    /// A specification that adds a token without saying which.
    #[error("`{flag}` is set but there is no `{id}` token")]
    NoSpecial {
        /// The flag.
        flag: &'static str,
        /// The special token it needs.
        id: &'static str,
    },
    /// End-of-generation ids that are not strictly increasing.
    #[error("the end-of-generation ids are not strictly increasing at entry {index}")]
    EndsOrder {
        /// The first entry that is not greater than the one before.
        index: usize,
    },
    /// The text or conversation is longer than is allowed.
    #[error("expected at most {max} bytes of {what}, got {got}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit.
        max: usize,
        /// Bytes given.
        got: usize,
    },
    /// The model has no chat template.
    #[error("the model has no chat template; send a plain prompt instead of a conversation")]
    NoTemplate,
    /// The chat template does not parse.
    #[error("the model's chat template is not valid at line {line}")]
    TemplateSyntax {
        /// The line, from 1; 0 when it is not known.
        line: usize,
        /// What is wrong.
        #[source]
        source: Box<minijinja::Error>,
    },
    /// The chat template refused the conversation.
    #[error("the model's chat template refuses this conversation: {message}")]
    TemplateRaised {
        /// The template's words, shortened.
        message: String,
    },
    /// The chat template took too many steps.
    #[error("the model's chat template took more than {max} steps; send a shorter conversation")]
    TemplateSteps {
        /// The limit.
        max: u64,
    },
    /// The chat template wrote too much.
    #[error("the model's chat template wrote more than {max} bytes; send a shorter conversation")]
    TemplateOutput {
        /// The limit.
        max: usize,
    },
    /// The chat template made too much.
    #[error(
        "the model's chat template made a value that is too large, or values of more than {max} bytes together; send a shorter conversation"
    )]
    TemplateMemory {
        /// The limit of all values together.
        max: usize,
    },
    /// The chat template failed otherwise.
    #[error("the model's chat template fails on this conversation at line {line}")]
    TemplateFails {
        /// The line, from 1; 0 when it is not known.
        line: usize,
        /// What went wrong.
        #[source]
        source: Box<minijinja::Error>,
    },
    /// The engine stopped in a way it should not.
    #[error("the template engine stopped; try again, and if it stops again choose another model")]
    TemplateStopped,
    /// The system gives no thread for the engine.
    #[error("the system gives no thread for the chat template; try again")]
    TemplateThread {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The conversation nests deeper than is allowed.
    #[error("expected at most {max} levels of lists and objects in the conversation")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// A conversation's extra value has the name of something that a template is given anyway.
    #[error("the extra template value `{name}` has a name that is taken; choose another")]
    ExtraName {
        /// The name, shortened.
        name: String,
    },
    /// The date is not a date.
    #[error("expected a date such as `2025-01-31`")]
    Date,
}

/// At most [`SHOWN_CHARS_MAX`] characters of what a model or template says.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
