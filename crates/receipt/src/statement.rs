//! What is signed: an in-toto Statement v1 (`in-toto/attestation`, `spec/v1/statement.md`).
//!
//! ```text
//! _type          STATEMENT_TYPE
//! subject        one: name and SHA-256 of what the statement is about
//! predicateType  the kind
//! predicate      the kind's own fields
//! ```
//!
//! The subject repeats what the predicate says, in the form that supply-chain tools look for; reading a statement
//! checks that both agree.

use credence_base::json::{self, JsonError};
use credence_base::key::KeyError;
use credence_base::{NameError, PublicKey};
use credence_claim::{Claim, ClaimError};
use sha2::{Digest as _, Sha256};

use crate::kind::Kind;

mod kinds;
mod verdict;
mod wire;
mod wire_kinds;

pub use kinds::{
    Equivocation, Imported, LOG_KEY_LEN_MAX, NOTE_LEN_MAX, OPTIONS_LEN_MAX, Tool, WeightsBinding,
};
pub use verdict::{AUDIT_NUMBERS_MAX, Audit, AuditOutcome, Loser, VerdictStatement};
use verdict::{AuditJson, VerdictJson};
use wire::{InferenceJson, KeyJson, PredicateJson, StatementJson, SubjectDigestJson, SubjectJson};
use wire_kinds::{EquivocationJson, ImportedJson, WeightsBindingJson};

/// The in-toto statement type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The longest statement, in bytes. All fields are bounded; an inference statement has fewer than 2,048.
pub const STATEMENT_LEN_MAX: usize = 16 * 1024;

/// Why bytes are not a statement that this version reads.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the canonical JSON of a statement.
    #[error("the statement is not the canonical JSON of its kind")]
    Json(#[from] JsonError),
    /// Another `_type`.
    #[error("expected a statement of type `{STATEMENT_TYPE}`")]
    Type,
    /// A predicate type that means nothing here.
    #[error("the statement's predicate type is not one of Credence's")]
    UnknownKind,
    /// The subject has another name.
    #[error("expected a subject named `{expected}`")]
    SubjectName {
        /// The name for this kind.
        expected: &'static str,
    },
    /// The subject's digest is not of what the predicate names.
    #[error("the subject's SHA-256 is not of the {what} that the predicate names")]
    Subject {
        /// What the subject must be the digest of.
        what: &'static str,
    },
    /// A field holds a word that means nothing here.
    #[error("`{field}` holds a value that this version does not know")]
    Word {
        /// The field.
        field: &'static str,
    },
    /// A field should hold a name.
    #[error("`{field}` does not hold a name")]
    Name {
        /// The field.
        field: &'static str,
        /// Why not.
        source: NameError,
    },
    /// A field should hold a public key.
    #[error("`{field}` does not hold a public key")]
    Key {
        /// The field.
        field: &'static str,
        /// Why not.
        source: KeyError,
    },
    /// The claim contradicts itself, or is of another version.
    #[error("the claim is refused")]
    Claim(#[source] ClaimError),
    /// A key is said to succeed itself.
    #[error("the key is said to succeed itself")]
    OwnSuccessor,
    /// A field holds no text, or too much.
    #[error("`{field}` holds {got} bytes, expected {min} to {max}")]
    Text {
        /// The field.
        field: &'static str,
        /// The least it may hold.
        min: usize,
        /// The most it may hold.
        max: usize,
        /// What it holds.
        got: usize,
    },
}

/// A statement of a kind that this version reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// An operator ran a model.
    Inference(Inference),
    /// What becomes of a key.
    Key(KeyStatement),
    /// A log said two things that cannot both be true.
    Equivocation(Equivocation),
    /// A proof system's commitment belongs to a model's weights.
    WeightsBinding(WeightsBinding),
    /// A model was made of a file.
    Imported(Imported),
    /// An auditor checked a receipt.
    Audit(Audit),
    /// A dispute has ended.
    Verdict(VerdictStatement),
}

/// An operator says that it ran a model, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inference {
    /// What is claimed.
    pub claim: Claim,
    /// Who claims it, and signs.
    pub operator: PublicKey,
    /// When, in seconds since 1970-01-01 UTC, by the operator's own clock.
    pub time_unix_s: u64,
}

/// An operator says what becomes of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatement {
    /// The key, which signs.
    pub operator: PublicKey,
    /// What becomes of it.
    pub action: KeyAction,
    /// When this was said, in seconds since 1970-01-01 UTC, by the operator's own clock.
    pub time_unix_s: u64,
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAction {
    /// Another key takes its place.
    Rotate {
        /// The other key.
        successor: PublicKey,
    },
    /// It signs nothing after this time.
    Expire {
        /// The last second in which it may sign, since 1970-01-01 UTC.
        not_after_unix_s: u64,
    },
    /// It may be in wrong hands since this time; no signature said to be later counts.
    Revoke {
        /// The first second in which it may have been, since 1970-01-01 UTC.
        since_unix_s: u64,
    },
}

