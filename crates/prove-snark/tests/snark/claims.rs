//! From a claim to its finding, and what of a claim or its evidence is refused by which name.
//!
//! It deliberately knows no constraint.

use std::sync::Arc;

use crate::small;
use crate::story::{OPTIONS, Story, chain};
use credence_base::{ModelId, Nonce};
use credence_claim::{
    Basis, ClaimFields, Fact, Finding, FinishReason, MethodError, Part, Refutation, SeedSource,
    Soundness,
};
use credence_method_snark::circuit::Circuit;
use credence_method_snark::pcs::{Params, Security};
use credence_method_snark::{EVIDENCE_BYTES_MAX, Snark};
use credence_model::{Elements, Tensor, Tensors};
use credence_prove_snark::{Options, ProveError, memory_bytes};

fn refused(result: Result<Finding, MethodError>, part: Part) -> String {
    match result {
        Err(error @ MethodError::Malformed { .. }) => {
            assert!(matches!(error, MethodError::Malformed { part: p, .. } if p == part));
            chain(&error)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_honest_claim_is_proved() {
    let story = Story::honest();
    for (security, bits) in [(Security::Bits100, 100), (Security::Bits128, 128)] {
        let evidence = story
            .prove(Options {
                security,
                ..OPTIONS
            })
            .unwrap();
        let finding = story.check(&story.method(), Some(&evidence)).unwrap();
        assert_eq!(finding.basis, Basis::Proved);
        let Soundness::Bits(got) = finding.soundness else {
            panic!("no bound");
        };
        assert!(got >= bits, "{got}");
        assert!(finding.not_checked[0].contains("trace"));
        let mut prepared = story.method();
        for positions in [1, 2, 2] {
            prepared.prepare(positions).unwrap();
        }
        assert_eq!(story.check(&prepared, Some(&evidence)).unwrap(), finding);
    }
}

#[test]
fn evidence_that_is_none_is_refused_by_name() {
    let story = Story::honest();
    let method = story.method();
    let evidence = story.prove(OPTIONS).unwrap();
    let check = |evidence: &[u8]| refused(story.check(&method, Some(evidence)), Part::Evidence);
    assert!(matches!(
        story.check(&method, None),
        Err(MethodError::Missing(Fact::Evidence))
    ));
    assert!(check(&[]).contains("cannot be read"));
    assert!(check(&[99]).contains("aims at 99 bits"));
    assert!(check(&evidence[..20]).contains("public values"));
    assert!(check(&vec![100; EVIDENCE_BYTES_MAX + 1]).contains("at most"));
    let careful = Snark::new(Arc::clone(&story.model), Security::Bits128);
    let text = refused(story.check(&careful, Some(&evidence)), Part::Evidence);
    assert!(text.contains("at least 128"), "{text}");
    let mut raised = evidence.clone();
    raised[0] = 128;
    assert!(check(&raised).contains("the proof is refused"));
}

#[test]
fn a_proof_of_another_output_or_claim_is_refused() {
    let story = Story::honest();
    let evidence = story.prove(OPTIONS).unwrap();
    // The operator claims another output and keeps the proof of the honest one.
    let liar = Story {
        output: another_output(&story.output),
        ..Story::honest()
    };
    let text = refused(liar.check(&liar.method(), Some(&evidence)), Part::Evidence);
    assert!(text.contains("another output"), "{text}");
    // It also changes the cells at the proof's front.
    let mut edited = evidence.clone();
    edited[1] ^= 1;
    let text = refused(liar.check(&liar.method(), Some(&edited)), Part::Evidence);
    assert!(text.contains("the proof is refused"), "{text}");
    assert!(matches!(liar.prove(OPTIONS), Err(ProveError::Output)));
    // A nonce that the proof does not know.
    let other = Story {
        fields: |fields| fields.nonce = Some(Nonce::from_bytes([7; 32])),
        ..Story::honest()
    };
    let text = refused(
        other.check(&other.method(), Some(&evidence)),
        Part::Evidence,
    );
    assert!(text.contains("the proof is refused"), "{text}");
}

/// The first value one more.
fn another_output(bytes: &[u8]) -> Vec<u8> {
    let limits = credence_model::TensorLimits { bytes_max: 1 << 20 };
    let tensors = Tensors::decode(bytes, limits).unwrap();
    let changed = tensors.iter().enumerate().map(|(index, tensor)| {
        let Elements::Int64(elements) = tensor.elements() else {
            panic!("integers");
        };
        let mut elements = elements.clone();
        if index == 0 {
            elements[0] ^= 1;
        }
        Tensor::new(
            tensor.name(),
            tensor.shape().to_vec(),
            Elements::Int64(elements),
        )
        .unwrap()
    });
    Tensors::new(changed.collect()).unwrap().encode()
}

#[test]
fn a_claim_that_no_tensor_model_makes_is_refused() {
    let evidence = Story::honest().prove(OPTIONS).unwrap();
    let refuted = |fields: fn(&mut ClaimFields)| {
        let story = Story {
            fields,
            ..Story::honest()
        };
        assert!(story.prove(OPTIONS).is_err());
        match story.check(&story.method(), Some(&evidence)) {
            Err(MethodError::Refuted(refutation)) => refutation,
            other => panic!("{other:?}"),
        }
    };
    let input = refuted(|fields| fields.counts.input = 3);
    assert!(matches!(
        input,
        Refutation::InputCount { claimed: 3, got: 2 }
    ));
    let output = refuted(|fields| fields.counts.output = 1);
    assert!(matches!(
        output,
        Refutation::OutputCount { claimed: 1, got: 2 }
    ));
    let finish = refuted(|fields| fields.finish = FinishReason::Stop);
    assert!(matches!(finish, Refutation::Finish { .. }));
    assert_eq!(
        refuted(|fields| fields.seed = SeedSource::Client),
        Refutation::Seed
    );
    let story = Story {
        params: vec![1, 0, 0, 0, 1],
        ..Story::honest()
    };
    let text = refused(story.check(&story.method(), Some(&evidence)), Part::Params);
    assert!(text.contains("takes no parameters"), "{text}");
    let story = Story {
        input: small::programs().remove(1).2.encode(),
        ..Story::honest()
    };
    let text = refused(story.check(&story.method(), Some(&evidence)), Part::Input);
    assert!(text.contains("not the model's"), "{text}");
}

#[test]
fn another_model_is_missing_and_a_small_memory_is_said_before_the_work() {
    let story = Story::honest();
    let evidence = story.prove(OPTIONS).unwrap();
    for method in [
        Snark::without_model(),
        Snark::new(Arc::new(small::programs().remove(1).1), Security::Bits100),
    ] {
        assert!(matches!(
            story.check(&method, Some(&evidence)),
            Err(MethodError::Missing(Fact::Model(id))) if id == story.model.id()
        ));
    }
    let other = Story {
        fields: |fields| fields.model = ModelId::from_bytes([9; 32]),
        ..Story::honest()
    };
    assert!(matches!(other.prove(OPTIONS), Err(ProveError::Model)));
    // Too little for the circuit; enough for it, and too little for the rest.
    let circuit = Circuit::new(&story.model, 2).unwrap();
    let params = Params::new(circuit.witness_log(), Security::Bits100).unwrap();
    let whole = memory_bytes(&circuit, &params);
    for little in [1000, circuit.memory_bytes(), whole - 1] {
        let options = Options {
            memory_bytes_max: little,
            ..OPTIONS
        };
        match story.prove(options) {
            Err(ProveError::Memory { expected, max }) => assert!(max == little && expected > max),
            other => panic!("{other:?}"),
        }
    }
    let enough = Options {
        memory_bytes_max: whole,
        ..OPTIONS
    };
    assert!(story.prove(enough).is_ok());
}

#[test]
fn language_models_are_refused_by_name() {
    let model = credence_testkit::program_gen::language_model(1);
    let error = credence_method_snark::circuit::Circuit::new(&model, 1).unwrap_err();
    assert!(error.to_string().contains("language model"), "{error}");
}
