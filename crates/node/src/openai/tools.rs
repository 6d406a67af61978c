//! Calls of tools in an answer: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, found in text as it grows.
//!
//! Text is held back only while it may be the beginning of a call, or white space before one. What stands between the tags and is no call stays text, tags and all.

use serde::Deserialize;
use serde_json::value::RawValue;

const BEGIN: &str = "<tool_call>";
const END: &str = "</tool_call>";

/// A call that the model wants made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The function.
    pub name: String,
    /// Its arguments: the text of a JSON object, as the model wrote it.
    pub arguments: String,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// To be shown.
    Text(String),
    /// To be made.
    Call(ToolCall),
}

/// Splits growing text into text and calls.
#[derive(Debug, Clone, Default)]
pub struct ToolParser {
    held: String,
    /// White space before the tag, which belongs to the text if the call is none.
    space: String,
    /// Whether what is held stands behind [`BEGIN`].
    inside: bool,
    /// Whether a call was just made, so that white space means nothing.
    after_call: bool,
}

#[derive(Deserialize)]
struct Written<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

fn read(text: &str) -> Option<ToolCall> {
    let written: Written<'_> = serde_json::from_str(text.trim()).ok()?;
    let arguments = match written.arguments {
        None => "{}".to_owned(),
        Some(raw) => match serde_json::from_str::<String>(raw.get()) {
            Ok(spelt) => spelt,
            Err(_) => raw.get().to_owned(),
        },
    };
    let object = serde_json::from_str::<serde_json::Value>(&arguments).is_ok_and(|v| v.is_object());
    object.then_some(ToolCall {
        name: written.name,
        arguments,
    })
}

impl ToolParser {
    /// Appends text; gives what is certain.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        loop {
            let tag = if self.inside { END } else { BEGIN };
            let Some(at) = self.held.find(tag) else {
                break;
            };
            let before: String = self.held.drain(..at).collect();
            self.held.drain(..tag.len());
            if self.inside {
                match read(&before) {
                    Some(call) => {
                        self.after_call = true;
                        parts.push(Part::Call(call));
                    }
                    None => {
                        let space = core::mem::take(&mut self.space);
                        self.show(&[&space, BEGIN, &before, END].concat(), &mut parts);
                    }
                }
            } else {
                let shown = before.trim_end();
                self.space = before.get(shown.len()..).unwrap_or_default().to_owned();
                self.show(shown, &mut parts);
            }
            self.inside = !self.inside;
        }
        if !self.inside {
            let keep = keep(&self.held);
            let rest = self.held.split_off(self.held.len() - keep);
            let shown = core::mem::replace(&mut self.held, rest);
            self.show(&shown, &mut parts);
        }
        parts
    }

    /// What was held back, once no more comes.
    pub fn finish(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        let held = core::mem::take(&mut self.held);
        let text = if self.inside {
            [&self.space, BEGIN, &held].concat()
        } else {
            held
        };
        self.inside = false;
        self.show(&text, &mut parts);
        parts
    }

    fn show(&mut self, text: &str, parts: &mut Vec<Part>) {
        let text = if self.after_call {
            text.trim_start()
        } else {
            text
        };
        if !text.is_empty() {
            self.after_call = false;
            parts.push(Part::Text(text.to_owned()));
        }
    }
}

/// Bytes at the end of a text that may belong to a call: white space, and the beginning of a tag.
fn keep(text: &str) -> usize {
    let begun = (1..BEGIN.len()).rev();
    let begun = begun.filter_map(|len| BEGIN.get(..len));
    let tag = begun.into_iter().find(|head| text.ends_with(head));
    let before = tag.and_then(|tag| text.strip_suffix(tag)).unwrap_or(text);
    text.len() - before.trim_end().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(name: &str, arguments: &str) -> Part {
        Part::Call(ToolCall {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    /// Parts of text beside each other are one.
    fn joined(parts: Vec<Part>) -> Vec<Part> {
        let mut all: Vec<Part> = Vec::new();
        for part in parts {
            match (all.last_mut(), part) {
                (Some(Part::Text(last)), Part::Text(more)) => last.push_str(&more),
                (_, part) => all.push(part),
            }
        }
        all
    }

    fn whole(answer: &str) -> Vec<Part> {
        let mut parser = ToolParser::default();
        let mut parts = parser.push(answer);
        parts.extend(parser.finish());
        joined(parts)
    }

    #[test]
    fn calls_are_found_and_all_else_is_text() {
        let one = r#"<tool_call>{"name":"f","arguments":{"b":1, "a":[2]}}</tool_call>"#;
        let found = call("f", r#"{"b":1, "a":[2]}"#);
        let cases = [
            ("", vec![]),
            ("plain  ", vec![text("plain  ")]),
            (one, vec![found.clone()]),
            (
                &format!("Let me see.\n{one}\n{one} \n"),
                vec![text("Let me see."), found.clone(), found.clone()],
            ),
            (&format!("{one}\nDone. "), vec![found, text("Done. ")]),
            (
                "<tool_call>\n{\"name\": \"g\"}\n</tool_call>",
                vec![call("g", "{}")],
            ),
            (
                r#"<tool_call>{"name":"g","arguments":"{\"x\":1}"}</tool_call>"#,
                vec![call("g", r#"{"x":1}"#)],
            ),
            (
                "a <tool_call>{oops}</tool_call> b",
                vec![text("a <tool_call>{oops}</tool_call> b")],
            ),
            (
                r#"<tool_call>{"name":"g","arguments":[1]}</tool_call>"#,
                vec![text(
                    r#"<tool_call>{"name":"g","arguments":[1]}</tool_call>"#,
                )],
            ),
            (
                "a<tool_call>{\"name\":",
                vec![text("a<tool_call>{\"name\":")],
            ),
            ("a <tool_ca", vec![text("a <tool_ca")]),
        ];
        for (answer, expected) in cases {
            assert_eq!(whole(answer), expected, "{answer}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            words in prop::collection::vec(
                prop::sample::select(vec!["<tool_call>", "</tool_call>", "{\"name\":\"f\"}", "<tool", " ", "\n", "a", "ü"]),
                0..12,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let answer = words.concat();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
            at.retain(|&at| answer.is_char_boundary(at));
            at.push(answer.len());
            at.sort_unstable();
            let mut parser = ToolParser::default();
            let (mut parts, mut start) = (Vec::new(), 0);
            for end in at {
                parts.extend(parser.push(&answer[start..end]));
                start = end;
            }
            parts.extend(parser.finish());
            prop_assert_eq!(joined(parts), whole(&answer));
        }
    }
}
