//! A model as one safetensors file: integer tensors, and the program in its metadata.
//!
//! The metadata has one key, `credence`, whose value is canonical JSON of a [`Header`]: the program, and the provenance that the
//! importer noted. Any safetensors reader shows the tensors. The file's own digest means nothing: the id is recomputed
//! from program and tensors on every load.

use std::collections::{BTreeMap, HashMap};

use credence_base::json::{JsonError, from_canonical, to_canonical};
use credence_exact::Dtype;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::identity::PROGRAM_BYTES_MAX;
use crate::model::{Model, ModelError};
use crate::spec::ProgramSpec;

/// Extension of a model's file.
pub const FILE_EXTENSION: &str = "safetensors";

/// Longest model file that is read, in bytes.
pub const MODEL_FILE_BYTES_MAX: u64 = 1 << 36;

/// Our key in the safetensors metadata.
const KEY: &str = "credence";

/// Where a model came from, for people: the source file's digest, the importer's version and options, the calibration set's digest.
/// Nothing authenticates it, and no check reads it.
pub type Provenance = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    program: ProgramSpec,
    provenance: Provenance,
}

/// Why a file is not a model.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not a safetensors file.
    #[error("not a safetensors file")]
    Safetensors(#[source] SafeTensorError),
    /// A safetensors file of something else.
    #[error("a safetensors file without a Credence program; import the model first")]
    NoProgram,
    /// The program is not in canonical form.
    #[error("the program in the file's metadata cannot be read")]
    Header(#[source] JsonError),
    /// A parameter of the program has no tensor, or one of another type or shape.
    #[error("tensor `{name}` is absent or not of the type and shape that the program gives it")]
    Tensor {
        /// The parameter.
        name: String,
    },
    /// A tensor that no parameter names.
    #[error("the file has {got} tensors, the program {expected} parameters")]
    Count {
        /// Parameters of the program.
        expected: usize,
        /// Tensors of the file.
        got: usize,
    },
    /// The program and its tensors are refused.
    #[error("the file's model is refused")]
    Model(#[from] ModelError),
}

fn file_dtype(dtype: Dtype) -> safetensors::Dtype {
    match dtype {
        Dtype::I8 => safetensors::Dtype::I8,
        Dtype::I16 => safetensors::Dtype::I16,
        Dtype::I32 => safetensors::Dtype::I32,
    }
}

fn file_shape(shape: &[u32]) -> Vec<usize> {
    shape
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX))
        .collect()
}

impl Model {
    /// Writes the model's file; equal models with equal provenance give equal bytes.
    ///
    /// # Errors
    /// [`FileError`] if the safetensors library refuses, which it does for no checked model.
    pub fn to_safetensors(&self, provenance: &Provenance) -> Result<Vec<u8>, FileError> {
        let spec = self.program().spec();
        let header = Header {
            program: spec.clone(),
            provenance: provenance.clone(),
        };
        let header = to_canonical(&header).map_err(FileError::Header)?;
        let mut tensors = Vec::with_capacity(spec.params.len());
        for (param, bytes) in spec.params.iter().zip(self.params()) {
            let view = TensorView::new(file_dtype(param.dtype), file_shape(&param.shape), bytes);
            tensors.push((param.name.as_str(), view.map_err(FileError::Safetensors)?));
        }
        // One key only: the library keeps metadata in a hash map, and two keys would have no fixed order.
        let metadata = HashMap::from([(
            KEY.to_owned(),
            String::from_utf8_lossy(&header).into_owned(),
        )]);
        safetensors::serialize(tensors, Some(metadata)).map_err(FileError::Safetensors)
    }

    /// Reads a model's file and checks all of it.
    ///
    /// # Errors
    /// [`FileError`], naming the tensor or node.
    pub fn from_safetensors(bytes: &[u8]) -> Result<(Self, Provenance), FileError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(FileError::Safetensors)?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(KEY))
            .ok_or(FileError::NoProgram)?;
        let limit = PROGRAM_BYTES_MAX.saturating_mul(2);
        let Header {
            program,
            provenance,
        } = from_canonical(header.as_bytes(), limit).map_err(FileError::Header)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(FileError::Safetensors)?;
        if tensors.len() != program.params.len() {
            return Err(FileError::Count {
                expected: program.params.len(),
                got: tensors.len(),
            });
        }
        let mut params = Vec::with_capacity(program.params.len());
        for param in &program.params {
            let view = tensors.tensor(&param.name).ok();
            let fits = |view: &TensorView<'_>| {
                view.dtype() == file_dtype(param.dtype) && view.shape() == file_shape(&param.shape)
            };
            let view = view.filter(fits).ok_or_else(|| FileError::Tensor {
                name: param.name.clone(),
            })?;
            params.push(view.data().to_vec());
        }
        Ok((Self::new(program, params)?, provenance))
    }
}
