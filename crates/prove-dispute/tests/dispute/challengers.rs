//! Challengers who lie: an honest operator wins whatever they say.

use std::sync::Arc;

use credence_dispute::{Asked, Body, Party, Question, Reason, steps_max};
use credence_exact::NodeId;
use credence_exec::sampling::Settings;
use credence_method_spot::{Cell, Layout, Place, Subject, View};
use credence_prove_dispute::Player;
use credence_testkit::program_gen::{model, request};
use credence_testkit::speaking::speaking;

use crate::common::{
    Dispute, Numbers, Sent, Told, answer, dispute, greedy, infer, options, played, prompt_ids, wide,
};

fn small(numbers: &mut Numbers, end: u64) -> u32 {
    u32::try_from(numbers.below(end)).unwrap()
}

fn byte(numbers: &mut Numbers, end: u64) -> u8 {
    u8::try_from(numbers.below(end)).unwrap()
}

/// Anything at all.
fn garbage(numbers: &mut Numbers) -> Sent {
    let len = numbers.index(40);
    Sent::Bytes((0..len).map(|_| byte(numbers, 256)).collect())
}

fn any_cell(numbers: &mut Numbers) -> Cell {
    Cell {
        position: numbers.below(12),
        node: NodeId(small(numbers, 60)),
        index: numbers.index(300),
    }
}

/// Something that may be due, most often.
fn anything(question: &Question, layout_len: u64, numbers: &mut Numbers) -> Sent {
    match numbers.below(60) {
        0 => return garbage(numbers),
        1 => return Sent::Nothing,
        2 => return Sent::Body(Body::Cell(any_cell(numbers))),
        _ => {}
    }
    Sent::Body(match question {
        Question::Accuse => match numbers.below(8) {
            0 => Body::Greedier {
                index: small(numbers, 6),
                better: small(numbers, 300),
            },
            1 => Body::Draw(small(numbers, 6)),
            2 => Body::Output {
                output: small(numbers, 2),
                at: numbers.below(20),
            },
            _ => Body::Section(byte(numbers, 4)),
        },
        Question::Child(below) => Body::Child(byte(numbers, wide(below.len()) + 1)),
        Question::Byte { bytes, .. } => {
            Body::Byte(u16::try_from(numbers.below(wide(bytes.len()) + 1)).unwrap())
        }
        Question::Read { places, .. } if !places.is_empty() => {
            let place = places[numbers.index(places.len())];
            let cell = Cell {
                position: numbers.below(12),
                node: NodeId(small(numbers, 60)),
                index: usize::try_from(place.start % layout_len).unwrap() / 2,
            };
            Body::Cell(cell)
        }
        Question::Object { .. } => match numbers.below(2) {
            0 => Body::Heavier(small(numbers, 300)),
            _ => Body::Block(small(numbers, 3)),
        },
        _ => Body::Concede,
    })
}

fn acquitted(player: &Player, told: &Told, numbers: &mut Numbers) -> Dispute {
    let done = dispute(
        player,
        told,
        &told.sections,
        |_, question, body| match question.party() {
            Party::Operator => Sent::Body(body),
            Party::Challenger => anything(question, 700, numbers),
        },
    );
    assert_eq!(
        done.verdict.loser,
        Some(Party::Challenger),
        "{:?}",
        done.verdict
    );
    done
}

#[test]
fn a_thousand_strategies_convict_nobody() {
    let mut numbers = Numbers::new(1);
    let mut reasons = std::collections::BTreeMap::new();
    for seed in 0..5 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        let told = [
            answer(&model, &prompt_ids(6), greedy(4)),
            answer(&model, &prompt_ids(5), Settings::neutral(4)),
        ];
        for round in 0..160 {
            let done = acquitted(&player, &told[round % 2], &mut numbers);
            *reasons.entry(done.verdict.reason).or_insert(0) += 1;
        }
    }
    for seed in 0..10 {
        let model = Arc::new(model(seed));
        let player = Player::new(&model, options()).unwrap();
        let told = infer(&model, &request(&model, seed, 2));
        for _ in 0..20 {
            let done = acquitted(&player, &told, &mut numbers);
            *reasons.entry(done.verdict.reason).or_insert(0) += 1;
        }
    }
    for reason in [
        Reason::Timeout,
        Reason::Malformed,
        Reason::OutOfPlace,
        Reason::Unfounded,
    ] {
        assert!(reasons.get(&reason) >= Some(&3), "{reasons:?}");
    }
}

