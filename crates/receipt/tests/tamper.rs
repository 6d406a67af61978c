//! Tampers with every field of every kind of statement, from a list that must cover them all.
//!
//! `tamper_manifest.txt` names every place in the JSON of each kind; a field that the list lacks fails the test. Each place is
//! changed, removed, doubled and put out of order: the old signature must then be refused, another key's as well, and the
//! operator's own may only make another statement of it, never the same one in another spelling.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop a test that went wrong"
)]

use credence_base::SigningKey;
use credence_base::json::{Base64, Hex32, to_canonical};
use credence_receipt::{ENVELOPE_LEN_MAX, Envelope, Statement, pae, sign};
use credence_testkit::tamper::{EDITS, edited, places, unedited};
use serde_json::{Value, json};

#[expect(dead_code, reason = "shared with other tests, which use all of it")]
mod support;

use support::{key, key_actions, key_statement, other_statements};

fn statements() -> Vec<Statement> {
    let mut all: Vec<Statement> = key_actions().map(key_statement).into();
    all.extend(other_statements());
    all
}

/// An envelope around a payload: with this signature, by this key.
fn envelope(payload: &[u8], signer: &SigningKey, signed: &[u8]) -> Vec<u8> {
    let statement = &statements()[0];
    let honest = sign(statement, &key()).unwrap();
    let mut envelope: Value = serde_json::from_slice(&honest.encode()).unwrap();
    envelope["payload"] = json!(Base64(payload.to_vec()));
    envelope["signatures"][0] = json!({
        "keyid": Hex32(*signer.public_key().as_bytes()),
        "sig": Base64(signer.sign(&pae(signed)).as_bytes().to_vec()),
    });
    to_canonical(&envelope).unwrap()
}

/// The statement in an envelope, if that is one.
fn opened(bytes: &[u8]) -> Option<Statement> {
    let envelope = Envelope::decode(bytes, ENVELOPE_LEN_MAX).ok()?;
    let opened = envelope.open().ok()?;
    Some(opened.into_statement())
}

#[test]
fn the_manifest_names_every_place_of_every_kind() {
    let mut all = Vec::new();
    for (number, statement) in statements().iter().enumerate() {
        let json: Value = serde_json::from_slice(&statement.encode().unwrap()).unwrap();
        let kind = statement.kind();
        all.extend(
            places(&json)
                .iter()
                .map(|place| format!("{number} {kind}{place}")),
        );
    }
    let manifest: Vec<&str> = include_str!("tamper_manifest.txt").lines().collect();
    assert_eq!(manifest, all, "look at the new field here before it ships");
}

#[test]
fn every_edit_of_every_statement_is_refused_or_another_statement() {
    let (operator, other) = (key(), SigningKey::from_seed(&[9; 32]));
    for statement in statements() {
        let honest = statement.encode().unwrap();
        assert_eq!(
            opened(&envelope(&honest, &operator, &honest)).as_ref(),
            Some(&statement)
        );
        let json: Value = serde_json::from_slice(&honest).unwrap();
        assert_eq!(unedited(&json), honest);
        for place in places(&json) {
            for edit in EDITS {
                let Some(bytes) = edited(&json, &place, edit) else {
                    continue;
                };
                let what = format!("{}, {edit:?} {place}", statement.kind());
                assert_eq!(
                    opened(&envelope(&bytes, &operator, &honest)),
                    None,
                    "{what}, unsigned"
                );
                assert_eq!(
                    opened(&envelope(&bytes, &other, &bytes)),
                    None,
                    "{what}, by another"
                );
                let own = opened(&envelope(&bytes, &operator, &bytes));
                assert_ne!(
                    own.as_ref(),
                    Some(&statement),
                    "{what}, in another spelling"
                );
            }
        }
    }
}
