//! The model formats that can be imported.

use credence_format_gguf::{Gguf, GgufError, language_graph};
use credence_format_onnx::reference::{ReferenceError, Runner};
use credence_format_onnx::{Onnx, OnnxError};
use credence_format_safetensors::{SafetensorsError, encoder_graph};
use credence_import::language::{EncoderGraph, LanguageGraph};
use credence_import::{Graph, Tensors};

pub use credence_format_gguf::Bytes;
pub use credence_format_safetensors::{
    CONFIG_FILE, Folder, JSON_BYTES_MAX, MODULES_FILE, POOLING_FILE, TOKENIZER_FILE,
    WEIGHTS_BYTES_MAX, WEIGHTS_FILE,
};

/// Longest GGUF file that is read, in bytes. It is mapped, not held.
const GGUF_BYTES_MAX: usize = 1 << 36;

/// A format of model files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ONNX, by protobuf: models of tensors.
    Onnx,
    /// GGUF: language models.
    Gguf,
}

/// A file of no known format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`.{got}` is no model format that can be imported; `.onnx` and `.gguf` are")]
pub struct UnknownFormat {
    /// The end of the file's name, which may be empty.
    pub got: String,
}

/// A file that its format does not take.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// As ONNX.
    #[error("the ONNX file is refused")]
    Onnx(#[from] OnnxError),
    /// As GGUF.
    #[error("the GGUF file is refused")]
    Gguf(#[from] GgufError),
    /// As a folder of Hugging Face's.
    #[error("the folder is refused")]
    Folder(#[from] SafetensorsError),
}

/// A float model, read from a file of any format.
#[derive(Debug)]
pub enum FloatModel {
    /// Takes tensors.
    Tensors(TensorModel),
    /// Takes tokens.
    Language(Box<LanguageGraph>),
}

/// A float model of tensors, with an engine that can run it.
#[derive(Debug)]
pub enum TensorModel {
    /// From ONNX.
    Onnx(Box<Onnx>),
}

impl Format {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Onnx, Self::Gguf];

    /// The end of its files' names.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Gguf => "gguf",
        }
    }

    /// The longest file that is read, in bytes.
    #[must_use]
    pub const fn file_bytes_max(self) -> usize {
        match self {
            Self::Onnx => credence_format_onnx::FILE_BYTES_MAX,
            Self::Gguf => GGUF_BYTES_MAX,
        }
    }

    /// Reads a file of this format. A language model keeps `bytes`, and reads its weights there when they are asked for.
    ///
    /// # Errors
    /// [`ParseError`], naming the node, tensor or setting.
    pub fn parse(self, bytes: Bytes) -> Result<FloatModel, ParseError> {
        self.parse_with(bytes, &[])
    }

    /// As [`Self::parse`], with sizes for the symbolic dimensions of a model of tensors, by name or as `input.axis`.
    ///
    /// # Errors
    /// As [`Self::parse`]; also for a name that no input has.
    pub fn parse_with(
        self,
        bytes: Bytes,
        dims: &[(String, usize)],
    ) -> Result<FloatModel, ParseError> {
        match self {
            Self::Onnx => {
                let bytes_max = self.file_bytes_max();
                let limits = credence_format_onnx::Limits { bytes_max };
                let onnx = Onnx::parse_with((*bytes).as_ref(), limits, dims)?;
                Ok(FloatModel::Tensors(TensorModel::Onnx(Box::new(onnx))))
            }
            Self::Gguf => {
                let gguf = Gguf::parse(bytes, &credence_format_gguf::Limits::MODELS)?;
                Ok(FloatModel::Language(Box::new(language_graph(&gguf)?)))
            }
        }
    }
}

impl TensorModel {
    /// The graph for the importer.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        match self {
            Self::Onnx(onnx) => onnx.graph(),
        }
    }

    /// What was left out or taken to mean something, one sentence each, for people.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Onnx(onnx) => onnx.notes(),
        }
    }

    /// What an importer notes about where the graph came from.
    #[must_use]
    pub fn source(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Onnx(onnx) => onnx.source(),
        }
    }

    /// Runs the float model by an engine that shares nothing with the importer.
    ///
    /// # Errors
    /// [`ReferenceError`] when that engine cannot run it; nothing is wrong with the model then.
    pub fn float_outputs(&self, inputs: &Tensors) -> Result<Tensors, ReferenceError> {
        match self {
            Self::Onnx(onnx) => Runner::new(onnx)?.run(inputs),
        }
    }
}

/// Reads a folder as Hugging Face keeps models, of an encoder.
///
/// # Errors
/// [`ParseError::Folder`], naming the file and the setting or tensor.
pub fn parse_folder(folder: &Folder) -> Result<EncoderGraph, ParseError> {
    Ok(encoder_graph(folder)?)
}

/// The format that the end of a file's name says. ONNX has no magic number: its files are bare protobuf.
///
/// # Errors
/// [`UnknownFormat`].
pub fn format_of(extension: &str) -> Result<Format, UnknownFormat> {
    let wanted = extension.to_ascii_lowercase();
    let found = Format::ALL
        .iter()
        .find(|format| format.extension() == wanted);
    found.copied().ok_or_else(|| UnknownFormat {
        got: extension.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_extension_decides() {
        for (text, format) in [("onnx", Format::Onnx), ("GGUF", Format::Gguf)] {
            assert_eq!(format_of(text), Ok(format));
        }
        for other in ["", "ggml", "onnx2"] {
            let error = format_of(other).unwrap_err().to_string();
            assert!(error.contains("`.onnx` and `.gguf`"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        for format in Format::ALL {
            assert!(format.parse(Arc::new(vec![0xff; 64])).is_err());
            assert!(format.parse(Arc::new(Vec::new())).is_err());
        }
    }
}
