//! `credence key rotate`, `expire` and `revoke`: what becomes of the operator's key, signed by it and logged.
//!
//! ```text
//! key ─signs─▶ statement ─▶ log, as `serve` writes it, or a server that runs ─▶ bundle with the proof ─▶ a file, for whoever verifies
//! ```
//!
//! The file is written before anything is logged, and again with the proof: a revocation counts without a log, so a log that is down must not lose it. A new
//! key takes the old one's place last, when the statement that names it is in the log.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use credence_base::{PublicKey, SigningKey};
use credence_claim::Openings;
use credence_log::LogProof;
use credence_receipt::{
    BUNDLE_LEN_MAX, BUNDLE_MEDIA_TYPE, Bundle, KeyAction, KeyStatement, Statement, sign,
};
use credence_store::KeyFile;
use credence_store::file::{self, Access};
use credence_witness::fetch::{Bounds, Fetcher, Prefix, Reply};
use serde::Serialize;

use crate::args::StatementArgs;
use crate::commands::serve_log;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::{now_unix_s, rfc3339};

/// How long a server may take for each answer, and to log a statement.
const SERVER_MAX: Duration = Duration::from_secs(15);
/// From one look at the server to the next.
const SERVER_LOOK: Duration = Duration::from_millis(50);

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
    let (bundle, says) = match stated_before(&path, operator, &action) {
        Some((bundle, before)) => {
            context.console.say(&format!(
                "`{}` states it already, and is logged as it is: what is stated later could say less",
                path.display()
            ));
            (bundle, words(&before))
        }
        None => {
            let bundle = signed(key, action)?;
            write(&path, &bundle)?;
            (bundle, says)
        }
    };
    let digest = bundle.receipt().digest();
    if !args.log.no_log {
        let logged = match &args.server {
            Some(server) => log_at(server, &bundle),
            None => log_here(context, args, &bundle),
        };
        let proof = logged.map_err(|error| {
            let (path, reason) = (path.display(), error.reason());
            let what = format!("`{path}` is signed, and not logged: {reason}");
            let hint = error
                .hint_text()
                .unwrap_or("state it again when the log answers");
            CliError::new(error.exit(), what).hint(hint)
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

/// A statement by this key, as it was asked for.
fn signed(key: &SigningKey, action: KeyAction) -> Result<Bundle, CliError> {
    let statement = Statement::Key(KeyStatement {
        operator: key.public_key(),
        action,
        time_unix_s: now_unix_s()?,
    });
    let envelope =
        sign(&statement, key).map_err(|e| CliError::ours("the statement cannot be signed", e))?;
    Bundle::new(envelope, Openings::default(), Vec::new())
        .map_err(|e| CliError::ours("the statement has no bundle", e))
}

/// What an attempt that was cut short has signed: the same of the same key, and for a revocation one that reaches back as far at least. Stated
/// anew, a revocation since now would reach back less far than the first.
fn stated_before(
    path: &Path,
    operator: PublicKey,
    action: &KeyAction,
) -> Option<(Bundle, KeyAction)> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max).ok()?;
    let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).ok()?;
    let Statement::Key(stated) = bundle.receipt().open().ok()?.into_statement() else {
        return None;
    };
    let same = match (&stated.action, action) {
        (
            KeyAction::Revoke {
                since_unix_s: before,
            },
            KeyAction::Revoke { since_unix_s: now },
        ) => before <= now,
        (before, now) => before == now,
    };
    let plain = Bundle::new(bundle.receipt().clone(), Openings::default(), Vec::new()).ok()?;
    (same && stated.operator == operator).then_some((plain, stated.action))
}

/// Logs the statement in the log of this home; the proof.
fn log_here(
    context: &mut Context,
    args: &StatementArgs,
    bundle: &Bundle,
) -> Result<String, CliError> {
    let log = serve_log::open(context, &args.log).map_err(|error| {
        error.hint(
            "if `credence serve` runs with this home, have it log the statement: state it again with `--server http://127.0.0.1:8191`",
        )
    })?;
    let logging = log.logging(&args.log)?;
    let proof = logging.log_now(bundle.receipt().digest());
    drop(logging);
    log.close()?;
    proof.map_err(|e| CliError::because(Exit::Io, "the log gives no proof", e))
}

/// Has a server that runs log the statement; the proof.
fn log_at(server: &str, bundle: &Bundle) -> Result<String, CliError> {
    let prefix = Prefix::new(server)
        .map_err(|e| CliError::because(Exit::Usage, format!("`{server}` is no address"), e))?;
    let fetcher = Fetcher::new();
    let bounds = Bounds {
        len_max: BUNDLE_LEN_MAX,
        time_max: SERVER_MAX,
    };
    let fail = |e| CliError::because(Exit::Io, format!("`{server}` does not answer"), e);
    let refused = |reply: &Reply| {
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        let said = said.chars().take(300).collect::<String>();
        let what = format!("`{server}` does not log it: {} {said}", reply.status);
        CliError::new(Exit::Io, what)
    };
    let bytes = bundle
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    let url = prefix.join("v1/key-statements");
    let reply = fetcher
        .post_bytes(&url, BUNDLE_MEDIA_TYPE, &bytes, bounds)
        .map_err(fail)?;
    if reply.status != 202 {
        return Err(refused(&reply));
    }
    let digest = bundle.receipt().digest();
    let url = prefix.join(&format!("v1/receipts/{digest}"));
    let end = Instant::now() + SERVER_MAX;
    loop {
        let reply = fetcher.get(&url, bounds).map_err(fail)?;
        if reply.status != 200 {
            return Err(refused(&reply));
        }
        let found = Bundle::decode(&reply.body, BUNDLE_LEN_MAX)
            .map_err(|e| CliError::because(Exit::Malformed, "the server sent no bundle", e))?;
        match found.log() {
            Some(proof) if found.receipt().digest() == digest => {
                // Whether the log is one to believe is for whoever verifies; a proof it must be.
                LogProof::parse(proof.as_bytes()).map_err(|e| {
                    CliError::because(Exit::Malformed, "the server sent no log proof", e)
                })?;
                return Ok(proof.to_owned());
            }
            _ if Instant::now() >= end => {
                let what = format!("`{server}` has not logged it in {} s", SERVER_MAX.as_secs());
                return Err(CliError::new(Exit::Io, what));
            }
            _ => std::thread::sleep(SERVER_LOOK),
        }
    }
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
