//! One named liar for each check: delete the check and its liar gets through.
#![expect(clippy::panic, reason = "helpers of tests stop a test that went wrong")]

use credence_base::{ModelId, Nonce, Salt, SigningKey, TraceRoot};
use credence_claim::{
    Basis, Case, ClaimFields, Evidence, Fact, Finding, FinishReason, Method, MethodError, MethodId,
    Openings, Refutation, SeedSource, Soundness,
};
use credence_receipt::{Bundle, KeyAction, KeyStatement, Kind, Statement, sign};
use credence_verify::{Facts, Policy, Refusal, RefusalKind, check, check_bytes};

mod support;

use support::*;

const METHODS: &[&dyn Method] = &[&Replay, &Seal];

fn refusal(bundle: &Bundle) -> Refusal {
    refusal_under(bundle, &policy(), METHODS, &facts())
}

fn refusal_under(
    bundle: &Bundle,
    policy: &Policy,
    methods: &[&dyn Method],
    facts: &Facts,
) -> Refusal {
    match check(bundle, policy, methods, facts) {
        Ok(_) => panic!("the liar got through"),
        Err(refusal) => refusal,
    }
}

fn claiming(edit: impl Fn(&mut ClaimFields)) -> Bundle {
    let mut fields = honest_fields();
    edit(&mut fields);
    bundle_of(fields, &key(), openings_for(&run_model(INPUT)))
}

#[test]
fn an_honest_bundle_is_accepted_with_its_findings_in_order() {
    let verified = check(&honest_bundle(), &policy(), METHODS, &facts()).unwrap();
    let bases: Vec<Basis> = verified
        .assurance()
        .findings()
        .iter()
        .map(|f| f.basis)
        .collect();
    assert_eq!(bases, [Basis::Signed, Basis::ReExecuted, Basis::Proved]);
    assert_eq!(
        verified.assurance().confidence().wrong_output,
        Soundness::Bits(128)
    );
    let receipt = verified.value();
    assert_eq!(receipt.output(), Some(run_model(INPUT).as_slice()));
    assert_eq!(
        (receipt.input(), receipt.params()),
        (Some(INPUT), Some(PARAMS))
    );
    assert_eq!(*receipt.digest(), honest_bundle().receipt().digest());
    assert_eq!(*receipt.inference().claim.fields(), honest_fields());

    let bytes = honest_bundle().encode().unwrap();
    let again = check_bytes(&bytes, bytes.len(), &policy(), METHODS, &facts()).unwrap();
    assert_eq!(again, verified);
    let short = check_bytes(&bytes, bytes.len() - 1, &policy(), METHODS, &facts()).unwrap_err();
    assert!(matches!(short, Refusal::Bundle(_)) && short.kind() == RefusalKind::Malformed);
}

#[test]
fn the_impostor_signs_with_another_key() {
    let impostor = SigningKey::from_seed(&[9; 32]);
    let output = run_model(INPUT);
    let bundle = bundle_of(
        fields_for(&impostor, &output, TRACE),
        &impostor,
        openings_for(&output),
    );
    let refusal = refusal(&bundle);
    assert!(matches!(refusal, Refusal::Operator { got } if got == impostor.public_key()));
    assert_eq!(refusal.kind(), RefusalKind::PolicyUnmet);
    // With any operator accepted, the assurance says so.
    let anyone = Policy {
        operators: None,
        ..policy()
    };
    let verified = check(&bundle, &anyone, METHODS, &facts()).unwrap();
    let open = &verified.assurance().findings()[0].not_checked;
    assert!(
        open.iter().any(|text| text.contains("any operator")),
        "{open:?}"
    );
}

#[test]
fn the_copier_signs_anothers_commitments() {
    // The commitments hold the honest operator's key, so the copier cannot open them as its own.
    let copier = SigningKey::from_seed(&[9; 32]);
    let bundle = bundle_of(honest_fields(), &copier, openings_for(&run_model(INPUT)));
    let anyone = Policy {
        operators: None,
        ..policy()
    };
    let refusal = refusal_under(&bundle, &anyone, METHODS, &facts());
    assert!(matches!(refusal, Refusal::Openings(_)));
    assert_eq!(refusal.kind(), RefusalKind::Inconsistent);
}

