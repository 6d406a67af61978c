//! Operators who lie, by name: an honest challenger convicts each of them.

use std::sync::Arc;

use credence_base::Digest;
use credence_base::domain::TRACE_SECTION;
use credence_commit::node::{Node, Nodes};
use credence_dispute::{Body, Party, Question, Reason, Site, site, steps_max};
use credence_exact::Op;
use credence_method_spot::{Cell, Layout, Relations, Source, Subject, Tree, View};
use credence_model::{Elements, Model, Tensor, Tensors};
use credence_prove_dispute::{Player, Sections};
use credence_testkit::program_gen::{model, request};
use credence_testkit::speaking::{forgetful, speaking};

use crate::common::{
    Numbers, Sent, Told, altered, answer, convicted, dispute, greedy, infer, options, outputs,
    played, prompt_ids, rerun, sections_of, wide,
};

const WRONG: &[Reason] = &[Reason::WrongCell];

/// Bytes of a run that may be overwritten.
struct Edited<'a> {
    weights: &'a [u8],
    sections: &'a mut Sections,
}

impl Edited<'_> {
    fn section(&mut self, tree: Tree) -> Option<&mut Vec<u8>> {
        self.sections.get_mut(usize::from(tree.kind()?))
    }
}

impl Source for Edited<'_> {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(start).ok()?;
        if tree == Tree::Weights {
            return self.weights.get(start..start + len);
        }
        self.section(tree)?.get(start..start + len)
    }
}

