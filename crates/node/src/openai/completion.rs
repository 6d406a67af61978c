//! `POST /v1/completions`: texts or token ids to go on from.

use serde::Deserialize;
use serde_json::json;

use crate::openai::asked::{self, Asked, logprobs_max, only};
use crate::openai::error::RequestError;
use crate::openai::fields::Fields;

/// Most prompts of a request.
pub const PROMPTS_MAX: usize = 16;
/// Tokens drawn if the client does not say, as OpenAI has it.
const TOKENS_USUAL: u32 = 16;

/// What to go on from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Prompted {
    /// A text; special tokens in it are plain text.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
}

/// A request for completions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What it has in common with others.
    pub asked: Asked,
    /// At least one.
    pub prompts: Vec<Prompted>,
}

/// A prompt, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prompts {
    One(Prompted),
    Several(Vec<Prompted>),
}

/// Reads the body.
///
/// # Errors
/// [`RequestError`], naming the parameter at fault.
pub fn read_completion(body: &[u8]) -> Result<Completion, RequestError> {
    let mut fields = Fields::read(body)?;
    let max_tokens = fields.count("max_tokens", (1, u64::from(u32::MAX)))?;
    let max_tokens = max_tokens.and_then(|max| u32::try_from(max).ok());
    let logprobs = fields.count("logprobs", (0, logprobs_max()))?;
    let logprobs = logprobs.and_then(|top| usize::try_from(top).ok());
    let max_tokens = Some(max_tokens.unwrap_or(TOKENS_USUAL));
    let asked = asked::read(&mut fields, max_tokens, logprobs)?;
    let instead = "the prompt is not repeated; send false";
    only(&mut fields, "echo", &[json!(false)], instead)?;
    let instead = "text is not put in between; leave it out";
    only(&mut fields, "suffix", &[json!("")], instead)?;
    let instead = "all answers are given; leave it out, and send `n`";
    only(&mut fields, "best_of", &[json!(asked.n)], instead)?;
    let instead = "ask at `/v1/chat/completions`, which takes it";
    only(
        &mut fields,
        "response_format",
        &[json!({"type": "text"})],
        instead,
    )?;
    let expected = "a text, a list of texts, a list of token ids, or a list of such lists";
    let prompts: Option<Prompts> = fields.typed("prompt", expected)?;
    let prompts = match prompts.ok_or(RequestError::Missing { param: "prompt" })? {
        Prompts::One(prompt) => vec![prompt],
        Prompts::Several(prompts) => prompts,
    };
    if !(1..=PROMPTS_MAX).contains(&prompts.len()) {
        return Err(RequestError::Count {
            param: "prompt",
            what: "prompts",
            max: PROMPTS_MAX,
            got: prompts.len(),
        });
    }
    fields.finish()?;
    if asked.date.is_some() {
        return Err(RequestError::Unsupported {
            param: "credence.date".to_owned(),
            instead: "a prompt has no template that could read it",
        });
    }
    Ok(Completion { asked, prompts })
}
