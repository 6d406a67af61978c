//! Language models as floats: what every format of them is parsed into, and the run that fidelity is measured against.
//!
//! ```text
//! format-gguf ─▶ LanguageParts ─check─▶ LanguageGraph ─▶ FloatRun ─▶ logits at chosen positions
//!                                            └─────────▶ what makes an integer program of it
//! ```
//!
//! What is deliberately absent: names and layouts of any file format, tokenising (the tokenizer's data is carried, not read), caches,
//! sampling, and anything that reaches a model's bytes.

mod fidelity;
mod float;
mod float_attention;
mod float_kernel;
mod graph;
mod graph_check;
mod graph_error;
mod graph_rows;
mod graph_text;
mod lower;

pub use fidelity::{LanguageFidelity, LanguageFidelityError, language_fidelity};
pub use float::{FloatError, FloatRun};
pub use graph::{
    Activation, Attention, Block, Feed, Head, LanguageGraph, LanguageParts, Linear, Norm, NormKind,
    Position, Rope, Softcaps,
};
pub use graph_error::LanguageError;
pub use graph_rows::{DenseRows, Rows};
pub use graph_text::{SpecialIds, TextSource};
pub use lower::{ImportedLanguage, LanguageLowerError, LanguageOptions, Units, import_language};
