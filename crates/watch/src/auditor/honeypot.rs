//! Requests of an auditor's own, sent as any client sends them: only who sends them knows that the answer will be run again.
//!
//! ```text
//! prompts: a line each  {"path":"/v1/chat/completions","body":{…}}     one is drawn, now and then ─▶ answer ─▶ the path of its bundle ─▶ bundle
//!                       with "model":"its id", where that is known: else the model that answered first under a name must answer the next
//!                       with "expect":"words that it must hold", or {"output":[…]}, where that is known
//! ```
//!
//! The receipt must be the operator's, new, of what was sent and of what came back: else the operator has shown another one in its place, and not answered.
//!
//! The client calls itself as it is told to. What an operator can still tell apart: addresses, times, and prompts that it has seen before. Use real ones, often
//! changed, from where users are. It deliberately sends no header of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use credence_base::ModelId;
use credence_claim::Openings;
use credence_receipt::Bundle;
use credence_store::StoreError;
use credence_store::file;
use credence_witness::fetch::{Bounds, Fetcher};
use credence_witness::server::chain_of;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::library::{Fetched, Place, fetch};

/// The longest file of prompts, in bytes.
const PROMPTS_LEN_MAX: u64 = 64 * 1024 * 1024;
/// The header in which an answer of tensors names its bundle.
const BUNDLE_HEADER: &str = "credence-bundle";

/// The longest answer, in bytes, and the longest time that it may take.
const ANSWER_LEN_MAX: usize = 64 * 1024 * 1024;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(300);

/// What was sent and what came back.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The path of the request.
    pub path: &'a str,
    /// Its body.
    pub body: &'a str,
    /// The body of the answer.
    pub answer: &'a [u8],
}

/// Whether what a receipt's openings hold is what was sent and what came back; else why not, in words.
pub type SameAs = Arc<dyn Fn(&Exchange<'_>, &Openings) -> Result<(), String> + Send + Sync>;

/// What came of a request.
pub(super) enum Sent {
    /// Nobody answered, or asked us to come again: why.
    Unreached(String),
    /// An answer whose receipt could not be fetched, for nobody answered then, or asked us to come again: why.
    Unfetched(String),
    /// An answer without a receipt: why.
    Silent(String),
    /// No time was left to ask.
    PutOff,
    /// An answer with a receipt.
    Got(Box<Got>),
}

/// An answer with a receipt.
pub(super) struct Got {
    pub(super) bundle: Bundle,
    answer: Vec<u8>,
    prompt: Prompt,
}

impl Got {
    /// Whether the receipt is of this exchange.
    pub(super) fn is_same(&self, same: &SameAs) -> Result<(), String> {
        let body = self.prompt.body.to_string();
        let exchange = Exchange {
            path: &self.prompt.path,
            body: &body,
            answer: &self.answer,
        };
        same(&exchange, self.bundle.openings())
    }

    /// Whether the model that the claim names is the one that the prompt's line names, if it does; else what the prompt calls its model.
    pub(super) fn is_of_model(&self, got: ModelId) -> Result<Option<String>, String> {
        match self.prompt.model {
            Some(model) if model == got => Ok(None),
            Some(model) => Err(format!("the answer is of model {got}, not of {model}")),
            None => Ok(Some(self.prompt.calls())),
        }
    }

    /// Whether the answer is as it must be, if that is known.
    pub(super) fn is_expected(&self) -> bool {
        let Some(expect) = &self.prompt.expect else {
            return true;
        };
        let answer = serde_json::from_slice(&self.answer);
        answer.is_ok_and(|answer| meets(expect, &answer))
    }
}

/// Whether an answer's words hold a text, or its output of each name is as given.
fn meets(expect: &Value, answer: &Value) -> bool {
    match expect {
        Value::String(text) => ["/choices/0/message/content", "/choices/0/text"]
            .iter()
            .filter_map(|at| answer.pointer(at)?.as_str())
            .any(|words| words.contains(text)),
        Value::Object(outputs) => {
            let all = answer.get("outputs").and_then(Value::as_array);
            outputs.iter().all(|(name, data)| {
                let mut own = all.into_iter().flatten();
                own.any(|output| {
                    output.get("name").and_then(Value::as_str) == Some(name)
                        && output.get("data") == Some(data)
                })
            })
        }
        _ => false,
    }
}

/// Why there are no prompts.
#[derive(Debug, thiserror::Error)]
pub enum PromptsError {
    /// The file cannot be read.
    #[error("the file of prompts cannot be read")]
    Store(#[from] StoreError),
    /// A line is none.
    #[error("line {line} of the prompts is not an object with `path` and `body`")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A path that is none.
    #[error(
        "line {line} of the prompts has a path whose answers are not compared: expected `/v1/chat/completions`, `/v1/completions` or `/v2/models/{{name}}/infer`"
    )]
    Path {
        /// Which, from 1.
        line: usize,
    },
    /// A request whose answer comes in pieces.
    #[error(
        "line {line} of the prompts asks for a stream, which is not compared: leave `stream` out"
    )]
    Stream {
        /// Which, from 1.
        line: usize,
    },
    /// An expectation that is none.
    #[error(
        "line {line} of the prompts has an `expect` that is neither a text nor an object of outputs"
    )]
    Expect {
        /// Which, from 1.
        line: usize,
    },
    /// A request that whoever compares answers cannot read.
    #[error("line {line} of the prompts is a request whose answer cannot be compared: {words}")]
    Request {
        /// Which, from 1.
        line: usize,
        /// Why.
        words: String,
    },
    /// Nothing in it.
    #[error("there are no prompts in the file")]
    Empty,
}

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    path: String,
    body: Value,
    /// What the answer must hold, if that is known.
    expect: Option<Value>,
    /// The model that must answer, if that is known.
    #[serde(default, deserialize_with = "model_id")]
    model: Option<ModelId>,
    /// Its line, from 1.
    #[serde(skip)]
    line: usize,
}

