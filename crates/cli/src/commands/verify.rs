//! `credence verify`: checks a bundle against a policy, offline.
//!
//! What costs little is checked first: a bundle with a wrong signature, or of an operator that the policy does not accept, is
//! refused before a model is loaded. Then everything is checked again in one go, with the model at hand; only that second
//! check accepts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_base::ModelId;
use credence_claim::MethodId;
use credence_hub::{Hub, HubError};
use credence_method_replay::Replay;
use credence_method_snark::pcs::Security;
use credence_method_snark::{Snark, Voucher};
use credence_method_spot::{Challenge, Demand, Spot};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Kind};
use credence_store::file;
use credence_verify::{Facts, Policy, Receipt, Refusal, Verified, check};
use credence_wiring::methods;
use serde::Serialize;

use crate::args::{Draws, VerifyArgs};
use crate::commands::audit::{HALF_PPM, checkpoint_challenge};
use crate::commands::verify_evidence;
use crate::commands::verify_shown::ShownView;
use crate::commands::verify_stream::{self, StreamView};
use crate::commands::weights;
use crate::context::{Context, Found, engine_options};
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::policy;
use crate::time::now_unix_s;
use crate::view::assurance::{AcceptedView, RefusedView};

/// The longest bundle of a statement about a key, in bytes: an envelope and a log proof.
const KEY_STATEMENT_LEN_MAX: usize = 1024 * 1024;

/// What `verify --json` prints.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum View {
    Shown(ShownView),
    Answer(AcceptedView),
    Stream(StreamView),
}

impl View {
    fn text(&self) -> String {
        match self {
            Self::Shown(view) => view.text(),
            Self::Answer(view) => view.text(),
            Self::Stream(view) => view.text(),
        }
    }
}

/// Verifies a file and prints what that earned.
pub(crate) fn run(context: &mut Context, args: &VerifyArgs) -> Result<(), CliError> {
    let json = context.console.json();
    match view(context, args) {
        Ok(view) if json => context.console.data_json(&view),
        Ok(view) => context.console.data(&view.text()),
        Err(error) => {
            if json {
                context.console.data_json(&RefusedView::new(&error))?;
            }
            Err(error)
        }
    }
}

fn view(context: &Context, args: &VerifyArgs) -> Result<View, CliError> {
    if let Some(shown) = ShownView::of(args)? {
        return Ok(View::Shown(shown));
    }
    let bundle = args.bundle.as_deref();
    let verified = bundle.map(|path| verify(context, path, args)).transpose()?;
    match (&args.stream, verified) {
        (Some(path), verified) => {
            let mut policy = demanded(args)?;
            if let Some(text) = &args.model {
                narrow(&mut policy, &context.model(text)?)?;
            }
            let view = verify_stream::check(path, &policy, verified.as_ref())?;
            Ok(View::Stream(view))
        }
        (None, Some(verified)) => Ok(View::Answer(AcceptedView::new(&verified))),
        (None, None) => Err(CliError::new(
            Exit::Usage,
            "there is nothing to verify: name a bundle",
        )),
    }
}

