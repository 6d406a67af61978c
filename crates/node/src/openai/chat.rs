//! `POST /v1/chat/completions`: messages and tools, for the model's template.
//!
//! Messages reach the template nearly as they came. What is changed is what templates cannot read in OpenAI's form: a list of texts becomes one text, lines apart; the role
//! `developer` becomes `system`; a tool call's arguments become the object that their text spells; members that are `null` go. The claim holds what the template got.

use std::collections::BTreeMap;

use credence_text::Conversation;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::openai::asked::{self, Asked, logprobs_max, only};
use crate::openai::error::RequestError;
use crate::openai::fields::Fields;
use crate::openai::format::{ToolChoice, forced, read_choice, read_format};

/// A request for chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// What it has in common with others.
    pub asked: Asked,
    /// For the template.
    pub conversation: Conversation,
    /// Whether tools are on offer, so that calls are looked for in the answer.
    pub tools: bool,
}

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];
/// Members of a message that the template gets.
const MEMBERS: [&str; 6] = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "reasoning_content",
];

/// Reads the body.
///
/// # Errors
/// [`RequestError`], naming the parameter at fault.
pub fn read_chat(body: &[u8]) -> Result<Chat, RequestError> {
    let mut fields = Fields::read(body)?;
    let whole = (1, u64::from(u32::MAX));
    let old = fields.count("max_tokens", whole)?;
    let new = fields.count("max_completion_tokens", whole)?;
    let max_tokens = match (old, new) {
        (Some(old), Some(new)) if old != new => {
            return Err(RequestError::Contradiction {
                param: "max_tokens",
                other: "max_completion_tokens",
            });
        }
        (old, new) => new.or(old).and_then(|max| u32::try_from(max).ok()),
    };
    let wanted = fields.flag("logprobs")?;
    let top = fields.count("top_logprobs", (0, logprobs_max()))?;
    if top.is_some_and(|top| top > 0) && !wanted {
        return Err(RequestError::Unsupported {
            param: "top_logprobs".to_owned(),
            instead: "it needs `logprobs`: set it to true",
        });
    }
    let top = usize::try_from(top.unwrap_or(0)).unwrap_or(0);
    let mut asked = asked::read(&mut fields, max_tokens, wanted.then_some(top))?;
    let format = read_format(&mut fields)?;
    let choice = read_choice(&mut fields)?;
    let raw_tools = fields.take("tools");
    let call = forced(&choice, raw_tools)?;
    let tools = tools(raw_tools, &choice)?;
    // A forced call is one call, which is what either value asks for.
    let parallel = match call {
        Some(_) => vec![json!(true), json!(false)],
        None => vec![json!(true)],
    };
    let instead = "how many tools are called is the model's choice; leave it out";
    only(&mut fields, "parallel_tool_calls", &parallel, instead)?;
    if format.is_some() && tools.is_some() {
        return Err(RequestError::Contradiction {
            param: "response_format",
            other: "tools",
        });
    }
    asked.settings.grammar = format.or(call);
    let extra: Option<BTreeMap<String, Value>> = fields.typed(
        "chat_template_kwargs",
        "an object of values for the template",
    )?;
    let messages: Option<Vec<Value>> = fields.typed("messages", "a list of messages")?;
    let messages = messages.ok_or(RequestError::Missing { param: "messages" })?;
    let messages = messages.into_iter().enumerate();
    let messages: Result<Vec<Value>, RequestError> = messages
        .map(|(at, message)| read_message(at, message))
        .collect();
    fields.finish()?;
    Ok(Chat {
        conversation: Conversation {
            messages: messages?,
            add_generation_prompt: true,
            date: asked.date.take(),
            extra: extra.unwrap_or_default(),
            tools: tools.clone(),
        },
        tools: tools.is_some(),
        asked,
    })
}

/// The tools on offer, unless the client says that none may be called. A tool that is `strict` is one that a call is forced of: with `auto` nothing would hold the call to its schema.
fn tools(raw: Option<&RawValue>, choice: &ToolChoice) -> Result<Option<Vec<Value>>, RequestError> {
    let read = |raw: &RawValue| {
        serde_json::from_str(raw.get()).map_err(|_| wrong("tools".to_owned(), "a list of tools"))
    };
    let tools: Option<Vec<Value>> = raw.map(read).transpose()?;
    for (at, tool) in tools.iter().flatten().enumerate() {
        if tool.get("type") != Some(&json!("function")) || !tool["function"]["name"].is_string() {
            return Err(RequestError::Kind {
                param: format!("tools[{at}]"),
                expected: "a tool of the type `function`, with a name",
            });
        }
        let param = || format!("tools[{at}].function.strict");
        match tool["function"].get("strict") {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) if *choice == ToolChoice::Auto => {
                return Err(RequestError::Unsupported {
                    param: param(),
                    instead: "with the `tool_choice` `auto` calls are held to no schema; leave it out, or force a call by `required` or a function's name",
                });
            }
            Some(Value::Bool(true)) => {}
            Some(_) => return Err(wrong(param(), "true or false")),
        }
    }
    Ok(tools.filter(|tools| !tools.is_empty() && *choice != ToolChoice::None))
}

