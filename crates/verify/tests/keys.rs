//! Keys by time: a test for each row of the table in `docs/spec/receipt.md`, and the evidence that is no answer.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests stop a test that went wrong"
)]

use credence_base::{PublicKey, SigningKey};
use credence_claim::Method;
use credence_log::Hash;
use credence_receipt::{
    Bundle, Equivocation, Inference, KeyAction, KeyStatement, Kind, Statement, sign,
};
use credence_verify::{
    Facts, LogDemand, NotEquivocation, Policy, Refusal, RefusalKind, check, confirm_equivocation,
    confirm_key_statement,
};

#[path = "support/log.rs"]
mod log;
#[expect(dead_code, reason = "shared with other tests, which use all of it")]
mod support;

use log::*;
use support::*;

const METHODS: &[&dyn Method] = &[&Replay, &Seal];
const T: u64 = TIME_UNIX_S;

fn seeded(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// What `key` says at `time_unix_s`, in no log.
fn says(key: &SigningKey, action: KeyAction, time_unix_s: u64) -> Bundle {
    let statement = Statement::Key(KeyStatement {
        operator: key.public_key(),
        action,
        time_unix_s,
    });
    bare(sign(&statement, key).unwrap())
}

fn revoke(key: &SigningKey, since_unix_s: u64) -> Bundle {
    says(key, KeyAction::Revoke { since_unix_s }, T)
}

fn expire(key: &SigningKey, not_after_unix_s: u64) -> Bundle {
    says(key, KeyAction::Expire { not_after_unix_s }, T - 1000)
}

fn rotate(key: &SigningKey, successor: &SigningKey, time: u64) -> Bundle {
    let successor = successor.public_key();
    says(key, KeyAction::Rotate { successor }, time)
}

/// An honest answer by that key, dated T.
fn answer(key: &SigningKey) -> Bundle {
    let output = run_model(INPUT);
    bundle_of(fields_for(key, &output, TRACE), key, openings_for(&output))
}

fn knowing(key_statements: Vec<Bundle>) -> Facts {
    Facts {
        key_statements,
        ..facts()
    }
}

/// Two of three witnesses for what is logged, and nothing need be.
fn lenient() -> Policy {
    Policy {
        log: Some(LogDemand {
            policy: log_policy(2),
            required: false,
        }),
        ..policy()
    }
}

fn accepted(bundle: &Bundle, policy: &Policy, statements: Vec<Bundle>) -> Vec<String> {
    let verified = check(bundle, policy, METHODS, &knowing(statements)).unwrap();
    verified.assurance().findings()[0].not_checked.clone()
}

fn refused(bundle: &Bundle, policy: &Policy, statements: Vec<Bundle>) -> Refusal {
    match check(bundle, policy, METHODS, &knowing(statements)) {
        Ok(_) => panic!("the liar got through"),
        Err(refusal) => refusal,
    }
}

#[test]
fn nothing_known_is_said_to_be_unknown() {
    let open = accepted(&answer(&key()), &lenient(), Vec::new());
    assert!(
        open.iter()
            .any(|t| t.contains("rotated, has expired or was revoked"))
    );
    // Statements about other keys change nothing.
    let other = accepted(&answer(&key()), &lenient(), vec![revoke(&seeded(9), 0)]);
    assert_eq!(other, open);
    let known = accepted(&answer(&key()), &lenient(), vec![expire(&key(), T + 1000)]);
    assert!(
        known.iter().any(|t| t.contains("cannot be known offline")),
        "{known:?}"
    );
}

#[test]
fn revoked_and_in_no_log() {
    // Whatever the receipt's own date: the thief writes it.
    for since in [0, T - 1, T, T + 1, u64::MAX] {
        let refusal = refused(&answer(&key()), &lenient(), vec![revoke(&key(), since)]);
        assert!(
            matches!(refusal, Refusal::KeyRevoked { since_unix_s, .. } if since_unix_s == since)
        );
        assert_eq!(refusal.kind(), RefusalKind::PolicyUnmet);
    }
}

#[test]
fn revoked_and_logged_before() {
    let bundle = logged(answer(&key()), &[T + 3, T + 5]);
    let open = accepted(&bundle, &lenient(), vec![revoke(&key(), T + 6)]);
    assert!(open.iter().any(|t| t.contains("cannot be known offline")));
    // A later statement does not undo an earlier one: the earliest time counts.
    for statements in [
        vec![revoke(&key(), T + 5)],
        vec![revoke(&key(), T + 6), revoke(&key(), T + 4)],
        vec![revoke(&key(), 0)],
    ] {
        assert!(matches!(
            refused(&bundle, &lenient(), statements),
            Refusal::KeyRevoked { .. }
        ));
    }
}

#[test]
fn revoked_and_dated_after_though_logged_before() {
    // Clocks may differ by a minute: logged by T - 5, dated T, revoked since T - 2.
    let bundle = logged(answer(&key()), &[T - 5, T - 5]);
    assert!(matches!(
        refused(&bundle, &lenient(), vec![revoke(&key(), T - 2)]),
        Refusal::KeyRevoked { .. }
    ));
    accepted(&bundle, &lenient(), vec![revoke(&key(), T + 1)]);
}

#[test]
fn revoked_and_logged_but_nobody_was_asked_for_the_time() {
    let bundle = logged(answer(&key()), &[T + 3, T + 5]);
    let statements = vec![revoke(&key(), T + 6)];
    assert!(matches!(
        refused(&bundle, &with_quorum(0), statements.clone()),
        Refusal::KeyRevoked { .. }
    ));
    // And a policy that names no log sees none.
    assert!(matches!(
        refused(&bundle, &policy(), statements),
        Refusal::KeyRevoked { .. }
    ));
}

#[test]
fn one_lying_witness_does_not_date_a_receipt_back() {
    let bundle = logged(answer(&key()), &[1, T + 5]);
    assert!(matches!(
        refused(&bundle, &lenient(), vec![revoke(&key(), T + 5)]),
        Refusal::KeyRevoked { .. }
    ));
}

#[test]
fn expired() {
    let statements = |last| vec![expire(&key(), last)];
    let refusal = refused(&answer(&key()), &lenient(), statements(T - 1));
    assert!(matches!(refusal, Refusal::KeyExpired { .. }));
    assert_eq!(refusal.kind(), RefusalKind::PolicyUnmet);
    // Not expired yet: nothing is open. Expired since: the date is the operator's word, unless a log shows it.
    let by_clock = |open: Vec<String>| open.iter().any(|t| t.contains("only the operator's clock"));
    assert!(!by_clock(accepted(
        &answer(&key()),
        &lenient(),
        statements(T + 10)
    )));
    assert!(by_clock(accepted(
        &answer(&key()),
        &lenient(),
        statements(T)
    )));
    let shown = logged(answer(&key()), &[T, T]);
    assert!(!by_clock(accepted(&shown, &lenient(), statements(T))));
    let late = logged(answer(&key()), &[T + 5, T + 5]);
    assert!(by_clock(accepted(&late, &lenient(), statements(T))));
    // The earliest expiry counts.
    let two = vec![expire(&key(), T + 99), expire(&key(), T - 1)];
    assert!(matches!(
        refused(&answer(&key()), &lenient(), two),
        Refusal::KeyExpired { .. }
    ));
}

#[test]
fn rotated_away() {
    let next = seeded(7);
    let refusal = refused(
        &answer(&key()),
        &lenient(),
        vec![rotate(&key(), &next, T - 1)],
    );
    assert!(matches!(refusal, Refusal::KeyRotated { .. }));
    assert_eq!(refusal.kind(), RefusalKind::PolicyUnmet);
    accepted(&answer(&key()), &lenient(), vec![rotate(&key(), &next, T)]);
}

#[test]
fn a_successor_is_accepted_if_the_rotation_is_logged() {
    let next = seeded(7);
    let by_next = answer(&next);
    let rotation = rotate(&key(), &next, T - 50);
    assert!(matches!(
        refused(&by_next, &lenient(), Vec::new()),
        Refusal::Operator { .. }
    ));
    assert!(matches!(
        refused(&by_next, &lenient(), vec![rotation.clone()]),
        Refusal::Operator { .. }
    ));
    let seen = logged(rotation.clone(), &[T - 40, T - 40]);
    accepted(&by_next, &lenient(), vec![seen.clone()]);
    // However old that checkpoint is by now.
    let fresh = Policy {
        log: Some(LogDemand {
            policy: log_policy(2).with_age_max_s(20).unwrap(),
            required: false,
        }),
        ..policy()
    };
    accepted(&by_next, &fresh, vec![seen.clone()]);
    // A policy without logs believes none.
    assert!(matches!(
        refused(&by_next, &policy(), vec![seen]),
        Refusal::Operator { .. }
    ));
    // The successor cannot name itself.
    let own = logged(rotate(&next, &key(), T - 50), &[T, T]);
    assert!(matches!(
        refused(&by_next, &lenient(), vec![own]),
        Refusal::Operator { .. }
    ));
    // A log proof that does not hold is no proof, and no reason to go on without.
    let unseen = logged(rotation, &[T - 40]);
    let refusal = refused(&by_next, &lenient(), vec![unseen]);
    assert!(matches!(refusal, Refusal::KeyStatement { at: 0, .. }));
}

#[test]
fn successors_of_successors_are_accepted_to_a_limit() {
    let keys: Vec<_> = (0..20)
        .map(|at| if at == 0 { key() } else { seeded(60 + at) })
        .collect();
    let statements: Vec<_> = keys
        .windows(2)
        .map(|pair| logged(rotate(&pair[0], &pair[1], T - 50), &[T - 40, T - 40]))
        .collect();
    accepted(&answer(&keys[16]), &lenient(), statements[..16].to_vec());
    assert!(matches!(
        refused(&answer(&keys[17]), &lenient(), statements[..17].to_vec()),
        Refusal::Operator { .. }
    ));
    // A ring ends.
    let ring = [(0, 1), (1, 0)]
        .map(|(a, b): (usize, usize)| logged(rotate(&keys[a], &keys[b], T), &[T, T]));
    assert!(matches!(
        refused(&answer(&keys[5]), &lenient(), ring.to_vec()),
        Refusal::Operator { .. }
    ));
}

#[test]
fn two_successors_are_none() {
    let (next, thief) = (seeded(7), seeded(8));
    let both = vec![
        logged(rotate(&key(), &next, T - 50), &[T - 40, T - 40]),
        logged(rotate(&key(), &thief, T - 60), &[T - 30, T - 30]),
    ];
    for by in [&next, &thief] {
        let refusal = refused(&answer(by), &lenient(), both.clone());
        assert!(matches!(refusal, Refusal::Successors { key: of } if of == key().public_key()));
    }
    // The same one twice is one; and once the key is revoked since before the thief's was logged, the honest one stands.
    let twice = vec![both[0].clone(), both[0].clone()];
    accepted(&answer(&next), &lenient(), twice);
    let mut revoked = both;
    revoked.push(revoke(&key(), T - 35));
    accepted(&answer(&next), &lenient(), revoked.clone());
    assert!(matches!(
        refused(&answer(&thief), &lenient(), revoked),
        Refusal::Operator { .. }
    ));
}

#[test]
fn a_rotation_counts_only_while_the_key_does() {
    let next = seeded(7);
    let rotation = || logged(rotate(&key(), &next, T - 50), &[T - 40, T - 40]);
    accepted(
        &answer(&next),
        &lenient(),
        vec![rotation(), revoke(&key(), T - 39)],
    );
    accepted(
        &answer(&next),
        &lenient(),
        vec![rotation(), expire(&key(), T - 40)],
    );
    // Whoever stole a key that has expired dates its rotation back; witnesses saw it too late.
    for ended in [
        revoke(&key(), T - 40),
        revoke(&key(), T - 50),
        expire(&key(), T - 41),
        expire(&key(), T - 50),
        expire(&key(), T - 51),
    ] {
        assert!(matches!(
            refused(&answer(&next), &lenient(), vec![rotation(), ended]),
            Refusal::Operator { .. }
        ));
    }
    // And the successor's own key counts only while it does.
    assert!(matches!(
        refused(
            &answer(&next),
            &lenient(),
            vec![rotation(), revoke(&next, 0)]
        ),
        Refusal::KeyRevoked { .. }
    ));
}

#[test]
fn a_statement_that_cannot_be_read_is_not_passed_over() {
    let forged = {
        let honest = revoke(&key(), 0).encode().unwrap();
        let text = String::from_utf8(honest).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 10;
        let other = if text.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let mut text = text;
        text.replace_range(at..=at, other);
        Bundle::decode(text.as_bytes(), 1 << 20).unwrap()
    };
    let refusal = refused(
        &answer(&key()),
        &lenient(),
        vec![expire(&key(), T + 9), forged],
    );
    assert!(matches!(refusal, Refusal::KeyStatement { at: 1, .. }));
    assert_eq!(refusal.kind(), RefusalKind::BadSignature);
    // An answer is no statement about a key.
    let refusal = refused(&answer(&key()), &lenient(), vec![answer(&key())]);
    let Refusal::KeyStatement { at: 0, source, .. } = refusal else {
        panic!("{refusal:?}");
    };
    assert!(matches!(
        *source,
        Refusal::Kind {
            expected: Kind::KeyStatement,
            got: Kind::Inference
        }
    ));
}

#[test]
fn a_key_statement_is_confirmed_by_its_key_and_its_log() {
    let statement = revoke(&key(), T);
    let shown = confirm_key_statement(&statement, &lenient(), &facts()).unwrap();
    assert_eq!(shown.statement.operator, key().public_key());
    assert!(shown.logged.is_none());
    assert_eq!(shown.digest, statement.receipt().digest());
    assert!(matches!(
        confirm_key_statement(&statement, &logged_policy(), &facts()),
        Err(Refusal::NoLogProof)
    ));
    let seen = logged(statement, &[T, T]);
    let shown = confirm_key_statement(&seen, &logged_policy(), &facts()).unwrap();
    assert_eq!(shown.logged.unwrap().index(), 4);
    assert!(
        confirm_key_statement(&seen, &policy(), &facts())
            .unwrap()
            .logged
            .is_none()
    );
    assert!(matches!(
        confirm_key_statement(&answer(&key()), &lenient(), &facts()),
        Err(Refusal::Kind { .. })
    ));
}

fn equivocation(edit: impl Fn(&mut Equivocation)) -> Bundle {
    let note = |byte| checkpoint(7, Hash::from_bytes([byte; 32]), &[]).encode();
    let mut statement = Equivocation {
        operator: key().public_key(),
        log: log_key().verifier().to_string(),
        first: note(1),
        second: note(2),
        time_unix_s: T,
    };
    edit(&mut statement);
    bare(sign(&Statement::Equivocation(statement), &key()).unwrap())
}

#[test]
fn a_logs_two_truths_are_confirmed_by_anyone() {
    let shown = confirm_equivocation(&equivocation(|_| ())).unwrap();
    assert_eq!(shown.equivocation.size(), 7);
    assert_eq!(shown.equivocation.log(), log_key().verifier());
    let reporter: PublicKey = shown.reporter;
    assert_eq!((reporter, shown.time_unix_s), (key().public_key(), T));
    // It is no answer.
    let answer = check(
        &equivocation(|_| ()),
        &Policy::signature_only(),
        METHODS,
        &facts(),
    );
    assert!(matches!(
        answer,
        Err(Refusal::Kind {
            got: Kind::Equivocation,
            ..
        })
    ));
}

#[test]
fn the_slanderer_shows_nothing() {
    type Edit = fn(&mut Equivocation);
    type Expected = fn(&NotEquivocation) -> bool;
    let cases: [(Edit, Expected); 6] = [
        (
            |e| e.log.push('x'),
            |n| matches!(n, NotEquivocation::Log(_)),
        ),
        (
            |e| e.first = "x".to_owned(),
            |n| matches!(n, NotEquivocation::Checkpoint { which: "first", .. }),
        ),
        (
            |e| e.second = e.first.clone(),
            |n| matches!(n, NotEquivocation::Nothing(_)),
        ),
        (
            |e| e.second = checkpoint(8, Hash::from_bytes([2; 32]), &[]).encode(),
            |n| matches!(n, NotEquivocation::Nothing(_)),
        ),
        (
            // A checkpoint that the accuser edited.
            |e| e.second = e.second.replacen("\n7\n", "\n8\n", 1),
            |n| matches!(n, NotEquivocation::Nothing(_)),
        ),
        (
            |e| e.log = witness(1).verifier().to_string(),
            |n| matches!(n, NotEquivocation::Nothing(_)),
        ),
    ];
    for (at, (edit, expected)) in cases.into_iter().enumerate() {
        let refusal = confirm_equivocation(&equivocation(edit)).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Inconsistent);
        let Refusal::NotEquivocation(why) = refusal else {
            panic!("{at}: {refusal:?}");
        };
        assert!(expected(&why), "{at}: {why:?}");
    }
    assert!(matches!(
        confirm_equivocation(&answer(&key())),
        Err(Refusal::Kind {
            expected: Kind::Equivocation,
            ..
        })
    ));
    // An answer's statement type is still told apart.
    let inference = answer(&key()).receipt().open().unwrap().into_statement();
    assert!(matches!(inference, Statement::Inference(Inference { .. })));
}
