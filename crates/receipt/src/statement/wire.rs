//! The JSON of a statement, and its way to and from the types that the rest uses.

use credence_base::json::{self, Hex32, U64String};
use credence_base::{
    InputCommitment, ModelId, Name, Nonce, OutputCommitment, PROTOCOL_VERSION, ParamsCommitment,
    Profile, PublicKey, TraceCommitment,
};
use credence_claim::{
    Claim, ClaimError, ClaimFields, ConstrainedDecoding, Counts, FinishReason, SeedSource,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Inference, KeyAction, KeyStatement, STATEMENT_TYPE, Statement, StatementError};
use crate::kind::Kind;

/// The JSON of one kind's predicate.
pub(super) trait PredicateJson: Serialize + DeserializeOwned {
    /// The statement that it is the predicate of.
    ///
    /// # Errors
    /// [`StatementError`] when a field holds what it may not.
    fn read(self) -> Result<Statement, StatementError>;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementJson<P> {
    #[serde(rename = "_type")]
    pub(super) type_: String,
    pub(super) predicate: P,
    #[serde(rename = "predicateType")]
    pub(super) predicate_type: String,
    pub(super) subject: [SubjectJson; 1],
}

impl<P> StatementJson<P> {
    pub(super) fn check_type(&self) -> Result<(), StatementError> {
        if self.type_ == STATEMENT_TYPE {
            Ok(())
        } else {
            Err(StatementError::Type)
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectJson {
    pub(super) digest: SubjectDigestJson,
    pub(super) name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectDigestJson {
    pub(super) sha256: Hex32,
}

/// Finds the predicate type, before the form of the predicate is known.
///
/// This is the one read that is not canonical: what it finds only chooses the reader, which then is.
pub(super) fn peek_kind(bytes: &[u8], len_max: usize) -> Result<Kind, StatementError> {
    #[derive(Deserialize)]
    struct Peek {
        #[serde(rename = "predicateType")]
        predicate_type: String,
    }

    let peek: Peek = json::from_any(bytes, len_max)?;
    Kind::from_predicate_type(&peek.predicate_type).ok_or(StatementError::UnknownKind)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InferenceJson {
    claim: ClaimJson,
    operator: Hex32,
    time_unix_s: U64String,
}

impl InferenceJson {
    pub(super) fn new(inference: &Inference) -> Self {
        Self {
            claim: ClaimJson::new(&inference.claim),
            operator: Hex32(*inference.operator.as_bytes()),
            time_unix_s: U64String(inference.time_unix_s),
        }
    }
}

impl PredicateJson for InferenceJson {
    fn read(self) -> Result<Statement, StatementError> {
        Ok(Statement::Inference(Inference {
            claim: self.claim.read()?,
            operator: key("operator", &self.operator)?,
            time_unix_s: self.time_unix_s.0,
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    constrained: Option<ConstrainedJson>,
    finish: String,
    input: Hex32,
    input_count: U64String,
    model: Hex32,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<Hex32>,
    output: Hex32,
    output_count: U64String,
    params: Hex32,
    profile: String,
    protocol_version: u32,
    seed: String,
    trace: Hex32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstrainedJson {
    engine: String,
    version: String,
}

impl ClaimJson {
    fn new(claim: &Claim) -> Self {
        // Naming every field makes a new one an error here until it is written.
        let ClaimFields {
            profile,
            model,
            input,
            params,
            output,
            trace,
            counts:
                Counts {
                    input: count_in,
                    output: count_out,
                },
            finish,
            nonce,
            seed,
            constrained,
        } = claim.fields();
        Self {
            constrained: constrained.as_ref().map(|c| ConstrainedJson {
                engine: c.engine.as_str().to_owned(),
                version: c.version.as_str().to_owned(),
            }),
            finish: finish.as_str().to_owned(),
            input: Hex32(*input.as_bytes()),
            input_count: U64String(*count_in),
            model: Hex32(*model.as_bytes()),
            nonce: nonce.map(|nonce| Hex32(*nonce.as_bytes())),
            output: Hex32(*output.as_bytes()),
            output_count: U64String(*count_out),
            params: Hex32(*params.as_bytes()),
            profile: profile.as_str().to_owned(),
            protocol_version: PROTOCOL_VERSION,
            seed: seed.as_str().to_owned(),
            trace: Hex32(*trace.as_bytes()),
        }
    }

    fn read(self) -> Result<Claim, StatementError> {
        let (expected, got) = (PROTOCOL_VERSION, self.protocol_version);
        if expected != got {
            return Err(StatementError::Claim(ClaimError::Version { expected, got }));
        }
        let unknown = |field| StatementError::Word { field };
        let constrained = match self.constrained {
            None => None,
            Some(ConstrainedJson { engine, version }) => Some(ConstrainedDecoding {
                engine: name("constrained.engine", &engine)?,
                version: name("constrained.version", &version)?,
            }),
        };
        Claim::new(ClaimFields {
            profile: Profile::from_name(&self.profile).ok_or_else(|| unknown("profile"))?,
            model: ModelId::from_bytes(self.model.0),
            input: InputCommitment::from_bytes(self.input.0),
            params: ParamsCommitment::from_bytes(self.params.0),
            output: OutputCommitment::from_bytes(self.output.0),
            trace: TraceCommitment::from_bytes(self.trace.0),
            counts: Counts {
                input: self.input_count.0,
                output: self.output_count.0,
            },
            finish: FinishReason::from_name(&self.finish).ok_or_else(|| unknown("finish"))?,
            nonce: self.nonce.map(|nonce| Nonce::from_bytes(nonce.0)),
            seed: SeedSource::from_name(&self.seed).ok_or_else(|| unknown("seed"))?,
            constrained,
        })
        .map_err(StatementError::Claim)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeyJson {
    action: ActionJson,
    operator: Hex32,
    time_unix_s: U64String,
}

#[derive(Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
enum ActionJson {
    Rotate { successor: Hex32 },
    Expire { not_after_unix_s: U64String },
    Revoke { since_unix_s: U64String },
}

impl KeyJson {
    pub(super) fn new(statement: &KeyStatement) -> Self {
        let action = match &statement.action {
            KeyAction::Rotate { successor } => ActionJson::Rotate {
                successor: Hex32(*successor.as_bytes()),
            },
            KeyAction::Expire { not_after_unix_s } => ActionJson::Expire {
                not_after_unix_s: U64String(*not_after_unix_s),
            },
            KeyAction::Revoke { since_unix_s } => ActionJson::Revoke {
                since_unix_s: U64String(*since_unix_s),
            },
        };
        Self {
            action,
            operator: Hex32(*statement.operator.as_bytes()),
            time_unix_s: U64String(statement.time_unix_s),
        }
    }
}

impl PredicateJson for KeyJson {
    fn read(self) -> Result<Statement, StatementError> {
        let operator = key("operator", &self.operator)?;
        let action = match self.action {
            ActionJson::Rotate { successor } => KeyAction::Rotate {
                successor: key("successor", &successor)?,
            },
            ActionJson::Expire { not_after_unix_s } => KeyAction::Expire {
                not_after_unix_s: not_after_unix_s.0,
            },
            ActionJson::Revoke { since_unix_s } => KeyAction::Revoke {
                since_unix_s: since_unix_s.0,
            },
        };
        if action
            == (KeyAction::Rotate {
                successor: operator,
            })
        {
            return Err(StatementError::OwnSuccessor);
        }
        Ok(Statement::Key(KeyStatement {
            operator,
            action,
            time_unix_s: self.time_unix_s.0,
        }))
    }
}

pub(super) fn key(field: &'static str, bytes: &Hex32) -> Result<PublicKey, StatementError> {
    PublicKey::from_bytes(&bytes.0).map_err(|source| StatementError::Key { field, source })
}

pub(super) fn name(field: &'static str, text: &str) -> Result<Name, StatementError> {
    Name::new(text).map_err(|source| StatementError::Name { field, source })
}
