//! Inputs and outputs of a file: their types and shapes, the batch axis apart.

use std::collections::{BTreeMap, BTreeSet};

use credence_import::{BorderType, Kind};
use tract_onnx::pb::ValueInfoProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::{Tensor, Value};

use crate::constant::type_name;
use crate::error::OnnxError;

/// Sizes for symbolic dimensions: by their names in the file, or as `input.axis`, the batch being axis 0.
pub(crate) type Dims = BTreeMap<String, usize>;

fn tensor(info: &ValueInfoProto) -> Option<&Tensor> {
    let Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

/// An input's element type and the shape of one position.
pub(crate) fn input(
    info: &ValueInfoProto,
    given: &Dims,
    bound: &mut BTreeSet<String>,
) -> Result<(BorderType, Vec<usize>), OnnxError> {
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
        && ![-1, 0, 1].contains(&fixed)
    {
        return Err(error(
            "of a symbolic batch axis, or one of 1; export it so, and run batches of any size",
            format!("of a fixed batch of {fixed}"),
        ));
    }
    let mut size = |(at, dim): (usize, &Dimension)| {
        let named = match &dim.value {
            Some(Dim::DimValue(size)) if *size > 0 => return usize::try_from(*size).ok(),
            Some(Dim::DimParam(name)) => Some(name.clone()),
            Some(Dim::DimValue(_)) | None => None,
        };
        // The place is more exact than the name, which several dimensions may share.
        let place = format!("{}.{}", info.name, at + 1);
        let name = [Some(place), named].into_iter().flatten();
        let name = name.into_iter().find(|name| given.contains_key(name))?;
        let size = given.get(&name).copied().filter(|&size| size > 0);
        bound.insert(name);
        size
    };
    let shape: Option<Vec<usize>> = rest.iter().enumerate().map(&mut size).collect();
    match shape {
        Some(shape) => Ok((dtype, shape)),
        None => Err(error(
            "of fixed, positive dimensions behind the batch axis; bind symbolic ones (`--dim NAME=SIZE`, or `--dim INPUT.AXIS=SIZE`)",
            format!(
                "[{}]",
                rest.iter().map(shown).collect::<Vec<_>>().join(", ")
            ),
        )),
    }
}

fn shown(dim: &Dimension) -> String {
    match &dim.value {
        Some(Dim::DimValue(size)) => size.to_string(),
        Some(Dim::DimParam(name)) => format!("`{name}`"),
        None => "unknown".to_owned(),
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
