//! Inputs and outputs of a file: their types and shapes, the batch axis apart.

use credence_import::{BorderType, Kind};
use tract_onnx::pb::ValueInfoProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::{Tensor, Value};

use crate::constant::type_name;
use crate::error::OnnxError;

fn tensor(info: &ValueInfoProto) -> Option<&Tensor> {
    let Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

/// An input's element type and the shape of one position.
pub(crate) fn input(info: &ValueInfoProto) -> Result<(BorderType, Vec<usize>), OnnxError> {
    let error = |expected, got: String| OnnxError::Port {
        what: "input",
        name: info.name.clone(),
        expected,
        got,
    };
    let tensor =
        tensor(info).ok_or_else(|| error("a tensor", "of no type, or of another".to_owned()))?;
    let dtype = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float) => BorderType::Fp32,
        Ok(DataType::Int32) => BorderType::Int32,
        Ok(DataType::Int64) => BorderType::Int64,
        _ => {
            return Err(error(
                "of FLOAT, INT32 or INT64 (convert others in front of the model)",
                type_name(tensor.elem_type),
            ));
        }
    };
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice());
    let Some((batch, rest)) = dims.and_then(<[_]>::split_first) else {
        return Err(error(
            "of a known number of axes, the first being the batch",
            "a scalar, or of unknown shape".to_owned(),
        ));
    };
    if let Some(Dim::DimValue(fixed)) = batch.value
        && ![0, 1].contains(&fixed)
    {
        return Err(error(
            "of a symbolic batch axis, or one of 1; export it so, and run batches of any size",
            format!("of a fixed batch of {fixed}"),
        ));
    }
    let sizes = rest.iter().map(|dim| match &dim.value {
        Some(Dim::DimValue(size)) => usize::try_from(*size).ok().filter(|&size| size > 0),
        Some(Dim::DimParam(_)) | None => None,
    });
    match sizes.collect::<Option<Vec<usize>>>() {
        Some(shape) => Ok((dtype, shape)),
        None => Err(error(
            "of fixed, positive dimensions behind the batch axis; export it with a fixed size",
            "of symbolic, unknown or other dimensions".to_owned(),
        )),
    }
}

/// Checks that an output is declared with a type in which its values can be shown. Outputs without a tensor type (of a `ZipMap`)
/// pass: they become the tensor behind.
pub(crate) fn output(info: &ValueInfoProto, kind: Kind) -> Result<(), OnnxError> {
    let Some(tensor) = tensor(info) else {
        return Ok(());
    };
    let declared = DataType::try_from(tensor.elem_type);
    let fits = match kind {
        Kind::Real => matches!(declared, Ok(DataType::Float | DataType::Undefined)),
        Kind::Index => matches!(declared, Ok(DataType::Int64 | DataType::Undefined)),
    };
    if fits {
        Ok(())
    } else {
        Err(OnnxError::Port {
            what: "output",
            name: info.name.clone(),
            expected: match kind {
                Kind::Real => "of FLOAT, which its values are",
                Kind::Index => "of INT64, which its values are",
            },
            got: type_name(tensor.elem_type),
        })
    }
}
