//! What proofs of whole runs cost: time to prove, verify and replay, bytes of proof, peak of committed values, for programs of random weights.
//!
//! `cargo bench -p credence-prove-snark --bench proofs`; with names behind `--`, those workloads alone. Each time is the least of several runs. It deliberately imports no file: what a proof
//! costs does not depend on what weights are.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

mod workloads;

use std::num::NonZeroUsize;
use std::sync::Arc;

use cpu_time::ProcessTime;

use credence_exec::{Engine, Isa, Options};
use credence_method_snark::pcs::{Params, Security};
use credence_method_snark::protocol::Statement;
use credence_method_snark::run::Publics;
use credence_method_snark::{Reader, Relation, security, verify};
use credence_model::{Model, Tensors};
use credence_prove_snark::prover::prove_witness;
use credence_prove_snark::run::node_values;
use credence_prove_snark::witness::Witness;

const STATEMENT: Statement<'_> = Statement {
    bound: &[("claim", b"a benchmark")],
    security: Security::Bits100,
};

/// Runs of which the least time counts.
const RUNS: usize = 5;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: &str| {
        let mut named = names
            .iter()
            .filter(|name| !name.starts_with('-'))
            .peekable();
        named.peek().is_none() || named.any(|own| name.contains(own.as_str()))
    };
    println!(
        "{} threads, {}, processor time of all threads in ms: the least of {RUNS}",
        rayon::current_num_threads(),
        Isa::available().last().unwrap()
    );
    println!(
        "workload | parameters | positions | leaves | committed | bits | circuit | witness | prove | verify, circuit at hand | replay | proof bytes"
    );
    for workload in workloads::all() {
        if asked(workload.name) {
            let (model, inputs) = (workload.make)();
            measure(workload.name, model, &inputs);
        }
    }
}

/// The least processor time of all threads, in ms.
fn least<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut least: Option<(f64, T)> = None;
    for _ in 0..RUNS {
        let start = ProcessTime::now();
        let result = work();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        if least.as_ref().is_none_or(|(best, _)| ms < *best) {
            least = Some((ms, result));
        }
    }
    least.unwrap()
}

fn measure(name: &str, model: Model, inputs: &Tensors) {
    let model = Arc::new(model);
    let options = Options {
        threads: NonZeroUsize::new(rayon::current_num_threads()).unwrap(),
        isa: *Isa::available().last().unwrap(),
    };
    let engine = Engine::new(Arc::clone(&model), options).unwrap();
    let (replay, execution) = least(|| engine.run(inputs).unwrap());
    let positions = usize::try_from(execution.positions).unwrap();
    let (circuit_ms, relation) = least(|| Relation::new(Arc::clone(&model), positions).unwrap());
    let circuit = relation.circuit();
    let (witness_ms, witness) = least(|| {
        let (nodes, _, _) = node_values(&engine, inputs).unwrap();
        Witness::new(circuit, &nodes)
    });
    let (prove_ms, proof) = least(|| prove_witness(&STATEMENT, &model, circuit, &witness).unwrap());
    let (verify_ms, ()) = least(|| {
        let mut reader = Reader::new(&proof);
        let inputs = witness.publics.inputs.clone();
        let publics = Publics::read(inputs, circuit, model.program(), &mut reader).unwrap();
        verify(&STATEMENT, &relation, &publics, reader).unwrap();
    });
    let params = Params::new(circuit.witness_log(), STATEMENT.security).unwrap();
    println!(
        "{name} | {} | {positions} | 2^{} | 2^{} | {} | {circuit_ms:.1} | {witness_ms:.1} | {prove_ms:.1} | {verify_ms:.2} | {replay:.3} | {}",
        model.parameter_count(),
        circuit.leaves_log(),
        circuit.witness_log(),
        security::total(security::Sizes::of(circuit), &params),
        proof.len(),
    );
}
