//! A model's integer tensors: little-endian bytes, row-major, read through a typed view.
//!
//! Bytes are shared, not copied: a tensor is a range of whatever owns them, so a model may lie in a map of its file, and two programs over the same
//! weights hold them once. What owns them is deliberately unknown here.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use credence_exact::{Dtype, Shape};

use crate::program::Program;

/// Whoever owns tensors' bytes: a vector, or a map of a file. It must give the same bytes each time; a model is checked once.
pub trait Bytes: Send + Sync {
    /// All of them.
    fn bytes(&self) -> &[u8];

    /// Says that nobody will look at these soon. They stay what they are; an owner that can fetch them again need not hold them in memory.
    fn release(&self, range: Range<usize>) {
        let _ = range;
    }
}

impl Bytes for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// A shared owner.
pub type Owner = Arc<dyn Bytes>;

/// The bytes of one tensor: a range of what owns them. Cloning copies none.
#[derive(Clone)]
pub struct ParamBytes {
    owner: Owner,
    range: Range<usize>,
}

impl ParamBytes {
    /// A range of `owner`'s bytes; `None` if it does not lie within them.
    #[must_use]
    pub fn new(owner: Owner, range: Range<usize>) -> Option<Self> {
        owner.bytes().get(range.clone())?;
        Some(Self { owner, range })
    }

    /// Says that nobody will look at them soon ([`Bytes::release`]).
    pub fn release(&self) {
        self.owner.release(self.range.clone());
    }
}

impl Deref for ParamBytes {
    type Target = [u8];

    /// An owner that has become shorter gives nothing.
    fn deref(&self) -> &[u8] {
        let all = self.owner.bytes();
        all.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<Vec<u8>> for ParamBytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self {
            owner: Arc::new(bytes),
            range,
        }
    }
}

impl fmt::Debug for ParamBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParamBytes({})", self.len())
    }
}

/// Tensors that do not belong to their program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Another number of tensors.
    #[error("the program has {expected} parameters, but {got} tensors are given")]
    Count {
        /// Number in the program.
        expected: usize,
        /// Number given.
        got: usize,
    },
    /// A tensor of another size.
    #[error("parameter `{name}` takes {expected} bytes, but has {got}")]
    Bytes {
        /// The parameter.
        name: String,
        /// Bytes that its shape and type take.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
}

/// One tensor of a model.
#[derive(Clone, Copy, Debug)]
pub struct ParamView<'a> {
    dtype: Dtype,
    shape: &'a Shape,
    bytes: &'a [u8],
}

impl<'a> ParamView<'a> {
    /// A view of bytes that are somewhere else than in a model, such as in a card that shows some of its parameters.
    #[must_use]
    pub const fn new(dtype: Dtype, shape: &'a Shape, bytes: &'a [u8]) -> Self {
        Self {
            dtype,
            shape,
            bytes,
        }
    }

    /// Element type.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Shape.
    #[must_use]
    pub const fn shape(&self) -> &'a Shape {
        self.shape
    }

    /// Little-endian bytes, row-major.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Entry number `index`, row-major; `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i64> {
        let width = self.dtype.width();
        let start = index.checked_mul(width)?;
        decode(
            self.dtype,
            self.bytes.get(start..start.checked_add(width)?)?,
        )
    }

    /// All entries, row-major.
    pub fn values(&self) -> impl ExactSizeIterator<Item = i64> + 'a {
        let dtype = self.dtype;
        self.bytes
            .chunks_exact(dtype.width())
            .map(move |bytes| decode(dtype, bytes).unwrap_or(0))
    }

    /// All entries as 32-bit integers, row-major.
    #[must_use]
    pub fn to_i32_vec(&self) -> Vec<i32> {
        self.values()
            .map(|value| i32::try_from(value).unwrap_or(0))
            .collect()
    }
}

/// The value in exactly `dtype.width()` bytes.
fn decode(dtype: Dtype, bytes: &[u8]) -> Option<i64> {
    Some(match dtype {
        Dtype::I8 => i8::from_le_bytes(bytes.try_into().ok()?).into(),
        Dtype::I16 => i16::from_le_bytes(bytes.try_into().ok()?).into(),
        Dtype::I32 => i32::from_le_bytes(bytes.try_into().ok()?).into(),
    })
}

/// Checks that there is one tensor for each parameter, of its size.
///
/// # Errors
/// [`ParamsError`].
pub(crate) fn check(program: &Program, params: &[ParamBytes]) -> Result<(), ParamsError> {
    let specs = &program.spec().params;
    if specs.len() != params.len() {
        return Err(ParamsError::Count {
            expected: specs.len(),
            got: params.len(),
        });
    }
    for ((spec, id), bytes) in specs.iter().zip(0_u32..).zip(params) {
        let cells = program
            .param_shape(credence_exact::ParamId(id))
            .map_or(0, Shape::cells);
        let expected = cells.saturating_mul(spec.dtype.width());
        if bytes.len() != expected {
            return Err(ParamsError::Bytes {
                name: spec.name.clone(),
                expected,
                got: bytes.len(),
            });
        }
    }
    Ok(())
}
