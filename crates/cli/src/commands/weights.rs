//! `credence weights`: a model's weights committed to for proofs, with a signed statement that says so.
//!
//! ```text
//! model ─▶ commitment, card ─key signs─▶ weights binding ─▶ log, as `serve` writes it ─▶ bundle: statement, card, log proof
//! bundle, model ─▶ the card derived again ─▶ the same bytes, or another commitment than the model's
//! ```
//!
//! It deliberately keeps no commitment: it follows from the model, and is made again where it is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_base::{Name, SigningKey};
use credence_claim::{Evidence, MethodId, Openings};
use credence_method_snark::Known as _;
use credence_method_snark::weights::{CARD_VERSION, Card, DERIVATION, WeightsId};
use credence_prove_snark::{Weights, WeightsCommitError};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Statement, Tool, WeightsBinding, sign};
use credence_store::KeyFile;
use credence_store::file::{self, Access};
use credence_verify::{Facts, Policy, Refusal, ShownWeightsBinding, confirm_weights_binding};
use serde::Serialize;

use crate::args::WeightsCommitArgs;
use crate::commands::serve_log;
use crate::commands::verify::{from_home, refused};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::{now_unix_s, rfc3339};

/// What `--json` prints of a binding that was made or checked.
#[derive(Debug, Serialize)]
struct BindingView {
    model: String,
    scheme: String,
    root: String,
    voucher: String,
    time: String,
    card_bytes: usize,
    logged: bool,
    file: String,
}

/// A binding that was read: who vouches for what, and the card.
pub(crate) struct Bound {
    pub(crate) shown: ShownWeightsBinding,
    pub(crate) card: Arc<Card>,
    bytes: Vec<u8>,
    /// Whether a log proof is there, checked or not.
    has_proof: bool,
}

/// Commits to the weights of a model, and signs for it.
pub(crate) fn commit(context: &mut Context, args: &WeightsCommitArgs) -> Result<(), CliError> {
    let found = context.model(&args.model)?;
    let weights = Weights::commit(&found.model).map_err(uncommitted)?;
    // The operator's key is made where it is first needed, and said so.
    context.operator()?;
    let key = KeyFile::at(context.home()?.operator_key()).read()?;
    let statement = statement(&weights, &key)?;
    let envelope = sign(&Statement::WeightsBinding(statement.clone()), &key)
        .map_err(|e| CliError::ours("the statement cannot be signed", e))?;
    let evidence = Evidence {
        method: MethodId::SNARK_CARD,
        version: u32::from(CARD_VERSION),
        bytes: weights.card_bytes().to_vec(),
    };
    let no_bundle = |e| CliError::ours("the statement has no bundle", e);
    let mut bundle =
        Bundle::new(envelope, Openings::default(), vec![evidence]).map_err(no_bundle)?;
    let path = args.out.clone().unwrap_or_else(|| {
        let id: String = found.model.id().to_string().chars().take(16).collect();
        PathBuf::from(format!("{id}-weights.bundle.json"))
    });
    write(&path, &bundle)?;
    if !args.log.no_log {
        let log = serve_log::open(context, &args.log)?;
        let logging = log.logging(&args.log)?;
        let proof = logging.log_now(bundle.receipt().digest());
        drop(logging);
        log.close()?;
        let proof = proof.map_err(|e| {
            let what = format!("`{}` is signed, and not logged", path.display());
            CliError::because(Exit::Io, what, e).hint("commit again when the log answers")
        })?;
        bundle = bundle.with_log(proof).map_err(no_bundle)?;
        write(&path, &bundle)?;
    }
    let bytes = weights.card_bytes().len();
    say(context, &statement, &path, (bytes, !args.log.no_log))
}

