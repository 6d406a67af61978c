//! How long each step of a plan takes: for whoever asks where the time of a run goes.
//!
//! An engine without a stopwatch pays one branch for a step of a tile. Times of several threads are added up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use credence_exact::NodeId;

use crate::plan::{Phase, Plan};

/// What one step of the plan has taken since the engine was made.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTime {
    /// The step's name, as [`Plan`] prints it.
    pub step: &'static str,
    /// The nodes that it computes.
    pub nodes: Vec<NodeId>,
    /// Seconds, of all threads together.
    pub seconds: f64,
}

/// Nanoseconds by step: the main phase's, then the sampled one's.
pub(crate) struct Stopwatch(Vec<AtomicU64>);

impl Stopwatch {
    pub(crate) fn new(plan: &Plan) -> Self {
        let steps = phases(plan).map(|phase| phase.steps.len()).sum();
        Self((0..steps).map(|_| AtomicU64::new(0)).collect())
    }

    /// Times a step of a phase of the plan.
    pub(crate) fn time<T>(
        &self,
        plan: &Plan,
        phase: &Phase,
        step: usize,
        work: impl FnOnce() -> T,
    ) -> T {
        let before = if std::ptr::eq(phase, &raw const plan.main) {
            0
        } else {
            plan.main.steps.len()
        };
        let started = Instant::now();
        let done = work();
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(total) = self.0.get(before + step) {
            total.fetch_add(took, Ordering::Relaxed);
        }
        done
    }

    pub(crate) fn times(&self, plan: &Plan) -> Vec<StepTime> {
        let steps = phases(plan).flat_map(|phase| &phase.steps);
        steps
            .zip(&self.0)
            .map(|(planned, total)| StepTime {
                step: planned.step.name(),
                nodes: planned.nodes.iter().map(|(node, _)| *node).collect(),
                seconds: std::time::Duration::from_nanos(total.load(Ordering::Relaxed))
                    .as_secs_f64(),
            })
            .collect()
    }
}

fn phases(plan: &Plan) -> impl Iterator<Item = &Phase> {
    core::iter::once(&plan.main).chain(&plan.sampled)
}
