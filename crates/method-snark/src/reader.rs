//! Reads a proof's bytes: elements in their one encoding, and counts that the reader knows.
//!
//! No length stands in a proof, so nothing here allocates more than the bytes that are there. It deliberately knows no schema.

use credence_base::Digest;

use crate::extension::K;
use crate::field::F;

/// Why bytes were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The proof ends early.
    #[error("expected {expected} more bytes of proof, got {got}")]
    Truncated {
        /// Bytes needed.
        expected: usize,
        /// Bytes left.
        got: usize,
    },
    /// Eight bytes are p or more, so they are no element.
    #[error("expected an element of the field, got bytes that are not below its modulus")]
    NotCanonical,
    /// Bytes were left behind the proof.
    #[error("expected the end of the proof, got {got} more bytes")]
    Trailing {
        /// Bytes left.
        got: usize,
    },
}

/// Takes values from the front of a proof.
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

    /// `len` bytes.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let short = ReadError::Truncated {
            expected: len,
            got: self.0.len(),
        };
        let (head, rest) = self.0.split_at_checked(len).ok_or(short)?;
        self.0 = rest;
        Ok(head)
    }

    /// `N` bytes.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let short = ReadError::Truncated {
            expected: N,
            got: self.0.len(),
        };
        let (head, rest) = self.0.split_first_chunk().ok_or(short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// An integer of eight bytes, little-endian.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, ReadError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The 32 bytes of a digest.
    ///
    /// # Errors
    /// [`ReadError::Truncated`].
    pub fn digest(&mut self) -> Result<Digest, ReadError> {
        self.array().map(Digest::from_bytes)
    }

    /// An element of F.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::NotCanonical`].
    pub fn f(&mut self) -> Result<F, ReadError> {
        F::from_bytes(self.array()?).ok_or(ReadError::NotCanonical)
    }

    /// An element of K.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::NotCanonical`].
    pub fn k(&mut self) -> Result<K, ReadError> {
        K::from_bytes(self.array()?).ok_or(ReadError::NotCanonical)
    }

    /// `count` elements of F. Allocates only after it has seen that the bytes are there.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::NotCanonical`].
    pub fn fs(&mut self, count: usize) -> Result<Vec<F>, ReadError> {
        let bytes = self.raw(count.saturating_mul(F::BYTES))?;
        elements(bytes)
    }

    /// `count` elements of K. Allocates only after it has seen that the bytes are there.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], [`ReadError::NotCanonical`].
    pub fn ks(&mut self, count: usize) -> Result<Vec<K>, ReadError> {
        let bytes = self.raw(count.saturating_mul(K::BYTES))?;
        extension_elements(bytes)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`ReadError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), ReadError> {
        match self.0.len() {
            0 => Ok(()),
            got => Err(ReadError::Trailing { got }),
        }
    }
}

/// The elements of F that whole groups of eight bytes are.
pub(crate) fn elements(bytes: &[u8]) -> Result<Vec<F>, ReadError> {
    let (groups, _) = bytes.as_chunks();
    let read = groups.iter().map(|group| F::from_bytes(*group));
    read.collect::<Option<_>>().ok_or(ReadError::NotCanonical)
}

/// The elements of K that whole groups of 24 bytes are.
pub(crate) fn extension_elements(bytes: &[u8]) -> Result<Vec<K>, ReadError> {
    let (groups, _) = bytes.as_chunks();
    let read = groups.iter().map(|group| K::from_bytes(*group));
    read.collect::<Option<_>>().ok_or(ReadError::NotCanonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MODULUS;

    fn sample() -> Vec<u8> {
        let mut out = 5u64.to_le_bytes().to_vec();
        out.extend([9; 32]);
        out.extend(F::from(3u32).to_bytes());
        K::TWO.write(&mut out);
        K::ONE.write(&mut out);
        out.extend(F::from(4u32).to_bytes());
        out.extend([1, 2]);
        out
    }

    fn read(bytes: &[u8]) -> Result<(), ReadError> {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.u64()?, 5);
        reader.digest()?;
        reader.f()?;
        assert_eq!(reader.ks(2)?, [K::TWO, K::ONE]);
        assert_eq!(reader.fs(1)?, [F::from(4u32)]);
        assert_eq!(reader.raw(2)?, [1, 2]);
        reader.finish()
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        let bytes = sample();
        assert_eq!(read(&bytes), Ok(()));
        for len in 0..bytes.len() {
            let result = read(&bytes[..len]);
            assert!(matches!(result, Err(ReadError::Truncated { .. })), "{len}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(read(&longer), Err(ReadError::Trailing { got: 1 }));
    }

    #[test]
    fn no_element_has_two_encodings_and_no_count_allocates() {
        let bytes = MODULUS.to_le_bytes();
        assert_eq!(Reader::new(&bytes).f(), Err(ReadError::NotCanonical));
        assert_eq!(Reader::new(&bytes).fs(1), Err(ReadError::NotCanonical));
        let bytes = [0xff; 24];
        assert_eq!(Reader::new(&bytes).k(), Err(ReadError::NotCanonical));
        assert_eq!(Reader::new(&bytes).ks(1), Err(ReadError::NotCanonical));
        let expected = ReadError::Truncated {
            expected: usize::MAX,
            got: 24,
        };
        assert_eq!(Reader::new(&bytes).ks(usize::MAX), Err(expected));
        assert_eq!(Reader::new(&bytes).fs(usize::MAX), Err(expected));
    }
}
