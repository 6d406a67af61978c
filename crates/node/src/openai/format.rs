//! What an answer must be: `response_format`, and a `tool_choice` that forces a call. Both become a grammar, which the answer's parameters then hold.
//!
//! Schemas are read as the client spelt them, since the order of their members is the order of the answer's.

use credence_exec::sampling::GrammarText;
use credence_grammar::{Grammar, GrammarError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::error::RequestError;
use crate::openai::fields::Fields;

const FORMAT: &str = "response_format";
const CHOICE: &str = "tool_choice";
/// The schema of any JSON object.
const ANY_OBJECT: &str = r#"{"type":"object"}"#;
/// A function without parameters takes none.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;

/// What `tool_choice` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    /// The model calls or does not.
    Auto,
    /// There are no tools.
    None,
    /// Some tool is called.
    Required,
    /// That tool is called.
    Named(String),
}

/// A tool, as far as a forced call needs it.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedChoice {
    r#type: String,
    function: NamedFunction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedFunction {
    name: String,
}

fn kept(grammar: &Grammar) -> GrammarText {
    GrammarText {
        kind: grammar.kind().code(),
        text: grammar.text().to_owned(),
    }
}

/// The parameter that a grammar came from.
#[must_use]
pub const fn grammar_param(grammar: &GrammarText) -> &'static str {
    match grammar.kind {
        1 => FORMAT,
        _ => CHOICE,
    }
}

fn refused(param: &'static str) -> impl Fn(GrammarError) -> RequestError {
    move |source| RequestError::Grammar { param, source }
}

fn wrong(param: &'static str, expected: &'static str) -> RequestError {
    RequestError::Kind {
        param: param.to_owned(),
        expected,
    }
}

fn object(raw: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(raw.get()).ok()
}

/// Takes `response_format`; nothing if the answer may be any text. Name and description of a schema are the client's own, and `strict` asks for what is done anyway.
pub(super) fn read_format(fields: &mut Fields<'_>) -> Result<Option<GrammarText>, RequestError> {
    let Some(raw) = fields.take(FORMAT) else {
        return Ok(None);
    };
    let expected = "an object of the type `text`, `json_object`, or `json_schema` with a `json_schema` of `name` and `schema`";
    let unfit = || wrong(FORMAT, expected);
    let mut format = object(raw).ok_or_else(unfit)?;
    let kind = format.text("type").map_err(|_| unfit())?;
    let schema = match kind.as_deref() {
        Some("text") => None,
        Some("json_object") => Some(ANY_OBJECT),
        Some("json_schema") => {
            let named = format.take("json_schema").ok_or_else(unfit)?;
            let mut named = object(named).ok_or_else(unfit)?;
            named.flag("strict").map_err(|_| unfit())?;
            named.take("name");
            named.take("description");
            let schema = named.take("schema").ok_or_else(unfit)?;
            named.finish().map_err(|_| unfit())?;
            Some(schema.get())
        }
        _ => return Err(unfit()),
    };
    format.finish().map_err(|_| unfit())?;
    let grammar = schema.map(Grammar::schema).transpose();
    Ok(grammar.map_err(refused(FORMAT))?.as_ref().map(kept))
}

/// Takes `tool_choice`.
pub(super) fn read_choice(fields: &mut Fields<'_>) -> Result<ToolChoice, RequestError> {
    let Some(raw) = fields.take(CHOICE) else {
        return Ok(ToolChoice::Auto);
    };
    let expected = "`auto`, `none`, `required`, or the name of a function to call";
    if let Ok(named) = serde_json::from_str::<NamedChoice>(raw.get())
        && named.r#type == "function"
    {
        return Ok(ToolChoice::Named(named.function.name));
    }
    match serde_json::from_str::<String>(raw.get()).as_deref() {
        Ok("auto") => Ok(ToolChoice::Auto),
        Ok("none") => Ok(ToolChoice::None),
        Ok("required") => Ok(ToolChoice::Required),
        _ => Err(wrong(CHOICE, expected)),
    }
}

/// The grammar of a call that a choice forces; nothing if it forces none.
pub(super) fn forced(
    choice: &ToolChoice,
    tools: Option<&RawValue>,
) -> Result<Option<GrammarText>, RequestError> {
    let named = match choice {
        ToolChoice::Auto | ToolChoice::None => return Ok(None),
        ToolChoice::Required => None,
        ToolChoice::Named(name) => Some(name),
    };
    let expected = "with the tools that it forces a call of in `tools`";
    let tools: Option<Vec<Tool<'_>>> = tools.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let tools = tools.unwrap_or_default().into_iter();
    let wanted = tools.filter(|tool| named.is_none_or(|name| *name == tool.function.name));
    let wanted: Vec<(String, String)> = wanted
        .map(|Tool { function }| {
            let parameters = function.parameters.map_or(NO_PARAMETERS, RawValue::get);
            (function.name, parameters.to_owned())
        })
        .collect();
    if wanted.is_empty() {
        return Err(wrong(CHOICE, expected));
    }
    let grammar = Grammar::calls(&wanted).map_err(refused(CHOICE))?;
    Ok(Some(kept(&grammar)))
}
