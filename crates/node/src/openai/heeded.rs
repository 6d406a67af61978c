//! What a conversation holds and the model's template does not read: it is refused by its name, since an answer that did not heed it would be given for another question than its client
//! asked.
//!
//! A template is a program, so whether it reads something is not written anywhere. Of `tools`, the date and the further values it is asked whether it looks up a variable of that name; of the
//! calls and the reasoning in messages, whether it spells the word; of the names of speakers, whether leaving them out changes the prompt.
//!
//! What is deliberately let pass: the id of a call that a message answers, since templates go by the order; and the name in an answer of a tool that is the called function's own.

use std::collections::BTreeMap;

use credence_text::{Conversation, Text};
use serde_json::Value;

use crate::openai::error::RequestError;
use crate::openai::tools::CallForm;

fn unsupported(param: String, instead: &'static str) -> RequestError {
    RequestError::Unsupported { param, instead }
}

/// The form of calls to look for in the answer, if tools are on offer. `forced` says whether a call is forced. A model without a template is refused elsewhere.
///
/// # Errors
/// [`RequestError::Unsupported`], naming what the template does not read.
pub fn heeded(
    conversation: &Conversation,
    forced: bool,
    text: &Text,
) -> Result<Option<CallForm>, RequestError> {
    let Some(source) = text.template_source() else {
        return Ok(None);
    };
    let form = match &conversation.tools {
        None => None,
        Some(_) if !text.template_reads("tools") => {
            let instead = "the model's template has no place for tools; leave it out";
            return Err(unsupported("tools".to_owned(), instead));
        }
        Some(_) => Some(CallForm::of_template(source).ok_or_else(|| {
            let instead = "the form in which this model writes calls is not known here; leave it out, or send `tool_choice` `none`";
            unsupported("tools".to_owned(), instead)
        })?),
    };
    if forced && form.is_some_and(|form| form != CallForm::Tagged) {
        let instead =
            "calls in the form in which this model writes them cannot be forced; send `auto`";
        return Err(unsupported("tool_choice".to_owned(), instead));
    }
    if conversation.date.is_some() && !text.template_reads("strftime_now") {
        let instead = "the model's template reads no date; leave it out";
        return Err(unsupported("credence.date".to_owned(), instead));
    }
    if let Some(name) = conversation
        .extra
        .keys()
        .find(|name| !text.template_reads(name))
    {
        let param = format!("chat_template_kwargs.{name}");
        let instead = "the model's template does not read it; leave it out";
        return Err(unsupported(param, instead));
    }
    for (at, message) in conversation.messages.iter().enumerate() {
        for member in ["tool_calls", "reasoning_content"] {
            if message.get(member).is_some() && !source.contains(member) {
                let param = format!("messages[{at}].{member}");
                let instead = "the model's template does not read it; leave it out";
                return Err(unsupported(param, instead));
            }
        }
    }
    names(conversation, text)?;
    Ok(form)
}

/// Refuses names that change nothing, role by role. What cannot be rendered is refused elsewhere.
fn names(conversation: &Conversation, text: &Text) -> Result<(), RequestError> {
    let functions = functions(conversation);
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, message) in conversation.messages.iter().enumerate() {
        let word = |member: &str| message.get(member).and_then(Value::as_str);
        let (Some(role), Some(name)) = (word("role"), word("name")) else {
            continue;
        };
        let called = word("tool_call_id").and_then(|id| functions.get(id));
        if role == "tool" && called == Some(&name) {
            continue;
        }
        first.entry(role).or_insert(at);
    }
    if first.is_empty() {
        return Ok(());
    }
    let Ok(with) = text.render(conversation) else {
        return Ok(());
    };
    for (role, at) in first {
        let mut without = conversation.clone();
        for message in &mut without.messages {
            let own = message.get("role").and_then(Value::as_str) == Some(role);
            if let (true, Value::Object(members)) = (own, message) {
                members.remove("name");
            }
        }
        if text.render(&without).is_ok_and(|rendered| rendered == with) {
            let instead =
                "the model's template does not read it; leave it out, or say it in the content";
            return Err(unsupported(format!("messages[{at}].name"), instead));
        }
    }
    Ok(())
}

/// The function that each call is of, by the call's id.
fn functions(conversation: &Conversation) -> BTreeMap<&str, &str> {
    let calls = conversation.messages.iter();
    let calls = calls.filter_map(|message| message.get("tool_calls")?.as_array());
    calls
        .flatten()
        .filter_map(|call| {
            let name = call.get("function")?.get("name")?.as_str()?;
            Some((call.get("id")?.as_str()?, name))
        })
        .collect()
}
