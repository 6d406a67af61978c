//! Where each cut node's cells stand in the trace (`docs/spec/trace.md`, section 2).

use credence_exact::NodeId;

/// A cut node's cells begin at a multiple of this many bytes from the start of their position's block, and the block is a
/// multiple of it: one cache line, one vector register. A block is not whole chunks of the tree: small models would then hash
/// mostly padding.
pub(crate) const NODE_ALIGN: usize = 64;

/// The layout of one position's block. All positions have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLayout {
    offsets: Vec<Option<usize>>,
    block_bytes: usize,
}

impl TraceLayout {
    /// Lays out nodes in order; `None` stands for a node that is not cut, else its number of bytes. `None` if the sum overflows.
    pub(crate) fn new(sizes: impl Iterator<Item = Option<usize>>) -> Option<Self> {
        let mut at = 0_usize;
        let mut offsets = Vec::new();
        for size in sizes {
            offsets.push(match size {
                Some(size) => {
                    let start = at.checked_next_multiple_of(NODE_ALIGN)?;
                    at = start.checked_add(size)?;
                    Some(start)
                }
                None => None,
            });
        }
        Some(Self {
            offsets,
            block_bytes: at.max(1).checked_next_multiple_of(NODE_ALIGN)?,
        })
    }

    /// Bytes of one position's block, a multiple of 64. Bytes that belong to no cell are zero.
    #[must_use]
    pub const fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Offset in the block of the node's first cell, a multiple of 64; `None` for a node that is not cut.
    #[must_use]
    pub fn offset(&self, node: NodeId) -> Option<usize> {
        self.offsets
            .get(usize::try_from(node.0).ok()?)
            .copied()
            .flatten()
    }
}
