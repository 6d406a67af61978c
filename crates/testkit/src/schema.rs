//! Whether a JSON value fits one of the schemas under `schemas/`, or one that a test gives to a constrained answer.
//!
//! It knows the few words of JSON Schema 2020-12 that those schemas use, and refuses a schema that uses another: a word that is
//! not understood must not pass for one that holds.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Map, Value};

/// Words that say nothing about which values fit.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "title",
    "description",
    "contentEncoding",
    "contentMediaType",
];

/// Checks `value` against `schema`.
///
/// # Errors
/// Where in the value the first misfit is, and what it is; or which word of the schema is not known.
pub fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, schema, value, "$")
}

fn at(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let words = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => return Err(format!("{path}: nothing may stand here")),
        Value::Object(words) => words,
        _ => return Err(format!("{path}: the schema is none")),
    };
    for (word, given) in words {
        let holds = match word.as_str() {
            word if ANNOTATIONS.contains(&word) => true,
            "type" => of_type(given, value),
            "const" => value == given,
            "enum" => given.as_array().is_some_and(|all| all.contains(value)),
            "minimum" | "maximum" | "exclusiveMaximum" => bounded(word, given, value),
            "prefixItems" => prefix(root, words, given, value, path)?,
            "items" if words.contains_key("prefixItems") => true,
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
            | "maxProperties" => counted(word, given, value),
            "$ref" => at(root, referred(root, given)?, value, path).map(|()| true)?,
            "anyOf" => {
                let all = given.as_array().map(Vec::as_slice).unwrap_or_default();
                all.iter()
                    .any(|schema| at(root, schema, value, path).is_ok())
            }
            "allOf" => {
                for schema in given.as_array().into_iter().flatten() {
                    at(root, schema, value, path)?;
                }
                true
            }
            "pattern" => match (given.as_str(), value.as_str()) {
                (Some(given), Some(text)) => {
                    let pattern = Regex::new(given).map_err(|e| format!("{path}: {e}"))?;
                    pattern.is_match(text)
                }
                (given, _) => given.is_some(),
            },
            "oneOf" => one_of(root, given, value, path)?,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(root, given, item, &format!("{path}[{index}]"))?;
                }
                true
            }
            "required" => required(given, value, path)?,
            "properties" | "additionalProperties" | "propertyNames" => true,
            _ => return Err(format!("{path}: the schema's word `{word}` is not known")),
        };
        if !holds {
            return Err(format!(
                "{path}: `{word}` {given} does not hold for {value}"
            ));
        }
    }
    members(root, words, value, path)
}

fn of_type(given: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    };
    match given {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => false,
    }
}

/// Whether a number is within its bound; of anything else nothing is asked.
fn bounded(word: &str, given: &Value, value: &Value) -> bool {
    let whole = |n: &Value| {
        n.as_i64()
            .map_or_else(|| n.as_u64().map(i128::from), |n| Some(n.into()))
    };
    let order = match (whole(value), whole(given)) {
        (Some(value), Some(given)) => Some(value.cmp(&given)),
        _ => value.as_f64().partial_cmp(&given.as_f64()),
    };
    !value.is_number()
        || order.is_some_and(|order| match word {
            "minimum" => order.is_ge(),
            "maximum" => order.is_le(),
            _ => order == Ordering::Less,
        })
}

/// Whether items, characters or members are as few or many as they may be.
fn counted(word: &str, given: &Value, value: &Value) -> bool {
    let count = match value {
        Value::Array(all) if word.ends_with("Items") => all.len(),
        Value::String(text) if word.ends_with("Length") => text.chars().count(),
        Value::Object(members) if word.ends_with("Properties") => members.len(),
        _ => return true,
    };
    if word.starts_with("min") {
        Some(count) >= size(given)
    } else {
        Some(count) <= size(given)
    }
}

fn size(given: &Value) -> Option<usize> {
    given.as_u64().and_then(|n| usize::try_from(n).ok())
}

fn one_of(root: &Value, given: &Value, value: &Value, path: &str) -> Result<bool, String> {
    let all = given.as_array().map(Vec::as_slice).unwrap_or_default();
    let tried: Vec<Result<(), String>> = all.iter().map(|s| at(root, s, value, path)).collect();
    match tried.iter().filter(|one| one.is_ok()).count() {
        1 => Ok(true),
        count => Err(format!("{path}: {count} of `oneOf` fit: {tried:?}")),
    }
}

