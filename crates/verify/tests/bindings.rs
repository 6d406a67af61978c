//! Weights bindings: whose word is taken, and the liars.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop a test that went wrong"
)]

use credence_base::{Digest, Name, SigningKey};
use credence_receipt::{
    Bundle, KeyAction, KeyStatement, Kind, Statement, Tool, WeightsBinding, sign,
};
use credence_verify::{Facts, Policy, Refusal, RefusalKind, check, confirm_weights_binding};

#[path = "support/log.rs"]
mod log;
mod support;

use support::{MODEL, Replay, Seal, TIME_UNIX_S, facts, honest_bundle, key, policy};

fn binding(signer: &SigningKey, time_unix_s: u64) -> Bundle {
    let name = |text| Name::new(text).unwrap();
    let statement = Statement::WeightsBinding(WeightsBinding {
        operator: signer.public_key(),
        model: MODEL,
        scheme: name("snark-card"),
        root: Digest::from_bytes([8; 32]),
        derivation: Tool {
            name: name("snark-card"),
            version: name("1"),
        },
        time_unix_s,
    });
    log::bare(sign(&statement, signer).unwrap())
}

/// The usual policy, which takes this key's word alone.
fn trusting(key: &SigningKey) -> Policy {
    Policy {
        vouchers: Some(vec![key.public_key()]),
        ..policy()
    }
}

#[test]
fn a_binding_is_its_signer_s_word() {
    let bundle = binding(&key(), TIME_UNIX_S);
    let shown = confirm_weights_binding(&bundle, &trusting(&key()), &facts()).unwrap();
    assert!(shown.is_expected && shown.logged.is_none());
    assert_eq!(shown.statement.operator, key().public_key());
    assert_eq!(shown.statement.model, MODEL);
    assert_eq!(shown.digest, bundle.receipt().digest());
    // Whoever names nobody takes anyone's word, and is told so.
    let anyone = confirm_weights_binding(&bundle, &policy(), &facts()).unwrap();
    assert!(!anyone.is_expected);
    assert_eq!(anyone.statement, shown.statement);
}

#[test]
fn the_stranger_vouches() {
    let stranger = SigningKey::from_seed(&[9; 32]);
    let refused = confirm_weights_binding(
        &binding(&stranger, TIME_UNIX_S),
        &trusting(&key()),
        &facts(),
    );
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Refusal::Voucher { got } if got == stranger.public_key()));
    assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
}

#[test]
fn a_binding_answers_nothing() {
    let bundle = binding(&key(), TIME_UNIX_S);
    let refused = check(&bundle, &policy(), &[&Replay, &Seal], &facts()).unwrap_err();
    let got = Kind::WeightsBinding;
    assert!(matches!(refused, Refusal::Kind { expected: Kind::Inference, got: g } if g == got));
}

#[test]
fn an_answer_vouches_for_nothing() {
    let refused = confirm_weights_binding(&honest_bundle(), &policy(), &facts()).unwrap_err();
    assert!(matches!(
        refused,
        Refusal::Kind {
            expected: Kind::WeightsBinding,
            ..
        }
    ));
}

#[test]
fn a_binding_from_the_future_is_none() {
    let bundle = binding(&key(), TIME_UNIX_S + 100_000);
    let refused = confirm_weights_binding(&bundle, &policy(), &facts()).unwrap_err();
    assert!(matches!(refused, Refusal::Future { .. }), "{refused:?}");
}

#[test]
fn a_revoked_key_vouches_for_nothing() {
    let revoked = Statement::Key(KeyStatement {
        operator: key().public_key(),
        action: KeyAction::Revoke {
            since_unix_s: TIME_UNIX_S - 10,
        },
        time_unix_s: TIME_UNIX_S,
    });
    let facts = Facts {
        key_statements: vec![log::bare(sign(&revoked, &key()).unwrap())],
        ..facts()
    };
    let bundle = binding(&key(), TIME_UNIX_S);
    let refused = confirm_weights_binding(&bundle, &trusting(&key()), &facts).unwrap_err();
    assert!(matches!(refused, Refusal::KeyRevoked { .. }), "{refused:?}");
}

#[test]
fn a_log_that_is_asked_for_has_the_binding() {
    let bundle = binding(&key(), TIME_UNIX_S);
    let asking = log::logged_policy();
    let refused = confirm_weights_binding(&bundle, &asking, &facts()).unwrap_err();
    assert!(matches!(refused, Refusal::NoLogProof), "{refused:?}");
    let times = [TIME_UNIX_S + 1, TIME_UNIX_S + 2];
    let logged = log::logged(bundle.clone(), &times);
    let shown = confirm_weights_binding(&logged, &asking, &facts()).unwrap();
    assert!(shown.logged.is_some());
    // Another statement's proof.
    let other = log::logged(binding(&key(), TIME_UNIX_S - 1), &times);
    let moved = bundle.with_log(other.log().unwrap().to_owned()).unwrap();
    let refused = confirm_weights_binding(&moved, &asking, &facts()).unwrap_err();
    assert_eq!(refused.kind(), RefusalKind::Inconsistent, "{refused:?}");
}
