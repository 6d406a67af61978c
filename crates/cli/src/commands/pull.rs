//! `credence pull`: fetch what the catalogue names, verify it, import it, and keep it if it is the model that is pinned.
//!
//! ```text
//! catalogue entry ─ here already? ─▶ named, done
//!      └─▶ Fetch::get ─▶ verified bytes ─▶ import ─▶ the pinned ModelId? ─▶ kept
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use credence_base::Name;
use credence_hub::{
    CATALOGUE_BYTES_MAX, Catalogue, CatalogueEntry, CatalogueError, Fetch, FetchStage, HubError,
    PullError,
};
use credence_import::IMPORTER_VERSION;
use credence_store::file;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::{ImportArgs, PullArgs};
use crate::commands::import::{Made, keep, make_any, show_here};
use crate::console::Console;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::view::table::{Side, Table};

/// How long a source may send nothing.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Where Hugging Face's files come from.
const ENDPOINT: &str = "HF_ENDPOINT";

/// What `pull --list --json` prints.
#[derive(Debug, Serialize)]
struct CatalogueView {
    models: Vec<EntryView>,
}

/// One model of it.
#[derive(Debug, Serialize)]
struct EntryView {
    name: String,
    about: String,
    licence: String,
    size_bytes: u64,
    sha256: String,
    importer_version: u32,
    model_id: String,
}

/// Fetches a model, or lists those there are.
pub(crate) fn run(context: &mut Context, args: &PullArgs) -> Result<(), CliError> {
    let catalogue = catalogue(args.catalogue.as_deref())?;
    let Some(wanted) = &args.model else {
        return list(context, &catalogue);
    };
    let entry = catalogue.get(wanted).ok_or_else(|| {
        let what = format!("the catalogue has no model called `{wanted}`");
        CliError::new(Exit::Missing, what).hint("`credence pull --list` shows what it has")
    })?;
    let name = args.name.clone().unwrap_or_else(|| entry.name.clone());
    if already_here(context, entry, &name)? {
        return Ok(());
    }
    fetch_and_keep(context, args, (entry, &name))
}

fn catalogue(path: Option<&Path>) -> Result<Catalogue, CliError> {
    let read = match path {
        None => Catalogue::built_in(),
        Some(path) => {
            let bytes = file::read(path, CATALOGUE_BYTES_MAX)?;
            let text = String::from_utf8(bytes).map_err(|_| {
                let what = format!("`{}` is no text in UTF-8", path.display());
                CliError::new(Exit::Malformed, what)
            })?;
            Catalogue::parse(&text)
        }
    };
    read.map_err(|error: CatalogueError| {
        let file = path.map_or_else(String::new, |path| format!("`{}`: ", path.display()));
        CliError::new(Exit::Malformed, format!("{file}{}", chain(&error)))
    })
}

fn list(context: &mut Context, catalogue: &Catalogue) -> Result<(), CliError> {
    let view = |entry: &CatalogueEntry| EntryView {
        name: entry.name.to_string(),
        about: entry.about.clone(),
        licence: entry.licence.clone(),
        size_bytes: entry.size_bytes,
        sha256: entry.sha256.to_string(),
        importer_version: entry.importer_version,
        model_id: entry.model_id.to_string(),
    };
    let models: Vec<EntryView> = catalogue.entries().iter().map(view).collect();
    if context.console.json() {
        return context.console.data_json(&CatalogueView { models });
    }
    let mut table = Table::new(&[
        ("name", Side::Left),
        ("bytes", Side::Right),
        ("licence", Side::Left),
        ("what it is", Side::Left),
    ]);
    for model in models {
        let size = model.size_bytes.to_string();
        table.row(vec![model.name, size, model.licence, model.about]);
    }
    context.console.data(&table.text())
}

/// Whether the pinned model is kept already, whole; it gets the name then.
fn already_here(
    context: &mut Context,
    entry: &CatalogueEntry,
    name: &Name,
) -> Result<bool, CliError> {
    let hub = context.hub()?;
    match hub.load(entry.model_id) {
        Ok(_) => {}
        Err(HubError::Absent { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    hub.name(entry.model_id, name)?;
    let file = hub.path(entry.model_id);
    show_here(context, entry.model_id, name, &file)?;
    Ok(true)
}

fn fetch_and_keep(
    context: &mut Context,
    args: &PullArgs,
    (entry, name): (&CatalogueEntry, &Name),
) -> Result<(), CliError> {
    let fetch = Fetch {
        folder: context.home()?.path().join("downloads"),
        python: args.python.clone(),
        huggingface: std::env::var(ENDPOINT).ok().filter(|text| !text.is_empty()),
        idle_max: IDLE_MAX,
    };
    let bar = progress(&context.console, entry.size_bytes);
    let artefact = fetch.get(entry, &mut |stage| match stage {
        FetchStage::Asking { source } => bar.set_message(format!("from {source}")),
        FetchStage::Bytes { done, .. } => bar.set_position(done),
        FetchStage::Verifying => bar.set_message("verifying"),
    });
    bar.finish_and_clear();
    let artefact = artefact.map_err(|error| pull_error(&error))?;
    let import = ImportArgs {
        file: artefact.path.clone(),
        name: Some(name.clone()),
        calibrate: None,
        dims: Vec::new(),
        context: entry.context.and_then(std::num::NonZero::new),
        max_error: MAX_ERROR,
        max_divergence: MAX_DIVERGENCE,
        min_cosine: 0.995,
        evaluate: None,
        allow_error: false,
        threads: args.threads,
    };
    let bytes = Arc::clone(&artefact.bytes);
    let made = make_any(&context.console, &import, (entry.format, bytes))?;
    check_id(entry, &made)?;
    keep(context, &import, name, made)?;
    if !args.keep_download {
        fetch.forget(entry).map_err(|error| pull_error(&error))?;
    }
    Ok(())
}

/// What `model import` allows unless told otherwise.
const MAX_ERROR: f64 = 0.02;
const MAX_DIVERGENCE: f64 = 0.05;

/// Whether the import gave the model that is pinned.
fn check_id(entry: &CatalogueEntry, made: &Made) -> Result<(), CliError> {
    let (got, expected) = (made.model.id(), entry.model_id);
    if got == expected {
        return Ok(());
    }
    let pinned = entry.importer_version;
    let what = format!(
        "`{}` is not kept: it became model `{got}` under importer version {IMPORTER_VERSION}, and the catalogue pins `{expected}` under version {pinned}",
        entry.name
    );
    let hint = if pinned == IMPORTER_VERSION {
        "the same file and importer must give the same model: please report this; the file itself is right, and `credence model import` keeps what it became"
    } else {
        "take a release of credence that has that importer, or a catalogue made for this one, `--catalogue FILE`"
    };
    Err(CliError::new(Exit::Inconsistent, what).hint(hint))
}

fn pull_error(error: &PullError) -> CliError {
    let exit = match error {
        PullError::Store(_) => Exit::Io,
        PullError::Sources { .. } => Exit::Missing,
    };
    let text = CliError::new(exit, chain(error));
    match error.hint() {
        Some(hint) => text.hint(hint),
        None => text,
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(console: &Console, size_bytes: u64) -> ProgressBar {
    if !console.draws() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size_bytes);
    let form = "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} ({eta})";
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
