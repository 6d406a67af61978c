//! Every cell is drawn, in its order and by its weight; the border has its own.

use std::sync::Arc;

use credence_model::{Model, program_bytes};
use credence_testkit::program_gen::{language_model, model};

use super::*;
use crate::card::CardParts;
use crate::challenge::Challenge;
use crate::layout::{Extent, Tree};
use crate::trees::root_of;

fn card(model: &Model) -> Card {
    let mut weights = Vec::new();
    for bytes in model.params() {
        weights.extend_from_slice(bytes);
        weights.resize(weights.len().next_multiple_of(64), 0);
    }
    let program = program_bytes(model.program().spec()).unwrap();
    let parts = CardParts {
        program: &program,
        weights_len: u64::try_from(weights.len()).unwrap(),
        weights_root: &root_of(Tree::Weights, &weights),
        text: None,
    };
    Card::decode(model.id(), &parts.encode().unwrap()).unwrap()
}

/// Every number of the line falls on an existing cell, cells ascend, and each has as many numbers as its weight.
fn walk(model: &Model, extent: Extent) {
    let card = card(model);
    let layout = Layout::new(card.program(), extent).unwrap();
    let draws = Draws::new(&card, &layout).unwrap();
    let (mut at, mut number) = (0_u128, 0_u64);
    while at < draws.total() {
        let cell = draws.at(at).unwrap();
        let weight = u128::from(draws.weight(cell.node));
        assert!(weight > 0);
        assert_eq!(draws.at(at + weight - 1), Some(cell));
        assert_eq!(draws.at(at + draws.total()), Some(cell));
        assert_eq!(draws.number(cell), number);
        let place = layout.place(
            cell.node,
            cell.position,
            cell.index,
            crate::layout::View::Own,
        );
        assert!(place.is_some(), "{cell:?}");
        at += weight;
        number += 1;
    }
    assert_eq!(at, draws.total());
}

#[test]
fn the_line_of_weights_has_every_cell_once() {
    for seed in 0..25 {
        let model = language_model(seed);
        let context = u64::from(model.program().spec().language.as_ref().unwrap().context);
        for (positions, sampled_from) in [(1, 0), (context, context), (context, context / 2)] {
            walk(
                &model,
                Extent {
                    positions,
                    sampled_from,
                },
            );
        }
    }
    for seed in 0..15 {
        walk(
            &model(seed),
            Extent {
                positions: 2,
                sampled_from: 2,
            },
        );
    }
}

#[test]
fn the_border_is_where_the_request_is_read() {
    for seed in 0..40 {
        let model = Arc::new(language_model(seed));
        let card = card(&model);
        let context = u64::from(model.program().spec().language.as_ref().unwrap().context);
        let extent = Extent {
            positions: context,
            sampled_from: 0,
        };
        let layout = Layout::new(card.program(), extent).unwrap();
        let draws = Draws::new(&card, &layout).unwrap();
        let stream =
            Challenge::Auditor([1; 32]).bind(&credence_base::ClaimDigest::from_bytes([0; 32]));
        for index in 0..20 {
            let cells: Vec<Cell> = draws.entry(&stream, index).collect();
            let expected = [&card.entries().direct, &card.entries().rows];
            let expected = expected.into_iter().filter(|nodes| !nodes.is_empty());
            assert_eq!(cells.len(), expected.clone().count());
            for (cell, nodes) in cells.iter().zip(expected) {
                assert!(nodes.contains(&cell.node));
                assert!(layout.exists(cell.node, cell.position));
                assert_eq!(cell.position, cells[0].position, "one position");
            }
        }
    }
}

#[test]
fn what_earlier_scores_see() {
    for window in [None, Some(1), Some(3), Some(100)] {
        let mut sum = 0_u128;
        for position in 0..20_u64 {
            assert_eq!(seen_before(position, window), sum);
            sum += u128::from((position + 1).min(window.map_or(u64::MAX, u64::from)));
        }
    }
}

#[test]
fn a_run_that_weighs_too_much_is_refused() {
    let model = model(3);
    let card = card(&model);
    let positions = 1 << 52;
    let extent = Extent {
        positions,
        sampled_from: positions,
    };
    match Layout::new(card.program(), extent) {
        Err(_) => {}
        Ok(layout) => assert_eq!(Draws::new(&card, &layout).err(), Some(TooLarge)),
    }
}
