//! `credence key rotate`, `expire` and `revoke`: what becomes of the operator's key, signed by it and logged.
//!
//! ```text
//! key ─signs─▶ statement ─▶ log, as `serve` writes it ─▶ bundle with the proof ─▶ a file, for whoever verifies
//! ```
//!
//! The file is written before anything is logged, and again with the proof: a revocation counts without a log, so a log that is down must not lose it. A new
//! key takes the old one's place last, when the statement that names it is in the log.

use std::path::{Path, PathBuf};

use credence_base::{PublicKey, SigningKey};
use credence_claim::Openings;
use credence_receipt::{Bundle, KeyAction, KeyStatement, Statement, sign};
use credence_store::KeyFile;
use credence_store::file::{self, Access};
use serde::Serialize;

use crate::args::StatementArgs;
use crate::commands::serve_log;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::{now_unix_s, rfc3339};

/// What `--json` prints of a statement.
#[derive(Debug, Serialize)]
struct StatedView {
    key: String,
    says: String,
    statement: String,
    logged: bool,
    file: String,
}

/// Another key takes this one's place: `to`, or a new one that is put there.
pub(crate) fn rotate(
    context: &mut Context,
    to: Option<PublicKey>,
    args: &StatementArgs,
) -> Result<(), CliError> {
    let old = own(context)?;
    if let Some(successor) = to {
        return state(context, &old, KeyAction::Rotate { successor }, args);
    }
    // Made once: a rotation that was cut short goes on with the same key.
    let next = KeyFile::at(context.home()?.operator_key().with_extension("next.pem"));
    let (key, _) = next.read_or_make()?;
    let successor = key.public_key();
    state(context, &old, KeyAction::Rotate { successor }, args)?;
    put_in_place(context, &old, next.path())
}

/// The key signs nothing after `not_after_unix_s`.
pub(crate) fn expire(
    context: &mut Context,
    not_after_unix_s: u64,
    args: &StatementArgs,
) -> Result<(), CliError> {
    let key = own(context)?;
    state(context, &key, KeyAction::Expire { not_after_unix_s }, args)
}

/// The key may have been in wrong hands since then, or since now.
pub(crate) fn revoke(
    context: &mut Context,
    since: Option<u64>,
    args: &StatementArgs,
) -> Result<(), CliError> {
    let key = own(context)?;
    let since_unix_s = since.map_or_else(now_unix_s, Ok)?;
    state(context, &key, KeyAction::Revoke { since_unix_s }, args)
}

/// The key of this home. One is not made here: nothing was ever signed with it.
fn own(context: &Context) -> Result<SigningKey, CliError> {
    Ok(KeyFile::at(context.home()?.operator_key()).read()?)
}

fn state(
    context: &mut Context,
    key: &SigningKey,
    action: KeyAction,
    args: &StatementArgs,
) -> Result<(), CliError> {
    let operator = key.public_key();
    let says = words(&action);
    if matches!(&action, KeyAction::Rotate { successor } if *successor == operator) {
        return Err(CliError::new(
            Exit::Usage,
            "a key cannot take its own place",
        ));
    }
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| default_path(&operator, &action));
    let statement = Statement::Key(KeyStatement {
        operator,
        action,
        time_unix_s: now_unix_s()?,
    });
    let envelope =
        sign(&statement, key).map_err(|e| CliError::ours("the statement cannot be signed", e))?;
    let bundle = Bundle::new(envelope, Openings::default(), Vec::new())
        .map_err(|e| CliError::ours("the statement has no bundle", e))?;
    write(&path, &bundle)?;
    let digest = bundle.receipt().digest();
    if !args.log.no_log {
        let log = serve_log::open(context, &args.log)?;
        let logging = log.logging(&args.log)?;
        let proof = logging.log_now(digest);
        drop(logging);
        log.close()?;
        let proof = proof.map_err(|e| {
            let what = format!("`{}` is signed, and not logged", path.display());
            CliError::because(Exit::Io, what, e).hint("state it again when the log answers")
        })?;
        let bundle = bundle.with_log(proof);
        write(
            &path,
            &bundle.map_err(|e| CliError::ours("the proof has no place", e))?,
        )?;
    }
    let view = StatedView {
        key: operator.to_string(),
        says,
        statement: digest.to_string(),
        logged: !args.log.no_log,
        file: path.display().to_string(),
    };
    if context.console.json() {
        return context.console.data_json(&view);
    }
    let place = if view.logged { "logged" } else { "not logged" };
    context.console.data(&format!(
        "key {} {}\nstatement {}, {place}, in `{}`: give it to whoever verifies, with `--key-statement`",
        view.key, view.says, view.statement, view.file
    ))
}

fn write(path: &Path, bundle: &Bundle) -> Result<(), CliError> {
    let bytes = bundle
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    Ok(file::write(path, &bytes, Access::Public)?)
}

fn default_path(key: &PublicKey, action: &KeyAction) -> PathBuf {
    let verb = match action {
        KeyAction::Rotate { .. } => "rotated",
        KeyAction::Expire { .. } => "expires",
        KeyAction::Revoke { .. } => "revoked",
    };
    PathBuf::from(format!("{}-{verb}.bundle.json", beginning(key)))
}

/// Enough of a key to tell the keys of one home apart.
fn beginning(key: &PublicKey) -> String {
    key.to_string().chars().take(16).collect()
}

/// The words for people, after the key.
pub(crate) fn words(action: &KeyAction) -> String {
    match action {
        KeyAction::Rotate { successor } => format!("gives its place to {successor}"),
        KeyAction::Expire { not_after_unix_s } => {
            format!("signs nothing after {}", rfc3339(*not_after_unix_s))
        }
        KeyAction::Revoke { since_unix_s } => {
            format!("may be in wrong hands since {}", rfc3339(*since_unix_s))
        }
    }
}

/// Keeps the old key beside its place, and then puts the new one there: at no moment is there none.
fn put_in_place(context: &mut Context, old: &SigningKey, next: &Path) -> Result<(), CliError> {
    let place = context.home()?.operator_key();
    let kept = place.with_extension(format!("{}.pem", beginning(&old.public_key())));
    let failed = |what: &Path, e| {
        CliError::because(
            Exit::Io,
            format!("`{}` cannot be put in place", what.display()),
            e,
        )
    };
    match std::fs::hard_link(&place, &kept) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        done => done.map_err(|e| failed(&kept, e))?,
    }
    std::fs::rename(next, &place).map_err(|e| failed(&place, e))?;
    context.console.say(&format!(
        "the new key is in `{}`, the old one in `{}`; a server that runs signs with the old one until it starts again",
        place.display(),
        kept.display()
    ));
    Ok(())
}
