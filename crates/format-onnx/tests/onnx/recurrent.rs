//! LSTM and GRU over sequences of fixed length: our reading and the exact program against tract's run, and what is refused by name.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Engine, Isa, Options};
use credence_format_onnx::Onnx;
use credence_format_onnx::reference::Runner;
use credence_import::{Elements, Tensor, Tensors, evaluate};
use tract_onnx::pb::AttributeProto;

use crate::support::build::{File, int, ints, string, strings};
use crate::support::{LIMITS, chain, import_with, parse};

/// States are at most 1: what 8-bit products over seven steps leave, as a share of the largest output.
const STEPS: f32 = 0.02;

const INPUT: usize = 5;
const HIDDEN: usize = 4;

fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(99);
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let unit = f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0;
        unit * scale
    };
    core::iter::repeat_with(next).take(count).collect()
}

fn dims(all: &[usize]) -> Vec<i64> {
    all.iter().map(|&n| i64::try_from(n).unwrap()).collect()
}

/// `x [N, 7, 5]` turned so that the batch is second, through a cell, and back.
fn network(op: &str, directions: usize, more: &str, attributes: &[AttributeProto]) -> File {
    let gates = if op == "LSTM" { 4 } else { 3 };
    let rows = gates * HIDDEN;
    let mut file = File::new(14);
    file.input("x", &dims(&[7, INPUT]));
    file.output("y", &dims(&[7, directions, HIDDEN]))
        .output("last", &dims(&[directions, HIDDEN]));
    let (w, r, b) = (
        numbers(directions * rows * INPUT, 1, 0.8),
        numbers(directions * rows * HIDDEN, 2, 0.7),
        numbers(directions * 2 * rows, 3, 0.3),
    );
    file.floats("w", &dims(&[directions, rows, INPUT]), &w)
        .floats("r", &dims(&[directions, rows, HIDDEN]), &r)
        .floats("b", &dims(&[directions, 2 * rows]), &b);
    file.longs("seven", &[7]);
    let mut all = vec![int("hidden_size", 4)];
    all.extend_from_slice(attributes);
    file.node("Transpose", "x", "t", &[ints("perm", &[1, 0, 2])]);
    file.node(op, &format!("t w r {more}"), "s h", &all);
    file.node("Transpose", "s", "y", &[ints("perm", &[2, 0, 1, 3])]);
    file.node("Transpose", "h", "last", &[ints("perm", &[1, 0, 2])]);
    file
}

fn floats_of(tensor: &Tensor) -> &[f32] {
    match tensor.elements() {
        Elements::Fp32(all) => all,
        other => panic!("{other:?}"),
    }
}

fn inputs() -> Tensors {
    let elements = Elements::Fp32(numbers(30 * 7 * INPUT, 9, 2.0));
    Tensors::new(vec![Tensor::new("x", vec![30, 7, 5], elements).unwrap()]).unwrap()
}

fn follows(file: &File, what: &str) {
    let inputs = inputs();
    let onnx = parse(&file.bytes());
    let ours = evaluate(onnx.graph(), &inputs).unwrap();
    let runner = Runner::new(&onnx).unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
    let theirs = runner
        .run(&inputs)
        .unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
    let model = Arc::new(import_with(&onnx, Some(&inputs)).model);
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let run = Engine::new(Arc::clone(&model), options)
        .unwrap()
        .run(&inputs)
        .unwrap();
    for ((ours, theirs), exact) in ours.iter().zip(theirs.iter()).zip(run.outputs.iter()) {
        assert_eq!(ours.shape(), theirs.shape(), "{what}");
        let largest = floats_of(theirs)
            .iter()
            .fold(0.0_f32, |most, x| most.max(x.abs()));
        let all = floats_of(ours)
            .iter()
            .zip(floats_of(theirs))
            .zip(floats_of(exact));
        for ((a, b), x) in all {
            assert!((a - b).abs() < 1e-5, "{what}: read {a} for {b}");
            assert!((x - b).abs() < STEPS * largest, "{what}: {x} for {b}");
        }
    }
}

