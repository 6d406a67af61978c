//! Audits of one receipt, one after the other, and how often its run is made again for them.

use std::num::NonZeroUsize;

use credence_base::SigningKey;
use credence_exec::{Engine, Isa};
use credence_testkit::program_gen::{model, request};

use super::*;
use crate::inference::{Draws, Operator, Question, issue};

fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

fn answer(model: &Arc<Model>, seed: u64) -> Bundle {
    let inputs = request(model, seed, 2);
    let engine = Engine::new(Arc::clone(model), options()).unwrap();
    let execution = engine.run(&inputs).unwrap();
    let question = Question {
        inputs,
        nonce: None,
    };
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let draws = Draws::from_system().unwrap();
    let answer = issue(&operator, model.id(), &question, execution, &draws);
    answer.unwrap().bundle
}

fn asked(random: u8) -> SpotAsked {
    SpotAsked {
        challenge: Challenge::Auditor([random; 32]),
        cells: 8,
        rows: 1,
        carry: Carry::Nothing,
    }
}

fn spots(keeping: Keeping) -> (Spots, Bundle, Bundle) {
    let model = Arc::new(model(3));
    let (one, other) = (answer(&model, 1), answer(&model, 2));
    let mut spots = Spots::new(core::iter::once((model, options())));
    spots.keeping = keeping;
    (spots, one, other)
}

#[test]
fn any_number_of_audits_of_one_receipt_costs_one_run() {
    let (spots, one, other) = spots(KEEPING);
    let first = spots.answer(&one, &asked(0)).unwrap();
    for random in 1..20 {
        let next = spots.answer(&one, &asked(random)).unwrap();
        assert_ne!(next, first, "another challenge, another answer");
    }
    assert_eq!(spots.answer(&one, &asked(0)).unwrap(), first);
    assert_eq!(spots.reruns(), 1);
    // Another receipt takes its place, and is opened as if nothing had been kept.
    spots.answer(&other, &asked(0)).unwrap();
    spots.answer(&other, &asked(1)).unwrap();
    assert_eq!(spots.reruns(), 2);
    assert_eq!(spots.answer(&one, &asked(0)).unwrap(), first);
    assert_eq!(spots.reruns(), 3);
    // Whoever shows openings that are not the claim's is shown nothing of a run that is at hand.
    let mut openings = one.openings().clone();
    openings.input = other.openings().input.clone();
    let spoilt = Bundle::new(one.receipt().clone(), openings, Vec::new()).unwrap();
    let refused = spots.answer(&spoilt, &asked(0));
    assert!(matches!(refused, Err(SpotError::Openings(_))));
}

#[test]
fn a_run_is_let_go_of_when_nobody_asks_and_never_kept_when_it_is_too_large() {
    let idle_max = Duration::from_millis(50);
    let (brief, one, _) = spots(Keeping {
        idle_max,
        ..KEEPING
    });
    brief.answer(&one, &asked(0)).unwrap();
    assert!(lock(&brief.kept).kept.is_some());
    for _ in 0..200 {
        if lock(&brief.kept).kept.is_none() {
            break;
        }
        std::thread::sleep(idle_max);
    }
    assert!(lock(&brief.kept).kept.is_none());
    brief.answer(&one, &asked(0)).unwrap();
    assert_eq!(brief.reruns(), 2);

    let (small, one, _) = spots(Keeping {
        bytes_max: 0,
        ..KEEPING
    });
    small.answer(&one, &asked(0)).unwrap();
    small.answer(&one, &asked(0)).unwrap();
    assert_eq!(small.reruns(), 2);
    assert!(lock(&small.kept).kept.is_none());
}
