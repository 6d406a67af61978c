//! Hold one canonical integer program with its weights; give its `ModelId`.
//!
//! ```text
//! canonical JSON ─▶ ProgramSpec ─check─▶ Program ─┐
//!                                                 ├─ bounds ─▶ Model ─▶ ModelId
//! safetensors ────▶ integer tensors ──────────────┘
//! ```
//!
//! A [`Program`] has had its names, shapes, cuts and relation sizes checked; a [`Model`] has in addition its weights, and the
//! proof by interval arithmetic that no value leaves its type whatever the input. Each is made in one function. [`Tensors`] are
//! what crosses the border: the contents that a claim commits to as input and output.
//!
//! What is deliberately absent: running a program (`credence-exec`), making one (`credence-import`), files and sockets.

#![forbid(unsafe_code)]

mod bounds;
mod encode;
mod file;
mod forest;
mod identity;
mod language;
mod layout;
mod model;
mod params;
mod program;
mod spec;
mod tensor;

pub use bounds::BoundsError;
pub use encode::{BorderValueError, decode_elements, encode_elements};
pub use file::{
    FILE_EXTENSION, FileError, FileParts, MODEL_FILE_BYTES_MAX, Provenance, peek_safetensors,
};
pub use identity::{PROGRAM_BYTES_MAX, model_id, program_bytes, program_from_bytes};
pub use language::{
    EncoderSpec, LanguageLayout, LanguageSpec, Part, TILE_POSITIONS, score_row_bytes,
};
pub use layout::TraceLayout;
pub use model::{Interval, Model, ModelError};
pub use params::{Bytes, Owner, ParamBytes, ParamView, ParamsError};
pub use program::{Program, ProgramError, RelationCost};
pub use spec::{
    BorderType, Decode, Encode, InputSpec, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
};
pub use tensor::{Elements, Tensor, TensorError, TensorLimits, Tensors};
