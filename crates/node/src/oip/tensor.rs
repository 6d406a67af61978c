//! One tensor in JSON, to and from a border tensor.

use credence_model::{Elements, Tensor, TensorError, Tensors};
use serde::{Deserialize, Serialize};

use crate::oip::data::{Data, Values};
use crate::oip::parameters::{ParameterError, Parameters, check_parameters};

/// A tensor of a request or an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorJson {
    /// Its name.
    pub name: String,
    /// Its dimensions, batch first.
    pub shape: Vec<u64>,
    /// `FP32`, `INT32` or `INT64`.
    pub datatype: String,
    /// Nothing is known here but `binary_data: false`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parameters: Option<Parameters>,
    /// Its elements, row-major, flat or nested by `shape`.
    pub data: Data,
}

/// Why a tensor's JSON is no tensor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OipError {
    /// A datatype that is not taken.
    #[error("tensor `{name}` has datatype `{got}`; `FP32`, `INT32` and `INT64` are taken")]
    Datatype {
        /// The tensor.
        name: String,
        /// Its datatype.
        got: String,
    },
    /// The lists of the data are nested otherwise than the shape says.
    #[error("the data of tensor `{name}` is nested as {got:?}, but its shape is {expected:?}")]
    Nesting {
        /// The tensor.
        name: String,
        /// Its shape.
        expected: Vec<u64>,
        /// The lengths of its lists.
        got: Vec<u64>,
    },
    /// An element does not fit the datatype.
    #[error("element {index} of tensor `{name}` is {got}, which is no {datatype}")]
    Element {
        /// The tensor.
        name: String,
        /// The element's index, row-major.
        index: usize,
        /// The element.
        got: String,
        /// The datatype.
        datatype: &'static str,
    },
    /// A parameter that is not known.
    #[error("a parameter is refused")]
    Parameter(#[from] ParameterError),
    /// Name, shape and number of elements do not agree.
    #[error("a tensor is refused")]
    Tensor(#[from] TensorError),
}

/// Reads the tensors of a request.
///
/// # Errors
/// [`OipError`], naming the tensor and the element.
pub fn read_tensors(all: Vec<TensorJson>) -> Result<Tensors, OipError> {
    let tensors = all.into_iter().map(read_tensor);
    Ok(Tensors::new(tensors.collect::<Result<_, _>>()?)?)
}

fn read_tensor(json: TensorJson) -> Result<Tensor, OipError> {
    let TensorJson {
        name,
        shape,
        datatype,
        parameters,
        data,
    } = json;
    check_parameters(parameters.as_ref(), &format!("tensor `{name}`"))?;
    if data.dims().len() > 1 && data.dims() != shape {
        return Err(OipError::Nesting {
            name,
            expected: shape,
            got: data.dims().to_vec(),
        });
    }
    let refuse = |datatype| {
        let name = name.clone();
        move |(index, got): (usize, String)| OipError::Element {
            name,
            index,
            got,
            datatype,
        }
    };
    let elements = match datatype.as_str() {
        "FP32" => Elements::Fp32(singles(data.values()).map_err(refuse("FP32"))?),
        "INT32" => Elements::Int32(integers(data.values()).map_err(refuse("INT32"))?),
        "INT64" => Elements::Int64(integers(data.values()).map_err(refuse("INT64"))?),
        _ => {
            return Err(OipError::Datatype {
                name,
                got: datatype,
            });
        }
    };
    Ok(Tensor::new(name, shape, elements)?)
}

fn singles(values: &Values) -> Result<Vec<f32>, (usize, String)> {
    let narrow = |(index, wide): (usize, f64)| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the nearest binary32 is what is wanted; one that is out of range is refused below"
        )]
        let single = wide as f32;
        if single.is_finite() {
            Ok(single)
        } else {
            Err((index, wide.to_string()))
        }
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "the nearest binary64 is what is wanted"
    )]
    let widen = |n: &i64| *n as f64;
    match values {
        Values::Integers(all) => all.iter().map(widen).enumerate().map(narrow).collect(),
        Values::Floats(all) => all.iter().copied().enumerate().map(narrow).collect(),
        Values::Singles(all) => Ok(all.clone()),
    }
}

fn integers<T: TryFrom<i64>>(values: &Values) -> Result<Vec<T>, (usize, String)> {
    let fit = |(index, n): (usize, &i64)| T::try_from(*n).map_err(|_| (index, n.to_string()));
    let fraction = |all: &[f64]| {
        let found = all.iter().enumerate().find(|(_, x)| x.fract() != 0.0);
        // A list with a fraction in it is kept as floats, so there is one; `1.0` is one spelling of it too.
        let (index, x) = found.unwrap_or((0, all.first().unwrap_or(&0.0)));
        (index, format!("{x:?}"))
    };
    match values {
        Values::Integers(all) => all.iter().enumerate().map(fit).collect(),
        Values::Floats(all) => Err(fraction(all)),
        Values::Singles(_) => Err((0, "a float".to_owned())),
    }
}

