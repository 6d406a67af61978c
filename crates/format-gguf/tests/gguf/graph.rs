//! From a file to a graph: what is refused, and that the message names it.

use credence_format_gguf::{GgufError, Scalar, Value, language_graph};
use credence_import::language::{FloatRun, Head, LanguageGraph};

use crate::build::{Change, Datum, File, chain, llama, text};

fn graph(file: &File) -> Result<LanguageGraph, GgufError> {
    language_graph(&file.parse()?)
}

#[test]
fn a_sound_file_becomes_a_graph_that_runs() {
    for version in [2, 3] {
        for alignment in [8_u32, 32, 256] {
            let mut file = llama();
            file.version = version;
            file.alignment = usize::try_from(alignment).unwrap();
            file.key("general.alignment", Datum::U32(alignment));
            let graph = graph(&file).unwrap();
            assert_eq!((graph.vocabulary, graph.width, graph.head_width), (5, 4, 2));
            assert!(matches!(graph.head, Head::Tied));
            let logits = FloatRun::new(&graph).logits(&[0, 4, 2], &[2]).unwrap();
            assert_eq!(logits[0].len(), 5);
        }
    }
}

#[test]
fn the_graph_keeps_the_bytes_alive() {
    let graph = graph(&llama()).unwrap();
    let mut row = [0.0; 4];
    graph.embedding.read(0, &mut row);
    assert!(row.iter().all(|x| x.is_finite()));
}

