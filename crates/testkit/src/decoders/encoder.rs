//! The target of Hugging Face folders: four files of JSON, each behind its length, and the weights.

use std::sync::Arc;

use credence_format_safetensors::{Folder, encoder_graph};
use serde_json::{Value, json};

use super::Target;

pub(super) const FOLDER: Target = Target {
    name: "encoder_folder",
    seeds: || vec![seed()],
    run: |bytes| {
        let folder = parts(bytes);
        folder.is_some_and(|folder| encoder_graph(&folder).is_ok())
    },
};

/// Takes a part off the front: its length as a `u32`, little-endian, and so many bytes.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (own, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(own)
}

fn parts(mut bytes: &[u8]) -> Option<Folder> {
    let rest = &mut bytes;
    Some(Folder {
        config: part(rest)?.to_vec(),
        tokenizer: part(rest)?.to_vec(),
        modules: Some(part(rest)?.to_vec()),
        pooling: Some(part(rest)?.to_vec()),
        weights: Arc::new(rest.to_vec()),
    })
}

/// An honest folder: one block of width 4.
fn seed() -> Vec<u8> {
    let pieces = ["[UNK]", "[CLS]", "[SEP]", "a", "##b"];
    let vocab = pieces.iter().enumerate();
    let vocab: serde_json::Map<String, Value> = vocab
        .map(|(id, piece)| ((*piece).to_owned(), json!(id)))
        .collect();
    let config = json!({
        "model_type": "bert", "vocab_size": 5, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
        "max_position_embeddings": 3, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    });
    let tokenizer = json!({
        "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": vocab},
    });
    let modules = json!([{"type": "Transformer"}, {"type": "Pooling"}, {"type": "Normalize"}]);
    let pooling = json!({"word_embedding_dimension": 4, "pooling_mode_mean_tokens": true});
    let mut bytes = Vec::new();
    for file in [config, tokenizer, modules, pooling] {
        let text = file.to_string();
        bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.into_bytes());
    }
    bytes.extend(weights());
    bytes
}

/// Tensors of ones, in the order of their names.
fn weights() -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    for (name, rows) in [("word", 5), ("position", 3), ("token_type", 1)] {
        shapes.push((
            format!("embeddings.{name}_embeddings.weight"),
            vec![rows, 4],
        ));
    }
    for part in ["weight", "bias"] {
        shapes.push((format!("embeddings.LayerNorm.{part}"), vec![4]));
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
            shapes.push((format!("encoder.layer.0.{name}.{part}"), vec![4]));
        }
        for name in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
        ] {
            let shape = if part == "bias" { vec![4] } else { vec![4, 4] };
            shapes.push((format!("encoder.layer.0.{name}.{part}"), shape));
        }
    }
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let end = at + 4 * shape.iter().product::<usize>();
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]});
        header.insert(name, tensor);
        at = end;
    }
    let header = Value::Object(header).to_string();
    let mut bytes = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(1.0_f32.to_le_bytes().repeat(at / 4));
    bytes
}
