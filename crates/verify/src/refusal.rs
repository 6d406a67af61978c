//! Why a bundle is refused: one variant for each reason, and a kind that says whose fault it is.

use core::error::Error;

use credence_base::{ModelId, Nonce, PublicKey};
use credence_claim::{Fact, MethodError, MethodId, OpeningsError, Part, Refutation};
use credence_log::checkpoint::CheckpointError;
use credence_log::proof::ProofError;
use credence_log::{KeyName, LogProofError, LogRefusal};
use credence_receipt::{BundleError, Kind, OpenError, StatementError};

use crate::shown::NotEquivocation;

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
    /// The receipt is of another kind.
    #[error("expected a receipt of kind `{expected}`, got `{got}`")]
    Kind {
        /// The kind that is checked here.
        expected: Kind,
        /// The receipt's kind.
        got: Kind,
    },
    /// The policy asks for a log proof, and the bundle has none.
    #[error("the policy asks for a receipt that is in a log, and the bundle has no log proof")]
    NoLogProof,
    /// The log proof is none.
    #[error("the bundle's log proof is malformed")]
    LogProof(#[source] LogProofError),
    /// The log is not one that the policy names.
    #[error("log `{origin}` is not among those that the policy accepts")]
    UnknownLog {
        /// The log's origin.
        origin: String,
    },
    /// None of the log's accepted keys signed the checkpoint.
    #[error("the checkpoint in the log proof is not signed by log `{origin}`")]
    LogUnsigned {
        /// The log's origin.
        origin: String,
    },
    /// A signature on the checkpoint that is said to be the log's or a witness's is not.
    #[error("a signature on the log proof's checkpoint is forged or damaged")]
    LogSignature(#[source] LogRefusal),
    /// The checkpoint contradicts itself.
    #[error("the checkpoint in the log proof contradicts itself")]
    LogContradiction(#[source] LogRefusal),
    /// The receipt is not where the proof says.
    #[error("the log proof does not lead from the receipt to the checkpoint")]
    Inclusion(#[source] ProofError),
    /// Too few witnesses.
    #[error("{got} of the policy's witnesses cosigned the checkpoint, it asks for {quorum}")]
    Witnesses {
        /// Witnesses asked for.
        quorum: u32,
        /// Witnesses that did.
        got: usize,
    },
    /// A witness dated its cosignature after now.
    #[error(
        "witness `{witness}` dates its cosignature {ahead_s} s after now, the policy allows {max_s} s"
    )]
    CosignatureFuture {
        /// The witness.
        witness: KeyName,
        /// Seconds it is ahead.
        ahead_s: u64,
        /// Seconds allowed.
        max_s: u64,
    },
    /// The checkpoint is too old.
    #[error("the checkpoint is {age_s} s old by its witnesses, the policy allows {max_s} s")]
    CheckpointAge {
        /// Its age in seconds.
        age_s: u64,
        /// Seconds allowed.
        max_s: u64,
    },
    /// The receipt is dated after witnesses saw it in the log.
    #[error(
        "the receipt is dated {time_unix_s}, and was in the log by {by_unix_s} (seconds since 1970)"
    )]
    DatedAfterLogged {
        /// The operator's time.
        time_unix_s: u64,
        /// The witnesses' time.
        by_unix_s: u64,
    },
    /// One of the verifier's own statements about keys cannot be used.
    #[error("key statement {at}, of those given to the verifier, cannot be used")]
    KeyStatement {
        /// Its place in the list.
        at: usize,
        /// Whose fault.
        kind: RefusalKind,
        /// Why.
        #[source]
        source: Box<Refusal>,
    },
    /// The key was revoked, and nothing shows that the receipt is older.
    #[error(
        "key {key} may be in wrong hands since {since_unix_s} (seconds since 1970), and no witnessed log shows the receipt before that"
    )]
    KeyRevoked {
        /// The key.
        key: PublicKey,
        /// The first second in which it may have been.
        since_unix_s: u64,
    },
    /// The key had expired.
    #[error(
        "key {key} expired at {not_after_unix_s}, and the receipt is dated {time_unix_s} (seconds since 1970)"
    )]
    KeyExpired {
        /// The key.
        key: PublicKey,
        /// The last second in which it could sign.
        not_after_unix_s: u64,
        /// The receipt's time.
        time_unix_s: u64,
    },
    /// Another key had taken its place.
    #[error(
        "another key took the place of key {key} at {rotated_unix_s}, and the receipt is dated {time_unix_s} (seconds since 1970)"
    )]
    KeyRotated {
        /// The key.
        key: PublicKey,
        /// When it was said, by its owner's clock.
        rotated_unix_s: u64,
        /// The receipt's time.
        time_unix_s: u64,
    },
    /// The key named two successors.
    #[error("key {key} named more than one successor, so none is accepted in its place")]
    Successors {
        /// The key.
        key: PublicKey,
    },
    /// The two checkpoints shown are no evidence.
    #[error("the statement does not show that log said two things that cannot both be true")]
    NotEquivocation(#[source] NotEquivocation),
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
    /// The policy does not take this key's word for weights.
    #[error(
        "key {got} vouches for the committed weights, and is not among those whose word the policy takes"
    )]
    Voucher {
        /// The key that signed the weights binding.
        got: PublicKey,
    },
    /// A required method is less sure of the output than the policy asks for.
    #[error(
        "method `{method}` bounds the chance of a wrong output by 2^-{got}, the policy asks for 2^-{expected}"
    )]
    Bits {
        /// The method.
        method: MethodId,
        /// Bits asked for.
        expected: u32,
        /// Bits found.
        got: u32,
    },
    /// The policy asks for a bound on a wrong output, and no required method gives one.
    #[error(
        "the policy asks for a chance of a wrong output of at most 2^-{expected}, and no method that it requires bounds it"
    )]
    NoBits {
        /// Bits asked for.
        expected: u32,
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
            Self::Bundle(_) | Self::Statement(_) | Self::Unreadable { .. } | Self::LogProof(_) => {
                RefusalKind::Malformed
            }
            Self::Signature | Self::LogSignature(_) => RefusalKind::BadSignature,
            Self::Contradiction(_)
            | Self::Signer { .. }
            | Self::Openings(_)
            | Self::Inclusion(_)
            | Self::LogContradiction(_)
            | Self::DatedAfterLogged { .. }
            | Self::NotEquivocation(_) => RefusalKind::Inconsistent,
            Self::KeyStatement { kind, .. } => *kind,
            Self::NoLogProof
            | Self::UnknownLog { .. }
            | Self::LogUnsigned { .. }
            | Self::Witnesses { .. }
            | Self::CosignatureFuture { .. }
            | Self::CheckpointAge { .. }
            | Self::KeyRevoked { .. }
            | Self::KeyExpired { .. }
            | Self::KeyRotated { .. }
            | Self::Successors { .. }
            | Self::Kind { .. }
            | Self::Operator { .. }
            | Self::Model { .. }
            | Self::Future { .. }
            | Self::Age { .. }
            | Self::Nonce { .. }
            | Self::Voucher { .. }
            | Self::Bits { .. }
            | Self::NoBits { .. }
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
                | StatementError::SubjectName { .. }
                | StatementError::Word { .. }
                | StatementError::Name { .. }
                | StatementError::Text { .. }
                | StatementError::Key { .. } => Self::Statement(error),
            },
        }
    }

    pub(crate) fn from_log_proof(error: LogProofError) -> Self {
        match error {
            LogProofError::Refused(refusal) => Self::from_log(refusal),
            LogProofError::Inclusion(error) => Self::Inclusion(error),
            other @ (LogProofError::TooLong { .. }
            | LogProofError::Header
            | LogProofError::Extra
            | LogProofError::Index
            | LogProofError::Hash { .. }
            | LogProofError::Hashes
            | LogProofError::Checkpoint(_)) => Self::LogProof(other),
        }
    }

    fn from_log(refusal: LogRefusal) -> Self {
        match refusal {
            LogRefusal::UnknownLog { origin } => Self::UnknownLog { origin },
            LogRefusal::Quorum { quorum, got } => Self::Witnesses { quorum, got },
            LogRefusal::Age { age_s, max_s } => Self::CheckpointAge { age_s, max_s },
            LogRefusal::Future {
                witness,
                ahead_s,
                max_s,
            } => Self::CosignatureFuture {
                witness,
                ahead_s,
                max_s,
            },
            LogRefusal::Cosignature(_) => Self::LogSignature(refusal),
            LogRefusal::Checkpoint {
                ref origin,
                ref source,
            } => match source {
                CheckpointError::Unsigned { .. } => Self::LogUnsigned {
                    origin: origin.clone(),
                },
                CheckpointError::Note(_) => Self::LogSignature(refusal),
                CheckpointError::Origin
                | CheckpointError::Size
                | CheckpointError::Root
                | CheckpointError::EmptyRoot
                | CheckpointError::Extension
                | CheckpointError::OtherLog { .. }
                | CheckpointError::Algorithm(_) => Self::LogContradiction(refusal),
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
