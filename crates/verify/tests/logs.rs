//! The log part of a policy: one named liar for each check, what the assurance says, and every spoilt byte of a proof.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests stop a test that went wrong"
)]

use credence_claim::{Basis, Method, Quantity};
use credence_log::{LOG_PROOF_LEN_MAX, LogPolicy};
use credence_receipt::{Bundle, LOG_LEN_MAX};
use credence_verify::{LogDemand, Policy, Refusal, RefusalKind, check};

#[path = "support/log.rs"]
#[expect(dead_code, reason = "shared with other tests, which use all of it")]
mod log;
mod support;

use log::*;
use support::*;

const METHODS: &[&dyn Method] = &[&Replay, &Seal];
const T: u64 = TIME_UNIX_S;

fn refusal(bundle: &Bundle, policy: &Policy) -> Refusal {
    match check(bundle, policy, METHODS, &facts()) {
        Ok(_) => panic!("the liar got through"),
        Err(refusal) => refusal,
    }
}

fn honest() -> Bundle {
    logged(honest_bundle(), &[T + 3, T + 5, T + 4])
}

/// The honest bundle with an edited proof.
fn edited(edit: impl Fn(String) -> String) -> Bundle {
    let text = honest().log().unwrap().to_owned();
    honest_bundle().with_log(edit(text)).unwrap()
}

#[test]
fn a_logged_receipt_is_accepted_and_the_assurance_says_where_it_stands() {
    let verified = check(&honest(), &logged_policy(), METHODS, &facts()).unwrap();
    let findings = verified.assurance().findings();
    let bases: Vec<_> = findings.iter().map(|finding| finding.basis).collect();
    assert_eq!(
        bases,
        [
            Basis::Signed,
            Basis::Logged,
            Basis::Witnessed,
            Basis::ReExecuted,
            Basis::Proved
        ]
    );
    let numbers = |at: usize| -> Vec<_> {
        findings[at]
            .numbers
            .iter()
            .map(|n| (n.name, n.quantity))
            .collect()
    };
    assert_eq!(
        numbers(1),
        [
            ("index in the log", Quantity::Count(4)),
            ("entries under the checkpoint", Quantity::Count(7))
        ]
    );
    assert_eq!(
        numbers(2),
        [
            ("cosignatures", Quantity::Count(3)),
            ("cosignatures asked for", Quantity::Count(2)),
            ("age of the checkpoint", Quantity::Seconds(6))
        ]
    );
    let logged = verified.value().logged().unwrap();
    assert_eq!(logged.index(), 4);
    assert_eq!(logged.witnessed().by_unix_s(), Some(T + 4));
    // No witness asked for: none is spoken of.
    let alone = check(&honest(), &with_quorum(0), METHODS, &facts()).unwrap();
    assert!(!alone.assurance().rests_on(Basis::Witnessed));
    assert!(
        alone.assurance().findings()[1]
            .not_checked
            .iter()
            .any(|t| t.contains("no witness"))
    );
}

#[test]
fn without_a_log_in_the_policy_the_proof_is_named_as_not_checked() {
    let bundle = edited(|_| "nonsense".to_owned());
    let verified = check(&bundle, &policy(), METHODS, &facts()).unwrap();
    assert!(!verified.assurance().rests_on(Basis::Logged));
    let open = &verified.assurance().findings()[0].not_checked;
    assert!(
        open.contains(&"the log proof: the policy names no log".to_owned()),
        "{open:?}"
    );
    assert!(verified.value().logged().is_none());
}

#[test]
fn the_hider_logs_nothing() {
    let refused = refusal(&honest_bundle(), &logged_policy());
    assert!(matches!(refused, Refusal::NoLogProof));
    assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
    let lenient = Policy {
        log: Some(LogDemand {
            policy: log_policy(2),
            required: false,
        }),
        ..policy()
    };
    let verified = check(&honest_bundle(), &lenient, METHODS, &facts()).unwrap();
    assert!(!verified.assurance().rests_on(Basis::Logged));
    // A proof that is there must hold, asked for or not.
    let bad = edited(|text| text.replace("index 4", "index 3"));
    assert!(matches!(refusal(&bad, &lenient), Refusal::Inclusion(_)));
}

#[test]
fn the_babbler_puts_something_else_in_the_proofs_place() {
    let refused = refusal(&edited(|_| "nonsense".to_owned()), &logged_policy());
    assert!(matches!(refused, Refusal::LogProof(_)));
    assert_eq!(refused.kind(), RefusalKind::Malformed);
    const { assert!(LOG_LEN_MAX >= LOG_PROOF_LEN_MAX) };
}

#[test]
fn the_borrower_shows_anothers_entry() {
    let other = credence_base::ReceiptDigest::from_bytes([77; 32]);
    let text = proof(other, &[T, T]).encode();
    let refused = refusal(&honest_bundle().with_log(text).unwrap(), &logged_policy());
    assert!(matches!(refused, Refusal::Inclusion(_)));
    assert_eq!(refused.kind(), RefusalKind::Inconsistent);
}