impl Statement {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Inference(_) => Kind::Inference,
            Self::Key(_) => Kind::KeyStatement,
            Self::Equivocation(_) => Kind::Equivocation,
            Self::WeightsBinding(_) => Kind::WeightsBinding,
            Self::Imported(_) => Kind::Imported,
            Self::Audit(_) => Kind::Audit,
            Self::Verdict(_) => Kind::Verdict,
        }
    }

    /// The key that it names, and that must sign it.
    #[must_use]
    pub const fn operator(&self) -> &PublicKey {
        match self {
            Self::Inference(inference) => &inference.operator,
            Self::Key(statement) => &statement.operator,
            Self::Equivocation(statement) => &statement.operator,
            Self::WeightsBinding(statement) => &statement.operator,
            Self::Imported(statement) => &statement.operator,
            Self::Audit(statement) => &statement.operator,
            Self::Verdict(statement) => &statement.operator,
        }
    }

    /// Its canonical JSON.
    ///
    /// # Errors
    /// [`JsonError::Encode`], which no statement gives.
    pub fn encode(&self) -> Result<Vec<u8>, JsonError> {
        match self {
            Self::Inference(s) => json::to_canonical(&self.to_json(InferenceJson::new(s))),
            Self::Key(s) => json::to_canonical(&self.to_json(KeyJson::new(s))),
            Self::Equivocation(s) => json::to_canonical(&self.to_json(EquivocationJson::new(s))),
            Self::WeightsBinding(s) => {
                json::to_canonical(&self.to_json(WeightsBindingJson::new(s)))
            }
            Self::Imported(s) => json::to_canonical(&self.to_json(ImportedJson::new(s))),
            Self::Audit(s) => json::to_canonical(&self.to_json(AuditJson::new(s))),
            Self::Verdict(s) => json::to_canonical(&self.to_json(VerdictJson::new(s))),
        }
    }

    /// Reads a statement of at most `len_max` bytes and checks that it agrees with itself.
    ///
    /// # Errors
    /// [`StatementError`] when it is not the canonical JSON of a kind that this version reads, or its subject is not
    /// what its predicate names.
    pub fn decode(bytes: &[u8], len_max: usize) -> Result<Self, StatementError> {
        // The kind decides how the predicate is read, so it is looked for first.
        match wire::peek_kind(bytes, len_max)? {
            Kind::Inference => Self::read::<InferenceJson>(bytes, len_max),
            Kind::KeyStatement => Self::read::<KeyJson>(bytes, len_max),
            Kind::Equivocation => Self::read::<EquivocationJson>(bytes, len_max),
            Kind::WeightsBinding => Self::read::<WeightsBindingJson>(bytes, len_max),
            Kind::Imported => Self::read::<ImportedJson>(bytes, len_max),
            Kind::Audit => Self::read::<AuditJson>(bytes, len_max),
            Kind::Verdict => Self::read::<VerdictJson>(bytes, len_max),
        }
    }

    fn read<P: PredicateJson>(bytes: &[u8], len_max: usize) -> Result<Self, StatementError> {
        let json: StatementJson<P> = json::from_canonical(bytes, len_max)?;
        json.check_type()?;
        let statement = json.predicate.read()?;
        statement.check_subject(&json.subject)?;
        Ok(statement)
    }

    /// The name and the SHA-256 that its subject must have.
    #[must_use]
    pub fn subject(&self) -> (&'static str, [u8; 32]) {
        match self {
            Self::Inference(Inference { claim, .. }) => (
                "output",
                Sha256::digest(claim.fields().output.as_bytes()).into(),
            ),
            Self::Key(KeyStatement { operator, .. }) => {
                ("key", Sha256::digest(operator.as_bytes()).into())
            }
            Self::Equivocation(Equivocation { log, .. }) => {
                ("log", Sha256::digest(log.as_bytes()).into())
            }
            Self::WeightsBinding(WeightsBinding { model, .. })
            | Self::Imported(Imported { model, .. }) => {
                ("model", Sha256::digest(model.as_bytes()).into())
            }
            Self::Audit(Audit { receipt, .. }) => {
                ("receipt", Sha256::digest(receipt.as_bytes()).into())
            }
            Self::Verdict(VerdictStatement { claim, .. }) => {
                ("claim", Sha256::digest(claim.as_bytes()).into())
            }
        }
    }

    fn check_subject(&self, subject: &[SubjectJson; 1]) -> Result<(), StatementError> {
        let [SubjectJson { name, digest }] = subject;
        let (expected, sha256) = self.subject();
        if name != expected {
            return Err(StatementError::SubjectName { expected });
        }
        if digest.sha256.0 != sha256 {
            return Err(StatementError::Subject { what: expected });
        }
        Ok(())
    }

    fn to_json<P>(&self, predicate: P) -> StatementJson<P> {
        let (name, sha256) = self.subject();
        StatementJson {
            type_: STATEMENT_TYPE.to_owned(),
            predicate,
            predicate_type: self.kind().predicate_type().to_owned(),
            subject: [SubjectJson {
                digest: SubjectDigestJson {
                    sha256: json::Hex32(sha256),
                },
                name: name.to_owned(),
            }],
        }
    }
}
