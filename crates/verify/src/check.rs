//! The one function that accepts, step by step in the order of `docs/spec/receipt.md`, "Order of checks".

use credence_base::ReceiptDigest;
use credence_claim::{
    Assurance, Case, Evidence, Fact, Finding, Method, MethodId, Openings, Soundness,
};
use credence_log::Logged;
use credence_receipt::{Bundle, Inference, Kind, Statement};

use crate::keys::{KeyKnown, Keys, Signing};
use crate::logged::{self, check_log};
use crate::policy::{Facts, Policy};
use crate::refusal::Refusal;

/// A value that met a policy, and what was shown on the way. Nothing but [`check`] makes one:
///
/// ```compile_fail,E0451
/// let assurance = credence_claim::Assurance::new(Vec::new());
/// let forged = credence_verify::Verified { value: 1, assurance };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    assurance: Assurance,
}

impl<T> Verified<T> {
    /// The value.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// What was shown, trusted and not checked.
    #[must_use]
    pub const fn assurance(&self) -> &Assurance {
        &self.assurance
    }
}

/// A receipt with what was opened of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    digest: ReceiptDigest,
    inference: Inference,
    openings: Openings,
    logged: Option<Logged>,
}

impl Receipt {
    /// The digest that names it.
    #[must_use]
    pub const fn digest(&self) -> &ReceiptDigest {
        &self.digest
    }

    /// Claim, operator and time.
    #[must_use]
    pub const fn inference(&self) -> &Inference {
        &self.inference
    }

    /// Where it stands in a log, if the policy names logs and the bundle has a proof.
    #[must_use]
    pub const fn logged(&self) -> Option<&Logged> {
        self.logged.as_ref()
    }

    /// The opened input, if any.
    #[must_use]
    pub fn input(&self) -> Option<&[u8]> {
        self.openings
            .input
            .as_ref()
            .map(|opened| opened.content.as_slice())
    }

    /// The opened parameters, if any.
    #[must_use]
    pub fn params(&self) -> Option<&[u8]> {
        self.openings
            .params
            .as_ref()
            .map(|opened| opened.content.as_slice())
    }

    /// The opened output, if any.
    #[must_use]
    pub fn output(&self) -> Option<&[u8]> {
        self.openings
            .output
            .as_ref()
            .map(|opened| opened.content.as_slice())
    }
}

/// Decodes a bundle of at most `len_max` bytes and [`check`]s it.
///
/// # Errors
/// [`Refusal::Bundle`] when the bytes are not a bundle, else as [`check`].
pub fn check_bytes(
    bytes: &[u8],
    len_max: usize,
    policy: &Policy,
    methods: &[&dyn Method],
    facts: &Facts,
) -> Result<Verified<Receipt>, Refusal> {
    let bundle = Bundle::decode(bytes, len_max).map_err(Refusal::Bundle)?;
    check(&bundle, policy, methods, facts)
}

/// Accepts `bundle` if it meets `policy`, or says why not.
///
/// `methods` are those this build links. One runs only if the policy requires it.
///
/// # Errors
/// [`Refusal`], the first reason met.
pub fn check(
    bundle: &Bundle,
    policy: &Policy,
    methods: &[&dyn Method],
    facts: &Facts,
) -> Result<Verified<Receipt>, Refusal> {
    let signed = bundle.receipt().open().map_err(Refusal::from_open)?;
    let inference = match signed.into_statement() {
        Statement::Inference(inference) => inference,
        other @ (Statement::Key(_)
        | Statement::Equivocation(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_)) => {
            return Err(Refusal::Kind {
                expected: Kind::Inference,
                got: other.kind(),
            });
        }
    };
    let logged = check_log(bundle, inference.time_unix_s, policy, facts)?;
    let keys = Keys::read(policy, facts)?;
    if let Some(accepted) = &policy.operators {
        keys.check_operator(&inference.operator, accepted)?;
    }
    let signing = Signing {
        time_unix_s: inference.time_unix_s,
        by_unix_s: logged
            .as_ref()
            .and_then(|logged| logged.witnessed().by_unix_s()),
    };
    let known = keys.check(&inference.operator, signing)?;
    check_policy(&inference, policy, facts)?;
    let case = Case::check(&inference.claim, &inference.operator, bundle.openings())
        .map_err(Refusal::Openings)?;

    let mut findings = vec![signed_finding(bundle, &inference, policy, known)];
    if let Some(logged) = &logged {
        findings.extend(logged::findings(logged, facts.now_unix_s));
    }
    let mut bounded = false;
    for method in &policy.required {
        if *method != MethodId::SIGNED {
            let finding = run(method, methods, bundle.evidence(), &case)?;
            bounded |= is_bounded(method, &finding, policy)?;
            findings.push(finding);
        }
    }
    if let Some(expected) = policy.bits_min.filter(|_| !bounded) {
        return Err(Refusal::NoBits { expected });
    }
    let openings = bundle.openings().clone();
    let value = Receipt {
        digest: bundle.receipt().digest(),
        inference,
        openings,
        logged,
    };
    Ok(Verified {
        value,
        assurance: Assurance::new(findings),
    })
}

