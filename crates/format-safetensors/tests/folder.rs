//! Folders of small models: read, run and held against plain loops; and every way of spoiling one is refused by name.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

use std::sync::Arc;

use credence_format_safetensors::{Folder, encoder_graph};
use credence_import::language::{EncoderRun, Pooling};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

const WIDTH: usize = 8;
const HIDDEN: usize = 12;
const PIECES: [&str; 9] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "##m", "e", "##b", "!",
];
const CONTEXT: usize = 16;

/// A file's parts, to be spoiled.
#[derive(Clone)]
struct Parts {
    config: Value,
    tokenizer: Value,
    modules: Option<Value>,
    pooling: Option<Value>,
    tensors: Vec<(String, Vec<usize>, Dtype, Vec<u8>)>,
}

/// Small numbers that repeat late.
fn number(seed: usize) -> f32 {
    let n = u16::try_from(seed * 7919 % 1009).unwrap();
    f32::from(n) / 504.5 - 1.0
}

fn tensor(name: &str, shape: &[usize], base: f32) -> (String, Vec<usize>, Dtype, Vec<u8>) {
    let cells: usize = shape.iter().product();
    let seed = name.bytes().map(usize::from).sum::<usize>() * 31;
    let values = (0..cells).map(|at| base + 0.4 * number(seed + at));
    let bytes = values.flat_map(f32::to_le_bytes).collect();
    (name.to_owned(), shape.to_vec(), Dtype::F32, bytes)
}

fn tensors() -> Vec<(String, Vec<usize>, Dtype, Vec<u8>)> {
    let mut tensors = vec![
        tensor(
            "embeddings.word_embeddings.weight",
            &[PIECES.len(), WIDTH],
            0.0,
        ),
        tensor(
            "embeddings.position_embeddings.weight",
            &[CONTEXT, WIDTH],
            0.0,
        ),
        tensor("embeddings.token_type_embeddings.weight", &[2, WIDTH], 0.0),
        tensor("embeddings.LayerNorm.weight", &[WIDTH], 0.8),
        tensor("embeddings.LayerNorm.bias", &[WIDTH], 0.0),
        tensor("pooler.dense.weight", &[WIDTH, WIDTH], 0.0),
    ];
    for block in 0..2 {
        let name = |part: &str| format!("encoder.layer.{block}.{part}");
        for (part, rows, columns) in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", HIDDEN, WIDTH),
            ("output.dense", WIDTH, HIDDEN),
        ] {
            tensors.push(tensor(
                &name(&format!("{part}.weight")),
                &[rows, columns],
                0.0,
            ));
            tensors.push(tensor(&name(&format!("{part}.bias")), &[rows], 0.0));
        }
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            tensors.push(tensor(&name(&format!("{part}.weight")), &[WIDTH], 0.8));
            tensors.push(tensor(&name(&format!("{part}.bias")), &[WIDTH], 0.0));
        }
    }
    tensors
}

impl Parts {
    fn new() -> Self {
        let vocab: serde_json::Map<String, Value> = (0..)
            .zip(PIECES)
            .map(|(id, piece): (u32, _)| (piece.to_owned(), id.into()))
            .collect();
        let added: Vec<Value> = (0..4)
            .map(|id: usize| json!({"id": id, "content": PIECES[id], "special": true, "normalized": false}))
            .collect();
        Self {
            config: json!({
                "model_type": "bert", "vocab_size": PIECES.len(), "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
                "max_position_embeddings": CONTEXT, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1,
                "position_embedding_type": "absolute", "intermediate_size": HIDDEN,
            }),
            tokenizer: json!({
                "version": "1.0", "truncation": null, "added_tokens": added,
                "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
                "pre_tokenizer": {"type": "BertPreTokenizer"},
                "post_processor": {"type": "TemplateProcessing", "single": [
                    {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]},
                "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
            }),
            modules: Some(json!([
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
            ])),
            pooling: Some(json!({
                "word_embedding_dimension": WIDTH, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true,
                "pooling_mode_max_tokens": false,
            })),
            tensors: tensors(),
        }
    }

    fn weights(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, shape, dtype, bytes)| {
            (
                name.clone(),
                TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
            )
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn folder(&self) -> Folder {
        let bytes = |value: &Value| value.to_string().into_bytes();
        Folder {
            config: bytes(&self.config),
            tokenizer: bytes(&self.tokenizer),
            modules: self.modules.as_ref().map(bytes),
            pooling: self.pooling.as_ref().map(bytes),
            weights: Arc::new(self.weights()),
        }
    }

    fn find(&mut self, name: &str) -> &mut (String, Vec<usize>, Dtype, Vec<u8>) {
        self.tensors
            .iter_mut()
            .find(|(own, ..)| own == name)
            .unwrap()
    }
}

/// The network by plain loops in f64, from the tensors as they are.
struct Plain<'a>(&'a Parts);

impl Plain<'_> {
    fn get(&self, name: &str) -> Vec<f64> {
        let tensors = self.0.tensors.iter();
        let (_, _, _, bytes) = tensors.clone().find(|(own, ..)| own == name).unwrap();
        let (chunks, _) = bytes.as_chunks::<4>();
        chunks
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect()
    }

