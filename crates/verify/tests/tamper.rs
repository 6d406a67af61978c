//! Tampers with every field of bundle and statement, from a list that must cover them all.
//!
//! `tamper_manifest.txt` names every place in the JSON of a bundle that has all optional fields, and in that of the statement
//! signed in it; a field that the list lacks fails the test, so a new field is looked at here before it ships. Each place
//! is changed, removed, doubled and put out of order. Statement edits are tried with the old signature, signed
//! again by the operator itself, and signed by another key. The one edit that the operator's own signature makes good is its
//! own word about the time, within what the policy allows; everything else is refused by form, policy, opening or method.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop a test that went wrong"
)]

use std::fmt::Write as _;

use credence_base::SigningKey;
use credence_base::json::{Base64, Hex32, to_canonical};
use credence_claim::Method;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, pae};
use credence_verify::{Refusal, RefusalKind, check_bytes};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "support/log.rs"]
#[expect(dead_code, reason = "shared with other tests, which use all of it")]
mod log;
mod support;

use log::{logged, logged_policy};
use support::{Replay, Seal, facts, honest_bundle, key, policy};

const METHODS: &[&dyn Method] = &[&Replay, &Seal];

fn refusal(bytes: &[u8]) -> Option<Refusal> {
    check_bytes(bytes, BUNDLE_LEN_MAX, &logged_policy(), METHODS, &facts()).err()
}

/// Without a log, since whoever signs another statement has another digest, which is in none.
fn refusal_unlogged(bytes: &[u8]) -> Option<Refusal> {
    check_bytes(bytes, BUNDLE_LEN_MAX, &policy(), METHODS, &facts()).err()
}

/// All optional members, and exactly the witnesses that the policy asks for.
fn bundle() -> Bundle {
    logged(honest_bundle(), &[support::TIME_UNIX_S; 2])
}

fn bundle_json() -> Value {
    serde_json::from_slice(&bundle().encode().unwrap()).unwrap()
}

fn statement_json() -> Value {
    serde_json::from_slice(honest_bundle().receipt().payload()).unwrap()
}

/// A bundle whose payload is `statement`, with the old signature or that of `signer`.
fn with_statement(statement: &[u8], signer: Option<&SigningKey>) -> Vec<u8> {
    let mut bundle = bundle_json();
    bundle.as_object_mut().unwrap().remove("log");
    bundle["receipt"]["payload"] = json!(Base64(statement.to_vec()));
    if let Some(signer) = signer {
        let signature = signer.sign(&pae(statement)).as_bytes().to_vec();
        bundle["receipt"]["signatures"][0] = json!({
            "keyid": Hex32(*signer.public_key().as_bytes()),
            "sig": Base64(signature),
        });
    }
    to_canonical(&bundle).unwrap()
}

/// Every place in `value` but its root, as a JSON pointer.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut inner = |name: String, value: &Value| {
        let at = format!("{at}/{name}");
        out.push(at.clone());
        places(value, &at, out);
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Change,
    Remove,
    Double,
    Reorder,
}

const EDITS: [Edit; 4] = [Edit::Change, Edit::Remove, Edit::Double, Edit::Reorder];

/// Writes `value` in canonical form but for one edit at `place`; `None` when the edit is not possible there.
fn edited(value: &Value, place: &str, edit: Edit) -> Option<Vec<u8>> {
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
        *done = true;
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

#[test]
fn the_manifest_names_every_place() {
    let mut all = Vec::new();
    places(&bundle_json(), "", &mut all);
    let mut signed = Vec::new();
    places(&statement_json(), "", &mut signed);
    all.extend(signed.into_iter().map(|place| format!("signed{place}")));
    let manifest: Vec<&str> = include_str!("tamper_manifest.txt").lines().collect();
    assert_eq!(manifest, all, "look at the new field here before it ships");
}

#[test]
fn the_honest_bundle_is_accepted_and_the_editor_writes_canonical_form() {
    let bytes = bundle().encode().unwrap();
    assert!(refusal(&bytes).is_none());
    for (value, canonical) in [
        (bundle_json(), bytes.clone()),
        (
            statement_json(),
            honest_bundle().receipt().payload().to_vec(),
        ),
    ] {
        let mut text = String::new();
        render(&value, "", ("none", Edit::Change), &mut text, &mut false);
        assert_eq!(text.as_bytes(), canonical.as_slice());
    }
    assert!(
        refusal_unlogged(&with_statement(
            honest_bundle().receipt().payload(),
            Some(&key())
        ))
        .is_none()
    );
}

#[test]
fn every_edit_of_the_bundle_is_refused() {
    let bundle = bundle_json();
    let mut all = Vec::new();
    places(&bundle, "", &mut all);
    for place in all {
        for edit in EDITS {
            let Some(bytes) = edited(&bundle, &place, edit) else {
                continue;
            };
            let refused = refusal(&bytes);
            assert!(refused.is_some(), "{edit:?} {place}");
        }
    }
}

#[test]
fn every_edit_of_the_statement_is_refused_whoever_signs() {
    let statement = statement_json();
    let mut all = Vec::new();
    places(&statement, "", &mut all);
    let (operator, other) = (key(), SigningKey::from_seed(&[9; 32]));
    for place in all {
        for edit in EDITS {
            let Some(bytes) = edited(&statement, &place, edit) else {
                continue;
            };
            let kind = |signer| refusal_unlogged(&with_statement(&bytes, signer)).map(|r| r.kind());
            assert_eq!(
                kind(None),
                Some(RefusalKind::BadSignature),
                "{edit:?} {place}"
            );
            assert!(
                kind(Some(&operator)).is_some(),
                "{edit:?} {place}, signed by its operator"
            );
            assert!(
                kind(Some(&other)).is_some(),
                "{edit:?} {place}, signed by another"
            );
        }
    }
}

#[test]
fn the_operators_word_about_the_time_is_its_own() {
    let mut statement = statement_json();
    statement["predicate"]["timeUnixS"] = json!((support::TIME_UNIX_S + 1).to_string());
    let bytes = to_canonical(&statement).unwrap();
    assert!(refusal_unlogged(&with_statement(&bytes, Some(&key()))).is_none());
    assert!(refusal_unlogged(&with_statement(&bytes, None)).is_some());
}

#[test]
fn every_flipped_byte_is_refused() {
    let bytes = bundle().encode().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for at in 0..bytes.len() {
        let mut edited = bytes.clone();
        edited[at] ^= 1 << (at % 7);
        assert!(refusal(&edited).is_some(), "byte {at}");
        assert!(refusal(&bytes[..at]).is_some(), "cut at {at}");
    }
    for tail in ["\n", " ", "\0", "{}"] {
        assert!(refusal(format!("{text}{tail}").as_bytes()).is_some());
    }
}

proptest! {
    #[test]
    fn nothing_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = bundle().encode().unwrap();
        for (index, value) in edits {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let _refused: Option<Refusal> = refusal(&bytes);
    }
}
