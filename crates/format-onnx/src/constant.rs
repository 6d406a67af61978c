//! Constant tensors: initializers and attributes, decoded and checked.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use crate::error::OnnxError;

/// Elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// From FLOAT and DOUBLE.
    Floats(Vec<f32>),
    /// From integers and BOOL.
    Ints(Vec<i64>),
    /// Sizes of which at least one is the batch's, `None`.
    Sizes(Vec<Option<i64>>),
}

impl Values {
    /// Number of elements.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Sizes(values) => values.len(),
        }
    }

    /// Sizes, as plain integers where the batch is not among them.
    pub(crate) fn of_sizes(sizes: Vec<Option<i64>>) -> Self {
        let known: Option<Vec<i64>> = sizes.iter().copied().collect();
        known.map_or(Self::Sizes(sizes), Self::Ints)
    }
}

/// What one step of a tensor's integers is, for floats that a file has as integers of 8 bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steps {
    /// One for all, or one for each index along the axis; positive.
    pub(crate) scales: Vec<f32>,
    /// The axis.
    pub(crate) axis: usize,
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
    /// The element type in the file, 0 if it was made here.
    pub(crate) element: i32,
    /// For floats that are integers in the file.
    pub(crate) steps: Option<Steps>,
}

fn error(
    tensor: &TensorProto,
    what: &'static str,
    expected: impl Into<String>,
    got: impl Into<String>,
) -> OnnxError {
    OnnxError::Tensor {
        name: tensor.name.clone(),
        what,
        expected: expected.into(),
        got: got.into(),
    }
}

/// The name of an element type.
pub(crate) fn type_name(code: i32) -> String {
    DataType::try_from(code).map_or_else(
        |_| format!("unknown type {code}"),
        |known| known.as_str_name().to_owned(),
    )
}

impl Constant {
    /// A tensor of this shape.
    pub(crate) const fn made(name: String, shape: Vec<usize>, values: Values) -> Self {
        Self {
            name,
            shape,
            values,
            element: 0,
            steps: None,
        }
    }

    /// What one step of its integers is for each of `count` indices along an axis, if the file has integers for it; else empty.
    pub(crate) fn steps_along(&self, axis: usize, count: usize) -> Vec<f32> {
        match &self.steps {
            Some(steps) if steps.scales.len() == 1 => vec![steps.scales[0]; count],
            Some(steps) if steps.axis == axis && steps.scales.len() == count => {
                steps.scales.clone()
            }
            _ => Vec::new(),
        }
    }

    /// Decodes a tensor; its size is bounded by that of the message.
    pub(crate) fn new(tensor: &TensorProto) -> Result<Self, OnnxError> {
        let external = tensor
            .data_location
            .is_some_and(|l| l != i32::from(DataLocation::Default));
        if external || !tensor.external_data.is_empty() {
            return Err(OnnxError::Unsupported {
                what: "tensor",
                name: tensor.name.clone(),
                feature: "external data".to_owned(),
                remedy: "save the model as one file (`onnx.save` without `save_as_external_data`)",
            });
        }
        if tensor.segment.is_some() {
            return Err(OnnxError::Unsupported {
                what: "tensor",
                name: tensor.name.clone(),
                feature: "a segment".to_owned(),
                remedy: "save the model anew",
            });
        }
        let (shape, cells) = shape(tensor)?;
        let values = values(tensor)?;
        let got = values.len();
        if got != cells {
            return Err(error(
                tensor,
                "its data",
                format!("{cells} elements, for shape {:?}", tensor.dims),
                got.to_string(),
            ));
        }
        Ok(Self {
            element: tensor.data_type,
            ..Self::made(tensor.name.clone(), shape, values)
        })
    }

