//! `model.safetensors`: tensors by name, each used once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credence_import::language::{EncoderBlock, Linear, Norm, Rows};
use safetensors::SafeTensors;
use safetensors::tensor::TensorInfo;

use crate::error::{SafetensorsError, shown};
use crate::folder::Bytes;
use crate::matrix::{Element, Matrix};

/// What a model saved with a head in mind has in front of its names.
const PREFIX: &str = "bert.";
/// Tensors that an embedding does not depend on, by how their names begin.
const UNUSED: [&str; 3] = ["pooler.", "cls.", "embeddings.position_ids"];
/// Bytes of the length of the header.
const LENGTH_BYTES: usize = 8;

/// The tensors of a file that have not been used.
pub(crate) struct Weights {
    bytes: Bytes,
    data: usize,
    tensors: BTreeMap<String, TensorInfo>,
    used: BTreeSet<String>,
}

impl Weights {
    pub(crate) fn read(bytes: Bytes) -> Result<Self, SafetensorsError> {
        let (header, tensors) = {
            let whole: &[u8] = (*bytes).as_ref();
            let header = SafeTensors::read_metadata(whole);
            let (header, metadata) = header.map_err(SafetensorsError::Header)?;
            // This also holds the tensors' bytes to those of the file.
            SafeTensors::deserialize(whole).map_err(SafetensorsError::Header)?;
            let tensors = metadata.tensors().into_iter();
            let plain = |(name, info): (String, &TensorInfo)| {
                let name = name
                    .strip_prefix(PREFIX)
                    .map_or(name.clone(), str::to_owned);
                (name, info.clone())
            };
            (header, tensors.map(plain).collect())
        };
        Ok(Self {
            bytes,
            data: LENGTH_BYTES.saturating_add(header),
            tensors,
            used: BTreeSet::new(),
        })
    }

    /// A matrix of any size; a vector is one of one row.
    fn matrix(&mut self, name: &str, axes: usize) -> Result<Matrix, SafetensorsError> {
        let name = name.to_owned();
        let Some(info) = self.tensors.get(&name) else {
            return Err(SafetensorsError::NoTensor { name });
        };
        let element = Element::of(info.dtype).filter(|_| info.shape.len() == axes);
        let Some(element) = element else {
            return Err(SafetensorsError::Tensor {
                name,
                expected: format!("F32, F16 or BF16 with {axes} axes"),
                got: format!("{:?} {:?}", info.dtype, info.shape),
            });
        };
        let (start, end) = info.data_offsets;
        let (rows, columns) = match info.shape[..] {
            [rows, columns] => (rows, columns),
            [columns] => (1, columns),
            _ => (0, 0),
        };
        self.used.insert(name);
        Ok(Matrix {
            bytes: Arc::clone(&self.bytes),
            at: self.data.saturating_add(start)..self.data.saturating_add(end),
            rows,
            columns,
            element,
        })
    }

    /// A matrix.
    pub(crate) fn rows(&mut self, name: &str) -> Result<Arc<dyn Rows>, SafetensorsError> {
        Ok(Arc::new(self.matrix(name, 2)?))
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f32>, SafetensorsError> {
        let matrix = self.matrix(name, 1)?;
        let mut out = vec![0.0; matrix.columns];
        matrix.read(0, &mut out);
        Ok(out)
    }

    /// The first row of a matrix that has one.
    pub(crate) fn first_row(&mut self, name: &str) -> Result<Vec<f32>, SafetensorsError> {
        let matrix = self.matrix(name, 2)?;
        let mut out = vec![0.0; matrix.columns];
        if matrix.rows > 0 {
            matrix.read(0, &mut out);
            return Ok(out);
        }
        Err(SafetensorsError::Tensor {
            name: name.to_owned(),
            expected: "at least one row".to_owned(),
            got: "none".to_owned(),
        })
    }

    /// A norm's gain and bias; old files call them gamma and beta.
    pub(crate) fn norm(&mut self, name: &str) -> Result<Norm, SafetensorsError> {
        let old = self.tensors.contains_key(&format!("{name}.gamma"));
        let [gain, bias] = if old {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        Ok(Norm {
            gain: self.vector(&format!("{name}.{gain}"))?,
            bias: Some(self.vector(&format!("{name}.{bias}"))?),
        })
    }

    fn linear(&mut self, name: &str) -> Result<Linear, SafetensorsError> {
        Ok(Linear {
            weight: self.rows(&format!("{name}.weight"))?,
            bias: Some(self.vector(&format!("{name}.bias"))?),
        })
    }

    /// One block.
    pub(crate) fn block(&mut self, number: usize) -> Result<EncoderBlock, SafetensorsError> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        Ok(EncoderBlock {
            q: self.linear(&name("attention.self.query"))?,
            k: self.linear(&name("attention.self.key"))?,
            v: self.linear(&name("attention.self.value"))?,
            out: self.linear(&name("attention.output.dense"))?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            up: self.linear(&name("intermediate.dense"))?,
            down: self.linear(&name("output.dense"))?,
            feed_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }

    /// Whether every tensor is a part of the model, or none of an embedding's.
    pub(crate) fn finish(self) -> Result<(), SafetensorsError> {
        let Self { tensors, used, .. } = self;
        let known = |name: &&String| {
            used.contains(*name) || UNUSED.iter().any(|unused| name.starts_with(unused))
        };
        match tensors.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(SafetensorsError::UnknownTensor { name: shown(name) }),
        }
    }
}
