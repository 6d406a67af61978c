//! The border's codings applied to whole tensors, in plain code (`docs/spec/arithmetic.md`, section 3).

use credence_exact::border::{order_key, quantise, to_fp32};

use crate::spec::{BorderType, Decode, Encode};
use crate::tensor::Elements;

/// An element that cannot cross the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BorderValueError {
    /// NaN or an infinity.
    #[error("element {index} is not a finite number")]
    NotFinite {
        /// Its index, row-major.
        index: usize,
    },
    /// An integer outside its input's range.
    #[error("element {index} is {got}; the input takes {min} to {max}")]
    Range {
        /// Its index, row-major.
        index: usize,
        /// The element.
        got: i64,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// Elements of another type than the coding takes.
    #[error("elements are {got:?}, which this coding does not take")]
    Type {
        /// Their type.
        got: BorderType,
    },
    /// A value that has no entry in its output's lookup.
    #[error("value {got} has no entry in the output's lookup")]
    Lookup {
        /// The value.
        got: i64,
    },
}

/// Encodes elements of one input.
///
/// # Errors
/// [`BorderValueError`] naming the first element that cannot be encoded.
pub fn encode_elements(encode: &Encode, elements: &Elements) -> Result<Vec<i64>, BorderValueError> {
    let integer = |index, got: i64, min: i32, max: i32| {
        let inside = (i64::from(min)..=i64::from(max)).contains(&got);
        if inside {
            Ok(got)
        } else {
            Err(BorderValueError::Range {
                index,
                got,
                min,
                max,
            })
        }
    };
    match (encode, elements) {
        (
            Encode::Quantise {
                multiplier,
                shift,
                min,
                max,
            },
            Elements::Fp32(floats),
        ) => {
            let one = |x: &f32| quantise(x.to_bits(), *multiplier, *shift, *min, *max);
            floats
                .iter()
                .enumerate()
                .map(|(index, x)| one(x).map_err(|_| BorderValueError::NotFinite { index }))
                .collect()
        }
        (Encode::OrderKey {}, Elements::Fp32(floats)) => {
            let keys = floats.iter().map(|x| order_key(x.to_bits()));
            keys.enumerate()
                .map(|(index, key)| key.map_err(|_| BorderValueError::NotFinite { index }))
                .collect()
        }
        (Encode::Integer { min, max }, Elements::Int32(integers)) => integers
            .iter()
            .enumerate()
            .map(|(index, &x)| integer(index, x.into(), *min, *max))
            .collect(),
        (Encode::Integer { min, max }, Elements::Int64(integers)) => integers
            .iter()
            .enumerate()
            .map(|(index, &x)| integer(index, x, *min, *max))
            .collect(),
        (Encode::Quantise { .. } | Encode::OrderKey {} | Encode::Integer { .. }, _) => {
            Err(BorderValueError::Type {
                got: elements.border_type(),
            })
        }
    }
}

/// Decodes the cells of one output.
///
/// # Errors
/// [`BorderValueError::Lookup`], which the cells of a checked model never give.
pub fn decode_elements(decode: &Decode, cells: &[i64]) -> Result<Elements, BorderValueError> {
    match decode {
        Decode::Scale { multiplier, shift } => Ok(Elements::Fp32(
            cells
                .iter()
                .map(|&q| f32::from_bits(to_fp32(q, *multiplier, *shift)))
                .collect(),
        )),
        Decode::Integer {} => Ok(Elements::Int64(cells.to_vec())),
        Decode::Lookup { values } => {
            let one = |&got: &i64| {
                let value = usize::try_from(got)
                    .ok()
                    .and_then(|at| values.get(at))
                    .copied();
                value.ok_or(BorderValueError::Lookup { got })
            };
            Ok(Elements::Int64(
                cells.iter().map(one).collect::<Result<_, _>>()?,
            ))
        }
    }
}
