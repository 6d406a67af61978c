//! From a folder of an encoder to a model that can be kept, with a report on how faithful it is.
//!
//! ```text
//! Folder ─parse_folder─▶ EncoderGraph ─import_encoder, on the calibration text's sentences─▶ Model ─encoder_fidelity, on others─▶ report
//! ```
//!
//! It decides nothing: whether the model is faithful enough is for whoever asked.

use std::sync::Arc;

use credence_base::Digest;
use credence_import::language::{
    CALIBRATION_TEXT, EVALUATION_TEXT, EncoderFidelity, EncoderGraph, EncoderUnits,
    ImportedEncoder, LanguageOptions, encoder_fidelity, import_encoder, pinned_text, sentences,
};
use credence_import::{IMPORTER_VERSION, Options, text_digest};
use credence_model::{Model, Provenance};
use credence_wiring::{Folder, parse_folder};
use sha2::{Digest as _, Sha256};

use crate::importing::ImportFileError;

/// Most tokens of all texts that units are measured on.
const CALIBRATION_TOKENS_MAX: usize = 8192;
/// Most texts that are compared.
const COMPARED_MAX: usize = 4096;

/// How an encoder's folder is imported.
#[derive(Debug)]
pub struct EncoderImport<'a> {
    /// Most positions of a run; the model's own number where nobody says.
    pub context: Option<usize>,
    /// The text that units are measured on; the built-in one where nobody says.
    pub calibration: Option<&'a str>,
    /// The text whose sentences are compared; a built-in one where nobody says.
    pub evaluation: Option<&'a str>,
    /// Threads and instructions; no result depends on them.
    pub exec: Options,
}

/// An encoder that was made from a folder.
#[derive(Debug)]
pub struct EncoderCandidate {
    /// The model.
    pub model: Arc<Model>,
    /// Where it came from.
    pub provenance: Provenance,
    /// Its units, by block.
    pub units: Vec<EncoderUnits>,
    /// How close it comes to the float model.
    pub fidelity: EncoderFidelity,
}

/// Imports an encoder and measures it.
///
/// # Errors
/// [`ImportFileError`], naming what does not fit and the remedy.
pub fn import_encoder_folder(
    folder: &Folder,
    options: &EncoderImport<'_>,
    compared: &mut dyn FnMut(usize, usize),
) -> Result<EncoderCandidate, ImportFileError> {
    let graph = parse_folder(folder).map_err(|e| ImportFileError::Parse(Box::new(e)))?;
    let text = pinned_text(&graph.text).map_err(|e| ImportFileError::Text(Box::new(e)))?;
    let context = options.context.unwrap_or(graph.context);
    let tokens = |what, document, max| {
        let found = sentences(&text, document, (context, max));
        found.map_err(|source| ImportFileError::Sample { what, source })
    };
    let document = options.calibration.unwrap_or(CALIBRATION_TEXT);
    let calibration = tokens("calibration text", document, CALIBRATION_TOKENS_MAX)?;
    let evaluation = options.evaluation.unwrap_or(EVALUATION_TEXT);
    let mut evaluation = tokens("evaluation text", evaluation, usize::MAX)?;
    evaluation.truncate(COMPARED_MAX);
    let lowering = LanguageOptions {
        context,
        calibration,
        exec: options.exec,
    };
    let made = import_encoder(&graph, &lowering);
    let made = made.map_err(|e| ImportFileError::Language(Box::new(e)))?;
    let ImportedEncoder { model, units, pool } = made;
    let model = Arc::new(model);
    let of = evaluation.len();
    let mut told = |done| compared(done, of);
    told(0);
    let fidelity = encoder_fidelity(&graph, &model, &evaluation, options.exec, &mut told)
        .map_err(|e| ImportFileError::EncoderFidelity(Box::new(e)))?;
    Ok(EncoderCandidate {
        provenance: provenance(&graph, folder, (document, context, &units, pool)),
        model,
        units,
        fidelity,
    })
}

fn provenance(
    graph: &EncoderGraph,
    folder: &Folder,
    (document, context, units, pool): (&str, usize, &[EncoderUnits], i32),
) -> Provenance {
    let weights = Sha256::digest((*folder.weights).as_ref());
    let of_block = |units: &EncoderUnits| {
        let EncoderUnits {
            q,
            k,
            v,
            up,
            product,
        } = units;
        format!("{q},{k},{v},{up},{product}")
    };
    let mut words: Vec<String> = units.iter().map(of_block).collect();
    words.push(pool.to_string());
    let notes = [
        ("importer.version", IMPORTER_VERSION.to_string()),
        ("importer.context", context.to_string()),
        ("calibration.blake3", text_digest(document).to_string()),
        ("importer.units", words.join(" ")),
        ("source.name", graph.name.clone()),
        ("source.format", "safetensors".to_owned()),
        (
            "source.sha256",
            Digest::from_bytes(weights.into()).to_string(),
        ),
    ];
    let notes = notes.into_iter();
    notes.map(|(key, text)| (key.to_owned(), text)).collect()
}