/// Where a cell stands, at random, whose relation reads others that are not in order, so that there is a way down from it.
fn leading(layout: &Layout<'_>, numbers: &mut Numbers) -> Place {
    let program = layout.program();
    let nodes: Vec<NodeId> = program
        .nodes()
        .filter(|(_, spec, _)| spec.cut && spec.op.remembered().is_some())
        .map(|(node, _, _)| node)
        .collect();
    let position = layout.extent().sampled_from + numbers.below(3);
    let node = nodes[numbers.index(nodes.len())];
    let cells = program.shape(node).unwrap().cells();
    (0..1000)
        .find_map(|_| layout.place(node, position, numbers.index(cells), View::Own))
        .unwrap()
}

/// A challenger that names what may be named for as long as it may: the number of steps is bounded, and every cell is right.
#[test]
fn the_longest_way_down_is_bounded() {
    let mut most = 0;
    for seed in 0..6 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        let told = answer(&model, &prompt_ids(6), greedy(4));
        let mut numbers = Numbers::new(seed);
        let (claim, openings) = told.claim();
        let operator = crate::common::key(Party::Operator).public_key();
        let case = credence_claim::Case::check(&claim, &operator, &openings).unwrap();
        let extent = Subject::read(player.card(), &case).unwrap().extent();
        let layout = Layout::new(player.card().program(), extent).unwrap();
        for _ in 0..30 {
            let (mut shown, mut bound) = (0, 0);
            let goal = leading(&layout, &mut numbers);
            let done = dispute(&player, &told, &told.sections, |referee, question, body| {
                let run = referee.run();
                if let Question::Show(Asked::Cell(_)) = question {
                    shown += 1;
                    bound = steps_max(run.unwrap().layout());
                }
                Sent::Body(match question {
                    Question::Accuse => Body::Section(goal.tree.kind().unwrap()),
                    Question::Child(below) => {
                        let on = below
                            .iter()
                            .position(|at| at.node.range().contains(&goal.start));
                        Body::Child(u8::try_from(on.unwrap()).unwrap())
                    }
                    Question::Byte { start, .. } => {
                        Body::Byte(u16::try_from(goal.start - start).unwrap())
                    }
                    Question::Read {
                        cell: shown,
                        places,
                    } => {
                        let layout = run.unwrap().layout();
                        let cells = places.iter().filter_map(|place| {
                            let site = credence_dispute::site(layout, place.tree, place.start);
                            match site {
                                Some(credence_dispute::Site::Cell(cell)) => Some(cell),
                                _ => None,
                            }
                        });
                        let named = cells
                            .filter(|&cell| credence_dispute::may_be_named(layout, cell, *shown));
                        let named: Vec<Cell> = named.collect();
                        match named.len() {
                            0 => Body::Concede,
                            len => Body::Cell(named[numbers.index(len)]),
                        }
                    }
                    _ => body,
                })
            });
            assert_eq!(
                done.verdict.loser,
                Some(Party::Challenger),
                "{:?}",
                done.verdict
            );
            assert!(shown <= bound, "{shown} {bound}");
            most = most.max(shown);
        }
    }
    assert!(most >= 2, "{most}");
}

#[test]
fn an_honest_challenger_concedes_to_an_honest_operator() {
    for seed in 0..3 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        for settings in [greedy(6), Settings::neutral(6)] {
            let told = answer(&model, &prompt_ids(10), settings);
            let done = played(&player, &told, &told.sections);
            assert_eq!(done.verdict.reason, Reason::Conceded);
            assert_eq!(done.verdict.loser, Some(Party::Challenger));
        }
    }
}
