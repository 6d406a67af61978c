//! `vectors/language/`: random language models with tokens, values of every node, logits and the trace root, and the constant `exp_256`
//! (`docs/spec/arithmetic.md`, sections 6 and 7; `docs/spec/trace.md`, section 3).
//!
//! Models come from the test kit's generator, so they have what a hand would not write: odd sizes, clamps that bite, nodes that are cut or not by
//! chance. A file holds all that it is about, so whoever reads it needs no generator.

use credence_exact::{NodeId, Op, ParamId, fixed};
use credence_exec::reference;
use credence_model::{Model, program_bytes};
use credence_testkit::program_gen::{Choices, language_model};
use serde_json::{Value, json};

type Failure = String;

/// A run of a random model: name, seed, number of tokens, sampled positions.
type Case = (&'static str, u64, usize, &'static [usize]);

/// Chosen for what they reach: see each name. Runs over 32 and 64 tokens cross the tiles of the trace.
const CASES: [Case; 8] = [
    ("one-token", 581, 1, &[0]),
    ("nothing-sampled", 3876, 5, &[]),
    ("window", 6721, 65, &[63, 64]),
    ("window-carried", 5491, 38, &[17, 18, 33]),
    ("two-blocks", 2677, 46, &[0, 31, 32, 45]),
    ("groups", 5608, 39, &[38]),
    ("zeros", 5448, 2, &[1]),
    (FEW_CUTS, 1170, 33, &[0, 32]),
];

/// The one whose carried nodes are cut only if they must be, so that blocks of positions have no cells.
const FEW_CUTS: &str = "few-cuts";

/// Positions whose values are written out; the trace root is of all.
const OBSERVED: [usize; 7] = [0, 1, 4, 31, 32, 33, 64];

fn text(error: impl core::fmt::Display) -> Failure {
    error.to_string()
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    let digits = bytes.into_iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Cells in little-endian bytes of this width.
fn cells(cells: &[i64], width: usize) -> String {
    hex(cells
        .iter()
        .flat_map(|cell| cell.to_le_bytes().into_iter().take(width)))
}

/// The model with no more cut than must be.
fn with_few_cuts(model: &Model) -> Result<Model, Failure> {
    let layout = model.program().language().ok_or("not a language model")?;
    let mut spec = model.program().spec().clone();
    for (node, id) in spec.nodes.iter_mut().zip((0_u32..).map(NodeId)) {
        let kept = layout.keys().contains(&id) || layout.values().contains(&id);
        if layout.is_carried(id) && !kept && !matches!(node.op, Op::Scores(_)) {
            node.cut = false;
        }
    }
    let params = params(model).map(<[u8]>::to_vec).collect();
    Model::new(spec, params).map_err(text)
}

/// Runs the model and writes everything down.
fn file(&(name, seed, count, sampled): &Case) -> Result<Value, Failure> {
    let mut model = language_model(seed);
    if name == FEW_CUTS {
        model = with_few_cuts(&model)?;
    }
    let spec = model.program().spec();
    let language = spec.language.as_ref().ok_or("not a language model")?;
    let mut choices = Choices::new(seed);
    let last = language.vocabulary.saturating_sub(1);
    let tokens: Vec<u32> = (0..count).map(|_| choices.size(0, last)).collect();
    let run = reference::run_tokens(&model, &tokens, |position| sampled.contains(&position));
    let run = run.map_err(text)?;
    let widths: Vec<usize> = spec.nodes.iter().map(|node| node.dtype.width()).collect();
    let nodes_at = |position: &usize| -> Option<Vec<String>> {
        let nodes = run.values.get(*position)?.iter().zip(&widths);
        Some(nodes.map(|(node, &width)| cells(node, width)).collect())
    };
    let logits_at = |position: &usize| -> Option<String> {
        let node = usize::try_from(language.logits.0).ok()?;
        Some(cells(run.values.get(*position)?.get(node)?, 4))
    };
    let observed: Vec<usize> = OBSERVED.into_iter().filter(|at| *at < count).collect();
    let values: Vec<Vec<String>> = observed.iter().filter_map(nodes_at).collect();
    let logits: Vec<String> = sampled.iter().filter_map(logits_at).collect();
    let program = program_bytes(spec).map_err(text)?;
    let weights = params(&model).map(|bytes| hex(bytes.iter().copied()));
    Ok(json!({
        "program": String::from_utf8(program).map_err(text)?,
        "weights": weights.collect::<Vec<String>>(),
        "model_id": model.id().to_string(),
        "tokens": tokens,
        "sampled": sampled,
        "observed": observed,
        "values": values,
        "logits": logits,
        "relation_costs": super::relation_costs(&model),
        "trace_root": run.trace_root.to_string(),
    }))
}

/// The bytes of each parameter.
fn params(model: &Model) -> impl Iterator<Item = &[u8]> {
    let views = (0_u32..).map(ParamId).map_while(|param| model.param(param));
    views.map(|view| view.bytes())
}

/// Every entry that is not 0, as i16.
fn exp_256() -> Value {
    let entries = (0..u64::from(fixed::EXP_256_ENTRIES)).map(fixed::exp_256);
    let entries: Vec<i64> = entries.collect();
    json!({ "entries": cells(&entries, 2) })
}

pub(super) fn files() -> Result<Vec<(String, Value)>, Failure> {
    let mut files = vec![("arithmetic/exp_256.json".to_owned(), exp_256())];
    for case in &CASES {
        let (name, ..) = case;
        let file = file(case).map_err(|error| format!("{name}: {error}"))?;
        files.push((format!("language/{name}.json"), file));
    }
    Ok(files)
}