    fn norm(&self, x: &[f64], name: &str) -> Vec<f64> {
        let gain = self.get(&format!("{name}.weight"));
        let bias = self.get(&format!("{name}.bias"));
        let n = 8.0;
        let mean = x.iter().sum::<f64>() / n;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let scaled = x.iter().map(|v| (v - mean) / (var + 1e-12).sqrt());
        let affine = gain.iter().zip(&bias);
        scaled.zip(affine).map(|(v, (g, b))| v * g + b).collect()
    }

    fn linear(&self, x: &[f64], name: &str) -> Vec<f64> {
        let weight = self.get(&format!("{name}.weight"));
        let bias = self.get(&format!("{name}.bias"));
        let rows = weight.chunks(x.len()).zip(&bias);
        let dot = |row: &[f64]| row.iter().zip(x).map(|(w, v)| w * v).sum::<f64>();
        rows.map(|(row, b)| dot(row) + b).collect()
    }

    fn embedded(&self, tokens: &[usize]) -> Vec<Vec<f64>> {
        let words = self.get("embeddings.word_embeddings.weight");
        let places = self.get("embeddings.position_embeddings.weight");
        let kinds = self.get("embeddings.token_type_embeddings.weight");
        let one = |(p, &token): (usize, &usize)| {
            let cell = |c| words[token * WIDTH + c] + places[p * WIDTH + c] + kinds[c];
            let sum: Vec<f64> = (0..WIDTH).map(cell).collect();
            self.norm(&sum, "embeddings.LayerNorm")
        };
        tokens.iter().enumerate().map(one).collect()
    }

