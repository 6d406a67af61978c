//! The model formats that can be imported.

use credence_format_onnx::reference::{ReferenceError, Runner};
use credence_format_onnx::{FILE_BYTES_MAX, Limits, Onnx, OnnxError};
use credence_import::{Graph, Tensors};

/// A format of model files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ONNX, by protobuf.
    Onnx,
}

/// A file of no known format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`.{got}` is no model format that can be imported; `.onnx` is")]
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
}

/// A float model, read from a file of any format.
#[derive(Debug)]
pub enum FloatModel {
    /// From ONNX.
    Onnx(Box<Onnx>),
}

impl Format {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Onnx];

    /// The end of its files' names.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
        }
    }

    /// The longest file that is read, in bytes.
    #[must_use]
    pub const fn file_bytes_max(self) -> usize {
        match self {
            Self::Onnx => FILE_BYTES_MAX,
        }
    }

    /// Reads a file of this format.
    ///
    /// # Errors
    /// [`ParseError`], naming the node or tensor.
    pub fn parse(self, bytes: &[u8]) -> Result<FloatModel, ParseError> {
        match self {
            Self::Onnx => {
                let bytes_max = self.file_bytes_max();
                let onnx = Onnx::parse(bytes, Limits { bytes_max })?;
                Ok(FloatModel::Onnx(Box::new(onnx)))
            }
        }
    }
}

impl FloatModel {
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
            Self::Onnx(onnx) => onnx.source().to_vec(),
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
    use super::*;

    #[test]
    fn the_extension_decides() {
        assert_eq!(format_of("onnx"), Ok(Format::Onnx));
        assert_eq!(format_of("ONNX"), Ok(Format::Onnx));
        for other in ["", "gguf", "onnx2"] {
            let error = format_of(other).unwrap_err().to_string();
            assert!(error.contains("`.onnx`"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        assert!(Format::Onnx.parse(&[0xff; 64]).is_err());
        assert!(Format::Onnx.parse(b"").is_err());
    }
}
