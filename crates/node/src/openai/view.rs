//! What answers and chunks look like in JSON.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_base::{ModelId, Signature};
use credence_claim::FinishReason;
use credence_claim::chain::{Head, Prefix};
use credence_exec::sampling::{Logprob, Logprobs};
use credence_generate::Language;
use credence_text::Text;
use serde_json::{Map, Value, json};

use crate::openai::tools::{CallForm, ToolCall};
use crate::speech::{Ended, Said};
use credence_receipt::Kept;

/// Which endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Chat completions.
    Chat,
    /// Completions.
    Completion,
}

/// Whether an answer comes whole or in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In one piece.
    Whole,
    /// One of many.
    Chunk,
}

/// What all of an answer's JSON has in common.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Which endpoint.
    pub kind: Kind,
    /// A name for the answer, without the endpoint's prefix.
    pub id: String,
    /// Seconds since 1970-01-01 UTC.
    pub created: u64,
    /// The name that the model was asked by.
    pub model: String,
    /// Its id.
    pub model_id: ModelId,
    /// The model, for the texts of its tokens.
    pub language: Arc<Language>,
    /// Answers, over all prompts.
    pub answers: usize,
    /// Tokens of all prompts, each counted once.
    pub prompt_tokens: usize,
    /// The form of calls of tools that are looked for, if any are on offer.
    pub tools: Option<CallForm>,
    /// The parameter that the answer's grammar came from, if it has one.
    pub grammar: Option<&'static str>,
    /// Whether a chunk that counts tokens ends the stream.
    pub include_usage: bool,
}

impl Frame {
    /// The body around choices.
    pub(super) fn body(&self, form: Form, choices: Vec<Value>) -> Map<String, Value> {
        let (prefix, object) = match (self.kind, form) {
            (Kind::Chat, Form::Whole) => ("chatcmpl", "chat.completion"),
            (Kind::Chat, Form::Chunk) => ("chatcmpl", "chat.completion.chunk"),
            (Kind::Completion, _) => ("cmpl", "text_completion"),
        };
        let mut body = Map::new();
        body.insert("id".to_owned(), json!(format!("{prefix}-{}", self.id)));
        body.insert("object".to_owned(), json!(object));
        body.insert("created".to_owned(), json!(self.created));
        body.insert("model".to_owned(), json!(self.model));
        body.insert(
            "system_fingerprint".to_owned(),
            json!(self.model_id.to_string()),
        );
        body.insert("choices".to_owned(), Value::Array(choices));
        body
    }

    pub(super) fn usage(&self, drawn: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": drawn,
            "total_tokens": self.prompt_tokens + drawn,
        })
    }

    /// What an answer is worth by itself, and how it comes to be worth more.
    pub(super) fn credence(&self, ended: &Ended) -> Map<String, Value> {
        let Kept { digest, .. } = ended.receipt;
        let more = "fetch `bundle` from this server and run `credence verify` on it with the model: it runs every token again";
        let mut object = Map::new();
        object.insert("receipt".to_owned(), json!(digest.to_string()));
        object.insert("bundle".to_owned(), json!(ended.receipt.path()));
        object.insert("model".to_owned(), json!(self.model_id.to_string()));
        object.insert(
            "assurance".to_owned(),
            json!({"basis": "signed", "more": more}),
        );
        object.insert("finish".to_owned(), json!(ended.finish.as_str()));
        object
    }

    /// A call of a tool; its id is the answer's with the choice and the number of the call.
    pub(super) fn call(&self, call: &ToolCall, (choice, number): (usize, usize)) -> Value {
        json!({
            "id": format!("call_{}_{choice}_{number}", self.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        })
    }

    /// Whether a token, which is not shown, begins a call.
    pub(super) fn marks(&self, token: u32) -> bool {
        let text = self.language.text();
        let mark = |form: CallForm| form.is_mark(bytes(text, token));
        text.is_hidden(token) && self.tools.is_some_and(mark)
    }

    /// What is reported of one token, unless the token ends the answer. Every token of the answer is to be brought here, in order.
    pub(super) fn reported(&self, said: &Said, offsets: &mut Offsets) -> Option<Value> {
        let logprobs = said.logprobs.as_ref()?;
        let text = self.language.text();
        if text.is_end(said.token) {
            return None;
        }
        let offset = if text.is_hidden(said.token) {
            offsets.next(&[])
        } else {
            offsets.next(bytes(text, said.token))
        };
        Some(match self.kind {
            Kind::Chat => {
                let mut entry = chat_entry(text, logprobs.chosen);
                let top = logprobs.top.iter().map(|top| chat_entry(text, *top));
                entry["top_logprobs"] = top.collect();
                entry
            }
            Kind::Completion => {
                let mut entry = completion_entry(text, logprobs);
                entry["offset"] = json!(offset);
                entry
            }
        })
    }

    /// All reports of a choice or chunk.
    pub(super) fn reports(&self, entries: &[Value]) -> Value {
        match self.kind {
            Kind::Chat => json!({"content": entries, "refusal": null}),
            Kind::Completion => {
                let column = |name: &str| -> Vec<Value> {
                    entries.iter().map(|entry| entry[name].clone()).collect()
                };
                json!({
                    "tokens": column("token"),
                    "token_logprobs": column("logprob"),
                    "top_logprobs": column("top"),
                    "text_offset": column("offset"),
                })
            }
        }
    }
}

