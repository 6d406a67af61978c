//! A whole file: decoded, checked at the top, and translated.

use credence_base::Digest;
use credence_import::Graph;
use prost::Message;
use sha2::{Digest as _, Sha256};
use tract_onnx::pb::{GraphProto, ModelProto};

use crate::error::OnnxError;
use crate::ops;
use crate::ports::Dims;
use crate::translate::translate;

/// Longest file that is read unless the caller says otherwise: what a protobuf message can be.
pub const FILE_BYTES_MAX: usize = 1 << 31;

/// What a decoder may be made to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest file in bytes. Memory taken is a small multiple of the file's length.
    pub bytes_max: usize,
}

/// Versions of operator sets whose operators this version knows, by domain.
const OPSETS: &[(&str, i64, i64)] = &[("ai.onnx", 7, 23), ("ai.onnx.ml", 1, 4)];

/// A file that has become a graph.
#[derive(Debug)]
pub struct Onnx {
    pub(crate) proto: ModelProto,
    graph: Graph,
    notes: Vec<String>,
    digest: Digest,
    dims: Dims,
}

impl Onnx {
    /// Decodes, checks and translates a file.
    ///
    /// # Errors
    /// [`OnnxError`], naming the node, tensor, input or output.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Self, OnnxError> {
        Self::parse_with(bytes, limits, &[])
    }

    /// As [`Self::parse`], with sizes for symbolic dimensions: by their names in the file, or as `input.axis`, the batch being axis 0. They are part of what the
    /// graph is, and noted as where it came from.
    ///
    /// # Errors
    /// As [`Self::parse`]; [`OnnxError::Dimension`] for a name that no input has.
    pub fn parse_with(
        bytes: &[u8],
        limits: Limits,
        dims: &[(String, usize)],
    ) -> Result<Self, OnnxError> {
        if bytes.len() > limits.bytes_max {
            return Err(OnnxError::TooLong {
                got: bytes.len(),
                max: limits.bytes_max,
            });
        }
        let proto = ModelProto::decode(bytes).map_err(OnnxError::Protobuf)?;
        let opset = check_opsets(&proto)?;
        let graph_proto = proto.graph.as_ref().ok_or_else(|| {
            unsupported(
                "file",
                "ONNX",
                "a file without a graph",
                "check that the export was complete",
            )
        })?;
        check_parts(&proto, graph_proto)?;
        let dims: Dims = dims.iter().cloned().collect();
        let (graph, notes) = translate(graph_proto, opset, &dims)?;
        Ok(Self {
            graph,
            notes,
            digest: Digest::from_bytes(Sha256::digest(bytes).into()),
            dims,
            proto,
        })
    }

    /// The graph.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What was left out or taken to mean something, one sentence each, for the user.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// SHA-256 of the file, as other tools print it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What an importer notes about where the graph came from.
    #[must_use]
    pub fn source(&self) -> Vec<(&'static str, String)> {
        let mut source = vec![
            ("source.format", "onnx".to_owned()),
            ("source.sha256", self.digest.to_string()),
        ];
        if !self.dims.is_empty() {
            let bound = self
                .dims
                .iter()
                .map(|(name, size)| format!("{name}={size}"));
            source.push(("source.dims", bound.collect::<Vec<_>>().join(",")));
        }
        source
    }
}

/// All operators that are imported, those of other domains than ONNX's own with their domain.
#[must_use]
pub fn supported_operators() -> Vec<String> {
    ops::names()
}

fn unsupported(
    what: &'static str,
    name: &str,
    feature: impl Into<String>,
    remedy: &'static str,
) -> OnnxError {
    OnnxError::Unsupported {
        what,
        name: name.to_owned(),
        feature: feature.into(),
        remedy,
    }
}

/// Checks versions and returns that of ONNX's own operators, the newest if there are several.
fn check_opsets(proto: &ModelProto) -> Result<i64, OnnxError> {
    let mut own = None;
    for import in &proto.opset_import {
        let domain = ops::domain(&import.domain);
        let range = OPSETS.iter().find(|(known, _, _)| *known == domain);
        let Some(&(_, min, max)) = range else {
            // An unknown domain is no harm unless a node is of it, which is then refused by name.
            continue;
        };
        if !(min..=max).contains(&import.version) {
            return Err(OnnxError::Opset {
                domain: domain.to_owned(),
                got: import.version,
                min,
                max,
            });
        }
        if domain == "ai.onnx" {
            own = own.max(Some(import.version));
        }
    }
    // A file of trees alone need not import ONNX's own operators; then their version does not matter.
    let trees_only = proto.opset_import.iter().any(|i| i.domain == "ai.onnx.ml");
    match own {
        Some(version) => Ok(version),
        None if trees_only => Ok(OPSETS[0].2),
        None => Err(OnnxError::Opset {
            domain: "ai.onnx".to_owned(),
            got: 0,
            min: OPSETS[0].1,
            max: OPSETS[0].2,
        }),
    }
}

/// Parts of a file that would change what it means and that are not read.
fn check_parts(proto: &ModelProto, graph: &GraphProto) -> Result<(), OnnxError> {
    if let Some(function) = proto.functions.first() {
        let name = function.name.clone().unwrap_or_default();
        return Err(unsupported(
            "function",
            &name,
            "a function of the model's own",
            "inline it (`onnx.inliner.inline_local_functions`)",
        ));
    }
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map_or("", |values| &values.name);
        return Err(unsupported(
            "tensor",
            name,
            "a sparse initializer",
            "save the weights densely",
        ));
    }
    Ok(())
}
