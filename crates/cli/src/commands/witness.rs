//! `credence witness`: cosigns other people's logs until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use credence_log::{Algorithm, Signer};
use credence_node::shutdown_signal;
use credence_store::{KeyFile, Made, file};
use credence_watch::Archive;
use credence_witness::{Evidence, Host, Limits, WitnessConfig, WitnessEvent, system_clock};

use crate::commands::events;
use crate::commands::serve::log_to_stderr;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;

/// The longest configuration, in bytes.
pub(crate) const CONFIG_LEN_MAX: u64 = 1024 * 1024;

/// Runs a witness. `new` says that it has never cosigned anything, though its key is there.
pub(crate) fn run(context: &mut Context, path: &Path, new: bool) -> Result<(), CliError> {
    log_to_stderr();
    let (text, folder) = read_config(path)?;
    let config = WitnessConfig::parse(&text, folder).map_err(|e| bad_config(path, e))?;
    let (key, made) = KeyFile::at(config.key.clone()).read_or_make()?;
    if made == Made::New {
        let file = config.key.display();
        let text = format!("made a new witness's key, `{file}`: keep it secret, and keep a copy");
        context.console.say(&text);
    }
    let again = KeyFile::at(config.key.clone()).read()?;
    let signer = Signer::new(config.name.clone(), Algorithm::CosignatureV1, again);
    let text = format!("cosigning; the witness's key is {}", signer.verifier());
    context.console.say(&text);
    let prefix = config.prefix.clone();
    let archive = Archive {
        folder: config.evidence.clone(),
        key: None,
        clock: system_clock(),
    };
    events::run(&mut context.console, words, |send| {
        let stop = shutdown_signal()
            .map_err(|e| CliError::ours("the system takes no handler for signals", e))?;
        let host = Host {
            begins: new || made == Made::New,
            clock: system_clock(),
            // Whoever listens to events lives as long as the witness.
            sink: Arc::new(move |event| {
                if let WitnessEvent::SplitView { evidence, .. } = &event {
                    keep(&archive, evidence);
                }
                drop(send.send(event));
            }),
            listening: Arc::new(move |address| {
                tracing::info!("listening on http://{address}{prefix}");
            }),
            limits: Limits::usual(),
        };
        let running = credence_witness::config::run(config, key, host, stop);
        Ok(async move {
            running
                .await
                .map_err(|e| CliError::because(Exit::Io, "the witness cannot run", e))
        })
    })
}

/// Keeps evidence in a file; the event has its text as well, whatever becomes of the file.
fn keep(archive: &Archive, text: &str) {
    let Ok(evidence) = Evidence::parse(text.as_bytes()) else {
        return tracing::error!("the evidence is none; this is a fault of the witness's");
    };
    match archive.keep(&evidence) {
        Ok(files) => {
            for file in files {
                tracing::info!("evidence: `{}`", file.display());
            }
        }
        Err(error) => tracing::error!(cause = chain(&error), "evidence is not kept"),
    }
}

/// A configuration's text, and the folder from which its paths are taken.
pub(crate) fn read_config(path: &Path) -> Result<(String, &Path), CliError> {
    let bytes = file::read(path, CONFIG_LEN_MAX)?;
    let text = String::from_utf8(bytes).map_err(|e| bad_config(path, e))?;
    // A name without a folder has the empty path as parent, which is no folder's.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Ok((text, folder.unwrap_or(Path::new("."))))
}

/// A configuration that says nothing usable.
pub(crate) fn bad_config(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> CliError {
    let what = format!("`{}` is no configuration", path.display());
    CliError::because(Exit::Malformed, what, source)
}

fn words(event: &WitnessEvent) -> String {
    match event {
        WitnessEvent::Cosigned { origin, size } => format!("cosigned `{origin}` at {size} entries"),
        WitnessEvent::Refused { origin, status } => {
            let origin = origin.as_deref().unwrap_or("a request that names no log");
            format!("refused `{origin}`: status {status}")
        }
        WitnessEvent::SplitView {
            origin,
            size,
            evidence,
        } => format!(
            "ALARM: `{origin}` signed two roots of {size} entries; the evidence:\n{evidence}"
        ),
        WitnessEvent::NotDurable { origin, reason } => {
            format!("cannot keep what was seen of `{origin}`, so nothing is cosigned: {reason}")
        }
    }
}
