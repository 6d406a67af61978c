//! The steps of a plan: each computes one node (a product: a node and the rounding behind it) for the positions of a tile.
//!
//! A step reads and writes places that the plan has laid out. Places are in one of two regions: the trace, which has a block
//! for each position, and the scratch arena, which has one as well. A step's own files hold what it needs at run time, decoded
//! from the model once.

mod attention;
mod border;
mod direct;
mod language;
mod moves;
mod place;
mod pointwise;
mod pool;
mod product;
mod rows;
mod tensor;
mod trees;

pub(crate) use attention::{Attend, Kind, Remember, ScorePlace, Scores, shown};
pub(crate) use border::{Encoding, Input, decode, no_elements};
pub(crate) use direct::{DirectConv, fill_up, turn};
pub(crate) use language::{Embed, Hadamard, MaxAbs, Mul, Number, Quantise, RmsRatio, Rope, Token};
pub(crate) use moves::{Concat, Reindex};
pub(crate) use place::{Place, Position, Region, Row, Tile};
pub(crate) use pointwise::{Add, Entries, Rescale, Table, repeat};
pub(crate) use pool::{Axis, Pool, PoolKind};
pub(crate) use product::{Operand, Padded, Product};
pub(crate) use rows::{ArgMax, GatherSum, Softmax};
pub(crate) use tensor::{Divide, Gather, MatMul};
pub(crate) use trees::TreeLeaves;

use std::sync::{PoisonError, RwLock};

use credence_model::{BorderValueError, Elements, Model};

use crate::Isa;
use crate::cache::Cache;
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
    Token(Token),
    Number(Number),
    Embed(Embed),
    MaxAbs(MaxAbs),
    Quantise(Quantise),
    RmsRatio(RmsRatio),
    Mul(Mul),
    Rope(Rope),
    Hadamard(Hadamard),
    Gather(Gather),
    MatMul(MatMul),
    Divide(Divide),
    Remember(Remember),
    Scores(Scores),
    Attend(Attend),
}

/// What steps need besides a tile.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) isa: Isa,
    pub(crate) model: &'a Model,
    /// The request's elements.
    pub(crate) inputs: &'a [&'a Elements],
    /// What the sessions of a language model's rows remember.
    pub(crate) caches: &'a [RwLock<Cache>],
    /// Threads among which a large product is split; 1 where positions are split already, or there is no pool.
    pub(crate) threads: usize,
    /// Multiply-adds of the smallest part of a product that is worth a thread.
    pub(crate) part_min: usize,
    /// Operations of the step at one position, roughly, and of the smallest part of a plain step that is worth a thread.
    pub(crate) work: usize,
    pub(crate) plain_min: usize,
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
            Self::Remember(step) => {
                for position in 0..tile.positions() {
                    let at = tile.position(position);
                    let cache = around.caches.get(at.row.session);
                    if let Some(cache) = cache {
                        step.run(
                            &at,
                            &mut cache.write().unwrap_or_else(PoisonError::into_inner),
                        );
                    }
                }
                Ok(())
            }
            _ => {
                let work = around.work.saturating_mul(tile.positions());
                let parts = around.threads.min(work / around.plain_min.max(1)).max(1);
                self.plain(tile, around, parts);
                Ok(())
            }
        }
    }

    /// Computes a step of plain loops in so many parts.
    fn plain(&self, tile: &mut Tile<'_>, around: Surroundings<'_>, parts: usize) {
        let positions = tile.positions();
        if parts < 2 || positions < 2 {
            match self {
                Self::Scores(step) => remembered(tile, around, |at, cache| {
                    step.run(at, cache, around.isa);
                }),
                Self::Attend(step) => remembered(tile, around, |at, cache| {
                    step.run(at, cache, around.isa);
                }),
                step => vectorise(around.isa, Plain { step, tile, around }),
            }
            return;
        }
        let share = parts / 2;
        let (mut left, mut right) = tile.split((positions * share / parts).max(1));
        rayon::join(
            || self.plain(&mut left, around, share),
            || self.plain(&mut right, around, parts - share),
        );
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
            Self::Token(_) => "token",
            Self::Number(_) => "position",
            Self::Embed(_) => "embed",
            Self::MaxAbs(_) => "max_abs",
            Self::Quantise(_) => "quantise",
            Self::RmsRatio(_) => "rms_ratio",
            Self::Mul(_) => "mul",
            Self::Rope(_) => "rope",
            Self::Hadamard(_) => "hadamard",
            Self::Gather(_) => "gather",
            Self::MatMul(_) => "mat_mul",
            Self::Divide(_) => "divide",
            Self::Remember(_) => "remember",
            Self::Scores(_) => "scores",
            Self::Attend(_) => "attend",
        }
    }
}

/// Calls `run` for each position, with what its session remembers.
fn remembered(
    tile: &mut Tile<'_>,
    around: Surroundings<'_>,
    run: impl Fn(&mut Position<'_>, &Cache),
) {
    for number in 0..tile.positions() {
        let mut at = tile.position(number);
        if let Some(cache) = around.caches.get(at.row.session) {
            let cache = cache.read().unwrap_or_else(PoisonError::into_inner);
            run(&mut at, &cache);
        }
    }
}

/// A step that is plain loops over one position after another.
struct Plain<'s, 't, 'a, 'b> {
    step: &'s Step,
    tile: &'t mut Tile<'a>,
    around: Surroundings<'b>,
}

impl Work for Plain<'_, '_, '_, '_> {
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
                Step::Token(step) => step.run(&mut at),
                Step::Number(step) => step.run(&mut at),
                Step::Embed(step) => step.run(&mut at, self.around.model),
                Step::MaxAbs(step) => step.run(&mut at),
                Step::Quantise(step) => step.run(&mut at),
                Step::RmsRatio(step) => step.run(&mut at),
                Step::Mul(step) => step.run(&mut at),
                Step::Rope(step) => step.run(&mut at),
                Step::Hadamard(step) => step.run(&mut at),
                Step::Gather(step) => step.run(&mut at, self.around.model),
                Step::MatMul(step) => step.run(&mut at),
                Step::Divide(step) => step.run(&mut at),
                Step::Input(_)
                | Step::Product(_)
                | Step::TreeLeaves(_)
                | Step::Remember(_)
                | Step::Scores(_)
                | Step::Attend(_) => {}
            }
        }
    }
}
