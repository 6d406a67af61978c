//! `credence model import`: from a float model's file to a model that is kept, if it is faithful enough.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use credence_base::Name;
use credence_hub::{Candidate, ImportFileError, import_file};
use credence_model::Tensors;
use credence_store::file;
use credence_wiring::{Format, format_of};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::ImportArgs;
use crate::console::Console;
use crate::context::{Context, engine_options};
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::tensors;
use crate::view::fidelity::FidelityView;

/// What `model import --json` prints, whether the model is kept or not.
#[derive(Debug, Serialize)]
struct ImportView<'a> {
    id: String,
    name: &'a str,
    kept: bool,
    file: Option<String>,
    max_error: f64,
    notes: &'a [String],
    fidelity: Option<FidelityView>,
}

/// What is imported.
pub(crate) struct Source<'a> {
    /// The file's name, for messages.
    pub(crate) file: &'a Path,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// How to read them.
    pub(crate) format: Format,
    /// Real inputs, to calibrate and to compare on.
    pub(crate) inputs: Option<&'a Tensors>,
    /// Threads for the comparison.
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Imports a model and keeps it, unless its error is larger than allowed.
pub(crate) fn run(context: &mut Context, args: &ImportArgs) -> Result<(), CliError> {
    let format = format_of_file(&args.file)?;
    let name = name_of(args)?;
    check_limit(args.max_error)?;
    let len_max = u64::try_from(format.file_bytes_max()).unwrap_or(u64::MAX);
    let bytes = file::read(&args.file, len_max)?;
    let inputs = match &args.calibrate {
        Some(path) => Some(tensors::read_file(path)?),
        None => None,
    };
    let candidate = make(
        &context.console,
        &Source {
            file: &args.file,
            bytes: &bytes,
            format,
            inputs: inputs.as_ref(),
            threads: None,
        },
    )?;
    let verdict = judge(&candidate, args);
    let file = match &verdict {
        Ok(()) => {
            let hub = context.hub()?;
            Some(hub.put(&candidate.model, &candidate.provenance, &name)?)
        }
        Err(_) => None,
    };
    let view = ImportView {
        id: candidate.model.id().to_string(),
        name: name.as_str(),
        kept: file.is_some(),
        file: file.as_ref().map(|path| path.display().to_string()),
        max_error: args.max_error,
        notes: &candidate.notes,
        fidelity: candidate.measured.as_ref().map(FidelityView::new),
    };
    show(context, &view)?;
    verdict
}

/// Imports and measures. Keeps nothing.
pub(crate) fn make(console: &Console, source: &Source<'_>) -> Result<Candidate, CliError> {
    let progress = progress(console, source.file);
    let made = quietly(|| {
        import_file(
            source.format,
            source.bytes,
            source.inputs,
            engine_options(source.threads),
        )
    });
    progress.finish_and_clear();
    made?.map_err(|error| {
        let exit = match &error {
            ImportFileError::Parse(_)
            | ImportFileError::Import(_)
            | ImportFileError::Evaluate(_) => Exit::Malformed,
            ImportFileError::Fidelity(_) => Exit::Failed,
        };
        let file = source.file.display();
        CliError::new(
            exit,
            format!("`{file}` cannot be imported: {}", chain(&error)),
        )
    })
}

/// Runs what may panic inside and be caught there, without the panic's words: the error says what happened. A panic that nobody
/// caught is a bug, and is told as one.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, CliError> {
    let before = std::panic::take_hook();
    let last = Arc::new(Mutex::new(String::new()));
    let words = Arc::clone(&last);
    std::panic::set_hook(Box::new(move |info| {
        *words.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    let result = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(before);
    result.map_err(|_| {
        let words = last.lock().unwrap_or_else(PoisonError::into_inner);
        CliError::new(Exit::Failed, format!("the import failed by a bug: {words}"))
            .hint("please report this, with the file if you may")
    })
}

/// Whether the model is faithful enough to be kept.
fn judge(candidate: &Candidate, args: &ImportArgs) -> Result<(), CliError> {
    if args.allow_error {
        return Ok(());
    }
    let Some(measured) = &candidate.measured else {
        let what = format!(
            "`{}` is not kept: nothing says how faithful it is",
            args.file.display()
        );
        return Err(CliError::new(Exit::PolicyUnmet, what).hint(
            "give real inputs to compare on, `--calibrate inputs.npz`, or keep it unmeasured with `--allow-error`",
        ));
    };
    let (error, max) = (measured.error(), args.max_error);
    if error <= max {
        return Ok(());
    }
    let what = format!(
        "`{}` is not kept: its error is {:.3} %, the most allowed is {:.3} %",
        args.file.display(),
        error * 100.0,
        max * 100.0
    );
    Err(CliError::new(Exit::PolicyUnmet, what).hint(
        "calibrate with inputs that are more like those it will see, or allow more with `--max-error` or `--allow-error`",
    ))
}

fn show(context: &mut Context, view: &ImportView<'_>) -> Result<(), CliError> {
    if context.console.json() {
        return context.console.data_json(view);
    }
    for note in view.notes {
        context.console.say(&format!("note: {note}"));
    }
    if let Some(fidelity) = &view.fidelity {
        context.console.data(&format!("{}\n", fidelity.text()))?;
    }
    match &view.file {
        Some(file) => context.console.data(&format!(
            "kept as `{}`\nmodel  {}\nfile   {file}",
            view.name, view.id
        )),
        None => context
            .console
            .data(&format!("model  {}, not kept", view.id)),
    }
}

fn format_of_file(path: &Path) -> Result<Format, CliError> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    format_of(extension).map_err(|error| {
        let what = format!("`{}` cannot be imported: {error}", path.display());
        CliError::new(Exit::Usage, what)
    })
}

/// The name that was given, else one made of the file's.
fn name_of(args: &ImportArgs) -> Result<Name, CliError> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let stem = args.file.file_stem().map(|stem| stem.to_string_lossy());
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
        _ => '-',
    };
    let made: String = stem.unwrap_or_default().chars().map(plain).collect();
    Name::new(&made).map_err(|error| {
        let what = format!("`{}` gives no name: {error}", args.file.display());
        CliError::new(Exit::Usage, what).hint("choose one with `--name NAME`")
    })
}

fn check_limit(max_error: f64) -> Result<(), CliError> {
    if (0.0..=1.0).contains(&max_error) {
        return Ok(());
    }
    let what = format!("`--max-error` must be a share from 0 to 1, but is `{max_error}`");
    Err(CliError::new(Exit::Usage, what))
}

/// A spinner on a terminal, nothing elsewhere.
fn progress(console: &Console, file: &Path) -> ProgressBar {
    if !console.draws() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    let file = file.display();
    bar.set_message(format!(
        "importing `{file}`: calibrating, lowering, comparing"
    ));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