fn verify(
    context: &Context,
    path: &Path,
    args: &VerifyArgs,
) -> Result<Verified<Receipt>, CliError> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max)?;
    let refuse = |refusal: &Refusal| refused(path, refusal);
    if verify_evidence::begins(&bytes) {
        let what = format!(
            "`{}` is evidence against a log, and no answer",
            path.display()
        );
        return Err(CliError::new(Exit::PolicyUnmet, what).hint("`--kind evidence` confirms it"));
    }
    let bundle =
        Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|error| refuse(&Refusal::Bundle(error)))?;
    let mut policy = demanded(args)?;
    let facts = Facts {
        now_unix_s: now_unix_s()?,
        key_statements: key_statements(&args.key_statement)?,
    };

    let named = match &args.model {
        Some(text) => {
            let found = context.model(text)?;
            narrow(&mut policy, &found)?;
            Some(found)
        }
        None => None,
    };
    let cheap = Policy {
        required: Vec::new(),
        bits_min: None,
        ..policy.clone()
    };
    let signed = check(&bundle, &cheap, &[], &facts).map_err(|e| refuse(&e))?;
    let claimed = signed.value().inference().claim.fields().model;

    let runs_again = policy.required.contains(&MethodId::REPLAY);
    if !policy.required.contains(&MethodId::SNARK)
        && (args.weights.is_some() || !args.voucher.is_empty())
    {
        let what = "`--weights` and `--voucher` are about a proof, and none is asked for";
        return Err(CliError::new(Exit::Usage, what).hint("add `--require snark`"));
    }
    let bound = match &args.weights {
        Some(path) => Some(weights::read(path, &policy, &facts)?),
        None => None,
    };
    let proves = policy.required.contains(&MethodId::SNARK) && bound.is_none();
    let found = match named {
        Some(found) => Some(found),
        None if runs_again || proves => from_home(context, claimed)?,
        None => None,
    };
    let snark = snark(bound, found.as_ref().filter(|_| proves));
    let replay = match found {
        Some(found) if runs_again => Replay::new(found.model, engine_options(args.engine.threads))
            .map_err(|e| CliError::ours("the model cannot be run on this machine", e))?,
        Some(_) | None => Replay::without_model(),
    };
    let demand = args
        .policy
        .as_deref()
        .map_or(Ok(Demand::USUAL), read_spot)?;
    let asked = SpotAsked {
        draws: args.challenge,
        cells: args.cells,
        rows: args.rows,
    };
    let spot = asked.method(&bundle, (&policy, demand), facts.now_unix_s)?;
    let methods = methods(&replay, &spot, &snark);
    check(&bundle, &policy, &methods, &facts).map_err(|e| refuse(&e))
}

/// Which evidence of a spot check is asked for.
pub(crate) struct SpotAsked {
    /// Whence an audit drew; none for what an operator attached by itself.
    pub(crate) draws: Option<Draws>,
    /// Cells that the audit drew.
    pub(crate) cells: u32,
    /// Tokens that the audit drew again.
    pub(crate) rows: u32,
}

impl SpotAsked {
    /// The method that checks it.
    pub(crate) fn method(
        &self,
        bundle: &Bundle,
        (policy, demand): (&Policy, Demand),
        now_unix_s: u64,
    ) -> Result<Spot, CliError> {
        let challenge = match self.draws {
            None => {
                let spot = Spot::new(Vec::new(), demand, Challenge::Claim);
                return spot.map_err(|e| CliError::of(Exit::Usage, e));
            }
            Some(Draws::Drawn(digest)) => Challenge::Auditor(*digest.as_bytes()),
            Some(Draws::Checkpoint) => checkpoint_challenge(bundle, policy, now_unix_s)?,
            Some(Draws::Random) => {
                let what = "an audit is checked by the bytes that it drew, not by others";
                return Err(CliError::new(Exit::Usage, what));
            }
        };
        // What an audit kept: just the cells that its draws asked for.
        let drawn = (self.cells, self.rows);
        let spot = Spot::drawing(Vec::new(), drawn, HALF_PPM, challenge);
        spot.map_err(|e| CliError::of(Exit::Usage, e))
    }
}

/// The check of proofs: by a card that someone vouches for, by the model, or by nothing.
fn snark(bound: Option<weights::Bound>, found: Option<&Found>) -> Snark {
    match (bound, found) {
        (Some(bound), _) => {
            let voucher = Voucher {
                key: bound.shown.statement.operator,
                time_unix_s: bound.shown.statement.time_unix_s,
                is_expected: bound.shown.is_expected,
            };
            Snark::apart(bound.card, voucher, Security::Bits100)
        }
        (None, Some(found)) => Snark::new(Arc::clone(&found.model), Security::Bits100),
        (None, None) => Snark::without_model(),
    }
}

