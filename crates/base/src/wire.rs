//! A small canonical binary encoding: fixed-width little-endian integers, and bytes behind their length.
//!
//! There is one way to write each value, so decoding and encoding again gives the same bytes. [`Reader`] takes a
//! limit for every length, borrows instead of copying, and [`Reader::finish`] refuses bytes left over. It knows no
//! schema: a type's encoder and decoder call the same methods in the same order.

use core::str;

use crate::digest::Digest;
use crate::name::{Name, NameError};

/// Why bytes could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The input ended early.
    #[error("expected {expected} more bytes, got {got}")]
    Truncated {
        /// Bytes needed.
        expected: usize,
        /// Bytes left.
        got: usize,
    },
    /// A length or count is over its limit.
    #[error("expected a length of at most {max}, got {got}")]
    TooLong {
        /// The limit.
        max: usize,
        /// The length found or given.
        got: usize,
    },
    /// Bytes were left after the value.
    #[error("expected the end of the input, got {got} more bytes")]
    Trailing {
        /// Bytes left.
        got: usize,
    },
    /// A tag byte has no meaning here.
    #[error("expected a known tag, got {got}")]
    Tag {
        /// The tag.
        got: u8,
    },
    /// Text is not UTF-8.
    #[error("expected UTF-8 text")]
    Utf8,
    /// Text is not a name.
    #[error("expected a name")]
    Name(#[source] NameError),
}

