//! The fast engine: a plan, run over tiles of positions on as many threads as it is given.
//!
//! ```text
//! request ─ check ─▶ tiles of positions ─ each: every step of the plan ─▶ trace ─ outputs' cells ─▶ answer
//! ```
//!
//! Threads and tiles share nothing but the plan, and no sum depends on an order, so every thread count, tile size and
//! instruction set gives the same bits. A thread keeps its scratch memory from run to run; a run allocates only what it returns.

use core::cell::RefCell;
use core::fmt;
use core::num::NonZeroUsize;
use std::sync::{Arc, RwLock};

use credence_exact::NodeId;
use credence_model::{Model, Tensors};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::buffer::Buffer;
use crate::cache::Cache;
use crate::cells::Cells;
use crate::plan::{Phase, Plan, Seen};
use crate::request::{Request, answer};
use crate::session::Workspaces;
use crate::step::{Refused, Surroundings, Tile, decode, no_elements, shown};
use crate::stopwatch::{StepTime, Stopwatch};
use crate::{Isa, PlanError, RunError, Trace};

/// From which size on work is split among threads. No result depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Splitting {
    /// Operations below which a run stays on the caller's thread: waking others takes some microseconds.
    run_min: usize,
    /// Multiply-adds of the smallest part of a product that is worth a thread.
    part_min: usize,
    /// Operations of the smallest part of any other step of a language model that is worth a thread.
    plain_min: usize,
}

const SPLITTING: Splitting = Splitting {
    run_min: 1 << 22,
    part_min: 1 << 20,
    plain_min: 1 << 16,
};

/// Splits work of any size: programs in tests are small.
#[cfg(test)]
pub(crate) const EVERYTHING: Splitting = Splitting {
    run_min: 0,
    part_min: 1,
    plain_min: 1,
};

/// Scratch memory above which a thread does not keep it.
const KEEP_BYTES_MAX: usize = 64 << 20;

/// How an engine runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most threads of a run, the caller's included.
    pub threads: NonZeroUsize,
    /// The instructions to use: one of [`Isa::available`].
    pub isa: Isa,
}

/// What a run gives.
#[derive(Debug, PartialEq)]
pub struct Execution {
    /// The answer.
    pub outputs: Tensors,
    /// What a claim commits to of the inside.
    pub trace: Trace,
    /// Number of positions: items of the batch.
    pub positions: u64,
}

/// A model, ready to be run.
pub struct Engine {
    model: Arc<Model>,
    plan: Plan,
    threads: usize,
    pool: Option<ThreadPool>,
    splitting: Splitting,
    workspaces: Workspaces,
    stopwatch: Option<Stopwatch>,
}

/// Values that somebody watches: node, position, cells.
pub(crate) type Watched = (NodeId, usize, Vec<i64>);

impl Engine {
    /// Plans a model and starts the threads.
    ///
    /// # Errors
    /// [`PlanError`] if the machine lacks the instruction set, or threads cannot be started.
    pub fn new(model: Arc<Model>, options: Options) -> Result<Self, PlanError> {
        if !options.isa.is_available() {
            return Err(PlanError::Isa {
                got: options.isa,
                available: Isa::available(),
            });
        }
        let plan = Plan::new(&model, options.isa)?;
        let threads = options.threads.get();
        let pool = (threads > 1).then(|| {
            let builder = ThreadPoolBuilder::new().num_threads(threads);
            let named = builder.thread_name(|number| format!("credence-exec-{number}"));
            named.build()
        });
        let pool = pool
            .transpose()
            .map_err(|source| PlanError::Threads { threads, source })?;
        Ok(Self {
            model,
            plan,
            threads,
            pool,
            splitting: SPLITTING,
            workspaces: Workspaces::default(),
            stopwatch: None,
        })
    }

