//! One audit of one bundle: run again if the model is at hand, else a few cells opened by the operator.
//!
//! ```text
//! signature ─▶ model here? ─yes─▶ replay ─────────────────────────▶ replayed | refuted | failed
//!                          └no─▶ random bytes ─▶ operator opens ─▶ spot checked | refuted | unanswered | failed
//! ```
//!
//! It deliberately believes the operator in nothing: what it opens is checked under the claim that it signed.

use std::sync::Arc;

use credence_base::{ModelId, PublicKey, ReceiptDigest};
use credence_claim::{Fact, MethodId};
use credence_exec::Options;
use credence_method_replay::Replay;
use credence_method_spot::{Challenge, EVIDENCE_VERSION, Spot};
use credence_model::Model;
use credence_receipt::{AuditOutcome, Bundle, Kept};
use credence_verify::{Facts, Policy, Refusal, RefusalKind, check};
use credence_witness::fetch::{Fetcher, Prefix};
use credence_witness::server::chain_of;

use super::board::Counts;
use crate::opening::{Asked, ask, with_evidence};

/// Gives a model by its id, if it is at hand.
pub type ModelSource = Arc<dyn Fn(ModelId) -> Option<Arc<Model>> + Send + Sync>;

/// The share of wrong work whose bound an audit's numbers are about: half.
const HALF_PPM: u32 = 500_000;

/// How audits are made.
#[derive(Clone)]
pub struct Means {
    /// Models at hand.
    pub models: ModelSource,
    /// How they are run.
    pub options: Options,
    /// Where the operator answers.
    pub operator: Prefix,
    /// Cells of a spot check.
    pub cells: u32,
    /// Tokens of a spot check.
    pub rows: u32,
}

/// What came of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Run again, and right.
    Replayed,
    /// Some cells opened, and right.
    SpotChecked,
    /// False.
    Refuted,
    /// Not carried through here.
    Failed,
    /// The operator did not open or show.
    Unanswered,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::SpotChecked => "spot_checked",
            Self::Refuted => "refuted",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }

    /// What an audit's statement says.
    pub(super) const fn stated(self) -> AuditOutcome {
        match self {
            Self::Replayed | Self::SpotChecked => AuditOutcome::Passed,
            Self::Refuted => AuditOutcome::Refuted,
            Self::Failed | Self::Unanswered => AuditOutcome::Failed,
        }
    }

    pub(super) const fn count(self, counts: &mut Counts) {
        let one = match self {
            Self::Replayed => &mut counts.replayed,
            Self::SpotChecked => &mut counts.spot_checked,
            Self::Refuted => &mut counts.refuted,
            Self::Failed => &mut counts.failed,
            Self::Unanswered => &mut counts.unanswered,
        };
        *one = one.saturating_add(1);
    }
}

/// An audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Audited {
    pub(super) receipt: ReceiptDigest,
    pub(super) operator: PublicKey,
    pub(super) method: MethodId,
    pub(super) version: u32,
    pub(super) outcome: Outcome,
    pub(super) numbers: Vec<(&'static str, u64)>,
    /// Why it did not pass, in words.
    pub(super) words: Option<String>,
}

/// Audits a bundle; nothing if its receipt is not an operator's signed answer.
pub(super) fn audit(
    means: &Means,
    fetcher: &Fetcher,
    bundle: &Bundle,
    now_unix_s: u64,
) -> Option<Audited> {
    let facts = Facts::at(now_unix_s);
    let policy = Policy::signature_only();
    let signed = check(bundle, &policy, &[], &facts).ok()?;
    let inference = signed.value().inference();
    let model = inference.claim.fields().model;
    let audited = |method, version, outcome, numbers, words| Audited {
        receipt: bundle.receipt().digest(),
        operator: inference.operator,
        method,
        version,
        outcome,
        numbers,
        words,
    };
    if let Some(model) = (means.models)(model) {
        let (outcome, words) = match Replay::new(model, means.options) {
            Ok(replay) => {
                let policy = Policy {
                    required: vec![MethodId::REPLAY],
                    ..policy
                };
                judged(
                    check(bundle, &policy, &[&replay], &facts),
                    Outcome::Replayed,
                )
            }
            Err(error) => (Outcome::Failed, Some(chain_of(&error))),
        };
        return Some(audited(MethodId::REPLAY, 1, outcome, Vec::new(), words));
    }
    let (outcome, words) = spot(means, fetcher, bundle, &facts);
    let numbers = vec![
        ("cells", u64::from(means.cells)),
        ("rows", u64::from(means.rows)),
    ];
    let version = u32::from(EVIDENCE_VERSION);
    Some(audited(MethodId::SPOT, version, outcome, numbers, words))
}

