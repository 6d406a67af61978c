//! A short name that programs give to things: a method, an engine, a version.
//!
//! The letters are few, so a name prints as itself everywhere, and the length fits a byte, so that encoding one
//! cannot fail.

use core::fmt;
use core::str::FromStr;

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too short or too long.
    #[error("expected a name of 1 to {max} bytes, got {got}")]
    Length {
        /// Bytes allowed at most.
        max: usize,
        /// Bytes given.
        got: usize,
    },
    /// A byte outside `a-z0-9._-`.
    #[error("expected only `a-z`, `0-9`, `.`, `_` and `-` in a name, got byte {got:#04x} at {at}")]
    Byte {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        got: u8,
    },
}

/// 1 to 64 bytes of `a-z0-9._-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    text: String,
    // Kept so that writing the length as one byte cannot fail.
    len: u8,
}

impl Name {
    /// The longest a name may be, in bytes.
    pub const LEN_MAX: usize = 64;

    /// Checks `text`.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than [`Name::LEN_MAX`] or has another byte than `a-z0-9._-`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let wrong_len = NameError::Length {
            max: Self::LEN_MAX,
            got: text.len(),
        };
        let len = u8::try_from(text.len()).map_err(|_| wrong_len)?;
        if text.is_empty() || text.len() > Self::LEN_MAX {
            return Err(wrong_len);
        }
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        match text.bytes().enumerate().find(|(_, b)| !allowed(*b)) {
            Some((at, got)) => Err(NameError::Byte { at, got }),
            None => Ok(Self {
                text: text.to_owned(),
                len,
            }),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its length in bytes, 1 to 64.
    #[must_use]
    pub(crate) const fn len_u8(&self) -> u8 {
        self.len
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.text)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        let long = "a".repeat(65);
        let cases: [(&str, Option<NameError>); 6] = [
            ("replay", None),
            ("llguidance-1.2.3_x", None),
            ("", Some(NameError::Length { max: 64, got: 0 })),
            (&long, Some(NameError::Length { max: 64, got: 65 })),
            ("Replay", Some(NameError::Byte { at: 0, got: b'R' })),
            ("re play", Some(NameError::Byte { at: 2, got: b' ' })),
        ];
        for (text, error) in cases {
            assert_eq!(Name::new(text).err(), error, "{text}");
        }
        assert_eq!(Name::new(&long[1..]).unwrap().len_u8(), 64);
    }
}
