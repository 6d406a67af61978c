//! Every named liar, played a thousand times and more: caught by the check that is there for it, as often as the formula says.

use std::collections::BTreeSet;
use std::sync::Arc;

use credence_base::SigningKey;
use credence_claim::{
    Case, Finding, Method as _, MethodError, Openings, Part, Refutation, SeedSource,
};
use credence_exact::{Dtype, Op};
use credence_exec::sampling::{Parameters, Settings};
use credence_generate::{Generation, Language, Limits, Output};
use credence_method_replay::Replay;
use credence_method_spot::{
    Card, Challenge, Checks, Layout, Recorder, Spot, Subject, entries_beside,
};
use credence_model::Model;
use credence_prove_spot::{Carry, Opener};
use credence_testkit::liars::{CaughtBy, Liar, Odds};
use credence_testkit::program_gen::{Choices, model, request};
use credence_testkit::speaking::speaking;

use crate::common::{
    Liar as Opening, Told, accuse, altered, answer, answer_by, demand, greedy, infer, options,
    prompt_ids, sections_of,
};
use crate::odds::{caught, random, wrong_cells};

const TRIALS: u32 = 1_000;

/// What was measured of a liar.
struct Played {
    /// The share that the formula is about.
    share: f64,
    cells: u32,
    /// The share of trials in which it was caught.
    caught: f64,
    trials: u32,
}

fn by_cells(told: &Told, cells: u32) -> Played {
    let (wrong, share) = wrong_cells(told);
    Played {
        share,
        cells,
        caught: caught(told, &wrong, (cells, TRIALS)),
        trials: TRIALS,
    }
}

/// A thousand challenges, each with all checks that a verifier makes, over the bytes of whoever lies: the share of those refuted in such a way.
fn by_checks(told: &Told, asked: (u32, u32), is_it: impl Fn(&Refutation) -> bool) -> f64 {
    let liar = Opening::new(&told.model);
    let claimed = told.claim();
    let subject = match Subject::read(&liar.card, &claimed.case()) {
        Ok(subject) => subject,
        // What the claim says of itself is not so, whatever is drawn.
        Err(MethodError::Refuted(refutation)) => return f64::from(u8::from(is_it(&refutation))),
        Err(error) => panic!("{error}"),
    };
    let layout = Layout::new(liar.card.program(), subject.extent()).unwrap();
    let checks = Checks::new(&liar.card, &subject, &layout).unwrap();
    let mut choices = Choices::new(5);
    let mut caught = 0;
    for _ in 0..TRIALS {
        let stream = Challenge::Auditor(random(&mut choices)).bind(&claimed.claim.digest());
        let mut source = Recorder::new(liar.contents(told));
        let refuted = match checks.run(&mut source, &stream, asked) {
            Ok(_) => false,
            Err(error) => match MethodError::from(error) {
                MethodError::Refuted(refutation) => is_it(&refutation),
                error => panic!("{error}"),
            },
        };
        caught += u32::from(refuted);
    }
    f64::from(caught) / f64::from(TRIALS)
}

fn always(caught: f64) -> Played {
    Played {
        share: 1.0,
        cells: 8,
        caught,
        trials: TRIALS,
    }
}

fn matrices(model: &Model) -> Vec<String> {
    let spec = model.program().spec();
    let weights = spec.nodes.iter().filter_map(|node| match &node.op {
        Op::Linear(op) => Some(op.weight),
        _ => None,
    });
    let names = weights.map(|id| spec.params[usize::try_from(id.0).unwrap()].name.clone());
    names.collect()
}

fn by_model(model: &Arc<Model>, change: impl Fn(usize, &mut [u8])) -> Told {
    let names = matrices(model);
    let other = altered(model, |name, bytes| {
        if let Some(at) = names.iter().position(|own| own == name) {
            change(at, bytes);
        }
    });
    answer_by((model, &other), &prompt_ids(), greedy(12))
}

/// What a smaller model says, its trace filled up with nothing.
fn smaller(model: &Arc<Model>) -> Told {
    let size = |model: &Model| {
        model
            .params()
            .iter()
            .map(|bytes| bytes.len())
            .sum::<usize>()
    };
    let all = (0..30).map(|seed| Arc::new(speaking(seed)));
    let small = all.min_by_key(|other| size(other)).unwrap();
    assert!(size(&small) < size(model));
    let mut told = answer_by((model, &small), &prompt_ids(), greedy(12));
    let tokens = told.tokens();
    let run = [&prompt_ids(), &tokens[..tokens.len() - 1]].concat();
    let honest = sections_of(model, &run, tokens.len());
    for (own, honest) in told.sections.iter_mut().zip(&honest) {
        own.resize(honest.len(), 0);
    }
    told
}

