//! A model as one safetensors file: integer tensors, and the program in its metadata.
//!
//! The metadata has one key, `credence`, whose value is canonical JSON of a [`Header`]: the program, and the provenance that the
//! importer noted. Any safetensors reader shows the tensors. The file's own digest means nothing: the id is recomputed
//! from program and tensors on every load.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use credence_base::json::{JsonError, from_canonical, to_canonical};
use credence_exact::Dtype;
use safetensors::tensor::Metadata;
use safetensors::{SafeTensorError, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::identity::PROGRAM_BYTES_MAX;
use crate::model::{Model, ModelError};
use crate::params::{Owner, ParamBytes};
use crate::spec::ProgramSpec;

/// Extension of a model's file.
pub const FILE_EXTENSION: &str = "safetensors";

/// Longest model file that is read, in bytes.
pub const MODEL_FILE_BYTES_MAX: u64 = 1 << 36;

/// Bytes of the header's length, which a safetensors file begins with.
const LENGTH_BYTES: usize = 8;

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

/// A tensor that the library lays out without seeing its bytes.
struct Outline {
    dtype: Dtype,
    shape: Vec<usize>,
    len: usize,
}

impl View for Outline {
    fn dtype(&self) -> safetensors::Dtype {
        file_dtype(self.dtype)
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }

    fn data_len(&self) -> usize {
        self.len
    }
}

/// A model's file, to be written one part after the other: weights are not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileParts<'a> {
    /// Length of the header, and the header.
    pub header: Vec<u8>,
    /// The tensors' bytes, in the file's order.
    pub tensors: Vec<&'a [u8]>,
}

impl Model {
    /// The model's file in parts; equal models with equal provenance give equal bytes.
    ///
    /// # Errors
    /// [`FileError`] if the safetensors library refuses, which it does for no checked model.
    pub fn file_parts(&self, provenance: &Provenance) -> Result<FileParts<'_>, FileError> {
        let spec = self.program().spec();
        let header = Header {
            program: spec.clone(),
            provenance: provenance.clone(),
        };
        let header = to_canonical(&header).map_err(FileError::Header)?;
        let mut tensors: Vec<_> = spec.params.iter().zip(self.params()).collect();
        // The library's own order, so that its header fits: wide types first, then names.
        tensors.sort_by_key(|(param, _)| (Reverse(file_dtype(param.dtype)), &param.name));
        let outlines = tensors.iter().map(|(param, bytes)| {
            let outline = Outline {
                dtype: param.dtype,
                shape: file_shape(&param.shape),
                len: bytes.len(),
            };
            (param.name.as_str(), outline)
        });
        // One key only: the library keeps metadata in a hash map, and two keys would have no fixed order.
        let metadata = HashMap::from([(
            KEY.to_owned(),
            String::from_utf8_lossy(&header).into_owned(),
        )]);
        let mut header =
            safetensors::serialize(outlines, Some(metadata)).map_err(FileError::Safetensors)?;
        header.shrink_to_fit();
        let tensors = tensors.into_iter().map(|(_, bytes)| &**bytes).collect();
        Ok(FileParts { header, tensors })
    }

    /// The model's file as one piece, as [`Model::file_parts`] has it.
    ///
    /// # Errors
    /// As [`Model::file_parts`].
    pub fn to_safetensors(&self, provenance: &Provenance) -> Result<Vec<u8>, FileError> {
        let FileParts { header, tensors } = self.file_parts(provenance)?;
        let parts = core::iter::once(header.as_slice()).chain(tensors);
        Ok(parts.collect::<Vec<_>>().concat())
    }

    /// Reads a copy of a model's file and checks all of it.
    ///
    /// # Errors
    /// [`FileError`], naming the tensor or node.
    pub fn from_safetensors(bytes: &[u8]) -> Result<(Self, Provenance), FileError> {
        Self::from_shared_safetensors(Arc::new(bytes.to_vec()))
    }

    /// Reads a model's file and checks all of it. The model's tensors stay where they are, and keep the owner of the bytes.
    ///
    /// # Errors
    /// [`FileError`], naming the tensor or node.
    pub fn from_shared_safetensors(owner: Owner) -> Result<(Self, Provenance), FileError> {
        let bytes = owner.bytes();
        let (header_len, metadata) =
            SafeTensors::read_metadata(bytes).map_err(FileError::Safetensors)?;
        let Header {
            program,
            provenance,
        } = header_of(&metadata)?;
        let got = metadata.tensors().len();
        if got != program.params.len() {
            return Err(FileError::Count {
                expected: program.params.len(),
                got,
            });
        }
        // The library has checked that the tensors fill what follows the header, without gaps.
        let data = LENGTH_BYTES.saturating_add(header_len);
        let mut params = Vec::with_capacity(program.params.len());
        for param in &program.params {
            let info = metadata.info(&param.name).filter(|info| {
                info.dtype == file_dtype(param.dtype) && info.shape == file_shape(&param.shape)
            });
            let range = info.and_then(|info| {
                let (start, end) = info.data_offsets;
                Some(data.checked_add(start)?..data.checked_add(end)?)
            });
            let own = range.and_then(|range| ParamBytes::new(Arc::clone(&owner), range));
            params.push(own.ok_or_else(|| FileError::Tensor {
                name: param.name.clone(),
            })?);
        }
        Ok((Self::from_shared(program, params)?, provenance))
    }
}

fn header_of(metadata: &Metadata) -> Result<Header, FileError> {
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(KEY))
        .ok_or(FileError::NoProgram)?;
    let limit = PROGRAM_BYTES_MAX.saturating_mul(2);
    from_canonical(header.as_bytes(), limit).map_err(FileError::Header)
}

/// What a model's file says it is, for lists: **nothing is checked** but that it can be read, and no weight is looked at.
///
/// # Errors
/// [`FileError`] if there is no program in it.
pub fn peek_safetensors(bytes: &[u8]) -> Result<(ProgramSpec, Provenance), FileError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(FileError::Safetensors)?;
    let Header {
        program,
        provenance,
    } = header_of(&metadata)?;
    Ok((program, provenance))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header comes from the library by a detour; this is the straight way.
    #[test]
    fn parts_are_the_librarys_own_file() {
        let tensors = [
            ("b", Dtype::I8, vec![3_usize], vec![1_u8, 2, 3]),
            ("a", Dtype::I8, vec![1], vec![9]),
            ("c", Dtype::I32, vec![1, 1], vec![4, 0, 0, 0]),
            ("d", Dtype::I16, vec![2], vec![5, 0, 6, 0]),
        ];
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view =
                safetensors::tensor::TensorView::new(file_dtype(*dtype), shape.clone(), bytes);
            (*name, view.unwrap())
        });
        let straight = safetensors::serialize(views, None).unwrap();
        let outlines = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let (dtype, shape, len) = (*dtype, shape.clone(), bytes.len());
            (*name, Outline { dtype, shape, len })
        });
        let mut parts = safetensors::serialize(outlines, None).unwrap();
        let mut sorted: Vec<_> = tensors.iter().collect();
        sorted.sort_by_key(|(name, dtype, ..)| (Reverse(file_dtype(*dtype)), name));
        parts.extend(sorted.iter().flat_map(|(.., bytes)| bytes));
        assert_eq!(parts, straight);
    }
}