/// Writes a tensor, its data flat.
#[must_use]
pub fn write_tensor(tensor: &Tensor) -> TensorJson {
    let values = match tensor.elements() {
        Elements::Fp32(all) => Values::Singles(all.clone()),
        Elements::Int32(all) => Values::Integers(all.iter().map(|n| i64::from(*n)).collect()),
        Elements::Int64(all) => Values::Integers(all.clone()),
    };
    TensorJson {
        name: tensor.name().to_owned(),
        shape: tensor.shape().to_vec(),
        datatype: tensor.elements().border_type().name().to_owned(),
        parameters: None,
        data: Data::flat(values),
    }
}

/// Writes tensors in their order.
#[must_use]
pub fn write_tensors(tensors: &Tensors) -> Vec<TensorJson> {
    tensors.iter().map(write_tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tensors, OipError> {
        read_tensors(vec![serde_json::from_str(text).unwrap()])
    }

    fn one(name: &str, shape: &[u64], elements: Elements) -> Tensors {
        Tensors::new(vec![Tensor::new(name, shape.to_vec(), elements).unwrap()]).unwrap()
    }

    #[test]
    fn reads_each_datatype() {
        let cases = [
            (
                r#"{"name":"x","shape":[2,1],"datatype":"FP32","data":[0.1,3]}"#,
                one("x", &[2, 1], Elements::Fp32(vec![0.1, 3.0])),
            ),
            (
                r#"{"name":"x","shape":[2,1],"datatype":"FP32","data":[[0.1],[3]]}"#,
                one("x", &[2, 1], Elements::Fp32(vec![0.1, 3.0])),
            ),
            (
                r#"{"name":"x","shape":[1],"datatype":"INT32","data":[-7]}"#,
                one("x", &[1], Elements::Int32(vec![-7])),
            ),
            (
                r#"{"data":[9007199254740993],"name":"x","shape":[1],"datatype":"INT64"}"#,
                one("x", &[1], Elements::Int64(vec![9_007_199_254_740_993])),
            ),
            (
                r#"{"name":"x","shape":[0,4],"datatype":"FP32","data":[]}"#,
                one("x", &[0, 4], Elements::Fp32(vec![])),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap(), expected, "{text}");
            let back = serde_json::to_value(write_tensors(&expected)).unwrap();
            let again: Vec<TensorJson> = serde_json::from_value(back).unwrap();
            assert_eq!(read_tensors(again).unwrap(), expected);
        }
    }

    #[test]
    fn refuses_and_names_what_is_wrong() {
        let cases = [
            (
                r#"{"name":"x","shape":[1],"datatype":"FP16","data":[1]}"#,
                "`FP16`",
            ),
            (
                r#"{"name":"x","shape":[1],"datatype":"FP32","data":[1e39]}"#,
                "element 0",
            ),
            (
                r#"{"name":"x","shape":[1],"datatype":"INT32","data":[2147483648]}"#,
                "2147483648",
            ),
            (
                r#"{"name":"x","shape":[2],"datatype":"INT64","data":[1,1.5]}"#,
                "element 1 of tensor `x` is 1.5",
            ),
            (
                r#"{"name":"x","shape":[1],"datatype":"INT64","data":[1.0]}"#,
                "element 0 of tensor `x` is 1.0",
            ),
            (
                r#"{"name":"x","shape":[2,1],"datatype":"FP32","data":[[1,2]]}"#,
                "nested as [1, 2]",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let short = read(r#"{"name":"x","shape":[3],"datatype":"FP32","data":[1,2]}"#);
        assert!(matches!(
            short,
            Err(OipError::Tensor(TensorError::Shape { got: 2, .. }))
        ));
    }

    #[test]
    fn every_single_comes_back_bit_for_bit() {
        let mut bits = 1_u32;
        let mut all = vec![0.0_f32, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45];
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = f32::from_bits(bits);
            if x.is_finite() {
                all.push(x);
            }
        }
        let len = u64::try_from(all.len()).unwrap();
        let tensors = one("x", &[len], Elements::Fp32(all.clone()));
        let text = serde_json::to_string(&write_tensors(&tensors)).unwrap();
        let back = read_tensors(serde_json::from_str(&text).unwrap()).unwrap();
        let Elements::Fp32(back) = back.get("x").unwrap().elements() else {
            panic!("not FP32");
        };
        assert!(
            all.iter()
                .zip(back)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    }
}
