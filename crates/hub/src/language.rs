//! From a language model's graph to a model that can be kept, with a report on how faithful it is.
//!
//! ```text
//! LanguageGraph ─import_text─▶ text ─▶ calibration text as tokens ─import_language─▶ Model
//!                                 └──▶ evaluation text as tokens ─▶ language_fidelity: float and exact, position by position
//! ```
//!
//! The float side is the importer's own reading of the file, not an independent engine's; `crates/format-gguf` tests that reading against llama.cpp.
//! It decides nothing: whether the model is faithful enough is for whoever asked.

use std::sync::Arc;

use credence_base::Digest;
use credence_import::language::{
    CALIBRATION_TEXT, EVALUATION_TEXT, ImportedLanguage, LanguageFidelity, LanguageGraph,
    LanguageOptions, TextImport, Units, import_language, import_text, language_fidelity, samples,
};
use credence_import::{IMPORTER_VERSION, Options, text_digest};
use credence_model::{Model, Provenance};
use credence_wiring::Format;
use sha2::{Digest as _, Sha256};

use crate::importing::ImportFileError;

/// Positions of a run unless somebody asks for another number, or the model has fewer.
pub const CONTEXT_DEFAULT: usize = 2048;

/// How a language model's file is imported.
#[derive(Debug)]
pub struct LanguageImport<'a> {
    /// Most positions of a run; [`CONTEXT_DEFAULT`], or the model's own number if that is smaller, where nobody says.
    pub context: Option<usize>,
    /// The text that units are measured on; the built-in one where nobody says.
    pub calibration: Option<&'a str>,
    /// Threads and instructions; no result depends on them.
    pub exec: Options,
}

/// What an import of a language model is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanguageStage {
    /// Reading the tokenizer.
    Text,
    /// Rotating and rounding weights, measuring units.
    Weights,
    /// Comparing: samples done, of how many.
    Comparing {
        /// Done.
        done: usize,
        /// All.
        of: usize,
    },
}

/// A language model that was made from a file.
#[derive(Debug)]
pub struct LanguageCandidate {
    /// The model.
    pub model: Arc<Model>,
    /// Where it came from.
    pub provenance: Provenance,
    /// What was left out, one sentence each.
    pub notes: Vec<String>,
    /// Its units, by block.
    pub units: Vec<Units>,
    /// How close it comes to the float model, on the built-in evaluation text.
    pub fidelity: LanguageFidelity,
}

/// Imports a language model and measures it. `source` says where the graph came from, for provenance.
///
/// # Errors
/// [`ImportFileError`], naming what does not fit and the remedy.
pub fn import_language_model(
    graph: &LanguageGraph,
    source: &[(&str, String)],
    options: &LanguageImport<'_>,
    progress: &mut dyn FnMut(LanguageStage),
) -> Result<LanguageCandidate, ImportFileError> {
    progress(LanguageStage::Text);
    let TextImport { bytes, text, notes } =
        import_text(&graph.text).map_err(|e| ImportFileError::Text(Box::new(e)))?;
    let context = options
        .context
        .unwrap_or_else(|| graph.context.min(CONTEXT_DEFAULT));
    let tokens = |what, document| {
        samples(&text, document, context).map_err(|source| ImportFileError::Sample { what, source })
    };
    let document = options.calibration.unwrap_or(CALIBRATION_TEXT);
    let calibration = tokens("calibration text", document)?;
    let evaluation = tokens("evaluation text", EVALUATION_TEXT)?;
    progress(LanguageStage::Weights);
    let lowering = LanguageOptions {
        context,
        calibration,
        exec: options.exec,
    };
    let ImportedLanguage { model, units } = import_language(graph, &bytes, &lowering)
        .map_err(|e| ImportFileError::Language(Box::new(e)))?;
    let model = Arc::new(model);
    let of = evaluation.len();
    let mut compared = |done| progress(LanguageStage::Comparing { done, of });
    compared(0);
    let fidelity = language_fidelity(graph, &model, &evaluation, options.exec, &mut compared)
        .map_err(|e| ImportFileError::LanguageFidelity(Box::new(e)))?;
    Ok(LanguageCandidate {
        provenance: provenance(graph, source, (document, context, &units)),
        model,
        notes,
        units,
        fidelity,
    })
}

fn provenance(
    graph: &LanguageGraph,
    source: &[(&str, String)],
    (document, context, units): (&str, usize, &[Units]),
) -> Provenance {
    let mut provenance = Provenance::new();
    let mut note = |key: &str, text: String| {
        provenance.insert(key.to_owned(), text);
    };
    note("importer.version", IMPORTER_VERSION.to_string());
    note("importer.context", context.to_string());
    note("calibration.blake3", text_digest(document).to_string());
    note("importer.units", units_words(units));
    note("source.name", graph.name.clone());
    for (key, text) in source {
        note(key, text.clone());
    }
    provenance
}

/// Fraction bits of queries, keys, values, gates, their factors and products, block by block.
fn units_words(units: &[Units]) -> String {
    let block = |units: &Units| {
        let Units {
            q,
            k,
            v,
            gate,
            up,
            product,
        } = units;
        format!("{q},{k},{v},{gate},{up},{product}")
    };
    units.iter().map(block).collect::<Vec<_>>().join(" ")
}

/// What provenance says of a file: its format, and its SHA-256.
#[must_use]
pub fn file_source(format: Format, bytes: &[u8]) -> [(&'static str, String); 2] {
    let digest = Digest::from_bytes(Sha256::digest(bytes).into());
    [
        ("source.format", format.extension().to_owned()),
        ("source.sha256", digest.to_string()),
    ]
}
