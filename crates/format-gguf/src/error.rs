//! Why a GGUF file is refused. Each message names the place, tensor or setting, and the remedy where there is one.

use credence_import::language::LanguageError;

/// A file that is no model this version takes.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The first bytes are those of something else.
    #[error("the file does not begin with `GGUF`: it is another format, or damaged")]
    Magic,
    /// A version that this one does not read.
    #[error(
        "the file is GGUF version {got}; versions 2 and 3 are read: convert it anew with a current converter"
    )]
    Version {
        /// The file's.
        got: u32,
    },
    /// Numbers are in the other byte order.
    #[error("the file is big-endian; convert it with `gguf-convert-endian FILE little`")]
    BigEndian,
    /// The file ends in the middle of something.
    #[error("the file is cut short: {what} at byte {at} needs {needed} bytes, but {left} are left")]
    Short {
        /// What is being read.
        what: &'static str,
        /// Where it begins.
        at: usize,
        /// Bytes it needs.
        needed: u64,
        /// Bytes left.
        left: usize,
    },
    /// More of something than the caller allows.
    #[error("{what} at byte {at} is {got}; at most {max} are read")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// Where the count stands.
        at: usize,
        /// The count.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// A string is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    Utf8 {
        /// What is being read.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A name is empty.
    #[error("{what} at byte {at} is empty")]
    Empty {
        /// What is being read.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A value type that GGUF does not have.
    #[error("the value at byte {at} has type {got}; GGUF has types 0 to 12")]
    ValueType {
        /// Where the type stands.
        at: usize,
        /// The type.
        got: u32,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("the truth value at byte {at} is {got}, but must be 0 or 1")]
    Truth {
        /// Where it stands.
        at: usize,
        /// The byte.
        got: u8,
    },
    /// A key or tensor is there twice.
    #[error("{what} `{name}` is there twice")]
    Doubled {
        /// A key or a tensor.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A tensor's element type is not supported.
    #[error(
        "tensor `{tensor}` has elements of type {got}; supported are {supported}: quantise the model to one of these"
    )]
    Kind {
        /// The tensor.
        tensor: String,
        /// Its type, by name if it has one.
        got: String,
        /// All that are supported.
        supported: String,
    },
    /// A tensor's number of dimensions.
    #[error("tensor `{tensor}` has {got} dimensions; 1 to 4 are supported")]
    Rank {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        got: u32,
    },
    /// A tensor's size is zero, or no size at all.
    #[error(
        "tensor `{tensor}` has dimensions {got:?}, whose product must be positive and a size in memory"
    )]
    Size {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        got: Vec<u64>,
    },
    /// Rows do not consist of whole blocks.
    #[error(
        "tensor `{tensor}` has rows of {got} elements; type {kind} needs a multiple of {block}"
    )]
    Block {
        /// The tensor.
        tensor: String,
        /// Its type.
        kind: &'static str,
        /// Elements of a block.
        block: usize,
        /// Elements of a row.
        got: usize,
    },
    /// A tensor does not begin where the one before ends.
    #[error(
        "tensor `{tensor}` begins at offset {got} of the data, but {expected} is where the tensors before it end"
    )]
    Offset {
        /// The tensor.
        tensor: String,
        /// Where it must begin.
        expected: u64,
        /// Where it begins.
        got: u64,
    },
    /// A tensor reaches beyond the file.
    #[error("tensor `{tensor}` ends at byte {end}, but the file has {length}: it is cut short")]
    PastEnd {
        /// The tensor.
        tensor: String,
        /// Where it ends.
        end: u64,
        /// Bytes of the file.
        length: usize,
    },
    /// Padding holds something.
    #[error("byte {at} is padding and must be 0, but is {got}")]
    Padding {
        /// Where it stands.
        at: usize,
        /// The byte.
        got: u8,
    },
    /// Something follows the last tensor.
    #[error("the file has {got} bytes, but its tensors end at {expected}")]
    Trailing {
        /// Where the file must end.
        expected: usize,
        /// Where it ends.
        got: usize,
    },
    /// A setting is not there.
    #[error("the setting `{key}` is missing")]
    Missing {
        /// The setting.
        key: String,
    },
    /// A setting is of another type, or has a value that is not supported.
    #[error("the setting `{key}` must be {expected}, but is {got}")]
    Setting {
        /// The setting.
        key: String,
        /// What is supported.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// Settings of the architecture or the tokenizer that could change what the model computes.
    #[error(
        "the setting `{key}` is not known to this version, and could change what the model computes"
    )]
    UnknownSetting {
        /// The setting.
        key: String,
    },
    /// An architecture that is not supported.
    #[error("architecture `{got}` is not supported; supported are {supported}")]
    Architecture {
        /// The file's.
        got: String,
        /// All that are supported.
        supported: String,
    },
    /// A tensor is not there.
    #[error("the tensor `{tensor}` is missing")]
    MissingTensor {
        /// The tensor.
        tensor: String,
    },
    /// A tensor that the architecture has no use for.
    #[error(
        "the tensor `{tensor}` is not part of architecture `{architecture}` as this version knows it"
    )]
    UnknownTensor {
        /// The tensor.
        tensor: String,
        /// The architecture.
        architecture: String,
    },
    /// A tensor of another shape.
    #[error("the tensor `{tensor}` must have dimensions {expected:?}, but has {got:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// What it must have.
        expected: Vec<usize>,
        /// What it has.
        got: Vec<usize>,
    },
    /// The parts do not make a model.
    #[error("the model is not sound")]
    Graph(#[from] LanguageError),
}