#[test]
fn the_substituter_runs_another_model() {
    let other = ModelId::from_bytes([9; 32]);
    let refusal = refusal(&claiming(|f| f.model = other));
    assert!(matches!(refusal, Refusal::Model { got } if got == other));
    assert_eq!(refusal.kind(), RefusalKind::PolicyUnmet);
}

#[test]
fn the_replayer_sends_an_old_answer() {
    let other = Nonce::from_bytes([9; 32]);
    let refused = refusal(&claiming(|f| f.nonce = Some(other)));
    assert!(matches!(refused, Refusal::Nonce { got: Some(got), .. } if got == other));
    let without = refusal(&claiming(|f| {
        f.nonce = None;
        f.seed = SeedSource::Operator;
    }));
    assert!(matches!(without, Refusal::Nonce { got: None, .. }));
    assert!(without.to_string().contains("got none"));

    let late = Facts::at(TIME_UNIX_S + 3601);
    let refused = refusal_under(&honest_bundle(), &policy(), METHODS, &late);
    assert!(matches!(
        refused,
        Refusal::Age {
            age_s: 3601,
            max_s: 3600
        }
    ));
    assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
    let in_time = Facts::at(TIME_UNIX_S + 3600);
    assert!(check(&honest_bundle(), &policy(), METHODS, &in_time).is_ok());
}

#[test]
fn the_postdater_signs_for_tomorrow() {
    let early = Facts::at(TIME_UNIX_S - 61);
    let refused = refusal_under(&honest_bundle(), &policy(), METHODS, &early);
    assert!(matches!(
        refused,
        Refusal::Future {
            ahead_s: 61,
            max_s: 60
        }
    ));
    let in_time = Facts::at(TIME_UNIX_S - 60);
    assert!(check(&honest_bundle(), &policy(), METHODS, &in_time).is_ok());
}

#[test]
fn the_editor_opens_something_else() {
    let edits: [fn(&mut Openings); 6] = [
        |o| o.input.as_mut().unwrap().content.push(b'!'),
        |o| o.params.as_mut().unwrap().content.push(b'!'),
        |o| o.output.as_mut().unwrap().content.push(b'!'),
        |o| o.input.as_mut().unwrap().salt = Salt::from_bytes([0; 32]),
        |o| o.params.as_mut().unwrap().salt = Salt::from_bytes([0; 32]),
        |o| o.output.as_mut().unwrap().salt = Salt::from_bytes([0; 32]),
    ];
    for edit in edits {
        let mut openings = openings_for(&run_model(INPUT));
        edit(&mut openings);
        let bundle = bundle_of(honest_fields(), &key(), openings);
        // Even when no method asks for the openings.
        let refused = refusal_under(&bundle, &Policy::signature_only(), &[], &facts());
        assert!(matches!(refused, Refusal::Openings(_)), "{refused}");
    }
    let mut openings = openings_for(&run_model(INPUT));
    openings.trace = Some(Salt::from_bytes([0; 32]));
    let refused = refusal(&bundle_of(honest_fields(), &key(), openings));
    assert!(matches!(
        refused,
        Refusal::Refuted {
            refutation: Refutation::Trace { .. },
            ..
        }
    ));
}

#[test]
fn the_fabricator_signs_a_wrong_output_and_opens_it() {
    let bundle = bundle_of(
        fields_for(&key(), b"ABD", TRACE),
        &key(),
        openings_for(b"ABD"),
    );
    let refused = refusal(&bundle);
    assert!(matches!(
        &refused,
        Refusal::Refuted { method, refutation: Refutation::Output { .. } } if *method == MethodId::REPLAY
    ));
    assert_eq!(refused.kind(), RefusalKind::Refuted);
    // A signature alone does not catch it, and does not say that it would.
    let verified = check(&bundle, &Policy::signature_only(), METHODS, &facts()).unwrap();
    assert_eq!(
        verified.assurance().confidence().wrong_output,
        Soundness::None
    );
}

#[test]
fn the_shortcutter_signs_another_trace() {
    let trace = TraceRoot::from_bytes([9; 32]);
    let output = run_model(INPUT);
    let bundle = bundle_of(
        fields_for(&key(), &output, trace),
        &key(),
        openings_for(&output),
    );
    let refused = refusal(&bundle);
    assert!(matches!(
        refused,
        Refusal::Refuted {
            refutation: Refutation::Trace { .. },
            ..
        }
    ));
}

