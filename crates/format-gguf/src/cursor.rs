//! Reading numbers and strings off bytes, never beyond their end. Every error says where it happened.

use crate::error::GgufError;

/// A place in the file's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Goes on from another place.
    pub(crate) const fn starting(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], GgufError> {
        let found = usize::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count))
            .and_then(|end| Some((end, self.bytes.get(self.at..end)?)));
        let Some((end, taken)) = found else {
            return Err(GgufError::Short {
                what,
                at: self.at,
                needed: count,
                left: self.left(),
            });
        };
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], GgufError> {
        let (at, left) = (self.at, self.left());
        let found = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<N>());
        let Some(taken) = found else {
            return Err(GgufError::Short {
                what,
                at,
                needed: u64::try_from(N).unwrap_or(u64::MAX),
                left,
            });
        };
        self.at = at + N;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count, refused above `max`.
    pub(crate) fn count(&mut self, what: &'static str, max: u64) -> Result<u64, GgufError> {
        let at = self.at;
        let got = self.u64(what)?;
        if got <= max {
            Ok(got)
        } else {
            Err(GgufError::TooMany { what, at, got, max })
        }
    }

    /// A string with its length before it.
    pub(crate) fn string(&mut self, what: &'static str, max: u64) -> Result<&'a str, GgufError> {
        let length = self.count(what, max)?;
        let at = self.at;
        let bytes = self.take(length, what)?;
        core::str::from_utf8(bytes).map_err(|_| GgufError::Utf8 { what, at })
    }
}