fn required(given: &Value, value: &Value, path: &str) -> Result<bool, String> {
    let names = given
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in names {
        if value
            .as_object()
            .is_some_and(|members| !members.contains_key(name))
        {
            return Err(format!("{path}: `{name}` is absent"));
        }
    }
    Ok(true)
}

/// The first items by their own schemas, the others by `items`.
fn prefix(
    root: &Value,
    words: &Map<String, Value>,
    given: &Value,
    value: &Value,
    path: &str,
) -> Result<bool, String> {
    let first = given.as_array().map(Vec::as_slice).unwrap_or_default();
    let others = words.get("items").unwrap_or(&Value::Bool(true));
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let schema = first.get(index).unwrap_or(others);
        at(root, schema, item, &format!("{path}[{index}]"))?;
    }
    Ok(true)
}

/// The schema of `#/$defs/<name>`.
fn referred<'a>(root: &'a Value, given: &Value) -> Result<&'a Value, String> {
    let name = given
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"));
    let found = name.and_then(|name| root.get("$defs")?.get(name));
    found.ok_or_else(|| format!("{given} is no reference that is known"))
}

fn members(
    root: &Value,
    words: &Map<String, Value>,
    value: &Value,
    path: &str,
) -> Result<(), String> {
    let Some(found) = value.as_object() else {
        return Ok(());
    };
    let known = words.get("properties").and_then(Value::as_object);
    let others = words
        .get("additionalProperties")
        .unwrap_or(&Value::Bool(true));
    for (name, member) in found {
        let path = format!("{path}.{name}");
        if let Some(names) = words.get("propertyNames") {
            at(root, names, &Value::String(name.clone()), &path)?;
        }
        let schema = known.and_then(|known| known.get(name)).unwrap_or(others);
        at(root, schema, member, &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fits_and_what_does_not() {
        let hex = json!({"type": "string", "pattern": "^[0-9a-f]{64}$"});
        let object = json!({
            "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": ["string", "null"]}}
        });
        let either = json!({"oneOf": [{"const": 1}, {"type": "string"}]});
        let list = json!({"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 1});
        let digits = "ab".repeat(32);
        let tree = json!({
            "$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["next"]}},
            "$ref": "#/$defs/node"
        });
        let short = json!({"type": "string", "minLength": 1, "maxLength": 2});
        let few = json!({"type": "array", "maxItems": 1});
        let members = json!({"maxProperties": 1});
        let seed = json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX});
        let both = json!({"allOf": [{"type": "string"}, {"enum": ["b", 1]}]});
        let cases = [
            (&tree, json!({"next": {"next": null}}), true),
            (&tree, json!({"next": {"next": 1}}), false),
            (&short, json!("üü"), true),
            (&short, json!(""), false),
            (&short, json!("abc"), false),
            (&few, json!([1, 2]), false),
            (&members, json!({"a": 1}), true),
            (&members, json!({"a": 1, "b": 1}), false),
            (&members, json!([1, 2]), true),
            (&seed, json!(i64::MAX), true),
            (&seed, json!(9_223_372_036_854_775_808_u64), false),
            (&seed, json!(i64::MIN), true),
            (&both, json!("b"), true),
            (&both, json!("a"), false),
            (&hex, json!(digits), true),
            (&hex, json!("AB"), false),
            (&object, json!({"a": 1}), true),
            (&object, json!({"a": 1, "b": null}), true),
            (&object, json!({"b": null}), false),
            (&object, json!({"a": -1}), false),
            (&object, json!({"a": 1.5}), false),
            (&object, json!({"a": 1, "c": 1}), false),
            (&either, json!("text"), true),
            (&either, json!(2), false),
            (&list, json!(["x", "y"]), true),
            (&list, json!([]), false),
            (&list, json!(["z"]), false),
        ];
        for (schema, value, expected) in cases {
            assert_eq!(fits(schema, &value).is_ok(), expected, "{value}");
        }
        assert!(fits(&json!({"multipleOf": 3}), &json!("x")).is_err());
        assert!(fits(&json!({"pattern": "("}), &json!("x")).is_err());
    }
}