#[test]
fn the_padder_counts_what_was_not_there() {
    let refused = refusal(&claiming(|f| f.counts.output = 300));
    assert!(matches!(
        refused,
        Refusal::Refuted {
            refutation: Refutation::OutputCount {
                claimed: 300,
                got: 3
            },
            ..
        }
    ));
    let refused = refusal(&claiming(|f| f.finish = FinishReason::Length));
    assert!(matches!(
        refused,
        Refusal::Refuted {
            refutation: Refutation::Finish { .. },
            ..
        }
    ));
}

#[test]
fn the_withholder_opens_nothing() {
    type Withhold = fn(&mut Openings);
    let cases: [(Fact, Withhold); 4] = [
        (Fact::Input, |o| o.input = None),
        (Fact::Params, |o| o.params = None),
        (Fact::Output, |o| o.output = None),
        (Fact::TraceSalt, |o| o.trace = None),
    ];
    for (expected, withhold) in cases {
        let mut openings = openings_for(&run_model(INPUT));
        withhold(&mut openings);
        let refused = refusal(&bundle_of(honest_fields(), &key(), openings));
        assert_eq!(refused.kind(), RefusalKind::MissingFacts);
        assert!(matches!(refused, Refusal::Missing { fact, .. } if fact == expected));
    }
}

#[test]
fn the_prover_leaves_its_evidence_out_or_makes_it_up() {
    let with = |evidence| {
        let honest = honest_bundle();
        Bundle::new(
            honest.receipt().clone(),
            honest.openings().clone(),
            evidence,
        )
        .unwrap()
    };
    let none = refusal(&with(Vec::new()));
    assert!(
        matches!(
            none,
            Refusal::Missing {
                fact: Fact::Evidence,
                ..
            }
        ),
        "{none}"
    );
    let seal = MethodId::new("seal").unwrap();
    let made_up = Evidence {
        method: seal.clone(),
        version: 1,
        bytes: b"other".to_vec(),
    };
    let refused = refusal(&with(vec![made_up]));
    assert!(matches!(refused, Refusal::Unreadable { .. }));
    assert_eq!(refused.kind(), RefusalKind::Malformed);
    // Evidence of another version or for another method is not handed over.
    let newer = Evidence {
        method: seal,
        version: 2,
        bytes: Seal::BYTES.to_vec(),
    };
    let other = Evidence {
        method: MethodId::REPLAY,
        version: 9,
        bytes: Seal::BYTES.to_vec(),
    };
    let refused = refusal(&with(vec![newer, other]));
    assert!(matches!(
        refused,
        Refusal::Missing {
            fact: Fact::Evidence,
            ..
        }
    ));
}

#[test]
fn what_the_policy_requires_must_be_linked_and_what_it_does_not_is_not_run() {
    struct Forbidden;
    impl Method for Forbidden {
        fn id(&self) -> MethodId {
            MethodId::new("seal").unwrap()
        }
        fn version(&self) -> u32 {
            panic!("nobody asked")
        }
        fn needs_evidence(&self) -> bool {
            panic!("nobody asked")
        }
        fn check(&self, _: &Case<'_>, _: Option<&[u8]>) -> Result<Finding, MethodError> {
            panic!("nobody asked")
        }
    }

    let refused = refusal_under(&honest_bundle(), &policy(), &[&Replay], &facts());
    assert!(matches!(&refused, Refusal::NoMethod { method } if method.as_str() == "seal"));
    assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
    let verified = check(
        &honest_bundle(),
        &Policy::strict(),
        &[&Forbidden, &Replay],
        &facts(),
    )
    .unwrap();
    let open = &verified.assurance().findings()[0].not_checked;
    assert!(
        open.iter()
            .any(|text| text.contains("evidence for method `seal`")),
        "{open:?}"
    );
    assert!(
        open.iter().any(|text| text.contains("names no nonce")),
        "{open:?}"
    );
}

