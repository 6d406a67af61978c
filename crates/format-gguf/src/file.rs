//! The file: header, metadata, and where each tensor lies. Everything is checked here once; what is read later cannot fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::cursor::Cursor;
use crate::error::GgufError;
use crate::kind::{TensorKind, name_of, supported_kinds};
use crate::matrix::{Matrix, RowOrder};
use crate::value::{self, Scalar, Value};

/// Whoever owns the file's bytes: a vector, or a map of the file. It must give the same bytes each time.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Where tensors begin unless the file says otherwise.
const ALIGNMENT_DEFAULT: usize = 32;
const ALIGNMENT_KEY: &str = "general.alignment";

/// How much of everything is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys of metadata.
    pub keys_max: u64,
    /// Tensors.
    pub tensors_max: u64,
    /// Bytes of a key or of a tensor's name.
    pub name_bytes_max: u64,
    /// Bytes of any other string.
    pub string_bytes_max: u64,
    /// Elements of an array.
    pub array_max: u64,
    /// Arrays within arrays.
    pub depth_max: u64,
    /// Bytes that tensors may be aligned to.
    pub alignment_max: usize,
}

impl Limits {
    /// Far above what any model has: 64 Ki keys and tensors, names of 1 KiB, strings of 64 MiB, arrays of 16 Mi elements, 4 deep, alignment to 64 KiB.
    pub const MODELS: Self = Self {
        keys_max: 1 << 16,
        tensors_max: 1 << 16,
        name_bytes_max: 1 << 10,
        string_bytes_max: 1 << 26,
        array_max: 1 << 24,
        depth_max: 4,
        alignment_max: 1 << 16,
    };
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) kind: TensorKind,
    pub(crate) at: Range<usize>,
}

impl TensorInfo {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions, fastest first: a row has as many elements as the first says.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Its element type.
    #[must_use]
    pub const fn kind(&self) -> TensorKind {
        self.kind
    }
}

/// A parsed file.
#[derive(Clone)]
pub struct Gguf {
    bytes: Bytes,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<TensorInfo>,
}

impl std::fmt::Debug for Gguf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.metadata.len();
        write!(f, "Gguf({keys} keys, {} tensors)", self.tensors.len())
    }
}

impl Gguf {
    /// Parses a file. Tensors' elements are not looked at; the bytes stay with their owner.
    ///
    /// # Errors
    /// [`GgufError`], naming what is wrong and where.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, GgufError> {
        let all: &[u8] = (*bytes).as_ref();
        let mut cursor = Cursor::new(all);
        let (tensor_count, key_count) = header(&mut cursor, limits)?;
        let metadata = metadata(&mut cursor, key_count, limits)?;
        let alignment = alignment(&metadata, limits)?;
        let mut heads = Vec::new();
        let mut names = BTreeSet::new();
        for _ in 0..tensor_count {
            let head = tensor(&mut cursor, limits)?;
            if !names.insert(head.name.clone()) {
                return Err(GgufError::Doubled {
                    what: "the tensor",
                    name: head.name,
                });
            }
            heads.push(head);
        }
        let tensors = place(all, cursor.at(), alignment, heads)?;
        Ok(Self {
            bytes,
            metadata,
            tensors,
        })
    }

    /// Metadata, by key.
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// Tensors, as they lie.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// A tensor as a matrix, one row if it has one dimension; `None` if there is no such tensor, or it has more than two.
    #[must_use]
    pub fn matrix(&self, name: &str) -> Option<Matrix> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name)?;
        let rows = match tensor.dims.as_slice() {
            [_] => 1,
            [_, rows] => *rows,
            _ => return None,
        };
        Some(Matrix::new(self, tensor, 0..rows, RowOrder::Straight))
    }

    /// The owner of the bytes.
    pub(crate) const fn owner(&self) -> &Bytes {
        &self.bytes
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }
}

fn header(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<(u64, u64), GgufError> {
    if cursor.array("the magic number")? != *b"GGUF" {
        return Err(GgufError::Magic);
    }
    match cursor.u32("the version")? {
        2 | 3 => {}
        got if (1..=3).contains(&got.swap_bytes()) => return Err(GgufError::BigEndian),
        got => return Err(GgufError::Version { got }),
    }
    let tensors = cursor.count("the number of tensors", limits.tensors_max)?;
    let keys = cursor.count("the number of keys", limits.keys_max)?;
    Ok((tensors, keys))
}

fn metadata(
    cursor: &mut Cursor<'_>,
    count: u64,
    limits: &Limits,
) -> Result<BTreeMap<String, Value>, GgufError> {
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let key = name(cursor, "a key", limits)?;
        let value = value::read(cursor, limits)?;
        if metadata.contains_key(key) {
            return Err(GgufError::Doubled {
                what: "the key",
                name: key.to_owned(),
            });
        }
        metadata.insert(key.to_owned(), value);
    }
    Ok(metadata)
}

fn name<'a>(
    cursor: &mut Cursor<'a>,
    what: &'static str,
    limits: &Limits,
) -> Result<&'a str, GgufError> {
    let at = cursor.at();
    let name = cursor.string(what, limits.name_bytes_max)?;
    if name.is_empty() {
        Err(GgufError::Empty { what, at })
    } else {
        Ok(name)
    }
}

