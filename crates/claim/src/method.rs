//! What a verification method is, and how it fails.
//!
//! A method looks at one [`Case`] and either finds something, which it says in a [`Finding`], or gives a [`MethodError`]
//! whose kind says whose fault it is: a fact that the checker lacks is not a lie, and a lie is not a typing mistake.

use core::error::Error;
use core::fmt;
use std::borrow::Cow;

use credence_base::{Digest, ModelId, Name, NameError, TraceCommitment};

use crate::assurance::Finding;
use crate::case::Case;
use crate::fields::{ConstrainedDecoding, FinishReason};

/// The name of a method, such as `replay`: a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId(Cow<'static, str>);

impl MethodId {
    /// The method that shows no more than who signed. Every receipt is checked by it first.
    pub const SIGNED: Self = Self(Cow::Borrowed("signed"));

    /// The method that runs the model again.
    pub const REPLAY: Self = Self(Cow::Borrowed("replay"));

    /// The method that opens a few cells of the run.
    pub const SPOT: Self = Self(Cow::Borrowed("spot"));

    /// The method that checks a succinct proof of the whole run.
    pub const SNARK: Self = Self(Cow::Borrowed("snark"));
    /// The evidence of a weights binding: the card of the model's weights. No claim is accepted by it.
    pub const SNARK_CARD: Self = Self(Cow::Borrowed("snark-card"));

    /// The evidence of a referee's verdict: the dispute itself. No claim is accepted by it.
    pub const DISPUTE: Self = Self(Cow::Borrowed("dispute"));

    /// Checks `name`.
    ///
    /// # Errors
    /// [`NameError`] when it is no [`Name`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        let name = Name::new(name)?;
        Ok(Self(Cow::Owned(name.as_str().to_owned())))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a method left for its verifier, opaque to all others.
///
/// Nothing authenticates it: a signature does not cover evidence, which may be made after signing. Its method must
/// find it convincing on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The method that can read it.
    pub method: MethodId,
    /// The version of that method's evidence.
    pub version: u32,
    /// The evidence.
    pub bytes: Vec<u8>,
}

/// One way to check a claim.
///
/// Implementations are pure: the same case and evidence give the same answer on every machine, and none panics.
pub trait Method {
    /// Its name.
    fn id(&self) -> MethodId;

    /// The version of the evidence it reads. Evidence of another version is not handed to it.
    fn version(&self) -> u32;

    /// Whether it can do nothing without evidence. A method that re-executes needs none.
    fn needs_evidence(&self) -> bool;

    /// Checks `case`. `evidence` is what the bundle carries for this method and version, if anything.
    ///
    /// # Errors
    /// [`MethodError`]; only [`MethodError::Refuted`] says that the claim is false.
    fn check(&self, case: &Case<'_>, evidence: Option<&[u8]>) -> Result<Finding, MethodError>;
}

/// Something a method needs and does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The model itself.
    Model(ModelId),
    /// The opened input.
    Input,
    /// The opened parameters.
    Params,
    /// The opened output.
    Output,
    /// The salt of the trace.
    TraceSalt,
    /// Evidence of this method and version.
    Evidence,
    /// The engine of a constrained decoding, in the version that the claim names.
    Engine(ConstrainedDecoding),
    /// Nothing that this method could be given: the claim is for a replay.
    Replay,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(id) => write!(f, "model `{id}`"),
            Self::Input => f.write_str("the opened input"),
            Self::Params => f.write_str("the opened parameters"),
            Self::Output => f.write_str("the opened output"),
            Self::TraceSalt => f.write_str("the salt of the trace"),
            Self::Evidence => f.write_str("evidence of this method and version"),
            Self::Replay => f.write_str("a replay, since this method has no form for such a model"),
            Self::Engine(ConstrainedDecoding { engine, version }) => write!(
                f,
                "the engine `{engine}` of constrained decodings in version `{version}`"
            ),
        }
    }
}

/// Something that a method reads and that may have no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The input's bytes.
    Input,
    /// The parameters' bytes.
    Params,
    /// The output's bytes.
    Output,
    /// The evidence's bytes.
    Evidence,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Params => "parameters",
            Self::Output => "output",
            Self::Evidence => "evidence",
        })
    }
}

/// One value of an output, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// An integer.
    Integer(i64),
    /// An IEEE 754 binary32, by its bits.
    Fp32(u32),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            // `Debug` of a float tells −0 from 0; only the bits tell one NaN from another.
            Self::Fp32(bits) if f32::from_bits(*bits).is_nan() => write!(f, "NaN ({bits:#010x})"),
            Self::Fp32(bits) => write!(f, "{:?}", f32::from_bits(*bits)),
        }
    }
}

