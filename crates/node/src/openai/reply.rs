//! An answer in one piece: events are gathered until every choice has ended.

use serde_json::{Value, json};

use crate::openai::tools::{Part, ToolParser};
use crate::openai::view::{Form, Frame, Kind, Offsets, finish_reason};
use crate::speech::{Ended, Event, Said, Trouble};
use credence_receipt::Kept;

/// What was said in one choice.
#[derive(Debug, Default)]
struct Choice {
    text: String,
    parser: Option<ToolParser>,
    /// What the parser made of the text.
    parts: Vec<Part>,
    drawn: usize,
    offsets: Offsets,
    reports: Vec<Value>,
    reported: bool,
    ended: Option<Ended>,
}

/// Why an answer is not whole, and what of it has a receipt all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("of {answers} answers, {} ended with a receipt", kept.len())]
pub struct Failure {
    /// Answers that were asked for.
    answers: usize,
    /// What happened first.
    #[source]
    pub trouble: Trouble,
    /// The parameter at fault, if it is one.
    pub param: Option<&'static str>,
    /// Choices that ended, with their receipts.
    pub kept: Vec<(usize, Kept)>,
}

impl Failure {
    /// `ended` has each choice's receipt, if it has one, in their order.
    pub(super) fn new(
        trouble: Option<Trouble>,
        frame: &Frame,
        ended: impl Iterator<Item = Option<Kept>>,
    ) -> Self {
        let trouble = trouble.unwrap_or(Trouble::Run);
        let kept = ended.enumerate();
        Self {
            answers: frame.answers,
            param: frame.grammar.filter(|_| trouble == Trouble::Grammar),
            trouble,
            kept: kept
                .filter_map(|(index, kept)| Some((index, kept?)))
                .collect(),
        }
    }
}

/// Gathers events.
#[derive(Debug)]
pub struct Reply {
    frame: Frame,
    choices: Vec<Choice>,
    trouble: Option<Trouble>,
}

impl Reply {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(frame: Frame) -> Self {
        let choices = (0..frame.answers).map(|_| Choice {
            parser: frame.tools.map(ToolParser::new),
            ..Choice::default()
        });
        Self {
            choices: choices.collect(),
            frame,
            trouble: None,
        }
    }

    /// Takes an event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Said(said) => self.said(&said),
            Event::Ended(ended) => {
                if let Some(own) = choice_of(&mut self.choices, ended.choice) {
                    own.text.push_str(&ended.text);
                    if let Some(parser) = &mut own.parser {
                        own.parts.extend(parser.push(&ended.text));
                        own.parts.extend(parser.finish());
                    }
                    own.ended = Some(ended);
                }
            }
            Event::Failed(trouble) => {
                self.trouble.get_or_insert(trouble);
            }
        }
    }

    fn said(&mut self, said: &Said) {
        let Some(own) = choice_of(&mut self.choices, said.choice) else {
            return;
        };
        own.text.push_str(&said.text);
        if let Some(parser) = &mut own.parser {
            if self.frame.marks(said.token) {
                own.parts.extend(parser.mark());
            }
            own.parts.extend(parser.push(&said.text));
        }
        own.drawn += 1;
        own.reported |= said.logprobs.is_some();
        let report = self.frame.reported(said, &mut own.offsets);
        own.reports.extend(report);
    }

    /// Whether every choice has ended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.choices.iter().all(|choice| choice.ended.is_some())
    }

    /// The body, and the first choice's receipt.
    ///
    /// # Errors
    /// [`Failure`] if a choice has no end, with the reason that was told first.
    pub fn finish(&self) -> Result<(Value, Kept), Failure> {
        let trouble = || {
            let ended = self.choices.iter().map(|choice| choice.ended.as_ref());
            let ended = ended.map(|ended| ended.map(|ended| ended.receipt));
            Failure::new(self.trouble, &self.frame, ended)
        };
        let mut choices = Vec::new();
        let mut first = None;
        for (index, choice) in self.choices.iter().enumerate() {
            let ended = choice.ended.as_ref().ok_or_else(trouble)?;
            choices.push(self.choice(index, choice, ended));
            first.get_or_insert(ended);
        }
        let first = first.ok_or_else(trouble)?;
        let mut body = self.frame.body(Form::Whole, choices);
        let drawn = self.choices.iter().map(|choice| choice.drawn).sum();
        body.insert("usage".to_owned(), self.frame.usage(drawn));
        body.insert("credence".to_owned(), self.frame.credence(first).into());
        Ok((Value::Object(body), first.receipt))
    }

    fn choice(&self, index: usize, choice: &Choice, ended: &Ended) -> Value {
        let reports = choice.reported.then(|| self.frame.reports(&choice.reports));
        let credence = json!({
            "receipt": ended.receipt.digest.to_string(),
            "bundle": ended.receipt.path(),
            "finish": ended.finish.as_str(),
        });
        if self.frame.kind == Kind::Completion {
            return json!({
                "index": index,
                "text": choice.text,
                "logprobs": reports,
                "finish_reason": finish_reason(ended.finish, false),
                "credence": credence,
            });
        }
        let (message, called) = self.message(index, choice);
        json!({
            "index": index,
            "message": message,
            "logprobs": reports,
            "finish_reason": finish_reason(ended.finish, called),
            "credence": credence,
        })
    }

    /// The message, and whether it calls a tool. What was signed is the text with the calls in it, as the receipt's output has it.
    fn message(&self, index: usize, choice: &Choice) -> (Value, bool) {
        let plain = json!({"role": "assistant", "content": choice.text, "refusal": null});
        let (mut content, mut calls) = (String::new(), Vec::new());
        for part in &choice.parts {
            match part {
                Part::Text(text) => content.push_str(text),
                Part::Call(call) => calls.push(self.frame.call(call, (index, calls.len()))),
            }
        }
        if calls.is_empty() {
            return (plain, false);
        }
        let content = (!content.is_empty()).then_some(content);
        let message = json!({
            "role": "assistant",
            "content": content,
            "refusal": null,
            "tool_calls": calls,
        });
        (message, true)
    }
}

fn choice_of(choices: &mut [Choice], number: u32) -> Option<&mut Choice> {
    choices.get_mut(usize::try_from(number).ok()?)
}
