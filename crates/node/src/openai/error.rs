//! Why a request is refused, and the name of the parameter at fault.

use credence_exec::sampling::ParametersError;
use credence_generate::PromptError;
use credence_grammar::GrammarError;
use credence_text::TextError;

use crate::openai::number::NumberError;

/// What is wrong with a request. All of it is the client's to mend.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No JSON object, or one with a member twice.
    #[error("the body is not the JSON object of a request")]
    Json(#[source] serde_json::Error),
    /// A field that is needed.
    #[error("`{param}` is missing")]
    Missing {
        /// The field.
        param: &'static str,
    },
    /// A field that nobody here knows.
    #[error("`{param}` is not known here: leave it out")]
    Unknown {
        /// The field.
        param: String,
    },
    /// A field that is known and not served.
    #[error("`{param}` is not supported here: {instead}")]
    Unsupported {
        /// The field.
        param: String,
        /// What may be sent in its place.
        instead: &'static str,
    },
    /// A value of another kind.
    #[error("`{param}` must be {expected}")]
    Kind {
        /// The field.
        param: String,
        /// What it must be.
        expected: &'static str,
    },
    /// No number that can be read.
    #[error("`{param}` cannot be read as a number")]
    Number {
        /// The field.
        param: String,
        /// Why.
        #[source]
        source: NumberError,
    },
    /// More or less than can be.
    #[error("`{param}` must be {min} to {max}, got {got}")]
    Range {
        /// The field.
        param: String,
        /// Its least value.
        min: u64,
        /// Its greatest value.
        max: u64,
        /// The value.
        got: u64,
    },
    /// None, or too many, of what a field holds.
    #[error("`{param}` must have 1 to {max} {what}, got {got}")]
    Count {
        /// The field.
        param: &'static str,
        /// What is counted.
        what: &'static str,
        /// Most of them.
        max: usize,
        /// Given.
        got: usize,
    },
    /// A sampling parameter out of its range.
    #[error("a parameter of sampling is out of range")]
    Sampling(#[from] ParametersError),
    /// Two fields that contradict each other.
    #[error("`{param}` contradicts `{other}`: send one of them")]
    Contradiction {
        /// One field.
        param: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Template or tokeniser refuse what is asked.
    #[error("`{param}` does not fit the model")]
    Prompt {
        /// `messages` or `prompt`.
        param: &'static str,
        /// Why.
        #[source]
        source: PromptError,
    },
    /// More tokens than the model's context has.
    #[error("`{param}` has {got} tokens, but the model's context has {max}: shorten it")]
    Context {
        /// `messages` or `prompt`.
        param: &'static str,
        /// Tokens of the context.
        max: usize,
        /// Tokens given.
        got: usize,
    },
    /// A token that the vocabulary lacks.
    #[error("`{param}` names token {got}, but the model's ids end below {vocabulary}")]
    Token {
        /// The field.
        param: &'static str,
        /// Tokens there are.
        vocabulary: usize,
        /// The id.
        got: u32,
    },
    /// A shape that no answer here can be held to.
    #[error("`{param}` cannot be followed")]
    Grammar {
        /// `response_format`, `tool_choice` or `tools`.
        param: &'static str,
        /// Why: it names the keyword.
        #[source]
        source: GrammarError,
    },
    /// More answers at once than the server ever runs.
    #[error("at most {max} answers are given to one request, but {got} are asked for: lower `n`")]
    Answers {
        /// Most of them.
        max: usize,
        /// Asked for.
        got: usize,
    },
}

impl RequestError {
    /// The parameter at fault, if it is one.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Json(_) => None,
            Self::Unknown { param }
            | Self::Unsupported { param, .. }
            | Self::Kind { param, .. }
            | Self::Number { param, .. }
            | Self::Range { param, .. } => Some(param),
            Self::Prompt { param, source } => Some(match source {
                PromptError::Text(TextError::Date) => "credence.date",
                PromptError::Text(TextError::ExtraName { .. }) => "chat_template_kwargs",
                _ => param,
            }),
            Self::Missing { param }
            | Self::Contradiction { param, .. }
            | Self::Count { param, .. }
            | Self::Context { param, .. }
            | Self::Token { param, .. }
            | Self::Grammar { param, .. } => Some(param),
            Self::Answers { .. } => Some("n"),
            Self::Sampling(error) => Some(match error {
                ParametersError::Range { name, .. } if *name == "id of logit_bias" => "logit_bias",
                ParametersError::Range { name, .. } => name,
                ParametersError::Biases { .. } | ParametersError::BiasOrder { .. } => "logit_bias",
                ParametersError::Stops { .. } | ParametersError::StopBytes { .. } => "stop",
                ParametersError::GrammarBytes { .. } | ParametersError::GrammarKind { .. } => {
                    "response_format"
                }
            }),
        }
    }

    /// Whether the same request may well be answered a moment later: nobody's fault.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Prompt {
                source: PromptError::Text(TextError::TemplateThread { .. }),
                ..
            }
        )
    }

    /// A word for programs, as OpenAI's API has them.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "invalid_json",
            Self::Missing { .. } => "missing_required_parameter",
            Self::Unknown { .. } => "unknown_parameter",
            Self::Unsupported { .. }
            | Self::Grammar {
                source: GrammarError::Keyword { .. },
                ..
            } => "unsupported_parameter",
            Self::Context { .. } => "context_length_exceeded",
            Self::Kind { .. }
            | Self::Number { .. }
            | Self::Range { .. }
            | Self::Count { .. }
            | Self::Sampling(_)
            | Self::Contradiction { .. }
            | Self::Prompt { .. }
            | Self::Token { .. }
            | Self::Grammar { .. }
            | Self::Answers { .. } => "invalid_value",
        }
    }
}
