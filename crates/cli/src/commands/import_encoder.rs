//! `credence model import` of an encoder's folder: files, weights, comparison, verdict.

use std::path::Path;
use std::sync::Arc;

use credence_hub::{EncoderCandidate, EncoderImport, import_encoder_folder};
use credence_store::file;
use credence_wiring::{
    CONFIG_FILE, Folder, JSON_BYTES_MAX, MODULES_FILE, POOLING_FILE, TOKENIZER_FILE,
    WEIGHTS_BYTES_MAX, WEIGHTS_FILE,
};

use crate::args::ImportArgs;
use crate::commands::import::{Made, quietly, refused};
use crate::commands::import_language::{progress, read_text};
use crate::console::Console;
use crate::context::engine_options;
use crate::error::CliError;
use crate::exit::Exit;
use crate::view::language::EncoderFidelityView;

/// Imports and measures. Keeps nothing.
pub(crate) fn make(console: &Console, args: &ImportArgs) -> Result<Made, CliError> {
    let folder = open(&args.file)?;
    let text = |path: &Option<std::path::PathBuf>| path.as_deref().map(read_text).transpose();
    let (calibration, evaluation) = (text(&args.calibrate)?, text(&args.evaluate)?);
    let options = EncoderImport {
        context: args.context.map(std::num::NonZero::get),
        calibration: calibration.as_deref(),
        evaluation: evaluation.as_deref(),
        exec: engine_options(args.threads),
    };
    let bar = progress(console);
    bar.set_message("rounding weights, measuring units");
    let mut tell = |done: usize, of: usize| {
        bar.set_message(format!("comparing with the float model, {done} of {of}"));
    };
    let made = quietly(|| import_encoder_folder(&folder, &options, &mut tell));
    bar.finish_and_clear();
    let made = made?.map_err(|error| refused(&args.file, &error))?;
    let verdict = judge(&made, args);
    Ok(Made {
        verdict,
        fidelity: None,
        language_fidelity: None,
        encoder_fidelity: Some(EncoderFidelityView::new(&made.fidelity)),
        model: made.model,
        provenance: made.provenance,
        notes: Vec::new(),
    })
}

/// The files of a folder; the weights as a map, which must not be changed meanwhile.
fn open(folder: &Path) -> Result<Folder, CliError> {
    let len_max = |max: usize| u64::try_from(max).unwrap_or(u64::MAX);
    let json = |name: &str| file::read(&folder.join(name), len_max(JSON_BYTES_MAX));
    let maybe = |name: &str| {
        if folder.join(name).exists() {
            json(name).map(Some)
        } else {
            Ok(None)
        }
    };
    let weights = folder.join(WEIGHTS_FILE);
    Ok(Folder {
        config: json(CONFIG_FILE)?,
        tokenizer: json(TOKENIZER_FILE)?,
        modules: maybe(MODULES_FILE)?,
        pooling: maybe(POOLING_FILE)?,
        weights: Arc::new(credence_store::map(&weights, len_max(WEIGHTS_BYTES_MAX))?),
    })
}

/// Whether the model is faithful enough to be kept.
fn judge(made: &EncoderCandidate, args: &ImportArgs) -> Result<(), CliError> {
    let (got, min) = (made.fidelity.cosine_mean, args.min_cosine);
    if args.allow_error || got >= min {
        return Ok(());
    }
    let what = format!(
        "`{}` is not kept: the mean cosine to the float model is {got:.5}, the least allowed is {min:.5}",
        args.file.display(),
    );
    Err(CliError::new(Exit::PolicyUnmet, what)
        .hint("allow less with `--min-cosine` or `--allow-error`"))
}