fn judged<T>(checked: Result<T, Refusal>, good: Outcome) -> (Outcome, Option<String>) {
    let Err(refusal) = checked else {
        return (good, None);
    };
    let outcome = match refusal.kind() {
        RefusalKind::Refuted => Outcome::Refuted,
        // What the claim says of itself, or what was opened for it, has no sense: it was not shown.
        RefusalKind::Malformed | RefusalKind::Inconsistent | RefusalKind::BadSignature => {
            Outcome::Unanswered
        }
        // What the operator alone could have opened, and left out of its bundle.
        RefusalKind::MissingFacts if is_withheld(&refusal) => Outcome::Unanswered,
        RefusalKind::PolicyUnmet | RefusalKind::MissingFacts | RefusalKind::Failed => {
            Outcome::Failed
        }
    };
    (outcome, Some(chain_of(&refusal)))
}

/// Whether what is missing is an opening of the claim: who signed it has it. An engine or a form of evidence that this build lacks is nobody's fault.
const fn is_withheld(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Missing {
            fact: Fact::Input | Fact::Params | Fact::Output | Fact::TraceSalt,
            ..
        }
    )
}

fn spot(
    means: &Means,
    fetcher: &Fetcher,
    bundle: &Bundle,
    facts: &Facts,
) -> (Outcome, Option<String>) {
    let mut random = [0; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        return (Outcome::Failed, Some(error.to_string()));
    }
    let challenge = Challenge::Auditor(random);
    let asked = Asked {
        challenge: &challenge,
        cells: means.cells,
        rows: means.rows,
        card: "text",
    };
    let opened = match ask(fetcher, &means.operator, &Kept::of(bundle), asked) {
        Ok(opened) => opened,
        Err(error) => return (Outcome::Unanswered, Some(chain_of(&error))),
    };
    let drawn = (means.cells, means.rows);
    let spot = match Spot::drawing(Vec::new(), drawn, HALF_PPM, challenge) {
        Ok(spot) => spot,
        Err(error) => return (Outcome::Failed, Some(error.to_string())),
    };
    let audited = match with_evidence(bundle, opened) {
        Ok(audited) => audited,
        Err(error) => return (Outcome::Failed, Some(chain_of(&error))),
    };
    let policy = Policy {
        required: vec![MethodId::SPOT],
        ..Policy::signature_only()
    };
    judged(
        check(&audited, &policy, &[&spot], facts),
        Outcome::SpotChecked,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(fact: Fact) -> Outcome {
        let method = MethodId::REPLAY;
        let refusal = Refusal::Missing { method, fact };
        judged::<()>(Err(refusal), Outcome::Replayed).0
    }

    /// The operator who hands out its bundles without their openings has not answered; one whose answers this build cannot check has.
    #[test]
    fn openings_that_are_left_out_are_no_answer() {
        for fact in [Fact::Input, Fact::Params, Fact::Output, Fact::TraceSalt] {
            assert_eq!(outcome(fact).as_str(), Outcome::Unanswered.as_str());
        }
        let model = Fact::Model(ModelId::from_bytes([1; 32]));
        for fact in [model, Fact::Replay] {
            assert_eq!(outcome(fact).as_str(), Outcome::Failed.as_str());
        }
    }
}