fn check_policy(inference: &Inference, policy: &Policy, facts: &Facts) -> Result<(), Refusal> {
    let Policy {
        required: _,
        operators: _,
        log: _,
        bits_min: _,
        vouchers: _,
        models,
        age_max_s,
        skew_max_s,
        nonce,
    } = policy;
    let claim = inference.claim.fields();
    if models
        .as_ref()
        .is_some_and(|accepted| !accepted.contains(&claim.model))
    {
        return Err(Refusal::Model { got: claim.model });
    }
    let ahead_s = inference.time_unix_s.saturating_sub(facts.now_unix_s);
    if ahead_s > *skew_max_s {
        return Err(Refusal::Future {
            ahead_s,
            max_s: *skew_max_s,
        });
    }
    let age_s = facts.now_unix_s.saturating_sub(inference.time_unix_s);
    if let Some(max_s) = age_max_s.filter(|max_s| age_s > *max_s) {
        return Err(Refusal::Age { age_s, max_s });
    }
    match nonce {
        Some(expected) if claim.nonce != Some(*expected) => Err(Refusal::Nonce {
            expected: *expected,
            got: claim.nonce,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Whether the finding bounds the chance of a wrong output: then by as many bits as the policy asks for.
fn is_bounded(method: &MethodId, finding: &Finding, policy: &Policy) -> Result<bool, Refusal> {
    match (finding.soundness, policy.bits_min) {
        (Soundness::None, _) => Ok(false),
        (Soundness::Bits(got), Some(expected)) if got < expected => Err(Refusal::Bits {
            method: method.clone(),
            expected,
            got,
        }),
        (Soundness::Bits(_), _) => Ok(true),
    }
}

fn run(
    method: &MethodId,
    methods: &[&dyn Method],
    evidence: &[Evidence],
    case: &Case<'_>,
) -> Result<Finding, Refusal> {
    let linked = methods.iter().find(|linked| linked.id() == *method);
    let linked = linked.ok_or_else(|| Refusal::NoMethod {
        method: method.clone(),
    })?;
    let evidence = evidence
        .iter()
        .find(|evidence| evidence.method == *method && evidence.version == linked.version())
        .map(|evidence| evidence.bytes.as_slice());
    if linked.needs_evidence() && evidence.is_none() {
        return Err(Refusal::Missing {
            method: method.clone(),
            fact: Fact::Evidence,
        });
    }
    linked
        .check(case, evidence)
        .map_err(|error| Refusal::from_method(method.clone(), error))
}

/// What the signature shows, and all that this check leaves open however many methods ran.
fn signed_finding(
    bundle: &Bundle,
    inference: &Inference,
    policy: &Policy,
    known: KeyKnown,
) -> Finding {
    let mut finding = Finding::signed(&inference.operator, policy.operators.is_some());
    if known.statements > 0 {
        finding.shown.push(format!(
            "none of {} statements about that key stands against this signature",
            known.statements
        ));
    }
    let mut open = |text: String| finding.not_checked.push(text);
    open(
        match known.statements {
            0 => "whether the key has been rotated, has expired or was revoked",
            _ => {
                "whether there are other statements about the key, or will be: that cannot be known offline"
            }
        }
        .to_owned(),
    );
    if known.expiry_by_own_clock {
        open(
            "whether it was signed before the key expired: only the operator's clock says so"
                .to_owned(),
        );
    }
    open(
        match (&policy.log, bundle.log()) {
            (_, None) => {
                "whether the operator also signed another answer: the receipt is in no log"
            }
            (None, Some(_)) => "the log proof: the policy names no log",
            (Some(_), Some(_)) => {
                "whether the operator also signed another answer: a log holds digests, and shows how many they are"
            }
        }
        .to_owned(),
    );
    if policy.models.is_none() {
        open("which model it should be: the policy accepts any".to_owned());
    }
    if policy.nonce.is_none() {
        open("whether the answer is to a request of yours: the policy names no nonce".to_owned());
    }
    if policy.age_max_s.is_none() {
        open("how old the receipt is: the policy accepts any age".to_owned());
    }
    for Evidence {
        method, version, ..
    } in bundle.evidence()
    {
        if !policy.required.contains(method) {
            open(format!(
                "evidence for method `{method}` version {version}: not asked for"
            ));
        }
    }
    finding
}
