//! Reference engine and sessions give what `vectors/language/` says, from the files alone.
//!
//! The files are made by `cargo xtask vectors`; a difference is a change of arithmetic, of the trace's layout or of the `ModelId`.
#![expect(
    clippy::unwrap_used,
    reason = "a test says what differs by failing, and a file that cannot be read is a failure"
)]

use core::num::NonZeroUsize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_exact::{NodeId, fixed};
use credence_exec::reference::{Tokens, run_tokens};
use credence_exec::{Append, Engine, Isa, Options, Session};
use credence_model::{Model, program_from_bytes};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn unhex(digits: &Value) -> Vec<u8> {
    let digits = digits.as_str().unwrap();
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// Little-endian cells of this width.
fn cells(bytes: &[u8], width: usize) -> Vec<i64> {
    let cell = |bytes: &[u8]| {
        let sign = if bytes.last().unwrap() >> 7 == 1 {
            0xff
        } else {
            0
        };
        let mut wide = [sign; 8];
        wide[..width].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    bytes.chunks_exact(width).map(cell).collect()
}

fn numbers(list: &Value) -> Vec<usize> {
    let list = list.as_array().unwrap().iter();
    list.map(|n| usize::try_from(n.as_u64().unwrap()).unwrap())
        .collect()
}

struct Case {
    name: String,
    file: Value,
    model: Arc<Model>,
    tokens: Vec<u32>,
    sampled: Vec<usize>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let file = json(path);
        let program = program_from_bytes(file["program"].as_str().unwrap().as_bytes()).unwrap();
        let weights = file["weights"].as_array().unwrap().iter().map(unhex);
        let tokens = numbers(&file["tokens"]).into_iter();
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            model: Arc::new(Model::new(program, weights.collect()).unwrap()),
            tokens: tokens.map(|token| u32::try_from(token).unwrap()).collect(),
            sampled: numbers(&file["sampled"]),
            file,
        }
    }

    fn reference(&self) -> Tokens {
        run_tokens(&self.model, &self.tokens, |at| self.sampled.contains(&at)).unwrap()
    }

    /// Runs a session, `step` tokens at a time or fewer, so that a token is sampled only where the file says.
    fn session(&self, step: usize) -> (Session, BTreeMap<usize, Vec<i64>>) {
        let options = Options {
            threads: NonZeroUsize::MIN,
            isa: Isa::detect(),
        };
        let engine = Engine::new(Arc::clone(&self.model), options).unwrap();
        let mut session = engine.session().unwrap();
        let mut seen = BTreeMap::new();
        while session.len() < self.tokens.len() {
            let start = session.len();
            let end = self.tokens.len().min(start + step);
            let sampled = (start..end).find(|at| self.sampled.contains(at));
            let end = sampled.map_or(end, |at| at + 1);
            let mut appends = [Append {
                session: &mut session,
                tokens: &self.tokens[start..end],
                sampled: usize::from(sampled.is_some()),
            }];
            let mut sink = |_: usize, position: usize, logits: &[i32]| {
                seen.insert(position, logits.iter().map(|&l| l.into()).collect());
            };
            engine.advance(&mut appends, &mut sink).unwrap();
        }
        (session, seen)
    }
}

fn cases() -> Vec<Case> {
    let entries = std::fs::read_dir(folder().join("language")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

#[test]
fn the_reference_gives_ids_values_logits_and_roots() {
    let cases = cases();
    assert!(cases.len() >= 6);
    for case in cases {
        let (name, file) = (&case.name, &case.file);
        assert_eq!(case.model.id().to_string(), file["model_id"], "{name}");
        let run = case.reference();
        let observed = numbers(&file["observed"]);
        for (&position, nodes) in observed.iter().zip(file["values"].as_array().unwrap()) {
            let nodes = nodes.as_array().unwrap();
            assert_eq!(nodes.len(), case.model.program().nodes().count());
            for ((id, node, _), expected) in case.model.program().nodes().zip(nodes) {
                let got = &run.values[position][usize::try_from(id.0).unwrap()];
                let expected = cells(&unhex(expected), node.dtype.width());
                assert_eq!(got, &expected, "{name}, {}, {position}", node.name);
            }
        }
        assert_eq!(run.trace_root.to_string(), file["trace_root"], "{name}");
        let program = case.model.program();
        let costs = program.nodes().map(|(id, _, _)| program.relation_cost(id));
        let costs: Value = costs.collect();
        assert_eq!(costs, file["relation_costs"], "{name}");
    }
}

#[test]
fn sessions_give_logits_and_roots() {
    for case in cases() {
        for step in [1, 7, 100] {
            let (session, seen) = case.session(step);
            let logits = case.file["logits"].as_array().unwrap().iter();
            let logits = logits.map(|bytes| cells(&unhex(bytes), 4));
            let expected = case.sampled.iter().copied().zip(logits).collect();
            assert_eq!(seen, expected, "{}", case.name);
            let root = session.trace_root().to_string();
            assert_eq!(root, case.file["trace_root"], "{}", case.name);
        }
    }
}

#[test]
fn another_token_and_another_sampled_position_are_another_root() {
    for mut case in cases() {
        let root = &case.file["trace_root"].clone();
        let last = *case.tokens.last().unwrap();
        let vocabulary = case.model.program().spec().language.as_ref().unwrap();
        *case.tokens.last_mut().unwrap() = (last + 1) % vocabulary.vocabulary;
        assert_ne!(&case.reference().trace_root.to_string(), root);
        *case.tokens.last_mut().unwrap() = last;
        assert_eq!(&case.reference().trace_root.to_string(), root);
        if case.sampled.pop().is_none() {
            case.sampled.push(0);
        }
        assert_ne!(&case.reference().trace_root.to_string(), root);
    }
}

#[test]
fn observed_positions_hold_every_cell_of_every_node_that_exists_there() {
    for case in cases() {
        let layout = case.model.program().language().unwrap();
        let observed = numbers(&case.file["observed"]);
        for (position, nodes) in observed
            .into_iter()
            .zip(case.file["values"].as_array().unwrap())
        {
            for (node, shown) in nodes.as_array().unwrap().iter().enumerate() {
                let id = NodeId(u32::try_from(node).unwrap());
                let exists = layout.is_carried(id) || case.sampled.contains(&position);
                assert_eq!(shown != "", exists, "{}: {position}, {node}", case.name);
            }
        }
    }
}

#[test]
fn weights_of_scores() {
    let file = json(&folder().join("arithmetic/exp_256.json"));
    let entries = cells(&unhex(&file["entries"]), 2);
    assert_eq!(entries.len(), 2840);
    for (below, &entry) in (0_u64..).zip(&entries) {
        assert_eq!(fixed::exp_256(below), entry, "{below}");
    }
    assert_eq!(fixed::exp_256(2840), 0);
}
