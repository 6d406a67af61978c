//! Keeps models by `ModelId`, finds them by name, and fetches those that a catalogue names.
//!
//! ```text
//! models/<ModelId>.safetensors     the model; its id is recomputed on every load
//! models/names.json                name ──▶ ModelId, changed under the lock names.lock, replaced whole
//!
//! a float model's file ──parse_file──▶ import_tensors, import_language_model ──▶ a candidate: a model, and how faithful it is
//! Catalogue ──Fetch::get──▶ an artefact, verified ──▶ as any other file
//! ```
//!
//! A name is local and proves nothing: what a receipt claims, and what a check compares, is the id.
//!
//! It deliberately answers nothing, signs nothing, and trusts nothing that comes over a network further than its pinned digest.
#![forbid(unsafe_code)]

mod catalogue;
mod encoder;
mod error;
mod hub;
mod importing;
mod language;
mod names;
mod pull;
mod query;

pub use catalogue::{
    BUILT_IN, CATALOGUE_BYTES_MAX, Catalogue, CatalogueEntry, CatalogueError, Source,
};
pub use encoder::{EncoderCandidate, EncoderImport, import_encoder_folder};
pub use error::HubError;
pub use hub::{Entry, Hub, Loaded, Removed};
pub use importing::{
    Candidate, FloatReference, ImportFileError, Measured, import_tensors, output_error, parse_file,
    parse_file_with,
};
pub use language::{
    CONTEXT_DEFAULT, LanguageCandidate, LanguageImport, LanguageStage, file_source,
    import_language_model,
};
pub use pull::{Artefact, Fetch, FetchSink, FetchStage, PullError, SourceError, Tried};
pub use query::{PREFIX_LEN_MIN, Query};