fn model_id<'de, D: Deserializer<'de>>(source: D) -> Result<Option<ModelId>, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

impl Prompt {
    /// What it calls its model: by the request's field, or by the path.
    fn calls(&self) -> String {
        let named = self.body.get("model").and_then(Value::as_str);
        format!("{} {}", self.path, named.unwrap_or_default())
    }
}

/// Requests to draw from.
#[derive(Debug, Clone)]
pub struct Prompts(Vec<Prompt>);

impl Prompts {
    /// Reads a file of prompts, one JSON object in each line.
    ///
    /// # Errors
    /// [`PromptsError`].
    pub fn read(path: &Path) -> Result<Self, PromptsError> {
        let bytes = file::read(path, PROMPTS_LEN_MAX)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut prompts = Vec::new();
        for (at, text) in text.lines().enumerate() {
            let line = at.saturating_add(1);
            if text.trim().is_empty() {
                continue;
            }
            let mut prompt: Prompt =
                serde_json::from_str(text).map_err(|source| PromptsError::Line { line, source })?;
            prompt.line = line;
            let is_infer =
                prompt.path.starts_with("/v2/models/") && prompt.path.ends_with("/infer");
            if !is_infer && !["/v1/chat/completions", "/v1/completions"].contains(&&*prompt.path) {
                return Err(PromptsError::Path { line });
            }
            if prompt.body.get("stream") == Some(&Value::Bool(true)) {
                return Err(PromptsError::Stream { line });
            }
            let known = prompt.expect.as_ref();
            if known.is_some_and(|known| !known.is_string() && !known.is_object()) {
                return Err(PromptsError::Expect { line });
            }
            prompts.push(prompt);
        }
        if prompts.is_empty() {
            return Err(PromptsError::Empty);
        }
        Ok(Self(prompts))
    }

    /// Whether every request can be read by whoever compares its answer: else an honest answer would look like another's.
    ///
    /// # Errors
    /// [`PromptsError::Request`], the first that cannot.
    pub fn check(
        &self,
        is_readable: impl Fn(&str, &str) -> Result<(), String>,
    ) -> Result<(), PromptsError> {
        for prompt in &self.0 {
            let line = prompt.line;
            is_readable(&prompt.path, &prompt.body.to_string())
                .map_err(|words| PromptsError::Request { line, words })?;
        }
        Ok(())
    }

