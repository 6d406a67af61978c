//! Edits of JSON at every place: what a tamper list tries on everything that is signed.
//!
//! Each edit leaves canonical form but for itself: a member changed, removed, doubled or out of order.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Every place in `value` but its root, as a JSON pointer.
#[must_use]
pub fn places(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    collect(value, "", &mut all);
    all
}

fn collect(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut inner = |name: String, value: &Value| {
        let at = format!("{at}/{name}");
        out.push(at.clone());
        collect(value, &at, out);
    };
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| inner(name.clone(), value));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| inner(index.to_string(), value));
        }
        _ => (),
    }
}

/// What is done to a member or an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Another value of the same type.
    Change,
    /// Left out.
    Remove,
    /// There twice.
    Double,
    /// In another place.
    Reorder,
}

/// All of them.
pub const EDITS: [Edit; 4] = [Edit::Change, Edit::Remove, Edit::Double, Edit::Reorder];

/// Writes `value` in canonical form but for one edit at `place`; `None` when the edit is not possible there.
#[must_use]
pub fn edited(value: &Value, place: &str, edit: Edit) -> Option<Vec<u8>> {
    let mut text = String::new();
    let mut done = false;
    render(value, "", (place, edit), &mut text, &mut done);
    done.then(|| text.into_bytes())
}

fn render(value: &Value, at: &str, edit: (&str, Edit), text: &mut String, done: &mut bool) {
    let members: Vec<(String, String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), format!("\"{name}\":"), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), String::new(), value))
            .collect(),
        leaf => return write!(text, "{leaf}").unwrap(),
    };
    let mut parts: Vec<String> = Vec::new();
    let mut moved = None;
    for (name, head, value) in members {
        let here = format!("{at}/{name}");
        let mut part = head.clone();
        render(value, &here, edit, &mut part, done);
        if here != edit.0 {
            parts.push(part);
            continue;
        }
        match edit.1 {
            Edit::Change => parts.push(format!("{head}{}", changed(value))),
            Edit::Remove => (),
            Edit::Double => parts.extend([part.clone(), part]),
            Edit::Reorder => {
                moved = Some(parts.len());
                parts.push(part);
            }
        }
        // What is empty already is not changed.
        *done = edit.1 != Edit::Change || changed(value) != *value;
    }
    if let Some(from) = moved {
        // A lone member has no other order.
        *done = parts.len() > 1;
        let to = if from == 0 { parts.len() - 1 } else { 0 };
        parts.swap(from, to);
    }
    let (open, close) = if value.is_object() {
        ('{', '}')
    } else {
        ('[', ']')
    };
    write!(text, "{open}{}{close}", parts.join(",")).unwrap();
}

/// `value` in canonical form, by the writer that makes the edits.
#[must_use]
pub fn unedited(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    render(value, "", ("none", Edit::Change), &mut text, &mut false);
    text.into_bytes()
}

/// Another value of the same type and, for text, of the same alphabet and length.
fn changed(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let other = match text.chars().next() {
                None => "x".to_owned(),
                Some(first) => {
                    let new = match first {
                        '1' => '2',
                        'a'..='z' | 'A'..='Z' => {
                            if first.eq_ignore_ascii_case(&'a') {
                                'b'
                            } else {
                                'a'
                            }
                        }
                        _ => '1',
                    };
                    format!("{new}{}", &text[first.len_utf8()..])
                }
            };
            json!(other)
        }
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::Object(_) => json!({}),
        Value::Array(_) => json!([]),
        Value::Bool(_) | Value::Null => panic!("no field has this type"),
    }
}
