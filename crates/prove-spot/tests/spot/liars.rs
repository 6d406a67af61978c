//! Named liars, each caught by the check that is there for it.

use std::sync::Arc;

use credence_base::SigningKey;
use credence_claim::{Case, FinishReason, MethodError, Openings, Part, Refutation, SeedSource};
use credence_exec::sampling::{Parameters, Settings};
use credence_generate::Output;
use credence_method_spot::Challenge;
use credence_model::{Elements, Tensor, Tensors};
use credence_testkit::program_gen::{Choices, model, request};
use credence_testkit::speaking::speaking;

use crate::common::{
    Told, accuse, altered, answer, answer_by, audit, demand, greedy, infer, outputs, prompt_ids,
    sections_of, wide,
};

fn refuted(result: Result<credence_claim::Finding, MethodError>) -> Refutation {
    match result {
        Err(MethodError::Refuted(refutation)) => refutation,
        other => panic!("not refuted: {other:?}"),
    }
}

fn is_cell(told: &Told) -> bool {
    let got = refuted(accuse(told, Challenge::Claim, demand(80, 1)));
    matches!(got, Refutation::Cell { .. })
}

fn scrambled(bytes: &mut [u8], seed: u64) {
    let mut choices = Choices::new(seed);
    for byte in bytes {
        *byte = u8::try_from(choices.size(0, 255)).unwrap();
    }
}

#[test]
fn the_true_run_is_not_accused() {
    let model = Arc::new(speaking(3));
    accuse(&answer(&model, 30), Challenge::Claim, demand(80, 1)).unwrap();
}

#[test]
fn another_model_of_the_same_form() {
    let model = Arc::new(speaking(3));
    let matrices = matrices(&model);
    let other = altered(&model, |name, bytes| {
        if matrices.iter().any(|own| own == name) {
            // Another one of the same form, within the same bounds.
            bytes.reverse();
        }
    });
    assert!(is_cell(&answer_by(
        (&model, &other),
        &prompt_ids(),
        greedy(30)
    )));
}

/// The names of the parameters of matrix products.
fn matrices(model: &credence_model::Model) -> Vec<String> {
    let spec = model.program().spec();
    let weights = spec.nodes.iter().filter_map(|node| match &node.op {
        credence_exact::Op::Linear(op) => Some(op.weight),
        _ => None,
    });
    let names = weights.map(|id| spec.params[usize::try_from(id.0).unwrap()].name.clone());
    names.collect()
}

#[test]
fn the_same_model_in_fewer_bits() {
    let model = Arc::new(speaking(3));
    let matrices = matrices(&model);
    let coarse = altered(&model, |name, bytes| {
        if matrices.iter().any(|own| own == name) {
            for byte in bytes {
                // Seven bits left of eight.
                let value = i8::from_le_bytes([*byte]);
                *byte = (value / 2 * 2).to_le_bytes()[0];
            }
        }
    });
    assert!(is_cell(&answer_by(
        (&model, &coarse),
        &prompt_ids(),
        greedy(30)
    )));
}

#[test]
fn a_layer_skipped() {
    let model = Arc::new(speaking(3));
    let matrices = matrices(&model);
    let skipped = altered(&model, |name, bytes| {
        if name == matrices[0] {
            bytes.fill(0);
        }
    });
    assert!(is_cell(&answer_by(
        (&model, &skipped),
        &prompt_ids(),
        greedy(30)
    )));
}

#[test]
fn an_honest_answer_with_an_invented_trace() {
    let model = Arc::new(speaking(3));
    let mut told = answer(&model, 30);
    for section in &mut told.sections {
        scrambled(section, 1);
    }
    assert!(is_cell(&told));
}

#[test]
fn one_section_of_activations_invented() {
    let model = Arc::new(speaking(3));
    for section in 0..4 {
        let mut told = answer(&model, 30);
        scrambled(&mut told.sections[section], 1);
        assert!(is_cell(&told), "{section}");
    }
}

#[test]
fn another_prompt_was_run() {
    let model = Arc::new(speaking(3));
    let mut told = answer(&model, 30);
    let other: Vec<u32> = prompt_ids().iter().map(|id| id + 1).collect();
    let answered = told.tokens();
    let all = [&other, &answered[..answered.len() - 1]].concat();
    told.sections = sections_of(&model, &all, answered.len());
    // The last token may still be the one drawn; cells that read the request are not.
    assert!(is_cell(&told));
}

/// A token of the answer changed behind the run's back.
fn with_token(told: &Told, index: usize) -> Told {
    let output = Output::decode(&told.output).unwrap();
    let mut tokens = output.tokens;
    tokens[index] = if tokens[index] == 65 { 66 } else { 65 };
    Told {
        output: Output::new(output.text, tokens).encode().unwrap(),
        ..told.clone()
    }
}