/// Derives the card of a binding again.
pub(crate) fn check(
    context: &mut Context,
    path: &Path,
    model: Option<&str>,
) -> Result<(), CliError> {
    let facts = Facts::at(now_unix_s()?);
    let bound = read(path, &Policy::signature_only(), &facts)?;
    let statement = &bound.shown.statement;
    let found = match model {
        Some(text) => context.model(text)?,
        None => from_home(context, statement.model)?.ok_or_else(|| {
            let what = format!("model `{}` is not in the home folder", statement.model);
            CliError::new(Exit::Missing, what).hint("`--model FILE` names another place")
        })?,
    };
    if found.model.id() != statement.model {
        let what = format!(
            "`{}` is about another model: {}",
            path.display(),
            statement.model
        );
        return Err(CliError::new(Exit::Inconsistent, what));
    }
    let weights = Weights::commit(&found.model).map_err(uncommitted)?;
    if weights.card_bytes() != bound.bytes {
        let what = format!(
            "`{}` vouches for other weights than the model's: key {} signed what is not so",
            path.display(),
            statement.operator
        );
        return Err(CliError::new(Exit::Refuted, what));
    }
    // Which logs count is for a policy: here it is told that there is a proof.
    say(
        context,
        statement,
        path,
        (bound.bytes.len(), bound.has_proof),
    )
}

/// Reads a weights binding and the card that it vouches for, if the policy takes its signer's word.
pub(crate) fn read(path: &Path, policy: &Policy, facts: &Facts) -> Result<Bound, CliError> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max)?;
    let refuse = |refusal: &Refusal| refused(path, refusal);
    let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|e| refuse(&Refusal::Bundle(e)))?;
    let shown = confirm_weights_binding(&bundle, policy, facts).map_err(|e| refuse(&e))?;
    let statement = &shown.statement;
    let named = (
        statement.scheme.as_str(),
        statement.derivation.name.as_str(),
        statement.derivation.version.as_str(),
    );
    if named != (WeightsId::SCHEME, DERIVATION.0, DERIVATION.1) {
        let what = format!(
            "`{}` is of scheme `{}`, this build reads `{}`, derived by `{}` version {}",
            path.display(),
            statement.scheme,
            WeightsId::SCHEME,
            DERIVATION.0,
            DERIVATION.1
        );
        return Err(CliError::new(Exit::Malformed, what));
    }
    let of_card = |own: &&Evidence| {
        own.method == MethodId::SNARK_CARD && own.version == u32::from(CARD_VERSION)
    };
    let evidence = bundle.evidence().iter().find(of_card).ok_or_else(|| {
        let what = format!("`{}` lacks the card that it vouches for", path.display());
        CliError::new(Exit::Missing, what)
    })?;
    let weights = WeightsId {
        root: statement.root,
    };
    let card = Card::decode(statement.model, weights, &evidence.bytes).map_err(|e| {
        let what = format!("the card in `{}` is refused", path.display());
        CliError::because(Exit::Inconsistent, what, e)
    })?;
    Ok(Bound {
        bytes: evidence.bytes.clone(),
        card: Arc::new(card),
        has_proof: bundle.log().is_some(),
        shown,
    })
}

fn statement(weights: &Weights, key: &SigningKey) -> Result<WeightsBinding, CliError> {
    let name = |text: &str| {
        Name::new(text).map_err(|e| CliError::ours("the scheme's name cannot be written", e))
    };
    Ok(WeightsBinding {
        operator: key.public_key(),
        model: weights.card().id(),
        scheme: name(WeightsId::SCHEME)?,
        root: weights.id().root,
        derivation: Tool {
            name: name(DERIVATION.0)?,
            version: name(DERIVATION.1)?,
        },
        time_unix_s: now_unix_s()?,
    })
}

fn say(
    context: &mut Context,
    statement: &WeightsBinding,
    path: &Path,
    (card_bytes, logged): (usize, bool),
) -> Result<(), CliError> {
    let view = BindingView {
        model: statement.model.to_string(),
        scheme: statement.scheme.to_string(),
        root: statement.root.to_string(),
        voucher: statement.operator.to_string(),
        time: rfc3339(statement.time_unix_s),
        card_bytes,
        logged,
        file: path.display().to_string(),
    };
    if context.console.json() {
        return context.console.data_json(&view);
    }
    let place = if logged {
        "with a log proof"
    } else {
        "without a log proof"
    };
    context.console.data(&format!(
        "weights of model {}\n  {} {}\n  vouched for by key {} at {}, {place}\n  in `{}`: give it to whoever checks proofs, with `--weights`",
        view.model, view.scheme, view.root, view.voucher, view.time, view.file
    ))
}

fn write(path: &Path, bundle: &Bundle) -> Result<(), CliError> {
    let bytes = bundle
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    Ok(file::write(path, &bytes, Access::Public)?)
}

pub(crate) fn uncommitted(error: WeightsCommitError) -> CliError {
    CliError::because(Exit::Usage, "the weights cannot be committed to", error)
}
