//! The model formats that can be imported.

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
}
