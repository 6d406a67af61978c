//! One audit of one bundle: run again if the model is at hand, else a few cells opened by the operator.
//!
//! ```text
//! signature ─▶ openings ─▶ model here? ─yes─▶ replay ───────────────▶ replayed | refuted | failed
//!                            └no─▶ random bytes ─▶ operator opens ─▶ spot checked | refuted | failed
//! what only the operator can show, and did not ─▶ silent: it is asked again
//! ```
//!
//! A bundle that somebody else gave us may have been spoilt by that one: what is wrong with its openings is believed of the operator's own bundle alone.
//!
//! It deliberately believes the operator in nothing: what it opens is checked under the claim that it signed.

use std::sync::Arc;

use credence_base::{ModelId, PublicKey, ReceiptDigest};
use credence_claim::{Fact, MethodId, Opened, Refutation};
use credence_exec::Options;
use credence_method_replay::Replay;
use credence_method_spot::{Challenge, EVIDENCE_VERSION, Spot};
use credence_model::{Model, TensorLimits, Tensors};
use credence_receipt::{
    AuditOutcome, BUNDLE_LEN_MAX, Bundle, Inference, Kept, ReceiptKey, Statement,
};
use credence_verify::{Facts, Policy, Refusal, RefusalKind, check};
use credence_witness::fetch::Prefix;
use credence_witness::server::chain_of;

use super::board::Counts;
use super::library::{Found, From, Place, of_operator};
use crate::cards::{Cards, card_in, check_text};
use crate::opening::{Asked, OPENING_TIME_MAX, OpeningError, ask, with_evidence};

/// Gives a model by its id, if it is at hand.
pub type ModelSource = Arc<dyn Fn(ModelId) -> Option<Arc<Model>> + Send + Sync>;

/// What an audit's signature must be. When a receipt is dated is for its users to judge: an answer from the future is audited as any other.
fn signature_only() -> Policy {
    Policy {
        skew_max_s: u64::MAX,
        ..Policy::signature_only()
    }
}

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
    /// Programs of models that spot checks brought.
    pub cards: Cards,
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
    /// Whose answer it was; nothing if nobody's is shown.
    pub(super) operator: Option<PublicKey>,
    pub(super) method: MethodId,
    pub(super) version: u32,
    pub(super) outcome: Outcome,
    pub(super) numbers: Vec<(&'static str, u64)>,
    /// Why it did not pass, in words.
    pub(super) words: Option<String>,
}

/// What is stated of a receipt that was not answered for.
pub(super) fn silence(
    receipt: ReceiptDigest,
    operator: Option<PublicKey>,
    words: String,
) -> Audited {
    Audited {
        receipt,
        operator,
        method: MethodId::SIGNED,
        version: 1,
        outcome: Outcome::Unanswered,
        numbers: Vec::new(),
        words: Some(words),
    }
}

/// An answer that the model gives, and that is not the one which was expected, has not passed: nor is the claim false.
pub(super) fn expected(
    mut audited: Audited,
    fault: Option<(&'static str, &'static str)>,
) -> Audited {
    if let Some((number, words)) = fault
        && matches!(audited.outcome, Outcome::Replayed | Outcome::SpotChecked)
    {
        audited.outcome = Outcome::Failed;
        audited.numbers.push((number, 0));
        audited.words = Some(words.to_owned());
    }
    audited
}

/// What came of trying to audit.
#[derive(Debug)]
pub(super) enum Judged {
    /// An audit.
    Settled(Box<Audited>),
    /// The operator has not shown what it alone can show: why.
    Silent(String),
    /// The operator has too much to do: what it says.
    Busy(String),
    /// The operator says that we may not see it.
    Forbidden,
    /// No time was left to ask the operator.
    PutOff,
    /// The receipt is not an operator's signed answer.
    NoAnswer,
}

/// What came of it, and whether whoever gave the bundle could have brought it about.
struct Verdict(Judged, bool);

/// Audits a bundle.
pub(super) fn audit(
    means: &Means,
    place: &Place<'_>,
    (bundle, from): (&Bundle, From),
    now_unix_s: u64,
) -> Judged {
    let Verdict(judged, doubtful) = judge(means, place, (bundle, from), now_unix_s);
    if from == From::Operator || !doubtful {
        return judged;
    }
    let Some(key) = ReceiptKey::of(bundle) else {
        return Judged::Forbidden;
    };
    match of_operator(bundle.receipt().digest(), key, place) {
        Found::Bundle(own, from) => judge(means, place, (&own, from), now_unix_s).0,
        Found::Busy(words) => Judged::Busy(words),
        Found::Silent(words) => Judged::Silent(words),
        Found::PutOff => Judged::PutOff,
        // The key follows from the trace's salt, which may be what was spoilt.
        Found::Forbidden | Found::Unseen => Judged::Forbidden,
    }
}