#[test]
fn sequences_follow_tract() {
    for op in ["LSTM", "GRU"] {
        follows(&network(op, 1, "b", &[]), op);
        follows(&network(op, 1, "", &[]), &format!("{op} without bias"));
        let both = [string("direction", "bidirectional")];
        follows(
            &network(op, 2, "b seven", &both),
            &format!("{op} both ways"),
        );
    }
    let after = [int("linear_before_reset", 1)];
    follows(&network("GRU", 1, "b", &after), "GRU with the reset behind");
    follows(
        &network("GRU", 1, "", &after),
        "GRU with the reset behind and no bias",
    );
}

/// Outputs of our reading, of a file that tract does not run as the specification has it.
fn read(file: &File, inputs: &Tensors) -> Vec<Vec<f32>> {
    let onnx = parse(&file.bytes());
    let outputs = evaluate(onnx.graph(), inputs).unwrap();
    outputs
        .iter()
        .map(|output| floats_of(output).to_vec())
        .collect()
}

#[test]
fn from_the_end_is_the_reversed_sequence_from_the_start() {
    let inputs = inputs();
    let step = |k: usize| INPUT * (k / INPUT / 7 * 7 + 6 - k / INPUT % 7) + k % INPUT;
    let all = floats_of(inputs.iter().next().unwrap());
    let turned: Vec<f32> = (0..all.len()).map(|k| all[step(k)]).collect();
    let turned = Tensor::new("x", vec![30, 7, 5], Elements::Fp32(turned)).unwrap();
    let turned = Tensors::new(vec![turned]).unwrap();
    for op in ["LSTM", "GRU"] {
        let back = network(op, 1, "b", &[string("direction", "reverse")]);
        let reversed = read(&back, &inputs);
        let forwards = read(&network(op, 1, "b", &[]), &turned);
        let place = |k: usize| HIDDEN * (k / HIDDEN / 7 * 7 + 6 - k / HIDDEN % 7) + k % HIDDEN;
        for (k, x) in reversed[0].iter().enumerate() {
            assert_eq!(*x, forwards[0][place(k)], "{op}");
        }
        assert_eq!(reversed[1], forwards[1], "{op}");
        assert_ne!(reversed, read(&network(op, 1, "b", &[]), &inputs), "{op}");
        let error = Runner::new(&parse(&back.bytes())).unwrap_err();
        assert!(error.to_string().contains(op), "{error}");
    }
}

#[test]
fn a_state_may_come_from_the_inputs() {
    for op in ["LSTM", "GRU"] {
        let mut file = network(op, 1, "b", &[]);
        // The first four features of the first step are the state.
        let state = if op == "LSTM" { "state state" } else { "state" };
        let cell = file
            .graph()
            .node
            .iter_mut()
            .find(|node| node.op_type == op)
            .unwrap();
        cell.input.push(String::new());
        cell.input.extend(state.split(' ').map(str::to_owned));
        file.longs("zero", &[0])
            .longs("one", &[1])
            .longs("four", &[4])
            .longs("two", &[2]);
        file.node("Slice", "t zero one zero", "first", &[]);
        file.node("Slice", "first zero four two", "state", &[]);
        let nodes = &mut file.graph().node;
        nodes[1..].rotate_right(2);
        follows(&file, &format!("{op} with a state"));
    }
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let cases: Vec<(&str, Vec<AttributeProto>, &str)> = vec![
        ("b", vec![string("direction", "sideways")], "direction"),
        (
            "b",
            vec![strings("activations", &["Relu", "Tanh", "Tanh"])],
            "activations",
        ),
        ("b", vec![int("input_forget", 1)], "input_forget"),
        ("b", vec![int("layout", 1)], "batch"),
        ("b", vec![int("layout", 7)], "batch"),
        ("b lengths", vec![], "absent, or 7"),
        ("w", vec![], "elements"),
        ("b seven ones", vec![], "zeros"),
    ];
    for (more, attributes, named) in cases {
        let mut file = network("LSTM", 1, more, &attributes);
        file.longs("lengths", &[5])
            .floats("ones", &[1, 1, 4], &[1.0; 4]);
        let error = Onnx::parse(&file.bytes(), LIMITS).err();
        let error = error.unwrap_or_else(|| panic!("{more} {attributes:?} is taken"));
        let text = chain(&error);
        assert!(text.contains('`') && text.contains(named), "{text}");
    }
    let mut file = network("LSTM", 1, "b", &[]);
    file.graph().node[1].attribute[0] = int("hidden_size", 5);
    assert!(Onnx::parse(&file.bytes(), LIMITS).is_err());
}
