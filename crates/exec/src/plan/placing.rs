//! Where every node's cells stand: cut nodes in the trace, others in an arena whose room is used again once it is no longer read.

use credence_exact::NodeId;
use credence_model::Model;

use super::fuse::Fate;
use crate::buffer::ALIGN;
use crate::cells::index;
use crate::step::{Place, Region};

/// Places of all nodes, and the arena's size.
pub(super) struct Places {
    /// `None` for sums that stay in registers.
    pub(super) of: Vec<Option<Place>>,
    pub(super) arena_bytes: usize,
}

/// Places every node.
pub(super) fn places(model: &Model, fates: &[Fate], readers: &[Vec<NodeId>]) -> Places {
    let program = model.program();
    let last_reads = last_reads(fates, readers);
    let mut arena = Arena::default();
    let mut of: Vec<Option<Place>> = Vec::with_capacity(fates.len());
    for (id, node, shape) in program.nodes() {
        let at = index(id.0);
        let own = |region, offset| Place {
            region,
            offset,
            cells: shape.cells(),
            dtype: node.dtype,
        };
        let place = match fates[at] {
            Fate::Fused { .. } => None,
            Fate::Alias { of: root, first } => of[index(root.0)].map(|root| Place {
                offset: root.offset + first * node.dtype.width(),
                cells: shape.cells(),
                ..root
            }),
            Fate::Own | Fate::Rounds => Some(match program.trace_layout().offset(id) {
                Some(offset) => own(Region::Trace, offset),
                None => {
                    // A step computes its last node, and reads operands until then; a fused rounding's step is the rounding's.
                    arena.release(at);
                    let bytes = shape.cells() * node.dtype.width();
                    own(Region::Scratch, arena.take(bytes, last_reads[at]))
                }
            }),
        };
        of.push(place);
    }
    Places {
        of,
        arena_bytes: arena.end.next_multiple_of(ALIGN),
    }
}

/// The last node whose step reads each node's cells, itself or under another name. Sums in registers read their operands when they
/// are rounded.
fn last_reads(fates: &[Fate], readers: &[Vec<NodeId>]) -> Vec<usize> {
    let mut last: Vec<usize> = (0..fates.len()).collect();
    for at in (0..fates.len()).rev() {
        for reader in &readers[at] {
            let reader = index(reader.0);
            let until = match fates[reader] {
                Fate::Alias { .. } => last[reader],
                Fate::Fused { rescale } => index(rescale.0),
                Fate::Own | Fate::Rounds => reader,
            };
            last[at] = last[at].max(until);
        }
    }
    last
}

/// Room that is taken until some node has been computed.
#[derive(Default)]
struct Arena {
    /// First byte, byte behind the last, and the last node that reads: by first byte.
    taken: Vec<(usize, usize, usize)>,
    end: usize,
}

impl Arena {
    /// Gives back what no node from `at` on reads.
    fn release(&mut self, at: usize) {
        self.taken.retain(|&(_, _, last)| last >= at);
    }

    /// Takes the first gap that is large enough.
    fn take(&mut self, bytes: usize, last: usize) -> usize {
        let bytes = bytes.next_multiple_of(ALIGN);
        let mut start = 0;
        let mut slot = self.taken.len();
        for (number, &(first, end, _)) in self.taken.iter().enumerate() {
            if start + bytes <= first {
                slot = number;
                break;
            }
            start = end;
        }
        self.taken.insert(slot, (start, start + bytes, last));
        self.end = self.end.max(start + bytes);
        start
    }
}
