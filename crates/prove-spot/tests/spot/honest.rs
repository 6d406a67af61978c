//! Honest runs pass: language and tensor models, every form of challenge, with and without the card in the evidence.

use std::sync::Arc;

use credence_base::Digest;
use credence_claim::{Basis, Fact, Method as _, MethodError, Quantity, Soundness};
use credence_exec::sampling::Settings;
use credence_method_spot::{Card, Challenge, Demand, Spot};
use credence_prove_spot::{Carry, Opener};
use credence_testkit::program_gen::{Choices, model, request};
use credence_testkit::speaking::speaking;

use crate::common::{answer, answer_by, audit, demand, infer, options, prompt_ids, spot};

fn challenges() -> [Challenge; 3] {
    [
        Challenge::Claim,
        Challenge::Auditor([3; 32]),
        Challenge::Checkpoint {
            receipt: Digest::from_bytes([4; 32]),
            cosignatures: b"witness".to_vec(),
        },
    ]
}

#[test]
fn language_models_answers_pass_in_every_form() {
    for seed in 0..6 {
        let model = Arc::new(speaking(seed));
        let drawn = Settings {
            top_k: 40,
            frequency_penalty: 300_000,
            ..Settings::neutral(25)
        };
        let tellings = [
            answer(&model, 20),
            answer(&model, 1),
            answer_by((&model, &model), &prompt_ids(), drawn),
            answer_by((&model, &model), &[5], crate::common::greedy(40)),
        ];
        for told in tellings {
            for challenge in challenges() {
                let finding = audit(&told, challenge, demand(80, 3)).unwrap();
                assert_eq!(finding.basis, Basis::SpotChecked);
                assert_eq!(finding.soundness, Soundness::None);
            }
        }
    }
}

#[test]
fn tensor_models_runs_pass() {
    for seed in 0..80 {
        let model = Arc::new(model(seed));
        let batch = u32::try_from(1 + seed % 4).unwrap();
        let told = infer((&model, &model), &request(&model, seed, batch));
        let finding = audit(&told, Challenge::Claim, demand(40, 1)).unwrap();
        let cells = finding.numbers.first().unwrap();
        assert_eq!(cells.quantity, Quantity::Count(40));
    }
}

/// 2,000 audits of one run by fresh randomness; `examples/audits.rs` makes 10,000, or as many as it is asked for.
#[test]
fn no_honest_audit_raises_an_alarm() {
    let model = Arc::new(speaking(1));
    let claimed = answer(&model, 30).claim();
    let opener = Opener::new(&model, options()).unwrap();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let card = opener.card(true).unwrap();
    let mut choices = Choices::new(9);
    for _ in 0..2_000 {
        let random = core::array::from_fn(|_| u8::try_from(choices.size(0, 255)).unwrap());
        let challenge = Challenge::Auditor(random);
        let evidence = rerun.prove(&challenge, (16, 1), Carry::Nothing).unwrap();
        let card = Card::decode(model.id(), &card).unwrap();
        let spot = Spot::new(vec![card], demand(16, 1), challenge).unwrap();
        spot.check(&claimed.case(), Some(&evidence)).unwrap();
    }
}

#[test]
fn a_verifier_with_nothing_but_the_id_needs_the_card() {
    let model = Arc::new(speaking(2));
    let claimed = answer(&model, 10).claim();
    let opener = Opener::new(&model, options()).unwrap();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let asked = (80, 1);
    let stranger = Spot::new(Vec::new(), Demand::USUAL, Challenge::Claim).unwrap();
    let check = |carry| {
        let evidence = rerun.prove(&Challenge::Claim, asked, carry).unwrap();
        stranger.check(&claimed.case(), Some(&evidence))
    };
    let missing = check(Carry::Nothing).unwrap_err();
    assert!(
        matches!(missing, MethodError::Missing(Fact::Model(id)) if id == model.id()),
        "{missing:?}"
    );
    let without_words = check(Carry::Program).unwrap();
    assert!(
        without_words
            .not_checked
            .iter()
            .any(|not| not.contains("words"))
    );
    let with_words = check(Carry::ProgramAndText).unwrap();
    assert!(
        !with_words
            .not_checked
            .iter()
            .any(|not| not.contains("words"))
    );
    assert_eq!(
        with_words.not_checked.len() + 1,
        without_words.not_checked.len()
    );
    // The check is the same whether the card came along or was at hand.
    let evidence = rerun
        .prove(&Challenge::Claim, asked, Carry::Nothing)
        .unwrap();
    let at_hand = spot(&model, Demand::USUAL, Challenge::Claim);
    let finding = at_hand.check(&claimed.case(), Some(&evidence)).unwrap();
    assert_eq!(finding, with_words);
    let nothing = at_hand.check(&claimed.case(), None).unwrap_err();
    assert!(matches!(nothing, MethodError::Missing(Fact::Evidence)));
}
