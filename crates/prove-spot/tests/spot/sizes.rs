//! What one cell takes to open: the figure from the layout is enough for the cell as it is really opened.

use std::io::Read as _;
use std::sync::Arc;

use credence_base::domain;
use credence_commit::blocks;
use credence_exact::Op;
use credence_method_spot::{Extent, Layout, Recorder, Relations, Subject, Tree, opening_size};
use credence_model::{Program, program_from_bytes};
use credence_testkit::program_gen::{language_model, model};
use credence_testkit::speaking::speaking;

use crate::common::{Liar, answer};

#[test]
fn a_cell_takes_no_more_than_the_layout_says() {
    let (mut all_got, mut all_said) = (0, 0);
    for seed in 0..8 {
        let model = Arc::new(speaking(seed));
        let told = answer(&model, 30);
        let liar = Liar::new(&model);
        let claimed = told.claim();
        let subject = Subject::read(&liar.card, &claimed.case()).unwrap();
        let layout = Layout::new(liar.card.program(), subject.extent()).unwrap();
        let mut relations = Relations::new(&layout, subject.given());
        let contents = liar.contents(&told);
        for cell in crate::odds::all_cells(&layout).into_iter().step_by(101) {
            let mut source = Recorder::new(contents);
            relations.check(&mut source, cell).unwrap().unwrap();
            let mut got = 0;
            for (tree, content) in Tree::ALL.into_iter().zip(contents) {
                let runs = source.runs(tree);
                if !runs.is_empty() {
                    let parts = blocks::open(domain::WEIGHTS, content, &runs).unwrap();
                    got += parts.content.len() + 32 * parts.values.len();
                }
            }
            let said = opening_size(&layout, cell).unwrap().total();
            let got = u64::try_from(got).unwrap();
            assert!(got <= said, "{cell:?}: {got} for {said}");
            all_got += got;
            all_said += said;
        }
    }
    // And not much more: lookups by value alone are counted at their worst.
    assert!(all_said <= 2 * all_got, "{all_got} for {all_said}");
}

/// SmolLM2-135M's program, as it is imported: its weights are not needed for sizes.
fn smollm2() -> Program {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/smollm2-135m.program.zip"
    );
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name("program.json").unwrap();
    file.read_to_end(&mut bytes).unwrap();
    Program::check(program_from_bytes(&bytes).unwrap()).unwrap()
}

/// At a context of 2,048 tokens every cell of a model of 135 million parameters is opened with all that it reads in 16 KB.
#[test]
fn any_cell_of_a_real_program_takes_16_kb_at_2048_tokens() {
    let program = smollm2();
    let extent = Extent {
        positions: 2048,
        sampled_from: 1024,
    };
    let layout = Layout::new(&program, extent).unwrap();
    let (mut most, mut nodes) = ((0, String::new()), 0);
    for (node, spec, shape) in program.nodes().filter(|(_, spec, _)| spec.cut) {
        nodes += 1;
        for position in [0, 1023, 1024, 2047] {
            if !layout.exists(node, position) {
                continue;
            }
            for index in [0, shape.cells() / 2, shape.cells() - 1] {
                let cell = credence_method_spot::Cell {
                    position,
                    node,
                    index,
                };
                let Ok(size) = opening_size(&layout, cell) else {
                    // A score of a token that is not there yet.
                    assert!(matches!(spec.op, Op::Scores(_)), "{}", spec.name);
                    continue;
                };
                if size.total() > most.0 {
                    most = (size.total(), spec.name.clone());
                }
            }
        }
    }
    println!("{nodes} nodes, at most {} bytes: `{}`", most.0, most.1);
    assert_eq!(nodes, 455);
    assert!(most.0 <= 16 * 1024, "{most:?}");
}

/// Programs are held to it when they are checked; this says that it is so for what is generated.
#[test]
fn every_relation_keeps_to_the_read_limit() {
    let tensors = (0..40).map(model);
    for model in tensors.chain((0..40).map(language_model)) {
        let program = model.program();
        for (node, spec, _) in program.nodes().filter(|(_, spec, _)| spec.cut) {
            let cost = program.relation_cost(node).unwrap();
            assert!(cost <= credence_exact::reads::COST_MAX, "{}", spec.name);
        }
        let extent = Extent {
            positions: 1,
            sampled_from: u64::from(program.language().is_none()),
        };
        let layout = Layout::new(program, extent).unwrap();
        for (node, spec, _) in program.nodes().filter(|(_, spec, _)| spec.cut) {
            let cell = credence_method_spot::Cell {
                position: 0,
                node,
                index: 0,
            };
            // Paths of trees that ones do not lead through are the exception.
            let walks = matches!(
                spec.op,
                Op::TreeLeaves(_) | Op::GatherSum(_) | Op::Softmax(_)
            );
            let size = opening_size(&layout, cell);
            assert!(walks || size.is_ok(), "{}: {size:?}", spec.name);
        }
    }
}
