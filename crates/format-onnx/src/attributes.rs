//! A node's attributes, typed, each known by name: one that is not known could change what a node means, so it is refused.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use crate::error::OnnxError;

/// Attributes of one node, checked to be known and distinct.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    node: &'a NodeProto,
}

impl<'a> Attributes<'a> {
    /// Takes a node's attributes if all their names are `known`.
    pub(crate) fn new(node: &'a NodeProto, known: &[&str]) -> Result<Self, OnnxError> {
        let attributes = Self { node };
        for (at, attribute) in node.attribute.iter().enumerate() {
            let name = attribute.name.as_str();
            if !known.contains(&name) {
                return Err(attributes.error(name, "absent: it is not supported", "present"));
            }
            if node.attribute[..at].iter().any(|other| other.name == name) {
                return Err(attributes.error(name, "given once", "given twice"));
            }
        }
        Ok(attributes)
    }

    /// An error about one attribute.
    pub(crate) fn error(
        &self,
        attribute: &str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> OnnxError {
        OnnxError::Attribute {
            node: node_name(self.node),
            op: self.node.op_type.clone(),
            attribute: attribute.to_owned(),
            expected: expected.into(),
            got: got.into(),
        }
    }

    fn typed(
        &self,
        name: &str,
        expected: AttributeType,
    ) -> Result<Option<&'a AttributeProto>, OnnxError> {
        let found = self.node.attribute.iter().find(|a| a.name == name);
        match found {
            // Files of the first IR versions leave the type out.
            Some(attribute) if ![i32::from(expected), 0].contains(&attribute.r#type) => Err(self
                .error(
                    name,
                    format!("of type {}", expected.as_str_name()),
                    format!("of type {}", attribute.r#type),
                )),
            found => Ok(found),
        }
    }

    /// An integer, if it is there.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, OnnxError> {
        Ok(self.typed(name, AttributeType::Int)?.map(|a| a.i))
    }

    /// An integer or its default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> Result<i64, OnnxError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Refuses any other value than the one supported.
    pub(crate) fn only(&self, name: &str, supported: i64) -> Result<(), OnnxError> {
        match self.int(name)? {
            Some(got) if got != supported => {
                Err(self.error(name, supported.to_string(), got.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// A float or its default.
    pub(crate) fn float_or(&self, name: &str, default: f32) -> Result<f32, OnnxError> {
        let found = self.typed(name, AttributeType::Float)?;
        Ok(found.map_or(default, |a| a.f))
    }

    /// A string, if it is there.
    pub(crate) fn string(&self, name: &str) -> Result<Option<&'a str>, OnnxError> {
        let Some(found) = self.typed(name, AttributeType::String)? else {
            return Ok(None);
        };
        let text = core::str::from_utf8(&found.s);
        text.map(Some)
            .map_err(|_| self.error(name, "UTF-8", "other bytes"))
    }

    /// Integers, if they are there.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, OnnxError> {
        let found = self.typed(name, AttributeType::Ints)?;
        Ok(found.map(|a| a.ints.as_slice()))
    }

    /// Floats, none if they are not there.
    pub(crate) fn floats(&self, name: &str) -> Result<&'a [f32], OnnxError> {
        let found = self.typed(name, AttributeType::Floats)?;
        Ok(found.map_or(&[], |a| a.floats.as_slice()))
    }

    /// Strings, none if they are not there.
    pub(crate) fn strings(&self, name: &str) -> Result<&'a [Vec<u8>], OnnxError> {
        let found = self.typed(name, AttributeType::Strings)?;
        Ok(found.map_or(&[], |a| a.strings.as_slice()))
    }

    /// A tensor, if it is there.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>, OnnxError> {
        let found = self.typed(name, AttributeType::Tensor)?;
        Ok(found.and_then(|a| a.t.as_ref()))
    }
}

/// A node's name for messages: its own, or that of its first output.
pub(crate) fn node_name(node: &NodeProto) -> String {
    let own = Some(&node.name).filter(|name| !name.is_empty());
    own.or_else(|| node.output.first())
        .cloned()
        .unwrap_or_else(|| node.op_type.clone())
}
