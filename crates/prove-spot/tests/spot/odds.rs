//! How often liars are caught, measured over many challenges, against the formula `1 − (1 − f)^k`.

use std::collections::BTreeSet;
use std::sync::Arc;

use credence_exact::Op;
use credence_method_spot::{Cell, Challenge, Checks, Extent, Layout, Recorder, Relations, Subject};
use credence_testkit::program_gen::Choices;
use credence_testkit::speaking::speaking;

use crate::common::{Liar, Told, altered, answer, answer_by, greedy, prompt_ids};

/// Every cut cell of a language model's run.
pub(crate) fn all_cells(layout: &Layout<'_>) -> Vec<Cell> {
    let Extent { positions, .. } = layout.extent();
    let mut cells = Vec::new();
    for (node, spec, shape) in layout.program().nodes().filter(|(_, spec, _)| spec.cut) {
        for position in (0..positions).filter(|&position| layout.exists(node, position)) {
            let here = usize::try_from(position).unwrap();
            for index in 0..shape.cells() {
                let exists = match &spec.op {
                    Op::Scores(op) => op.sight().range(here, 0).contains(&(index % shape.last())),
                    _ => true,
                };
                if exists {
                    cells.push(Cell {
                        position,
                        node,
                        index,
                    });
                }
            }
        }
    }
    cells
}

/// The wrong cells of what was claimed, and their share of the work.
pub(crate) fn wrong_cells(told: &Told) -> (BTreeSet<Cell>, f64) {
    let liar = Liar::new(&told.model);
    let claimed = told.claim();
    let subject = Subject::read(&liar.card, &claimed.case()).unwrap();
    let layout = Layout::new(liar.card.program(), subject.extent()).unwrap();
    let checks = Checks::new(&liar.card, &subject, &layout).unwrap();
    let mut relations = Relations::new(&layout, subject.given());
    let mut source = Recorder::new(liar.contents(told));
    let (mut wrong, mut weight, mut total) = (BTreeSet::new(), 0_u128, 0_u128);
    for (number, cell) in (0_u64..).zip(all_cells(&layout)) {
        let own = u128::from(checks.draws().weight(cell.node));
        // Cells stand in the order in which draws number them and add up their weights.
        assert_eq!(checks.draws().number(cell), number, "{cell:?}");
        assert_eq!(checks.draws().at(total), Some(cell));
        assert_eq!(checks.draws().at(total + own - 1), Some(cell));
        total += own;
        if relations.check(&mut source, cell).unwrap().is_err() {
            wrong.insert(cell);
            weight += own;
        }
    }
    assert_eq!(total, checks.draws().total());
    let parts = u32::try_from(weight * 1_000_000_000 / total).unwrap();
    (wrong, f64::from(parts) / 1e9)
}

/// Bytes that look random.
pub(crate) fn random(choices: &mut Choices) -> [u8; 32] {
    core::array::from_fn(|_| u8::try_from(choices.size(0, 255)).unwrap())
}

/// Of `trials` challenges with `cells` draws the share of those that fall on a wrong cell.
pub(crate) fn caught(told: &Told, wrong: &BTreeSet<Cell>, (cells, trials): (u32, u32)) -> f64 {
    let liar = Liar::new(&told.model);
    let claimed = told.claim();
    let subject = Subject::read(&liar.card, &claimed.case()).unwrap();
    let layout = Layout::new(liar.card.program(), subject.extent()).unwrap();
    let checks = Checks::new(&liar.card, &subject, &layout).unwrap();
    let mut choices = Choices::new(11);
    let mut caught = 0;
    for _ in 0..trials {
        let stream = Challenge::Auditor(random(&mut choices)).bind(&claimed.claim.digest());
        let found = |index| {
            let cell = checks.draws().cell(&stream, index);
            wrong.contains(&cell.unwrap())
        };
        caught += u32::from((0..cells).any(found));
    }
    f64::from(caught) / f64::from(trials)
}

fn measure(told: &Told, cells: u32, trials: u32) -> (f64, f64) {
    let (wrong, share) = wrong_cells(told);
    (share, caught(told, &wrong, (cells, trials)))
}

fn check(name: &str, told: &Told, cells: u32) -> f64 {
    let trials = 2_000;
    let (share, got) = measure(told, cells, trials);
    let expected = 1.0 - (1.0 - share).powi(i32::try_from(cells).unwrap());
    let deviation = (expected * (1.0 - expected) / f64::from(trials)).sqrt();
    println!("{name}: share {share:.6}, {cells} cells: caught {got:.4}, formula {expected:.4}");
    assert!(
        (got - expected).abs() <= 4.5 * deviation + 1e-9,
        "{name}: {got} for {expected}"
    );
    share
}

#[test]
fn draws_catch_liars_as_often_as_the_formula_says() {
    let model = Arc::new(speaking(3));
    let honest = answer(&model, 12);
    assert_eq!(check("honest", &honest, 4), 0.0);

    let mut invented = honest.clone();
    let mut choices = Choices::new(2);
    for byte in &mut invented.sections[1] {
        *byte = u8::try_from(choices.size(0, 255)).unwrap();
    }
    assert!(check("keys invented", &invented, 40) > 0.001);

    let linear = |at: usize| {
        let spec = model.program().spec();
        let weights = spec.nodes.iter().filter_map(|node| match &node.op {
            Op::Linear(op) => Some(op.weight),
            _ => None,
        });
        let id = weights.collect::<Vec<_>>()[at];
        spec.params[usize::try_from(id.0).unwrap()].name.clone()
    };
    let skipped = altered(&model, |name, bytes| {
        if name == linear(0) {
            bytes.fill(0);
        }
    });
    let skipped = answer_by((&model, &skipped), &prompt_ids(), greedy(12));
    assert!(check("layer skipped", &skipped, 40) > 0.001);

    let one = altered(&model, |name, bytes| {
        if name == linear(1) {
            bytes[0] = if bytes[0] == 0 { 1 } else { 0 };
        }
    });
    let one = answer_by((&model, &one), &prompt_ids(), greedy(12));
    let share = check("one weight changed", &one, 80);
    assert!(share < 0.2, "a replay is what finds it: {share}");

    let other = altered(&model, |name, bytes| {
        if (0..3).any(|at| name == linear(at)) {
            bytes.reverse();
        }
    });
    let other = answer_by((&model, &other), &prompt_ids(), greedy(12));
    assert!(check("other weights", &other, 8) > 0.01);

    let coarse = altered(&model, |name, bytes| {
        if name.contains("linear") || (0..3).any(|at| name == linear(at)) {
            for byte in bytes {
                let value = i8::from_le_bytes([*byte]);
                *byte = (value / 2 * 2).to_le_bytes()[0];
            }
        }
    });
    let coarse = answer_by((&model, &coarse), &prompt_ids(), greedy(12));
    assert!(check("a bit less", &coarse, 8) > 0.01);

    let mut cell = honest.clone();
    cell.sections[0][0] ^= 1;
    assert!(check("one cell changed", &cell, 20) < 0.1);
}
