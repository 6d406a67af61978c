//! `credence model import` of a language model: text, weights, comparison, verdict.

use std::path::Path;
use std::time::Duration;

use credence_hub::{LanguageCandidate, LanguageImport, LanguageStage, import_language_model};
use credence_import::language::LanguageGraph;
use credence_store::file;
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::ImportArgs;
use crate::commands::import::{Made, quietly, refused};
use crate::console::Console;
use crate::context::engine_options;
use crate::error::CliError;
use crate::exit::Exit;
use crate::view::language::LanguageFidelityView;

/// Longest calibration text that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Imports and measures. Keeps nothing.
pub(crate) fn make(
    console: &Console,
    args: &ImportArgs,
    graph: &LanguageGraph,
    source: &[(&str, String)],
) -> Result<Made, CliError> {
    let calibration = args.calibrate.as_deref().map(read_text).transpose()?;
    let options = LanguageImport {
        context: args.context.map(std::num::NonZero::get),
        calibration: calibration.as_deref(),
        exec: engine_options(args.threads),
    };
    let bar = progress(console);
    let mut tell = |stage: LanguageStage| match stage {
        LanguageStage::Text => bar.set_message("reading the tokenizer"),
        LanguageStage::Weights => bar.set_message("rotating and rounding weights, measuring units"),
        LanguageStage::Comparing { done, of } => {
            bar.set_message(format!("comparing with the float model, {done} of {of}"));
        }
    };
    let made = quietly(|| import_language_model(graph, source, &options, &mut tell));
    bar.finish_and_clear();
    let made = made?.map_err(|error| refused(&args.file, &error))?;
    let verdict = judge(&made, args);
    Ok(Made {
        verdict,
        fidelity: None,
        language_fidelity: Some(LanguageFidelityView::new(&made.fidelity)),
        encoder_fidelity: None,
        model: made.model,
        provenance: made.provenance,
        notes: made.notes,
    })
}

pub(crate) fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = file::read(path, TEXT_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| {
        let what = format!("`{}` is no text in UTF-8: {error}", path.display());
        CliError::new(Exit::Malformed, what)
            .hint("a language model is calibrated with plain text, some hundred words of it")
    })
}

/// Whether the model is faithful enough to be kept.
fn judge(made: &LanguageCandidate, args: &ImportArgs) -> Result<(), CliError> {
    let (got, max) = (made.fidelity.divergence, args.max_divergence);
    if args.allow_error || got <= max {
        return Ok(());
    }
    let what = format!(
        "`{}` is not kept: it diverges from the float model by {got:.4} nats, the most allowed is {max:.4}",
        args.file.display(),
    );
    Err(CliError::new(Exit::PolicyUnmet, what).hint(
        "take a file with finer weights, or allow more with `--max-divergence` or `--allow-error`",
    ))
}

/// A spinner on a terminal, nothing elsewhere.
pub(crate) fn progress(console: &Console) -> ProgressBar {
    if !console.draws() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
