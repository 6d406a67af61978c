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
mod language;
mod ops;
mod placing;
mod scope;
mod tables;
mod tensor;

use core::fmt;

use credence_exact::NodeId;
use credence_model::Model;

use crate::step::{Place, Region, ScorePlace, Step};
use crate::{Isa, PlanError};

/// Bytes of memory that a tile of positions should stay below, so that it stays in a core's second cache.
const TILE_BYTES: usize = 256 << 10;
/// Most positions of a tile.
const TILE_POSITIONS_MAX: usize = 32;

/// Most tokens of a tile of a language model: enough that weights are read seldom, few enough that what is computed of them stays in a cache.
const TILE_TOKENS: usize = 64;
/// Bytes of memory that a tile of tokens takes at most, unless one token takes more.
const TOKENS_BYTES: usize = 128 << 20;

/// What a node's cells are seen in, by whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// In this place, until a later step writes over it.
    Place(Place),
    /// In a position's scores.
    Scores(ScorePlace),
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

/// Steps that are run for the same positions.
pub(crate) struct Phase {
    pub(crate) steps: Vec<Planned>,
    /// What the phase before has computed: where it stands there, and where it is to stand here.
    pub(crate) copies: Vec<(Place, Place)>,
    /// Bytes of scratch arena for each position.
    pub(crate) arena_bytes: usize,
    /// Bytes of a position's block of the trace, scores not counted.
    pub(crate) block_bytes: usize,
    /// Bytes of panel for each tile.
    pub(crate) panel_bytes: usize,
    /// Most positions of a tile.
    pub(crate) tile_positions: usize,
    /// Room for sums of one position, for whoever watches.
    pub(crate) sums: usize,
    /// Operations of one position, roughly.
    pub(crate) work: usize,
    /// Heads of scores in a position's block, behind the fixed bytes.
    pub(crate) heads: usize,
}

/// A model's steps on one instruction set.
pub struct Plan {
    pub(crate) isa: Isa,
    /// Every position's.
    pub(crate) main: Phase,
    /// Those of positions where a token is drawn; language models alone have them.
    pub(crate) sampled: Option<Phase>,
    /// The place of each output's node, in the trace.
    pub(crate) outputs: Vec<Place>,
    /// The place of the logits, in the trace of the sampled phase.
    pub(crate) logits: Option<Place>,
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
        self.main.show(&self.names, self.isa, f)?;
        match &self.sampled {
            Some(phase) => phase.show(&self.names, self.isa, f),
            None => Ok(()),
        }
    }
}

impl Phase {
    fn show(&self, names: &[String], isa: Isa, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} steps on {isa}: {} bytes of trace and {} of scratch per position, tiles of {}",
            self.steps.len(),
            self.block_bytes,
            self.arena_bytes,
            self.tile_positions
        )?;
        for planned in &self.steps {
            write!(f, "{:>12}", planned.step.name())?;
            for (node, seen) in &planned.nodes {
                let name = names.get(crate::cells::index(node.0));
                write!(f, "  {}{seen}", name.map_or("?", String::as_str))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => {
                let region = match place.region {
                    Region::Trace => "trace",
                    Region::Scratch => "scratch",
                };
                write!(
                    f,
                    "@{region}+{} {:?}×{}",
                    place.offset, place.dtype, place.cells
                )
            }
            Self::Scores(place) => write!(f, "@scores×{}", place.heads),
            Self::Sums { .. } => write!(f, "@registers"),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