#[test]
fn queries_and_keys_are_read_in_halves_and_values_as_they_lie() {
    let mut file = llama();
    file.key("llama.attention.key_length", Datum::U32(4));
    file.without("llama.rope.dimension_count");
    let rows = |count: u8| (0..count).flat_map(|row| f32::from(row).to_le_bytes().repeat(4));
    for (name, count) in [("q", 8), ("k", 4), ("v", 4)] {
        let entry = file.entry(&format!("blk.0.attn_{name}.weight"));
        entry.dims = vec![4, count.into()];
        entry.data = rows(count).collect();
        let bias = (0..count)
            .flat_map(|row| f32::from(row).to_le_bytes())
            .collect();
        file.tensor(&format!("blk.0.attn_{name}.bias"), &[count.into()], 0, bias);
    }
    file.entry("blk.0.attn_output.weight").dims = vec![8, 4];
    file.entry("blk.0.attn_output.weight").data = vec![0; 8 * 4 * 4];
    let graph = graph(&file).unwrap();
    let attention = &graph.blocks[0].attention;
    let read = |linear: &credence_import::language::Linear| -> Vec<f32> {
        let mut row = [0.0; 4];
        let first = (0..linear.weight.rows()).map(|at| {
            linear.weight.read(at, &mut row);
            row[0]
        });
        let first: Vec<f32> = first.collect();
        assert_eq!(linear.bias.as_ref(), Some(&first));
        first
    };
    assert_eq!(read(&attention.q), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(read(&attention.k), [0.0, 2.0, 1.0, 3.0]);
    assert_eq!(read(&attention.v), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn mistral_windows_reach_every_block() {
    let mut file = llama();
    file.key("llama.attention.sliding_window", Datum::U32(3));
    assert_eq!(graph(&file).unwrap().blocks[0].attention.window, Some(3));
    file.key("llama.attention.sliding_window", Datum::U32(8));
    assert_eq!(graph(&file).unwrap().blocks[0].attention.window, None);
}

#[test]
fn settings_that_say_nothing_new_are_taken() {
    let mut file = llama();
    file.key("llama.vocab_size", Datum::U32(5))
        .key("llama.expert_count", Datum::U32(0))
        .key("llama.rope.scaling.type", text("none"))
        .key("llama.rope.scaling.factor", Datum::F32(4.0))
        .key(
            "llama.attention.head_count",
            Datum::Array(5, vec![Datum::I32(2)]),
        )
        .key("general.type", text("model"))
        .key("general.whatever", Datum::Array(9, vec![]))
        .key("tokenizer.chat_template", text("{{ x }}"))
        .key(
            "tokenizer.chat_templates",
            Datum::Array(8, vec![text("tool_use")]),
        )
        .key("tokenizer.chat_template.tool_use", text("{{ y }}"))
        .key(
            "tokenizer.ggml.scores",
            Datum::Array(6, vec![Datum::F32(0.5); 5]),
        )
        .key("tokenizer.ggml.prefix_token_id", Datum::U32(3));
    let graph = graph(&file).unwrap();
    assert_eq!(graph.text.chat_template.as_deref(), Some("{{ x }}"));
    assert_eq!(graph.text.special.fill_prefix, Some(3));
    assert_eq!(graph.text.scores, [0.5; 5]);
}

#[test]
fn values_of_every_type_are_read() {
    let mut file = File::new();
    file.key("a", Datum::U8(200))
        .key("b", Datum::I8(-3))
        .key("c", Datum::U16(60_000))
        .key("d", Datum::I16(-300))
        .key("e", Datum::U32(u32::MAX))
        .key("f", Datum::I32(i32::MIN))
        .key("g", Datum::U64(u64::MAX))
        .key("h", Datum::I64(i64::MIN))
        .key("i", Datum::F32(0.5))
        .key("j", Datum::F64(0.1))
        .key("k", Datum::Bool(1))
        .key("l", text("é"))
        .key(
            "m",
            Datum::Array(
                9,
                vec![
                    Datum::Array(3, vec![Datum::I16(1)]),
                    Datum::Array(8, vec![text("x")]),
                ],
            ),
        );
    let parsed = file.parse().unwrap();
    let integer = |x: i128| Value::Scalar(Scalar::Integer(x));
    let expected = [
        integer(200),
        integer(-3),
        integer(60_000),
        integer(-300),
        integer(u32::MAX.into()),
        integer(i32::MIN.into()),
        integer(u64::MAX.into()),
        integer(i64::MIN.into()),
        Value::Scalar(Scalar::Float(0.5)),
        Value::Scalar(Scalar::Float(0.1)),
        Value::Scalar(Scalar::Bool(true)),
        Value::String("é".to_owned()),
    ];
    let got: Vec<&Value> = parsed.metadata().values().collect();
    assert!(
        got.iter()
            .zip(&expected)
            .all(|(got, expected)| *got == expected),
        "{got:?}"
    );
    assert_eq!(got[12].to_string(), "an array of 2 Array");
}

/// Changes to a sound file, and what is then said.
const UNKNOWN: &[(Change, &str)] = &[
    (
        |f| {
            f.without("general.architecture");
        },
        "`general.architecture` is missing",
    ),
    (
        |f| {
            f.key("general.architecture", text("mamba"));
        },
        "architecture `mamba` is not supported; supported are llama, qwen2",
    ),
    (
        |f| {
            f.key("general.type", text("adapter"));
        },
        "`general.type` must be `model`, but is `adapter`",
    ),
    (
        |f| {
            f.key("split.count", Datum::U16(2));
        },
        "`split.count` must be 1, but is 2",
    ),
    (
        |f| {
            f.key("llama.new_thing", Datum::U32(1));
        },
        "`llama.new_thing` is not known",
    ),
    (
        |f| {
            f.key("tokenizer.ggml.new_thing", Datum::U32(1));
        },
        "`tokenizer.ggml.new_thing` is not known",
    ),
    (
        |f| {
            f.key("llama.expert_count", Datum::U32(8));
        },
        "`llama.expert_count` must be 0, but is 8",
    ),
    (
        |f| {
            f.key("llama.attention.causal", Datum::Bool(0));
        },
        "`llama.attention.causal` must be true",
    ),
    (
        |f| {
            f.key("llama.vocab_size", Datum::U32(6));
        },
        "`llama.vocab_size` must be 5, but is 6",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.type", text("longrope"));
        },
        "must be `linear`, `yarn` or `none`, but is `longrope`",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.type", text("yarn"));
        },
        "`llama.rope.scaling.factor` is missing",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.type", text("yarn"))
                .key("llama.rope.scaling.factor", Datum::F32(0.5));
        },
        "`llama.rope.scaling.factor` must be no less than 1, but is 0.5",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.type", text("yarn"))
                .key("llama.rope.scaling.factor", Datum::F32(f32::NAN));
        },
        "`llama.rope.scaling.factor` must be no less than 1, but is NaN",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.type", text("yarn"))
                .key("llama.rope.scaling.factor", Datum::F32(2.0))
                .key("llama.rope.scaling.original_context_length", Datum::U32(0));
        },
        "original_context_length` must be a positive count, but is 0",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.yarn_beta_fast", Datum::F32(16.0));
        },
        "yarn_beta_fast` must be 32, but is 16",
    ),
    (
        |f| {
            f.key("llama.rope.scaling.attn_factor", Datum::F32(2.0));
        },
        "attn_factor` must be 1",
    ),
    (
        |f| {
            f.key("llama.rope.dimension_count", Datum::U32(1));
        },
        "`llama.rope.dimension_count` must be 2, but is 1",
    ),
    (
        |f| {
            f.key("llama.attention.value_length", Datum::U32(3));
        },
        "value_length` must be 2, but is 3",
    ),
    (
        |f| {
            f.key("llama.attention.head_count", Datum::U32(3));
        },
        "`llama.attention.key_length` is missing",
    ),
    (
        |f| {
            f.key("llama.attention.head_count", Datum::U32(0));
        },
        "`llama.attention.key_length` is missing",
    ),
    (
        |f| {
            f.key("llama.attention.head_count", text("2"));
        },
        "head_count` must be an integer that is no less than 0, but is the text `2`",
    ),
    (
        |f| {
            f.key("llama.context_length", Datum::I32(-1));
        },
        "context_length` must be an integer that is no less than 0, but is -1",
    ),
    (
        |f| {
            f.key("llama.context_length", Datum::U32(0));
        },
        "context must be from 1",
    ),
    (
        |f| {
            f.key("llama.block_count", Datum::U32(2));
        },
        "the tensor `blk.1.attn_q.weight` is missing",
    ),
    (
        |f| {
            f.key("llama.block_count", Datum::U64(u64::MAX));
        },
        "block_count` must be at most 11, the number of tensors",
    ),
    (
        |f| {
            f.key("llama.block_count", Datum::U32(0));
        },
        "is not part of architecture `llama`",
    ),
    (
        |f| {
            f.key(
                "llama.feed_forward_length",
                Datum::Array(4, vec![Datum::U32(3), Datum::U32(4)]),
            );
        },
        "one count for all blocks",
    ),
    (
        |f| {
            f.key(
                "llama.attention.layer_norm_rms_epsilon",
                Datum::F32(f32::NAN),
            );
        },
        "norm epsilon must be positive and finite",
    ),
    (
        |f| {
            f.key("llama.rope.freq_base", Datum::F64(1e300));
        },
        "base of the rotation must be positive and finite, but is inf",
    ),
    (
        |f| {
            f.key("llama.rope.freq_base", Datum::U32(5));
        },
        "freq_base` must be a float, but is 5",
    ),
    (
        |f| {
            f.without("llama.embedding_length");
        },
        "`llama.embedding_length` is missing",
    ),
    (
        |f| {
            f.without("tokenizer.ggml.model");
        },
        "`tokenizer.ggml.model` is missing",
    ),
    (
        |f| {
            f.without("tokenizer.ggml.tokens");
        },
        "the list of tokens must have 5 elements, but has 0",
    ),
    (
        |f| {
            f.key("tokenizer.ggml.tokens", Datum::Array(4, vec![]));
        },
        "tokens` must be an array of String, but is an array of 0 U32",
    ),
    (
        |f| {
            f.key("tokenizer.ggml.bos_token_id", Datum::U32(5));
        },
        "`begin` has id 5, but there are 5 tokens",
    ),
    (
        |f| {
            f.key("tokenizer.ggml.eos_token_id", Datum::U64(1 << 40));
        },
        "eos_token_id` must be a token's id",
    ),
    (
        |f| {
            f.singles("blk.0.attn_sub_norm.weight", &[4]);
        },
        "the tensor `blk.0.attn_sub_norm.weight` is not part of architecture `llama`",
    ),
    (
        |f| {
            f.entry("blk.0.ffn_up.weight").name = "x".to_owned();
        },
        "the tensor `blk.0.ffn_up.weight` is missing",
    ),
    (
        |f| {
            f.entry("blk.0.ffn_up.weight").dims = vec![3, 4];
        },
        "`blk.0.ffn_up.weight` must have dimensions [4, 3], but has [3, 4]",
    ),
    (
        |f| {
            f.entry("token_embd.weight").dims = vec![20];
        },
        "`token_embd.weight` must have dimensions [4, 1], but has [20]",
    ),
    (
        |f| {
            f.entry("output_norm.weight").data = f32::NAN.to_le_bytes().repeat(4);
        },
        "the final norm has NaN at element 0",
    ),
    (
        |f| {
            f.singles("rope_freqs.weight", &[1]);
        },
        "factor of a rotation's frequency must be positive",
    ),
    (
        |f| {
            f.key("llama.feed_forward_length", Datum::Array(4, vec![]));
        },
        "must be one count for all blocks, but is no such count",
    ),
];

#[test]
fn what_is_not_known_is_refused_by_name() {
    graph(&llama()).unwrap();
    for (change, expected) in UNKNOWN {
        let mut file = llama();
        change(&mut file);
        let message = chain(&graph(&file).unwrap_err());
        assert!(
            message.contains(expected),
            "{message}\nexpected: {expected}"
        );
    }
}

#[test]
fn qwen_windows_that_narrow_are_refused() {
    let mut file = llama();
    file.keys = file
        .keys
        .iter()
        .map(|(key, value)| (key.replace("llama.", "qwen2."), value.clone()))
        .collect();
    file.key("general.architecture", text("qwen2"));
    file.key("qwen2.attention.sliding_window", Datum::U32(8));
    assert_eq!(graph(&file).unwrap().blocks[0].attention.window, None);
    file.key("qwen2.attention.sliding_window", Datum::U32(7));
    let message = chain(&graph(&file).unwrap_err());
    assert!(
        message.contains("must be no less than the context, but is 7"),
        "{message}"
    );
}
