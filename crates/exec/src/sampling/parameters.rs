//! The parameters of a request to a language model: what they may be (`docs/spec/sampling.md`, section 1).
//!
//! [`Settings`] are plain values; [`Parameters`] are settings that were checked, and the only thing that the sampler takes. How numbers of
//! an API become millionths is the gateway's affair.

use super::VOCABULARY_MAX;

/// One, in the fixed point of the parameters.
pub(super) const ONE: u32 = 1_000_000;
const TEMPERATURE_MAX: u32 = 2 * ONE;
const PENALTY_MAX: i32 = 2_000_000;
const BIAS_MAX: i32 = 100_000_000;
/// Most biases.
pub(super) const BIASES_MAX: usize = 1024;
/// Most stop texts.
pub(super) const STOPS_MAX: usize = 16;
/// Most bytes of a stop text.
pub(super) const STOP_BYTES_MAX: usize = 256;
/// Most bytes of a grammar's text.
pub(super) const GRAMMAR_BYTES_MAX: usize = 1 << 16;

/// A grammar that the answer must fit, as it is committed to (`docs/spec/grammar.md`, section 1). Nothing here reads it: which tokens it allows is an argument of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarText {
    /// What the text means, 1 or 2.
    pub kind: u8,
    /// 1 to 65,536 bytes.
    pub text: String,
}

/// Parameters as values, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In millionths, `0 ..= 2_000_000`. 0 takes the likeliest token.
    pub temperature: u32,
    /// In millionths, `1 ..= 1_000_000`. The whole keeps all.
    pub top_p: u32,
    /// Tokens to keep, at most 2²⁰; 0 keeps all.
    pub top_k: u32,
    /// In millionths of the likeliest token's probability, `0 ..= 1_000_000`. 0 keeps all.
    pub min_p: u32,
    /// In millionths of a nat for each time the token was generated, `-2_000_000 ..= 2_000_000`.
    pub frequency_penalty: i32,
    /// In millionths of a nat once the token was generated, `-2_000_000 ..= 2_000_000`.
    pub presence_penalty: i32,
    /// Ids below 2²⁰, strictly ascending, and what is added to their logits, in millionths of a nat, `-100_000_000 ..= 100_000_000`. At most 1,024.
    pub logit_bias: Vec<(u32, i32)>,
    /// Most tokens to generate, at least 1.
    pub max_tokens: u32,
    /// Texts that end the answer: at most 16, of 1 to 256 bytes.
    pub stop: Vec<String>,
    /// The seed, if client or operator chose it; none if it is derived.
    pub seed: Option<[u8; 32]>,
    /// What the answer must fit, if its decoding is constrained.
    pub grammar: Option<GrammarText>,
}

impl Settings {
    /// The neutral values: temperature 1, nothing truncated, nothing penalised.
    #[must_use]
    pub const fn neutral(max_tokens: u32) -> Self {
        Self {
            temperature: ONE,
            top_p: ONE,
            top_k: 0,
            min_p: 0,
            frequency_penalty: 0,
            presence_penalty: 0,
            logit_bias: Vec::new(),
            max_tokens,
            stop: Vec::new(),
            seed: None,
            grammar: None,
        }
    }
}

/// Why settings are not parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// A number outside its range.
    #[error(
        "`{name}` is {min} to {max} (in millionths where it is a fraction), but is {got}: take one in that range"
    )]
    Range {
        /// The parameter.
        name: &'static str,
        /// Its least value.
        min: i64,
        /// Its greatest value.
        max: i64,
        /// The value.
        got: i64,
    },
    /// Too many biases.
    #[error("`logit_bias` has at most {max} entries, but has {got}: drop some")]
    Biases {
        /// Most entries.
        max: usize,
        /// Entries given.
        got: usize,
    },
    /// Biases out of order, or two for one token.
    #[error(
        "`logit_bias` ascends by id, each id once, but {got} follows {after}: sort it and merge doubles"
    )]
    BiasOrder {
        /// The id before.
        after: u32,
        /// The id that does not ascend.
        got: u32,
    },
    /// Too many stop texts.
    #[error("`stop` has at most {max} texts, but has {got}: drop some")]
    Stops {
        /// Most texts.
        max: usize,
        /// Texts given.
        got: usize,
    },
    /// A stop text that is empty or long.
    #[error(
        "a text of `stop` has 1 to {max} bytes, but number {index} has {got}: shorten or drop it"
    )]
    StopBytes {
        /// Most bytes.
        max: usize,
        /// Which text, from 0.
        index: usize,
        /// Its bytes.
        got: usize,
    },
    /// A grammar that is empty or long.
    #[error("a grammar has 1 to {max} bytes, but has {got}: shorten the schema")]
    GrammarBytes {
        /// Most bytes.
        max: usize,
        /// Its bytes.
        got: usize,
    },
    /// A kind that there is not.
    #[error("a grammar is of kind 1 or 2, but is of {got}: take one of them")]
    GrammarKind {
        /// The kind.
        got: u8,
    },
}

