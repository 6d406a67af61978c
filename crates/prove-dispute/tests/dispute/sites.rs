//! The way back from a byte to a cell, on random programs: every cell is found at each of its bytes, and all other bytes are 0 in a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use credence_dispute::{Site, site, steps_max};
use credence_exact::Op;
use credence_method_spot::{Cell, Extent, Layout, Tree, View};
use credence_model::Model;
use credence_testkit::program_gen::{language_model, model, request};

use crate::common::{infer, sections_of, wide};

fn check(model: &Model, sections: &[Vec<u8>; 4], extent: Extent) {
    let program = model.program();
    let layout = Layout::new(program, extent).unwrap();
    let mut expected = BTreeMap::new();
    for (node, spec, shape) in program.nodes() {
        for position in 0..extent.positions {
            for index in 0..shape.cells() {
                let cell = Cell {
                    position,
                    node,
                    index,
                };
                let seen = match &spec.op {
                    Op::Scores(op) => {
                        let here = usize::try_from(position).unwrap();
                        op.sight().range(here, 0).contains(&(index % shape.last()))
                    }
                    _ => true,
                };
                let places = [View::Own, View::Values].map(|view| {
                    layout
                        .place(node, position, index, view)
                        .filter(|_| spec.cut)
                });
                for place in places.into_iter().flatten().filter(|_| seen) {
                    for byte in 0..wide(place.dtype.width()) {
                        expected.insert((place.tree, place.start + byte), cell);
                    }
                }
            }
        }
    }
    assert!(!expected.is_empty());
    for (&tree, bytes) in Tree::SECTIONS.iter().zip(sections) {
        assert_eq!(layout.len(tree), wide(bytes.len()));
        for (at, &byte) in (0..).zip(bytes) {
            match expected.remove(&(tree, at)) {
                Some(cell) => assert_eq!(site(&layout, tree, at), Some(Site::Cell(cell))),
                None => {
                    assert_eq!(site(&layout, tree, at), Some(Site::Filler));
                    assert_eq!(byte, 0);
                }
            }
        }
        assert_eq!(site(&layout, tree, wide(bytes.len())), None);
    }
    assert!(expected.is_empty());
    assert!(steps_max(&layout) >= 1);
}

#[test]
fn of_language_models() {
    for seed in 0..14 {
        let model = Arc::new(language_model(seed));
        let language = model.program().spec().language.clone().unwrap();
        let len = language.context.min(36);
        let tokens: Vec<u32> = (0..len).map(|at| at % language.vocabulary).collect();
        let sampled = usize::try_from(1 + seed % u64::from(len)).unwrap();
        let sections = sections_of(&model, &tokens, sampled);
        let extent = Extent {
            positions: len.into(),
            sampled_from: u64::from(len) - wide(sampled),
        };
        check(&model, &sections, extent);
    }
}

#[test]
fn of_tensor_models() {
    for seed in 0..14 {
        let model = Arc::new(model(seed));
        let told = infer(&model, &request(&model, seed, 2));
        let extent = Extent {
            positions: 2,
            sampled_from: 2,
        };
        check(&model, &told.sections, extent);
    }
}
