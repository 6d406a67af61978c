//! The log part of a policy: whether a bundle's receipt is in a log that the policy believes, and what that shows.
//!
//! It deliberately fetches nothing: the proof is in the bundle, and what the log has done since is not known here.

use credence_claim::{Finding, LogPlace};
use credence_log::{Clock, LogProof, Logged};
use credence_receipt::Bundle;

use crate::policy::{Facts, LogDemand, Policy};
use crate::refusal::Refusal;

/// The verifier's clock.
pub(crate) const fn clock(policy: &Policy, facts: &Facts) -> Clock {
    Clock {
        now_unix_s: facts.now_unix_s,
        skew_max_s: policy.skew_max_s,
    }
}

/// Checks the bundle's log proof. `None` when the policy names no log, or asks for no proof and there is none.
pub(crate) fn check_log(
    bundle: &Bundle,
    time_unix_s: u64,
    policy: &Policy,
    facts: &Facts,
) -> Result<Option<Logged>, Refusal> {
    let Some(LogDemand {
        policy: logs,
        required,
    }) = &policy.log
    else {
        return Ok(None);
    };
    let Some(proof) = read_proof(bundle)? else {
        return if *required {
            Err(Refusal::NoLogProof)
        } else {
            Ok(None)
        };
    };
    let digest = bundle.receipt().digest();
    let logged = proof
        .verify(&digest, logs, clock(policy, facts))
        .map_err(Refusal::from_log_proof)?;
    match logged.witnessed().by_unix_s() {
        Some(by_unix_s) if time_unix_s > by_unix_s.saturating_add(policy.skew_max_s) => {
            Err(Refusal::DatedAfterLogged {
                time_unix_s,
                by_unix_s,
            })
        }
        Some(_) | None => Ok(Some(logged)),
    }
}

/// Checks the log proof of a statement that stays true once it was logged, whatever the checkpoint's age. `None` when the
/// policy names no log, or there is no proof.
pub(crate) fn check_log_at_any_age(
    bundle: &Bundle,
    demand: Option<&LogDemand>,
    clock: Clock,
) -> Result<Option<Logged>, Refusal> {
    let Some(demand) = demand else {
        return Ok(None);
    };
    let Some(proof) = read_proof(bundle)? else {
        return Ok(None);
    };
    let digest = bundle.receipt().digest();
    proof
        .verify_at_any_age(&digest, &demand.policy, clock)
        .map(Some)
        .map_err(Refusal::from_log_proof)
}

fn read_proof(bundle: &Bundle) -> Result<Option<LogProof>, Refusal> {
    let Some(text) = bundle.log() else {
        return Ok(None);
    };
    LogProof::parse(text.as_bytes())
        .map(Some)
        .map_err(Refusal::LogProof)
}

/// What the log shows, and what its witnesses do.
pub(crate) fn findings(logged: &Logged, now_unix_s: u64) -> Vec<Finding> {
    let witnessed = logged.witnessed();
    let place = LogPlace {
        log: witnessed.log().name(),
        index: logged.index(),
        size: witnessed.checkpoint().size(),
    };
    let at_unix_s = witnessed.at_unix_s();
    let mut findings = vec![Finding::logged(&place, at_unix_s.is_some())];
    if let Some(at) = at_unix_s {
        let count = u64::try_from(witnessed.cosigners().len()).unwrap_or(u64::MAX);
        let age_s = now_unix_s.saturating_sub(at);
        findings.push(Finding::witnessed(count, witnessed.quorum(), age_s));
    }
    findings
}
