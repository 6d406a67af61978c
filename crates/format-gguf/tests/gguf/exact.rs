//! Tiny models of every architecture as exact programs: their next-token distributions are those of llama.cpp on the same files.
//!
//! The readers' own tests compare floats; here the whole way is compared, lowering and integers included. Widths are a few dozen cells, where eight
//! bits are coarser than in any real model, so the bound is loose; what a wrong reading does is far above it, as the twin shows.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Append, Engine, Isa, Options};
use credence_import::language::{LanguageGraph, LanguageOptions, import_language};

use crate::models::{golden, graph};

/// Mean divergence that every exact program stays below, in nats.
const CLOSE: f64 = 0.02;

/// Those whose logits have no cap, which no op computes.
const EXACT: [&str; 7] = [
    "llama",
    "llama-scaled",
    "qwen2",
    "qwen3",
    "qwen3-yarn",
    "gemma3",
    "gpt2",
];

fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

/// Logarithms of a distribution.
fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
    logits.iter().map(|logit| logit - max - sum.ln()).collect()
}

/// The mean divergence of the exact program's next tokens from llama.cpp's, in nats.
fn divergence(graph: &LanguageGraph, name: &str) -> f64 {
    let (tokens, expected) = golden(name);
    let vocabulary = u32::try_from(expected[0].len()).unwrap();
    let text = |step: u32| {
        (0..30)
            .map(|at| (at * step + at * at / 3) % vocabulary)
            .collect()
    };
    let options = LanguageOptions {
        context: 32,
        calibration: vec![tokens.clone(), text(5), text(7), text(11)],
        exec: options(),
    };
    let model = import_language(graph, b"no text", &options).unwrap().model;
    let engine = Engine::new(Arc::new(model), self::options()).unwrap();
    let mut session = engine.session().unwrap();
    let mut exact = vec![Vec::new(); tokens.len()];
    let mut appends = [Append {
        session: &mut session,
        tokens: &tokens,
        sampled: tokens.len(),
    }];
    let mut sink = |_: usize, position: usize, logits: &[i32]| {
        exact[position] = logits
            .iter()
            .map(|&logit| f64::from(logit) / 65_536.0)
            .collect();
    };
    engine.advance(&mut appends, &mut sink).unwrap();
    let each = expected.iter().zip(&exact).map(|(expected, exact)| {
        let (p, q) = (log_softmax(expected), log_softmax(exact));
        let terms = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q));
        terms.sum::<f64>()
    });
    each.sum::<f64>() / f64::from(u32::try_from(tokens.len()).unwrap())
}

#[test]
fn exact_programs_say_what_llama_cpp_says() {
    for name in EXACT {
        let got = divergence(&graph(name), name);
        println!("{name}: {got:.5} nats");
        assert!(got < CLOSE, "{name}: {got}");
    }
}

#[test]
fn a_program_of_another_reading_says_something_else() {
    type Change = fn(&mut credence_import::language::LanguageParts);
    let changes: [(&str, Change); 4] = [
        ("gemma3", |parts| parts.blocks[0].attention.window = None),
        ("gemma3", |parts| parts.blocks[1].attention.window = Some(2)),
        ("qwen2", |parts| parts.blocks[0].attention.q.bias = None),
        ("gpt2", |parts| parts.final_norm.bias = None),
    ];
    for (index, (name, change)) in changes.into_iter().enumerate() {
        let honest = divergence(&graph(name), name);
        let mut parts = graph(name).into_parts();
        change(&mut parts);
        let got = divergence(&LanguageGraph::new(parts).unwrap(), name);
        println!("change {index} of {name}: {got:.5} nats for {honest:.5}");
        assert!(
            got > 2.0 * honest,
            "change {index} of {name}: {got} for {honest}"
        );
    }
}
