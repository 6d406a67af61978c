//! Why a bundle is refused: one variant for each reason, and a kind that says whose fault it is.

use core::error::Error;

use credence_base::{ModelId, Nonce, PublicKey};
use credence_claim::{Fact, MethodError, MethodId, OpeningsError, Part, Refutation};
use credence_receipt::{BundleError, Kind, OpenError, StatementError};

/// Whose fault a refusal is, and so what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The bytes are not what they should be: damaged, or written by something else.
    Malformed,
    /// The signature is not the named key's over these bytes.
    BadSignature,
    /// The parts contradict each other.
    Inconsistent,
    /// All may be true, and it is not what the policy asks for.
    PolicyUnmet,
    /// The verifier lacks something that a required method needs.
    MissingFacts,
    /// The claim is false.
    Refuted,
    /// A check could not be carried through on this machine.
    Failed,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not a bundle.
    #[error("the bundle is malformed")]
    Bundle(#[source] BundleError),
    /// The signature is wrong.
    #[error("the receipt's signature does not match its bytes and key")]
    Signature,
    /// The signed statement is not one that this version reads.
    #[error("the signed statement is malformed")]
    Statement(#[source] StatementError),
    /// The statement's own parts contradict each other.
    #[error("the signed statement contradicts itself")]
    Contradiction(#[source] StatementError),
    /// The receipt names another key than the one that signed it.
    #[error("the receipt names operator {named}, but {signer} signed it")]
    Signer {
        /// The key in the statement.
        named: PublicKey,
        /// The key that signed.
        signer: PublicKey,
    },
    /// The receipt is not about an inference.
    #[error("expected a receipt of kind `inference`, got `{got}`")]
    Kind {
        /// The receipt's kind.
        got: Kind,
    },
    /// The policy does not list the operator.
    #[error("operator {got} is not among those that the policy accepts")]
    Operator {
        /// The receipt's operator.
        got: PublicKey,
    },
    /// The policy does not list the model.
    #[error("model {got} is not among those that the policy accepts")]
    Model {
        /// The receipt's model.
        got: ModelId,
    },
    /// The receipt is dated after now.
    #[error("the receipt is dated {ahead_s} s after now, the policy allows {max_s} s")]
    Future {
        /// Seconds it is ahead.
        ahead_s: u64,
        /// Seconds allowed.
        max_s: u64,
    },
    /// The receipt is too old.
    #[error("the receipt is {age_s} s old, the policy allows {max_s} s")]
    Age {
        /// Its age in seconds.
        age_s: u64,
        /// Seconds allowed.
        max_s: u64,
    },
    /// The claim holds another nonce, or none.
    #[error("expected nonce {expected} in the claim, got {}", .got.map_or_else(|| "none".to_owned(), |n| n.to_string()))]
    Nonce {
        /// The nonce that the policy names.
        expected: Nonce,
        /// The claim's nonce.
        got: Option<Nonce>,
    },
    /// What was opened is not what the claim commits to.
    #[error("an opening does not match the claim")]
    Openings(#[source] OpeningsError),
    /// The policy asks for a method that this build does not have.
    #[error("the policy requires method `{method}`, which is not available here")]
    NoMethod {
        /// The method.
        method: MethodId,
    },
    /// A required method lacks something.
    #[error("method `{method}` needs {fact}")]
    Missing {
        /// The method.
        method: MethodId,
        /// What it lacks.
        fact: Fact,
    },
    /// A required method found the claim false.
    #[error("method `{method}` found the claim false")]
    Refuted {
        /// The method.
        method: MethodId,
        /// In what.
        #[source]
        refutation: Refutation,
    },
    /// A required method cannot make sense of what the operator committed to, or of the evidence.
    #[error("method `{method}` cannot read the {part}")]
    Unreadable {
        /// The method.
        method: MethodId,
        /// What it cannot read.
        part: Part,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A required method could not be carried through.
    #[error("method `{method}` could not be carried through on this machine")]
    Failed {
        /// The method.
        method: MethodId,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Refusal {
    /// Whose fault it is.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::Bundle(_) | Self::Statement(_) | Self::Unreadable { .. } => {
                RefusalKind::Malformed
            }
            Self::Signature => RefusalKind::BadSignature,
            Self::Contradiction(_) | Self::Signer { .. } | Self::Openings(_) => {
                RefusalKind::Inconsistent
            }
            Self::Kind { .. }
            | Self::Operator { .. }
            | Self::Model { .. }
            | Self::Future { .. }
            | Self::Age { .. }
            | Self::Nonce { .. }
            | Self::NoMethod { .. } => RefusalKind::PolicyUnmet,
            Self::Missing { .. } => RefusalKind::MissingFacts,
            Self::Refuted { .. } => RefusalKind::Refuted,
            Self::Failed { .. } => RefusalKind::Failed,
        }
    }

    pub(crate) fn from_open(error: OpenError) -> Self {
        match error {
            OpenError::Signature(_) => Self::Signature,
            OpenError::Signer { named, signer } => Self::Signer { named, signer },
            OpenError::Statement(error) => match error {
                StatementError::Subject { .. }
                | StatementError::Claim(_)
                | StatementError::OwnSuccessor => Self::Contradiction(error),
                StatementError::Json(_)
                | StatementError::Type
                | StatementError::UnknownKind
                | StatementError::UnreadableKind(_)
                | StatementError::SubjectName { .. }
                | StatementError::Word { .. }
                | StatementError::Name { .. }
                | StatementError::Key { .. } => Self::Statement(error),
            },
        }
    }

    pub(crate) fn from_method(method: MethodId, error: MethodError) -> Self {
        match error {
            MethodError::Missing(fact) => Self::Missing { method, fact },
            MethodError::Refuted(refutation) => Self::Refuted { method, refutation },
            MethodError::Malformed { part, source } => Self::Unreadable {
                method,
                part,
                source,
            },
            MethodError::Failed(source) => Self::Failed { method, source },
        }
    }
}
