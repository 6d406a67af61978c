//! Quantise a graph (float, integer and tree nodes) into a program; measure its fidelity.
//!
//! ```text
//! format ─GraphBuilder─▶ Graph ─evaluate (f64)─▶ ranges ─plan─▶ stored forms ─lower─▶ ProgramSpec, tensors ─cut, check─▶ Model
//!                                                                                                                      │
//!                                            float outputs of an independent engine ─▶ fidelity::measure ◀── exact run ─┘
//! ```
//!
//! What an import decides is no part of what a verifier checks: the program *is* the model from then on. But it is deterministic, since
//! people compare ids: all float arithmetic is f64 with exactly rounded operations in a fixed order (`docs/spec/import.md`).
//!
//! What is deliberately absent: files and formats (`format-*`), running models fast (`credence-exec`), tolerances in verification (there are none anywhere).

#![forbid(unsafe_code)]

mod builder;
mod calibrate;
mod cuts;
mod emit;
mod ensemble;
mod error;
mod evaluate;
pub mod fidelity;
mod forest;
mod formula;
mod graph;
mod import;
mod infer;
mod input;
pub mod language;
mod lower;
mod number;
mod plan;
mod positions;
mod producer;
mod product;
mod quant;
mod reach;
mod rows;
mod simplify;
mod view;

pub use builder::{GraphBuilder, GraphError};
pub use calibrate::Clipping;
pub use credence_exact::Window;
pub use credence_exact::shape::window_cells;
pub use credence_exec::Options;
pub use credence_model::{BorderType, Elements, Tensor, TensorError, TensorLimits, Tensors};
pub use ensemble::{Comparison, EnsembleError, Tree, TreeEnsemble, TreeNode};
pub use error::{ImportError, LowerError};
pub use evaluate::{EvaluateError, evaluate};
pub use formula::{Combination, Elementary, Formula};
pub use graph::{
    AffineOp, Codes, ConvOp, Function, Graph, GraphInput, GraphNode, GraphOp, GraphOutput, Kind,
    LinearOp, Run, ValueId,
};
pub use import::{IMPORTER_VERSION, ImportOptions, Imported, import, text_digest};
pub use positions::PositionsError;