fn write(layout: &Layout<'_>, edited: &mut Edited<'_>, cell: Cell, value: i64) {
    for view in [View::Own, View::Values] {
        let place = layout
            .place(cell.node, cell.position, cell.index, view)
            .unwrap();
        let start = usize::try_from(place.start).unwrap();
        let bytes = &value.to_le_bytes()[..place.dtype.width()];
        edited.section(place.tree).unwrap()[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

fn subject(player: &Player, told: &Told) -> Subject {
    let (claim, openings) = told.claim();
    let operator = crate::common::key(Party::Operator).public_key();
    let case = credence_claim::Case::check(&claim, &operator, &openings).unwrap();
    Subject::read(player.card(), &case).unwrap()
}

/// Changes one cell, and computes everything after it from what then stands there.
fn recomputed(player: &Player, told: &Told, wrong: Cell) -> Told {
    let subject = subject(player, told);
    let program = player.card().program();
    let layout = Layout::new(program, subject.extent()).unwrap();
    let mut sections = told.sections.clone();
    let mut edited = Edited {
        weights: player.weights(),
        sections: &mut sections,
    };
    let mut relations = Relations::new(&layout, subject.given());
    let before = relations.committed(&mut edited, wrong, View::Own).unwrap();
    write(&layout, &mut edited, wrong, before ^ 0x41);
    for position in wrong.position..subject.extent().positions {
        for (node, spec, shape) in program.nodes() {
            for index in 0..shape.cells() {
                let cell = Cell {
                    position,
                    node,
                    index,
                };
                let place = layout.place(node, position, index, View::Own);
                if !spec.cut || cell == wrong || place.is_none() {
                    continue;
                }
                // What has no value, as scores that are not seen, stays.
                if let Ok(value) = relations.evaluate(&mut edited, cell) {
                    write(&layout, &mut edited, cell, value);
                }
            }
        }
    }
    Told {
        sections,
        ..told.clone()
    }
}

/// A cell of a section, at a random byte.
fn cell_in(layout: &Layout<'_>, tree: Tree, numbers: &mut Numbers) -> Option<Cell> {
    if layout.len(tree) == 0 {
        return None;
    }
    (0..1000).find_map(
        |_| match site(layout, tree, numbers.below(layout.len(tree))) {
            Some(Site::Cell(cell)) => Some(cell),
            Some(Site::Filler) | None => None,
        },
    )
}

#[test]
fn one_cell_and_everything_after_it() {
    let mut most = 0;
    for seed in 0..6 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        let honest = answer(&model, &prompt_ids(5), greedy(3));
        let extent = subject(&player, &honest).extent();
        let layout = Layout::new(player.card().program(), extent).unwrap();
        let mut numbers = Numbers::new(seed);
        let cells = Tree::SECTIONS.map(|tree| cell_in(&layout, tree, &mut numbers));
        for cell in cells.into_iter().flatten().chain(scores(&layout)) {
            let lie = recomputed(&player, &honest, cell);
            if lie.sections == honest.sections {
                continue;
            }
            let done = convicted(&player, &lie, &honest.sections, WRONG);
            let shows = shown(&done);
            assert!(shows <= steps_max(&layout), "{shows}");
            most = most.max(shows);
        }
    }
    // What is wrong first stands behind what follows from it, and is named from there.
    assert!(most >= 2, "{most}");
}

/// One key is wrong, and the scores of its own position follow from it: the first that differs is a score, and it was read beside the key, to be compared.
/// It is no way down: the challenger names the key. Its twin names the score again, and loses.
#[test]
fn a_wrong_key_below_a_score_that_is_right_about_it() {
    let mut led = 0;
    for seed in 0..12 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        let honest = answer(&model, &prompt_ids(5), greedy(3));
        let subject = subject(&player, &honest);
        let program = player.card().program();
        let layout = Layout::new(program, subject.extent()).unwrap();
        for score in scores(&layout) {
            let Some(key) = program.node(score.node).unwrap().op.remembered() else {
                continue;
            };
            let mut lie = honest.clone();
            let mut edited = Edited {
                weights: player.weights(),
                sections: &mut lie.sections,
            };
            let mut relations = Relations::new(&layout, subject.given());
            let key = Cell {
                node: key,
                index: 0,
                ..score
            };
            let before = relations.committed(&mut edited, key, View::Own).unwrap();
            write(&layout, &mut edited, key, before ^ 0x1041);
            let value = relations.evaluate(&mut edited, score).unwrap();
            write(&layout, &mut edited, score, value);
            let done = convicted(&player, &lie, &honest.sections, WRONG);
            if lie.sections[0] == honest.sections[0] {
                assert_eq!(shown(&done), 1);
                continue;
            }
            led += 1;
            assert_eq!(shown(&done), 2);
            let done = dispute(&player, &lie, &honest.sections, |_, question, body| {
                Sent::Body(match question {
                    Question::Read { cell, .. } => Body::Cell(*cell),
                    _ => body,
                })
            });
            assert_eq!(done.verdict.loser, Some(Party::Challenger));
            assert_eq!(done.verdict.reason, Reason::OutOfPlace);
        }
    }
    assert!(led >= 2, "{led}");
}

/// A score of each node, of the last position by itself.
fn scores(layout: &Layout<'_>) -> Vec<Cell> {
    let nodes = layout.program().nodes();
    let scores = nodes.filter(|(_, spec, _)| matches!(spec.op, Op::Scores(_)));
    let cell = |node| Cell {
        position: 6,
        node,
        index: 6,
    };
    let cells = scores.map(|(node, _, _)| cell(node));
    cells
        .filter(|cell| layout.exists(cell.node, cell.position))
        .collect()
}

/// How many cells were shown, from the kinds of messages.
fn shown(done: &crate::common::Dispute) -> u32 {
    let shown = done.transcript.entries.iter().filter(|entry| {
        let body = entry.message.as_ref().map(|message| message[64]);
        body == Some(7)
    });
    u32::try_from(shown.count()).unwrap()
}

#[test]
fn one_cell_and_nothing_else() {
    for seed in 0..10 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        let honest = answer(&model, &prompt_ids(20), greedy(20));
        let extent = subject(&player, &honest).extent();
        let layout = Layout::new(player.card().program(), extent).unwrap();
        let mut numbers = Numbers::new(seed);
        for kind in 0..4_usize {
            let len = honest.sections[kind].len();
            if len == 0 {
                continue;
            }
            for _ in 0..4 {
                let at = numbers.index(len);
                let mut lie = honest.clone();
                lie.sections[kind][at] ^= 1 << numbers.below(8);
                let filler = site(&layout, Tree::SECTIONS[kind], wide(at)) == Some(Site::Filler);
                let reason = if filler {
                    Reason::Filler
                } else {
                    Reason::WrongCell
                };
                convicted(&player, &lie, &honest.sections, &[reason]);
            }
        }
    }
}

