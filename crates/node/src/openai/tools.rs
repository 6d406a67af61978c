//! Calls of tools in an answer, found in text as it grows, in the form in which the model writes them.
//!
//! | form | |
//! |---|---|
//! | [`CallForm::Tagged`] | `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, anywhere (Hermes, Qwen, SmolLM) |
//! | [`CallForm::Bare`] | the whole answer is `{"name": …, "parameters": {…}}`, or several with `;` or white space between (Llama 3) |
//! | [`CallForm::Listed`] | `[TOOL_CALLS] [{"name": …, "arguments": {…}}, …]`, anywhere (Mistral) |
//!
//! Which form it is, the model's template shows; of another none is looked for. Text is held back only while it may be a call or the beginning of one, or white space before one. What looks
//! like a call and is none stays text, tags and all.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

const BEGIN: &str = "<tool_call>";
const END: &str = "</tool_call>";
/// Text of the token, hidden in most models, that stands before Mistral's lists.
const LIST: &str = "[TOOL_CALLS]";

/// How a model writes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallForm {
    /// Between tags.
    Tagged,
    /// The whole answer, with `parameters` for arguments.
    Bare,
    /// A list behind a mark.
    Listed,
}

impl CallForm {
    /// The form that a chat template shows; none if it shows none that is read here.
    #[must_use]
    pub fn of_template(source: &str) -> Option<Self> {
        // Quotes may be escaped where they stand in a text of the template.
        let plain = source.replace('\\', "");
        let has = |text: &str| plain.contains(text);
        if has(LIST) {
            return (!has("[ARGS]")).then_some(Self::Listed);
        }
        if has(BEGIN) {
            return (has("\"arguments\"") && !has("<function=")).then_some(Self::Tagged);
        }
        (has("{\"name\": ") && has("\"parameters\": ")).then_some(Self::Bare)
    }

    /// Whether a token with this text, which answers do not show, begins a call.
    #[must_use]
    pub fn is_mark(self, token: &[u8]) -> bool {
        self == Self::Listed && token == LIST.as_bytes()
    }

    const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Tagged => Some(BEGIN),
            Self::Listed => Some(LIST),
            Self::Bare => None,
        }
    }
}

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
#[derive(Debug, Clone)]
pub struct ToolParser {
    form: CallForm,
    held: String,
    /// White space before a call, which belongs to the text if the call is none.
    space: String,
    /// What began the call, if it was shown.
    opening: &'static str,
    /// Whether what is held stands in what may be a call.
    inside: bool,
    /// Whether a call was just made, so that white space means nothing.
    after_call: bool,
    /// Whether no more calls can come.
    plain: bool,
}

/// What became of what may be a call.
enum Closed {
    /// It is not whole.
    Open,
    /// It is so many bytes.
    Calls(Vec<ToolCall>, usize),
    /// It is none; so many bytes belong to it.
    Not(usize),
}

#[derive(Deserialize)]
struct Written<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

fn call(name: String, arguments: Option<&RawValue>) -> Option<ToolCall> {
    let arguments = match arguments {
        None => "{}".to_owned(),
        Some(raw) => match serde_json::from_str::<String>(raw.get()) {
            Ok(spelt) => spelt,
            Err(_) => raw.get().to_owned(),
        },
    };
    let object = serde_json::from_str::<Value>(&arguments).is_ok_and(|value| value.is_object());
    object.then_some(ToolCall { name, arguments })
}

/// A call whose arguments are under `arguments`, and may be left out.
fn usual(text: &str) -> Option<ToolCall> {
    let written: Written<'_> = serde_json::from_str(text.trim()).ok()?;
    call(written.name, written.arguments)
}

/// A call whose arguments are under `parameters`; without them it is some other JSON.
fn bare(text: &str) -> Option<ToolCall> {
    let written: Written<'_> = serde_json::from_str(text).ok()?;
    let parameters = written.parameters?;
    call(written.name, Some(parameters))
}

fn listed(text: &str) -> Option<Vec<ToolCall>> {
    let all: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let calls: Option<Vec<ToolCall>> = all.into_iter().map(|one| usual(one.get())).collect();
    calls.filter(|calls| !calls.is_empty())
}

/// Reads the JSON that a text begins with.
fn leading(text: &str, begins: char, read: impl Fn(&str) -> Option<Vec<ToolCall>>) -> Closed {
    let bare = text.trim_start();
    if !bare.is_empty() && !bare.starts_with(begins) {
        return Closed::Not(0);
    }
    let mut values = Deserializer::from_str(text).into_iter::<&RawValue>();
    match values.next() {
        None => Closed::Open,
        Some(Err(error)) if error.is_eof() => Closed::Open,
        Some(Err(_)) => Closed::Not(0),
        Some(Ok(raw)) => match read(raw.get()) {
            Some(calls) => Closed::Calls(calls, values.byte_offset()),
            None => Closed::Not(values.byte_offset()),
        },
    }
}

