//! Random programs: their proofs verify, and say what the reference engine says.
//!
//! It deliberately attacks nothing.

mod common;

use common::Run;
use credence_testkit::program_gen::{model, request};

#[test]
fn proofs_of_random_programs_verify() {
    for seed in 0..40 {
        let model = model(seed);
        let inputs = request(&model, seed, 1 + u32::try_from(seed % 4).unwrap());
        let run = Run::new(model, &inputs);
        assert_eq!(run.broken(), None, "{seed}");
        let proof = run.prove();
        let publics = run.verify(&proof);
        assert!(publics.is_ok(), "{seed}: {publics:?}");
    }
}

/// Says where the time goes; run it by hand.
#[test]
fn time_of_each() {
    for seed in 0..12 {
        let model = model(seed);
        let inputs = request(&model, seed, 1 + u32::try_from(seed % 4).unwrap());
        let start = std::time::Instant::now();
        let run = Run::new(model, &inputs);
        let built = start.elapsed();
        let proof = run.prove();
        let proved = start.elapsed() - built;
        let start = std::time::Instant::now();
        run.verify(&proof).unwrap();
        println!(
            "{seed}: leaves 2^{} witness 2^{} rows {} tables {:?} build {built:?} prove {proved:?} verify {:?}",
            run.circuit.leaves_log(),
            run.circuit.witness_log(),
            run.circuit.committed.len(),
            run.circuit.tables.iter().map(|t| (t.entries.len(), t.shown)).collect::<Vec<_>>(),
            start.elapsed()
        );
    }
}
