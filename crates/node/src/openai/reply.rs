//! An answer in one piece: events are gathered until every choice has ended.

use serde_json::{Value, json};

use crate::openai::tools::{Part, ToolParser};
use crate::openai::view::{Form, Frame, Kind, finish_reason};
use crate::speech::{Ended, Event, Said, Trouble};
use credence_receipt::Kept;

/// What was said in one choice.
#[derive(Debug, Default)]
struct Choice {
    text: String,
    drawn: usize,
    reports: Vec<Value>,
    reported: bool,
    ended: Option<Ended>,
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
        let choices = (0..frame.answers).map(|_| Choice::default());
        Self {
            choices: choices.collect(),
            frame,
            trouble: None,
        }
    }

    /// Takes an event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Said(said) => {
                let report = self.frame.reported(&said);
                let Said {
                    choice,
                    text,
                    logprobs,
                    ..
                } = said;
                if let Some(own) = choice_of(&mut self.choices, choice) {
                    own.text.push_str(&text);
                    own.drawn += 1;
                    own.reported |= logprobs.is_some();
                    own.reports.extend(report);
                }
            }
            Event::Ended(ended) => {
                if let Some(own) = choice_of(&mut self.choices, ended.choice) {
                    own.text.push_str(&ended.text);
                    own.ended = Some(ended);
                }
            }
            Event::Failed(trouble) => self.trouble = Some(trouble),
        }
    }

    /// Whether every choice has ended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.choices.iter().all(|choice| choice.ended.is_some())
    }

    /// The body, and the first choice's receipt.
    ///
    /// # Errors
    /// [`Trouble`] if a choice has no end, for the reason that was told.
    pub fn finish(&self) -> Result<(Value, Kept), Trouble> {
        let trouble = || self.trouble.unwrap_or(Trouble::Run);
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
        let reports = choice
            .reported
            .then(|| self.frame.reports(&choice.reports, 0));
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
        let (message, called) = self.message(index, &choice.text);
        json!({
            "index": index,
            "message": message,
            "logprobs": reports,
            "finish_reason": finish_reason(ended.finish, called),
            "credence": credence,
        })
    }

    /// The message, and whether it calls a tool. What was signed is the text with the calls in it, as the receipt's output has it.
    fn message(&self, index: usize, text: &str) -> (Value, bool) {
        let plain = json!({"role": "assistant", "content": text, "refusal": null});
        if !self.frame.tools {
            return (plain, false);
        }
        let mut parser = ToolParser::default();
        let mut parts = parser.push(text);
        parts.extend(parser.finish());
        let (mut content, mut calls) = (String::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(text) => content.push_str(&text),
                Part::Call(call) => calls.push(self.frame.call(&call, (index, calls.len()))),
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