impl ToolParser {
    /// Nothing has come yet.
    #[must_use]
    pub const fn new(form: CallForm) -> Self {
        Self {
            form,
            held: String::new(),
            space: String::new(),
            opening: "",
            inside: false,
            after_call: false,
            plain: false,
        }
    }

    /// Appends text; gives what is certain.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        self.split(&mut parts);
        parts
    }

    /// Goes on for as long as something is certain.
    fn split(&mut self, parts: &mut Vec<Part>) {
        while !self.plain {
            let on = if self.inside {
                self.close(parts)
            } else {
                self.open(parts)
            };
            if !on {
                break;
            }
        }
        if self.plain {
            let text = core::mem::take(&mut self.held);
            self.show(&text, parts);
        }
    }

    /// A token came that begins a call and is not shown.
    pub fn mark(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        if !self.inside {
            let before = core::mem::take(&mut self.held);
            self.enter(&before, "", &mut parts);
        }
        parts
    }

    /// What was held back, once no more comes.
    pub fn finish(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        self.split(&mut parts);
        let held = core::mem::take(&mut self.held);
        let text = if self.inside {
            [&self.space, self.opening, &held].concat()
        } else {
            held
        };
        self.inside = false;
        self.show(&text, &mut parts);
        parts
    }

    /// Looks for the beginning of a call; whether there is one.
    fn open(&mut self, parts: &mut Vec<Part>) -> bool {
        let Some(begin) = self.form.begin() else {
            return self.open_bare();
        };
        if let Some(at) = self.held.find(begin) {
            let rest = self.held.split_off(at + begin.len());
            let before = core::mem::replace(&mut self.held, rest);
            self.enter(before.get(..at).unwrap_or_default(), begin, parts);
            return true;
        }
        let keep = keep(&self.held, begin);
        let rest = self.held.split_off(self.held.len() - keep);
        let shown = core::mem::replace(&mut self.held, rest);
        self.show(&shown, parts);
        false
    }

    /// A call is the answer's first word, or follows another.
    fn open_bare(&mut self) -> bool {
        let between = |c: char| c.is_whitespace() || (self.after_call && c == ';');
        let rest = self.held.trim_start_matches(between);
        if rest.is_empty() {
            return false;
        }
        if !rest.starts_with('{') {
            self.plain = true;
            return false;
        }
        let rest = rest.to_owned();
        self.held.truncate(self.held.len() - rest.len());
        self.space = core::mem::replace(&mut self.held, rest);
        self.opening = "";
        self.inside = true;
        true
    }

    fn enter(&mut self, before: &str, opening: &'static str, parts: &mut Vec<Part>) {
        let shown = before.trim_end();
        self.space = before.get(shown.len()..).unwrap_or_default().to_owned();
        self.opening = opening;
        self.inside = true;
        self.show(shown, parts);
    }

    /// Looks for the end of what may be a call; whether there is one.
    fn close(&mut self, parts: &mut Vec<Part>) -> bool {
        let closed = match self.form {
            CallForm::Bare => leading(&self.held, '{', |text| Some(vec![bare(text)?])),
            CallForm::Listed => leading(&self.held, '[', listed),
            CallForm::Tagged => match self.held.split_once(END) {
                None => Closed::Open,
                Some((inner, _)) => {
                    let len = inner.len() + END.len();
                    usual(inner).map_or(Closed::Not(len), |call| Closed::Calls(vec![call], len))
                }
            },
        };
        match closed {
            Closed::Open => return false,
            Closed::Calls(calls, len) => {
                self.held.drain(..len);
                self.after_call = true;
                parts.extend(calls.into_iter().map(Part::Call));
            }
            Closed::Not(len) => {
                let own: String = self.held.drain(..len).collect();
                let text = [&core::mem::take(&mut self.space), self.opening, &own].concat();
                self.plain = self.form == CallForm::Bare;
                self.show(&text, parts);
            }
        }
        self.inside = false;
        true
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
fn keep(text: &str, begin: &str) -> usize {
    let begun = (1..begin.len()).rev();
    let begun = begun.filter_map(|len| begin.get(..len));
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

    fn whole_in(form: CallForm, answer: &str) -> Vec<Part> {
        let mut parser = ToolParser::new(form);
        let mut parts = parser.push(answer);
        parts.extend(parser.finish());
        joined(parts)
    }

    fn whole(answer: &str) -> Vec<Part> {
        whole_in(CallForm::Tagged, answer)
    }

    #[test]
    fn templates_show_their_form() {
        let cases = [
            ("[TOOL_CALLS] [{{ call | tojson }}]", Some(CallForm::Listed)),
            ("[TOOL_CALLS]{{ name }}[ARGS]{{ arguments }}", None),
            (
                r#"{{ '<tool_call>\n{"name": "' + f.name + '", "arguments": ' }}"#,
                Some(CallForm::Tagged),
            ),
            (
                r#"{{ "<tool_call>{\"name\": x, \"arguments\": y}" }}"#,
                Some(CallForm::Tagged),
            ),
            (r#"<tool_call><function=f><parameter=x> "arguments""#, None),
            ("<tool_call>{{ f.name }}<arg_key>", None),
            (
                r#"{{ '{"name": "' + f.name + '", ' }}{{ '"parameters": ' }}"#,
                Some(CallForm::Bare),
            ),
            ("{{ tools | tojson }}", None),
        ];
        for (source, form) in cases {
            assert_eq!(CallForm::of_template(source), form, "{source}");
        }
    }

    #[test]
    fn bare_calls_are_the_whole_answer() {
        let bare = |answer: &str| whole_in(CallForm::Bare, answer);
        let one = r#"{"name": "f", "parameters": {"x": "a}b"}}"#;
        let found = call("f", r#"{"x": "a}b"}"#);
        assert_eq!(bare(one), std::slice::from_ref(&found));
        assert_eq!(
            bare(&format!("\n{one}; {one}\n")),
            [found.clone(), found.clone()]
        );
        assert_eq!(bare(&format!("{one}\nDone.")), [found, text("Done.")]);
        for plain in [
            r#"{"name": "Ada", "age": 36}"#,
            r#"{"name": "f", "parameters": [1]}"#,
            r#"{"name": "f", "parameters"#,
            "{oops}",
            &format!("Look: {one}"),
            "  ",
        ] {
            assert_eq!(bare(plain), [text(plain)], "{plain}");
        }
    }

    #[test]
    fn listed_calls_follow_a_mark_that_is_shown_or_not() {
        let list = r#" [{"name": "f", "arguments": {"x": [1]}, "id": "a1"}, {"name": "g"}]"#;
        let found = [call("f", r#"{"x": [1]}"#), call("g", "{}")];
        let shown = whole_in(CallForm::Listed, &format!("I look. [TOOL_CALLS]{list}"));
        assert_eq!(shown[0], text("I look."));
        assert_eq!(shown[1..], found);
        let mut parser = ToolParser::new(CallForm::Listed);
        let mut parts = parser.push("I look. ");
        parts.extend(parser.mark());
        parts.extend(list.chars().flat_map(|c| parser.push(&c.to_string())));
        parts.extend(parser.finish());
        assert_eq!(joined(parts), shown);
        for plain in [
            "[TOOL_CALLS] none",
            "[TOOL_CALLS] []",
            "[TOOL_CALLS] [{",
            "[1]",
            "[TOOL",
        ] {
            assert_eq!(whole_in(CallForm::Listed, plain), [text(plain)], "{plain}");
        }
        let mut parser = ToolParser::new(CallForm::Listed);
        let mut parts = parser.mark();
        parts.extend(parser.push(" nothing"));
        parts.extend(parser.finish());
        assert_eq!(
            joined(parts),
            [text(" nothing")],
            "a mark that is not shown stays so"
        );
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
            form in prop::sample::select(vec![CallForm::Tagged, CallForm::Bare, CallForm::Listed]),
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "<tool_call>", "</tool_call>", "{\"name\":\"f\"}", "<tool", " ", "\n", "a", "ü", "[TOOL_CALLS]", "[TOOL", "[", "]", "{",
                    "{\"name\":\"f\",\"parameters\":{}}", ";", ",",
                ]),
                0..12,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let answer = words.concat();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
            at.retain(|&at| answer.is_char_boundary(at));
            at.push(answer.len());
            at.sort_unstable();
            let mut parser = ToolParser::new(form);
            let (mut parts, mut start) = (Vec::new(), 0);
            for end in at {
                parts.extend(parser.push(&answer[start..end]));
                start = end;
            }
            parts.extend(parser.finish());
            prop_assert_eq!(joined(parts), whole_in(form, &answer));
        }
    }
}