    /// Sends the request that `random` draws, and fetches the bundle that the answer names.
    pub(super) fn send(&self, random: u64, client: &Fetcher, place: &Place<'_>) -> Sent {
        let count = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        let at = random
            .checked_rem(count)
            .and_then(|at| usize::try_from(at).ok());
        let Some(prompt) = at.and_then(|at| self.0.get(at)) else {
            return Sent::PutOff;
        };
        let url = place.operator.join(prompt.path.trim_start_matches('/'));
        let body = prompt.body.to_string();
        let post = |time_max| {
            let len_max = ANSWER_LEN_MAX;
            let bounds = Bounds { len_max, time_max };
            client.post_for(&url, ("application/json", &body), BUNDLE_HEADER, bounds)
        };
        let (reply, header) = match place.budget.spend(ANSWER_TIME_MAX, post) {
            None => return Sent::PutOff,
            Some(Ok(answered)) => answered,
            Some(Err(error)) => return Sent::Unreached(chain_of(&error)),
        };
        match reply.status {
            200 => {}
            status @ (408 | 425 | 429 | 500..=599) => {
                return Sent::Unreached(format!("status {status}"));
            }
            status => return Sent::Silent(format!("status {status}")),
        }
        let Ok(answer) = serde_json::from_slice::<Value>(&reply.body) else {
            return Sent::Silent("the answer is not JSON".to_owned());
        };
        let named = answer.pointer("/credence/bundle").and_then(Value::as_str);
        // The operator names a path of its own, and no other place.
        let path = named.map(str::to_owned).or(header);
        let Some(path) = path.filter(|path| path.starts_with("/v1/receipts/")) else {
            return Sent::Silent("the answer names no receipt".to_owned());
        };
        match fetch(place, &path) {
            Fetched::Bundle(bundle) => Sent::Got(Box::new(Got {
                bundle: *bundle,
                answer: reply.body,
                prompt: prompt.clone(),
            })),
            Fetched::Forbidden => Sent::Silent("the answer's own receipt is refused".to_owned()),
            Fetched::Silent(words) => Sent::Silent(words),
            Fetched::Unreached(words) | Fetched::Busy(words) => Sent::Unfetched(words),
            Fetched::PutOff => {
                Sent::Unfetched("no time was left to fetch the answer's receipt".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_a_line_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.jsonl");
        let good = r#"{"path":"/v1/completions","body":{"prompt":"x"}}"#;
        for (text, expected) in [
            (format!("{good}\n\n{good}\n"), Some(2)),
            (good.to_owned(), Some(1)),
            (String::new(), None),
            ("{}".to_owned(), None),
            (good.replace("/v1/", "http://else/"), None),
            (good.replace("completions", "embeddings"), None),
            (
                good.replace("\"prompt\"", "\"stream\":true,\"prompt\""),
                None,
            ),
            (good.replace("v1/completions", "v2/models/m/infer"), Some(1)),
            (good.replace("\"body\"", "\"else\""), None),
            (format!("{good}{good}"), None),
            (good.replace("}}", "},\"expect\":\"y\"}"), Some(1)),
            (good.replace("}}", "},\"expect\":7}"), None),
            (good.replace("}}", "},\"model\":\"m\"}"), None),
            (good.replace("}}", "},\"line\":7}"), None),
        ] {
            std::fs::write(&path, &text).unwrap();
            let read = Prompts::read(&path).ok().map(|prompts| prompts.0.len());
            assert_eq!(read, expected, "{text}");
        }
        std::fs::write(&path, format!("{good}\n\n{}\n", good.replace('x', "y"))).unwrap();
        let prompts = Prompts::read(&path).unwrap();
        assert!(prompts.check(|_, _| Ok(())).is_ok());
        let refused = prompts.check(|_, body| {
            let is_x = body.contains("\"x\"");
            is_x.then_some(()).ok_or_else(|| "no".to_owned())
        });
        assert!(matches!(
            refused,
            Err(PromptsError::Request { line: 3, .. })
        ));
    }

    #[test]
    fn what_is_known_of_an_answer_is_compared() {
        let chat = serde_json::json!({"choices":[{"message":{"content":"It is Paris."}}]});
        let text = serde_json::json!({"choices":[{"text":"Paris"}]});
        let tensors = serde_json::json!({"outputs":[{"name":"y","data":[1.5, 2.0]}]});
        for (expect, answer, expected) in [
            (serde_json::json!("Paris"), &chat, true),
            (serde_json::json!("Paris"), &text, true),
            (serde_json::json!("Rome"), &chat, false),
            (serde_json::json!("Paris"), &tensors, false),
            (serde_json::json!({"y":[1.5, 2.0]}), &tensors, true),
            (serde_json::json!({"y":[1.5, 2.5]}), &tensors, false),
            (serde_json::json!({"z":[1.5, 2.0]}), &tensors, false),
        ] {
            assert_eq!(meets(&expect, answer), expected, "{expect} {answer}");
        }
    }
}
