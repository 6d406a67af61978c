//! The JSON forms of the Open Inference Protocol, version 2 (KServe's `open_inference_rest.yaml`), as far as tensor
//! models go.
//!
//! Deviations, all of them narrower: unknown fields and unknown parameters are refused by name instead of ignored, since a
//! receipt must not cover a request that was read otherwise than its client meant; datatypes are `FP32`, `INT32` and
//! `INT64`; the binary extension is not spoken, and asking for its absence (`binary_data: false`) is fine.

mod data;
mod infer;
mod metadata;
mod parameters;
mod tensor;

pub use data::{Data, Values};
pub use infer::{InferRequest, InferResponse, OutputRequest};
pub use metadata::{
    Live, ModelMetadata, ModelReady, PLATFORM, Ready, ServerMetadata, TensorMetadata,
};
pub use parameters::{ParameterError, Parameters, check_parameters};
pub use tensor::{OipError, TensorJson, read_tensors, write_tensor, write_tensors};
