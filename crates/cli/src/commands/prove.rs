//! `credence prove`: a succinct proof of a run, added to its bundle.
//!
//! ```text
//! bundle ─signature, openings─▶ claim ─▶ the request run again ─▶ proof ─▶ checked here, as anyone will ─▶ the bundle with it
//! ```
//!
//! It deliberately believes nothing of the bundle: a claim that the model does not bear out has no proof.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credence_claim::{Case, Evidence, Method as _, MethodId};
use credence_exec::Engine;
use credence_method_snark::pcs::Security;
use credence_method_snark::{Snark, Voucher};
use credence_model::Model;
use credence_prove_snark::{Options, ProveError, Weights, prove, prove_with_weights};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::file::{self, Access};
use credence_verify::{Facts, Policy, Refusal, check};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::{ProveArgs, WeightsMode};
use crate::commands::run::duration;
use crate::commands::verify::{from_home, refused};
use crate::commands::weights::uncommitted;
use crate::console::Console;
use crate::context::{Context, Found, engine_options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::now_unix_s;

/// What `prove --json` prints.
#[derive(Debug, Serialize)]
struct ProvedView {
    receipt: String,
    model: String,
    bits: u32,
    proof_bytes: usize,
    proved_in_us: u64,
    checked_in_us: u64,
    bundle: String,
}

/// Proves and writes the bundle with the proof.
pub(crate) fn run(context: &mut Context, args: &ProveArgs) -> Result<(), CliError> {
    let refuse = |refusal: &Refusal| refused(&args.bundle, refusal);
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(&args.bundle, len_max)?;
    let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|e| refuse(&Refusal::Bundle(e)))?;
    let facts = Facts {
        now_unix_s: now_unix_s()?,
        key_statements: Vec::new(),
    };
    let signed = check(&bundle, &Policy::signature_only(), &[], &facts).map_err(|e| refuse(&e))?;
    let inference = signed.value().inference();
    let found = found(context, args, inference.claim.fields().model)?;
    let engine = Engine::new(
        Arc::clone(&found.model),
        engine_options(args.engine.threads),
    )
    .map_err(|e| CliError::ours("the model cannot be run on this machine", e))?;
    let case = Case::check(&inference.claim, &inference.operator, bundle.openings());
    let case = case.map_err(|e| {
        let what = format!(
            "the openings of `{}` are not the claim's",
            args.bundle.display()
        );
        CliError::because(Exit::Inconsistent, what, e)
    })?;

    let security = security(args.security);
    let options = Options {
        security,
        memory_bytes_max: args.memory.saturating_mul(1 << 20),
    };
    let bar = progress(&context.console);
    let start = Instant::now();
    let made = made(&engine, &case, (options, args.weights), &args.bundle);
    bar.finish_and_clear();
    let ((weights, proof), proved) = (made?, start.elapsed());
    let start = Instant::now();
    let snark = match &weights {
        None => Snark::new(Arc::clone(&found.model), security),
        // Whoever has the model needs nobody's word.
        Some(weights) => {
            let own = Voucher {
                key: inference.operator,
                time_unix_s: facts.now_unix_s,
                is_expected: true,
            };
            Snark::apart(Arc::clone(weights.card()), own, security)
        }
    };
    let checked = snark.check(&case, Some(&proof));
    checked.map_err(|e| CliError::ours("the proof that was made is refused", e))?;
    let checked = start.elapsed();

    let path = args.out.as_deref().unwrap_or(&args.bundle);
    let view = ProvedView {
        receipt: signed.value().digest().to_string(),
        model: found.model.id().to_string(),
        bits: security.bits(),
        proof_bytes: proof.len(),
        proved_in_us: micros(proved),
        checked_in_us: micros(checked),
        bundle: path.display().to_string(),
    };
    write(path, &bundle, (snark.version(), proof))?;
    say(context, args, &view, (proved, checked))
}

/// What was made, for whoever asked.
fn say(
    context: &mut Context,
    args: &ProveArgs,
    view: &ProvedView,
    (proved, checked): (Duration, Duration),
) -> Result<(), CliError> {
    if context.console.json() {
        return context.console.data_json(view);
    }
    context.console.data(&format!(
        "proved in {}, checked in {}: {} bytes, in `{}`",
        duration(proved),
        duration(checked),
        view.proof_bytes,
        view.bundle
    ))?;
    let by = match args.weights {
        WeightsMode::Public => "",
        WeightsMode::Committed => " --weights FILE --voucher KEY",
    };
    context.console.say(&format!(
        "check it: `credence verify {} --require snark{by}`",
        view.bundle
    ));
    Ok(())
}

