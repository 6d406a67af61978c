//! The request and the answer of an inference.

use serde::{Deserialize, Serialize};

use crate::oip::parameters::Parameters;
use crate::oip::tensor::TensorJson;

/// The body of `POST …/infer`, and what `credence run --input` reads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferRequest {
    /// Comes back in the answer.
    #[serde(default)]
    pub id: Option<String>,
    /// Nothing is known here but `binary_data_output: false`.
    #[serde(default)]
    pub parameters: Option<Parameters>,
    /// The inputs, all of them.
    pub inputs: Vec<TensorJson>,
    /// The outputs wanted; all if absent or empty. The receipt covers all of them in any case.
    #[serde(default)]
    pub outputs: Option<Vec<OutputRequest>>,
}

/// An output that is wanted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRequest {
    /// Its name.
    pub name: String,
    /// Nothing is known here but `binary_data: false`.
    #[serde(default)]
    pub parameters: Option<Parameters>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InferResponse {
    /// The name that the model was asked by.
    pub model_name: String,
    /// Its `ModelId`.
    pub model_version: String,
    /// The request's id, if it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The outputs, in the model's order.
    pub outputs: Vec<TensorJson>,
}