fn judge(
    means: &Means,
    place: &Place<'_>,
    (bundle, from): (&Bundle, From),
    now_unix_s: u64,
) -> Verdict {
    let opened = bundle.receipt().open();
    let Some(Statement::Inference(inference)) = opened.ok().map(|open| open.into_statement())
    else {
        return Verdict(Judged::NoAnswer, false);
    };
    let facts = Facts::at(now_unix_s);
    let policy = signature_only();
    let digest = bundle.receipt().digest();
    if let Err(refusal) = check(bundle, &policy, &[], &facts) {
        let words = chain_of(&refusal);
        if matches!(refusal, Refusal::Openings(_)) {
            return Verdict(Judged::Silent(words), true);
        }
        let failed = (MethodId::SIGNED, 1, Outcome::Failed, Vec::new());
        return Verdict(settled(&inference, digest, failed, Some(words)), false);
    }
    match (means.models)(inference.claim.fields().model) {
        Some(model) => replay((means, &model), bundle, &inference, &facts),
        None => spot(means, place, (bundle, from, &inference), &facts),
    }
}

/// A method, its version, what came of it, and its numbers.
type Made = (MethodId, u32, Outcome, Vec<(&'static str, u64)>);

fn settled(
    inference: &Inference,
    receipt: ReceiptDigest,
    (method, version, outcome, numbers): Made,
    words: Option<String>,
) -> Judged {
    Judged::Settled(Box::new(Audited {
        receipt,
        operator: Some(inference.operator),
        method,
        version,
        outcome,
        numbers,
        words,
    }))
}

fn replay(
    (means, model): (&Means, &Arc<Model>),
    bundle: &Bundle,
    inference: &Inference,
    facts: &Facts,
) -> Verdict {
    let digest = bundle.receipt().digest();
    let made = |outcome| (MethodId::REPLAY, 1, outcome, Vec::new());
    let replay = match Replay::new(Arc::clone(model), means.options) {
        Ok(replay) => replay,
        Err(error) => {
            let words = Some(chain_of(&error));
            return Verdict(
                settled(inference, digest, made(Outcome::Failed), words),
                false,
            );
        }
    };
    let policy = Policy {
        required: vec![MethodId::REPLAY],
        ..signature_only()
    };
    let refusal = match check(bundle, &policy, &[&replay], facts) {
        Ok(_) => {
            let outcome = made(Outcome::Replayed);
            return Verdict(settled(inference, digest, outcome, None), false);
        }
        Err(refusal) => refusal,
    };
    let words = chain_of(&refusal);
    if is_withheld(&refusal) {
        return Verdict(Judged::Silent(words), true);
    }
    let doubtful = matches!(
        refusal,
        Refusal::Refuted {
            refutation: Refutation::Trace { .. },
            ..
        }
    );
    let outcome = made(outcome_of(&refusal));
    Verdict(settled(inference, digest, outcome, Some(words)), doubtful)
}

/// What a refusal by a method says of the operator, if all that it could open was opened.
const fn outcome_of(refusal: &Refusal) -> Outcome {
    match refusal.kind() {
        RefusalKind::Refuted => Outcome::Refuted,
        // What it committed to has no sense: it has shown nothing, and will not.
        RefusalKind::Malformed | RefusalKind::Inconsistent | RefusalKind::BadSignature => {
            Outcome::Unanswered
        }
        RefusalKind::PolicyUnmet | RefusalKind::MissingFacts | RefusalKind::Failed => {
            Outcome::Failed
        }
    }
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
    place: &Place<'_>,
    (bundle, from, inference): (&Bundle, From, &Inference),
    facts: &Facts,
) -> Verdict {
    let numbers = vec![
        ("cells", u64::from(means.cells)),
        ("rows", u64::from(means.rows)),
    ];
    let made = |outcome, words| {
        let version = u32::from(EVIDENCE_VERSION);
        let made = (MethodId::SPOT, version, outcome, numbers.clone());
        let digest = bundle.receipt().digest();
        Verdict(settled(inference, digest, made, words), false)
    };
    let failed = |words: String| made(Outcome::Failed, Some(words));
    if inference.claim.fields().constrained.is_some() {
        return failed("an answer that follows a grammar is for a replay".to_owned());
    }
    if is_encoders(bundle) {
        return failed("an encoder's answer is for a replay".to_owned());
    }
    let mut random = [0; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        return failed(error.to_string());
    }
    let challenge = Challenge::Auditor(random);
    let audited = match opened(means, place, (bundle, from, inference), &challenge) {
        Ok(audited) => audited,
        Err(Unopened::Judged(judged)) => return Verdict(judged, false),
        Err(Unopened::Failed(words)) => return failed(words),
    };
    let (audited, spot, brought) = audited;
    let policy = Policy {
        required: vec![MethodId::SPOT],
        ..signature_only()
    };
    let refusal = match check(&audited, &policy, &[&spot], facts) {
        Ok(_) => {
            let model = inference.claim.fields().model;
            // What is not kept is brought again.
            if let Some(Err(error)) = brought.map(|opened| means.cards.keep(model, &opened)) {
                tracing::warn!(cause = chain_of(&error), "a card is not kept");
            }
            return made(Outcome::SpotChecked, None);
        }
        Err(refusal) => refusal,
    };
    let words = chain_of(&refusal);
    match outcome_of(&refusal) {
        // What it opened shows nothing; it may open something else.
        Outcome::Unanswered => Verdict(Judged::Silent(words), false),
        _ if is_withheld(&refusal) => Verdict(Judged::Silent(words), true),
        outcome => made(outcome, Some(words)),
    }
}

/// Whether an answer is an encoder's: words went in, and tensors came out. Its positions see one another, so no cell of it can be opened.
fn is_encoders(bundle: &Bundle) -> bool {
    let limits = TensorLimits {
        bytes_max: BUNDLE_LEN_MAX,
    };
    let is_tensors = |opened: &Option<Opened>| {
        let opened = opened.as_ref();
        opened.map(|opened| Tensors::decode(&opened.content, limits).is_ok())
    };
    let openings = bundle.openings();
    (is_tensors(&openings.input), is_tensors(&openings.output)) == (Some(false), Some(true))
}

/// Why nothing can be checked.
enum Unopened {
    Judged(Judged),
    Failed(String),
}

/// The bundle with what the operator opened, the method that checks it, and the evidence once more if it brought the model's card.
fn opened(
    means: &Means,
    place: &Place<'_>,
    (bundle, from, inference): (&Bundle, From, &Inference),
    challenge: &Challenge,
) -> Result<(Bundle, Spot, Option<Vec<u8>>), Unopened> {
    let silent = |words| Unopened::Judged(Judged::Silent(words));
    let model = inference.claim.fields().model;
    let known = means.cards.known(model);
    let known = known.map_err(|e| Unopened::Failed(chain_of(&e)))?;
    let ask = |time_max| {
        let asked = Asked {
            challenge,
            cells: means.cells,
            rows: means.rows,
            card: if known.is_some() { "nothing" } else { "text" },
            time_max,
        };
        match ask(place.fetcher, place.operator, &Kept::of(bundle), asked) {
            Err(OpeningError::Fetch(error)) => Err(error),
            answered => Ok(answered),
        }
    };
    let evidence = match place.budget.spend(OPENING_TIME_MAX, ask) {
        None => return Err(Unopened::Judged(Judged::PutOff)),
        Some(Err(error)) => return Err(silent(chain_of(&error))),
        Some(Ok(Ok(evidence))) => evidence,
        // A key that opened the operator's own bundle, or follows from it, is right, whatever the operator says.
        Some(Ok(Err(OpeningError::Refused { status: 403, .. }))) if from == From::Folder => {
            return Err(Unopened::Judged(Judged::Forbidden));
        }
        Some(Ok(Err(error @ OpeningError::Refused { status: 429, .. }))) => {
            return Err(Unopened::Judged(Judged::Busy(chain_of(&error))));
        }
        Some(Ok(Err(error))) => return Err(silent(chain_of(&error))),
    };
    let brought = if known.is_none() {
        let card = card_in(model, &evidence);
        let card = card.ok_or_else(|| silent("the operator sends no program".to_owned()))?;
        check_text(&card).map_err(|e| silent(e.to_string()))?;
        Some(evidence.clone())
    } else {
        None
    };
    let cards = known.into_iter().collect();
    let drawn = (means.cells, means.rows);
    let spot = Spot::drawing(cards, drawn, HALF_PPM, challenge.clone());
    let spot = spot.map_err(|e| Unopened::Failed(e.to_string()))?;
    let audited = with_evidence(bundle, evidence);
    let audited = audited.map_err(|e| silent(chain_of(&e)))?;
    Ok((audited, spot, brought))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operator who hands out its bundles without their openings is asked again; one whose answers this build cannot check has answered.
    #[test]
    fn openings_that_are_left_out_are_no_answer() {
        let method = MethodId::REPLAY;
        for fact in [Fact::Input, Fact::Params, Fact::Output, Fact::TraceSalt] {
            assert!(is_withheld(&Refusal::Missing {
                method: method.clone(),
                fact
            }));
        }
        let model = Fact::Model(ModelId::from_bytes([1; 32]));
        for fact in [model, Fact::Replay] {
            let refusal = Refusal::Missing {
                method: method.clone(),
                fact,
            };
            assert!(!is_withheld(&refusal));
            assert_eq!(outcome_of(&refusal), Outcome::Failed);
        }
    }
}
