//! What share of a run is wrong, by weight, for some lies about a language model's file: estimated from many draws.
//!
//! `cargo run --release -p credence-prove-spot --example shares -- model.safetensors [draws]`. It deliberately uses no randomness but a counter.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints what it measured, and stops where something fails"
)]

use std::sync::Arc;

use credence_method_spot::{Challenge, Checks, Layout, Recorder, Relations, Subject};
use credence_model::Model;

#[path = "../tests/spot/common.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod common;

use common::{Liar, Told, altered, answer_by, greedy};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap();
    let draws = arguments.next().map_or(2_000, |text| text.parse().unwrap());
    let (model, _) = Model::from_safetensors(&std::fs::read(path).unwrap()).unwrap();
    let model = Arc::new(model);
    let liar = Liar::new(&model);
    let prompt: Vec<u32> = (1000..1040).collect();
    let answer = |runs: &Arc<Model>| answer_by((&model, runs), &prompt, greedy(40));
    let show = |name: &str, told: &Told| {
        let wrong = wrong(&liar, told, draws);
        println!("{name:<28} {wrong:>5} of {draws} cells drawn are wrong");
    };
    show("honest", &answer(&model));
    let halved = |bytes: &mut [u8]| {
        for byte in bytes {
            let value = i8::from_le_bytes([*byte]);
            *byte = (value / 2 * 2).to_le_bytes()[0];
        }
    };
    let coarse = altered(&model, |name, bytes| {
        if name.ends_with(".weight") {
            halved(bytes);
        }
    });
    show("weights of seven bits", &answer(&coarse));
    let one_layer = altered(&model, |name, bytes| {
        if name.starts_with("block.15.") && name.ends_with(".weight") {
            halved(bytes);
        }
    });
    show("one block of seven bits", &answer(&one_layer));
    let skipped = altered(&model, |name, bytes| {
        let last = ["block.15.attended.weight", "block.15.fed.weight"];
        if last.contains(&name) {
            bytes.fill(0);
        }
    });
    show("one block left out", &answer(&skipped));
    let one = altered(&model, |name, bytes| {
        if name == "block.15.gate_up.weight"
            && let Some(byte) = bytes.first_mut()
        {
            *byte = if *byte == 0 { 1 } else { 0 };
        }
    });
    show("one weight changed", &answer(&one));
}

/// How many of the draws fall on a wrong cell.
fn wrong(liar: &Liar, told: &Told, draws: u32) -> u32 {
    let claimed = told.claim();
    let subject = Subject::read(&liar.card, &claimed.case()).unwrap();
    let layout = Layout::new(liar.card.program(), subject.extent()).unwrap();
    let checks = Checks::new(&liar.card, &subject, &layout).unwrap();
    let mut relations = Relations::new(&layout, subject.given());
    let mut source = Recorder::new(liar.contents(told));
    let stream = Challenge::Auditor([1; 32]).bind(&claimed.claim.digest());
    let mut wrong = |index: u32| {
        let cell = checks.draws().cell(&stream, index).unwrap();
        relations.check(&mut source, cell).unwrap().is_err()
    };
    let wrong = (0..draws).filter(|&index| wrong(index)).count();
    u32::try_from(wrong).unwrap()
}