fn scramble(bytes: &mut [u8]) {
    let mut choices = Choices::new(2);
    for byte in bytes {
        *byte = u8::try_from(choices.size(0, 255)).unwrap();
    }
}

fn invented(model: &Arc<Model>, sections: &[usize]) -> Told {
    let mut told = answer(model, 12);
    for section in sections {
        scramble(&mut told.sections[*section]);
    }
    told
}

/// One weight of the row of a token that occurs once: wrong in one cell of the run.
fn one_weight(model: &Arc<Model>) -> Told {
    let spec = model.program().spec();
    let embed = spec.nodes.iter().find_map(|node| match &node.op {
        Op::Embed(op) => Some(op.table),
        _ => None,
    });
    let table = &spec.params[usize::try_from(embed.unwrap().0).unwrap()];
    let width = if table.dtype == Dtype::I8 { 1 } else { 2 };
    let row = usize::try_from(table.shape[1]).unwrap() * width;
    let prompt = prompt_ids();
    let once = |id: &&u32| prompt.iter().filter(|other| other == id).count() == 1;
    for id in prompt.iter().filter(once) {
        let token = usize::try_from(*id).unwrap();
        for column in 0..2 {
            let other = altered(model, |name, bytes| {
                if name == table.name {
                    bytes[token * row + column * width + width - 1] ^= 0x20;
                }
            });
            let told = answer_by((model, &other), &prompt, greedy(60));
            if !told.tokens().contains(id) && wrong_cells(&told).1 > 0.0 {
                return told;
            }
        }
    }
    panic!("no weight of a row changes anything");
}

fn wrong_prompt(model: &Arc<Model>) -> (Told, f64) {
    let mut told = answer(model, 12);
    let other: Vec<u32> = prompt_ids().iter().map(|id| id + 1).collect();
    let answered = told.tokens();
    let all = [&other, &answered[..answered.len() - 1]].concat();
    told.sections = sections_of(model, &all, answered.len());
    let share = |len: usize| f64::from(u32::try_from(len).unwrap());
    (told, share(other.len()) / share(all.len()))
}

/// The last token exchanged, and the words with it.
fn edited_last(model: &Arc<Model>) -> Told {
    let told = answer(model, 12);
    let mut tokens = told.tokens();
    let last = tokens.last_mut().unwrap();
    *last = if *last == 65 { 66 } else { 65 };
    let language = Language::new(credence_exec::Engine::new(Arc::clone(model), options()).unwrap());
    let language = language.unwrap();
    let parameters = Parameters::decode(&told.params).unwrap();
    let limits = Limits {
        prompt: prompt_ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, ([0; 32], 0), limits);
    for token in tokens {
        generation.accept(token).unwrap();
    }
    let output: Output = generation.output();
    Told {
        output: output.encode().unwrap(),
        ..told
    }
}

/// Drawn warmly, said to be greedy; an answer whose last token is not the greedy one.
fn wrong_parameters(model: &Arc<Model>) -> Told {
    for nonce in 0..40 {
        let warm = Settings {
            temperature: 2_000_000,
            seed: Some([nonce; 32]),
            ..Settings::neutral(12)
        };
        let mut told = answer_by((model, model), &prompt_ids(), warm);
        told.params = Parameters::new(greedy(12)).unwrap().encode();
        told.seed = SeedSource::Nothing;
        let refuted = accuse(&told, Challenge::Auditor([1; 32]), demand(1, 1));
        if matches!(refuted, Err(MethodError::Refuted(Refutation::Token { .. }))) {
            return told;
        }
    }
    panic!("every last token was the greedy one");
}

/// The true trace of a tensor model, and every value of its output changed.
fn false_output() -> Told {
    (0..60)
        .find_map(|seed| {
            let model = Arc::new(model(seed));
            crate::liars::other_output(&infer((&model, &model), &request(&model, seed, 2)))
        })
        .unwrap()
}