fn alignment(metadata: &BTreeMap<String, Value>, limits: &Limits) -> Result<usize, GgufError> {
    let Some(value) = metadata.get(ALIGNMENT_KEY) else {
        return Ok(ALIGNMENT_DEFAULT);
    };
    let sound = match value {
        Value::Scalar(Scalar::Integer(got)) => usize::try_from(*got).ok(),
        _ => None,
    };
    sound
        .filter(|got| got.is_power_of_two() && *got >= 8 && *got <= limits.alignment_max)
        .ok_or_else(|| GgufError::Setting {
            key: ALIGNMENT_KEY.to_owned(),
            expected: format!("a power of two from 8 to {}", limits.alignment_max),
            got: value.to_string(),
        })
}

/// What the file says of a tensor.
struct TensorHead {
    name: String,
    dims: Vec<usize>,
    kind: TensorKind,
    /// Bytes of its data.
    size: usize,
    offset: u64,
}

fn tensor(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<TensorHead, GgufError> {
    let name = name(cursor, "a tensor's name", limits)?.to_owned();
    let rank = cursor.u32("a tensor's number of dimensions")?;
    if !(1..=4).contains(&rank) {
        return Err(GgufError::Rank {
            tensor: name,
            got: rank,
        });
    }
    let mut wide = Vec::new();
    for _ in 0..rank {
        wide.push(cursor.u64("a tensor's dimension")?);
    }
    let number = cursor.u32("a tensor's type")?;
    let offset = cursor.u64("a tensor's offset")?;
    let Some(kind) = TensorKind::from_number(number) else {
        return Err(GgufError::Kind {
            tensor: name,
            got: name_of(number),
            supported: supported_kinds(),
        });
    };
    let Some((dims, cells)) = dimensions(&wide) else {
        return Err(GgufError::Size {
            tensor: name,
            got: wide,
        });
    };
    let row = dims.first().copied().unwrap_or_default();
    if !row.is_multiple_of(kind.block()) {
        return Err(GgufError::Block {
            tensor: name,
            kind: kind.name(),
            block: kind.block(),
            got: row,
        });
    }
    let size = (cells / kind.block()).checked_mul(kind.block_bytes());
    let Some(size) = size else {
        return Err(GgufError::Size {
            tensor: name,
            got: wide,
        });
    };
    Ok(TensorHead {
        name,
        dims,
        kind,
        size,
        offset,
    })
}

fn dimensions(wide: &[u64]) -> Option<(Vec<usize>, usize)> {
    let mut cells = 1_usize;
    let mut dims = Vec::new();
    for &dim in wide {
        let dim = usize::try_from(dim).ok().filter(|&dim| dim > 0)?;
        cells = cells.checked_mul(dim)?;
        dims.push(dim);
    }
    Some((dims, cells))
}

/// Finds each tensor's bytes: one after the other, each padded, and nothing after the last.
fn place(
    all: &[u8],
    header_end: usize,
    alignment: usize,
    heads: Vec<TensorHead>,
) -> Result<Vec<TensorInfo>, GgufError> {
    let length = all.len();
    let past = |name: &str, end: Option<usize>| GgufError::PastEnd {
        tensor: name.to_owned(),
        end: end
            .and_then(|end| u64::try_from(end).ok())
            .unwrap_or(u64::MAX),
        length,
    };
    let mut tensors = Vec::new();
    let mut end = header_end;
    // The same place, counted from where the data begins.
    let mut offset = 0_usize;
    for head in heads {
        let start = end.checked_next_multiple_of(alignment);
        let bounds = start.and_then(|start| Some((start, start.checked_add(head.size)?)));
        let expected = u64::try_from(offset).unwrap_or(u64::MAX);
        if head.offset != expected {
            return Err(GgufError::Offset {
                tensor: head.name,
                expected,
                got: head.offset,
            });
        }
        let Some((start, stop)) = bounds.filter(|(_, stop)| *stop <= length) else {
            return Err(past(&head.name, bounds.map(|(_, stop)| stop)));
        };
        zeros(all, end..start)?;
        // Below the file's length, which the padded size exceeds by less than the alignment.
        offset = offset.saturating_add(head.size.next_multiple_of(alignment));
        end = stop;
        tensors.push(TensorInfo {
            name: head.name,
            dims: head.dims,
            kind: head.kind,
            at: start..stop,
        });
    }
    let padded = end.checked_next_multiple_of(alignment).unwrap_or(end);
    if length != end && length != padded {
        return Err(GgufError::Trailing {
            expected: padded,
            got: length,
        });
    }
    zeros(all, end..length)?;
    Ok(tensors)
}

fn zeros(all: &[u8], range: Range<usize>) -> Result<(), GgufError> {
    let first = range.start;
    let padding = all.get(range).unwrap_or_default();
    match padding.iter().position(|&byte| byte != 0) {
        Some(offset) => Err(GgufError::Padding {
            at: first + offset,
            got: padding[offset],
        }),
        None => Ok(()),
    }
}
