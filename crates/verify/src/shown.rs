//! What bundles that are no answers show: a key's statement, and a log's two truths.
//!
//! Each function checks all that can be checked offline and returns what that showed. None makes a
//! [`Verified`](crate::Verified), which is for answers alone.

use credence_base::{PublicKey, ReceiptDigest};
use credence_log::checkpoint::CheckpointError;
use credence_log::key::VerifierKeyError;
use credence_log::{Equivocation, EquivocationError, Logged, SignedCheckpoint, VerifierKey};
use credence_receipt::{Bundle, KeyStatement, Kind, Statement};

use crate::keys::key_statement;
use crate::logged::{check_log_at_any_age, clock};
use crate::policy::{Facts, Policy};
use crate::refusal::Refusal;

/// Why a statement of a log's equivocation shows none.
#[derive(Debug, thiserror::Error)]
pub enum NotEquivocation {
    /// The log's key is none.
    #[error("the statement names no verifier key of a log")]
    Log(#[source] VerifierKeyError),
    /// A checkpoint is none.
    #[error("the {which} checkpoint is malformed")]
    Checkpoint {
        /// `first` or `second`.
        which: &'static str,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// Both may be true.
    #[error("the two checkpoints show nothing against the log")]
    Nothing(#[source] EquivocationError),
}

/// A log that said two things which cannot both be true. Whoever has the bundle can check it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownEquivocation {
    /// The digest of the statement.
    pub digest: ReceiptDigest,
    /// Who showed it. Nothing hangs on that: the evidence speaks for itself.
    pub reporter: PublicKey,
    /// When, by the reporter's clock, in seconds since 1970-01-01 UTC.
    pub time_unix_s: u64,
    /// The log and its two checkpoints.
    pub equivocation: Equivocation,
}

/// A key's statement about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKeyStatement {
    /// The digest of the statement.
    pub digest: ReceiptDigest,
    /// The statement, which the key signed.
    pub statement: KeyStatement,
    /// Where it stands in a log that the policy believes, if the policy names one and the bundle has a proof.
    pub logged: Option<Logged>,
}

/// Confirms that a bundle of kind equivocation shows one: signature, form, and that the log's key signed both checkpoints, of one
/// size and two roots. It needs no policy: whether that log matters is the reader's affair.
///
/// # Errors
/// [`Refusal`], the first reason met.
pub fn confirm_equivocation(bundle: &Bundle) -> Result<ShownEquivocation, Refusal> {
    let signed = bundle.receipt().open().map_err(Refusal::from_open)?;
    let statement = match signed.into_statement() {
        Statement::Equivocation(statement) => statement,
        other @ (Statement::Inference(_)
        | Statement::Key(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_)) => {
            return Err(Refusal::Kind {
                expected: Kind::Equivocation,
                got: other.kind(),
            });
        }
    };
    let read = |which, text: &str| {
        SignedCheckpoint::parse(text.as_bytes())
            .map_err(|source| NotEquivocation::Checkpoint { which, source })
    };
    let check = || {
        let log: VerifierKey = statement.log.parse().map_err(NotEquivocation::Log)?;
        let first = read("first", &statement.first)?;
        let second = read("second", &statement.second)?;
        Equivocation::check(&log, &first, &second).map_err(NotEquivocation::Nothing)
    };
    Ok(ShownEquivocation {
        digest: bundle.receipt().digest(),
        reporter: statement.operator,
        time_unix_s: statement.time_unix_s,
        equivocation: check().map_err(Refusal::NotEquivocation)?,
    })
}

/// Confirms that a bundle holds a statement which its key signed, and where a log that the policy believes has it.
///
/// # Errors
/// [`Refusal`], the first reason met; [`Refusal::NoLogProof`] when the policy requires a log proof and there is none.
pub fn confirm_key_statement(
    bundle: &Bundle,
    policy: &Policy,
    facts: &Facts,
) -> Result<ShownKeyStatement, Refusal> {
    let statement = key_statement(bundle)?;
    let demand = policy.log.as_ref();
    let logged = check_log_at_any_age(bundle, demand, clock(policy, facts))?;
    if logged.is_none() && demand.is_some_and(|demand| demand.required) {
        return Err(Refusal::NoLogProof);
    }
    Ok(ShownKeyStatement {
        digest: bundle.receipt().digest(),
        statement,
        logged,
    })
}
