//! Zeroed bytes that begin at a multiple of 64, so that cells of any type stand aligned and a node begins a cache line.

use bytemuck::{cast_slice, cast_slice_mut};

/// Where a buffer begins, and every node in a region: a multiple of this many bytes.
pub(crate) const ALIGN: usize = 64;
const WORD: usize = 8;

/// A byte buffer of fixed length.
#[derive(Default)]
pub(crate) struct Buffer {
    words: Vec<u64>,
    first: usize,
    len: usize,
}

impl Buffer {
    /// `len` bytes, all 0.
    pub(crate) fn zeroed(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let words = vec![0_u64; len.div_ceil(WORD) + ALIGN / WORD - 1];
        let first = words.as_ptr().align_offset(ALIGN).min(ALIGN / WORD - 1) * WORD;
        Self { words, first, len }
    }

    /// At least `len` bytes, of any content.
    pub(crate) fn reserve(&mut self, len: usize) -> &mut [u8] {
        if self.len < len {
            *self = Self::zeroed(len);
        }
        &mut self.bytes_mut()[..len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes: &[u8] = cast_slice(&self.words);
        &bytes[self.first..self.first + self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes: &mut [u8] = cast_slice_mut(&mut self.words);
        &mut bytes[self.first..self.first + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zero() {
        for len in [0, 1, 7, 8, 63, 64, 65, 4096, 100_000] {
            let buffer = Buffer::zeroed(len);
            assert_eq!(buffer.bytes().len(), len);
            assert!(buffer.bytes().iter().all(|&byte| byte == 0));
            assert!(len == 0 || buffer.bytes().as_ptr().addr().is_multiple_of(ALIGN));
        }
        let mut buffer = Buffer::default();
        assert_eq!(buffer.reserve(10).len(), 10);
        assert_eq!((buffer.reserve(5).len(), buffer.len()), (5, 10));
    }
}