/// Where the tokens of an answer stand in its text, in characters: counted by the bytes of the tokens, so that what is held back of the text does not matter. Several tokens may make one
/// character, and stand where it does.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    /// Characters that have begun.
    begun: usize,
}

impl Offsets {
    fn next(&mut self, bytes: &[u8]) -> usize {
        let goes_on = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
        let within = usize::from(bytes.first().is_some_and(goes_on));
        let at = self.begun.saturating_sub(within);
        self.begun += bytes.iter().filter(|byte| !goes_on(byte)).count();
        at
    }
}

/// What the API says about an end. It knows no word for an answer that was cut off: `credence.finish` has it.
pub(super) const fn finish_reason(finish: FinishReason, called: bool) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::Complete if called => "tool_calls",
        FinishReason::Stop | FinishReason::Complete => "stop",
        FinishReason::Length | FinishReason::Cancelled => "length",
    }
}

/// A head with its signature, and the ids of the tokens that it adds.
pub(super) fn chained(head: &Head, signature: &Signature, tokens: &[u32]) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("head".to_owned(), json!(head.to_string()));
    let signature = STANDARD.encode(signature.as_bytes());
    object.insert("signature".to_owned(), json!(signature));
    object.insert("tokens".to_owned(), json!(tokens));
    object
}

/// What the first head is the digest of.
pub(super) fn opening(prefix: &Prefix) -> Value {
    let mut object = json!({
        "protocolVersion": credence_base::PROTOCOL_VERSION,
        "profile": prefix.profile.as_str(),
        "model": prefix.model.to_string(),
        "input": prefix.input.to_string(),
        "params": prefix.params.to_string(),
        "operator": prefix.operator.to_string(),
    });
    if let Some(nonce) = &prefix.nonce {
        object["nonce"] = json!(nonce.to_string());
    }
    object
}

/// Units of 2⁻¹⁶ nat as a float, exactly.
fn nats(value: i64) -> f64 {
    let part = |part: i64| i32::try_from(part).map_or(f64::NEG_INFINITY, f64::from);
    part(value.div_euclid(65_536)) + part(value.rem_euclid(65_536)) / 65_536.0
}

fn bytes(text: &Text, token: u32) -> &[u8] {
    text.token_bytes(token).unwrap_or_default()
}

fn chat_entry(text: &Text, logprob: Logprob) -> Value {
    let bytes = bytes(text, logprob.token);
    json!({
        "token": String::from_utf8_lossy(bytes),
        "bytes": bytes,
        "logprob": nats(logprob.value),
    })
}

fn completion_entry(text: &Text, logprobs: &Logprobs) -> Value {
    let said = |logprob: &Logprob| {
        let bytes = bytes(text, logprob.token);
        (
            String::from_utf8_lossy(bytes).into_owned(),
            nats(logprob.value),
        )
    };
    let (token, logprob) = said(&logprobs.chosen);
    let mut top = Map::new();
    for (name, value) in logprobs.top.iter().map(said) {
        // Of tokens with one text the likeliest is shown.
        top.entry(name).or_insert_with(|| json!(value));
    }
    json!({"token": token, "logprob": logprob, "top": top})
}

/// A model in a list.
#[must_use]
pub fn model_entry(name: &str, id: ModelId, context: usize) -> Value {
    json!({
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "credence",
        "credence": {"model": id.to_string(), "context": context},
    })
}

/// A list of models.
#[must_use]
pub fn models_list(entries: Vec<Value>) -> Value {
    json!({"object": "list", "data": entries})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_one_character_stand_at_one_place() {
        let mut offsets = Offsets::default();
        let tokens: [&[u8]; 7] = [
            b"a",
            b"\xf0\x9f",
            b"\x98",
            b"\x80b",
            b"",
            "\u{e9}\u{e9}".as_bytes(),
            b"c",
        ];
        let at = tokens.map(|token| offsets.next(token));
        assert_eq!(at, [0, 1, 1, 1, 3, 3, 5]);
    }

    #[test]
    fn fixed_point_becomes_a_float_without_loss() {
        for (value, expected) in [
            (0, 0.0),
            (-1, -1.0 / 65_536.0),
            (-65_536, -1.0),
            (-98_304, -1.5),
            (-(1_i64 << 33) - 1, -131_072.0 - 1.0 / 65_536.0),
        ] {
            assert_eq!(nats(value).to_bits(), f64::to_bits(expected), "{value}");
        }
    }
}
