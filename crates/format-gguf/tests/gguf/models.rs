//! Tiny models of every architecture against llama.cpp's logits; `tests/python/golden/make_gguf_models.py` makes the files.

use credence_format_gguf::{language_graph, supported_architectures};
use credence_import::language::{FloatRun, LanguageGraph, LanguageParts, Position};
use serde_json::Value;

use crate::build::parse;

/// File, architecture, bytes, largest difference of a logit. llama.cpp takes GELU from a table of halves, so models with it agree less.
const MODELS: [(&str, &str, &[u8], f64); 8] = [
    (
        "llama",
        "llama",
        include_bytes!("../golden/models/llama.gguf"),
        1e-4,
    ),
    (
        "llama-scaled",
        "llama",
        include_bytes!("../golden/models/llama-scaled.gguf"),
        1e-4,
    ),
    (
        "qwen2",
        "qwen2",
        include_bytes!("../golden/models/qwen2.gguf"),
        1e-4,
    ),
    (
        "qwen3",
        "qwen3",
        include_bytes!("../golden/models/qwen3.gguf"),
        1e-4,
    ),
    (
        "qwen3-yarn",
        "qwen3",
        include_bytes!("../golden/models/qwen3-yarn.gguf"),
        1e-4,
    ),
    (
        "gemma3",
        "gemma3",
        include_bytes!("../golden/models/gemma3.gguf"),
        5e-3,
    ),
    (
        "gemma3-capped",
        "gemma3",
        include_bytes!("../golden/models/gemma3-capped.gguf"),
        5e-3,
    ),
    (
        "gpt2",
        "gpt2",
        include_bytes!("../golden/models/gpt2.gguf"),
        5e-3,
    ),
];

pub(crate) fn golden(name: &str) -> (Vec<u32>, Vec<Vec<f64>>) {
    let all: Vec<Value> =
        serde_json::from_str(include_str!("../golden/models/logits.json")).unwrap();
    let case = all.into_iter().find(|case| case["model"] == name).unwrap();
    (
        serde_json::from_value(case["tokens"].clone()).unwrap(),
        serde_json::from_value(case["logits"].clone()).unwrap(),
    )
}

pub(crate) fn graph(name: &str) -> LanguageGraph {
    let (_, _, bytes, _) = MODELS.iter().find(|row| row.0 == name).unwrap();
    language_graph(&parse(bytes.to_vec()).unwrap()).unwrap()
}

fn difference(graph: &LanguageGraph, name: &str) -> f64 {
    let (tokens, expected) = golden(name);
    let positions: Vec<usize> = (0..tokens.len()).collect();
    let got = FloatRun::new(graph).logits(&tokens, &positions).unwrap();
    let pairs = got.iter().flatten().zip(expected.iter().flatten());
    pairs
        .map(|(got, expected)| (f64::from(*got) - expected).abs())
        .fold(0.0, f64::max)
}

#[test]
fn logits_are_those_of_llama_cpp() {
    let mut seen: Vec<&str> = Vec::new();
    for (name, architecture, _, tolerance) in MODELS {
        let got = difference(&graph(name), name);
        assert!(got < tolerance, "{name}: {got}");
        if !seen.contains(&architecture) {
            seen.push(architecture);
        }
    }
    assert_eq!(seen.join(", "), supported_architectures());
}

/// The failing twin: what a file says is what the numbers hang on.
#[test]
fn a_reading_that_differs_gives_other_logits() {
    fn rope(parts: &mut LanguageParts, index: usize) -> &mut credence_import::language::Rope {
        match &mut parts.position {
            Position::Rope(ropes) => &mut ropes[index],
            Position::Learned(_) => panic!("learned"),
        }
    }
    type Change = fn(&mut LanguageParts);
    let changes: [(&str, Change); 17] = [
        ("llama-scaled", |p| rope(p, 0).linear = 1.0),
        ("qwen3-yarn", |p| rope(p, 0).factors = None),
        ("qwen3-yarn", |p| {
            p.attention_scale = 1.0 / 12.0_f32.sqrt();
        }),
        ("llama-scaled", |p| rope(p, 0).factors = None),
        ("llama", |p| rope(p, 0).base = 10_000.0),
        ("qwen2", |p| p.blocks[0].attention.k.bias = None),
        ("qwen2", |p| p.blocks[0].attention.v.bias = None),
        ("qwen3", |p| p.blocks[0].attention.k_norm = None),
        ("gemma3", |p| p.embedding_scale = 1.0),
        ("gemma3", |p| p.blocks[0].attention.window = None),
        ("gemma3", |p| p.blocks[0].attention.window = Some(4)),
        ("gemma3", |p| p.blocks[2].attention.rope = 1),
        ("gemma3", |p| p.blocks[1].feed.post_norm = None),
        ("gemma3-capped", |p| p.softcaps.logits = None),
        ("gemma3-capped", |p| rope(p, 0).linear = 1.0),
        ("gpt2", |p| p.final_norm.bias = None),
        ("gpt2", |p| p.blocks[1].attention.q.bias = None),
    ];
    for (index, (name, change)) in changes.into_iter().enumerate() {
        let mut parts = graph(name).into_parts();
        change(&mut parts);
        let got = difference(&LanguageGraph::new(parts).unwrap(), name);
        assert!(got > 1e-2, "change {index} of {name}: {got}");
    }
}

#[test]
fn gemma_alternates_between_windows_and_everything() {
    let graph = graph("gemma3");
    let windows: Vec<_> = graph
        .blocks
        .iter()
        .map(|b| (b.attention.window, b.attention.rope))
        .collect();
    assert_eq!(windows, [(Some(5), 1), (Some(5), 1), (None, 0)]);
    let Position::Rope(ropes) = &graph.position else {
        panic!("learned")
    };
    assert_eq!((ropes[0].base, ropes[1].base), (500.0, 10_000.0));
}

#[test]
fn the_tokenizer_comes_along() {
    let text = graph("qwen3").into_parts().text;
    assert_eq!(
        (text.model.as_str(), text.pre.as_deref()),
        ("gpt2", Some("default"))
    );
    assert_eq!((text.tokens.len(), text.tokens[22].as_str()), (24, "ab"));
    assert_eq!((text.types[22], text.types[23]), (1, 3));
    assert_eq!(text.merges, ["a b"]);
    assert_eq!(
        (text.special.begin, text.special.end, text.special.unknown),
        (Some(23), Some(23), None)
    );
    assert_eq!((text.add_begin, text.add_end), (Some(false), None));
    assert!(text.scores.is_empty() && text.chat_template.is_none());
}