/// In what a claim was found to be false: what it says, and what the check got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refutation {
    /// A value of the output is another.
    #[error("output `{part}`, value {index}: the claim says {claimed}, the check got {got}")]
    OutputValue {
        /// Which part of the output: a tensor's name, say.
        part: String,
        /// The value's index in that part.
        index: u64,
        /// As claimed.
        claimed: Scalar,
        /// As found.
        got: Scalar,
    },
    /// The output is another, in its form if not in a value.
    #[error("output root: the claim says {claimed}, the check got {got}")]
    Output {
        /// As claimed.
        claimed: Digest,
        /// As found.
        got: Digest,
    },
    /// The inside of the computation is another.
    #[error("trace commitment: the claim says {claimed}, the check got {got}")]
    Trace {
        /// As claimed.
        claimed: TraceCommitment,
        /// As found.
        got: TraceCommitment,
    },
    /// The count of what went in is another.
    #[error("input count: the claim says {claimed}, the check got {got}")]
    InputCount {
        /// As claimed.
        claimed: u64,
        /// As found.
        got: u64,
    },
    /// The count of what came out is another.
    #[error("output count: the claim says {claimed}, the check got {got}")]
    OutputCount {
        /// As claimed.
        claimed: u64,
        /// As found.
        got: u64,
    },
    /// The output ends for another reason.
    #[error("finish reason: the claim says `{}`, the check got `{}`", claimed.as_str(), got.as_str())]
    Finish {
        /// As claimed.
        claimed: FinishReason,
        /// As found.
        got: FinishReason,
    },
    /// The prompt's tokens are not those of its content.
    #[error("the prompt's tokens are not those that the model's template and tokeniser give")]
    Prompt,
    /// Another token is drawn.
    #[error("token {index} of the answer: the claim says {claimed}, the check drew {got}")]
    Token {
        /// Its index in the answer.
        index: u64,
        /// As claimed.
        claimed: u32,
        /// As drawn.
        got: u32,
    },
    /// The answer goes on behind its end.
    #[error("the answer ends after {got} tokens, but the claim has more")]
    OutputLength {
        /// Tokens until the end.
        got: u64,
    },
    /// The seed does not come from where the claim says.
    #[error("the seed is not the one its source gives")]
    Seed,
    /// The model does not do what the claim says it did, such as drawing or constraining tokens.
    #[error("the claim says that `{feature}` took part, which this model does not have")]
    Feature {
        /// The feature.
        feature: &'static str,
    },
    /// The parameters have a grammar, and the claim says that no engine followed it.
    #[error(
        "the parameters ask for an answer that fits a grammar, but the claim names no engine that followed it"
    )]
    Unconstrained,
    /// One cell of the computation is wrong.
    #[error("cell {cell} of the trace does not satisfy its relation")]
    Cell {
        /// Its index in the trace.
        cell: u64,
    },
}

/// Why a method found nothing.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// The checker lacks something. The claim may be true.
    #[error("{0} is missing")]
    Missing(Fact),
    /// The claim is false.
    #[error("the claim is false")]
    Refuted(#[source] Refutation),
    /// Something that the operator committed to, or the evidence, has no sense.
    #[error("the {part} has no sense to the method")]
    Malformed {
        /// What.
        part: Part,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The check could not be carried through on this machine. The claim may be true.
    #[error("the check could not be carried through")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_that_differ_print_differently() {
        let cases = [
            (Scalar::Integer(-7), "-7"),
            (Scalar::Fp32(1.5_f32.to_bits()), "1.5"),
            (Scalar::Fp32(0), "0.0"),
            (Scalar::Fp32(0x8000_0000), "-0.0"),
            (Scalar::Fp32(0x7fc0_0001), "NaN (0x7fc00001)"),
            (Scalar::Fp32(0x3f80_0001), "1.0000001"),
        ];
        for (scalar, text) in cases {
            assert_eq!(scalar.to_string(), text);
        }
    }

    #[test]
    fn known_ids_are_the_ones_their_names_give() {
        for id in [MethodId::SIGNED, MethodId::REPLAY, MethodId::SNARK] {
            assert_eq!(MethodId::new(id.as_str()), Ok(id));
        }
        assert!(MethodId::new("Replay").is_err());
    }
}
