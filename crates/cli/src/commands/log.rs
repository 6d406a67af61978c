//! `credence log`: what a log holds, and whether it is right.

use std::path::Path;
use std::sync::Arc;

use credence_base::ReceiptDigest;
use credence_log::proof::verify_consistency;
use credence_log::{SignedCheckpoint, VerifierKey};
use credence_node::shutdown_signal;
use credence_watch::source::SourceError;
use credence_watch::{AuditError, LogSource, Place, Tree, TreeError, audit, head, run_log_server};
use serde::Serialize;

use crate::args::{LOG_INTERVAL_MS, LogArgs, LogCommand, ReadArgs};
use crate::commands::{events, serve_log};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// A log that is there now.
#[derive(Debug, Serialize)]
struct InitView {
    key: String,
    folder: String,
}

/// A log's newest checkpoint.
#[derive(Debug, Serialize)]
struct LogView {
    key: String,
    origin: String,
    size: u64,
    root: String,
    checkpoint: String,
}

/// One entry.
#[derive(Debug, Serialize)]
struct EntryView {
    index: u64,
    receipt: String,
}

/// Where a receipt is in a log.
#[derive(Debug, Serialize)]
struct InclusionView {
    index: u64,
    receipt: String,
    size: u64,
    root: String,
    proof: String,
}

/// That one tree begins another.
#[derive(Debug, Serialize)]
struct ConsistencyView {
    old: u64,
    old_root: String,
    size: u64,
    root: String,
    proof: Vec<String>,
}

/// Says where `log serve` listens.
#[derive(Debug, Serialize)]
struct ListeningView {
    url: String,
}

/// A log to read.
struct Read {
    key: VerifierKey,
    place: Place,
    source: Arc<dyn LogSource>,
}

/// Does what the command line says.
pub(crate) fn run(context: &mut Context, command: LogCommand) -> Result<(), CliError> {
    match command {
        LogCommand::Init { origin } => init(context, origin.as_deref()),
        LogCommand::Show(read) => show(context, &read),
        LogCommand::Tail { n, read } => tail(context, n, &read),
        LogCommand::Inclusion { digest, read } => inclusion(context, digest, &read),
        LogCommand::Consistency { old, read } => consistency(context, old, &read),
        LogCommand::Audit(read) => audit_log(context, &read),
        LogCommand::Serve { read, listen } => serve(context, &read, listen),
    }
}

fn init(context: &mut Context, origin: Option<&str>) -> Result<(), CliError> {
    let args = LogArgs {
        log: None,
        no_log: false,
        log_s3: None,
        log_index: None,
        log_origin: origin.map(str::to_owned),
        witness: Vec::new(),
        quorum: None,
        log_wait: false,
        log_interval_ms: LOG_INTERVAL_MS,
    };
    let log = serve_log::open(context, &args)?;
    let key = log.verifier.clone();
    log.close()?;
    let folder = context.home()?.log();
    if context.console.json() {
        return context.console.data_json(&InitView {
            key: key.to_string(),
            folder: folder.display().to_string(),
        });
    }
    context
        .console
        .say(&format!("the log is in `{}`", folder.display()));
    context.console.data(&key.to_string())
}

impl Read {
    fn open(context: &mut Context, args: &ReadArgs) -> Result<Self, CliError> {
        let key = match (&args.key, &args.place) {
            (Some(key), _) => key.clone(),
            (None, None) => serve_log::known_signer(context)?.verifier().clone(),
            (None, Some(_)) => {
                return Err(CliError::new(Exit::Usage, "another log needs its key")
                    .hint("`--key KEY`, as `credence log show` of its owner prints it"));
            }
        };
        let place = match &args.place {
            Some(text) => Place::parse(text, Path::new("."))
                .map_err(|e| CliError::because(Exit::Usage, format!("`{text}` is no place"), e))?,
            None => Place::Folder(context.home()?.log().join("log")),
        };
        let source = place.open().map_err(no_log)?;
        Ok(Self { key, place, source })
    }

    fn head(&self) -> Result<SignedCheckpoint, CliError> {
        head(&*self.source, &self.key).map_err(|error| {
            let exit = exit_of(&error);
            CliError::because(exit, "the log's checkpoint is not to be had", error)
        })
    }

    fn tree(&self, checkpoint: &SignedCheckpoint) -> Result<Tree<'_>, CliError> {
        Tree::open(&*self.source, checkpoint.unverified()).map_err(wrong)
    }
}

fn no_log(error: SourceError) -> CliError {
    let exit = match &error {
        SourceError::Place { .. } => Exit::Malformed,
        SourceError::Bucket(_) => Exit::Io,
        _ => Exit::Missing,
    };
    CliError::because(exit, "there is no log to read", error)
}

/// A log that cannot be read has not lied: only what was read and is false counts against it.
fn wrong(error: TreeError) -> CliError {
    let what = if error.is_wrong() {
        "the log contradicts its checkpoint"
    } else {
        "the log cannot be read as its checkpoint has it"
    };
    CliError::because(exit_of(&error), what, error)
}

const fn exit_of(error: &TreeError) -> Exit {
    match error {
        error if error.is_wrong() => Exit::Inconsistent,
        TreeError::Source(_) => Exit::Io,
        TreeError::Missing { .. } => Exit::Missing,
        TreeError::Plan(_) => Exit::Usage,
        _ => Exit::Malformed,
    }
}

