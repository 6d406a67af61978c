//! Answers that do not follow from their traces: greedy tokens, drawn tokens and sums of weights that are wrong.

use std::sync::Arc;

use credence_dispute::{Body, Party, Question, Reason};
use credence_exec::sampling::Settings;
use credence_prove_dispute::Player;
use credence_testkit::speaking::speaking;

use crate::common::{
    Numbers, Sent, Told, answer, convicted, dispute, greedy, options, played, prompt_ids, rerun,
};

fn drawn(max_tokens: u32) -> Settings {
    Settings {
        top_k: 60,
        top_p: 950_000,
        min_p: 1000,
        presence_penalty: 300_000,
        temperature: 1_700_000,
        ..Settings::neutral(max_tokens)
    }
}

fn other(told: &Told) -> u32 {
    (told.tokens().last().unwrap() + 1) % 256
}

#[test]
fn a_last_token_that_is_not_drawn_is_convicted() {
    let model = Arc::new(speaking(5));
    let player = Player::new(&model, options()).unwrap();
    let plain = Settings::neutral(6);
    for (settings, most) in [(greedy(6), 8_000), (plain, 12_000), (drawn(6), 12_000)] {
        let honest = answer(&model, &prompt_ids(9), settings);
        let last = honest.tokens().len() - 1;
        let lie = honest.with_token(last, other(&honest));
        let dispute = convicted(&player, &lie, &rerun(&player, &lie), &[Reason::WrongToken]);
        assert!(dispute.bytes() < most, "{}", dispute.bytes());
        assert!(dispute.transcript.entries.len() <= 4);
        // The twin: the same challenger finds nothing in what is right.
        let twin = played(&player, &honest, &rerun(&player, &honest)).verdict;
        assert_eq!(twin.loser, Some(Party::Challenger));
        assert_eq!(twin.reason, Reason::Conceded);
    }
}

#[test]
fn a_token_in_the_middle_is_convicted_by_the_trace_or_by_the_draw() {
    let model = Arc::new(speaking(6));
    let player = Player::new(&model, options()).unwrap();
    for settings in [greedy(6), drawn(6)] {
        let honest = answer(&model, &prompt_ids(9), settings);
        if honest.tokens().len() < 3 {
            continue;
        }
        // The trace is still that of the honest tokens.
        let lie = honest.with_token(1, (honest.tokens()[1] + 1) % 256);
        convicted(&player, &lie, &rerun(&player, &lie), &[Reason::WrongCell]);
        // The trace is that of the tokens said.
        let consistent = Told {
            sections: rerun(&player, &lie),
            ..lie
        };
        let truth = consistent.sections.clone();
        convicted(&player, &consistent, &truth, &[Reason::WrongToken]);
    }
}

/// An operator that says a wrong token and wrong sums for it, in every way there is to be wrong.
#[test]
fn sums_that_are_wrong_are_convicted() {
    let model = Arc::new(speaking(5));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(9), drawn(6));
    let lie = honest.with_token(honest.tokens().len() - 1, other(&honest));
    let truth = rerun(&player, &lie);
    let mut numbers = Numbers::new(1);
    for round in 0..60_u64 {
        let done = dispute(&player, &lie, &truth, |_, question, body| {
            let Question::Weights(_) = question else {
                return Sent::Body(body);
            };
            let Body::Weights {
                mut likeliest,
                mut last_top_k,
                mut last_top_p,
                mut sums,
                reads,
            } = body
            else {
                panic!("no sums");
            };
            let at = numbers.index(sums.len());
            match round % 7 {
                0 => likeliest = (likeliest + 1) % 256,
                1 => last_top_k = None,
                2 => last_top_p = (last_top_p + 1) % 256,
                3 => sums[at].kept += 1 + numbers.below(1 << 30),
                4 => sums[at].count ^= 1,
                5 => sums[at].by_top_p /= 2,
                _ => sums[at].by_top_k += 1,
            }
            Sent::Body(Body::Weights {
                likeliest,
                last_top_k,
                last_top_p,
                sums,
                reads,
            })
        });
        assert_eq!(done.verdict.loser, Some(Party::Operator), "{round}");
    }
}

/// A challenger that objects to right sums loses.
#[test]
fn objections_to_right_sums_are_unfounded() {
    let model = Arc::new(speaking(5));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(9), drawn(6));
    let truth = honest.sections.clone();
    for objection in [
        Body::Heavier(3),
        Body::Heavier(100_000),
        Body::Block(0),
        Body::Block(1),
        Body::Block(77),
        Body::Byte(3),
        Body::Concede,
    ] {
        let done = dispute(&player, &honest, &truth, |_, question, body| {
            Sent::Body(match question {
                Question::Accuse => Body::Draw(2),
                Question::Object { .. } => objection.clone(),
                _ => body,
            })
        });
        assert_eq!(done.verdict.loser, Some(Party::Challenger), "{objection:?}");
        assert!(done.transcript.entries.len() >= 4);
    }
}

/// A token of a draw is no greedy one, and the other way round; tokens that are not there cannot be accused.
#[test]
fn accusations_that_are_out_of_place() {
    let model = Arc::new(speaking(5));
    let player = Player::new(&model, options()).unwrap();
    let greedier = |index, better| Body::Greedier { index, better };
    let value = Body::Output { output: 0, at: 0 };
    let cases = [
        (drawn(4), greedier(0, 3)),
        (drawn(4), Body::Draw(4)),
        (drawn(4), value),
        (greedy(4), Body::Draw(0)),
        (greedy(4), greedier(0, 100_000)),
        (greedy(4), greedier(u32::MAX, 1)),
        (greedy(4), Body::Section(4)),
        (greedy(4), Body::Section(255)),
    ];
    for (settings, accusation) in cases {
        let honest = answer(&model, &prompt_ids(9), settings);
        let done = dispute(&player, &honest, &honest.sections, |_, question, body| {
            Sent::Body(match question {
                Question::Accuse => accusation.clone(),
                _ => body,
            })
        });
        assert_eq!(done.verdict.reason, Reason::OutOfPlace, "{accusation:?}");
    }
}