/// Appends values to a buffer.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes, little-endian two's complement.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// The 32 bytes of a digest.
    pub fn digest(&mut self, value: &Digest) -> &mut Self {
        self.raw(value.as_bytes())
    }

    /// Bytes whose length the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A name: its length in one byte, then its bytes.
    pub fn name(&mut self, name: &Name) -> &mut Self {
        self.u8(name.len_u8()).raw(name.as_str().as_bytes())
    }

    /// Bytes behind their length in a `u32`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when the length does not fit.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<&mut Self, WireError> {
        Ok(self.count(bytes.len())?.raw(bytes))
    }

    /// UTF-8 text behind its length in bytes in a `u32`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when the length does not fit.
    pub fn str(&mut self, text: &str) -> Result<&mut Self, WireError> {
        self.bytes(text.as_bytes())
    }

    /// A count of items as a `u32`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when it does not fit.
    pub fn count(&mut self, count: usize) -> Result<&mut Self, WireError> {
        let max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let count = u32::try_from(count).map_err(|_| WireError::TooLong { max, got: count })?;
        Ok(self.u32(count))
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes values from the front of a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.0.len()
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of the input.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of the input.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of the input.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of the input.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, little-endian two's complement.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of the input.
    pub fn i64(&mut self) -> Result<i64, WireError> {
        self.array().map(i64::from_le_bytes)
    }

    /// The 32 bytes of a digest.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of the input.
    pub fn digest(&mut self) -> Result<Digest, WireError> {
        self.array().map(Digest::from_bytes)
    }

    /// `N` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let short = WireError::Truncated {
            expected: N,
            got: self.0.len(),
        };
        let (head, rest) = self.0.split_first_chunk().ok_or(short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// `len` bytes, a length the caller knows.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let short = WireError::Truncated {
            expected: len,
            got: self.0.len(),
        };
        let (head, rest) = self.0.split_at_checked(len).ok_or(short)?;
        self.0 = rest;
        Ok(head)
    }

    /// A name.
    ///
    /// # Errors
    /// [`WireError`] at the end of the input or when the bytes are not a [`Name`].
    pub fn name(&mut self) -> Result<Name, WireError> {
        let len = usize::from(self.u8()?);
        if len > Name::LEN_MAX {
            return Err(WireError::TooLong {
                max: Name::LEN_MAX,
                got: len,
            });
        }
        let text = str::from_utf8(self.raw(len)?).map_err(|_| WireError::Utf8)?;
        Name::new(text).map_err(WireError::Name)
    }

    /// Bytes behind their length, at most `len_max`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over the limit, [`WireError::Truncated`] at the end of the input.
    pub fn bytes(&mut self, len_max: usize) -> Result<&'a [u8], WireError> {
        let len = self.length(len_max)?;
        self.raw(len)
    }

    /// UTF-8 text behind its length in bytes, at most `len_max`.
    ///
    /// # Errors
    /// As [`Reader::bytes`], and [`WireError::Utf8`].
    pub fn str(&mut self, len_max: usize) -> Result<&'a str, WireError> {
        str::from_utf8(self.bytes(len_max)?).map_err(|_| WireError::Utf8)
    }

    /// A count of items, at most `count_max`, each of at least `item_size_min` bytes: a count that the bytes left
    /// could not hold is refused here, so the caller may allocate for it.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over the limit, [`WireError::Truncated`] when the items cannot all be there.
    pub fn count(&mut self, count_max: usize, item_size_min: usize) -> Result<usize, WireError> {
        let count = self.length(count_max)?;
        let expected = count.saturating_mul(item_size_min);
        if expected > self.0.len() {
            return Err(WireError::Truncated {
                expected,
                got: self.0.len(),
            });
        }
        Ok(count)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`WireError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            got => Err(WireError::Trailing { got }),
        }
    }

    fn length(&mut self, max: usize) -> Result<usize, WireError> {
        let got = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if got > max {
            return Err(WireError::TooLong { max, got });
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(1).u16(0x0203).u32(0x0405_0607).u64(8).i64(-2);
        w.digest(&Digest::from_bytes([9; 32]))
            .name(&Name::new("replay").unwrap());
        w.bytes(&[10, 11])
            .unwrap()
            .str("é")
            .unwrap()
            .count(2)
            .unwrap()
            .raw(&[1, 2]);
        w.finish()
    }

    fn read(bytes: &[u8]) -> Result<(), WireError> {
        let mut r = Reader::new(bytes);
        r.u8()?;
        r.u16()?;
        r.u32()?;
        r.u64()?;
        r.i64()?;
        r.digest()?;
        r.name()?;
        r.bytes(2)?;
        r.str(2)?;
        let count = r.count(2, 1)?;
        r.raw(count)?;
        r.finish()
    }

    #[test]
    fn golden_bytes() {
        let expected = format!(
            "01030207060504{}{}{}067265706c6179020000000a0b02000000c3a9020000000102",
            "0800000000000000",
            "feffffffffffffff",
            "09".repeat(32)
        );
        assert_eq!(hex::encode(sample()), expected);
        assert_eq!(read(&sample()), Ok(()));
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(
                matches!(read(&bytes[..len]), Err(WireError::Truncated { .. })),
                "{len}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(read(&longer), Err(WireError::Trailing { got: 1 }));
    }

    #[test]
    fn lengths_have_limits() {
        let mut w = Writer::new();
        w.bytes(&[0; 5]).unwrap();
        let bytes = w.finish();
        assert_eq!(
            Reader::new(&bytes).bytes(4),
            Err(WireError::TooLong { max: 4, got: 5 })
        );
        assert_eq!(Reader::new(&bytes).bytes(5).unwrap().len(), 5);
        assert_eq!(
            Reader::new(&bytes).count(9, 2),
            Err(WireError::Truncated {
                expected: 10,
                got: 5
            })
        );
        let huge = [0xff; 4];
        let got = usize::try_from(u32::MAX).unwrap();
        assert_eq!(
            Reader::new(&huge).bytes(usize::MAX),
            Err(WireError::Truncated {
                expected: got,
                got: 0
            })
        );
        assert_eq!(
            Reader::new(&huge).count(10, 1),
            Err(WireError::TooLong { max: 10, got })
        );
    }

    #[test]
    fn names_and_text_are_checked() {
        let bad_name = [1, b'A'];
        assert!(matches!(
            Reader::new(&bad_name).name(),
            Err(WireError::Name(_))
        ));
        assert_eq!(Reader::new(&[1, 0xff]).name(), Err(WireError::Utf8));
        assert_eq!(
            Reader::new(&[65]).name(),
            Err(WireError::TooLong { max: 64, got: 65 })
        );
        assert!(matches!(Reader::new(&[0]).name(), Err(WireError::Name(_))));
        assert_eq!(
            Reader::new(&[1, 0, 0, 0, 0xff]).str(9),
            Err(WireError::Utf8)
        );
    }
}