fn wrong(param: String, expected: &'static str) -> RequestError {
    RequestError::Kind { param, expected }
}

fn read_message(at: usize, message: Value) -> Result<Value, RequestError> {
    let whose = format!("messages[{at}]");
    let Value::Object(members) = message else {
        return Err(wrong(whose, "an object"));
    };
    let mut read = Map::new();
    for (name, value) in members {
        let param = format!("{whose}.{name}");
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("annotations", Value::Array(none)) if none.is_empty() => {}
            ("role", Value::String(role)) => {
                read.insert(name, Value::String(read_role(role, param)?));
            }
            ("content", value) => {
                read.insert(name, read_content(value, &param)?);
            }
            ("tool_calls", value) => {
                read.insert(name, read_calls(value, &param)?);
            }
            (known, value) if MEMBERS.contains(&known) => match value {
                Value::String(_) => {
                    read.insert(name, value);
                }
                _ => return Err(wrong(param, "a text")),
            },
            (_, _) => return Err(RequestError::Unknown { param }),
        }
    }
    if !read.contains_key("role") {
        return Err(wrong(format!("{whose}.role"), "there"));
    }
    let calls = read.contains_key("tool_calls");
    // Templates ask for the content of every message.
    let content = read.entry("content").or_insert(Value::Null);
    if content.is_null() {
        if !calls {
            return Err(wrong(format!("{whose}.content"), "a text"));
        }
        *content = json!("");
    }
    Ok(Value::Object(read))
}

fn read_role(role: String, param: String) -> Result<String, RequestError> {
    if !ROLES.contains(&role.as_str()) {
        let expected = "`system`, `developer`, `user`, `assistant` or `tool`";
        return Err(wrong(param, expected));
    }
    Ok(if role == "developer" {
        "system".to_owned()
    } else {
        role
    })
}

fn read_content(value: Value, param: &str) -> Result<Value, RequestError> {
    let parts = match value {
        Value::String(_) => return Ok(value),
        Value::Array(parts) => parts,
        _ => return Err(wrong(param.to_owned(), "a text or a list of parts")),
    };
    let mut texts = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        let param = format!("{param}[{at}]");
        let text = match (part.get("type").and_then(Value::as_str), part.get("text")) {
            (Some("text"), Some(Value::String(text))) => text.clone(),
            (Some("text"), _) => return Err(wrong(param, "a part with a text")),
            (Some(_), _) => {
                return Err(RequestError::Unsupported {
                    param: format!("{param}.type"),
                    instead: "parts are of the type `text`",
                });
            }
            (None, _) => return Err(wrong(param, "a part with a type")),
        };
        if part.as_object().is_some_and(|part| part.len() != 2) {
            return Err(wrong(param, "a part of `type` and `text` alone"));
        }
        texts.push(text);
    }
    Ok(Value::String(texts.join("\n")))
}

fn read_calls(value: Value, param: &str) -> Result<Value, RequestError> {
    let Value::Array(mut calls) = value else {
        return Err(wrong(param.to_owned(), "a list of calls"));
    };
    for (at, call) in calls.iter_mut().enumerate() {
        let own = format!("{param}[{at}]");
        let Value::Object(members) = call else {
            return Err(wrong(own, "an object"));
        };
        members.retain(|_, value| !value.is_null());
        for (name, value) in members.iter() {
            let param = || format!("{own}.{name}");
            match (name.as_str(), value) {
                ("function", _) | ("id", Value::String(_)) => {}
                ("id", _) => return Err(wrong(param(), "a text")),
                ("type", Value::String(kind)) if kind == "function" => {}
                ("type", _) => return Err(wrong(param(), "`function`")),
                (_, _) => return Err(RequestError::Unknown { param: param() }),
            }
        }
        let own = format!("{own}.function");
        let Some(Value::Object(function)) = members.get_mut("function") else {
            return Err(wrong(own, "an object"));
        };
        read_function(function, &own)?;
    }
    Ok(Value::Array(calls))
}

fn read_function(function: &mut Map<String, Value>, param: &str) -> Result<(), RequestError> {
    function.retain(|_, value| !value.is_null());
    let known = |name: &&String| ["name", "arguments"].contains(&name.as_str());
    if let Some(name) = function.keys().find(|name| !known(name)) {
        let param = format!("{param}.{name}");
        return Err(RequestError::Unknown { param });
    }
    if !function.get("name").is_some_and(Value::is_string) {
        return Err(wrong(format!("{param}.name"), "a text"));
    }
    if let Some(arguments) = function.get_mut("arguments") {
        let spelt = match &*arguments {
            Value::String(text) => serde_json::from_str(text).ok(),
            Value::Object(_) => Some(arguments.clone()),
            _ => None,
        };
        let spelt = spelt.filter(Value::is_object);
        let expected = "the text of a JSON object";
        *arguments = spelt.ok_or_else(|| wrong(format!("{param}.arguments"), expected))?;
    }
    Ok(())
}
