//! What others found out about a claim: an auditor's audit, a referee's verdict; and their JSON.
//!
//! Each is someone's word, signed. A verdict names the end of one transcript, from which anyone reaches it again (`docs/spec/dispute.md`); an audit says what a method
//! found, which whoever has the same facts finds again. It deliberately knows neither methods nor reasons: here they are names.

use credence_base::json::{Hex32, U64String};
use credence_base::{ClaimDigest, Digest, Name, PublicKey, ReceiptDigest};
use serde::{Deserialize, Serialize};

use super::wire::{PredicateJson, key, name};
use super::{Statement, StatementError};

/// Most numbers of an audit.
pub const AUDIT_NUMBERS_MAX: usize = 16;

/// What an auditor found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOutcome {
    /// The method found nothing wrong.
    Passed,
    /// The method found the claim false.
    Refuted,
    /// The method could not be carried through.
    Failed,
}

impl AuditOutcome {
    const ALL: [Self; 3] = [Self::Passed, Self::Refuted, Self::Failed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refuted => "refuted",
            Self::Failed => "failed",
        }
    }
}

/// An auditor says that it checked a receipt, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The auditor, which signs.
    pub operator: PublicKey,
    /// The receipt.
    pub receipt: ReceiptDigest,
    /// The method by which it was checked.
    pub method: Name,
    /// The version of that method's evidence.
    pub method_version: u32,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Numbers that the method gives, strictly ascending by name; at most 16.
    pub numbers: Vec<(Name, u64)>,
    /// When, in seconds since 1970-01-01 UTC, by the auditor's own clock.
    pub time_unix_s: u64,
}

/// Who lost a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loser {
    /// Who made the claim.
    Operator,
    /// Who disputed it.
    Challenger,
    /// Nobody: it is undecided.
    Nobody,
}

impl Loser {
    const ALL: [Self; 3] = [Self::Operator, Self::Challenger, Self::Nobody];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Challenger => "challenger",
            Self::Nobody => "nobody",
        }
    }
}

/// A referee says how a dispute about a claim ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictStatement {
    /// The referee, which signs.
    pub operator: PublicKey,
    /// The claim.
    pub claim: ClaimDigest,
    /// Who made it.
    pub accused: PublicKey,
    /// Who disputed it. Another key than the accused's.
    pub challenger: PublicKey,
    /// When the dispute began, in seconds since 1970-01-01 UTC, by the referee's clock.
    pub started_unix_s: u64,
    /// How long a turn took at most, in seconds.
    pub turn_s: u32,
    /// The head of the dispute's chain at its end: of one transcript.
    pub transcript: Digest,
    /// Who lost.
    pub loser: Loser,
    /// Why, in the words of `docs/spec/dispute.md`.
    pub reason: Name,
    /// When this was said, in seconds since 1970-01-01 UTC, by the referee's own clock.
    pub time_unix_s: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AuditJson {
    method: String,
    method_version: u32,
    numbers: Vec<NumberJson>,
    operator: Hex32,
    outcome: String,
    receipt: Hex32,
    time_unix_s: U64String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberJson {
    name: String,
    value: U64String,
}

impl AuditJson {
    pub(super) fn new(statement: &Audit) -> Self {
        let Audit {
            operator,
            receipt,
            method,
            method_version,
            outcome,
            numbers,
            time_unix_s,
        } = statement;
        let numbers = numbers.iter().map(|(name, value)| NumberJson {
            name: name.as_str().to_owned(),
            value: U64String(*value),
        });
        Self {
            method: method.as_str().to_owned(),
            method_version: *method_version,
            numbers: numbers.collect(),
            operator: Hex32(*operator.as_bytes()),
            outcome: outcome.as_str().to_owned(),
            receipt: Hex32(*receipt.as_bytes()),
            time_unix_s: U64String(*time_unix_s),
        }
    }
}

impl PredicateJson for AuditJson {
    fn read(self) -> Result<Statement, StatementError> {
        let numbers = StatementError::Word { field: "numbers" };
        if self.numbers.len() > AUDIT_NUMBERS_MAX {
            return Err(numbers);
        }
        let mut read: Vec<(Name, u64)> = Vec::with_capacity(self.numbers.len());
        for number in &self.numbers {
            let own = name("numbers.name", &number.name)?;
            if read.last().is_some_and(|(last, _)| *last >= own) {
                return Err(numbers);
            }
            read.push((own, number.value.0));
        }
        let mut outcomes = AuditOutcome::ALL.into_iter();
        let outcome = outcomes.find(|outcome| outcome.as_str() == self.outcome);
        Ok(Statement::Audit(Audit {
            operator: key("operator", &self.operator)?,
            receipt: ReceiptDigest::from_bytes(self.receipt.0),
            method: name("method", &self.method)?,
            method_version: self.method_version,
            outcome: outcome.ok_or(StatementError::Word { field: "outcome" })?,
            numbers: read,
            time_unix_s: self.time_unix_s.0,
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerdictJson {
    accused: Hex32,
    challenger: Hex32,
    claim: Hex32,
    loser: String,
    operator: Hex32,
    reason: String,
    started_unix_s: U64String,
    time_unix_s: U64String,
    transcript: Hex32,
    turn_s: u32,
}

impl VerdictJson {
    pub(super) fn new(statement: &VerdictStatement) -> Self {
        let VerdictStatement {
            operator,
            claim,
            accused,
            challenger,
            started_unix_s,
            turn_s,
            transcript,
            loser,
            reason,
            time_unix_s,
        } = statement;
        Self {
            accused: Hex32(*accused.as_bytes()),
            challenger: Hex32(*challenger.as_bytes()),
            claim: Hex32(*claim.as_bytes()),
            loser: loser.as_str().to_owned(),
            operator: Hex32(*operator.as_bytes()),
            reason: reason.as_str().to_owned(),
            started_unix_s: U64String(*started_unix_s),
            time_unix_s: U64String(*time_unix_s),
            transcript: Hex32(*transcript.as_bytes()),
            turn_s: *turn_s,
        }
    }
}

impl PredicateJson for VerdictJson {
    fn read(self) -> Result<Statement, StatementError> {
        let mut losers = Loser::ALL.into_iter();
        let loser = losers.find(|loser| loser.as_str() == self.loser);
        let accused = key("accused", &self.accused)?;
        let challenger = key("challenger", &self.challenger)?;
        if accused == challenger {
            return Err(StatementError::Word {
                field: "challenger",
            });
        }
        Ok(Statement::Verdict(VerdictStatement {
            operator: key("operator", &self.operator)?,
            claim: ClaimDigest::from_bytes(self.claim.0),
            accused,
            challenger,
            started_unix_s: self.started_unix_s.0,
            turn_s: self.turn_s,
            transcript: Digest::from_bytes(self.transcript.0),
            loser: loser.ok_or(StatementError::Word { field: "loser" })?,
            reason: name("reason", &self.reason)?,
            time_unix_s: self.time_unix_s.0,
        }))
    }
}