    /// What attention gives at position `p`, before the output matrix.
    fn mixed(&self, x: &[Vec<f64>], p: usize, name: &str) -> Vec<f64> {
        let all = |part: &str| -> Vec<Vec<f64>> {
            let name = format!("{name}.attention.self.{part}");
            x.iter().map(|x| self.linear(x, &name)).collect()
        };
        let (q, k, v) = (all("query"), all("key"), all("value"));
        let mut mixed = vec![0.0; WIDTH];
        for head in 0..2 {
            let cells = head * 4..head * 4 + 4;
            let dot = |k: &Vec<f64>| cells.clone().map(|c| q[p][c] * k[c]).sum::<f64>() / 2.0;
            let weights: Vec<f64> = k.iter().map(|k| dot(k).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (weight, v) in weights.iter().zip(&v) {
                for c in cells.clone() {
                    mixed[c] += weight / total * v[c];
                }
            }
        }
        mixed
    }

    fn block(&self, x: &[Vec<f64>], number: usize) -> Vec<Vec<f64>> {
        let name = format!("encoder.layer.{number}");
        let part = |part: &str| format!("{name}.{part}");
        let sum =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
        let one = |p: usize| {
            let out = self.linear(&self.mixed(x, p, &name), &part("attention.output.dense"));
            let h = self.norm(&sum(&out, &x[p]), &part("attention.output.LayerNorm"));
            let up = self.linear(&h, &part("intermediate.dense"));
            let up: Vec<f64> = up
                .iter()
                .map(|&u| 0.5 * u * (1.0 + erf(u / 2.0_f64.sqrt())))
                .collect();
            let down = self.linear(&up, &part("output.dense"));
            self.norm(&sum(&down, &h), &part("output.LayerNorm"))
        };
        (0..x.len()).map(one).collect()
    }
}

/// Of steps between 0 and x: enough for what is compared here.
fn erf(x: f64) -> f64 {
    let (n, h) = (2000, x / 2000.0);
    let sum: f64 = (0..n)
        .map(|i| (-((f64::from(i) + 0.5) * h).powi(2)).exp())
        .sum();
    sum * h * 2.0 / std::f64::consts::PI.sqrt()
}

fn plainly(parts: &Parts, tokens: &[usize], first: bool) -> Vec<f64> {
    let plain = Plain(parts);
    let mut x = plain.embedded(tokens);
    for number in 0..2 {
        x = plain.block(&x, number);
    }
    if first {
        return x[0].clone();
    }
    let count = f64::from(u16::try_from(tokens.len()).unwrap());
    let mean = |c: usize| x.iter().map(|x| x[c]).sum::<f64>() / count;
    let mean: Vec<f64> = (0..WIDTH).map(mean).collect();
    let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
    mean.iter().map(|v| v / length).collect()
}

#[test]
fn the_graph_computes_what_the_model_does() {
    let mut parts = Parts::new();
    let tokens = [2_usize, 4, 6, 5, 7, 8, 3];
    let ids: Vec<u32> = tokens.iter().map(|&t| u32::try_from(t).unwrap()).collect();
    let check = |parts: &Parts, first| {
        let graph = encoder_graph(&parts.folder()).unwrap();
        let got = EncoderRun::new(&graph).embedding(&ids).unwrap();
        for (a, b) in got.iter().zip(plainly(parts, &tokens, first)) {
            assert!((f64::from(*a) - b).abs() < 2e-5, "{a} and {b}");
        }
    };
    check(&parts, false);
    parts.pooling.as_mut().unwrap()["pooling_mode_mean_tokens"] = false.into();
    parts.pooling.as_mut().unwrap()["pooling_mode_cls_token"] = true.into();
    parts
        .modules
        .as_mut()
        .unwrap()
        .as_array_mut()
        .unwrap()
        .pop();
    let graph = encoder_graph(&parts.folder()).unwrap();
    assert_eq!((graph.pooling, graph.normalised), (Pooling::First, false));
    check(&parts, true);
}

#[test]
fn older_spellings_are_read_alike() {
    let parts = Parts::new();
    let tokens = [2, 4, 3];
    let run = |parts: &Parts| {
        let graph = encoder_graph(&parts.folder()).unwrap();
        EncoderRun::new(&graph).embedding(&tokens).unwrap()
    };
    let expected = run(&parts);
    let mut old = parts.clone();
    for (name, ..) in &mut old.tensors {
        *name = format!("bert.{name}");
        if name.contains("LayerNorm") {
            *name = name.replace("weight", "gamma").replace("bias", "beta");
        }
    }
    assert_eq!(run(&old), expected);
    let mut processed = parts.clone();
    processed.tokenizer["post_processor"] =
        json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
    assert_eq!(run(&processed), expected);
    // Half the bits: bfloat16 by cutting.
    let mut short = parts;
    for (name, _, dtype, bytes) in &mut short.tensors {
        if name.ends_with("dense.weight") {
            *dtype = Dtype::BF16;
            let (cells, _) = bytes.as_chunks::<4>();
            *bytes = cells.iter().flat_map(|cell| [cell[2], cell[3]]).collect();
        }
    }
    for (a, b) in run(&short).iter().zip(&expected) {
        assert!((a - b).abs() < 0.05, "{a} and {b}");
    }
}

fn refused(change: impl Fn(&mut Parts)) -> String {
    let mut parts = Parts::new();
    assert!(encoder_graph(&parts.folder()).is_ok());
    change(&mut parts);
    let error = encoder_graph(&parts.folder()).unwrap_err();
    format!("{error}: {error:?}")
}

#[test]
fn what_changes_the_computation_and_is_not_known_is_refused_by_name() {
    type Case = (&'static str, fn(&mut Parts));
    let cases: [Case; 22] = [
        ("`roberta`", |p| p.config["model_type"] = "roberta".into()),
        ("relative_key", |p| {
            p.config["position_embedding_type"] = "relative_key".into()
        }),
        ("encoders", |p| p.config["is_decoder"] = true.into()),
        ("`relu`", |p| p.config["hidden_act"] = "relu".into()),
        ("at most 1,024", |p| {
            p.config["num_hidden_layers"] = 1025.into()
        }),
        ("of: 3", |p| p.config["num_attention_heads"] = 3.into()),
        ("epsilon", |p| p.config["layer_norm_eps"] = 0.0.into()),
        ("`modules.json`", |p| p.modules = None),
        ("`1_Pooling/config.json`", |p| p.pooling = None),
        ("Dense", |p| {
            p.modules.as_mut().unwrap()[2]["type"] = "models.Dense".into()
        }),
        ("pooling_mode_max_tokens", |p| {
            p.pooling.as_mut().unwrap()["pooling_mode_max_tokens"] = true.into()
        }),
        ("the width", |p| {
            p.pooling.as_mut().unwrap()["word_embedding_dimension"] = 9.into()
        }),
        ("`Unigram`", |p| {
            p.tokenizer["model"]["type"] = "Unigram".into()
        }),
        ("`Lowercase`", |p| {
            p.tokenizer["normalizer"]["type"] = "Lowercase".into()
        }),
        ("clean_text", |p| {
            p.tokenizer["normalizer"]["clean_text"] = false.into()
        }),
        ("strip_accents", |p| {
            p.tokenizer["normalizer"]["strip_accents"] = false.into()
        }),
        ("`Whitespace`", |p| {
            p.tokenizer["pre_tokenizer"]["type"] = "Whitespace".into()
        }),
        ("the processor", |p| {
            p.tokenizer["post_processor"] = Value::Null
        }),
        ("`50`", |p| {
            p.tokenizer["model"]["max_input_chars_per_word"] = 50.into()
        }),
        ("id 8", |p| p.tokenizer["model"]["vocab"]["!"] = 77.into()),
        ("two models", |p| p.config["vocab_size"] = 10.into()),
        ("[CLS]", |p| {
            p.tokenizer["model"]["vocab"]
                .as_object_mut()
                .unwrap()
                .remove("[CLS]");
        }),
    ];
    for (words, change) in cases {
        let got = refused(change);
        assert!(got.contains(words), "{words}: {got}");
    }
}

#[test]
fn tensors_are_all_there_and_no_others() {
    let name = "encoder.layer.1.output.dense.weight";
    let missing = refused(|p| p.tensors.retain(|(own, ..)| own != name));
    assert!(missing.contains(name), "{missing}");
    let extra = refused(|p| p.tensors.push(tensor("encoder.layer.2.extra", &[3], 0.0)));
    assert!(extra.contains("encoder.layer.2.extra"), "{extra}");
    let turned = refused(|p| p.find(name).1 = vec![HIDDEN, WIDTH]);
    assert!(turned.contains("rows"), "{turned}");
    let flat = refused(|p| p.find(name).1 = vec![HIDDEN * WIDTH]);
    assert!(flat.contains("2 axes"), "{flat}");
    let kind = refused(|p| p.find(name).2 = Dtype::I32);
    assert!(kind.contains("I32"), "{kind}");
    let infinite = refused(|p| {
        let name = "embeddings.LayerNorm.bias";
        p.find(name).3[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    });
    assert!(infinite.contains("inf"), "{infinite}");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let parts = Parts::new();
    let whole = parts.weights();
    for len in (0..whole.len())
        .step_by(97)
        .chain(whole.len() - 9..whole.len())
    {
        let mut folder = parts.folder();
        folder.weights = Arc::new(whole[..len].to_vec());
        assert!(encoder_graph(&folder).is_err(), "{len} bytes");
    }
    let mut folder = parts.folder();
    folder.weights = Arc::new([whole, vec![0]].concat());
    assert!(encoder_graph(&folder).is_err());
    for (name, file) in [("config", 0), ("tokenizer", 1)] {
        let mut folder = parts.folder();
        let bytes = if file == 0 {
            &mut folder.config
        } else {
            &mut folder.tokenizer
        };
        bytes.pop();
        assert!(encoder_graph(&folder).is_err(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn flipped_bytes_never_panic(at in any::<proptest::sample::Index>(), to in any::<u8>(), which in 0..5_usize) {
        let mut folder = Parts::new().folder();
        let mut weights = (*folder.weights).as_ref().to_vec();
        let bytes = match which {
            0 => &mut folder.config,
            1 => &mut folder.tokenizer,
            2 => folder.modules.as_mut().unwrap(),
            3 => folder.pooling.as_mut().unwrap(),
            _ => &mut weights,
        };
        let place = at.index(bytes.len().min(4000));
        bytes[place] = to;
        folder.weights = Arc::new(weights);
        drop(encoder_graph(&folder).map(|graph| EncoderRun::new(&graph).embedding(&[2, 3])));
    }
}
