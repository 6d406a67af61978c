//! Renders a conversation by a model's chat template.
//!
//! The templates are Jinja as Hugging Face's `apply_chat_template` runs it: blocks are trimmed, `raise_exception`, `tojson` as Python
//! writes it, `strftime_now`, methods of Python's strings and dicts, `break` and `continue`. The engine is minijinja, with no loader, no
//! include and no access to files, environment or clock: what the template reads is the conversation and the model's special tokens.
//!
//! ```text
//! Conversation ──check──▶ values ──minijinja, on its own stack, with fuel──▶ text of at most OUTPUT_BYTES_MAX
//! ```
//!
//! Where this differs from Python: keys of objects come in sorted order, not in the order they were written, so that two spellings of one
//! conversation are one; a `bool` or `none` joined with `~` (not printed) is spelt as minijinja spells it; and a loop over
//! `none` is a loop over nothing, where Python stops.
//!
//! What is bounded is the number of steps, not what one step does: a template written to do so can double a string with each step until memory is
//! gone. A template is part of a model, so it is the operator who chooses it; nothing in a conversation makes an honest one do that.

mod date;
mod python;

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};

use crate::error::{TextError, shown};
use crate::spec::TEMPLATE_BYTES_MAX;
use crate::text::TEXT_BYTES_MAX;
use date::Date;

/// Messages, and tools, of a conversation, at most.
pub const MESSAGES_MAX: usize = 4096;
/// Bytes of a conversation, at most: of all its texts, and [`NODE_BYTES`] for each value.
pub const CONVERSATION_BYTES_MAX: usize = 4 << 20;
/// What a value counts for beside its text.
const NODE_BYTES: usize = 16;
/// Levels of lists and objects in a conversation, at most.
pub const CONVERSATION_DEPTH_MAX: usize = 32;
/// Bytes that a template may write: as many as can be tokenised.
const OUTPUT_BYTES_MAX: usize = TEXT_BYTES_MAX;
/// Steps of the template engine, at most. Templates of published models take about a hundred for each message.
const STEPS_MAX: u64 = 300_000;
/// A step can nest a value one level deeper, and what recurses into it takes some 400 bytes for each: this is four times what can be needed.
/// Pages that are not touched cost nothing.
const STACK_BYTES: usize = 512 << 20;
const NAME: &str = "chat_template";
/// What a template is given by other ways than [`Conversation::extra`].
const TAKEN: [&str; 10] = [
    "add_generation_prompt",
    "bos_token",
    "eos_token",
    "messages",
    "namespace",
    "pad_token",
    "raise_exception",
    "strftime_now",
    "tools",
    "unk_token",
];

/// What a chat template renders.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The messages, each an object with `role`, `content` and what else the template reads; at most [`MESSAGES_MAX`].
    pub messages: Vec<serde_json::Value>,
    /// The tools on offer, if any; at most [`MESSAGES_MAX`].
    pub tools: Option<Vec<serde_json::Value>>,
    /// Whether the text ends with the beginning of the assistant's turn.
    pub add_generation_prompt: bool,
    /// The date that the template may read, such as `2025-01-31`; without it `strftime_now` is not defined.
    pub date: Option<String>,
    /// Further values that the template may read, such as `enable_thinking`.
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// What a template gave to `raise_exception`.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("raised by the template")
    }
}

impl core::error::Error for Raised {}

/// A chat template that parses.
pub(crate) struct Template {
    env: Arc<Environment<'static>>,
    tokens: Vec<(&'static str, String)>,
    /// Names that it looks up and does not set itself before.
    reads: BTreeSet<String>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template. `tokens` are the texts of special tokens, by the name it knows them by.
    pub(crate) fn new(
        source: &str,
        tokens: Vec<(&'static str, String)>,
    ) -> Result<Self, TextError> {
        if source.len() > TEMPLATE_BYTES_MAX {
            return Err(TextError::TooLong {
                what: "chat template",
                max: TEMPLATE_BYTES_MAX,
                got: source.len(),
            });
        }
        let source = source.to_owned();
        let parsed = on_own_stack(move || {
            let env = environment(source)?;
            let reads = env.get_template(NAME)?.undeclared_variables(false);
            Ok((env, reads))
        })?;
        let (env, reads) = parsed.map_err(|source: Error| TextError::TemplateSyntax {
            line: source.line().unwrap_or(0),
            source: Box::new(source),
        })?;
        Ok(Self {
            env: Arc::new(env),
            tokens,
            reads: reads.into_iter().collect(),
        })
    }

    /// Whether it looks up a variable of that name before it sets one itself, on some way through it.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.reads.contains(name)
    }

    pub(crate) fn source(&self) -> String {
        let template = self.env.get_template(NAME);
        template.map_or_else(|_| String::new(), |own| own.source().to_owned())
    }

    pub(crate) fn render(&self, conversation: &Conversation) -> Result<String, TextError> {
        let values = self.values(conversation)?;
        let env = Arc::clone(&self.env);
        on_own_stack(move || {
            let mut output = Limited {
                bytes: Vec::new(),
                full: false,
            };
            let rendered = env
                .get_template(NAME)
                .and_then(|template| template.render_captured_to(values, &mut output).map(drop));
            match rendered {
                Err(_) if output.full => Err(TextError::TemplateOutput {
                    max: OUTPUT_BYTES_MAX,
                }),
                Err(error) => Err(failure(error)),
                Ok(()) => Ok(String::from_utf8_lossy(&output.bytes).into_owned()),
            }
        })?
    }

    fn values(&self, conversation: &Conversation) -> Result<BTreeMap<String, Value>, TextError> {
        check(conversation)?;
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        for (name, value) in &conversation.extra {
            if TAKEN.contains(&name.as_str()) {
                return Err(TextError::ExtraName { name: shown(name) });
            }
            values.insert(name.clone(), converted(value));
        }
        for (name, text) in &self.tokens {
            values.insert((*name).to_owned(), Value::from(text.as_str()));
        }
        if let Some(date) = &conversation.date {
            let date = Date::parse(date).ok_or(TextError::Date)?;
            let now = Value::from_function(move |format: &str| {
                date.format(format).ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidOperation,
                        "strftime_now knows dates alone",
                    )
                })
            });
            values.insert("strftime_now".to_owned(), now);
        }
        let mut put = |name: &str, value| values.insert(name.to_owned(), value);
        put(
            "messages",
            conversation.messages.iter().map(converted).collect(),
        );
        let tools = conversation.tools.as_deref();
        put(
            "tools",
            tools.map_or_else(none, |tools| tools.iter().map(converted).collect()),
        );
        put(
            "add_generation_prompt",
            Value::from(conversation.add_generation_prompt),
        );
        Ok(values)
    }
}

