//! The steps of a plan: each computes one node (a product: a node and the rounding behind it) for the positions of a tile.
//!
//! A step reads and writes places that the plan has laid out. Places are in one of two regions: the trace, which has a block
//! for each position, and the scratch arena, which has one as well. A step's own files hold what it needs at run time, decoded
//! from the model once.

mod border;
mod direct;
mod moves;
mod place;
mod pointwise;
mod pool;
mod product;
mod rows;
mod trees;

pub(crate) use border::{Encoding, Input, decode, no_elements};
pub(crate) use direct::{DirectConv, fill_up, turn};
pub(crate) use moves::{Concat, Reindex};
pub(crate) use place::{Place, Position, Region, Tile};
pub(crate) use pointwise::{Add, Rescale, Table, repeat};
pub(crate) use pool::{Axis, Pool, PoolKind};
pub(crate) use product::{Operand, Padded, Product};
pub(crate) use rows::{ArgMax, GatherSum, Softmax};
pub(crate) use trees::TreeLeaves;

use credence_model::{BorderValueError, Elements};

use crate::Isa;
use crate::kernel::{Work, vectorise};

pub(crate) use crate::kernel::Rounding;

/// One step.
pub(crate) enum Step {
    Input(Input),
    Product(Product),
    DirectConv(DirectConv),
    Rescale(Rescale),
    Add(Add),
    Table(Table),
    Pool(Pool),
    Reindex(Reindex),
    Concat(Concat),
    Softmax(Softmax),
    ArgMax(ArgMax),
    TreeLeaves(TreeLeaves),
    GatherSum(GatherSum),
}

/// What steps need besides a tile.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) isa: Isa,
    /// The request's elements.
    pub(crate) inputs: &'a [&'a Elements],
    /// Threads among which a large product is split; 1 where positions are split already, or there is no pool.
    pub(crate) threads: usize,
    /// Multiply-adds of the smallest part of a product that is worth a thread.
    pub(crate) part_min: usize,
}

/// Why an input cannot be encoded: its index, and the element's.
pub(crate) struct Refused {
    pub(crate) input: usize,
    pub(crate) source: BorderValueError,
}

impl Step {
    /// Computes all positions of a tile.
    ///
    /// # Errors
    /// [`Refused`], from an input alone.
    pub(crate) fn run(&self, tile: &mut Tile<'_>, around: Surroundings<'_>) -> Result<(), Refused> {
        match self {
            Self::Input(step) => step.run(tile, around),
            Self::Product(step) => {
                step.run(tile, around);
                Ok(())
            }
            Self::TreeLeaves(step) => {
                step.run(tile, around);
                Ok(())
            }
            _ => {
                vectorise(around.isa, Plain { step: self, tile });
                Ok(())
            }
        }
    }

    /// Its name, for people.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Product(_) => "product",
            Self::DirectConv(_) => "direct conv",
            Self::Rescale(_) => "rescale",
            Self::Add(_) => "add",
            Self::Table(_) => "table",
            Self::Pool(_) => "pool",
            Self::Reindex(_) => "reindex",
            Self::Concat(_) => "concat",
            Self::Softmax(_) => "softmax",
            Self::ArgMax(_) => "arg_max",
            Self::TreeLeaves(_) => "tree_leaves",
            Self::GatherSum(_) => "gather_sum",
        }
    }
}

/// A step that is plain loops over one position after another.
struct Plain<'s, 't, 'a> {
    step: &'s Step,
    tile: &'t mut Tile<'a>,
}

impl Work for Plain<'_, '_, '_> {
    #[inline(always)]
    fn run(self) {
        for position in 0..self.tile.positions() {
            let mut at = self.tile.position(position);
            match self.step {
                Step::DirectConv(step) => step.run(&mut at),
                Step::Rescale(step) => step.run(&mut at),
                Step::Add(step) => step.run(&mut at),
                Step::Table(step) => step.run(&mut at),
                Step::Pool(step) => step.run(&mut at),
                Step::Reindex(step) => step.run(&mut at),
                Step::Concat(step) => step.run(&mut at),
                Step::Softmax(step) => step.run(&mut at),
                Step::ArgMax(step) => step.run(&mut at),
                Step::GatherSum(step) => step.run(&mut at),
                Step::Input(_) | Step::Product(_) | Step::TreeLeaves(_) => {}
            }
        }
    }
}
