//! Why an ONNX file is refused. Each message names the node or tensor, and the remedy where there is one.

use credence_import::{EnsembleError, GraphError};

/// A file that is no model this version takes.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// Longer than the caller allows.
    #[error("the file has {got} bytes; at most {max} are read")]
    TooLong {
        /// Bytes of the file.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not a protobuf message of ONNX's schema.
    #[error("the file is not ONNX, or is cut short or damaged")]
    Protobuf(#[source] prost::DecodeError),
    /// Some part of ONNX that this version has no use for.
    #[error("{what} `{name}`: {feature} is not supported; {remedy}")]
    Unsupported {
        /// What has the part.
        what: &'static str,
        /// Its name.
        name: String,
        /// The part.
        feature: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// An operator that this version does not import.
    #[error("node `{node}`: operator `{op}` is not supported; supported are {supported}")]
    Operator {
        /// The node.
        node: String,
        /// The operator, with its domain unless that is ONNX's own.
        op: String,
        /// All that are supported.
        supported: String,
    },
    /// The operator set is too old, too new, or of an unknown domain.
    #[error(
        "the file needs operator set {got} of domain `{domain}`; supported are {min} to {max}: convert it with `onnx.version_converter`"
    )]
    Opset {
        /// The domain.
        domain: String,
        /// The version the file asks for.
        got: i64,
        /// Oldest supported.
        min: i64,
        /// Newest supported.
        max: i64,
    },
    /// An attribute is missing, unknown, doubled, or has a value that is not supported.
    #[error("node `{node}` ({op}): attribute `{attribute}` must be {expected}, but is {got}")]
    Attribute {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The attribute.
        attribute: String,
        /// What is supported.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// An operand is missing or of a kind that is not supported.
    #[error("node `{node}` ({op}): operand {index} must be {expected}, but is {got}")]
    Operand {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// Which operand, from 0.
        index: usize,
        /// What is supported.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// A constant holds NaN or an infinity.
    #[error(
        "tensor `{tensor}`, which node `{node}` reads, has {got} at element {element}: repair the model before importing it"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Index of the element, row-major.
        element: usize,
        /// The element.
        got: f32,
        /// The node that reads it.
        node: String,
    },
    /// A node reads a name that nothing before it makes: a cycle, a wrong order, or an input that is not declared.
    #[error(
        "node `{node}` reads `{name}`, which no earlier node, input or initializer makes: the graph has a cycle, is out of order, or misses an input"
    )]
    Unknown {
        /// The node, or output.
        node: String,
        /// The name.
        name: String,
    },
    /// The constants that nodes make have too many elements together.
    #[error(
        "with `{name}` the constants that nodes compute have more than {max} elements beyond the file's own: simplify the model before importing it"
    )]
    Constants {
        /// The constant with which it is too much.
        name: String,
        /// Most elements.
        max: usize,
    },
    /// A name is made twice.
    #[error("the name `{name}` is made twice")]
    Doubled {
        /// The name.
        name: String,
    },
    /// An input or output has a type or shape that is not supported.
    #[error("{what} `{name}` must be {expected}, but is {got}")]
    Port {
        /// Input or output.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is supported.
        expected: &'static str,
        /// What the file has.
        got: String,
    },
    /// A size was given for a dimension that no input has.
    #[error(
        "no input has a symbolic dimension `{name}`: name it as the file does, or as `input.axis` with the batch as axis 0"
    )]
    Dimension {
        /// The name given.
        name: String,
    },
    /// A constant tensor cannot be read.
    #[error("tensor `{name}`: {what} must be {expected}, but is {got}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Which part of it.
        what: &'static str,
        /// What is supported.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// Decision trees that are none.
    #[error("node `{node}` has trees that are not sound")]
    Trees {
        /// The node.
        node: String,
        /// What is wrong.
        #[source]
        source: EnsembleError,
    },
    /// The graph does not fit together.
    #[error("the model is not sound")]
    Graph(#[from] GraphError),
}
