//! Tensors of a file by name and shape, each to be used: one that nobody asked for is named in an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use credence_import::language::Rows;

use crate::error::GgufError;
use crate::file::{Gguf, TensorInfo};
use crate::matrix::{Matrix, RowOrder};

/// Tensors of a file, and which have been asked for.
pub(crate) struct Tensors<'a> {
    file: &'a Gguf,
    by_name: BTreeMap<&'a str, &'a TensorInfo>,
    asked: BTreeSet<&'a str>,
}

impl<'a> Tensors<'a> {
    pub(crate) fn new(file: &'a Gguf) -> Self {
        let named = file.tensors().iter().map(|tensor| (tensor.name(), tensor));
        Self {
            file,
            by_name: named.collect(),
            asked: BTreeSet::new(),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.by_name.len()
    }

    /// Refuses tensors that nobody asked for.
    pub(crate) fn finish(&self, architecture: &str) -> Result<(), GgufError> {
        let mut all = self.by_name.keys();
        match all.find(|name| !self.asked.contains(*name)) {
            Some(name) => Err(GgufError::UnknownTensor {
                tensor: (*name).to_owned(),
                architecture: architecture.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// A tensor of any shape, if it is there.
    pub(crate) fn get(&mut self, name: &str) -> Option<&'a TensorInfo> {
        let tensor = *self.by_name.get(name)?;
        self.asked.insert(tensor.name());
        Some(tensor)
    }

    /// A tensor of any shape.
    pub(crate) fn need(&mut self, name: &str) -> Result<&'a TensorInfo, GgufError> {
        self.get(name).ok_or_else(|| GgufError::MissingTensor {
            tensor: name.to_owned(),
        })
    }

    /// The same, of this shape.
    fn shaped(&mut self, name: &str, dims: &[usize]) -> Result<Option<&'a TensorInfo>, GgufError> {
        match self.get(name) {
            Some(tensor) if tensor.dims() != dims => Err(GgufError::Shape {
                tensor: name.to_owned(),
                expected: dims.to_vec(),
                got: tensor.dims().to_vec(),
            }),
            found => Ok(found),
        }
    }

    /// A matrix, if it is there.
    pub(crate) fn maybe_matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        order: RowOrder,
    ) -> Result<Option<Arc<dyn Rows>>, GgufError> {
        let tensor = self.shaped(name, &[columns, rows])?;
        Ok(tensor.map(|tensor| self.view(tensor, 0..rows, order)))
    }

    /// A matrix.
    pub(crate) fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        columns: usize,
        order: RowOrder,
    ) -> Result<Arc<dyn Rows>, GgufError> {
        let found = self.maybe_matrix(name, rows, columns, order)?;
        found.ok_or_else(|| GgufError::MissingTensor {
            tensor: name.to_owned(),
        })
    }

    /// Some rows of a tensor that has them.
    pub(crate) fn view(
        &self,
        tensor: &TensorInfo,
        rows: Range<usize>,
        order: RowOrder,
    ) -> Arc<dyn Rows> {
        Arc::new(Matrix::new(self.file, tensor, rows, order))
    }

    /// A vector, if it is there.
    pub(crate) fn maybe_vector(
        &mut self,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<f32>>, GgufError> {
        let tensor = self.shaped(name, &[length])?;
        Ok(tensor.map(|tensor| {
            let mut values = vec![0.0; length];
            Matrix::new(self.file, tensor, 0..1, RowOrder::Straight).read(0, &mut values);
            values
        }))
    }

    /// A vector.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, GgufError> {
        let found = self.maybe_vector(name, length)?;
        found.ok_or_else(|| GgufError::MissingTensor {
            tensor: name.to_owned(),
        })
    }
}
