//! What chat and plain completions have in common: who is asked, how often, and by which parameters.

use credence_base::Nonce;
use credence_exec::sampling::{LOGPROBS_MAX, Parameters, Settings};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::openai::error::RequestError;
use crate::openai::fields::Fields;
use crate::openai::number::millionths;

/// Most answers over one prompt.
pub const CHOICES_MAX: u32 = 16;

/// The part of a request that is the same for both endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Name or id of the model.
    pub model: String,
    /// Answers over each prompt, from 1.
    pub n: u32,
    /// Whether chunks are wanted as they are made.
    pub stream: bool,
    /// Whether the last chunk is to count tokens.
    pub include_usage: bool,
    /// Parameters, but for [`Self::max_tokens`]; with a seed if the client sent one.
    pub settings: Settings,
    /// Most tokens to draw, if the client says.
    pub max_tokens: Option<u32>,
    /// How many likely tokens are to be reported beside each one drawn.
    pub logprobs: Option<usize>,
    /// The client's nonce, from the body.
    pub nonce: Option<Nonce>,
    /// The date that a template may read.
    pub date: Option<String>,
}

/// Fields that change nothing for the client when they are not heeded.
const HARMLESS: [&str; 5] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "user",
];

/// Fields that are refused but for values that ask for what is done anyway: field, values, what to do.
fn fixed() -> [(&'static str, Vec<Value>, &'static str); 10] {
    let none = Vec::new;
    [
        ("audio", none(), "answers are text"),
        ("functions", none(), "send `tools`"),
        ("function_call", none(), "send `tools`"),
        ("modalities", vec![json!(["text"])], "answers are text"),
        ("prediction", none(), "leave it out"),
        ("reasoning_effort", none(), "leave it out"),
        (
            "service_tier",
            vec![json!("auto"), json!("default")],
            "there is one tier",
        ),
        (
            "store",
            vec![json!(false)],
            "nothing is kept but the receipt; send false",
        ),
        ("verbosity", none(), "leave it out"),
        ("web_search_options", none(), "leave it out"),
    ]
}

/// The member `credence`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credence {
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    date: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
    #[serde(default)]
    include_obfuscation: Option<bool>,
}

