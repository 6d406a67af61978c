//! Tampers with every field of bundle and statement, from a list that must cover them all.
//!
//! `tamper_manifest.txt` names every place in the JSON of a bundle that has all optional fields, and in that of the statement
//! signed in it; a field that the list lacks fails the test, so a new field is looked at here before it ships. Each place
//! is changed, removed, doubled and put out of order. Statement edits are tried with the old signature, signed
//! again by the operator itself, and signed by another key. The one edit that the operator's own signature makes good is its
//! own word about the time, within what the policy allows; everything else is refused by form, policy, opening or method.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop a test that went wrong"
)]

use credence_base::SigningKey;
use credence_base::json::{Base64, Hex32, to_canonical};
use credence_claim::Method;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, pae};
use credence_testkit::tamper::{EDITS, edited, places, unedited};
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

#[test]
fn the_manifest_names_every_place() {
    let mut all = places(&bundle_json());
    let signed = places(&statement_json());
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
        assert_eq!(unedited(&value), canonical);
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
    for place in places(&bundle) {
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
    let (operator, other) = (key(), SigningKey::from_seed(&[9; 32]));
    for place in places(&statement) {
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
