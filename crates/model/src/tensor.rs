//! Tensors at the border: what a request brings and an answer holds, and their canonical bytes
//! (`docs/spec/arithmetic.md`, section 3).
//!
//! The bytes are what a claim commits to. Floats are carried bit for bit.

use credence_base::wire::{Reader, WireError, Writer};

use crate::spec::BorderType;

/// Most tensors in a request or an answer.
const TENSORS_MAX: usize = 256;
/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Most axes, the batch included.
const RANK_MAX: usize = 9;

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// IEEE 754 binary32.
    Fp32(Vec<f32>),
    /// 32-bit integers.
    Int32(Vec<i32>),
    /// 64-bit integers.
    Int64(Vec<i64>),
}

impl Elements {
    /// Their type.
    #[must_use]
    pub const fn border_type(&self) -> BorderType {
        match self {
            Self::Fp32(_) => BorderType::Fp32,
            Self::Int32(_) => BorderType::Int32,
            Self::Int64(_) => BorderType::Int64,
        }
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Fp32(elements) => elements.len(),
            Self::Int32(elements) => elements.len(),
            Self::Int64(elements) => elements.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl BorderType {
    const fn code(self) -> u8 {
        match self {
            Self::Fp32 => 1,
            Self::Int32 => 2,
            Self::Int64 => 3,
        }
    }

    const fn width(self) -> usize {
        match self {
            Self::Fp32 | Self::Int32 => 4,
            Self::Int64 => 8,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Fp32, Self::Int32, Self::Int64]
            .into_iter()
            .find(|t| t.code() == code)
    }

    /// The name that the Open Inference Protocol gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
        }
    }
}

/// A named tensor; the first axis is the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: String,
    shape: Vec<u64>,
    elements: Elements,
}

/// Why tensors are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape is not that of the elements.
    #[error("tensor `{name}` of shape {shape:?} has {got} elements")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Number of its elements.
        got: usize,
    },
    /// A name is empty, doubled, or longer than 256 bytes.
    #[error("tensor name {name:?} is empty, doubled or longer than 256 bytes")]
    Name {
        /// The name.
        name: String,
    },
    /// More tensors, or more axes, than there may be.
    #[error("{got} {what}; at most {max} are allowed")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// The bytes are not the canonical form of tensors.
    #[error("the bytes are not tensors in canonical form")]
    Bytes(#[from] WireError),
}

impl Tensor {
    /// Checks name and shape against the elements. A tensor may be empty.
    ///
    /// # Errors
    /// [`TensorError`].
    pub fn new(
        name: impl Into<String>,
        shape: Vec<u64>,
        elements: Elements,
    ) -> Result<Self, TensorError> {
        let name = name.into();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(TensorError::Name { name });
        }
        if shape.len() > RANK_MAX {
            return Err(TensorError::Count {
                what: "axes",
                got: shape.len(),
                max: RANK_MAX,
            });
        }
        if cells(&shape) != Some(elements.len()) {
            return Err(TensorError::Shape {
                name,
                shape,
                got: elements.len(),
            });
        }
        Ok(Self {
            name,
            shape,
            elements,
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dimensions, batch first.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The elements, row-major.
    #[must_use]
    pub const fn elements(&self) -> &Elements {
        &self.elements
    }
}

fn cells(shape: &[u64]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |cells, &dim| {
        cells.checked_mul(usize::try_from(dim).ok()?)
    })
}

/// What a decoder may be made to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorLimits {
    /// Most bytes of one encoding.
    pub bytes_max: usize,
}

/// Tensors with distinct names, in an order that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors(Vec<Tensor>);

impl Tensors {
    /// Checks that names are distinct and the tensors not too many.
    ///
    /// # Errors
    /// [`TensorError`].
    pub fn new(tensors: Vec<Tensor>) -> Result<Self, TensorError> {
        if tensors.len() > TENSORS_MAX {
            return Err(TensorError::Count {
                what: "tensors",
                got: tensors.len(),
                max: TENSORS_MAX,
            });
        }
        for (at, tensor) in tensors.iter().enumerate() {
            if tensors
                .iter()
                .take(at)
                .any(|other| other.name == tensor.name)
            {
                return Err(TensorError::Name {
                    name: tensor.name.clone(),
                });
            }
        }
        Ok(Self(tensors))
    }

    /// The tensors in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Tensor> {
        self.0.iter()
    }

    /// The tensor of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|tensor| tensor.name == name)
    }

    /// The same tensors in the order of `names`; `None` unless those are exactly their names.
    #[must_use]
    pub fn ordered<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let ordered: Option<Vec<Tensor>> = names.map(|name| self.get(name).cloned()).collect();
        ordered
            .filter(|ordered| ordered.len() == self.0.len())
            .map(Self)
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The canonical bytes: `u32` count; for each tensor its name behind a `u32` length, a type byte (1 FP32, 2 INT32, 3 INT64), a
    /// rank byte, `u64` dimensions, and the elements; all little-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        for tensor in &self.0 {
            writer
                .u32(u32::try_from(tensor.name.len()).unwrap_or(u32::MAX))
                .raw(tensor.name.as_bytes());
            writer.u8(tensor.elements.border_type().code());
            writer.u8(u8::try_from(tensor.shape.len()).unwrap_or(u8::MAX));
            for &dim in &tensor.shape {
                writer.u64(dim);
            }
            let bytes: Vec<u8> = match &tensor.elements {
                Elements::Fp32(elements) => elements.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Elements::Int32(elements) => {
                    elements.iter().flat_map(|x| x.to_le_bytes()).collect()
                }
                Elements::Int64(elements) => {
                    elements.iter().flat_map(|x| x.to_le_bytes()).collect()
                }
            };
            writer.raw(&bytes);
        }
        writer.finish()
    }

    /// Reads canonical bytes, and nothing but them.
    ///
    /// # Errors
    /// [`TensorError`]; nothing is allocated that is larger than a small multiple of the input.
    pub fn decode(bytes: &[u8], limits: TensorLimits) -> Result<Self, TensorError> {
        if bytes.len() > limits.bytes_max {
            return Err(WireError::TooLong {
                max: limits.bytes_max,
                got: bytes.len(),
            }
            .into());
        }
        let mut reader = Reader::new(bytes);
        // The shortest tensor: a name of one byte behind its length, a type and a rank.
        let count = reader.count(TENSORS_MAX, 7)?;
        let mut tensors = Vec::with_capacity(count);
        for _ in 0..count {
            tensors.push(read_tensor(&mut reader)?);
        }
        reader.finish()?;
        Self::new(tensors)
    }
}

