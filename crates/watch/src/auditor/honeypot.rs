//! Requests of an auditor's own, sent as any client sends them: only who sends them knows that the answer will be run again.
//!
//! ```text
//! prompts: a line each  {"path":"/v1/chat/completions","body":{…}}     one is drawn, now and then ─▶ answer ─▶ the path of its bundle ─▶ bundle
//! ```
//!
//! The client calls itself as it is told to. What an operator can still tell apart: addresses, times, and prompts that it has seen before. Use real ones, often
//! changed, from where users are. It deliberately sends no header of its own.

use std::path::Path;
use std::time::Duration;

use credence_receipt::Bundle;
use credence_store::StoreError;
use credence_store::file;
use credence_witness::fetch::{Bounds, Fetcher, Prefix};
use serde::Deserialize;
use serde_json::Value;

use super::library::fetch;

/// The longest file of prompts, in bytes.
const PROMPTS_LEN_MAX: u64 = 64 * 1024 * 1024;
/// The header in which an answer of tensors names its bundle.
const BUNDLE_HEADER: &str = "credence-bundle";

const ANSWER: Bounds = Bounds {
    len_max: 64 * 1024 * 1024,
    time_max: Duration::from_secs(300),
};

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
    #[error("line {line} of the prompts has a path that does not begin with `/v1/` or `/v2/`")]
    Path {
        /// Which, from 1.
        line: usize,
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
            let prompt: Prompt =
                serde_json::from_str(text).map_err(|source| PromptsError::Line { line, source })?;
            if !prompt.path.starts_with("/v1/") && !prompt.path.starts_with("/v2/") {
                return Err(PromptsError::Path { line });
            }
            prompts.push(prompt);
        }
        if prompts.is_empty() {
            return Err(PromptsError::Empty);
        }
        Ok(Self(prompts))
    }

    /// Sends the request that `random` draws; its bundle, or nothing if the operator gives no answer with one.
    pub(super) fn send(&self, random: u64, fetcher: &Fetcher, operator: &Prefix) -> Option<Bundle> {
        let count = u64::try_from(self.0.len()).ok()?;
        let at = usize::try_from(random.checked_rem(count)?).ok()?;
        let prompt = self.0.get(at)?;
        let url = operator.join(prompt.path.trim_start_matches('/'));
        let body = prompt.body.to_string();
        let (reply, header) = fetcher
            .post_for(&url, ("application/json", &body), BUNDLE_HEADER, ANSWER)
            .ok()?;
        if reply.status != 200 {
            return None;
        }
        let answer: Value = serde_json::from_slice(&reply.body).ok()?;
        let named = answer.pointer("/credence/bundle").and_then(Value::as_str);
        let path = named.map(str::to_owned).or(header)?;
        // The operator names a path of its own, and no other place.
        path.starts_with("/v1/receipts/")
            .then(|| fetch(fetcher, operator, &path))
            .flatten()
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
            (good.replace("\"body\"", "\"else\""), None),
            (format!("{good}{good}"), None),
        ] {
            std::fs::write(&path, &text).unwrap();
            let read = Prompts::read(&path).ok().map(|prompts| prompts.0.len());
            assert_eq!(read, expected, "{text}");
        }
    }
}
