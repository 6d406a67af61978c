//! `credence model import`: from a float model's file to a model that is kept, if it is faithful enough.
//!
//! Models of tensors are imported here, language models in `import_language`; both say what came of it in one form.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use credence_base::{ModelId, Name};
use credence_hub::{Candidate, ImportFileError, import_tensors, parse_file_with};
use credence_model::{Model, Provenance, Tensors};
use credence_wiring::{Bytes, FloatModel, Format, TensorModel, format_of};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::ImportArgs;
use crate::commands::{import_encoder, import_language};
use crate::console::Console;
use crate::context::{Context, engine_options};
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::tensors;
use crate::view::fidelity::FidelityView;
use crate::view::language::{EncoderFidelityView, LanguageFidelityView};

/// What `model import --json` prints, whether the model is kept or not.
#[derive(Debug, Serialize)]
struct ImportView<'a> {
    id: String,
    name: &'a str,
    kept: bool,
    file: Option<String>,
    max_error: Option<f64>,
    max_divergence: Option<f64>,
    notes: &'a [String],
    fidelity: Option<FidelityView>,
    language_fidelity: Option<LanguageFidelityView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_cosine: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_fidelity: Option<EncoderFidelityView>,
}

/// What is imported.
pub(crate) struct Source<'a> {
    /// The file's name, for messages.
    pub(crate) file: &'a Path,
    /// The float model that it holds.
    pub(crate) model: &'a TensorModel,
    /// Real inputs, to calibrate and to compare on.
    pub(crate) inputs: Option<&'a Tensors>,
    /// Threads for the comparison.
    pub(crate) threads: Option<NonZeroUsize>,
}

/// A model that was made, and whether it is faithful enough.
pub(crate) struct Made {
    pub(crate) model: Arc<Model>,
    pub(crate) provenance: Provenance,
    pub(crate) notes: Vec<String>,
    pub(crate) fidelity: Option<FidelityView>,
    pub(crate) language_fidelity: Option<LanguageFidelityView>,
    pub(crate) encoder_fidelity: Option<EncoderFidelityView>,
    pub(crate) verdict: Result<(), CliError>,
}

/// Imports a model and keeps it, unless its error is larger than allowed.
pub(crate) fn run(context: &mut Context, args: &ImportArgs) -> Result<(), CliError> {
    if args.file.is_dir() {
        let name = name_of(args)?;
        check_limits(args)?;
        let made = import_encoder::make(&context.console, args)?;
        return keep(context, args, &name, made);
    }
    let format = format_of_file(&args.file)?;
    let name = name_of(args)?;
    check_limits(args)?;
    let bytes = open(&args.file, format)?;
    let made = make_any(&context.console, args, (format, bytes))?;
    keep(context, args, &name, made)
}

/// A map of the file, which must not be changed meanwhile.
pub(crate) fn open(file: &Path, format: Format) -> Result<Bytes, CliError> {
    let len_max = u64::try_from(format.file_bytes_max()).unwrap_or(u64::MAX);
    Ok(Arc::new(credence_store::map(file, len_max)?))
}

/// Imports and measures a model of any format. Keeps nothing.
pub(crate) fn make_any(
    console: &Console,
    args: &ImportArgs,
    (format, bytes): (Format, Bytes),
) -> Result<Made, CliError> {
    let float = quietly(|| parse_file_with(format, Arc::clone(&bytes), &args.dims))?;
    match float.map_err(|error| refused(&args.file, &error))? {
        FloatModel::Tensors(model) => {
            if args.context.is_some() {
                let what = "`--context` is for language models, and this one takes tensors";
                return Err(CliError::new(Exit::Usage, what));
            }
            make_tensors(console, args, &model)
        }
        FloatModel::Language(_) if !args.dims.is_empty() => {
            let what = "`--dim` is for models of tensors, and this is a language model";
            Err(CliError::new(Exit::Usage, what))
        }
        FloatModel::Language(graph) => {
            let source = credence_hub::file_source(format, (*bytes).as_ref());
            import_language::make(console, args, &graph, &source)
        }
    }
}

