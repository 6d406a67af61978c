//! The log that `serve` writes: where it lies, by which key, and how it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credence_ledger::{Folder, HeadFile, Ledger, LedgerError, Options, Schedule, lock_folder};
use credence_log::key::VerifierKeyError;
use credence_log::sequencer::Limits;
use credence_log::{Algorithm, KeyName, Signer, VerifierKey};
use credence_node::{Cosigning, Logging};
use credence_store::file::{self, Access};
use credence_store::index::{Index, PostgresIndex, SqliteIndex};
use credence_store::objects::{FolderObjects, Objects, S3Config, S3Objects};
use credence_store::{KeyFile, Made, Receipts};
use credence_watch::auditor::Publish;
use credence_watch::{S3FileError, read_s3};
use credence_witness::WitnessAddress;
use credence_witness::fetch::Prefix;

use crate::args::LogArgs;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;

/// The longest file that holds a log's name, in bytes.
const NAME_LEN_MAX: u64 = 1024;
/// A log that runs.
pub(crate) struct Log {
    ledger: Arc<Ledger>,
    /// The key that verifies it.
    pub(crate) verifier: VerifierKey,
}

/// How long witnesses that are still asked may hold the log open at the end.
const CLOSE_MAX: Duration = Duration::from_secs(6);
/// How often it is looked whether they are done.
const CLOSE_LOOK: Duration = Duration::from_millis(20);

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
    /// Writes what waits and ends the log. Whoever still holds it keeps it from doing so, which is said: what waited is then logged by the next
    /// start, if it was kept.
    pub(crate) fn close(self) -> Result<(), CliError> {
        self.close_within(CLOSE_MAX)
    }

    fn close_within(self, wait_max: Duration) -> Result<(), CliError> {
        let end = Instant::now() + wait_max;
        let mut shared = self.ledger;
        loop {
            shared = match Arc::try_unwrap(shared) {
                Ok(ledger) => {
                    return ledger.close().map_err(|error| {
                        CliError::because(Exit::Io, "the log ended before all was written", error)
                    });
                }
                Err(shared) if Instant::now() < end => shared,
                Err(_) => {
                    let what = format!(
                        "the log was still in use after {} s, and what waited may not be in it",
                        wait_max.as_secs()
                    );
                    return Err(CliError::new(Exit::Io, what)
                        .hint("receipts that are kept are logged by the next start"));
                }
            };
            std::thread::sleep(CLOSE_LOOK);
        }
    }

    /// How an auditor uses it: a digest is durably in the log when the call returns.
    pub(crate) fn publish(&self) -> Publish {
        // The log ends when it is closed, whoever still holds this.
        let ledger = Arc::downgrade(&self.ledger);
        Arc::new(move |digest| {
            let ledger = ledger.upgrade().ok_or("the log is closed")?;
            let pending = ledger.append(digest).map_err(|e| chain(&e))?;
            pending.wait().map(|_| ()).map_err(|e| chain(&e))
        })
    }

    /// How a server uses it, and whoever logs one thing.
    pub(crate) fn logging(&self, args: &LogArgs) -> Result<Logging, CliError> {
        let logging = Logging::new(Arc::clone(&self.ledger), args.log_wait);
        if args.witness.is_empty() {
            return Ok(logging);
        }
        let witnesses = args.witness.chunks(2).map(witness);
        let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
        let quorum = args.quorum.unwrap_or(witnesses.len());
        let cosigning = Cosigning::start(Arc::clone(&self.ledger), witnesses, quorum)
            .map_err(|e| CliError::because(Exit::Usage, "the witnesses cannot be asked", e))?;
        Ok(logging.witnessed(cosigning))
    }
}

/// Appends what was kept before and is not in the log.
pub(crate) fn catch_up(logging: &Logging, receipts: &dyn Receipts) -> Result<(), CliError> {
    let what = "it is not known which receipts are not in the log";
    let caught = logging.catch_up(receipts);
    caught.map_err(|e| CliError::because(Exit::Io, what, e))?;
    Ok(())
}

/// Who signs the log of this home; the key is made on first need.
pub(crate) fn signer(context: &mut Context, origin: Option<&str>) -> Result<Signer, CliError> {
    let file = KeyFile::at(context.home()?.log_key());
    let (key, made) = file.read_or_make()?;
    if made == Made::New {
        let path = file.path().display();
        context.console.say(&format!(
            "made a new log's key, `{path}`: keep it secret, and keep a copy"
        ));
    }
    let public = key.public_key().to_string();
    let name = name(context, origin, public.get(..16).unwrap_or(&public))?;
    Ok(Signer::new(name, Algorithm::Ed25519, key))
}

