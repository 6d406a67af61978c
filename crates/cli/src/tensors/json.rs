//! Tensors from JSON: the body of an inference request.

use credence_model::Tensors;
use credence_node::oip::{InferRequest, OipError, ParameterError, check_parameters, read_tensors};

/// Why JSON is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    /// Not the form of a request.
    #[error("it is not an inference request")]
    Form(#[from] serde_json::Error),
    /// A parameter that is not known.
    #[error("it asks for something unknown")]
    Parameter(#[from] ParameterError),
    /// A tensor is wrong.
    #[error("its tensors are refused")]
    Tensors(#[from] OipError),
}

/// Reads the inputs of a request. Its `id` and `outputs` mean nothing here: all outputs are given.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, JsonError> {
    let request: InferRequest = serde_json::from_slice(bytes)?;
    check_parameters(request.parameters.as_ref(), "the request")?;
    Ok(read_tensors(request.inputs)?)
}