    /// Its elements as floats, unless they are integers.
    pub(crate) fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            Values::Ints(_) | Values::Sizes(_) => None,
        }
    }

    /// Number of elements.
    pub(crate) const fn len(&self) -> usize {
        self.values.len()
    }

    /// Its elements as sizes, the batch's open, unless they are floats.
    pub(crate) fn sizes(&self) -> Option<Vec<Option<i64>>> {
        match &self.values {
            Values::Floats(_) => None,
            Values::Ints(values) => Some(values.iter().copied().map(Some).collect()),
            Values::Sizes(values) => Some(values.clone()),
        }
    }

    /// Its elements as integers, unless they are floats.
    pub(crate) fn ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Ints(values) => Some(values),
            Values::Floats(_) | Values::Sizes(_) => None,
        }
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        let kind = match &self.values {
            Values::Floats(_) => "floats",
            Values::Ints(_) => "integers",
            Values::Sizes(_) => "sizes, the batch's among them,",
        };
        format!("the constant `{}` of {kind} {:?}", self.name, self.shape)
    }
}

fn shape(tensor: &TensorProto) -> Result<(Vec<usize>, usize), OnnxError> {
    let mut cells = 1_usize;
    let mut shape = Vec::with_capacity(tensor.dims.len());
    for &dim in &tensor.dims {
        let sound = usize::try_from(dim).ok();
        let (dim, product) = sound
            .and_then(|dim| Some((dim, cells.checked_mul(dim)?)))
            .ok_or_else(|| {
                error(
                    tensor,
                    "its shape",
                    "of dimensions whose product is a size",
                    format!("{:?}", tensor.dims),
                )
            })?;
        cells = product;
        shape.push(dim);
    }
    Ok((shape, cells))
}

fn values(tensor: &TensorProto) -> Result<Values, OnnxError> {
    let raw = &tensor.raw_data;
    let float = i32::from(DataType::Float);
    let double = i32::from(DataType::Double);
    let int32 = i32::from(DataType::Int32);
    let int64 = i32::from(DataType::Int64);
    let bool8 = i32::from(DataType::Bool);
    let int8 = i32::from(DataType::Int8);
    let uint8 = i32::from(DataType::Uint8);
    let values = match tensor.data_type {
        code if code == float && raw.is_empty() => Values::Floats(tensor.float_data.clone()),
        code if code == float => Values::Floats(words(tensor, f32::from_le_bytes)?),
        code if code == double && raw.is_empty() => {
            Values::Floats(tensor.double_data.iter().map(|&x| narrow(x)).collect())
        }
        code if code == double => {
            Values::Floats(words(tensor, |bytes| narrow(f64::from_le_bytes(bytes)))?)
        }
        code if code == int32 && raw.is_empty() => {
            Values::Ints(tensor.int32_data.iter().map(|&x| i64::from(x)).collect())
        }
        code if code == int32 => {
            Values::Ints(words(tensor, |bytes| i64::from(i32::from_le_bytes(bytes)))?)
        }
        code if [bool8, int8, uint8].contains(&code) && raw.is_empty() => {
            Values::Ints(tensor.int32_data.iter().map(|&x| i64::from(x)).collect())
        }
        code if code == int8 => {
            Values::Ints(words(tensor, |bytes| i64::from(i8::from_le_bytes(bytes)))?)
        }
        code if [bool8, uint8].contains(&code) => {
            Values::Ints(words(tensor, |[byte]: [u8; 1]| i64::from(byte))?)
        }
        code if code == int64 && raw.is_empty() => Values::Ints(tensor.int64_data.clone()),
        code if code == int64 => Values::Ints(words(tensor, i64::from_le_bytes)?),
        code => {
            return Err(error(
                tensor,
                "its element type",
                "FLOAT, DOUBLE, BOOL, INT8, UINT8, INT32 or INT64",
                type_name(code),
            ));
        }
    };
    Ok(values)
}

/// The nearest FP32; what overflows becomes an infinity, which the graph refuses by name.
#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are FP32 from here on"
)]
pub(crate) const fn narrow(x: f64) -> f32 {
    x as f32
}

fn words<const N: usize, T>(
    tensor: &TensorProto,
    from: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, OnnxError> {
    let (words, rest) = tensor.raw_data.as_chunks::<N>();
    if rest.is_empty() {
        Ok(words.iter().map(|&word| from(word)).collect())
    } else {
        Err(error(
            tensor,
            "its raw data",
            format!("a multiple of {N} bytes"),
            tensor.raw_data.len().to_string(),
        ))
    }
}