/// Runs `work` on a thread of its own, since what a template nests is recursed into. A panic in the engine becomes an error.
fn on_own_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TextError> {
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|source| TextError::TemplateThread { source })?;
    thread.join().map_err(|_| TextError::TemplateStopped)
}

fn environment(source: String) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    env.set_syntax(syntax);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(STEPS_MAX));
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_formatter(|out, _, value| {
        let text = python::text(value)?;
        out.write_str(&text).map_err(Error::from)
    });
    env.add_filter("tojson", python::tojson);
    env.add_filter("string", |value: Value| python::text(&value));
    // Each of these writes as much as a number says, and no chat template needs them.
    for filter in ["batch", "format", "indent", "pprint", "slice"] {
        env.remove_filter(filter);
    }
    env.add_filter("indent", python::indent);
    env.remove_global("debug");
    env.add_function(
        "raise_exception",
        |message: Value| -> Result<Value, Error> {
            let message = message.as_str().map_or_else(String::new, shown);
            let error = Error::new(ErrorKind::InvalidOperation, "raised by the template");
            Err(error.with_source(Raised(message)))
        },
    );
    env.add_template_owned(NAME, source)?;
    Ok(env)
}

/// What the engine's error is in our terms.
fn failure(error: Error) -> TextError {
    let mut cause: Option<&(dyn core::error::Error + 'static)> = Some(&error);
    while let Some(now) = cause {
        if let Some(Raised(message)) = now.downcast_ref() {
            return TextError::TemplateRaised {
                message: message.clone(),
            };
        }
        if let Some(ErrorKind::OutOfFuel) = now.downcast_ref().map(Error::kind) {
            return TextError::TemplateSteps { max: STEPS_MAX };
        }
        cause = now.source();
    }
    TextError::TemplateFails {
        line: error.line().unwrap_or(0),
        source: Box::new(error),
    }
}

/// Takes at most [`OUTPUT_BYTES_MAX`].
struct Limited {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for &mut Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > OUTPUT_BYTES_MAX.saturating_sub(self.bytes.len()) {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check(conversation: &Conversation) -> Result<(), TextError> {
    let tools = conversation.tools.as_deref().unwrap_or_default();
    for (what, got) in [
        ("messages", conversation.messages.len()),
        ("tools", tools.len()),
        ("extra template values", conversation.extra.len()),
    ] {
        if got > MESSAGES_MAX {
            return Err(TextError::TooMany {
                what,
                max: MESSAGES_MAX,
                got,
            });
        }
    }
    let names: usize = conversation.extra.keys().map(String::len).sum();
    let mut bytes = names;
    let values = conversation.messages.iter().chain(tools);
    for value in values.chain(conversation.extra.values()) {
        bytes = bytes.saturating_add(weight(value, CONVERSATION_DEPTH_MAX)?);
    }
    if bytes > CONVERSATION_BYTES_MAX {
        return Err(TextError::TooLong {
            what: "conversation",
            max: CONVERSATION_BYTES_MAX,
            got: bytes,
        });
    }
    Ok(())
}

fn none() -> Value {
    Value::from(())
}

/// A JSON value as the engine's; the nesting has been checked.
fn converted(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => none(),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => number.as_f64().map_or_else(none, Value::from),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(values) => values.iter().map(converted).collect(),
        Json::Object(values) => Value::from_pairs(
            values
                .iter()
                .map(|(key, value)| (key.as_str(), converted(value))),
        ),
    }
}

/// What a value counts for, if it nests at most `depth` deep.
fn weight(value: &serde_json::Value, depth: usize) -> Result<usize, TextError> {
    use serde_json::Value as Json;
    let below = || {
        depth.checked_sub(1).ok_or(TextError::TooDeep {
            max: CONVERSATION_DEPTH_MAX,
        })
    };
    let inner = match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(values) => {
            let below = below()?;
            let each = values.iter().map(|value| weight(value, below));
            each.sum::<Result<usize, _>>()?
        }
        Json::Object(values) => {
            let below = below()?;
            let each = values
                .iter()
                .map(|(key, value)| Ok(key.len() + weight(value, below)?));
            each.sum::<Result<usize, TextError>>()?
        }
    };
    Ok(inner + NODE_BYTES)
}