/// Refuses a field unless it asks for what is done anyway.
pub(super) fn only(
    fields: &mut Fields<'_>,
    name: &str,
    values: &[Value],
    instead: &'static str,
) -> Result<(), RequestError> {
    match fields.value(name)? {
        Some(value) if !values.contains(&value) => Err(RequestError::Unsupported {
            param: name.to_owned(),
            instead,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Takes the common fields, with `max_tokens` already taken.
pub(super) fn read(
    fields: &mut Fields<'_>,
    max_tokens: Option<u32>,
    logprobs: Option<usize>,
) -> Result<Asked, RequestError> {
    let model = fields.text("model")?;
    let model = model.ok_or(RequestError::Missing { param: "model" })?;
    for name in HARMLESS {
        fields.take(name);
    }
    for (name, values, instead) in fixed() {
        only(fields, name, &values, instead)?;
    }
    let stream = fields.flag("stream")?;
    let options = stream_options(fields, stream)?;
    let credence: Credence = fields
        .typed("credence", "an object of `nonce` and `date`")?
        .unwrap_or_default();
    let n = fields.count("n", (1, u64::from(CHOICES_MAX)))?.unwrap_or(1);
    Ok(Asked {
        model,
        n: u32::try_from(n).unwrap_or(1),
        stream,
        include_usage: options.include_usage.unwrap_or(false),
        settings: settings(fields)?,
        max_tokens,
        logprobs,
        nonce: credence.nonce.as_deref().map(nonce).transpose()?,
        date: credence.date,
    })
}

impl Asked {
    /// The parameters, with a bound for answers whose client names none.
    ///
    /// # Errors
    /// [`RequestError::Range`] if the client asks for more than `tokens_max` tokens.
    pub fn parameters(&self, context: usize, tokens_max: u32) -> Result<Parameters, RequestError> {
        let room = u32::try_from(context).unwrap_or(u32::MAX).min(tokens_max);
        let max_tokens = self.max_tokens.unwrap_or(room);
        if max_tokens > tokens_max {
            return Err(RequestError::Range {
                param: "max_tokens".to_owned(),
                min: 1,
                max: tokens_max.into(),
                got: max_tokens.into(),
            });
        }
        Ok(Parameters::new(Settings {
            max_tokens,
            ..self.settings.clone()
        })?)
    }
}

fn stream_options(fields: &mut Fields<'_>, stream: bool) -> Result<StreamOptions, RequestError> {
    let expected = "an object of `include_usage`";
    let options: Option<StreamOptions> = fields.typed("stream_options", expected)?;
    if options.is_some() && !stream {
        return Err(RequestError::Unsupported {
            param: "stream_options".to_owned(),
            instead: "it is for streams; set `stream` or leave it out",
        });
    }
    let options = options.unwrap_or_default();
    if options.include_obfuscation == Some(true) {
        return Err(RequestError::Unsupported {
            param: "stream_options.include_obfuscation".to_owned(),
            instead: "chunks are not padded; send false",
        });
    }
    Ok(options)
}

fn nonce(text: &str) -> Result<Nonce, RequestError> {
    text.parse().map_err(|_| RequestError::Kind {
        param: "credence.nonce".to_owned(),
        expected: "64 lower-case hexadecimal digits",
    })
}

/// A fixed-point value that fits the sampler's type; its range is checked with all others.
fn fit<T: TryFrom<i64>>(param: &str, value: Option<i64>) -> Result<Option<T>, RequestError> {
    let fit = |value: i64| {
        T::try_from(value).map_err(|_| RequestError::Kind {
            param: param.to_owned(),
            expected: "a number in its range",
        })
    };
    value.map(fit).transpose()
}

fn settings(fields: &mut Fields<'_>) -> Result<Settings, RequestError> {
    // The bound is put in when the model is known.
    let neutral = Settings::neutral(1);
    let mut number = |name: &'static str| {
        let value = fields.millionths(name)?;
        fit::<u32>(name, value)
    };
    let temperature = number("temperature")?.unwrap_or(neutral.temperature);
    let top_p = number("top_p")?.unwrap_or(neutral.top_p);
    let min_p = number("min_p")?.unwrap_or(neutral.min_p);
    let mut signed = |name: &'static str| {
        let value = fields.millionths(name)?;
        fit::<i32>(name, value)
    };
    let frequency_penalty = signed("frequency_penalty")?.unwrap_or(0);
    let presence_penalty = signed("presence_penalty")?.unwrap_or(0);
    let top_k = top_k(fields)?;
    let seed: Option<i64> = fields.typed("seed", "a whole number of 64 bits")?;
    let settings = Settings {
        temperature,
        top_p,
        top_k,
        min_p,
        frequency_penalty,
        presence_penalty,
        logit_bias: logit_bias(fields)?,
        stop: stop(fields)?,
        seed: seed.map(seed_bytes),
        ..neutral
    };
    // Refused here as well as later, so that a request is refused whatever the model.
    Ok(Parameters::new(settings)?.settings().clone())
}

/// -1 and 0 keep all, as servers that know the field have it.
fn top_k(fields: &mut Fields<'_>) -> Result<u32, RequestError> {
    let expected = "a whole number of tokens, or -1 for all";
    let given: Option<i64> = fields.typed("top_k", expected)?;
    match given {
        None | Some(-1) => Ok(0),
        Some(given) => u32::try_from(given).map_err(|_| RequestError::Kind {
            param: "top_k".to_owned(),
            expected,
        }),
    }
}

/// Its eight bytes, the least first, and zeros.
fn seed_bytes(seed: i64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(seed.to_le_bytes()) {
        *to = from;
    }
    bytes
}

fn logit_bias(fields: &mut Fields<'_>) -> Result<Vec<(u32, i32)>, RequestError> {
    const EXPECTED: &str = "an object from token ids to numbers of -100 to 100";
    let wrong = || RequestError::Kind {
        param: "logit_bias".to_owned(),
        expected: EXPECTED,
    };
    let Some(raw) = fields.take("logit_bias") else {
        return Ok(Vec::new());
    };
    let members: Fields<'_> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let mut biases = Vec::new();
    for (id, value) in members.into_members() {
        let canonical = id == "0" || !id.starts_with(['0', '+']);
        let id = id.parse::<u32>().ok().filter(|_| canonical);
        let value = millionths(value.get()).ok();
        let value = value.and_then(|value| i32::try_from(value).ok());
        biases.push(id.zip(value).ok_or_else(wrong)?);
    }
    biases.sort_unstable_by_key(|(id, _)| *id);
    Ok(biases)
}

fn stop(fields: &mut Fields<'_>) -> Result<Vec<String>, RequestError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stop {
        One(String),
        Several(Vec<String>),
    }
    Ok(match fields.typed("stop", "a text or a list of texts")? {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Several(texts)) => texts,
    })
}

/// The bound on logprobs, for messages.
pub(super) fn logprobs_max() -> u64 {
    u64::try_from(LOGPROBS_MAX).unwrap_or(0)
}
