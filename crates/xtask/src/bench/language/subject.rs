//! A GGUF file as everything that is measured of it: the float graph, the exact model, and the engines that run it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use credence_exec::{Engine, Isa, Options};
use credence_format_gguf::{Gguf, Limits, language_graph};
use credence_generate::Language;
use credence_import::language::{LanguageGraph, LanguageOptions, TextSource, import_language};
use credence_model::Model;
use credence_text::{Context, SPEC_VERSION, Special, SpecialIds, Text, TextSpec};

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
    /// Reads and imports a file. Units are measured on `bench/texts/calibration.txt`, of which nothing is used elsewhere.
    ///
    /// # Errors
    /// What reading or importing says.
    pub(crate) fn import(root: &Path, path: &Path) -> Result<Self, String> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| format!("{}: {error}\n", path.display()))
        };
        let bytes = read(path)?;
        let file = Gguf::parse(Arc::new(bytes), &Limits::MODELS).map_err(|e| chain(&e))?;
        let graph = language_graph(&file).map_err(|e| chain(&e))?;
        let spec = text_spec(&graph.text)?;
        let text = Text::new(&spec).map_err(|e| chain(&e))?;
        let calibration = read(&root.join("bench/texts/calibration.txt"))?;
        let calibration = String::from_utf8_lossy(&calibration);
        let calibration = text
            .tokenise(&calibration, Special::Plain, Context::Begin)
            .map_err(|e| chain(&e))?;
        let options = LanguageOptions {
            context: graph.context.min(CONTEXT_MAX),
            calibration: vec![calibration],
            exec: options(IMPORT_THREADS),
        };
        let spec = spec.to_bytes().map_err(|e| chain(&e))?;
        let start = Instant::now();
        let imported = import_language(&graph, &spec, &options).map_err(|e| chain(&e))?;
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

/// The document that a model carries, from what its file says; what a file leaves open is as llama.cpp has it.
fn text_spec(source: &TextSource) -> Result<TextSpec, String> {
    let is_bpe = match source.model.as_str() {
        "gpt2" => true,
        "llama" => false,
        other => {
            return Err(format!(
                "a tokeniser of kind `{other}` is not known; `gpt2` and `llama` are\n"
            ));
        }
    };
    let types: Option<Vec<u8>> = match source.types.as_slice() {
        [] => Some(vec![1; source.tokens.len()]),
        types => types.iter().map(|&kind| u8::try_from(kind).ok()).collect(),
    };
    let scores = || source.scores.iter().map(|score| score.to_bits()).collect();
    let mut spec = TextSpec {
        version: SPEC_VERSION,
        kind: if is_bpe { "bpe" } else { "spm" }.to_owned(),
        pre: is_bpe.then(|| source.pre.clone().unwrap_or_else(|| "default".to_owned())),
        tokens: source.tokens.clone(),
        types: types.ok_or("a token has a type that is none\n")?,
        merges: is_bpe.then(|| source.merges.clone()),
        scores: (!is_bpe).then(scores),
        special: SpecialIds {
            bos: source.special.begin,
            eos: source.special.end,
            eot: source.special.end_of_turn,
            unk: source.special.unknown,
            pad: source.special.padding,
        },
        add_bos: source.add_begin.unwrap_or(!is_bpe),
        add_eos: source.add_end.unwrap_or(false),
        add_space_prefix: !is_bpe && source.add_space_prefix.unwrap_or(true),
        ends: Vec::new(),
        chat_template: source.chat_template.clone(),
    };
    spec.complete();
    Ok(spec)
}
