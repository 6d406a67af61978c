//! The wire form of a program: what its canonical JSON says, before anything has been checked.
//!
//! A [`ProgramSpec`] is bytes turned into fields and no more. [`Program::check`](crate::Program::check) makes a
//! [`Program`](crate::Program) of it, which is what everything else takes.

use credence_exact::{Dtype, NodeId, Op};
use serde::{Deserialize, Serialize};

use crate::language::LanguageSpec;

/// A whole program. Its canonical JSON (RFC 8785) is the first section of the bytes under a `ModelId`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSpec {
    /// Always `exact-1`.
    pub profile: String,
    /// What a request brings, in order.
    pub inputs: Vec<InputSpec>,
    /// The integer tensors, in the order in which they stand in the model tree.
    pub params: Vec<ParamSpec>,
    /// The nodes in topological order: operands first.
    pub nodes: Vec<NodeSpec>,
    /// What an answer holds, in order.
    pub outputs: Vec<OutputSpec>,
    /// Present if positions are tokens that see those before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<LanguageSpec>,
}

impl ProgramSpec {
    /// Number of integers in all parameters, by their shapes.
    #[must_use]
    pub fn parameter_count(&self) -> u64 {
        let count = |p: &ParamSpec| {
            let dims = p.shape.iter().map(|&dim| u64::from(dim));
            dims.fold(1, u64::saturating_mul)
        };
        self.params.iter().map(count).fold(0, u64::saturating_add)
    }
}

/// Element types of tensors outside: in requests and answers. Names as in the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BorderType {
    /// IEEE 754 binary32.
    #[serde(rename = "FP32")]
    Fp32,
    /// 32-bit two's complement.
    #[serde(rename = "INT32")]
    Int32,
    /// 64-bit two's complement.
    #[serde(rename = "INT64")]
    Int64,
}

/// One input: `[batch, shape…]` outside, `shape` for one position inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Its name, as in the file that was imported.
    pub name: String,
    /// Element type outside.
    pub dtype: BorderType,
    /// Shape of one position **outside**, row-major.
    pub shape: Vec<u32>,
    /// From an outside element to an integer.
    pub encode: Encode,
}

/// How one element becomes an integer (`docs/spec/arithmetic.md`, section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Encode {
    /// `clamp(⌊x·multiplier·2^−shift + ½⌋, min, max)`, exactly, for finite FP32 x.
    Quantise {
        /// `1 ..= 2²⁴ − 1`.
        multiplier: i32,
        /// `−126 ..= 126`.
        shift: i32,
        /// Lower end of the clamp.
        min: i32,
        /// Upper end of the clamp.
        max: i32,
    },
    /// The i32 that orders FP32 values as they are ordered, −0 as +0; NaN is refused.
    OrderKey {},
    /// The INT32 or INT64 value itself, refused outside `min ..= max`.
    Integer {
        /// Smallest value taken.
        min: i32,
        /// Largest value taken.
        max: i32,
    },
}

/// One integer tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// A name that is unique in the program; the tensor's key in the safetensors file.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Shape; a *row* is everything behind the first axis.
    pub shape: Vec<u32>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Where it came from, for people; unique in the program.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Element type of its cells.
    pub dtype: Dtype,
    /// Whether its cells stand in the trace.
    pub cut: bool,
}

/// One output: `[batch, shape…]` outside, the shape being the node's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// Its name, as in the file that was imported.
    pub name: String,
    /// The node whose cells it shows; a cut node.
    pub node: NodeId,
    /// From an integer to an outside element.
    pub decode: Decode,
}

/// How an integer becomes an outside element (`docs/spec/arithmetic.md`, section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Decode {
    /// FP32 nearest to `q·multiplier·2^−shift`, ties to even.
    Scale {
        /// `1 ..= 2³¹ − 1`.
        multiplier: i32,
        /// `0 ..= 126`.
        shift: i32,
    },
    /// INT64 of the value.
    Integer {},
    /// INT64 `values[q]`.
    Lookup {
        /// At most 65,536 entries, each of magnitude below 2⁵³.
        values: Vec<i64>,
    },
}

impl Decode {
    /// Element type outside.
    #[must_use]
    pub const fn border_type(&self) -> BorderType {
        match self {
            Self::Scale { .. } => BorderType::Fp32,
            Self::Integer {} | Self::Lookup { .. } => BorderType::Int64,
        }
    }
}
