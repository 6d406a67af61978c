//! Language models as floats: what every format of them is parsed into, and the run that fidelity is measured against.
//!
//! ```text
//! format-gguf ─▶ LanguageParts ─check─▶ LanguageGraph ─▶ FloatRun ─▶ logits at chosen positions
//!                                            ├─ text_spec ─▶ TextImport: canonical bytes, and what tokenises the samples
//!                                            └─ lower, on the samples' tokens ─▶ the integer program
//! ```
//!
//! What is deliberately absent: names and layouts of any file format, tokenising itself (`credence-text`), caches, sampling.

mod encoder;
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
mod sample;
mod text_spec;

pub use encoder::{
    EncoderBlock, EncoderFidelity, EncoderFidelityError, EncoderGraph, EncoderParts, EncoderRun,
    Pooling, encoder_fidelity,
};
pub use fidelity::{LanguageFidelity, LanguageFidelityError, language_fidelity};
pub use float::{FloatError, FloatRun};
pub use graph::{
    Activation, Attention, Block, Feed, Head, LanguageGraph, LanguageParts, Linear, Norm, NormKind,
    Position, Rope, Softcaps,
};
pub use graph_error::LanguageError;
pub use graph_rows::{DenseRows, Rows};
pub use graph_text::{SpecialIds, TextSource};
pub use lower::{
    EncoderUnits, ImportedEncoder, ImportedLanguage, LanguageLowerError, LanguageOptions, Units,
    import_encoder, import_language,
};
pub use sample::{CALIBRATION_TEXT, EVALUATION_TEXT, SampleError, samples, sentences};
pub use text_spec::{
    TextImport, TextSpecError, WordPieceSource, import_text, import_wordpiece, pinned_text,
};