/// As a liar would: with the text of its tokens.
fn retold(told: &Told) -> Told {
    let engine = credence_exec::Engine::new(Arc::clone(&told.model), crate::common::options());
    let language = credence_generate::Language::new(engine.unwrap()).unwrap();
    let parameters = Parameters::decode(&told.params).unwrap();
    let limits = credence_generate::Limits {
        prompt: prompt_ids().len(),
        context: language.context(),
    };
    let mut answer =
        credence_generate::Generation::new(language.text(), &parameters, ([0; 32], 0), limits);
    for token in told.tokens() {
        answer.accept(token).unwrap();
    }
    Told {
        output: answer.output().encode().unwrap(),
        ..told.clone()
    }
}

#[test]
fn the_last_token_edited() {
    let model = Arc::new(speaking(3));
    let told = answer(&model, 30);
    let last = told.tokens().len() - 1;
    let lie = retold(&with_token(&told, last));
    for seed in 0..20 {
        let got = refuted(accuse(&lie, Challenge::Auditor([seed; 32]), demand(80, 1)));
        assert!(
            matches!(got, Refutation::Token { index, claimed, .. } if index == wide(last) && claimed != told.tokens()[last]),
            "{got:?}"
        );
    }
}

#[test]
fn words_that_are_not_the_tokens() {
    let model = Arc::new(speaking(3));
    let told = answer(&model, 30);
    let lie = with_token(&told, 7);
    let got = refuted(accuse(&lie, Challenge::Claim, demand(80, 1)));
    assert!(matches!(got, Refutation::Output { .. }), "{got:?}");
}

#[test]
fn other_sampling_parameters() {
    let model = Arc::new(speaking(3));
    let warm = Settings {
        temperature: 2_000_000,
        ..Settings::neutral(40)
    };
    // Drawn at temperature 2, claimed to be greedy, with nothing drawn.
    let mut told = answer_by((&model, &model), &prompt_ids(), warm);
    told.params = Parameters::new(greedy(40)).unwrap().encode();
    told.seed = SeedSource::Nothing;
    let got = refuted(accuse(&told, Challenge::Claim, demand(80, 8)));
    assert!(matches!(got, Refutation::Token { .. }), "{got:?}");
}

#[test]
fn a_seed_tried_out() {
    let model = Arc::new(speaking(3));
    let own = Settings {
        seed: Some([9; 32]),
        ..Settings::neutral(20)
    };
    let mut told = answer_by((&model, &model), &prompt_ids(), own);
    // The operator's own seed where the client's nonce gives one, and one said to be derived.
    for source in [SeedSource::Operator, SeedSource::Derived] {
        told.seed = source;
        let got = refuted(accuse(&told, Challenge::Claim, demand(80, 1)));
        assert_eq!(got, Refutation::Seed);
    }
    // Drawn with a seed that is not the claimed one.
    told.seed = SeedSource::Client;
    let other = Settings {
        seed: Some([8; 32]),
        ..Settings::neutral(20)
    };
    told.params = Parameters::new(other).unwrap().encode();
    let got = refuted(accuse(&told, Challenge::Claim, demand(80, 8)));
    assert!(matches!(got, Refutation::Token { .. }), "{got:?}");
}

#[test]
fn counts_and_ends_that_are_not_so() {
    let model = Arc::new(speaking(3));
    let told = answer(&model, 12);
    let with = |change: fn(&mut Told)| {
        let mut lie = told.clone();
        change(&mut lie);
        refuted(accuse(&lie, Challenge::Claim, demand(80, 1)))
    };
    let input = with(|lie| lie.counts.input += 1);
    assert!(matches!(input, Refutation::InputCount { .. }));
    let output = with(|lie| lie.counts.output += 1);
    assert!(matches!(output, Refutation::OutputCount { .. }));
    let finish = with(|lie| lie.finish = FinishReason::Cancelled);
    assert!(matches!(finish, Refutation::Finish { .. }));
    let longer = with(|lie| lie.params = Parameters::new(greedy(5)).unwrap().encode());
    assert!(matches!(longer, Refutation::OutputLength { got: 5 }));
}

fn is_unconvincing(result: &Result<credence_claim::Finding, MethodError>) -> bool {
    matches!(
        result,
        Err(MethodError::Malformed {
            part: Part::Evidence,
            ..
        })
    )
}

#[test]
fn evidence_of_another_run_shows_nothing() {
    use credence_claim::Method as _;
    let model = Arc::new(speaking(3));
    let (one, two) = (answer(&model, 20), answer(&model, 21));
    let opener = credence_prove_spot::Opener::new(&model, crate::common::options()).unwrap();
    let claimed = one.claim();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let carry = credence_prove_spot::Carry::Nothing;
    let evidence = rerun.prove(&Challenge::Claim, (80, 1), carry).unwrap();
    let spot = crate::common::spot(&model, demand(80, 1), Challenge::Claim);
    assert!(is_unconvincing(
        &spot.check(&two.claim().case(), Some(&evidence))
    ));
    // The same answer under other salts is another claim, with other draws.
    let again = Told {
        salt: [5; 32],
        ..one
    };
    assert!(is_unconvincing(
        &spot.check(&again.claim().case(), Some(&evidence))
    ));
    // The rerun itself refuses a claim that is not its model's run.
    let mut lie = two;
    lie.sections[0][0] ^= 1;
    assert!(opener.rerun(&lie.claim().case()).is_err());
}

