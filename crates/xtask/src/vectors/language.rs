//! `vectors/language/`: random language models with tokens, values of every node, logits and the trace root, and the constant `exp_256`
//! (`docs/spec/arithmetic.md`, sections 6 and 7; `docs/spec/trace.md`, section 3).
//!
//! Models come from the test kit's generator, so they have what a hand would not write: odd sizes, clamps that bite, nodes that are cut or not by
//! chance. A file holds all that it is about, so whoever reads it needs no generator.

use credence_exact::fixed;
use credence_exec::reference;
use credence_model::{Model, program_bytes};
use credence_testkit::program_gen::{Choices, language_model};
use serde_json::{Value, json};

type Failure = String;

/// A run of a random model.
struct Case {
    name: &'static str,
    seed: u64,
    tokens: usize,
    sampled: &'static [usize],
}

/// Chosen for what they reach: see each name. Runs over 32 and 64 tokens cross the tiles of the trace.
const CASES: [Case; 6] = [
    Case {
        name: "one-token",
        seed: 581,
        tokens: 1,
        sampled: &[0],
    },
    Case {
        name: "nothing-sampled",
        seed: 3876,
        tokens: 5,
        sampled: &[],
    },
    Case {
        name: "window",
        seed: 2309,
        tokens: 65,
        sampled: &[63, 64],
    },
    Case {
        name: "window-carried",
        seed: 5491,
        tokens: 38,
        sampled: &[17, 18, 33],
    },
    Case {
        name: "two-blocks",
        seed: 2677,
        tokens: 46,
        sampled: &[0, 31, 32, 45],
    },
    Case {
        name: "groups",
        seed: 5608,
        tokens: 39,
        sampled: &[38],
    },
];

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

impl Case {
    /// Runs the model and writes everything down.
    fn file(&self) -> Result<Value, Failure> {
        let model = language_model(self.seed);
        let spec = model.program().spec();
        let language = spec.language.as_ref().ok_or("not a language model")?;
        let mut choices = Choices::new(self.seed);
        let last = language.vocabulary.saturating_sub(1);
        let tokens: Vec<u32> = (0..self.tokens).map(|_| choices.size(0, last)).collect();
        let run =
            reference::run_tokens(&model, &tokens, |position| self.sampled.contains(&position));
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
        let observed = OBSERVED.into_iter().filter(|at| *at < self.tokens);
        let observed: Vec<usize> = observed.collect();
        let values: Vec<Vec<String>> = observed.iter().filter_map(nodes_at).collect();
        let logits: Vec<String> = self.sampled.iter().filter_map(logits_at).collect();
        let program = program_bytes(spec).map_err(text)?;
        Ok(json!({
            "program": String::from_utf8(program).map_err(text)?,
            "weights": weights(&model),
            "model_id": model.id().to_string(),
            "tokens": tokens,
            "sampled": self.sampled,
            "observed": observed,
            "values": values,
            "logits": logits,
            "trace_root": run.trace_root.to_string(),
        }))
    }
}

fn weights(model: &Model) -> Vec<String> {
    let views = (0_u32..)
        .map(credence_exact::ParamId)
        .map_while(|param| model.param(param));
    views
        .map(|view| hex(view.bytes().iter().copied()))
        .collect()
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
        let file = case.file();
        let file = file.map_err(|error| format!("{}: {error}", case.name))?;
        files.push((format!("language/{}.json", case.name), file));
    }
    Ok(files)
}
