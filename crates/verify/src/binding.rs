//! Who vouches that a proof system's commitment is to a model's weights: the check of a weights binding.
//!
//! A binding is its signer's word, and whoever has the model derives the commitment again. Here is decided whether that word is one that the policy takes, and at that time; that the commitment is the one that a proof is checked
//! against is for the method, which is given it. It deliberately reads no card.

use credence_base::ReceiptDigest;
use credence_log::Logged;
use credence_receipt::{Bundle, Kind, Statement, WeightsBinding};

use crate::keys::{Keys, Signing};
use crate::logged::{check_log_at_any_age, clock};
use crate::policy::{Facts, Policy};
use crate::refusal::Refusal;

/// A weights binding whose signer the policy takes the word of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownWeightsBinding {
    /// The digest of the statement.
    pub digest: ReceiptDigest,
    /// The statement: who vouches, when, for which commitment to which model's weights.
    pub statement: WeightsBinding,
    /// Whether the policy names who may vouch, or takes anyone's word.
    pub is_expected: bool,
    /// Where it stands in a log, if the policy names one and the bundle has a proof.
    pub logged: Option<Logged>,
}

/// Confirms that a bundle holds a weights binding which its key signed, that the policy takes that key's word, and where a log that the policy believes has it.
///
/// # Errors
/// [`Refusal`], the first reason met; [`Refusal::Voucher`] when the policy names who may vouch, and not this key.
pub fn confirm_weights_binding(
    bundle: &Bundle,
    policy: &Policy,
    facts: &Facts,
) -> Result<ShownWeightsBinding, Refusal> {
    let signed = bundle.receipt().open().map_err(Refusal::from_open)?;
    let statement = match signed.into_statement() {
        Statement::WeightsBinding(statement) => statement,
        other @ (Statement::Inference(_)
        | Statement::Key(_)
        | Statement::Equivocation(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_)) => {
            return Err(Refusal::Kind {
                expected: Kind::WeightsBinding,
                got: other.kind(),
            });
        }
    };
    let demand = policy.log.as_ref();
    let logged = check_log_at_any_age(bundle, demand, clock(policy, facts))?;
    if logged.is_none() && demand.is_some_and(|demand| demand.required) {
        return Err(Refusal::NoLogProof);
    }
    let keys = Keys::read(policy, facts)?;
    let key = statement.operator;
    if let Some(accepted) = &policy.vouchers {
        keys.check_operator(&key, accepted).map_err(|refusal| {
            if matches!(refusal, Refusal::Operator { .. }) {
                Refusal::Voucher { got: key }
            } else {
                refusal
            }
        })?;
    }
    let time_unix_s = statement.time_unix_s;
    let by_unix_s = logged
        .as_ref()
        .and_then(|logged| logged.witnessed().by_unix_s());
    keys.check(
        &key,
        Signing {
            time_unix_s,
            by_unix_s,
        },
    )?;
    let ahead_s = time_unix_s.saturating_sub(facts.now_unix_s);
    if ahead_s > policy.skew_max_s {
        return Err(Refusal::Future {
            ahead_s,
            max_s: policy.skew_max_s,
        });
    }
    Ok(ShownWeightsBinding {
        digest: bundle.receipt().digest(),
        is_expected: policy.vouchers.is_some(),
        statement,
        logged,
    })
}
