//! Metadata values. Arrays stay where they are in the file: they are checked when it is parsed and decoded when they are read.

use std::fmt;
use std::ops::Range;

use crate::cursor::Cursor;
use crate::error::GgufError;
use crate::file::Limits;

/// Types of metadata values, by their numbers in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// 0.
    U8,
    /// 1.
    I8,
    /// 2.
    U16,
    /// 3.
    I16,
    /// 4.
    U32,
    /// 5.
    I32,
    /// 6.
    F32,
    /// 7.
    Bool,
    /// 8.
    String,
    /// 9.
    Array,
    /// 10.
    U64,
    /// 11.
    I64,
    /// 12.
    F64,
}

impl ValueKind {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, GgufError> {
        let at = cursor.at();
        Ok(match cursor.u32("a value's type")? {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::String,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            got => return Err(GgufError::ValueType { at, got }),
        })
    }

    /// Bytes of one value, if all have the same.
    const fn width(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Bool | Self::String | Self::Array => None,
        }
    }
}

/// A value that is neither string nor array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Any integer.
    Integer(i128),
    /// A float of either width.
    Float(f64),
    /// A truth value.
    Bool(bool),
}

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number or truth value.
    Scalar(Scalar),
    /// Text.
    String(String),
    /// Values of one type, at this place of the file.
    Array {
        /// Their type.
        kind: ValueKind,
        /// How many.
        count: usize,
        /// Their bytes.
        at: Range<usize>,
    },
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(Scalar::Integer(value)) => write!(f, "{value}"),
            Self::Scalar(Scalar::Float(value)) => write!(f, "the float {value}"),
            Self::Scalar(Scalar::Bool(value)) => write!(f, "{value}"),
            Self::String(text) if text.len() <= 64 => write!(f, "the text `{text}`"),
            Self::String(text) => write!(f, "a text of {} bytes", text.len()),
            Self::Array { kind, count, .. } => write!(f, "an array of {count} {kind:?}"),
        }
    }
}

/// Reads one value with its type.
pub(crate) fn read(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Value, GgufError> {
    let kind = ValueKind::read(cursor)?;
    Ok(match kind {
        ValueKind::String => {
            let text = cursor.string("a text", limits.string_bytes_max)?;
            Value::String(text.to_owned())
        }
        ValueKind::Array => array(cursor, limits)?,
        _ => Value::Scalar(scalar(cursor, kind)?),
    })
}

fn array(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Value, GgufError> {
    let (kind, count) = array_header(cursor, limits)?;
    let start = cursor.at();
    skip_elements(cursor, kind, count, limits, 1)?;
    Ok(Value::Array {
        kind,
        // A count of things that were just walked over, each of at least one byte.
        count: usize::try_from(count).unwrap_or(usize::MAX),
        at: start..cursor.at(),
    })
}

fn array_header(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<(ValueKind, u64), GgufError> {
    let kind = ValueKind::read(cursor)?;
    let count = cursor.count("the length of an array", limits.array_max)?;
    Ok((kind, count))
}

/// Walks over elements and checks them; `depth` arrays are open.
fn skip_elements(
    cursor: &mut Cursor<'_>,
    kind: ValueKind,
    count: u64,
    limits: &Limits,
    depth: u64,
) -> Result<(), GgufError> {
    if let Some(width) = kind.width() {
        let bytes = count.saturating_mul(width);
        return cursor.take(bytes, "an array").map(|_| ());
    }
    for _ in 0..count {
        match kind {
            ValueKind::String => {
                cursor.string("a text in an array", limits.string_bytes_max)?;
            }
            ValueKind::Array => {
                let at = cursor.at();
                let depth = depth + 1;
                if depth > limits.depth_max {
                    return Err(GgufError::TooMany {
                        what: "the depth of arrays",
                        at,
                        got: depth,
                        max: limits.depth_max,
                    });
                }
                let (kind, count) = array_header(cursor, limits)?;
                skip_elements(cursor, kind, count, limits, depth)?;
            }
            _ => {
                scalar(cursor, kind)?;
            }
        }
    }
    Ok(())
}

/// Reads a number or truth value.
pub(crate) fn scalar(cursor: &mut Cursor<'_>, kind: ValueKind) -> Result<Scalar, GgufError> {
    const WHAT: &str = "a number";
    let at = cursor.at();
    Ok(match kind {
        ValueKind::U8 => Scalar::Integer(cursor.array(WHAT).map(u8::from_le_bytes)?.into()),
        ValueKind::I8 => Scalar::Integer(cursor.array(WHAT).map(i8::from_le_bytes)?.into()),
        ValueKind::U16 => Scalar::Integer(cursor.array(WHAT).map(u16::from_le_bytes)?.into()),
        ValueKind::I16 => Scalar::Integer(cursor.array(WHAT).map(i16::from_le_bytes)?.into()),
        ValueKind::U32 => Scalar::Integer(cursor.array(WHAT).map(u32::from_le_bytes)?.into()),
        ValueKind::I32 => Scalar::Integer(cursor.array(WHAT).map(i32::from_le_bytes)?.into()),
        ValueKind::U64 => Scalar::Integer(cursor.array(WHAT).map(u64::from_le_bytes)?.into()),
        ValueKind::I64 => Scalar::Integer(cursor.array(WHAT).map(i64::from_le_bytes)?.into()),
        ValueKind::F32 => Scalar::Float(cursor.array(WHAT).map(f32::from_le_bytes)?.into()),
        ValueKind::F64 => Scalar::Float(cursor.array(WHAT).map(f64::from_le_bytes)?),
        ValueKind::Bool => match cursor.array::<1>("a truth value")? {
            [0] => Scalar::Bool(false),
            [1] => Scalar::Bool(true),
            [got] => return Err(GgufError::Truth { at, got }),
        },
        // Neither is a scalar, and no caller asks for one.
        ValueKind::String => return Err(GgufError::ValueType { at, got: 8 }),
        ValueKind::Array => return Err(GgufError::ValueType { at, got: 9 }),
    })
}