#[test]
fn the_run_of_other_tokens_of_another_model_and_of_nothing() {
    for seed in 0..4 {
        let model = Arc::new(speaking(seed));
        let player = Player::new(&model, options()).unwrap();
        let honest = answer(&model, &prompt_ids(12), greedy(8));
        let lie = |sections| Told {
            sections,
            ..honest.clone()
        };
        let [prompt, drawn] = [prompt_ids(12), honest.tokens()];
        let mut tokens = [prompt.as_slice(), &drawn[..drawn.len() - 1]].concat();
        tokens[7] += 1;
        let other = sections_of(&model, &tokens, drawn.len());
        convicted(&player, &lie(other), &honest.sections, WRONG);
        tokens[7] -= 1;
        // Weights that some run of this answer reads, most likely.
        let quantised = altered(&model, |number, bytes| {
            if number > 0 && bytes.len() > 200 {
                for byte in bytes.iter_mut().step_by(2) {
                    *byte &= 0xfe;
                }
            }
        });
        let other = sections_of(&quantised, &tokens, drawn.len());
        if other != honest.sections {
            convicted(&player, &lie(other), &honest.sections, WRONG);
        }
        let nothing = honest.sections.clone().map(|bytes| vec![0; bytes.len()]);
        convicted(&player, &lie(nothing), &honest.sections, WRONG);
    }
}

#[test]
fn sections_of_other_lengths_kinds_and_numbers() {
    let model = Arc::new(speaking(3));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(12), greedy(8));
    for kind in 0..4 {
        for longer in [false, true] {
            let mut lie = honest.clone();
            let len = lie.sections[kind].len();
            let other = if longer {
                len + 64
            } else {
                len.saturating_sub(64)
            };
            if other != len {
                lie.sections[kind].resize(other, 0);
                convicted(&player, &lie, &honest.sections, &[Reason::Sections]);
            }
        }
    }
    let mut swapped = honest.clone();
    swapped.sections.swap(1, 2);
    convicted(
        &player,
        &swapped,
        &honest.sections,
        &[Reason::Sections, Reason::WrongCell, Reason::Filler],
    );
    // One more position than there are tokens.
    let mut tokens = [prompt_ids(12), honest.tokens()].concat();
    tokens.push(1);
    let longer = Told {
        sections: sections_of(&model, &tokens, honest.tokens().len()),
        ..honest.clone()
    };
    convicted(&player, &longer, &honest.sections, &[Reason::Sections]);
}

/// No step of a dispute leads into a section without bytes, so its root must be that of nothing.
#[test]
fn roots_of_empty_sections_that_are_none() {
    let model = Arc::new(forgetful(3));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(12), greedy(8));
    assert!(honest.sections[1].is_empty() && honest.sections[2].is_empty());
    let innocent = played(&player, &honest, &honest.sections);
    assert_eq!(innocent.verdict.reason, Reason::Conceded);
    assert_eq!(innocent.verdict.loser, Some(Party::Challenger));

    let nothing = Digest::from_bytes([7; 32]);
    let lie = Told {
        nothing,
        ..honest.clone()
    };
    let done = dispute(&player, &lie, &honest.sections, |_, _, body| {
        let mut body = body;
        if let Body::Open(opening) = &mut body {
            opening.sections[1..3].fill(nothing);
        }
        Sent::Body(body)
    });
    assert_eq!(done.verdict.reason, Reason::Sections);
    assert_eq!(done.verdict.loser, Some(Party::Operator));
}

#[test]
fn claims_that_contradict_themselves_and_openings_that_are_others() {
    let model = Arc::new(speaking(3));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(12), greedy(8));
    let mut counts = honest.clone();
    counts.counts.output += 1;
    let mut seed = honest.clone();
    seed.seed = credence_claim::SeedSource::Operator;
    let alien = honest.with_token(2, 1 << 19);
    let garbage = Told {
        input: vec![1, 2, 3],
        ..honest.clone()
    };
    for lie in [counts, seed, alien, garbage] {
        convicted(&player, &lie, &honest.sections, &[Reason::Contradiction]);
    }
    for part in 0..5 {
        let done = dispute(
            &player,
            &honest,
            &honest.sections,
            |_, question, mut body| {
                if let (Question::Open, Body::Open(opening)) = (question, &mut body) {
                    match part {
                        0 => opening.input.content.push(0),
                        1 => opening.params.salt = opening.input.salt,
                        2 => opening.output.content[0] ^= 1,
                        3 => opening.trace = opening.input.salt,
                        _ => opening.sections.truncate(3),
                    }
                }
                Sent::Body(body)
            },
        );
        let expected = if part < 3 {
            Reason::Openings
        } else {
            Reason::Sections
        };
        assert_eq!(done.verdict.reason, expected);
        assert_eq!(done.verdict.loser, Some(Party::Operator));
    }
}