#[test]
fn the_private_log_is_nobodys_log() {
    let stranger = signer("other.example", credence_log::Algorithm::Ed25519, 9);
    let demand = |name: &str, seed| Policy {
        log: Some(LogDemand {
            policy: LogPolicy::new(
                vec![
                    signer(name, credence_log::Algorithm::Ed25519, seed)
                        .verifier()
                        .clone(),
                ],
                Vec::new(),
                0,
            )
            .unwrap(),
            required: true,
        }),
        ..policy()
    };
    let unknown = refusal(&honest(), &demand(stranger.verifier().name().as_str(), 9));
    assert!(matches!(&unknown, Refusal::UnknownLog { origin } if origin == "log.example"));
    let namesake = refusal(&honest(), &demand("log.example", 9));
    assert!(matches!(namesake, Refusal::LogUnsigned { .. }));
    assert_eq!(namesake.kind(), RefusalKind::PolicyUnmet);
}

#[test]
fn the_forger_signs_for_log_or_witness() {
    let forged = |line: usize| {
        edited(move |text| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            let at = lines.len() - 4 + line;
            let end = lines[at].len() - 10;
            let other = if lines[at].as_bytes()[end] == b'A' {
                "B"
            } else {
                "A"
            };
            lines[at].replace_range(end..=end, other);
            lines.join("\n") + "\n"
        })
    };
    for line in 0..4 {
        let refused = refusal(&forged(line), &logged_policy());
        assert!(
            matches!(refused, Refusal::LogSignature(_)),
            "{line}: {refused:?}"
        );
        assert_eq!(refused.kind(), RefusalKind::BadSignature);
    }
}

#[test]
fn the_muddler_signs_a_root_of_nothing() {
    let log = log_key();
    let root = credence_log::Hash::of_leaf(b"something");
    let text = format!("{}\n0\n{root}\n", log.verifier().name());
    let note = credence_log::Note::sign(&text, &log).unwrap().encode();
    let bundle = edited(|_| format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{note}"));
    let refused = refusal(&bundle, &with_quorum(0));
    assert!(matches!(refused, Refusal::LogContradiction(_)));
    assert_eq!(refused.kind(), RefusalKind::Inconsistent);
}

#[test]
fn the_splitter_finds_too_few_witnesses() {
    let few = logged(honest_bundle(), &[T]);
    let refused = refusal(&few, &logged_policy());
    assert!(matches!(refused, Refusal::Witnesses { quorum: 2, got: 1 }));
    assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
    let none = logged(honest_bundle(), &[]);
    assert!(matches!(
        refusal(&none, &with_quorum(1)),
        Refusal::Witnesses { quorum: 1, got: 0 }
    ));
    assert!(check(&none, &with_quorum(0), METHODS, &facts()).is_ok());
}

#[test]
fn the_freezer_shows_an_old_checkpoint() {
    let aged = |max_s| Policy {
        log: Some(LogDemand {
            policy: log_policy(2).with_age_max_s(max_s).unwrap(),
            required: true,
        }),
        ..policy()
    };
    // Now is T + 10, the second latest cosignature T + 4.
    let refused = refusal(&honest(), &aged(5));
    assert!(matches!(
        refused,
        Refusal::CheckpointAge { age_s: 6, max_s: 5 }
    ));
    assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
    assert!(check(&honest(), &aged(6), METHODS, &facts()).is_ok());
}

#[test]
fn the_prophet_cosigns_tomorrow() {
    let early = logged(honest_bundle(), &[T, T + 71]);
    let refused = refusal(&early, &logged_policy());
    assert!(matches!(
        refused,
        Refusal::CosignatureFuture {
            ahead_s: 61,
            max_s: 60,
            ..
        }
    ));
    assert!(
        check(
            &logged(honest_bundle(), &[T, T + 70]),
            &logged_policy(),
            METHODS,
            &facts()
        )
        .is_ok()
    );
}

#[test]
fn the_postdater_was_seen_before() {
    let seen = logged(honest_bundle(), &[T - 61, T - 61]);
    let refused = refusal(&seen, &logged_policy());
    assert!(matches!(refused, Refusal::DatedAfterLogged { .. }));
    assert_eq!(refused.kind(), RefusalKind::Inconsistent);
    let in_time = logged(honest_bundle(), &[T - 60, T - 60]);
    assert!(check(&in_time, &logged_policy(), METHODS, &facts()).is_ok());
    // One lying witness of a quorum of two cannot put it there.
    let liar = logged(honest_bundle(), &[1, T]);
    assert!(check(&liar, &logged_policy(), METHODS, &facts()).is_ok());
}

#[test]
fn every_flipped_byte_of_the_log_proof_is_refused() {
    let text = honest().log().unwrap().as_bytes().to_vec();
    let all = with_quorum(3);
    // One bit of each byte; the log's own tests flip every bit.
    for byte in 0..text.len() {
        let mut flipped = text.clone();
        flipped[byte] ^= 1 << (byte % 8);
        let Ok(flipped) = String::from_utf8(flipped) else {
            continue;
        };
        let bundle = honest_bundle().with_log(flipped).unwrap();
        assert!(
            check(&bundle, &all, METHODS, &facts()).is_err(),
            "byte {byte}"
        );
    }
    for (at, _) in honest().log().unwrap().char_indices().skip(1) {
        let cut = edited(|text| text[..at].to_owned());
        assert!(check(&cut, &all, METHODS, &facts()).is_err(), "cut at {at}");
    }
}