/// Claims by salt after salt, each with draws of its own: the share whose draws fall on a wrong cell.
fn grinding_salts(told: &Told, cells: u32) -> Played {
    let (wrong, share) = wrong_cells(told);
    let liar = Opening::new(&told.model);
    let mut choices = Choices::new(8);
    let mut found = 0;
    for _ in 0..TRIALS {
        let claimed = Told {
            salt: random(&mut choices),
            ..told.clone()
        }
        .claim();
        let subject = Subject::read(&liar.card, &claimed.case()).unwrap();
        let layout = Layout::new(liar.card.program(), subject.extent()).unwrap();
        let checks = Checks::new(&liar.card, &subject, &layout).unwrap();
        let stream = Challenge::Claim.bind(&claimed.claim.digest());
        let is_wrong = |index| wrong.contains(&checks.draws().cell(&stream, index).unwrap());
        found += u32::from((0..cells).any(is_wrong));
    }
    Played {
        share,
        cells,
        caught: f64::from(found) / f64::from(TRIALS),
        trials: TRIALS,
    }
}

/// Opens if its own check of the draws passes, and is silent otherwise: the share of audits that it does not pass.
fn refuses(told: &Told, cells: u32) -> Played {
    let (wrong, share) = wrong_cells(told);
    let passed = 1.0 - caught(told, &wrong, (cells, TRIALS));
    Played {
        share,
        cells,
        caught: 1.0 - passed,
        trials: TRIALS,
    }
}

/// Evidence over `opened`'s run for `claimed`'s claim, for a thousand challenges: the share that shows nothing.
fn other_root(claimed: &Told, opened: &Told) -> f64 {
    let opener = Opener::new(&opened.model, options()).unwrap();
    let own = opened.claim();
    let rerun = opener.rerun(&own.case()).unwrap();
    let card = opener.card(true).unwrap();
    let victim = claimed.claim();
    let case = victim.case();
    let mut choices = Choices::new(6);
    let mut caught = 0;
    for _ in 0..TRIALS {
        let challenge = Challenge::Auditor(random(&mut choices));
        let evidence = rerun.prove(&challenge, (8, 1), Carry::Nothing).unwrap();
        let card = Card::decode(opened.model.id(), &card).unwrap();
        let spot = Spot::drawing(vec![card], (8, 1), 500_000, challenge).unwrap();
        let result = spot.check(&case, Some(&evidence));
        caught += u32::from(is_unconvincing(&result));
    }
    f64::from(caught) / f64::from(TRIALS)
}

fn is_unconvincing(result: &Result<Finding, MethodError>) -> bool {
    matches!(
        result,
        Err(MethodError::Malformed {
            part: Part::Evidence,
            ..
        })
    )
}

