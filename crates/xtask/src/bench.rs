//! `cargo xtask bench`: times Credence and onnxruntime in turns on the shipped models and writes `docs/performance.md`.

pub(crate) mod audit;
pub(crate) mod flags;
mod kernels;
pub(crate) mod language;
pub(crate) mod log;
mod log_report;
mod measure;
mod ours;
mod page;
mod peak;
mod peer;
mod report;

use std::num::NonZeroUsize;
use std::path::Path;

use measure::{Figures, median};
use ours::{Case, Subject};
use peer::Peer;

/// Models and batch sizes: those of the peers' script, and then two whose runs last longer than a millisecond.
const CASES: [(&str, usize); 8] = [
    ("digits-cnn", 1),
    ("digits-cnn", 64),
    ("digits-mlp", 1),
    ("digits-mlp", 64),
    ("forest", 1),
    ("forest", 64),
    ("digits-cnn", 1024),
    ("forest", 1024),
];
/// The batch whose kernels are timed.
const KERNELS_BATCH: usize = 1024;
/// Each side is timed so often, in turns, and the median taken: machines are noisy, and drift.
const ROUNDS: usize = 3;

/// What the page says of one case.
struct Row {
    model: &'static str,
    batch: usize,
    threads: usize,
    ours: Case,
    /// What onnxruntime took, and what a call of it takes that computes nothing.
    theirs: Option<(Figures, Figures)>,
    multiply_adds: u64,
}

/// Measures and writes the page.
///
/// # Errors
/// What could not be imported, run or written.
pub(crate) fn run(root: &Path, seconds: f64) -> Result<String, String> {
    let mut subjects = Vec::new();
    for name in ["digits-cnn", "digits-mlp", "forest"] {
        subjects.push(Subject::import(root, name)?);
    }
    let mut rows = Vec::new();
    let (mut version, mut processor) = (String::new(), String::new());
    for threads in [NonZeroUsize::MIN, NonZeroUsize::MIN.saturating_add(1)] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let mut cases = Vec::new();
            for (name, batch) in CASES {
                let subject = subjects
                    .iter()
                    .find(|subject| subject.name == name)
                    .ok_or("no such model")?;
                cases.push(subject.time(batch, threads, seconds)?);
            }
            let peer = Peer::run(root, threads.get(), seconds)?;
            version.clone_from(&peer.version);
            processor.clone_from(&peer.processor);
            rounds.push((cases, peer));
        }
        for (index, (model, batch)) in CASES.into_iter().enumerate() {
            let ours: Vec<Case> = rounds
                .iter()
                .filter_map(|(cases, _)| cases.get(index).copied())
                .collect();
            let theirs = |name: &str| -> Option<Figures> {
                let all: Option<Vec<Figures>> = rounds
                    .iter()
                    .map(|(_, peer)| peer.figures(name, batch))
                    .collect();
                all.map(|all| middle(&all))
            };
            rows.push(Row {
                model,
                batch,
                threads: threads.get(),
                ours: Case::median(&ours),
                theirs: theirs(model).zip(theirs(&format!("call-overhead/{model}"))),
                multiply_adds: subjects
                    .iter()
                    .find(|s| s.name == model)
                    .map_or(0, |s| s.multiply_adds()),
            });
        }
    }
    let mut kernels = Vec::new();
    for subject in &subjects {
        let found = subject.kernels(KERNELS_BATCH, seconds)?;
        kernels.push((format!("{}, batch {KERNELS_BATCH}", subject.name), found));
    }
    let page = report::page(
        &rows,
        &kernels,
        (&version, &processor),
        &peak::Peak::measure(1, seconds)?,
    );
    language::write(root, page::Chapter::Tensors, &page)?;
    Ok(page)
}

/// The median of each figure.
fn middle(figures: &[Figures]) -> Figures {
    let of = |get: fn(&Figures) -> f64| median(&mut figures.iter().map(get).collect::<Vec<_>>());
    Figures {
        wall_median_s: of(|f| f.wall_median_s),
        cpu_median_s: of(|f| f.cpu_median_s),
    }
}
