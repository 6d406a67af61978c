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
//! Bounded are the number of steps, what is written, and how much memory the values take that a template makes ([`measure`]): for that the engine is given not the template's tree but one with guards
//! in it ([`guard`]). It is made and compiled anew for each rendering, which takes about as long as rendering does.

mod date;
mod guard;
mod measure;
mod python;

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::machinery::{CodeGenerator, Instructions, eval, make_string_output, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, StringInput};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value, filters};

use crate::error::{TextError, shown};
use crate::spec::TEMPLATE_BYTES_MAX;
use crate::text::TEXT_BYTES_MAX;
use date::Date;
use guard::Guard;
use measure::{MADE_BYTES_MAX, TooLarge};

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
/// Steps of the template engine, at most, guards among them. Templates of published models take less than two hundred for each message.
const STEPS_MAX: u64 = 500_000;
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
    source: Arc<str>,
    tokens: Vec<(&'static str, String)>,
    /// Names that it looks up.
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
        let source: Arc<str> = source.into();
        let own = Arc::clone(&source);
        let parsed = on_own_stack(move || {
            let mut guard = Guard::default();
            compile(&own, &mut guard)?;
            Ok((environment()?, guard.reads))
        })?;
        let (env, reads) = parsed.map_err(|source: Error| TextError::TemplateSyntax {
            line: source.line().unwrap_or(0),
            source: Box::new(source),
        })?;
        Ok(Self {
            env: Arc::new(env),
            source,
            tokens,
            reads,
        })
    }

    /// Whether it looks up a variable of that name.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.reads.contains(name)
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn render(&self, conversation: &Conversation) -> Result<String, TextError> {
        let values = self.values(conversation)?;
        let (env, source) = (Arc::clone(&self.env), Arc::clone(&self.source));
        on_own_stack(move || {
            let output = run(&env, &source, values).map_err(failure)?;
            if output.len() > OUTPUT_BYTES_MAX {
                return Err(TextError::TemplateOutput {
                    max: OUTPUT_BYTES_MAX,
                });
            }
            Ok(output)
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

/// Instructions of a template, and of the blocks in it.
type Compiled<'a> = (Instructions<'a>, BTreeMap<&'a str, Instructions<'a>>);

/// Parses a template, puts guards in and compiles it.
fn compile<'a>(source: &'a str, guard: &mut Guard) -> Result<Compiled<'a>, Error> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    let tree = guard.statement(&parse(source, NAME, syntax)?);
    let mut generator = CodeGenerator::new(NAME, source);
    generator.compile_stmt(&tree);
    Ok(generator.finish())
}

fn run(
    env: &Environment<'_>,
    source: &str,
    values: BTreeMap<String, Value>,
) -> Result<String, Error> {
    let (instructions, blocks) = compile(source, &mut Guard::default())?;
    let mut text = String::new();
    let mut output = make_string_output(&mut text);
    let values = Value::from(values);
    eval(
        env,
        &instructions,
        values,
        &blocks,
        &mut output,
        AutoEscape::None,
    )?;
    drop(output);
    Ok(text)
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(STEPS_MAX));
    env.set_unknown_method_callback(measure::method);
    env.set_formatter(|out, _, value| {
        let text = python::text(value)?;
        measure::made(text.len())?;
        out.write_str(&text).map_err(Error::from)
    });
    env.add_filter(guard::WEIGH, measure::weigh);
    env.add_filter(guard::KEEP, measure::keep);
    env.add_filter(guard::ASSIGN, measure::assign);
    env.add_filter("join", join);
    env.add_filter("replace", replace);
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
    Ok(env)
}

/// The engine's filter, but for what would be too large.
fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let named: Option<StringInput<'_>> = options.get("d")?;
    let between = joiner.as_ref().or(named.as_ref());
    measure::joins(value, between.map_or("", |own| own.as_str()))?;
    filters::join(state, value, joiner, attribute, options)
}

/// As [`join`].
fn replace(
    state: &mut State<'_, '_>,
    value: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<Value, Error> {
    measure::replaces(value.as_str(), from.as_str(), to.as_str())?;
    filters::replace(state, value, from, to)
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
        if now.is::<TooLarge>() {
            return TextError::TemplateMemory {
                max: MADE_BYTES_MAX,
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