/// The statements about keys in those files. That one cannot be used is an error: passing over it might pass over a revocation.
fn key_statements(paths: &[PathBuf]) -> Result<Vec<Bundle>, CliError> {
    let len_max = u64::try_from(KEY_STATEMENT_LEN_MAX).unwrap_or(u64::MAX);
    let read = |path: &PathBuf| {
        let bytes = file::read(path, len_max)?;
        Bundle::decode(&bytes, KEY_STATEMENT_LEN_MAX)
            .map_err(|error| refused(path, &Refusal::Bundle(error)))
    };
    paths.iter().map(read).collect()
}

/// What a file demands.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, CliError> {
    let bytes = file::read(path, policy::POLICY_BYTES_MAX)?;
    policy::read(&bytes).map_err(|error| {
        let what = format!("`{}` cannot be used: {}", path.display(), chain(&error));
        CliError::new(Exit::Usage, what).hint("`docs/spec/policy.md` lists the fields of a policy")
    })
}

/// How sure a file demands an attached spot check to be.
pub(crate) fn read_spot(path: &Path) -> Result<Demand, CliError> {
    let bytes = file::read(path, policy::POLICY_BYTES_MAX)?;
    policy::spot_demand(&bytes).map_err(|error| {
        let what = format!("`{}` cannot be used: {}", path.display(), chain(&error));
        CliError::new(Exit::Usage, what).hint("`docs/spec/policy.md` lists the fields of a policy")
    })
}

/// What the options demand.
pub(crate) fn demanded(args: &VerifyArgs) -> Result<Policy, CliError> {
    if let Some(path) = &args.policy {
        return read_policy(path);
    }
    let of = |error: policy::PolicyError| CliError::of(Exit::Usage, error);
    let usual = policy::usual();
    let operators = (!args.operator.is_empty()).then(|| args.operator.clone());
    let required = if args.require.is_empty() {
        usual.required.clone()
    } else {
        policy::methods(&args.require).map_err(of)?
    };
    Ok(Policy {
        required,
        operators,
        nonce: args.nonce,
        age_max_s: args.max_age,
        bits_min: args.min_bits,
        vouchers: (!args.voucher.is_empty()).then(|| args.voucher.clone()),
        ..usual
    })
}

/// Whoever names a model means that the receipt must be about it.
fn narrow(policy: &mut Policy, found: &Found) -> Result<(), CliError> {
    let id = found.model.id();
    match &policy.models {
        Some(accepted) if !accepted.contains(&id) => {
            let what =
                format!("model `{id}`, which `--model` names, is none that the policy accepts");
            Err(CliError::new(Exit::PolicyUnmet, what))
        }
        Some(_) | None => {
            policy.models = Some(vec![id]);
            Ok(())
        }
    }
}