/// The proof, and the weights that it commits to, if it does.
fn made(
    engine: &Engine,
    case: &Case<'_>,
    (options, mode): (Options, WeightsMode),
    path: &Path,
) -> Result<(Option<Weights>, Vec<u8>), CliError> {
    let weights = match mode {
        WeightsMode::Public => None,
        WeightsMode::Committed => Some(committed(engine.model(), options)?),
    };
    let proof = match &weights {
        None => prove(engine, case, options),
        Some(weights) => prove_with_weights(engine, case, options, weights),
    };
    Ok((weights, proof.map_err(|e| unproved(path, e))?))
}

/// The weights, committed to, if that fits the limit on memory.
fn committed(model: &Model, options: Options) -> Result<Weights, CliError> {
    let (expected, max) = (Weights::memory_bytes(model), options.memory_bytes_max);
    if expected > max {
        let error = ProveError::Memory { expected, max };
        return Err(CliError::because(
            Exit::Usage,
            "the weights cannot be committed to",
            error,
        ));
    }
    Weights::commit(model).map_err(uncommitted)
}

const fn security(bits: u32) -> Security {
    if bits == 128 {
        Security::Bits128
    } else {
        Security::Bits100
    }
}

/// The model that was named, which must be the claimed one, or the claimed one.
fn found(
    context: &Context,
    args: &ProveArgs,
    claimed: credence_base::ModelId,
) -> Result<Found, CliError> {
    if let Some(text) = &args.model {
        return context.model(text);
    }
    from_home(context, claimed)?.ok_or_else(|| {
        let what = format!("model `{claimed}`, which the claim names, is not in the home folder");
        CliError::new(Exit::Missing, what).hint("`--model FILE` names another place")
    })
}

/// The bundle with the proof, in place of an earlier one.
fn write(path: &Path, bundle: &Bundle, (version, proof): (u32, Vec<u8>)) -> Result<(), CliError> {
    let ours = |e| CliError::ours("the bundle cannot be put together", e);
    let other = |own: &&Evidence| own.method != MethodId::SNARK || own.version != version;
    let mut evidence: Vec<Evidence> = bundle.evidence().iter().filter(other).cloned().collect();
    let before = |own: &Evidence| (&own.method, own.version) < (&MethodId::SNARK, version);
    let at = evidence.iter().take_while(|own| before(own)).count();
    evidence.insert(
        at,
        Evidence {
            method: MethodId::SNARK,
            version,
            bytes: proof,
        },
    );
    let receipt = bundle.receipt().clone();
    let mut proved = Bundle::new(receipt, bundle.openings().clone(), evidence).map_err(ours)?;
    if let Some(log) = bundle.log() {
        proved = proved.with_log(log.to_owned()).map_err(ours)?;
    }
    let bytes = proved
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    if bytes.len() > BUNDLE_LEN_MAX {
        let what = format!(
            "the bundle would have {} bytes, more than the {BUNDLE_LEN_MAX} that `verify` reads",
            bytes.len()
        );
        return Err(CliError::new(Exit::Usage, what));
    }
    Ok(file::write(path, &bytes, Access::Owner)?)
}

fn unproved(path: &Path, error: ProveError) -> CliError {
    let exit = match &error {
        ProveError::Output => Exit::Refuted,
        ProveError::Claim(_) | ProveError::Model | ProveError::Weights => Exit::Inconsistent,
        ProveError::Tensors(_) | ProveError::Run(_) | ProveError::Session(_) => Exit::Malformed,
        ProveError::Circuit(_) | ProveError::Memory { .. } | ProveError::Params(_) => Exit::Usage,
        ProveError::Commit(_) | ProveError::OtherCircuit(_) | ProveError::OtherCard(_) => {
            Exit::Failed
        }
    };
    CliError::because(exit, format!("`{}` is not proved", path.display()), error)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A spinner on a terminal, nothing elsewhere.
fn progress(console: &Console) -> ProgressBar {
    if !console.draws() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message("proving");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