fn make_tensors(
    console: &Console,
    args: &ImportArgs,
    model: &TensorModel,
) -> Result<Made, CliError> {
    let inputs = match &args.calibrate {
        Some(path) => Some(tensors::read_file(path)?),
        None => None,
    };
    let source = Source {
        file: &args.file,
        model,
        inputs: inputs.as_ref(),
        threads: args.threads,
    };
    let candidate = make(console, &source)?;
    let verdict = judge(&candidate, args);
    Ok(Made {
        verdict,
        fidelity: candidate.measured.as_ref().map(FidelityView::new),
        language_fidelity: None,
        encoder_fidelity: None,
        model: candidate.model,
        provenance: candidate.provenance,
        notes: candidate.notes,
    })
}

/// Keeps a model that is faithful enough, and says what came of it either way.
pub(crate) fn keep(
    context: &mut Context,
    args: &ImportArgs,
    name: &Name,
    made: Made,
) -> Result<(), CliError> {
    let file = match &made.verdict {
        Ok(()) => Some(context.hub()?.put(&made.model, &made.provenance, name)?),
        Err(_) => None,
    };
    let of_language = made.language_fidelity.is_some();
    let of_texts = made.encoder_fidelity.is_some();
    let view = ImportView {
        id: made.model.id().to_string(),
        name: name.as_str(),
        kept: file.is_some(),
        file: file.as_ref().map(|path| path.display().to_string()),
        max_error: (!of_language && !of_texts).then_some(args.max_error),
        max_divergence: of_language.then_some(args.max_divergence),
        notes: &made.notes,
        fidelity: made.fidelity,
        language_fidelity: made.language_fidelity,
        min_cosine: of_texts.then_some(args.min_cosine),
        encoder_fidelity: made.encoder_fidelity,
    };
    show(context, &view)?;
    made.verdict
}

/// Imports and measures a model of tensors. Keeps nothing.
pub(crate) fn make(console: &Console, source: &Source<'_>) -> Result<Candidate, CliError> {
    let progress = progress(console, source.file);
    let options = engine_options(source.threads);
    let made = quietly(|| import_tensors(source.model, source.inputs, options));
    progress.finish_and_clear();
    made?.map_err(|error| refused(source.file, &error))
}

/// A file that became no model.
pub(crate) fn refused(file: &Path, error: &ImportFileError) -> CliError {
    let exit = match error {
        ImportFileError::Parse(_)
        | ImportFileError::Import(_)
        | ImportFileError::Evaluate(_)
        | ImportFileError::Text(_)
        | ImportFileError::Sample { .. }
        | ImportFileError::Language(_) => Exit::Malformed,
        ImportFileError::Fidelity(_)
        | ImportFileError::LanguageFidelity(_)
        | ImportFileError::EncoderFidelity(_) => Exit::Failed,
    };
    let file = file.display();
    CliError::new(
        exit,
        format!("`{file}` cannot be imported: {}", chain(error)),
    )
}

/// Runs what may panic inside and be caught there, without the panic's words: the error says what happened. A panic that nobody
/// caught is a bug, and is told as one.
pub(crate) fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, CliError> {
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

/// Says that a model was kept before, in the form of an import.
pub(crate) fn show_here(
    context: &mut Context,
    id: ModelId,
    name: &Name,
    file: &Path,
) -> Result<(), CliError> {
    let notes = ["the model was here already".to_owned()];
    let view = ImportView {
        id: id.to_string(),
        name: name.as_str(),
        kept: true,
        file: Some(file.display().to_string()),
        max_error: None,
        max_divergence: None,
        notes: &notes,
        fidelity: None,
        language_fidelity: None,
        min_cosine: None,
        encoder_fidelity: None,
    };
    show(context, &view)
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
    if let Some(fidelity) = &view.language_fidelity {
        context.console.data(&format!("{}\n", fidelity.text()))?;
    }
    if let Some(fidelity) = &view.encoder_fidelity {
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

fn check_limits(args: &ImportArgs) -> Result<(), CliError> {
    let (share, nats) = (args.max_error, args.max_divergence);
    let cosine = args.min_cosine;
    let what = if !(-1.0..=1.0).contains(&cosine) {
        format!("`--min-cosine` must be a number from -1 to 1, but is `{cosine}`")
    } else if !(0.0..=1.0).contains(&share) {
        format!("`--max-error` must be a share from 0 to 1, but is `{share}`")
    } else if !(nats >= 0.0 && nats.is_finite()) {
        format!("`--max-divergence` must be a number of nats from 0, but is `{nats}`")
    } else {
        return Ok(());
    };
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
