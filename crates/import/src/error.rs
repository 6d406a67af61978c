//! Why a graph does not become a program. Each message names the node and, where there is one, the remedy.

use credence_model::{ModelError, TensorError};

use crate::evaluate::EvaluateError;

/// Why lowering a graph failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LowerError {
    /// A range is needed, but there is no calibration set.
    #[error(
        "the range of `{node}` is not known: a float model needs typical inputs to choose its scales; give some (`--calibrate inputs.npz`)"
    )]
    Uncalibrated {
        /// The node.
        node: String,
    },
    /// Trees compare something computed.
    #[error(
        "a tree ensemble reads `{node}` ({op}): trees are supported on the model's inputs alone, joined or reshaped at most; fold the step into the thresholds or apply it outside"
    )]
    TreesNeedInputs {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
    },
    /// An input feeds both trees and arithmetic.
    #[error(
        "input `{name}` is read both by trees and by arithmetic, which need different encodings; declare it twice under two names"
    )]
    MixedInput {
        /// The input.
        name: String,
    },
    /// Trees read float and integer inputs joined together.
    #[error(
        "tree ensemble `{node}` reads inputs of different element types joined together; declare them all FP32"
    )]
    MixedFeatures {
        /// The node.
        node: String,
    },
    /// Values too large for an output.
    #[error(
        "`{node}` holds values beyond 2^56, which no output can show; scale the model's outputs down"
    )]
    Magnitude {
        /// The node.
        node: String,
    },
    /// A ratio of scales that no multiplier and shift express.
    #[error(
        "`{node}` would rescale by {ratio:e}, which is outside 2^-46..2^30: the calibration set does not exercise it; give more varied inputs"
    )]
    Ratio {
        /// The node.
        node: String,
        /// Reals per step, before and after, divided.
        ratio: f64,
    },
    /// A value has too many axes for the arrangement an op needs.
    #[error("`{node}` needs its operand rearranged along more than 8 axes, which is not supported")]
    Axes {
        /// The node.
        node: String,
    },
    /// More nodes or parameters than indices.
    #[error("the program has more than 2^32 nodes or parameters")]
    Size,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The calibration set does not fit, or overflows the float model.
    #[error("the calibration set cannot be used")]
    Calibration(#[source] EvaluateError),
    /// The graph does not become a program.
    #[error("the model cannot be turned into an integer program")]
    Lower(#[from] LowerError),
    /// The program breaks a limit of the profile.
    #[error("the integer program is refused by its own checks")]
    Model(#[source] ModelError),
    /// An operand is read by an op in more cells than a relation may read.
    #[error(
        "one cell of `{node}` would read {got} values (counted in bytes), at most {max} are allowed: the layer is too wide for this version"
    )]
    TooWide {
        /// The node.
        node: String,
        /// What it reads.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// Tensors could not be made.
    #[error("the calibration set has no canonical form")]
    Tensors(#[from] TensorError),
}
