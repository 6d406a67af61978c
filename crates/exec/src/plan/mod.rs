//! From a model to the steps that compute it: decided once, run many times.
//!
//! ```text
//! model ─ fusion ─▶ which nodes share a step ─ placing ─▶ where cells stand ─ steps ─▶ weights packed, tables decoded
//! ```
//!
//! A cut node is computed in place in the trace. Any other node has room in a scratch arena for as long as it is read, or none at
//! all: a re-indexing that moves nothing is a name for a part of its operand, and sums that only a rounding reads never
//! leave the kernel's registers. A plan can be printed.

mod build;
mod fuse;
mod ops;
mod placing;

use core::fmt;

use credence_exact::NodeId;
use credence_model::Model;

use crate::step::{Place, Region, Step};
use crate::{Isa, PlanError};

/// Bytes of memory that a tile of positions should stay below, so that it stays in a core's second cache.
const TILE_BYTES: usize = 256 << 10;
/// Most positions of a tile.
const TILE_POSITIONS_MAX: usize = 32;

/// What a node's cells are seen in, by whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// In this place, until a later step writes over it.
    Place(Place),
    /// In the sums that the kernel stores for whoever watches.
    Sums {
        /// Cells of one position.
        cells: usize,
    },
}

/// A step, and the nodes whose values are known once it has run.
pub(crate) struct Planned {
    pub(crate) step: Step,
    pub(crate) nodes: Vec<(NodeId, Seen)>,
    /// Operations of one position, roughly: what decides whether threads are worth it.
    pub(crate) work: usize,
}

/// A model's steps on one instruction set.
pub struct Plan {
    pub(crate) isa: Isa,
    pub(crate) steps: Vec<Planned>,
    /// The place of each output's node, in the trace.
    pub(crate) outputs: Vec<Place>,
    /// Bytes of scratch arena for each position.
    pub(crate) arena_bytes: usize,
    /// Bytes of a position's block of the trace.
    pub(crate) block_bytes: usize,
    /// Bytes of panel for each tile.
    pub(crate) panel_bytes: usize,
    /// Most positions of a tile.
    pub(crate) tile_positions: usize,
    /// Room for sums of one position, for whoever watches.
    pub(crate) sums: usize,
    /// Operations of one position, roughly.
    pub(crate) work: usize,
    names: Vec<String>,
}

impl Plan {
    /// Plans a model.
    ///
    /// # Errors
    /// [`PlanError::Node`], which a checked model never gives.
    pub(crate) fn new(model: &Model, isa: Isa) -> Result<Self, PlanError> {
        build::build(model, isa)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} steps on {}: {} bytes of trace and {} of scratch per position, tiles of {}",
            self.steps.len(),
            self.isa,
            self.block_bytes,
            self.arena_bytes,
            self.tile_positions
        )?;
        for planned in &self.steps {
            write!(f, "{:>12}", planned.step.name())?;
            for (node, seen) in &planned.nodes {
                let name = self.names.get(crate::cells::index(node.0));
                write!(f, "  {}", name.map_or("?", String::as_str))?;
                match seen {
                    Seen::Place(place) => {
                        let region = match place.region {
                            Region::Trace => "trace",
                            Region::Scratch => "scratch",
                        };
                        write!(
                            f,
                            "@{region}+{} {:?}×{}",
                            place.offset, place.dtype, place.cells
                        )?;
                    }
                    Seen::Sums { .. } => write!(f, "@registers")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
