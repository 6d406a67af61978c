//! Why a request is not run, and why an engine is not made.

use credence_exact::cell::CellError;
use credence_model::{BorderType, BorderValueError, TensorError};

use crate::Isa;

/// A request that does not fit its model, or a fault of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// An input of the model is absent from the request.
    #[error("input `{name}` is missing: the model takes {expected:?}")]
    MissingInput {
        /// The absent input.
        name: String,
        /// All inputs of the model.
        expected: Vec<String>,
    },
    /// A tensor of the request is no input of the model.
    #[error("`{name}` is not an input: the model takes {expected:?}")]
    UnknownInput {
        /// The tensor.
        name: String,
        /// All inputs of the model.
        expected: Vec<String>,
    },
    /// An input of another element type.
    #[error("input `{name}` takes {expected:?}, but is {got:?}: convert its elements")]
    Type {
        /// The input.
        name: String,
        /// The model's type.
        expected: BorderType,
        /// The request's.
        got: BorderType,
    },
    /// An input of another shape.
    #[error(
        "input `{name}` takes a batch of shape {expected:?}, but has shape {got:?}: the first axis is the batch"
    )]
    Shape {
        /// The input.
        name: String,
        /// Shape of one position, without the batch.
        expected: Vec<u32>,
        /// The request's shape.
        got: Vec<u64>,
    },
    /// Two inputs disagree about the number of positions.
    #[error("input `{name}` has a batch of {got}, but the first input has {expected}")]
    Batch {
        /// The input.
        name: String,
        /// Batch of the first input.
        expected: u64,
        /// Batch of this one.
        got: u64,
    },
    /// A batch of none.
    #[error("the batch is empty: send at least one item")]
    Empty,
    /// The trace of this batch would be too large.
    #[error("a batch of {got} is too large for this model: send at most {max} at once")]
    TooLarge {
        /// Positions asked for.
        got: u64,
        /// Most positions at once.
        max: u64,
    },
    /// An element that has no integer.
    #[error("input `{name}` cannot be encoded")]
    Value {
        /// The input.
        name: String,
        /// Which element, and why.
        #[source]
        source: BorderValueError,
    },
    /// A cell of a checked model has no value: a fault of this program.
    #[error("node `{node}`, cell {index}: a checked program gave an error; please report this")]
    Cell {
        /// The node.
        node: String,
        /// The cell.
        index: usize,
        /// The error.
        #[source]
        source: CellError,
    },
    /// The answer is not what tensors can hold: a fault of this program.
    #[error("the answer cannot be put into tensors; please report this")]
    Answer(#[from] TensorError),
}

/// Why there is no engine for a model.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The machine lacks the instruction set.
    #[error("this machine has no {got}; it has {available:?}")]
    Isa {
        /// The one asked for.
        got: Isa,
        /// Those it has.
        available: Vec<Isa>,
    },
    /// The threads cannot be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The system's reason.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// The program breaks a rule that a checked program keeps: a fault of this program.
    #[error("node `{node}` cannot be planned: {reason}; please report this")]
    Node {
        /// The node.
        node: String,
        /// The rule.
        reason: &'static str,
    },
}