const fn exit_of_audit(error: &AuditError) -> Exit {
    match error {
        AuditError::Head(error) | AuditError::File(error) => exit_of(error),
        AuditError::Source(_) => Exit::Io,
        AuditError::Stopped { .. } => Exit::Failed,
        _ => Exit::Inconsistent,
    }
}

fn show(context: &mut Context, args: &ReadArgs) -> Result<(), CliError> {
    let read = Read::open(context, args)?;
    let signed = read.head()?;
    let checkpoint = signed.unverified();
    if context.console.json() {
        return context.console.data_json(&LogView {
            key: read.key.to_string(),
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: checkpoint.root().to_string(),
            checkpoint: signed.encode(),
        });
    }
    context.console.data(&format!("key   {}", read.key))?;
    context
        .console
        .data(&format!("size  {}", checkpoint.size()))?;
    context
        .console
        .data(&format!("root  {}", checkpoint.root()))
}

fn tail(context: &mut Context, n: u64, args: &ReadArgs) -> Result<(), CliError> {
    let read = Read::open(context, args)?;
    let signed = read.head()?;
    let from = signed.unverified().size().saturating_sub(n);
    let mut entries = Vec::new();
    let each = |index, receipt: &ReceiptDigest| {
        let receipt = receipt.to_string();
        entries.push(EntryView { index, receipt });
        true
    };
    read.tree(&signed)?.each_entry(from, each).map_err(wrong)?;
    for entry in entries {
        if context.console.json() {
            context.console.data_json(&entry)?;
        } else {
            let EntryView { index, receipt } = entry;
            context.console.data(&format!("{index:>10}  {receipt}"))?;
        }
    }
    Ok(())
}

fn inclusion(
    context: &mut Context,
    digest: ReceiptDigest,
    args: &ReadArgs,
) -> Result<(), CliError> {
    let read = Read::open(context, args)?;
    let signed = read.head()?;
    let mut tree = read.tree(&signed)?;
    let index = tree.find(&digest).map_err(wrong)?;
    let index = index.ok_or_else(|| {
        let size = signed.unverified().size();
        CliError::new(
            Exit::Missing,
            format!("receipt {digest} is not among the log's {size} entries"),
        )
    })?;
    let proof = tree.log_proof(index, &signed).map_err(wrong)?;
    if context.console.json() {
        let checkpoint = signed.unverified();
        return context.console.data_json(&InclusionView {
            index,
            receipt: digest.to_string(),
            size: checkpoint.size(),
            root: checkpoint.root().to_string(),
            proof: proof.encode(),
        });
    }
    context.console.raw(proof.encode().as_bytes())
}

fn consistency(context: &mut Context, old: u64, args: &ReadArgs) -> Result<(), CliError> {
    let read = Read::open(context, args)?;
    let signed = read.head()?;
    let checkpoint = signed.unverified();
    let mut tree = read.tree(&signed)?;
    let old_root = tree.root_at(old).map_err(wrong)?;
    let proof = tree.consistency(old).map_err(wrong)?;
    let (size, root) = (checkpoint.size(), checkpoint.root());
    verify_consistency((old, &old_root), (size, root), &proof).map_err(|error| {
        CliError::because(
            Exit::Inconsistent,
            "the log contradicts its checkpoint",
            error,
        )
    })?;
    if context.console.json() {
        return context.console.data_json(&ConsistencyView {
            old,
            old_root: old_root.to_string(),
            size,
            root: root.to_string(),
            proof: proof.iter().map(ToString::to_string).collect(),
        });
    }
    let text =
        format!("{old} entries with root {old_root} are the beginning of {size} with root {root}");
    context.console.data(&text)
}

fn audit_log(context: &mut Context, args: &ReadArgs) -> Result<(), CliError> {
    let read = Read::open(context, args)?;
    let bar = indicatif::ProgressBar::new(0);
    let report = audit(&*read.source, &read.key, |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
        true
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| {
        let exit = exit_of_audit(&error);
        let what = match exit {
            Exit::Io | Exit::Missing => "the log cannot be audited",
            _ => "the log is not right",
        };
        CliError::because(exit, what, error)
    })?;
    if context.console.json() {
        return context.console.data_json(&report);
    }
    context.console.data(&format!(
        "all {} entries, {} tiles and {} checkpoints of `{}` are right; root {}",
        report.entries, report.tiles, report.checkpoints, report.log, report.root
    ))
}

fn serve(
    context: &mut Context,
    args: &ReadArgs,
    address: std::net::SocketAddr,
) -> Result<(), CliError> {
    let Read { key, place, .. } = Read::open(context, args)?;
    let words = |view: &ListeningView| format!("listening on {}", view.url);
    events::run(&mut context.console, words, |send| {
        let stop = shutdown_signal()
            .map_err(|e| CliError::ours("the system takes no handler for signals", e))?;
        let listening = Arc::new(move |address| {
            let url = format!("http://{address}");
            drop(send.send(ListeningView { url }));
        });
        Ok(async move {
            run_log_server(&place, key, address, listening, stop)
                .await
                .map_err(|e| CliError::because(Exit::Io, "the log cannot be served", e))
        })
    })
}