    /// The engine with a stopwatch on every step.
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.stopwatch = Some(Stopwatch::new(&self.plan));
        self
    }

    /// What each step has taken, in the plan's order; none unless the engine is [`Self::timed`].
    #[must_use]
    pub fn step_times(&self) -> Vec<StepTime> {
        let times = self.stopwatch.as_ref();
        times.map_or_else(Vec::new, |watch| watch.times(&self.plan))
    }

    /// Does a step's work, with the stopwatch on it if there is one.
    pub(crate) fn step<T>(&self, phase: &Phase, step: usize, work: impl FnOnce() -> T) -> T {
        match &self.stopwatch {
            None => work(),
            Some(watch) => watch.time(&self.plan, phase, step, work),
        }
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// How it is run; its `Display` is for people.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The engine with tiles of at most so many positions.
    #[cfg(test)]
    pub(crate) fn splitting_everything(mut self, tile: usize, splitting: Splitting) -> Self {
        self.splitting = splitting;
        self.plan.main.tile_positions = self.plan.main.tile_positions.min(tile);
        self
    }

    pub(crate) const fn workspaces(&self) -> &Workspaces {
        &self.workspaces
    }

    /// What the steps of a language model need besides a tile.
    pub(crate) fn around<'a>(&'a self, caches: &'a [RwLock<Cache>]) -> Surroundings<'a> {
        Surroundings {
            isa: self.plan.isa,
            model: &self.model,
            inputs: &[],
            caches,
            threads: if self.pool.is_some() { self.threads } else { 1 },
            part_min: self.splitting.part_min,
            work: 0,
            plain_min: self.splitting.plain_min,
        }
    }

    /// Calls `work` on the engine's threads, if it has any.
    pub(crate) fn on_pool(&self, work: impl FnOnce() + Send) {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Calls both, side by side if there are threads.
    pub(crate) fn both<A: Send, B: Send>(
        &self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        match &self.pool {
            Some(_) => {
                let (second, first) = rayon::join(second, first);
                (first, second)
            }
            None => (first(), second()),
        }
    }

    /// Runs a request.
    ///
    /// # Errors
    /// [`RunError`] if the request does not fit the model.
    pub fn run(&self, inputs: &Tensors) -> Result<Execution, RunError> {
        let request = Request::check(&self.model, inputs)?;
        let mut trace = Trace::zeroed(request.positions, self.plan.main.block_bytes);
        self.run_tiles::<false>(&request, &mut trace)?;
        self.finish(&request, trace)
    }

    /// Runs a request and shows every value of every node, sums that [`Self::run`] keeps in registers included: by position, then in the
    /// order in which they were computed. The kernels, plan and threads are those of [`Self::run`]; all values are held in memory.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_observed(
        &self,
        inputs: &Tensors,
        observer: &mut dyn FnMut(NodeId, u64, &[i64]),
    ) -> Result<Execution, RunError> {
        let request = Request::check(&self.model, inputs)?;
        let mut trace = Trace::zeroed(request.positions, self.plan.main.block_bytes);
        let mut values = self.run_tiles::<true>(&request, &mut trace)?;
        values.sort_by_key(|(_, position, _)| *position);
        for (node, position, cells) in &values {
            observer(*node, u64::try_from(*position).unwrap_or(u64::MAX), cells);
        }
        self.finish(&request, trace)
    }

    /// Runs every tile, side by side if that is worth it.
    fn run_tiles<const WATCHED: bool>(
        &self,
        request: &Request<'_>,
        trace: &mut Trace,
    ) -> Result<Vec<Watched>, RunError> {
        let plan = &self.plan.main;
        let work = plan.work.saturating_mul(request.positions);
        let pool = self
            .pool
            .as_ref()
            .filter(|_| work >= self.splitting.run_min);
        let around = |threads| Surroundings {
            isa: self.plan.isa,
            model: &self.model,
            inputs: &request.inputs,
            caches: &[],
            threads,
            part_min: self.splitting.part_min,
            work: 0,
            // Positions are what is split; plain steps are not.
            plain_min: usize::MAX,
        };
        let share = request.positions.div_ceil(self.threads);
        let tile = plan.tile_positions.min(if pool.is_some() {
            share
        } else {
            request.positions
        });
        let bytes = tile * plan.block_bytes;
        let run = |(number, trace): (usize, &mut [u8]), threads| {
            self.run_tile::<WATCHED>(number * tile, trace, around(threads))
        };
        let tiles = match pool {
            // Fewer positions than threads: one after another, each step split.
            Some(pool) if request.positions < self.threads => pool.install(|| {
                let tiles = trace.bytes_mut().chunks_mut(bytes).enumerate();
                tiles
                    .map(|tile| run(tile, self.threads))
                    .collect::<Result<Vec<_>, _>>()
            }),
            Some(pool) => pool.install(|| {
                let tiles = trace.bytes_mut().par_chunks_mut(bytes).enumerate();
                tiles
                    .map(|tile| run(tile, 1))
                    .collect::<Result<Vec<_>, _>>()
            }),
            None => {
                let tiles = trace.bytes_mut().chunks_mut(bytes).enumerate();
                tiles
                    .map(|tile| run(tile, 1))
                    .collect::<Result<Vec<_>, _>>()
            }
        };
        let tiles = tiles.map_err(|refused| self.refusal(request, refused))?;
        Ok(tiles.into_iter().flatten().collect())
    }

    /// The error for an element that cannot be encoded: the first in the order of inputs and elements, whichever thread met
    /// one first.
    fn refusal(&self, request: &Request<'_>, refused: Refused) -> RunError {
        let specs = &self.model.program().spec().inputs;
        for (spec, elements) in specs.iter().zip(&request.inputs) {
            if let Err(source) = credence_model::encode_elements(&spec.encode, elements) {
                return RunError::Value {
                    name: spec.name.clone(),
                    source,
                };
            }
        }
        RunError::Value {
            name: specs
                .get(refused.input)
                .map(|spec| spec.name.clone())
                .unwrap_or_default(),
            source: refused.source,
        }
    }

    fn run_tile<const WATCHED: bool>(
        &self,
        first: usize,
        trace: &mut [u8],
        around: Surroundings<'_>,
    ) -> Result<Vec<Watched>, Refused> {
        let plan = &self.plan.main;
        let positions = trace.len() / plan.block_bytes;
        with_scratch(|scratch| {
            let mut sums = if WATCHED {
                vec![0; positions * plan.sums]
            } else {
                Vec::new()
            };
            let mut tile = Tile {
                first,
                rows: &[],
                scores: &mut [],
                trace,
                block_bytes: plan.block_bytes,
                scratch: scratch.arena.reserve(positions * plan.arena_bytes),
                arena_bytes: plan.arena_bytes,
                panel: scratch.panel.reserve(plan.panel_bytes),
                sums: WATCHED.then_some(&mut sums),
            };
            let mut watched = Vec::new();
            for (at, planned) in plan.steps.iter().enumerate() {
                self.step(plan, at, || planned.step.run(&mut tile, around))?;
                if WATCHED {
                    for &(node, seen) in &planned.nodes {
                        watch(&mut tile, node, seen, 0, &mut watched);
                    }
                }
            }
            Ok(watched)
        })
    }

    /// The answer, from the outputs' cells in the trace.
    fn finish(&self, request: &Request<'_>, trace: Trace) -> Result<Execution, RunError> {
        let program = self.model.program();
        let specs = &program.spec().outputs;
        let mut outputs = Vec::with_capacity(specs.len());
        for (spec, place) in specs.iter().zip(&self.plan.outputs) {
            let cells = place.cells * request.positions;
            let mut elements = no_elements(spec.decode.border_type(), cells);
            for block in trace.bytes().chunks_exact(self.plan.main.block_bytes) {
                let cells = Cells::new(place.dtype, &block[place.offset..][..place.bytes()]);
                decode(self.plan.isa, &spec.decode, cells, &mut elements).map_err(|source| {
                    RunError::Value {
                        name: spec.name.clone(),
                        source,
                    }
                })?;
            }
            outputs.push(answer(program, spec, request.positions, elements)?);
        }
        Ok(Execution {
            outputs: Tensors::new(outputs)?,
            trace,
            positions: u64::try_from(request.positions).unwrap_or(u64::MAX),
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.model.id();
        write!(
            f,
            "Engine({id}, {} threads, {})",
            self.threads, self.plan.isa
        )
    }
}

/// Copies a node's values of all positions of a tile.
pub(crate) fn watch(
    tile: &mut Tile<'_>,
    node: NodeId,
    seen: Seen,
    context: usize,
    watched: &mut Vec<Watched>,
) {
    for number in 0..tile.positions() {
        let cells = match seen {
            Seen::Place(place) => tile.position(number).read(place).to_vec(),
            Seen::Scores(place) => shown(place, tile.position(number).scores(place), context),
            Seen::Sums { cells } => {
                let position = tile.position(number);
                Cells::I32(&position.sums()[..cells]).to_vec()
            }
        };
        watched.push((node, tile.first + number, cells));
    }
}

/// A thread's memory for what is neither trace nor answer.
#[derive(Default)]
struct Scratch {
    arena: Buffer,
    panel: Buffer,
}

thread_local! {
    /// Kept between runs of all engines, so that a run does not allocate.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Calls `use_it` with this thread's scratch. While a thread waits for others it may begin another tile, which then finds none
/// and makes its own.
fn with_scratch<T>(use_it: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch = SCRATCH.take();
    let result = use_it(&mut scratch);
    if scratch.arena.len() + scratch.panel.len() <= KEEP_BYTES_MAX {
        SCRATCH.set(scratch);
    }
    result
}

#[cfg(test)]
mod tests;
