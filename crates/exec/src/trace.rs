//! The trace of a run: every cut node's cells, position after position (`docs/spec/trace.md`, sections 2 and 3).
//!
//! The bytes are the engine's own working memory: cut nodes are computed in place, so a trace costs no copy.

use core::fmt;

use credence_base::{Digest, TraceRoot, domain};
use credence_commit::{TreeHasher, tree};

use crate::buffer::Buffer;

/// The kind of the one section that tensor models have: positions, each a block as the program's layout says.
pub(crate) const SECTION_POSITIONS: u8 = 0;
/// Language models: what `scores` remember.
pub(crate) const SECTION_KEYS: u8 = 1;
/// Language models: what `attend` remember.
pub(crate) const SECTION_VALUES: u8 = 2;
/// Language models: blocks of the positions where a token is drawn.
pub(crate) const SECTION_SAMPLED: u8 = 3;

/// Positions × block bytes; bytes that belong to no cell are 0.
pub struct Trace {
    buffer: Buffer,
    block_bytes: usize,
}

impl Trace {
    pub(crate) fn zeroed(positions: usize, block_bytes: usize) -> Self {
        Self {
            buffer: Buffer::zeroed(positions * block_bytes),
            block_bytes,
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut()
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Bytes of one position's block.
    #[must_use]
    pub const fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// What a claim commits to: the root over the list of sections, which is this one section's kind, length and root.
    ///
    /// Hashes every byte, at BLAKE3's speed on one thread.
    #[must_use]
    pub fn root(&self) -> TraceRoot {
        let section = tree::root(domain::TRACE_SECTION, self.bytes());
        root_of_sections(&[(SECTION_POSITIONS, self.bytes().len(), section)])
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            buffer,
            block_bytes,
        } = self;
        write!(
            f,
            "Trace({} bytes in blocks of {block_bytes})",
            buffer.len()
        )
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        self.block_bytes == other.block_bytes && self.bytes() == other.bytes()
    }
}

impl Eq for Trace {}

/// A section that grows as a run does: its hash so far, and its bytes if somebody wants them.
#[derive(Clone, Debug)]
pub(crate) struct Growing {
    hasher: TreeHasher,
    kept: Option<Vec<u8>>,
}

impl Growing {
    /// An empty one, which keeps its bytes or not.
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            hasher: TreeHasher::new(domain::TRACE_SECTION),
            kept: keep.then(Vec::new),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.hasher.len()).unwrap_or(usize::MAX)
    }

    pub(crate) fn root(&self) -> Digest {
        self.hasher.finish()
    }

    pub(crate) fn kept(&self) -> Option<&[u8]> {
        self.kept.as_deref()
    }
}

/// The root over sections given as kind, length in bytes and root.
pub(crate) fn root_of_sections(sections: &[(u8, usize, Digest)]) -> TraceRoot {
    let count = u32::try_from(sections.len()).unwrap_or(u32::MAX);
    let mut list = count.to_le_bytes().to_vec();
    for (kind, len, root) in sections {
        list.push(*kind);
        list.extend(u64::try_from(*len).unwrap_or(u64::MAX).to_le_bytes());
        list.extend(root.as_bytes());
    }
    TraceRoot::from_digest(tree::root(domain::TRACE_ROOT, &list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_root() {
        let mut trace = Trace::zeroed(2, 1024);
        for (at, byte) in trace.bytes_mut().iter_mut().enumerate() {
            *byte = u8::try_from(at % 251).unwrap();
        }
        let section = tree::root(domain::TRACE_SECTION, trace.bytes());
        let list = [
            &[1, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0][..],
            section.as_bytes(),
        ]
        .concat();
        assert_eq!(trace.root().digest(), tree::root(domain::TRACE_ROOT, &list));
        assert_eq!(trace.root().to_string(), GOLDEN);
        trace.bytes_mut()[2047] ^= 1;
        assert_ne!(trace.root().to_string(), GOLDEN);
    }

    // Made with another BLAKE3 (Python's), by the recipe of docs/spec/trace.md.
    const GOLDEN: &str = "e6d80730c6131323cdeb00235ba00f3dd91b848be9488b04110a26b39de98845";
}