/// Whoever cannot show what it committed to loses, whatever it sends instead.
#[test]
fn values_and_bytes_that_lead_nowhere() {
    let model = Arc::new(speaking(3));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(20), greedy(8));
    let extent = subject(&player, &honest).extent();
    let layout = Layout::new(player.card().program(), extent).unwrap();
    let cell = cell_in(&layout, Tree::Positions, &mut Numbers::new(4)).unwrap();
    let place = layout.place(cell.node, cell.position, cell.index, View::Own);
    let mut lie = honest.clone();
    lie.sections[0][usize::try_from(place.unwrap().start).unwrap()] ^= 1;
    for part in 0..9 {
        let mut touched = false;
        let done = dispute(&player, &lie, &honest.sections, |_, question, mut body| {
            match (question, &mut body) {
                (Question::Split(at), Body::Split(values)) if part < 3 => {
                    touched = true;
                    match part {
                        0 => values[0][3] ^= 1,
                        1 => values.push([0; 32]),
                        // Those of the truth lead to another value.
                        _ => *values = split(&honest.sections[0], &at.node),
                    }
                }
                (Question::Chunk(_), Body::Chunk(bytes)) if (3..5).contains(&part) => {
                    touched = true;
                    if part == 3 {
                        bytes[100] ^= 1;
                    } else {
                        bytes.pop();
                    }
                }
                (Question::Show(_), Body::Reads(trees)) if part >= 5 => {
                    touched = true;
                    match part {
                        5 => trees.clear(),
                        6 => drop(trees.pop()),
                        7 => trees[0].parts.content[0] ^= 1,
                        _ => trees[0].runs[0].chunks += 1,
                    }
                }
                _ => {}
            }
            Sent::Body(body)
        });
        assert!(touched, "{part}");
        assert_eq!(done.verdict.loser, Some(Party::Operator), "{part}");
        let expected = if part < 5 {
            Reason::Values
        } else {
            Reason::NotShown
        };
        assert_eq!(done.verdict.reason, expected, "{part}");
    }
}

fn split(section: &[u8], node: &Node) -> Vec<[u8; 32]> {
    let nodes = Nodes::new(TRACE_SECTION);
    let value = |node: &Node| {
        let range = node.range();
        let [start, end] = [range.start, range.end].map(|n| usize::try_from(n).unwrap());
        nodes.value(node, &section[start..end]).unwrap()
    };
    node.below(4).iter().map(value).collect()
}

fn edited_output(told: &Told, numbers: &mut Numbers) -> Vec<u8> {
    let tensors = outputs(told);
    let which = numbers.index(tensors.iter().count());
    let edited = tensors.iter().enumerate().map(|(at, tensor)| {
        let mut elements = tensor.elements().clone();
        let len = elements.len();
        if at == which && len > 0 {
            let place = numbers.index(len);
            match &mut elements {
                Elements::Fp32(all) => all[place] += 1.0 + all[place].abs(),
                Elements::Int32(all) => all[place] ^= 1,
                Elements::Int64(all) => all[place] ^= 1,
            }
        }
        Tensor::new(tensor.name(), tensor.shape().to_vec(), elements).unwrap()
    });
    Tensors::new(edited.collect()).unwrap().encode()
}

#[test]
fn tensor_models_cells_outputs_and_inputs() {
    for seed in 0..25 {
        let model: Arc<Model> = Arc::new(model(seed));
        let player = Player::new(&model, options()).unwrap();
        let honest = infer(&model, &request(&model, seed, 3));
        let truth = &honest.sections;
        let mut numbers = Numbers::new(seed);
        for _ in 0..3 {
            let mut lie = honest.clone();
            let at = numbers.index(truth[0].len());
            lie.sections[0][at] ^= 1 << numbers.below(8);
            convicted(&player, &lie, truth, &[Reason::WrongCell, Reason::Filler]);
        }
        let lie = Told {
            output: edited_output(&honest, &mut numbers),
            ..honest.clone()
        };
        convicted(&player, &lie, truth, &[Reason::WrongOutput]);
        let extent = subject(&player, &honest).extent();
        let layout = Layout::new(player.card().program(), extent).unwrap();
        if let Some(cell) = cell_in(&layout, Tree::Positions, &mut numbers) {
            let lie = recomputed(&player, &honest, cell);
            if lie.sections != *truth {
                convicted(&player, &lie, truth, WRONG);
            }
        }
        // The output of another request.
        let other = infer(&model, &request(&model, seed + 1000, 3));
        let lie = Told {
            input: other.input.clone(),
            ..honest.clone()
        };
        let truth = rerun(&player, &lie);
        if truth != honest.sections {
            convicted(&player, &lie, &truth, WRONG);
        }
    }
}
