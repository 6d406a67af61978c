//! Random programs: their proofs verify, and say what the reference engine says.
//!
//! It deliberately attacks nothing.

use credence_exact::{Dtype, NodeId, Op, Reindex, Softmax, SumPool, Window};
use credence_exec::reference;
use credence_method_snark::circuit::{Circuit, CircuitError};
use credence_method_snark::pcs::{Params, Security};
use credence_model::Model;
use credence_prove_snark::memory_bytes;

use crate::common::{Run, provable};
use crate::small;
use credence_testkit::program_gen::request;

#[test]
fn proofs_of_random_programs_verify() {
    for (number, (seed, model)) in provable(0).take(40).enumerate() {
        let inputs = request(&model, seed, 1 + u32::try_from(seed % 4).unwrap());
        let run = Run::new(model, &inputs);
        assert_eq!(run.broken(), None, "{seed}");
        if number < 12 {
            let values = reference::run(&run.model, &inputs).unwrap().values;
            for (node, own) in run.nodes.iter().enumerate() {
                let cells = values.iter().flat_map(|nodes| &nodes[node]);
                assert!(cells.eq(own), "{seed}: node {node}");
            }
        }
        let proof = run.prove();
        let publics = run.verify(&proof);
        assert!(publics.is_ok(), "{seed}: {publics:?}");
    }
}

/// Every op's own program, in batches of one and more.
#[test]
fn proofs_of_every_op_verify() {
    for (name, model, inputs) in small::programs() {
        let run = Run::new(model, &inputs);
        assert_eq!(run.broken(), None, "{name}");
        let publics = run.verify(&run.prove()).unwrap();
        assert_eq!(publics.outputs, run.witness.publics.outputs, "{name}");
        for batch in [1, 3, 8] {
            let inputs = request(&run.model, 5, batch);
            let run = Run::new(small::again(&run.model), &inputs);
            run.verify(&run.prove()).unwrap();
        }
    }
}

/// A model of one softmax over rows of so many cells.
fn softmax(rows: u32, cells: u32) -> Model {
    let mut draft = small::Draft::new(&[rows, cells], Dtype::I8);
    let exp: Vec<i32> = (0..256).map(|d| (1 << 24) / (d * d + 1)).collect();
    let exp = draft.param(Dtype::I32, &[256], &exp);
    let x = NodeId(0);
    let y = draft.node(Op::Softmax(Softmax { x, exp, bits: 14 }), Dtype::I16);
    draft.model(&[y])
}

/// A row's sum stands in the constraints of each of its cells, and is written out once: 4,096 cells take as much in 4 rows of 1,024, the longest that there are, as in 64 rows of 64.
#[test]
fn a_softmax_takes_memory_in_proportion_to_its_cells() {
    let bytes = |rows, cells| {
        let circuit = Circuit::new(&softmax(rows, cells), 1).unwrap();
        let params = Params::new(circuit.witness_log(), Security::Bits100).unwrap();
        let terms = circuit.looked_up.iter().map(<[_]>::len).sum::<usize>();
        assert!(terms < 4096 * 100, "{rows} rows: {terms} terms");
        (circuit.memory_bytes(), memory_bytes(&circuit, &params))
    };
    let (short, short_proof) = bytes(64, 64);
    let (long, long_proof) = bytes(4, 1024);
    assert!(long < short * 11 / 10, "{long} and {short} bytes");
    assert!(long_proof < short_proof * 11 / 10);
    assert!(long_proof < 64 << 20, "{long_proof} bytes");
    let model = softmax(4, 1024);
    let inputs = request(&model, 3, 1);
    let run = Run::new(model, &inputs);
    assert_eq!(run.broken(), None);
    run.verify(&run.prove()).unwrap();
}

/// No more of a circuit is built than may be.
#[test]
fn a_circuit_that_is_too_large_is_refused_while_it_is_built() {
    for (name, model, _) in small::programs() {
        let bytes = Circuit::new(&model, 1).unwrap().memory_bytes();
        assert!(Circuit::within(&model, 1, bytes).is_ok(), "{name}");
        let refused = Circuit::within(&model, 1, bytes / 2).unwrap_err();
        let CircuitError::Memory { max, got } = refused else {
            panic!("{name}: {refused:?}");
        };
        assert!(max == bytes / 2 && got > max, "{name}");
        // It stops soon behind the limit.
        assert!(got <= bytes, "{name}");
    }
}

/// Its windows have thousands of millions of cells, though none of them too many for a relation.
#[test]
fn a_pool_of_too_many_cells_is_refused_before_anything_is_built() {
    let mut draft = small::Draft::new(&[512, 512, 1], Dtype::I8);
    let window = Window {
        kernel: [128, 130],
        stride: [1, 1],
        pad: [0; 4],
        dilation: [1, 1],
    };
    let x = NodeId(0);
    let sums = draft.node(Op::SumPool(SumPool { x, window }), Dtype::I32);
    let model = draft.model(&[sums]);
    let refused = Circuit::new(&model, 1).unwrap_err();
    assert!(matches!(refused, CircuitError::Size { .. }), "{refused:?}");
}

/// A program that only moves cells commits to nothing; one output is an input itself.
#[test]
fn a_program_that_commits_to_nothing_is_proved() {
    let mut draft = small::Draft::new(&[2, 3], Dtype::I16);
    let op = Op::Reindex(Reindex {
        x: NodeId(0),
        shape: vec![3, 2],
        offset: 0,
        strides: vec![1, 3],
    });
    let moved = draft.node(op, Dtype::I16);
    let model = draft.model(&[moved, NodeId(0)]);
    for batch in [1, 2, 5] {
        let inputs = request(&model, 4, batch);
        let mut run = Run::new(small::again(&model), &inputs);
        assert!(run.circuit.committed.is_empty());
        run.verify(&run.prove()).unwrap();
        run.witness.publics.outputs[0][1] ^= 1;
        assert!(run.verify(&run.prove()).is_err());
    }
}
