//! Parse ONNX into the importer's graph; run it with another engine as the float reference.
//!
//! ```text
//! bytes ─decode─▶ ModelProto ─check─▶ operator sets, ports, constants ─translate, node by node─▶ credence_import::Graph
//!                     └──────────────▶ tract (reference::Runner) ─▶ float outputs for the fidelity report
//! ```
//!
//! The protobuf types are those of tract; the meaning of every operator is ours, written against the operators' specifications
//! (<https://onnx.ai/onnx/operators/>), so that the two readings check each other. The first axis is the batch: it is
//! symbolic or 1, and no supported operator mixes its items.
//!
//! What is deliberately absent: files (bytes come in), external data, control flow, scales that follow from each input (dynamic quantisation), training.

#![forbid(unsafe_code)]

mod attributes;
mod constant;
mod error;
mod model;
mod ops;
mod ports;
pub mod reference;
mod translate;

pub use error::OnnxError;
pub use model::{FILE_BYTES_MAX, Limits, Onnx, supported_operators};
