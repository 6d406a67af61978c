//! Where every node's cells stand: cut nodes in the trace, others in an arena whose room is used again once it is no longer read.
//!
//! A phase places its own nodes. What it reads of the phase before is copied to places that are never used again.

use credence_exact::NodeId;
use credence_model::{Model, TraceLayout};

use super::fuse::Fate;
use super::scope::Scope;
use crate::buffer::ALIGN;
use crate::cells::index;
use crate::step::{Place, Region};

/// Places of all nodes, and the arena's size.
pub(super) struct Places {
    /// `None` for sums that stay in registers.
    pub(super) of: Vec<Option<Place>>,
    pub(super) arena_bytes: usize,
}

/// Places the nodes of a phase.
pub(super) fn places(
    model: &Model,
    fates: &[Fate],
    readers: &[Vec<NodeId>],
    (scope, layout): (&Scope, &TraceLayout),
) -> Places {
    let program = model.program();
    let last_reads = last_reads(fates, readers, scope);
    let mut arena = Arena::default();
    let mut of: Vec<Option<Place>> = vec![None; fates.len()];
    for (id, node, shape) in program.nodes() {
        let at = index(id.0);
        if scope.copied[at] {
            let bytes = shape.cells() * node.dtype.width();
            of[at] = Some(Place {
                region: Region::Scratch,
                offset: arena.take(bytes, usize::MAX),
                cells: shape.cells(),
                dtype: node.dtype,
            });
        }
    }
    for (id, node, shape) in program.nodes().filter(|(id, _, _)| scope.here[index(id.0)]) {
        let at = index(id.0);
        let own = |region, offset| Place {
            region,
            offset,
            cells: shape.cells(),
            dtype: node.dtype,
        };
        of[at] = match fates[at] {
            Fate::Fused { .. } | Fate::Scores => None,
            Fate::Alias { of: root, first } => of[index(root.0)].map(|root| Place {
                offset: root.offset + first * node.dtype.width(),
                cells: shape.cells(),
                ..root
            }),
            Fate::Own | Fate::Rounds => Some(match layout.offset(id) {
                Some(offset) => own(Region::Trace, offset),
                None => {
                    // A step computes its last node, and reads operands until then; a fused rounding's step is the rounding's.
                    arena.release(at);
                    let bytes = shape.cells() * node.dtype.width();
                    own(Region::Scratch, arena.take(bytes, last_reads[at]))
                }
            }),
        };
    }
    Places {
        of,
        arena_bytes: arena.end.next_multiple_of(ALIGN),
    }
}

/// The last node whose step reads each node's cells, itself or under another name. Sums in registers read their operands when they
/// are rounded; what a later phase reads is kept.
fn last_reads(fates: &[Fate], readers: &[Vec<NodeId>], scope: &Scope) -> Vec<usize> {
    let kept = |at| if scope.kept[at] { usize::MAX } else { at };
    let mut last: Vec<usize> = (0..fates.len()).map(kept).collect();
    for at in (0..fates.len()).rev() {
        for reader in &readers[at] {
            let reader = index(reader.0);
            let until = match fates[reader] {
                Fate::Alias { .. } => last[reader],
                Fate::Fused { rescale } => index(rescale.0),
                Fate::Own | Fate::Rounds | Fate::Scores => reader,
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
