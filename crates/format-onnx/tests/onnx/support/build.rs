//! ONNX files from protobuf types, without Python.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};

/// A file in the making.
#[derive(Clone)]
pub(crate) struct File(pub(crate) ModelProto);

pub(crate) fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: i32::from(kind),
        ..AttributeProto::default()
    }
}

pub(crate) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        i,
        ..attribute(name, AttributeType::Int)
    }
}

pub(crate) fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: ints.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

pub(crate) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        f,
        ..attribute(name, AttributeType::Float)
    }
}

pub(crate) fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: floats.to_vec(),
        ..attribute(name, AttributeType::Floats)
    }
}

pub(crate) fn string(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        s: text.as_bytes().to_vec(),
        ..attribute(name, AttributeType::String)
    }
}

pub(crate) fn strings(name: &str, texts: &[&str]) -> AttributeProto {
    AttributeProto {
        strings: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
        ..attribute(name, AttributeType::Strings)
    }
}

/// A tensor's declaration; the batch is symbolic.
pub(crate) fn port(name: &str, elem_type: i32, shape: &[i64]) -> ValueInfoProto {
    let dim = |value| Dimension {
        value: Some(value),
        ..Dimension::default()
    };
    let batch = dim(Dim::DimParam("N".to_owned()));
    let rest = shape.iter().map(|&size| dim(Dim::DimValue(size)));
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(Tensor {
                elem_type,
                shape: Some(TensorShapeProto {
                    dim: core::iter::once(batch).chain(rest).collect(),
                }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A tensor of integers, of any integer type: each element as raw bytes of that type.
pub(crate) fn tensor(name: &str, data_type: i32, dims: &[i64], values: &[i64]) -> TensorProto {
    let width = match data_type {
        7 => 8,
        6 => 4,
        2 | 3 | 9 => 1,
        other => panic!("no width for type {other}"),
    };
    let bytes = values
        .iter()
        .flat_map(|x| x.to_le_bytes().into_iter().take(width));
    TensorProto {
        dims: dims.to_vec(),
        data_type,
        raw_data: bytes.collect(),
        name: name.to_owned(),
        ..TensorProto::default()
    }
}

/// A tensor of floats.
pub(crate) fn real(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: 1,
        raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        name: name.to_owned(),
        ..TensorProto::default()
    }
}

impl File {
    pub(crate) fn new(opset: i64) -> Self {
        let set = |domain: &str, version| OperatorSetIdProto {
            domain: domain.to_owned(),
            version,
        };
        Self(ModelProto {
            ir_version: 8,
            opset_import: vec![set("", opset), set("ai.onnx.ml", 1)],
            graph: Some(GraphProto::default()),
            ..ModelProto::default()
        })
    }

    pub(crate) fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().unwrap()
    }

    pub(crate) fn input(&mut self, name: &str, shape: &[i64]) -> &mut Self {
        self.graph().input.push(port(name, 1, shape));
        self
    }

    pub(crate) fn output(&mut self, name: &str, shape: &[i64]) -> &mut Self {
        self.graph().output.push(port(name, 1, shape));
        self
    }

    pub(crate) fn labels(&mut self, name: &str) -> &mut Self {
        self.graph().output.push(port(name, 7, &[]));
        self
    }

    pub(crate) fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) -> &mut Self {
        self.graph().initializer.push(real(name, dims, values));
        self
    }

    /// An INT64 scalar.
    pub(crate) fn scalar(&mut self, name: &str, value: i64) -> &mut Self {
        self.graph()
            .initializer
            .push(tensor(name, 7, &[], &[value]));
        self
    }

    /// A tensor of integers of a type.
    pub(crate) fn ints(
        &mut self,
        name: &str,
        kind: i32,
        dims: &[i64],
        values: &[i64],
    ) -> &mut Self {
        self.graph()
            .initializer
            .push(tensor(name, kind, dims, values));
        self
    }

    pub(crate) fn longs(&mut self, name: &str, values: &[i64]) -> &mut Self {
        self.graph().initializer.push(TensorProto {
            dims: vec![i64::try_from(values.len()).unwrap()],
            data_type: 7,
            int64_data: values.to_vec(),
            name: name.to_owned(),
            ..TensorProto::default()
        });
        self
    }

    /// Appends `outputs = op(inputs)`; names are separated by spaces.
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &str,
        outputs: &str,
        attributes: &[AttributeProto],
    ) -> &mut Self {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let ml = [
            "ArrayFeatureExtractor",
            "LinearClassifier",
            "LinearRegressor",
            "Normalizer",
            "Scaler",
            "TreeEnsembleClassifier",
            "TreeEnsembleRegressor",
            "ZipMap",
        ];
        self.graph().node.push(NodeProto {
            input: names(inputs),
            output: names(outputs),
            op_type: op.to_owned(),
            domain: if ml.contains(&op) { "ai.onnx.ml" } else { "" }.to_owned(),
            attribute: attributes.to_vec(),
            ..NodeProto::default()
        });
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}