/// Who signs the log of this home, if it has one. Nothing is made.
pub(crate) fn known_signer(context: &Context) -> Result<Signer, CliError> {
    let missing = || {
        CliError::new(Exit::Missing, "this home has no log")
            .hint("`credence log init` makes one; another log is read by its place and `--key KEY`")
    };
    let file = KeyFile::at(context.home()?.log_key());
    if !file.path().exists() {
        return Err(missing());
    }
    let key = file.read()?;
    let name = known_name(context)?.ok_or_else(missing)?;
    Ok(Signer::new(name, Algorithm::Ed25519, key))
}

/// The name that is written down beside the log's key.
fn known_name(context: &Context) -> Result<Option<KeyName>, CliError> {
    let path = context.home()?.log_key().with_extension("name");
    match file::read(&path, NAME_LEN_MAX) {
        Ok(bytes) => Ok(Some(parse_name(
            String::from_utf8_lossy(&bytes).trim_end(),
        )?)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse_name(text: &str) -> Result<KeyName, CliError> {
    KeyName::new(text)
        .map_err(|e| CliError::because(Exit::Usage, format!("`{text}` is no origin"), e))
}

/// The log's name, which is written down beside its key: a log that changed it would be another one.
fn name(context: &Context, asked: Option<&str>, own: &str) -> Result<KeyName, CliError> {
    match known_name(context)? {
        Some(known) => match asked {
            Some(asked) if asked != known.as_str() => Err(CliError::new(
                Exit::Usage,
                format!("the log of this home is `{known}`, for ever; not `{asked}`"),
            )
            .hint("another home has another log: `--home DIR`")),
            Some(_) | None => Ok(known),
        },
        None => {
            let path = context.home()?.log_key().with_extension("name");
            let text = asked.map_or_else(|| format!("credence.invalid/{own}"), str::to_owned);
            let name = parse_name(&text)?;
            file::write(&path, format!("{name}\n").as_bytes(), Access::Public)?;
            Ok(name)
        }
    }
}

fn options(context: &Context, args: &LogArgs, signer: Arc<Signer>) -> Result<Options, CliError> {
    // First, and held as long as anything is signed: the note of what the key has signed, which stands beside it.
    let head = HeadFile::open(&context.home()?.log_key().with_extension("head")).map_err(fail)?;
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
        head: Arc::new(head),
        folder: Some(Arc::new(held)),
    })
}

fn s3_config(path: &Path) -> Result<S3Config, CliError> {
    read_s3(path).map_err(|error| match error {
        S3FileError::Key(error) => error.into(),
        error => {
            let what = format!("`{}` does not say where a bucket is", path.display());
            CliError::because(Exit::Malformed, what, error)
        }
    })
}

/// A witness from its two words.
fn witness(words: &[String]) -> Result<WitnessAddress, CliError> {
    let [key, at] = words else {
        return Err(CliError::new(
            Exit::Usage,
            "a witness is its key and where it is asked",
        ));
    };
    let bad = |what: &str, e: Box<dyn std::error::Error + Send + Sync>| {
        CliError::because(Exit::Usage, format!("`{what}` is no witness's"), e)
    };
    Ok(WitnessAddress {
        key: key
            .parse()
            .map_err(|e: VerifierKeyError| bad(key, e.into()))?,
        prefix: Prefix::new(at).map_err(|e| bad(at, e.into()))?,
    })
}

fn fail(error: impl Into<LedgerError>) -> CliError {
    CliError::because(Exit::Io, "the log cannot be opened", error.into())
}

#[cfg(test)]
mod tests {
    use credence_base::{ReceiptDigest, SigningKey};
    use credence_ledger::open_folder;

    use super::*;

    #[test]
    fn a_log_that_is_still_held_says_that_it_was_not_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let name = KeyName::new("log.test/1").unwrap();
        let key = SigningKey::from_seed(&[1; 32]);
        let signer = Arc::new(Signer::new(name, Algorithm::Ed25519, key));
        let verifier = signer.verifier().clone();
        let open = || {
            let options = open_folder(folder.path(), Arc::clone(&signer), Limits::usual());
            let schedule = Schedule {
                interval: Duration::from_secs(3600),
                ..Schedule::new(Box::new(|_| {}))
            };
            let ledger = Ledger::open(options.unwrap(), schedule).unwrap();
            Log {
                ledger: Arc::new(ledger),
                verifier: verifier.clone(),
            }
        };
        let log = open();
        let held = Arc::clone(&log.ledger);
        held.send(ReceiptDigest::from_bytes([1; 32])).unwrap();
        let refused = log.close_within(Duration::from_millis(50)).unwrap_err();
        assert_eq!(refused.exit(), Exit::Io);
        assert!(refused.reason().contains("still in use"));
        drop(held);
        let log = open();
        assert_eq!(
            log.ledger
                .published()
                .unwrap()
                .checkpoint
                .unverified()
                .size(),
            1
        );
        log.close_within(Duration::from_millis(50)).unwrap();
    }
}