/// Checked parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters(Settings);

fn range<T: Copy + Into<i64>>(
    name: &'static str,
    got: T,
    min: T,
    max: T,
) -> Result<(), ParametersError> {
    let (got, min, max) = (got.into(), min.into(), max.into());
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err(ParametersError::Range {
            name,
            min,
            max,
            got,
        })
    }
}

impl Parameters {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ParametersError`], for the first value out of range.
    pub fn new(settings: Settings) -> Result<Self, ParametersError> {
        let id_end = u32::try_from(VOCABULARY_MAX).unwrap_or(u32::MAX);
        range("temperature", settings.temperature, 0, TEMPERATURE_MAX)?;
        range("top_p", settings.top_p, 1, ONE)?;
        range("top_k", settings.top_k, 0, id_end)?;
        range("min_p", settings.min_p, 0, ONE)?;
        range(
            "frequency_penalty",
            settings.frequency_penalty,
            -PENALTY_MAX,
            PENALTY_MAX,
        )?;
        range(
            "presence_penalty",
            settings.presence_penalty,
            -PENALTY_MAX,
            PENALTY_MAX,
        )?;
        range("max_tokens", settings.max_tokens, 1, u32::MAX)?;
        check_biases(&settings.logit_bias, id_end)?;
        check_stops(&settings.stop)?;
        check_grammar(settings.grammar.as_ref())?;
        Ok(Self(settings))
    }

    /// The values.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.0
    }

    /// The same parameters with this seed, or with none.
    #[must_use]
    pub fn with_seed(self, seed: Option<[u8; 32]>) -> Self {
        Self(Settings { seed, ..self.0 })
    }
}

fn check_biases(biases: &[(u32, i32)], id_end: u32) -> Result<(), ParametersError> {
    if biases.len() > BIASES_MAX {
        return Err(ParametersError::Biases {
            max: BIASES_MAX,
            got: biases.len(),
        });
    }
    let mut last = None;
    for &(id, bias) in biases {
        range("logit_bias", bias, -BIAS_MAX, BIAS_MAX)?;
        range("id of logit_bias", id, 0, id_end - 1)?;
        if let Some(after) = last.filter(|&after| after >= id) {
            return Err(ParametersError::BiasOrder { after, got: id });
        }
        last = Some(id);
    }
    Ok(())
}

fn check_stops(stops: &[String]) -> Result<(), ParametersError> {
    if stops.len() > STOPS_MAX {
        return Err(ParametersError::Stops {
            max: STOPS_MAX,
            got: stops.len(),
        });
    }
    let wrong = |text: &&String| text.is_empty() || text.len() > STOP_BYTES_MAX;
    match stops.iter().enumerate().find(|(_, text)| wrong(text)) {
        Some((index, text)) => Err(ParametersError::StopBytes {
            max: STOP_BYTES_MAX,
            index,
            got: text.len(),
        }),
        None => Ok(()),
    }
}

fn check_grammar(grammar: Option<&GrammarText>) -> Result<(), ParametersError> {
    let Some(GrammarText { kind, text }) = grammar else {
        return Ok(());
    };
    if !(1..=2).contains(kind) {
        return Err(ParametersError::GrammarKind { got: *kind });
    }
    if text.is_empty() || text.len() > GRAMMAR_BYTES_MAX {
        return Err(ParametersError::GrammarBytes {
            max: GRAMMAR_BYTES_MAX,
            got: text.len(),
        });
    }
    Ok(())
}
