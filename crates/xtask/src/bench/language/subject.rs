//! A GGUF file as everything that is measured of it: the float graph, the exact model, and the engines that run it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use credence_exec::{Engine, Isa, Options};
use credence_format_gguf::{Gguf, Limits, language_graph};
use credence_generate::Language;
use credence_import::language::{
    CALIBRATION_TEXT, LanguageGraph, LanguageOptions, TextImport, import_language, import_text,
    samples,
};
use credence_model::Model;

use super::chain;

/// Most positions of the imported model.
const CONTEXT_MAX: usize = 2048;
/// Threads to import with; nothing depends on them.
const IMPORT_THREADS: usize = 2;

/// A model, in floats and exact.
pub(crate) struct Subject {
    pub(crate) graph: LanguageGraph,
    pub(crate) model: Arc<Model>,
    /// The file's own name.
    pub(crate) file: String,
    /// How long the import took.
    pub(crate) import_s: f64,
}

/// The engine's options for so many threads.
pub(crate) fn options(threads: usize) -> Options {
    Options {
        threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
        isa: Isa::detect(),
    }
}

impl Subject {
    /// Reads and imports a file as `credence model import` does, with the built-in text: the model is the one that users have.
    ///
    /// # Errors
    /// What reading or importing says.
    pub(crate) fn import(path: &Path) -> Result<Self, String> {
        let bytes =
            std::fs::read(path).map_err(|error| format!("{}: {error}\n", path.display()))?;
        let file = Gguf::parse(Arc::new(bytes), &Limits::MODELS).map_err(|e| chain(&e))?;
        let graph = language_graph(&file).map_err(|e| chain(&e))?;
        let TextImport { bytes, text, .. } = import_text(&graph.text).map_err(|e| chain(&e))?;
        let context = graph.context.min(CONTEXT_MAX);
        let options = LanguageOptions {
            context,
            calibration: samples(&text, CALIBRATION_TEXT, context).map_err(|e| chain(&e))?,
            exec: options(IMPORT_THREADS),
        };
        let start = Instant::now();
        let imported = import_language(&graph, &bytes, &options).map_err(|e| chain(&e))?;
        Ok(Self {
            graph,
            model: Arc::new(imported.model),
            file: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            import_s: start.elapsed().as_secs_f64(),
        })
    }

    /// The exact model, ready to run.
    ///
    /// # Errors
    /// What the engine says.
    pub(crate) fn language(&self, threads: usize) -> Result<Language, String> {
        language(Arc::clone(&self.model), threads)
    }

    /// Writes the exact model where another process can read it.
    ///
    /// # Errors
    /// What writing says.
    pub(crate) fn store(&self, path: &Path) -> Result<(), String> {
        let bytes = self.model.to_safetensors(&BTreeMap::new());
        let bytes = bytes.map_err(|e| chain(&e))?;
        std::fs::write(path, bytes).map_err(|error| format!("{}: {error}\n", path.display()))
    }
}

/// A model, ready to run.
///
/// # Errors
/// What the engine or the tokeniser says.
pub(crate) fn language(model: Arc<Model>, threads: usize) -> Result<Language, String> {
    let engine = Engine::new(model, options(threads)).map_err(|e| chain(&e))?;
    Language::new(engine).map_err(|e| chain(&e))
}
