//! Makes what stands in `vectors/spot/`: an honest run of each kind with its evidence, byte for byte, and what is drawn.
//!
//! The files hold all that a second implementation needs to check them. `examples/spot_vectors.rs` writes them; a change of theirs is a change of the format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_method_spot::{Card, Challenge, Checks, Layout, Subject, entries_beside};
use credence_model::{Model, program_bytes};
use credence_prove_spot::{Carry, Opener};
use credence_testkit::program_gen::{model, request};
use credence_testkit::speaking::speaking;
use serde_json::{Value, json};

use crate::common::{Told, answer, infer, options};

pub(crate) const CELLS: u32 = 12;
/// Seeds of small models.
const TENSORS: u64 = 82;
const LANGUAGE: u64 = 38;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(told: &Told, challenge: &Challenge) -> Value {
    let claimed = told.claim();
    let opener = Opener::new(&told.model, options()).unwrap();
    let case = claimed.case();
    let rerun = opener.rerun(&case).unwrap();
    let evidence = rerun.prove(challenge, (CELLS, 2), Carry::Nothing).unwrap();
    let card_bytes = opener.card(false).unwrap();
    let card = Card::decode(told.model.id(), &card_bytes).unwrap();
    let subject = Subject::read(&card, &case).unwrap();
    let layout = Layout::new(card.program(), subject.extent()).unwrap();
    let checks = Checks::new(&card, &subject, &layout).unwrap();
    let stream = challenge.bind(&claimed.claim.digest());
    let place = |cell: credence_method_spot::Cell| json!([cell.node.0, cell.position, cell.index]);
    let cells = (0..CELLS).map(|at| place(checks.draws().cell(&stream, at).unwrap()));
    let cells: Vec<Value> = cells.collect();
    let border = (0..entries_beside(CELLS)).flat_map(|at| checks.draws().entry(&stream, at));
    let border: Vec<Value> = border.map(place).collect();
    let auditor = match challenge {
        Challenge::Auditor(random) => json!(hex(random)),
        _ => Value::Null,
    };
    let program = program_bytes(told.model.program().spec()).unwrap();
    json!({
        "program": String::from_utf8(program).unwrap(),
        "weights": told.model.params().iter().map(|bytes| hex(bytes)).collect::<Vec<_>>(),
        "model_id": told.model.id().to_string(),
        "operator": hex(claimed.operator.as_bytes()),
        "claim": hex(&claimed.claim.encode()),
        "input": hex(&told.input),
        "params": hex(&told.params),
        "output": hex(&told.output),
        "salt_master": hex(&told.salt),
        "form": challenge.form().code(),
        "auditor": auditor,
        "card": hex(&card_bytes),
        "weight_of_the_run": checks.draws().total().to_string(),
        "cells": cells,
        "border": border,
        "evidence": hex(&evidence),
    })
}

/// The files by name.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    let tensors: Arc<Model> = Arc::new(model(TENSORS));
    let language = Arc::new(speaking(LANGUAGE));
    vec![
        (
            "tensor.json",
            file(
                &infer((&tensors, &tensors), &request(&tensors, TENSORS, 2)),
                &Challenge::Claim,
            ),
        ),
        (
            "language.json",
            file(&answer(&language, 6), &Challenge::Auditor([3; 32])),
        ),
    ]
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/spot")
}
