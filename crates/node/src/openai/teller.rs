//! An answer in chunks: each event becomes chunks of JSON, each choice's chunks a chain of signed heads.
//!
//! A choice's first chunk says who speaks and signs what is known before the first token; each further one adds a token; the last, which comes when the receipt is kept, names it.

use std::sync::Arc;

use credence_claim::chain::{Head, Prefix};
use serde_json::{Map, Value, json};

use crate::keeper::Keeper;
use crate::openai::reply::Failure;
use crate::openai::tools::{Part, ToolParser};
use crate::openai::view::{Form, Frame, Kind, Offsets, chained, finish_reason, opening};
use crate::speech::{Ended, Event, Said, Trouble};
use credence_receipt::Kept;

/// How far one choice has come.
#[derive(Debug)]
struct Choice {
    head: Head,
    parser: Option<ToolParser>,
    calls: usize,
    drawn: usize,
    offsets: Offsets,
    ended: Option<Kept>,
}

/// Makes chunks.
pub struct Teller {
    frame: Frame,
    keeper: Arc<Keeper>,
    prefixes: Vec<Prefix>,
    choices: Vec<Choice>,
    trouble: Option<Trouble>,
    first: Option<Map<String, Value>>,
}

/// What is new in a choice.
#[derive(Clone, Copy)]
enum Shown<'a> {
    /// A token with its text.
    Token(&'a Said),
    /// Text that was held back until the end.
    Rest(&'a str),
}

/// What a chunk says of a choice.
struct Chunk {
    index: usize,
    delta: Map<String, Value>,
    reports: Value,
    finish: Option<&'static str>,
    credence: Map<String, Value>,
}

impl Teller {
    /// One prefix for each answer, in their order.
    #[must_use]
    pub fn new(frame: Frame, keeper: Arc<Keeper>, prefixes: Vec<Prefix>) -> Self {
        let choice = |prefix: &Prefix| Choice {
            head: Head::start(prefix),
            parser: frame.tools.map(ToolParser::new),
            calls: 0,
            drawn: 0,
            offsets: Offsets::default(),
            ended: None,
        };
        Self {
            choices: prefixes.iter().map(choice).collect(),
            frame,
            keeper,
            prefixes,
            trouble: None,
            first: None,
        }
    }

    /// The chunks before the first token, one for each choice.
    #[must_use]
    pub fn begin(&self) -> Vec<Value> {
        let each = self.choices.iter().zip(&self.prefixes).enumerate();
        let chunks = each.map(|(index, (choice, prefix))| {
            let mut credence = self.signed(&choice.head, &[]);
            credence.insert("stream".to_owned(), opening(prefix));
            let mut delta = self.delta("");
            if self.frame.kind == Kind::Chat {
                delta.insert("role".to_owned(), json!("assistant"));
            }
            self.chunk(Chunk {
                index,
                delta,
                reports: Value::Null,
                finish: None,
                credence,
            })
        });
        chunks.collect()
    }

    /// The chunks of an event.
    pub fn tell(&mut self, event: Event) -> Vec<Value> {
        match event {
            Event::Said(said) => self.said(&said),
            Event::Ended(ended) => self.ended(&ended),
            Event::Failed(trouble) => {
                self.trouble.get_or_insert(trouble);
                None
            }
        }
        .into_iter()
        .collect()
    }

    /// Whether every choice has ended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.choices.iter().all(|choice| choice.ended.is_some())
    }

    /// What ends the stream: a count of tokens, if it was asked for.
    ///
    /// # Errors
    /// [`Failure`] if a choice has no end.
    pub fn finish(&self) -> Result<Option<Value>, Failure> {
        if !self.is_whole() {
            let ended = self.choices.iter().map(|choice| choice.ended);
            return Err(Failure::new(self.trouble, &self.frame, ended));
        }
        if !self.frame.include_usage {
            return Ok(None);
        }
        let drawn = self.choices.iter().map(|choice| choice.drawn).sum();
        let mut body = self.frame.body(Form::Chunk, Vec::new());
        body.insert("usage".to_owned(), self.frame.usage(drawn));
        if let Some(first) = &self.first {
            body.insert("credence".to_owned(), Value::Object(first.clone()));
        }
        Ok(Some(Value::Object(body)))
    }

    fn said(&mut self, said: &Said) -> Option<Value> {
        let index = usize::try_from(said.choice).ok()?;
        let choice = self.choices.get_mut(index)?;
        let report = self.frame.reported(said, &mut choice.offsets);
        choice.drawn += 1;
        // A token and its text are far below the limit of a link.
        choice.head = choice.head.link(&[said.token], &said.text).ok()?;
        let head = choice.head;
        let reports = match &said.logprobs {
            None => Value::Null,
            Some(_) => self.frame.reports(report.as_slice()),
        };
        let mut credence = self.signed(&head, &[said.token]);
        let delta = self.shown(index, Shown::Token(said), &mut credence);
        Some(self.chunk(Chunk {
            index,
            delta,
            reports,
            finish: None,
            credence,
        }))
    }

    fn ended(&mut self, ended: &Ended) -> Option<Value> {
        let index = usize::try_from(ended.choice).ok()?;
        let choice = self.choices.get_mut(index)?;
        choice.ended = Some(ended.receipt);
        choice.head = choice.head.link(&[], &ended.text).ok()?;
        let head = choice.head;
        let mut credence = self.signed(&head, &[]);
        let delta = self.shown(index, Shown::Rest(&ended.text), &mut credence);
        let called = self.choices.get(index).is_some_and(|own| own.calls > 0);
        let own = self.frame.credence(ended);
        self.first.get_or_insert_with(|| own.clone());
        credence.extend(own);
        Some(self.chunk(Chunk {
            index,
            delta,
            reports: Value::Null,
            finish: Some(finish_reason(ended.finish, called)),
            credence,
        }))
    }

    /// What a client is shown of new text. With tools on offer that can be less or later than what was signed, which then stands in `credence`.
    fn shown(
        &mut self,
        index: usize,
        new: Shown<'_>,
        credence: &mut Map<String, Value>,
    ) -> Map<String, Value> {
        let (text, last) = match new {
            Shown::Token(said) => (said.text.as_str(), false),
            Shown::Rest(text) => (text, true),
        };
        let Some(choice) = self.choices.get_mut(index) else {
            return Map::new();
        };
        let Some(parser) = &mut choice.parser else {
            return if last && text.is_empty() && self.frame.kind == Kind::Chat {
                Map::new()
            } else {
                self.delta(text)
            };
        };
        credence.insert("text".to_owned(), json!(text));
        let mut parts = Vec::new();
        if let Shown::Token(said) = new
            && self.frame.marks(said.token)
        {
            parts.extend(parser.mark());
        }
        parts.extend(parser.push(text));
        if last {
            parts.extend(parser.finish());
        }
        let (mut content, mut calls) = (String::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(text) => content.push_str(&text),
                Part::Call(call) => {
                    let mut call = self.frame.call(&call, (index, choice.calls));
                    call["index"] = json!(choice.calls);
                    choice.calls += 1;
                    calls.push(call);
                }
            }
        }
        let mut delta = Map::new();
        if !content.is_empty() {
            delta = self.delta(&content);
        }
        if !calls.is_empty() {
            delta.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        delta
    }

    fn delta(&self, text: &str) -> Map<String, Value> {
        let name = match self.frame.kind {
            Kind::Chat => "content",
            Kind::Completion => "text",
        };
        Map::from_iter([(name.to_owned(), json!(text))])
    }

    fn signed(&self, head: &Head, tokens: &[u32]) -> Map<String, Value> {
        chained(head, &self.keeper.operator.sign_head(head), tokens)
    }

    fn chunk(&self, chunk: Chunk) -> Value {
        let mut choice = match self.frame.kind {
            Kind::Chat => Map::from_iter([("delta".to_owned(), Value::Object(chunk.delta))]),
            Kind::Completion => chunk.delta,
        };
        choice.insert("index".to_owned(), json!(chunk.index));
        choice.insert("logprobs".to_owned(), chunk.reports);
        choice.insert("finish_reason".to_owned(), json!(chunk.finish));
        let mut body = self.frame.body(Form::Chunk, vec![Value::Object(choice)]);
        if self.frame.include_usage {
            body.insert("usage".to_owned(), Value::Null);
        }
        body.insert("credence".to_owned(), Value::Object(chunk.credence));
        Value::Object(body)
    }
}