#[test]
fn evidence_that_nobody_reads_is_accepted_and_named_as_not_checked() {
    let mut evidence = support::evidence();
    evidence[0].bytes = b"made up".to_vec();
    let honest = honest_bundle();
    let bundle = Bundle::new(
        honest.receipt().clone(),
        honest.openings().clone(),
        evidence,
    )
    .unwrap();
    let verified = check(&bundle, &Policy::strict(), METHODS, &facts()).unwrap();
    let open = &verified.assurance().findings()[0].not_checked;
    assert!(open.contains(&"evidence for method `seal` version 1: not asked for".to_owned()));
    assert!(!verified.assurance().rests_on(Basis::Proved));
}

#[test]
fn a_check_that_breaks_off_is_nobodys_lie() {
    struct Broken;
    impl Method for Broken {
        fn id(&self) -> MethodId {
            MethodId::REPLAY
        }
        fn version(&self) -> u32 {
            1
        }
        fn needs_evidence(&self) -> bool {
            false
        }
        fn check(&self, _: &Case<'_>, _: Option<&[u8]>) -> Result<Finding, MethodError> {
            Err(MethodError::Failed("out of memory".into()))
        }
    }

    let refused = refusal_under(&honest_bundle(), &Policy::strict(), &[&Broken], &facts());
    assert_eq!(refused.kind(), RefusalKind::Failed);
}

#[test]
fn a_key_statement_is_no_answer() {
    let statement = Statement::Key(KeyStatement {
        operator: key().public_key(),
        action: KeyAction::Expire {
            not_after_unix_s: 0,
        },
        time_unix_s: TIME_UNIX_S,
    });
    let receipt = sign(&statement, &key()).unwrap();
    let bundle = Bundle::new(receipt, Openings::default(), Vec::new()).unwrap();
    let refused = refusal_under(&bundle, &Policy::signature_only(), METHODS, &facts());
    assert!(matches!(
        refused,
        Refusal::Kind {
            expected: Kind::Inference,
            got: Kind::KeyStatement
        }
    ));
}

/// A method that is as sure of the output as it says.
struct Sure {
    id: MethodId,
    soundness: Soundness,
}

impl Method for Sure {
    fn id(&self) -> MethodId {
        self.id.clone()
    }

    fn version(&self) -> u32 {
        1
    }

    fn needs_evidence(&self) -> bool {
        false
    }

    fn check(&self, _case: &Case<'_>, _evidence: Option<&[u8]>) -> Result<Finding, MethodError> {
        Ok(Finding {
            soundness: self.soundness,
            ..Finding::re_executed(1, 1)
        })
    }
}

/// A proof of 100 bits where 128 are asked for, beside a method that has them, or none that bounds anything.
#[test]
fn the_unsure_offers_fewer_bits_than_the_policy_asks_for() {
    let of = |name, soundness| Sure {
        id: MethodId::new(name).unwrap(),
        soundness,
    };
    let (proof, replay) = (
        of("proof", Soundness::Bits(100)),
        of("again", Soundness::Bits(128)),
    );
    let sample = of("sample", Soundness::None);
    let methods: [&dyn Method; 3] = [&proof, &replay, &sample];
    let under = |required: &[&Sure], bits_min| {
        let policy = Policy {
            required: required.iter().map(|method| method.id()).collect(),
            bits_min,
            ..policy()
        };
        check(&honest_bundle(), &policy, &methods, &facts())
    };
    for (required, bits) in [
        (vec![&proof], Some(100)),
        (vec![&proof, &sample], Some(1)),
        (vec![&replay], Some(128)),
        (vec![&sample, &replay], Some(128)),
        (vec![&sample], None),
    ] {
        assert!(under(&required, bits).is_ok(), "{bits:?}");
    }
    for required in [vec![&proof], vec![&replay, &proof], vec![&proof, &replay]] {
        for expected in [101, 128] {
            let refused = under(&required, Some(expected)).unwrap_err();
            assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
            let named = matches!(&refused, Refusal::Bits { method, expected: e, got: 100 } if *method == proof.id() && *e == expected);
            assert!(named, "{refused:?}");
            assert!(
                refused.to_string().contains("method `proof` bounds"),
                "{refused}"
            );
        }
    }
    for required in [vec![], vec![&sample]] {
        let refused = under(&required, Some(1)).unwrap_err();
        assert!(
            matches!(refused, Refusal::NoBits { expected: 1 }),
            "{refused:?}"
        );
        assert_eq!(refused.kind(), RefusalKind::PolicyUnmet);
    }
}