fn read_tensor(reader: &mut Reader<'_>) -> Result<Tensor, TensorError> {
    let name = reader.str(NAME_BYTES_MAX)?.to_owned();
    let code = reader.u8()?;
    let border_type = BorderType::from_code(code).ok_or(WireError::Tag { got: code })?;
    let rank = usize::from(reader.u8()?);
    if rank > RANK_MAX {
        return Err(TensorError::Count {
            what: "axes",
            got: rank,
            max: RANK_MAX,
        });
    }
    let shape = (0..rank)
        .map(|_| reader.u64())
        .collect::<Result<Vec<u64>, _>>()?;
    let length = cells(&shape)
        .and_then(|cells| cells.checked_mul(border_type.width()))
        .unwrap_or(usize::MAX);
    let bytes = reader.raw(length)?;
    let elements = match border_type {
        BorderType::Fp32 => Elements::Fp32(words(bytes, f32::from_le_bytes)),
        BorderType::Int32 => Elements::Int32(words(bytes, i32::from_le_bytes)),
        BorderType::Int64 => Elements::Int64(words(bytes, i64::from_le_bytes)),
    };
    Tensor::new(name, shape, elements)
}

fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .chunks_exact(N)
        .filter_map(|word| word.try_into().ok())
        .map(from)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: TensorLimits = TensorLimits { bytes_max: 1 << 16 };

    fn sample() -> Tensors {
        let tensor = |name: &str, shape: &[u64], elements| {
            Tensor::new(name, shape.to_vec(), elements).unwrap()
        };
        Tensors::new(vec![
            tensor("x", &[2, 1], Elements::Fp32(vec![1.5, -0.0])),
            tensor("ids", &[1], Elements::Int64(vec![-3])),
            tensor("none", &[0, 4], Elements::Int32(vec![])),
        ])
        .unwrap()
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample()
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let expected = [
            "03000000",
            "01000000",
            "78",
            "01",
            "02",
            "0200000000000000",
            "0100000000000000",
            "0000c03f",
            "00000080",
            "03000000",
            "696473",
            "03",
            "01",
            "0100000000000000",
            "fdffffffffffffff",
            "04000000",
            "6e6f6e65",
            "02",
            "02",
            "0000000000000000",
            "0400000000000000",
        ];
        assert_eq!(hex, expected.concat());
        assert_eq!(Tensors::decode(&sample().encode(), LIMITS), Ok(sample()));
    }

    #[test]
    fn every_truncation_and_a_trailing_byte_are_refused() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(
                Tensors::decode(&bytes[..length], LIMITS).is_err(),
                "{length}"
            );
        }
        assert!(Tensors::decode(&[bytes.as_slice(), &[0]].concat(), LIMITS).is_err());
        assert!(
            Tensors::decode(
                &bytes,
                TensorLimits {
                    bytes_max: bytes.len() - 1
                }
            )
            .is_err()
        );
    }

    #[test]
    fn tensors_are_put_in_order_if_the_names_are_theirs() {
        let ordered = sample().ordered(["none", "x", "ids"].into_iter()).unwrap();
        assert_eq!(
            ordered.iter().map(Tensor::name).collect::<Vec<_>>(),
            ["none", "x", "ids"]
        );
        assert_eq!(ordered.get("x"), sample().get("x"));
        assert_eq!(sample().ordered(["x", "ids"].into_iter()), None);
        assert_eq!(sample().ordered(["x", "ids", "other"].into_iter()), None);
    }

    #[test]
    fn shapes_that_lie_and_doubled_names_are_refused() {
        assert!(Tensor::new("x", vec![2, 2], Elements::Int32(vec![1, 2, 3])).is_err());
        assert!(Tensor::new("x", vec![u64::MAX, 2], Elements::Int32(vec![])).is_err());
        assert!(Tensor::new("", vec![0], Elements::Int32(vec![])).is_err());
        let x = Tensor::new("x", vec![1], Elements::Int32(vec![1])).unwrap();
        assert_eq!(
            Tensors::new(vec![x.clone(), x]),
            Err(TensorError::Name { name: "x".into() })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_tensors_of_these_bytes_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(tensors) = Tensors::decode(&bytes, LIMITS) {
                prop_assert_eq!(tensors.encode(), bytes);
            }
        }

        #[test]
        fn changed_bytes_are_read_as_what_they_say_or_refused(at in 0_usize..80, value in any::<u8>()) {
            let mut bytes = sample().encode();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(tensors) = Tensors::decode(&bytes, LIMITS) {
                prop_assert_eq!(tensors.encode(), bytes);
            }
        }
    }
}
