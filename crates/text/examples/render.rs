//! Prints what chat templates make of conversations, for comparing with another engine.
//!
//! Standard input has one JSON object per line: `template`, `messages`, and if wanted `tools`, `add_generation_prompt` and `date`. For each it
//! prints a line with a JSON object: `text`, or `error` with the chain of causes. The special tokens are `<s>`, `</s>`, `<unk>` and `<pad>`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use credence_text::{Conversation, SPEC_VERSION, SpecialIds, Text, TextError, TextSpec};
use serde_json::{Value, json};

fn spec(template: &str) -> TextSpec {
    TextSpec {
        version: SPEC_VERSION,
        kind: "bpe".to_owned(),
        pre: Some("gpt-2".to_owned()),
        tokens: ["<s>", "</s>", "<unk>", "<pad>"]
            .map(str::to_owned)
            .to_vec(),
        types: vec![3; 4],
        merges: Some(Vec::new()),
        scores: None,
        special: SpecialIds {
            bos: Some(0),
            eos: Some(1),
            eot: None,
            unk: Some(2),
            pad: Some(3),
        },
        add_bos: false,
        add_eos: false,
        add_space_prefix: false,
        ends: vec![1],
        chat_template: Some(template.to_owned()),
    }
}

fn render(case: &Value) -> Result<String, TextError> {
    let list = |name: &str| case.get(name).and_then(Value::as_array).cloned();
    let template = case.get("template").and_then(Value::as_str);
    let prompt = case.get("add_generation_prompt").and_then(Value::as_bool);
    let date = case.get("date").and_then(Value::as_str);
    Text::new(&spec(template.unwrap_or_default()))?.render(&Conversation {
        messages: list("messages").unwrap_or_default(),
        tools: list("tools"),
        add_generation_prompt: prompt.unwrap_or(false),
        date: date.map(str::to_owned),
        extra: BTreeMap::new(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let answer = match render(&serde_json::from_str(&line?)?) {
            Ok(text) => json!({ "text": text }),
            Err(error) => {
                let mut words = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    words = format!("{words}: {error}");
                    cause = error.source();
                }
                json!({ "error": words })
            }
        };
        writeln!(out, "{answer}")?;
    }
    Ok(out.flush()?)
}
