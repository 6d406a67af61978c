//! What proofs of whole runs cost: time to prove, verify and replay, bytes of proof, peak of memory, beside what the work takes at least; for programs of random weights.
//!
//! ```text
//! parent ─one process for each workload─▶ child: model, run, circuit, witness, proof, checks ─a line of figures─▶ parent ─▶ table
//! ```
//!
//! `cargo bench -p credence-prove-snark --bench proofs`; names behind `--` ask for those workloads alone, `--security 128` for stronger proofs, `--committed` for committed weights, `--page` writes `docs/performance-proofs.md`. Each time is the least of
//! several runs. It fails if a proof took more or less than the estimate by a fifth (`memory_bytes`), where the system says. It deliberately imports no file: what a proof costs does not depend on what weights are.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

mod figures;
mod workloads;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use cpu_time::ProcessTime;

use credence_exec::{Engine, Isa, Options};
use credence_method_snark::pcs::{Params, Security};
use credence_method_snark::protocol::Statement;
use credence_method_snark::run::Publics;
use credence_method_snark::weights::Layout;
use credence_method_snark::{Reader, Relation, security, verify};
use credence_model::Model;
use credence_prove_snark::prover::{prove_apart, prove_witness};
use credence_prove_snark::witness::Witness;
use credence_prove_snark::{Weights, memory_bytes, memory_bytes_apart};

use figures::{Figures, Rates, Time, page, resident, work};
use workloads::Request;

/// Runs of which the least time counts.
const RUNS: usize = 5;

/// The word that asks for committed weights.
const COMMITTED: &str = "--committed";

/// The word that makes a process a child.
const CHILD: &str = "--child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let security = match after(&arguments, "--security") {
        Some("128") => Security::Bits128,
        _ => Security::Bits100,
    };
    if let Some(name) = after(&arguments, CHILD) {
        let workloads = workloads::all();
        let workload = workloads.iter().find(|own| own.name == name).unwrap();
        let (model, inputs) = (workload.make)();
        let committed = arguments.iter().any(|own| own == COMMITTED);
        if let Some(figures) = measure(model, &inputs, (security, committed)) {
            println!("{}", figures.line());
        }
        return ExitCode::SUCCESS;
    }
    let names: Vec<&String> = arguments
        .iter()
        .filter(|own| !own.starts_with('-') && *own != "128" && *own != "100")
        .collect();
    let asked = |name: &str| names.is_empty() || names.iter().any(|own| name.contains(*own));
    let committed = arguments.iter().any(|own| own == COMMITTED);
    let mut rows = Vec::new();
    for workload in workloads::all() {
        if asked(workload.name)
            && let Some(figures) = child(workload.name, security, committed)
        {
            println!("{}: {}", workload.name, figures.line());
            rows.push((workload.name, figures));
        }
    }
    let text = page(&rows, (security, committed), Rates::measured());
    println!("{text}");
    if arguments.iter().any(|own| own == "--page") {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let path = root.unwrap().join("docs/performance-proofs.md");
        std::fs::write(path, &text).unwrap();
    }
    let mut apart = rows
        .iter()
        .filter(|(_, figures)| figures.is_apart())
        .peekable();
    if apart.peek().is_none() {
        return ExitCode::SUCCESS;
    }
    for (name, Figures { said, peak, .. }) in apart {
        println!(
            "{name}: the estimate of {said} bytes is not within a fifth of the peak of {peak}"
        );
    }
    ExitCode::FAILURE
}

/// The argument behind a flag.
fn after<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let mut rest = arguments.iter().skip_while(|own| *own != flag);
    rest.nth(1).map(String::as_str)
}

/// The figures of a workload, measured in a process of its own: the peak of memory is that process's. None of a model without matrices, if they are to be committed to.
fn child(name: &str, security: Security, committed: bool) -> Option<Figures> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD, name, "--security", &security.bits().to_string()]);
    if committed {
        command.arg(COMMITTED);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = Some(text.trim()).filter(|line| !line.is_empty());
    line.map(|line| Figures::read(line).unwrap())
}

/// The least processor time and the least wall time, in ms.
fn least<T>(mut work: impl FnMut() -> T) -> (Time, T) {
    let mut least: Option<(Time, T)> = None;
    for _ in 0..RUNS {
        let (start, wall) = (ProcessTime::now(), Instant::now());
        let result = work();
        let own = Time {
            cpu_ms: start.elapsed().as_secs_f64() * 1e3,
            wall_ms: wall.elapsed().as_secs_f64() * 1e3,
        };
        let time = least.as_ref().map_or(own, |(best, _)| best.least(own));
        least = Some((time, result));
    }
    least.unwrap()
}

fn measure(
    model: Model,
    inputs: &Request,
    (security, committed): (Security, bool),
) -> Option<Figures> {
    if committed && Layout::new(model.program()).is_none() {
        return None;
    }
    let statement = Statement {
        bound: &[("claim", b"a benchmark")],
        security,
    };
    let model = Arc::new(model);
    let options = Options {
        threads: NonZeroUsize::new(rayon::current_num_threads()).unwrap(),
        isa: *Isa::available().last().unwrap(),
    };
    let engine = Engine::new(Arc::clone(&model), options).unwrap();
    let extent = inputs.extent();
    inputs.run(&engine);

    // First of all, before anything lies about that may be used again: one proof, and what it took.
    resident::forget_peak();
    let before = resident::now();
    let weights = committed.then(|| Weights::commit(&model).unwrap());
    let related = || match &weights {
        None => Relation::new(Arc::clone(&model), extent).unwrap(),
        Some(weights) => Relation::apart(Arc::clone(weights.card()), extent).unwrap(),
    };
    let relation = related();
    let circuit = relation.circuit();
    let params = Params::new(circuit.witness_log(), security).unwrap();
    let witness = witnessed(&engine, inputs, circuit);
    let proved = || match &weights {
        None => prove_witness(&statement, &model, circuit, &witness).unwrap(),
        Some(own) => prove_apart(&statement, (&model, own), circuit, &witness).unwrap(),
    };
    let proof = proved();
    let peak = resident::peak().saturating_sub(before);

    let (replay, _) = least(|| inputs.run(&engine));
    let (circuit_time, _) = least(related);
    let (witness_time, _) = least(|| witnessed(&engine, inputs, circuit));
    let (prove, _) = least(proved);
    let (verify, ()) = least(|| {
        let mut reader = Reader::new(&proof);
        let inputs = witness.publics.inputs.clone();
        let publics = Publics::read(inputs, circuit, model.program(), &mut reader).unwrap();
        verify(&statement, &relation, &publics, reader).unwrap();
    });
    let (multiplications, hashed) = work(circuit, &params);
    let sizes = security::Sizes {
        log_weights: weights.as_ref().map(|own| own.card().layout().log_len()),
        ..security::Sizes::of(circuit)
    };
    Some(Figures {
        parameters: model.parameter_count(),
        positions: extent.positions,
        leaves_log: circuit.leaves_log(),
        witness_log: circuit.witness_log(),
        bits: security::total(sizes, &params),
        circuit: circuit_time,
        witness: witness_time,
        prove,
        verify,
        replay,
        proof: proof.len(),
        said: match &weights {
            None => memory_bytes(circuit, &params),
            Some(own) => memory_bytes_apart(circuit, &params, own),
        },
        peak,
        multiplications,
        hashed,
    })
}

fn witnessed(
    engine: &Engine,
    inputs: &Request,
    circuit: &credence_method_snark::circuit::Circuit,
) -> Witness {
    Witness::new(circuit, &inputs.values(engine))
}