/// Another operator's commitments under its own key: nothing that it opens is under them, whatever is drawn.
fn anothers_trace(told: &Told) -> f64 {
    let claimed = told.claim();
    let mut caught = 0;
    for seed in 0..TRIALS {
        let mut bytes = [6; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        let copier = SigningKey::from_seed(&bytes).public_key();
        let contents = Case::check(&claimed.claim, &copier, &claimed.openings).is_err();
        let own = Openings {
            trace: claimed.openings.trace,
            ..Openings::default()
        };
        let case = Case::check(&claimed.claim, &copier, &own).unwrap();
        let trace = crate::common::trace_root(true, &told.sections);
        caught += u32::from(contents && case.check_trace(&trace).is_err());
    }
    f64::from(caught) / f64::from(TRIALS)
}

/// A seed of its own, said to follow from the nonce.
fn grinding_seed(model: &Arc<Model>) -> f64 {
    let own = Settings {
        seed: Some([9; 32]),
        ..Settings::neutral(12)
    };
    let mut told = answer_by((model, model), &prompt_ids(), own);
    told.seed = SeedSource::Derived;
    by_checks(&told, (8, 1), |own| *own == Refutation::Seed)
}

/// Another answer to the same request, shown to one of two: it is not under the one claim that was signed.
fn two_tongued(model: &Arc<Model>) -> f64 {
    let warm = Settings {
        seed: Some([9; 32]),
        ..Settings::neutral(12)
    };
    let other = answer_by((model, model), &prompt_ids(), warm);
    other_root(&answer(model, 12), &other)
}

fn play(liar: Liar, model: &Arc<Model>) -> Played {
    match liar {
        Liar::SmallerModel => by_cells(&smaller(model), 2),
        Liar::FewerBits => by_cells(
            &by_model(model, |_, bytes| {
                for byte in bytes {
                    *byte = (i8::from_le_bytes([*byte]) / 2 * 2).to_le_bytes()[0];
                }
            }),
            4,
        ),
        Liar::LayersSkipped => by_cells(
            &by_model(model, |at, bytes| {
                if at == 0 {
                    bytes.fill(0);
                }
            }),
            40,
        ),
        Liar::OneWeight => {
            let told = one_weight(model);
            let (wrong, share) = wrong_cells(&told);
            let cells = 4_096;
            Played {
                share,
                cells,
                caught: caught(&told, &wrong, (cells, TRIALS)),
                trials: TRIALS,
            }
        }
        Liar::InventedActivations => by_cells(&invented(model, &[1]), 40),
        Liar::InventedTrace => by_cells(&invented(model, &[0, 1, 2, 3]), 1),
        Liar::WrongPrompt => {
            let (told, share) = wrong_prompt(model);
            let is_cell = |refutation: &Refutation| matches!(refutation, Refutation::Cell { .. });
            Played {
                share,
                cells: 16,
                caught: by_checks(&told, (16, 1), is_cell),
                trials: TRIALS,
            }
        }
        Liar::WrongParameters => {
            let is_token = |own: &Refutation| matches!(own, Refutation::Token { .. });
            always(by_checks(&wrong_parameters(model), (8, 1), is_token))
        }
        Liar::EditedLastToken => {
            let is_token = |own: &Refutation| matches!(own, Refutation::Token { .. });
            always(by_checks(&edited_last(model), (8, 1), is_token))
        }
        Liar::GrindingSeed => always(grinding_seed(model)),
        Liar::GrindingSalts => grinding_salts(&invented(model, &[1]), 40),
        Liar::FalseOutput => {
            let is_value = |own: &Refutation| matches!(own, Refutation::OutputValue { .. });
            always(by_checks(&false_output(), (8, 0), is_value))
        }
        Liar::RefusesCells => refuses(&invented(model, &[1]), 40),
        Liar::TwoTongued => always(two_tongued(model)),
        Liar::AnotherRun => always(other_root(&answer(model, 12), &answer(model, 13))),
        Liar::AnothersTrace => always(anothers_trace(&answer(model, 12))),
    }
}

#[test]
fn every_named_liar_is_caught_as_often_as_its_formula_says() {
    let model = Arc::new(speaking(3));
    let mut checks = BTreeSet::new();
    for liar in Liar::ALL {
        let Played {
            share,
            cells,
            caught,
            trials,
        } = play(liar, &model);
        let expected = liar.odds().chance(share, cells);
        let by = liar.caught_by();
        println!(
            "{liar:?}: by {by:?}, share {share:.9}, {cells} cells: caught {caught:.4}, formula {expected:.4}"
        );
        let deviation = (expected * (1.0 - expected) / f64::from(trials)).sqrt();
        let near = 4.5 * deviation + 1e-9;
        assert!(
            caught >= expected - near,
            "{liar:?}: {caught} for {expected}"
        );
        if liar.odds() != Odds::AtLeastBorder {
            assert!(
                caught <= expected + near,
                "{liar:?}: {caught} for {expected}"
            );
        }
        assert!(caught > 0.0 || liar == Liar::OneWeight, "{liar:?}");
        checks.insert(format!("{by:?}"));
    }
    assert_eq!(checks.len(), 8, "each check has a liar: {checks:?}");
    assert_eq!(entries_beside(16), 2);
}

/// One weight in millions of operations: cells hardly ever fall on it, by count and by formula, and a replay finds it at once.
#[test]
fn one_weight_escapes_cells_and_not_a_replay() {
    let model = Arc::new(speaking(3));
    let told = one_weight(&model);
    let (wrong, share) = wrong_cells(&told);
    println!("one weight: {} wrong cells, share {share:.9}", wrong.len());
    assert!((1..=4).contains(&wrong.len()));
    assert!(share > 1e-8 && share < 2e-5, "{share}");
    assert!(Odds::Cells.chance(share, 80) < 0.002);
    let claimed = told.claim();
    let replay = Replay::new(Arc::clone(&model), options()).unwrap();
    let found = replay.check(&claimed.case(), None);
    assert!(matches!(found, Err(MethodError::Refuted(_))), "{found:?}");
    // It is the weight that it finds: with its own it is right.
    let honest = answer(&model, 12).claim();
    replay.check(&honest.case(), None).unwrap();
    assert_eq!(Liar::OneWeight.caught_by(), CaughtBy::Cells);
}
