//! `config.json`: sizes and functions of a model of type `bert`.

use credence_import::language::Activation;
use serde::Deserialize;

use crate::error::{SafetensorsError, shown};
use crate::folder::{CONFIG_FILE, json};

/// What is read of it; everything else matters to training alone, or says again what the weights say.
#[derive(Deserialize)]
struct Wire {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f32,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(default)]
    add_cross_attention: bool,
    #[serde(default)]
    name_or_path: Option<String>,
    #[serde(default, rename = "_name_or_path")]
    old_name_or_path: Option<String>,
}

/// Sizes and functions.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) vocabulary: usize,
    pub(crate) width: usize,
    pub(crate) blocks: usize,
    pub(crate) heads: usize,
    pub(crate) context: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f32,
}

/// Most blocks: more than any model has, so that a number alone costs nothing.
const BLOCKS_MAX: usize = 1 << 10;

fn unsupported(what: &'static str, got: &str, known: &'static str) -> SafetensorsError {
    SafetensorsError::Unsupported {
        file: CONFIG_FILE,
        what,
        got: shown(got),
        known,
    }
}

impl Config {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SafetensorsError> {
        let wire: Wire = json(CONFIG_FILE, bytes)?;
        if wire.model_type != "bert" {
            return Err(unsupported("the model type", &wire.model_type, "`bert`"));
        }
        let positions = wire
            .position_embedding_type
            .as_deref()
            .unwrap_or("absolute");
        if positions != "absolute" {
            return Err(unsupported("positions of type", positions, "`absolute`"));
        }
        if wire.is_decoder || wire.add_cross_attention {
            return Err(unsupported("a", "decoder", "encoders"));
        }
        if wire.num_hidden_layers > BLOCKS_MAX {
            let got = wire.num_hidden_layers.to_string();
            return Err(unsupported("a number of layers,", &got, "at most 1,024"));
        }
        let activation = match wire.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "silu" | "swish" => Activation::Silu,
            got => {
                let known = "`gelu`, `gelu_new`, `gelu_pytorch_tanh` and `silu`";
                return Err(unsupported("the function", got, known));
            }
        };
        let name = wire.name_or_path.or(wire.old_name_or_path);
        Ok(Self {
            name: shown(&name.unwrap_or_else(|| "bert".to_owned())),
            vocabulary: wire.vocab_size,
            width: wire.hidden_size,
            blocks: wire.num_hidden_layers,
            heads: wire.num_attention_heads,
            context: wire.max_position_embeddings,
            activation,
            epsilon: wire.layer_norm_eps,
        })
    }
}