#[test]
fn anothers_trace_cannot_be_opened_as_ones_own() {
    use credence_claim::Method as _;
    let model = Arc::new(speaking(3));
    let told = answer(&model, 20);
    let claimed = told.claim();
    let copier = SigningKey::from_seed(&[6; 32]).public_key();
    // The copier's claim has the victim's trace commitment; what it opens is under its own key.
    let own = Openings {
        trace: claimed.openings.trace,
        ..Openings::default()
    };
    let case = Case::check(&claimed.claim, &copier, &own).unwrap();
    let evidence = crate::common::Liar::new(&model)
        .evidence(&told, &Challenge::Claim, (80, 1))
        .unwrap()
        .encode()
        .unwrap();
    let spot = crate::common::spot(&model, demand(80, 1), Challenge::Claim);
    let result = spot.check(&case, Some(&evidence));
    assert!(matches!(result, Err(MethodError::Missing(_))), "{result:?}");
    // Contents that it committed to itself do not help: the trace's commitment holds the victim's key.
    let all = Case::check(&claimed.claim, &copier, &claimed.openings);
    assert!(all.is_err());
}

#[test]
fn tensor_models_with_other_weights_and_outputs() {
    let (mut caught, mut tried) = (0, 0);
    for seed in 0..60 {
        let model = Arc::new(model(seed));
        let inputs = request(&model, seed, 2);
        let told = infer((&model, &model), &inputs);
        let mut lie = told.clone();
        scrambled(&mut lie.sections[0], seed);
        let result = accuse(&lie, Challenge::Claim, demand(40, 1));
        assert!(
            result.is_err(),
            "{seed}: {result:?} {:?}",
            model.program().spec()
        );
        let cell = matches!(
            refuted(result),
            Refutation::Cell { .. } | Refutation::OutputValue { .. }
        );
        assert!(cell, "{seed}");
        if let Some(lie) = other_output(&told) {
            tried += 1;
            let got = refuted(accuse(&lie, Challenge::Claim, demand(40, 1)));
            caught += usize::from(matches!(got, Refutation::OutputValue { .. }));
        }
    }
    assert!(tried > 20);
    assert_eq!(caught, tried);
}

/// Every value of the first output changed; none if there are more values than are compared.
pub(crate) fn other_output(told: &Told) -> Option<Told> {
    let honest = outputs(told);
    let changed = honest.iter().map(|tensor| {
        let elements = match tensor.elements() {
            Elements::Int64(all) => {
                Elements::Int64(all.iter().map(|x| x.wrapping_add(1)).collect())
            }
            Elements::Fp32(all) => {
                let other = |x: &f32| if *x == 0.0 { 1.0 } else { 0.0 };
                Elements::Fp32(all.iter().map(other).collect())
            }
            same => same.clone(),
        };
        Tensor::new(tensor.name(), tensor.shape().to_vec(), elements).unwrap()
    });
    let changed = Tensors::new(changed.collect()).unwrap();
    (changed != honest).then(|| Told {
        output: changed.encode(),
        ..told.clone()
    })
}

#[test]
fn a_lie_about_fields_that_tensor_models_leave_no_choice_about() {
    let model = Arc::new(model(4));
    let told = infer((&model, &model), &request(&model, 4, 2));
    let with = |change: fn(&mut Told)| {
        let mut lie = told.clone();
        change(&mut lie);
        refuted(accuse(&lie, Challenge::Claim, demand(40, 1)))
    };
    assert!(matches!(
        with(|lie| lie.finish = FinishReason::Stop),
        Refutation::Finish { .. }
    ));
    assert_eq!(with(|lie| lie.seed = SeedSource::Client), Refutation::Seed);
    assert!(matches!(
        with(|lie| lie.counts.input = 3),
        Refutation::InputCount { .. }
    ));
    assert!(matches!(
        with(|lie| lie.counts.output = 3),
        Refutation::OutputCount { .. }
    ));
    let mut lie = told.clone();
    lie.params = vec![1, 1, 0, 0, 0];
    let result = accuse(&lie, Challenge::Claim, demand(40, 1));
    assert!(matches!(
        result,
        Err(MethodError::Malformed {
            part: Part::Params,
            ..
        })
    ));
    audit(&told, Challenge::Claim, demand(40, 1)).unwrap();
}
