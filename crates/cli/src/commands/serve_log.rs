//! The log that `serve` writes: where it lies, by which key, and how it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use credence_ledger::{Folder, Ledger, LedgerError, Options, Schedule, lock_folder};
use credence_log::sequencer::Limits;
use credence_log::{Algorithm, KeyName, Signer, VerifierKey};
use credence_store::file::Access;
use credence_store::index::{Index, PostgresIndex, SqliteIndex};
use credence_store::objects::{FolderObjects, Objects, S3Config, S3Objects};
use credence_store::{KeyFile, Made, read_secret};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::args::LogArgs;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;

/// The longest file that says where a bucket is, in bytes.
const S3_FILE_LEN_MAX: u64 = 64 * 1024;

/// Where a bucket is, as a file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3File {
    endpoint: String,
    region: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
}

/// A log that runs.
pub(crate) struct Log {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) verifier: VerifierKey,
}

/// Opens the log, with a key that is made on first need.
pub(crate) fn open(context: &mut Context, args: &LogArgs) -> Result<Log, CliError> {
    let signer = Arc::new(signer(context, args.log_origin.as_deref())?);
    let verifier = signer.verifier().clone();
    let options = options(context, args, signer)?;
    let schedule = Schedule {
        interval: Duration::from_millis(args.log_interval_ms),
        ..Schedule::new(Box::new(|error: &LedgerError| {
            tracing::error!(cause = chain(error), "the log stopped, and recovers");
        }))
    };
    let ledger = Ledger::open(options, schedule).map_err(fail)?;
    Ok(Log {
        ledger: Arc::new(ledger),
        verifier,
    })
}

impl Log {
    /// Writes what waits and ends the log. A request that is still held by someone keeps it from doing so; its receipt is appended when it is asked for.
    pub(crate) fn close(self) -> Result<(), CliError> {
        match Arc::try_unwrap(self.ledger) {
            Ok(ledger) => ledger.close().map_err(|error| {
                CliError::because(Exit::Io, "the log ended before all was written", error)
            }),
            Err(_) => Ok(()),
        }
    }
}

fn signer(context: &mut Context, origin: Option<&str>) -> Result<Signer, CliError> {
    let file = KeyFile::at(context.home()?.log_key());
    let (key, made) = file.read_or_make()?;
    if made == Made::New {
        let path = file.path().display();
        context.console.say(&format!(
            "made a new log's key, `{path}`: keep it secret, and keep a copy"
        ));
    }
    let own = || {
        let public = key.public_key().to_string();
        format!("credence.invalid/{}", public.get(..16).unwrap_or(&public))
    };
    let name = origin.map_or_else(own, str::to_owned);
    let name = KeyName::new(&name)
        .map_err(|e| CliError::because(Exit::Usage, format!("`{name}` is no origin"), e))?;
    Ok(Signer::new(name, Algorithm::Ed25519, key))
}

fn options(context: &Context, args: &LogArgs, signer: Arc<Signer>) -> Result<Options, CliError> {
    let own = context.home()?.log();
    let folder = args.log.as_deref().unwrap_or(&own);
    let held: Folder = lock_folder(folder).map_err(fail)?;
    let objects: Arc<dyn Objects> = match &args.log_s3 {
        Some(file) => Arc::new(S3Objects::open(&s3_config(file)?)?),
        None => Arc::new(FolderObjects::open(folder.join("log"), Access::Public)?),
    };
    let index: Arc<dyn Index> = match &args.log_index {
        Some(connection) => Arc::new(PostgresIndex::open(connection).map_err(fail)?),
        None => Arc::new(SqliteIndex::open(folder.join("index.sqlite")).map_err(fail)?),
    };
    Ok(Options {
        signer,
        limits: Limits::usual(),
        objects,
        index,
        folder: Some(Arc::new(held)),
    })
}

fn s3_config(path: &Path) -> Result<S3Config, CliError> {
    let bytes = read_secret(path, S3_FILE_LEN_MAX)?;
    let what = || format!("`{}` does not say where a bucket is", path.display());
    let malformed =
        |e: Box<dyn std::error::Error + Send + Sync>| CliError::because(Exit::Malformed, what(), e);
    let text = core::str::from_utf8(&bytes).map_err(|e| malformed(e.into()))?;
    // Not the library's own message, which quotes the line: it may hold the secret.
    let file: S3File =
        toml::from_str(text).map_err(|e| malformed(e.message().to_owned().into()))?;
    Ok(S3Config {
        endpoint: file.endpoint,
        region: file.region,
        bucket: file.bucket,
        prefix: file.prefix,
        access_key_id: file.access_key_id,
        secret_access_key: file.secret_access_key,
    })
}

fn fail(error: impl Into<LedgerError>) -> CliError {
    CliError::because(Exit::Io, "the log cannot be opened", error.into())
}
