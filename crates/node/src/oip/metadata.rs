//! What a server and its models say about themselves.

use credence_model::{Model, Program};
use serde::{Deserialize, Serialize};

/// The `platform` of every model here.
pub const PLATFORM: &str = "credence_exact-1";

/// `GET /v2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// `credence`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Extensions of the protocol: none.
    pub extensions: Vec<String>,
}

/// `GET /v2/health/live`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Always true in an answer.
    pub live: bool,
}

/// `GET /v2/health/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether requests are taken.
    pub ready: bool,
}

/// `GET /v2/models/{model}/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReady {
    /// The name that was asked for.
    pub name: String,
    /// Whether requests are taken.
    pub ready: bool,
}

/// `GET /v2/models/{model}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMetadata {
    /// The name that was asked for.
    pub name: String,
    /// One version, the `ModelId`.
    pub versions: Vec<String>,
    /// [`PLATFORM`].
    pub platform: String,
    /// What a request brings.
    pub inputs: Vec<TensorMetadata>,
    /// What an answer holds.
    pub outputs: Vec<TensorMetadata>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorMetadata {
    /// Its name.
    pub name: String,
    /// `FP32`, `INT32` or `INT64`.
    pub datatype: String,
    /// Its dimensions; the first is the batch, −1 since any will do.
    pub shape: Vec<i64>,
}

impl ModelMetadata {
    /// What `model`, asked for as `name`, says about itself.
    #[must_use]
    pub fn new(name: &str, model: &Model) -> Self {
        let program = model.program();
        Self {
            name: name.to_owned(),
            versions: vec![model.id().to_string()],
            platform: PLATFORM.to_owned(),
            inputs: inputs(program),
            outputs: outputs(program),
        }
    }
}

fn inputs(program: &Program) -> Vec<TensorMetadata> {
    let one = |input: &credence_model::InputSpec| TensorMetadata {
        name: input.name.clone(),
        datatype: input.dtype.name().to_owned(),
        shape: batched(input.shape.iter().map(|dim| i64::from(*dim))),
    };
    program.spec().inputs.iter().map(one).collect()
}

fn outputs(program: &Program) -> Vec<TensorMetadata> {
    let one = |output: &credence_model::OutputSpec| {
        let dims = program
            .shape(output.node)
            .map_or(&[][..], |shape| shape.dims());
        TensorMetadata {
            name: output.name.clone(),
            datatype: output.decode.border_type().name().to_owned(),
            shape: batched(
                dims.iter()
                    .map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)),
            ),
        }
    };
    program.spec().outputs.iter().map(one).collect()
}

fn batched(dims: impl Iterator<Item = i64>) -> Vec<i64> {
    std::iter::once(-1).chain(dims).collect()
}
