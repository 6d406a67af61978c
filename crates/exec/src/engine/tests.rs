//! The fast engine equals the reference engine on every value of every node, for every instruction set, thread count and batch,
//! over random programs.
//!
//! Random programs are small, so engines here split work of any size, and tiles are of every size.

use credence_testkit::program_gen::{model, request};

use super::*;
use crate::reference;
use credence_model::{Elements, Tensor};

fn engine(model: &Arc<Model>, isa: Isa, threads: usize) -> Engine {
    let threads = NonZeroUsize::new(threads).unwrap();
    let mut engine = Engine::new(Arc::clone(model), Options { threads, isa }).unwrap();
    engine.splitting = EVERYTHING;
    engine
}

/// Compares a run with the reference's on everything that either gives.
fn assert_equal(engine: &Engine, inputs: &Tensors, expected: &reference::Observed, what: &str) {
    let program = engine.model().program();
    let mut seen = 0;
    let execution = engine
        .run_observed(inputs, &mut |node, position, cells| {
            let node_at = usize::try_from(node.0).unwrap();
            let expected = &expected.values[usize::try_from(position).unwrap()][node_at];
            let first = cells.iter().zip(expected).position(|(a, b)| a != b);
            assert!(
                cells == expected,
                "{what}: position {position}, node {:?}: first differing cell {first:?}\n{}",
                program.node(node),
                engine.plan(),
            );
            seen += 1;
        })
        .unwrap();
    let values: usize = expected.values.iter().map(Vec::len).sum();
    assert_eq!(
        seen, values,
        "{what}: every node of every position is shown once"
    );
    assert_executions(&execution, &expected.execution, what);
    assert_executions(&engine.run(inputs).unwrap(), &expected.execution, what);
}

fn assert_executions(got: &Execution, expected: &Execution, what: &str) {
    assert_eq!(got.outputs, expected.outputs, "{what}: outputs");
    assert!(got.trace == expected.trace, "{what}: trace bytes");
    assert_eq!(
        got.trace.root(),
        expected.trace.root(),
        "{what}: trace root"
    );
    assert_eq!(got.positions, expected.positions, "{what}: positions");
}

#[test]
fn the_build_servers_have_what_is_tested_there() {
    let all: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
    println!("instruction sets tested here: {all:?}");
    if cfg!(target_arch = "x86_64") && std::env::var_os("CI").is_some() {
        assert!(
            all.contains(&"avx2"),
            "{all:?}: a green run here would show nothing of AVX2"
        );
    }
}

#[test]
fn every_value_on_every_instruction_set() {
    for seed in 0..400 {
        let model = Arc::new(model(seed));
        let isas = Isa::available().into_iter();
        let engines: Vec<Engine> = isas.map(|isa| engine(&model, isa, 1)).collect();
        for batch in [1, 2] {
            let inputs = request(&model, seed * 31 + u64::from(batch), batch);
            let expected = reference::run(&model, &inputs).unwrap();
            for engine in &engines {
                let what = format!("seed {seed}, batch {batch}, {engine:?}");
                assert_equal(engine, &inputs, &expected, &what);
            }
        }
    }
}

#[test]
fn every_value_on_every_thread_count_batch_and_tile() {
    for seed in 1000..1060 {
        let model = Arc::new(model(seed));
        for (batch, tile) in [(1, 1), (2, 32), (5, 2), (17, 3), (41, 32)] {
            let inputs = request(&model, seed * 31 + u64::from(batch), batch);
            let expected = reference::run(&model, &inputs).unwrap();
            // Each number of threads on another instruction set by turns, so that every one is split in every way.
            let isas = Isa::available();
            for (turn, threads) in [1, 2, 3, 7].into_iter().enumerate() {
                let turn = turn + usize::try_from(seed).unwrap();
                let mut engine = engine(&model, isas[turn % isas.len()], threads);
                engine.plan.main.tile_positions = engine.plan.main.tile_positions.min(tile);
                let what = format!("seed {seed}, batch {batch}, tile {tile}, {engine:?}");
                assert_equal(&engine, &inputs, &expected, &what);
            }
        }
    }
}

/// One item of a batch.
fn item(inputs: &Tensors, at: usize) -> Tensors {
    let tensors = inputs.iter().map(|tensor| {
        let mut shape = tensor.shape().to_vec();
        let cells = tensor.elements().len() / usize::try_from(shape[0]).unwrap();
        shape[0] = 1;
        let range = at * cells..(at + 1) * cells;
        let elements = match tensor.elements() {
            Elements::Fp32(x) => Elements::Fp32(x[range].to_vec()),
            Elements::Int32(x) => Elements::Int32(x[range].to_vec()),
            Elements::Int64(x) => Elements::Int64(x[range].to_vec()),
        };
        Tensor::new(tensor.name(), shape, elements).unwrap()
    });
    Tensors::new(tensors.collect()).unwrap()
}

#[test]
fn a_batch_is_its_items() {
    for seed in 2000..2060 {
        let model = Arc::new(model(seed));
        let inputs = request(&model, seed, 17);
        let engine = engine(&model, Isa::detect(), 3);
        let whole = engine.run(&inputs).unwrap();
        let blocks = whole.trace.bytes().chunks_exact(whole.trace.block_bytes());
        for (at, block) in blocks.enumerate() {
            let alone = engine.run(&item(&inputs, at)).unwrap();
            assert_eq!(alone.trace.bytes(), block, "seed {seed}, item {at}");
            assert_eq!(
                alone.outputs,
                item(&whole.outputs, at),
                "seed {seed}, item {at}"
            );
        }
    }
}

#[test]
fn random_programs_take_every_way_through_the_engine() {
    let mut steps = std::collections::BTreeMap::new();
    let mut fused = 0;
    for seed in 0..400 {
        let plan = Plan::new(&model(seed), Isa::detect()).unwrap();
        for planned in &plan.main.steps {
            *steps.entry(planned.step.name()).or_insert(0) += 1;
            fused += usize::from(matches!(planned.nodes[0].1, Seen::Sums { .. }));
        }
    }
    assert_eq!(steps.len(), 20, "{steps:?}");
    assert!(steps.values().all(|&count| count > 20), "{steps:?}");
    assert!(fused > 400, "{fused}");
}

#[test]
fn a_stopwatch_times_every_step_and_changes_nothing() {
    let model = Arc::new(model(7));
    let inputs = request(&model, 7, 5);
    let plain = engine(&model, Isa::detect(), 1);
    assert!(plain.step_times().is_empty());
    let timed = engine(&model, Isa::detect(), 1).timed();
    assert_eq!(timed.run(&inputs).unwrap(), plain.run(&inputs).unwrap());
    let times = timed.step_times();
    assert_eq!(times.len(), plain.plan().main.steps.len());
    assert!(times.iter().any(|time| time.seconds > 0.0));
    let nodes: usize = times.iter().map(|time| time.nodes.len()).sum();
    assert_eq!(nodes, model.program().nodes().count());
}
