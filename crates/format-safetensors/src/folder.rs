//! The files of a folder, and the graph they make together.

use std::sync::Arc;

use credence_import::language::{EncoderGraph, EncoderParts};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::error::SafetensorsError;
use crate::weights::Weights;
use crate::{pooling, tokenizer};

/// Whoever owns the weights' bytes: a vector, or a map of the file. It must give the same bytes each time.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Longest file of JSON that is read, in bytes.
pub const JSON_BYTES_MAX: usize = 64 << 20;
/// Longest file of weights that is read, in bytes. It is mapped, not held.
pub const WEIGHTS_BYTES_MAX: usize = 1 << 33;
/// Sizes and functions.
pub const CONFIG_FILE: &str = "config.json";
/// The vocabulary.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The steps of the model.
pub const MODULES_FILE: &str = "modules.json";
/// How vectors become one.
pub const POOLING_FILE: &str = "1_Pooling/config.json";
/// The weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// The files of a folder that are read.
#[derive(Clone)]
pub struct Folder {
    /// Of [`CONFIG_FILE`].
    pub config: Vec<u8>,
    /// Of [`TOKENIZER_FILE`].
    pub tokenizer: Vec<u8>,
    /// Of [`MODULES_FILE`], if it is there.
    pub modules: Option<Vec<u8>>,
    /// Of [`POOLING_FILE`], if it is there.
    pub pooling: Option<Vec<u8>>,
    /// Of [`WEIGHTS_FILE`].
    pub weights: Bytes,
}

impl core::fmt::Debug for Folder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let bytes = (*self.weights).as_ref().len();
        write!(f, "Folder({bytes} bytes of weights)")
    }
}

/// Reads one file of JSON.
pub(crate) fn json<T: DeserializeOwned>(
    file: &'static str,
    bytes: &[u8],
) -> Result<T, SafetensorsError> {
    let (got, max) = (bytes.len(), JSON_BYTES_MAX);
    if got > max {
        return Err(SafetensorsError::TooLong { file, got, max });
    }
    serde_json::from_slice(bytes).map_err(|source| SafetensorsError::Json { file, source })
}

/// The graph that a folder's files make.
///
/// # Errors
/// [`SafetensorsError`], naming the file and the setting or tensor.
pub fn encoder_graph(folder: &Folder) -> Result<EncoderGraph, SafetensorsError> {
    let (got, max) = ((*folder.weights).as_ref().len(), WEIGHTS_BYTES_MAX);
    if got > max {
        let file = WEIGHTS_FILE;
        return Err(SafetensorsError::TooLong { file, got, max });
    }
    let config = Config::read(&folder.config)?;
    let (modules, pooling) = (folder.modules.as_deref(), folder.pooling.as_deref());
    let (pooling, normalised) = pooling::read(modules, pooling, config.width)?;
    let (text, got) = tokenizer::read(&folder.tokenizer)?;
    let expected = config.vocabulary;
    if got != expected {
        return Err(SafetensorsError::Sizes { expected, got });
    }
    let mut weights = Weights::read(Arc::clone(&folder.weights))?;
    let blocks = (0..config.blocks).map(|number| weights.block(number));
    let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
    let parts = EncoderParts {
        name: config.name,
        vocabulary: config.vocabulary,
        width: config.width,
        context: config.context,
        heads: config.heads,
        epsilon: config.epsilon,
        activation: config.activation,
        embedding: weights.rows("embeddings.word_embeddings.weight")?,
        positions: weights.rows("embeddings.position_embeddings.weight")?,
        kind: weights.first_row("embeddings.token_type_embeddings.weight")?,
        embedding_norm: weights.norm("embeddings.LayerNorm")?,
        blocks,
        pooling,
        normalised,
        text: text.bytes,
    };
    weights.finish()?;
    Ok(EncoderGraph::new(parts)?)
}
