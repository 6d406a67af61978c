//! The wire formats: vectors up to date, old files readable, one spelling, and nothing that panics.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop a test that went wrong"
)]

use std::fs;
use std::path::{Path, PathBuf};

use credence_base::json::to_canonical;
use credence_base::{Signature, SigningKey};
use credence_receipt::{
    BUNDLE_LEN_MAX, Bundle, BundleError, ENVELOPE_LEN_MAX, Envelope, EnvelopeError, KeyAction,
    Kind, LOG_LEN_MAX, OpenError, PAYLOAD_TYPE, STATEMENT_LEN_MAX, SignError, Statement,
    StatementError, StatementError as E, pae, sign,
};
use proptest::prelude::*;
use serde_json::{Value, json};

mod support;

use support::{
    bundle, claim_fields, inference, key, key_actions, key_statement, logged_bundle,
    other_statements, plain_claim_fields,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn all_statements() -> Vec<Statement> {
    let mut all = vec![inference(claim_fields()), inference(plain_claim_fields())];
    all.extend(key_actions().map(key_statement));
    all.extend(other_statements());
    all
}

#[test]
fn committed_vectors_are_up_to_date() {
    for (path, text) in support::vectors::files() {
        let committed = fs::read_to_string(repository().join(path)).unwrap();
        assert!(committed == text, "{path} differs: the format has changed");
    }
}

#[test]
fn the_first_bundle_stays_readable() {
    let bytes = include_bytes!("fixtures/bundle_v1.json");
    let read = Bundle::decode(bytes, BUNDLE_LEN_MAX).unwrap();
    assert_eq!(read, bundle());
    assert_eq!(read.encode().unwrap(), bytes);
    let signed = read.receipt().open().unwrap();
    assert_eq!(*signed.statement(), inference(claim_fields()));
}

#[test]
fn statements_and_envelopes_round_trip() {
    for statement in all_statements() {
        let envelope = sign(&statement, &key()).unwrap();
        assert_eq!(*envelope.open().unwrap().statement(), statement);
        let bytes = envelope.encode();
        assert_eq!(
            Envelope::decode(&bytes, ENVELOPE_LEN_MAX).unwrap(),
            envelope
        );
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(to_canonical(&value).unwrap(), bytes, "RFC 8785");
        assert!(envelope.payload().len() < 2048);
    }
}

#[test]
fn every_flipped_byte_of_an_envelope_is_refused() {
    let bytes = sign(&inference(claim_fields()), &key()).unwrap().encode();
    for at in 0..bytes.len() {
        {
            // Every bit in turn, one of each byte: a signature is checked for most of them.
            let bit = at % 8;
            let mut edited = bytes.clone();
            edited[at] ^= 1 << bit;
            let opened = Envelope::decode(&edited, ENVELOPE_LEN_MAX).map(|e| e.open().is_ok());
            assert!(!matches!(opened, Ok(true)), "byte {at}, bit {bit}");
        }
        assert!(
            Envelope::decode(&bytes[..at], ENVELOPE_LEN_MAX).is_err(),
            "cut at {at}"
        );
    }
}

#[test]
fn only_the_named_operator_signs() {
    let statement = inference(claim_fields());
    let other = SigningKey::from_seed(&[9; 32]);
    assert!(matches!(
        sign(&statement, &other),
        Err(SignError::Signer { .. })
    ));
    // A liar that encodes and signs by hand is caught when its receipt is opened.
    let forged = envelope_of(&statement.encode().unwrap(), &other);
    assert!(matches!(forged.open(), Err(OpenError::Signer { .. })));
    // One that leaves the operator's key as the signer does not have its signature.
    let honest = envelope_of(&statement.encode().unwrap(), &key());
    let signature = other.sign(&pae(honest.payload()));
    let forged = envelope_from(honest.payload(), &key(), &signature);
    assert!(matches!(forged.open(), Err(OpenError::Signature(_))));
}

#[test]
fn what_nobody_could_read_is_not_signed() {
    let itself = key_statement(KeyAction::Rotate {
        successor: key().public_key(),
    });
    let [_, _, _, Statement::Imported(mut long), ..] = other_statements() else {
        panic!("the fourth is an import");
    };
    // Within its length as text, and too long once escaped as JSON.
    long.options = "\u{1}".repeat(4096);
    for statement in [itself, Statement::Imported(long)] {
        let refused = sign(&statement, &key());
        assert!(matches!(refused, Err(SignError::Unreadable(_))));
    }
}

#[test]
fn the_signature_covers_type_and_length() {
    let statement = inference(claim_fields()).encode().unwrap();
    let head = format!(
        "DSSEv1 28 application/vnd.in-toto+json {} ",
        statement.len()
    );
    assert_eq!(pae(&statement), [head.as_bytes(), &statement].concat());
    let over_payload_alone = envelope_from(&statement, &key(), &key().sign(&statement));
    assert!(matches!(
        over_payload_alone.open(),
        Err(OpenError::Signature(_))
    ));
}

/// Applies `edit` to the JSON of an honest statement, signs it as its operator would, and opens it.
fn open_edited(statement: &Statement, edit: impl Fn(&mut Value)) -> Result<(), StatementError> {
    let mut value: Value = serde_json::from_slice(&statement.encode().unwrap()).unwrap();
    edit(&mut value);
    match envelope_of(&to_canonical(&value).unwrap(), &key()).open() {
        Ok(_) => Ok(()),
        Err(OpenError::Statement(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn refused(name: &str, edit: fn(&mut Value), expected: fn(&StatementError) -> bool) {
    let error = open_edited(&inference(claim_fields()), edit).unwrap_err();
    assert!(expected(&error), "{name}: {error:?}");
}

#[test]
fn a_statement_must_agree_with_itself() {
    let honest = inference(claim_fields());
    assert!(open_edited(&honest, |_| ()).is_ok());
    refused(
        "type",
        |v| v["_type"] = json!("x"),
        |e| matches!(e, E::Type),
    );
    refused(
        "kind",
        |v| v["predicateType"] = json!("x"),
        |e| matches!(e, E::UnknownKind),
    );
    refused(
        "subject",
        |v| v["subject"][0]["digest"]["sha256"] = json!("00".repeat(32)),
        |e| matches!(e, E::Subject { what: "output" }),
    );
    refused(
        "output",
        |v| v["predicate"]["claim"]["output"] = json!("00".repeat(32)),
        |e| matches!(e, E::Subject { what: "output" }),
    );
    refused(
        "subject's name",
        |v| v["subject"][0]["name"] = json!("key"),
        |e| matches!(e, E::SubjectName { expected: "output" }),
    );
    refused(
        "two subjects",
        |v| {
            let one = v["subject"][0].clone();
            v["subject"].as_array_mut().unwrap().push(one);
        },
        |e| matches!(e, E::Json(_)),
    );
}

#[test]
fn every_word_of_a_statement_is_known() {
    let honest = inference(claim_fields());
    for field in ["profile", "finish", "seed"] {
        let error = open_edited(&honest, |v| {
            v["predicate"]["claim"][field] = json!("exact-9")
        });
        assert!(
            matches!(error, Err(E::Word { field: named }) if named == field),
            "{field}"
        );
    }
    refused(
        "version",
        |v| v["predicate"]["claim"]["protocolVersion"] = json!(2),
        |e| matches!(e, E::Claim(_)),
    );
    refused(
        "derived seed without nonce",
        |v| {
            v["predicate"]["claim"]
                .as_object_mut()
                .unwrap()
                .remove("nonce");
        },
        |e| matches!(e, E::Claim(_)),
    );
    refused(
        "engine",
        |v| v["predicate"]["claim"]["constrained"]["engine"] = json!("A"),
        |e| {
            matches!(
                e,
                E::Name {
                    field: "constrained.engine",
                    ..
                }
            )
        },
    );
    refused(
        "weak key",
        |v| v["predicate"]["operator"] = json!(format!("01{}", "00".repeat(31))),
        |e| {
            matches!(
                e,
                E::Key {
                    field: "operator",
                    ..
                }
            )
        },
    );
}

#[test]
fn a_key_statement_must_agree_with_itself() {
    let itself = key_statement(key_actions()[0].clone());
    let error = open_edited(&itself, |v| {
        v["predicate"]["action"]["rotate"]["successor"] = v["predicate"]["operator"].clone();
    });
    assert!(matches!(error, Err(E::OwnSuccessor)));
    let error = open_edited(&itself, |v| {
        v["subject"][0]["digest"]["sha256"] = json!("00".repeat(32));
    });
    assert!(matches!(error, Err(E::Subject { what: "key" })));
}

#[test]
fn the_other_kinds_must_agree_with_themselves_and_keep_their_lengths() {
    let [equivocation, binding, imported, ..] = other_statements();
    let zeros = json!("00".repeat(32));
    for (statement, field, what) in [
        (&binding, "model", "model"),
        (&imported, "model", "model"),
        (&equivocation, "log", "log"),
    ] {
        let error = open_edited(statement, |v| v["predicate"][field] = zeros.clone());
        assert!(
            matches!(error, Err(E::Subject { what: got }) if got == what),
            "{what}: {error:?}"
        );
        let error = open_edited(statement, |v| v["subject"][0]["name"] = json!("output"));
        assert!(matches!(error, Err(E::SubjectName { expected }) if expected == what));
    }
    for (statement, field, len) in [
        (&equivocation, "log", 513),
        (&equivocation, "first", 4097),
        (&equivocation, "second", 0),
        (&imported, "options", 4097),
    ] {
        let error = open_edited(statement, |v| {
            v["predicate"][field] = json!("x".repeat(len));
        });
        assert!(
            matches!(error, Err(E::Text { field: got, got: bytes, .. }) if got == field && bytes == len),
            "{field}: {error:?}"
        );
    }
    for (statement, outer, inner) in [
        (&binding, "derivation", "name"),
        (&imported, "importer", "version"),
    ] {
        let error = open_edited(statement, |v| v["predicate"][outer][inner] = json!("A B"));
        assert!(matches!(error, Err(E::Name { .. })), "{outer}: {error:?}");
    }
    let error = open_edited(&binding, |v| v["predicate"]["scheme"] = json!(""));
    assert!(matches!(
        error,
        Err(E::Name {
            field: "scheme",
            ..
        })
    ));
}

#[test]
fn audits_and_verdicts_are_refused_for_their_own_reasons() {
    let [.., audit, bare, verdict] = other_statements();
    type Edit = fn(&mut Value);
    let word = |statement: &Statement, edit: Edit| match open_edited(statement, edit) {
        Err(E::Word { field }) => field,
        other => panic!("{other:?}"),
    };
    let cases: [(&Statement, Edit, &str); 7] = [
        (
            &audit,
            |v| v["predicate"]["outcome"] = json!("fine"),
            "outcome",
        ),
        (&bare, |v| v["predicate"]["outcome"] = json!(""), "outcome"),
        (
            &audit,
            |v| v["predicate"]["numbers"][0]["name"] = json!("tokens"),
            "numbers",
        ),
        (
            &audit,
            |v| v["predicate"]["numbers"].as_array_mut().unwrap().reverse(),
            "numbers",
        ),
        (
            &audit,
            |v| {
                let many = (0..17).map(|n| json!({"name": format!("n{n:02}"), "value": "1"}));
                v["predicate"]["numbers"] = many.collect();
            },
            "numbers",
        ),
        (
            &verdict,
            |v| v["predicate"]["loser"] = json!("both"),
            "loser",
        ),
        (
            &verdict,
            |v| v["predicate"]["challenger"] = v["predicate"]["accused"].clone(),
            "challenger",
        ),
    ];
    for (statement, edit, field) in cases {
        assert_eq!(word(statement, edit), field);
    }
    let named = open_edited(&verdict, |v| v["predicate"]["reason"] = json!("Wrong cell"));
    assert!(matches!(
        named,
        Err(E::Name {
            field: "reason",
            ..
        })
    ));
    let subject = open_edited(&verdict, |v| {
        v["predicate"]["claim"] = json!("00".repeat(32))
    });
    assert!(matches!(subject, Err(E::Subject { what: "claim" })));
    let subject = open_edited(&audit, |v| {
        v["predicate"]["receipt"] = json!("00".repeat(32))
    });
    assert!(matches!(subject, Err(E::Subject { what: "receipt" })));
}

#[test]
fn no_kind_is_read_as_another() {
    for kind in Kind::ALL {
        assert_eq!(
            Kind::from_predicate_type(kind.predicate_type()),
            Some(*kind)
        );
        let error = open_edited(&inference(claim_fields()), |v| {
            v["predicateType"] = json!(kind.predicate_type());
        });
        match (kind, error) {
            (Kind::Inference, Ok(())) => (),
            // An inference's predicate is no other kind's.
            (
                Kind::KeyStatement
                | Kind::Equivocation
                | Kind::WeightsBinding
                | Kind::Imported
                | Kind::Audit
                | Kind::Verdict,
                Err(StatementError::Json(_)),
            ) => (),
            (_, other) => panic!("{kind}: {other:?}"),
        }
    }
}

#[test]
fn envelopes_are_refused_for_their_own_reasons() {
    let good: Value =
        serde_json::from_slice(&sign(&inference(claim_fields()), &key()).unwrap().encode())
            .unwrap();
    let decode = |edit: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        edit(&mut value);
        Envelope::decode(&to_canonical(&value).unwrap(), ENVELOPE_LEN_MAX)
    };
    use EnvelopeError as E;
    assert!(decode(&|_| ()).is_ok());
    assert!(matches!(
        decode(&|v| v["payloadType"] = json!("x")),
        Err(E::PayloadType)
    ));
    assert!(matches!(
        decode(&|v| v["signatures"][0]["keyid"] = json!("00".repeat(32))),
        Err(E::KeyId(_))
    ));
    assert!(matches!(
        decode(&|v| v["signatures"][0]["sig"] = json!("AAAA")),
        Err(E::SignatureLen {
            expected: 64,
            got: 3
        })
    ));
    assert!(matches!(
        decode(&|v| v["signatures"] = json!([])),
        Err(E::Json(_))
    ));
    let two = |v: &mut Value| {
        let one = v["signatures"][0].clone();
        v["signatures"] = json!([one, one]);
    };
    assert!(matches!(decode(&two), Err(E::Json(_))));
}

#[test]
fn a_bundle_has_one_spelling() {
    let good = String::from_utf8(bundle().encode().unwrap()).unwrap();
    let value = || serde_json::from_str::<Value>(&good).unwrap();
    let decode = |text: &str| Bundle::decode(text.as_bytes(), BUNDLE_LEN_MAX);
    assert_eq!(decode(&good).unwrap(), bundle());

    for text in [
        format!("{good}\n"),
        format!(" {good}"),
        good.replacen(':', ": ", 1),
    ] {
        assert!(matches!(decode(&text), Err(BundleError::Json(_))));
    }
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut value = value();
        edit(&mut value);
        decode(&String::from_utf8(to_canonical(&value).unwrap()).unwrap())
    };
    use BundleError as E;
    assert!(matches!(
        edited(&|v| v["mediaType"] = json!("x")),
        Err(E::MediaType)
    ));
    for log in [json!({}), json!(null), json!([])] {
        let edit = |v: &mut Value| v["log"] = log.clone();
        assert!(matches!(edited(&edit), Err(E::Json(_))));
    }
    assert!(matches!(
        edited(&|v| v["log"] = json!("")),
        Err(E::Log { got: 0 })
    ));
    let long = "x".repeat(LOG_LEN_MAX + 1);
    assert!(matches!(
        edited(&|v| v["log"] = json!(long)),
        Err(E::Log { .. })
    ));
    assert!(matches!(
        bundle().with_log(String::new()),
        Err(E::Log { got: 0 })
    ));
    let logged = logged_bundle();
    assert_eq!(logged.log(), Some(support::LOG));
    let bytes = logged.encode().unwrap();
    assert_eq!(Bundle::decode(&bytes, BUNDLE_LEN_MAX).unwrap(), logged);
    assert_ne!(logged, bundle());
    assert!(matches!(
        edited(&|v| v["openings"] = json!({})),
        Err(E::NoOpening)
    ));
    assert!(matches!(
        edited(&|v| v["openings"] = json!(null)),
        Err(E::Json(_))
    ));
    assert!(matches!(
        edited(&|v| v["evidence"][0]["method"] = json!("")),
        Err(E::Method { index: 0, .. })
    ));
    let reversed = |v: &mut Value| v["evidence"].as_array_mut().unwrap().reverse();
    assert!(matches!(edited(&reversed), Err(E::Order { index: 1 })));
    let twice = |v: &mut Value| v["evidence"][1] = v["evidence"][0].clone();
    assert!(matches!(edited(&twice), Err(E::Order { index: 1 })));

    let bare = Bundle::new(bundle().receipt().clone(), Default::default(), Vec::new()).unwrap();
    let text = String::from_utf8(bare.encode().unwrap()).unwrap();
    assert!(!text.contains("openings"), "{text}");
    assert_eq!(decode(&text).unwrap(), bare);
}

#[test]
fn lengths_are_limited_by_the_caller() {
    let bytes = bundle().encode().unwrap();
    assert!(matches!(
        Bundle::decode(&bytes, bytes.len() - 1),
        Err(BundleError::Json(_))
    ));
    let bytes = bundle().receipt().encode();
    assert!(matches!(
        Envelope::decode(&bytes, bytes.len() - 1),
        Err(EnvelopeError::Json(_))
    ));
    let bytes = bundle().receipt().payload().to_vec();
    assert!(matches!(
        Statement::decode(&bytes, bytes.len() - 1),
        Err(StatementError::Json(_))
    ));
    assert!(Statement::decode(&bytes, STATEMENT_LEN_MAX).is_ok());
}

fn envelope_of(payload: &[u8], key: &SigningKey) -> Envelope {
    envelope_from(payload, key, &key.sign(&pae(payload)))
}

/// An envelope written by hand, as a liar would.
fn envelope_from(payload: &[u8], signer: &SigningKey, signature: &Signature) -> Envelope {
    use credence_base::json::{Base64, Hex32};
    let value = json!({
        "payload": Base64(payload.to_vec()),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{
            "keyid": Hex32(*signer.public_key().as_bytes()),
            "sig": Base64(signature.as_bytes().to_vec()),
        }],
    });
    Envelope::decode(&to_canonical(&value).unwrap(), ENVELOPE_LEN_MAX).unwrap()
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Bundle::decode(&bytes, BUNDLE_LEN_MAX).is_err());
        prop_assert!(Envelope::decode(&bytes, ENVELOPE_LEN_MAX).is_err());
        prop_assert!(Statement::decode(&bytes, STATEMENT_LEN_MAX).is_err());
    }
}