/// The claimed model, if the home folder has it. That it is absent is for the check to say; that it is damaged is not.
pub(crate) fn from_home(context: &Context, id: ModelId) -> Result<Option<Found>, CliError> {
    let Ok(home) = context.home() else {
        return Ok(None);
    };
    match Hub::at(home.models()).load(id) {
        Ok(loaded) => Ok(Some(Found::new(loaded, id.to_string()))),
        Err(HubError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn refused(path: &Path, refusal: &Refusal) -> CliError {
    let what = format!("`{}` is refused: {}", path.display(), chain(refusal));
    let error = CliError::new(refusal.kind().into(), what);
    match hint(refusal) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::Bundle(_) => Some(
            "a bundle is one line of canonical JSON, unchanged to the last byte: fetch it again",
        ),
        Refusal::Signature | Refusal::Signer { .. } => {
            Some("the receipt was changed after it was signed, or signed by another key")
        }
        Refusal::Openings(_) => {
            Some("what the bundle shows is not what was signed: it was changed on the way")
        }
        Refusal::Refuted { .. } => Some(
            "the operator signed something that is not so; the bundle shows it to anyone who has the model",
        ),
        Refusal::Missing {
            fact: credence_claim::Fact::Model(_),
            ..
        } => Some(
            "get that model: `credence model import`, or `--model FILE.safetensors`; `--require signed` checks the signature alone",
        ),
        Refusal::Missing { .. } => Some(
            "whoever holds the whole bundle can give it; `--require signed` checks the signature alone",
        ),
        Refusal::Model { .. } => {
            Some("the receipt is about another model than the one that was named")
        }
        Refusal::NoMethod { .. } => {
            Some("this build has the methods `signed`, `replay`, `spot` and `snark`")
        }
        Refusal::Kind { got, .. } => kind_hint(*got),
        Refusal::Bits { .. } => Some(
            "ask the operator for a stronger proof, `credence prove --security 128`, or require `replay`",
        ),
        Refusal::NoBits { .. } => {
            Some("a signature and a spot check bound nothing: require `replay` or `snark` as well")
        }
        Refusal::Future { .. } => {
            Some("compare the clocks; `max_clock_skew_s` in a policy allows more")
        }
        Refusal::NoLogProof
        | Refusal::Witnesses { .. }
        | Refusal::CheckpointAge { .. }
        | Refusal::LogProof(_)
        | Refusal::LogSignature(_)
        | Refusal::Inclusion(_)
        | Refusal::UnknownLog { .. }
        | Refusal::KeyRevoked { .. }
        | Refusal::KeyRotated { .. }
        | Refusal::Successors { .. } => log_hint(refusal),
        Refusal::Voucher { .. } => Some(
            "whoever has the model checks the commitment: `credence weights check`; `--voucher KEY` takes another key's word",
        ),
        Refusal::Statement(_)
        | Refusal::Contradiction(_)
        | Refusal::LogUnsigned { .. }
        | Refusal::LogContradiction(_)
        | Refusal::CosignatureFuture { .. }
        | Refusal::DatedAfterLogged { .. }
        | Refusal::KeyStatement { .. }
        | Refusal::KeyExpired { .. }
        | Refusal::NotEquivocation(_)
        | Refusal::Operator { .. }
        | Refusal::Age { .. }
        | Refusal::Nonce { .. }
        | Refusal::Unreadable { .. }
        | Refusal::Failed { .. } => None,
    }
}

/// How to check a receipt that is no answer.
const fn kind_hint(got: Kind) -> Option<&'static str> {
    match got {
        Kind::Equivocation => Some("`--kind equivocation` confirms a log's two truths"),
        Kind::KeyStatement => Some("`--kind key-statement` confirms what becomes of a key"),
        Kind::Verdict => Some("`--kind verdict` confirms who lost a dispute"),
        Kind::Inference | Kind::Audit | Kind::WeightsBinding | Kind::Imported => None,
    }
}

/// What to do about logs and keys.
fn log_hint(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NoLogProof => Some(
            "ask the operator for the bundle again, once its log has a checkpoint that covers the receipt",
        ),
        Refusal::Witnesses { .. } | Refusal::CheckpointAge { .. } => Some(
            "ask the operator for a newer log proof; `[log]` in the policy says what is asked of one",
        ),
        Refusal::LogProof(_) | Refusal::LogSignature(_) | Refusal::Inclusion(_) => Some(
            "the log proof is damaged, or was never this receipt's: ask the operator for it again",
        ),
        Refusal::UnknownLog { .. } => {
            Some("a policy names the logs that it believes, by their verifier keys, under `[log]`")
        }
        Refusal::KeyRevoked { .. } => Some(
            "a receipt by a revoked key counts only if witnesses saw it in a log before the key was lost",
        ),
        Refusal::KeyRotated { .. } => {
            Some("ask the operator for an answer that its present key signed")
        }
        Refusal::Successors { .. } => {
            Some("find out from the operator which key is its own, and name that in the policy")
        }
        _ => None,
    }
}
