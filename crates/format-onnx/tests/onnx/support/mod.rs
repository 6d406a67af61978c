//! What several tests need: small ONNX files built from protobuf types, npz files, imports with their fidelity.

pub(crate) mod build;
mod common;

pub(crate) use common::{LIMITS, chain, fidelity, import_with, models, npz, parse};
