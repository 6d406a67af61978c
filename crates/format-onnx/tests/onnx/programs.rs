//! Operators in exact programs: what an imported file answers, against tract's float run of the same file, with the error that is allowed stated for each.
//!
//! Errors are shares of the largest magnitude of the output. Our f64 reading of the file must agree with tract's to 2·10⁻⁴ first, so that a
//! mistake of reading is told from one of arithmetic.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Engine, Isa, Options};
use credence_format_onnx::reference::Runner;
use credence_import::{Elements, Tensor, Tensors, evaluate};
use tract_onnx::pb::AttributeProto;

use crate::support::build::{File, float, int, ints, string, tensor};
use crate::support::{chain, import_with, parse};

/// 0.5 % of the largest value: what two roundings to 8 bits leave.
const BYTES: f32 = 5e-3;
/// What tables and sums on 16 bits leave.
const WIDE: f32 = 5e-4;
/// Nothing but moves of 32-bit integers.
const MOVED: f32 = 1e-6;
/// Comparisons: 0 and 1, nothing between.
const TRUTH: f32 = 0.0;

fn ramp(count: usize) -> Vec<f32> {
    (0..count)
        .map(|k| f32::from(u8::try_from(k * 7 % 37).unwrap()) / 18.0 - 1.0)
        .collect()
}

fn reals(shape: &[u64]) -> Tensors {
    let cells = usize::try_from(shape.iter().product::<u64>()).unwrap();
    of("x", shape, Elements::Fp32(ramp(cells)))
}

fn of(name: &str, shape: &[u64], elements: Elements) -> Tensors {
    Tensors::new(vec![Tensor::new(name, shape.to_vec(), elements).unwrap()]).unwrap()
}

fn floats_of(tensor: &Tensor) -> Vec<f32> {
    match tensor.elements() {
        Elements::Fp32(all) => all.clone(),
        other => panic!("{}: {other:?}", tensor.name()),
    }
}

/// The exact program's answers, and the operators of the program.
fn exact(file: &File, inputs: &Tensors, what: &str) -> (Tensors, Vec<&'static str>) {
    let onnx = parse(&file.bytes());
    let model = Arc::new(import_with(&onnx, Some(inputs)).model);
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let fast = Engine::new(Arc::clone(&model), options).unwrap();
    let fast = fast.run(inputs).unwrap();
    let plain = credence_exec::reference::run(&model, inputs).unwrap();
    assert_eq!(
        fast.trace.root(),
        plain.execution.trace.root(),
        "{what}: engines"
    );
    let nodes = model.program().nodes();
    let ops = nodes.map(|(_, node, _)| node.op.name()).collect();
    (fast.outputs, ops)
}

/// The largest error of an output as a share of its largest magnitude.
fn error(got: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
    let pairs = got.iter().zip(expected);
    pairs.fold(0.0, |most, (a, b)| f32::max(most, (a - b).abs())) / largest
}

/// The program follows tract's float run within `allowed`.
fn follows(file: &File, inputs: &Tensors, allowed: f32, what: &str) -> Vec<&'static str> {
    let onnx = parse(&file.bytes());
    let ours = evaluate(onnx.graph(), inputs).unwrap();
    let theirs = match Runner::new(&onnx).and_then(|runner| runner.run(inputs)) {
        Ok(theirs) => theirs,
        Err(error) => panic!("{what}: {}", chain(&error)),
    };
    let (exact, ops) = exact(file, inputs, what);
    for ((ours, theirs), exact) in ours.iter().zip(theirs.iter()).zip(exact.iter()) {
        let name = theirs.name();
        assert_eq!(ours.shape(), theirs.shape(), "{what}: {name}");
        let theirs = floats_of(theirs);
        let reading = error(&floats_of(ours), &theirs);
        assert!(reading < 2e-4, "{what}: {name} is read {reading} off");
        let off = error(&floats_of(exact), &theirs);
        assert!(
            off <= allowed,
            "{what}: {name} is {off} off, {allowed} allowed"
        );
    }
    ops
}

/// One node between an input `[2, 3, 4]` and an output of this shape.
fn one(op: &str, opset: i64, to: &[i64], more: &str, attributes: &[AttributeProto]) -> File {
    let mut file = File::new(opset);
    file.input("x", &[2, 3, 4]).output("y", to);
    file.node(op, &format!("x {more}"), "y", attributes);
    file
}

#[test]
fn functions_follow_tract() {
    let gelu = |kind| vec![string("approximate", kind)];
    let cases: [(&str, Vec<AttributeProto>, f32); 8] = [
        ("Gelu", gelu("none"), WIDE),
        ("Gelu", gelu("tanh"), WIDE),
        ("Mish", vec![], WIDE),
        ("LogSoftmax", vec![int("axis", -1)], WIDE),
        ("LogSoftmax", vec![int("axis", 1)], WIDE),
        ("Elu", vec![float("alpha", 0.7)], WIDE),
        ("HardSwish", vec![], WIDE),
        ("Softplus", vec![], WIDE),
    ];
    for (op, attributes, allowed) in cases {
        let file = one(op, 20, &[2, 3, 4], "", &attributes);
        follows(&file, &reals(&[6, 2, 3, 4]), allowed, op);
    }
}

#[test]
fn log_softmax_keeps_unlikely_classes() {
    // The least of these is e^−36: no table of probabilities holds its logarithm.
    let mut file = one("Mul", 20, &[2, 3, 4], "gain", &[]);
    file.floats("gain", &[1], &[18.0]);
    let graph = file.graph();
    graph.node[0].output[0] = "wide".to_owned();
    file.node("LogSoftmax", "wide", "y", &[int("axis", -1)]);
    follows(&file, &reals(&[6, 2, 3, 4]), WIDE, "log softmax");
}

#[test]
fn splits_are_parts() {
    let outputs = |file: &mut File, parts: &[i64]| {
        for (at, &part) in parts.iter().enumerate() {
            file.output(&format!("y{at}"), &[2, part, 4]);
        }
    };
    let split = |opset, length, attributes: &[AttributeProto], parts: &[i64], more: &str| {
        let mut file = File::new(opset);
        file.input("x", &[2, length, 4]);
        outputs(&mut file, parts);
        file.longs("sizes", parts);
        let names: Vec<String> = (0..parts.len()).map(|at| format!("y{at}")).collect();
        file.node("Split", &format!("x {more}"), &names.join(" "), attributes);
        let shape = [3, 2, u64::try_from(length).unwrap(), 4];
        follows(&file, &reals(&shape), MOVED, &format!("split {parts:?}"));
    };
    split(
        11,
        6,
        &[int("axis", 2), ints("split", &[1, 3, 2])],
        &[1, 3, 2],
        "",
    );
    split(17, 6, &[int("axis", 2)], &[4, 2], "sizes");
    split(17, 6, &[int("axis", -2)], &[2, 2, 2], "");
    split(
        18,
        7,
        &[int("axis", 2), int("num_outputs", 3)],
        &[3, 3, 1],
        "",
    );
}

/// `cast(op(x, ..))`, the way comparisons come out of a file.
fn compared(op: &str, more: &str) -> File {
    let mut file = File::new(17);
    file.input("x", &[2, 3, 4]).output("y", &[2, 3, 4]);
    file.floats("row", &[4], &[-0.52, 0.03, 0.31, 0.9])
        .floats("zero", &[], &[0.02]);
    file.node("Mul", "x row", "z", &[]);
    file.node(op, &format!("x {more}"), "c", &[]);
    file.node("Cast", "c", "y", &[int("to", 1)]);
    file
}

#[test]
fn comparisons_give_zero_and_one() {
    let inputs = reals(&[6, 2, 3, 4]);
    for op in ["Less", "LessOrEqual", "Greater", "GreaterOrEqual"] {
        for more in ["zero", "row", "z"] {
            follows(&compared(op, more), &inputs, TRUTH, &format!("{op} {more}"));
        }
    }
    let mut file = compared("Less", "row");
    file.graph().node.pop();
    file.node("Not", "c", "n", &[])
        .node("Cast", "n", "y", &[int("to", 1)]);
    follows(&file, &inputs, TRUTH, "not");
}

/// A file of an integer input.
fn integers(op: &str, constant: i64) -> File {
    let mut file = File::new(17);
    let port = crate::support::build::port("x", 7, &[5]);
    file.graph().input.push(port);
    file.output("y", &[5]).longs("c", &[constant]);
    file.node(op, "x c", "t", &[])
        .node("Cast", "t", "y", &[int("to", 1)]);
    file
}

#[test]
fn integers_are_compared_exactly_however_large() {
    for top in [3_i64, 1000, 40_000, 1 << 20] {
        let around = [top - 1, top, top + 1, 0, -top];
        let inputs = of("x", &[1, 5], Elements::Int64(around.to_vec()));
        for op in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"] {
            follows(&integers(op, top), &inputs, TRUTH, &format!("{op} {top}"));
        }
    }
}

#[test]
fn integers_beside_others_are_compared_exactly() {
    let compared = |values: [i64; 5], row: [i64; 5], op: &str| {
        let mut file = integers(op, 0);
        file.graph().initializer[0] = tensor("c", 7, &[5], &row);
        let inputs = of("x", &[1, 5], Elements::Int64(values.to_vec()));
        follows(&file, &inputs, TRUTH, &format!("{op} with a row"));
        let mut file = integers(op, 0);
        file.node("Neg", "x", "m", &[]);
        let nodes = &mut file.graph().node;
        nodes.rotate_right(1);
        nodes[1].input[1] = "m".to_owned();
        file.graph().initializer.clear();
        follows(&file, &inputs, TRUTH, &format!("{op} with another value"));
    };
    for op in ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"] {
        compared([70_000, 0, -3, 1, 69_999], [70_000, -1, -3, 2, 70_000], op);
    }
}

#[test]
fn ranges_of_integers_are_exact() {
    let mut file = integers("Greater", 5);
    file.graph().node.pop();
    file.scalar("d", 40_000);
    file.node("Less", "x d", "u", &[])
        .node("And", "t u", "b", &[])
        .node("Cast", "b", "y", &[int("to", 1)]);
    let around = vec![5, 6, 39_999, 40_000, -7];
    let inputs = of("x", &[1, 5], Elements::Int64(around));
    follows(&file, &inputs, TRUTH, "a range");
}

#[test]
fn a_choice_is_that_of_the_condition() {
    let inputs = reals(&[6, 2, 3, 4]);
    for (then, other) in [("x", "z"), ("x", "low"), ("row", "x"), ("low", "row")] {
        let mut file = compared("Less", "row");
        file.graph().node.pop();
        file.floats("low", &[], &[-3.0]);
        file.node("Where", &format!("c {then} {other}"), "y", &[]);
        follows(&file, &inputs, WIDE, &format!("where {then} {other}"));
    }
}

#[test]
fn truths_combine() {
    let inputs = reals(&[6, 2, 3, 4]);
    for op in ["And", "Or", "Xor"] {
        let mut file = compared("Less", "row");
        file.graph().node.pop();
        file.node("Greater", "x zero", "d", &[]);
        file.node(op, "c d", "e", &[]);
        file.node("Cast", "e", "y", &[int("to", 1)]);
        follows(&file, &inputs, TRUTH, op);
        let mut file = compared("Less", "row");
        file.graph().node.pop();
        file.graph()
            .initializer
            .push(tensor("mask", 9, &[4], &[1, 0, 0, 1]));
        file.node(op, "c mask", "e", &[]);
        file.node("Cast", "e", "y", &[int("to", 1)]);
        follows(&file, &inputs, TRUTH, &format!("{op} with a constant"));
    }
}

#[test]
fn a_mask_of_integers_becomes_one_of_truths() {
    let mut file = File::new(17);
    let port = crate::support::build::port("x", 7, &[5]);
    file.graph().input.push(port);
    file.output("y", &[5]);
    file.node("Cast", "x", "b", &[int("to", 9)])
        .node("Cast", "b", "y", &[int("to", 1)]);
    let inputs = of("x", &[1, 5], Elements::Int64(vec![0, 1, 7, -3, 70_000]));
    follows(&file, &inputs, TRUTH, "a cast to BOOL");
}

#[test]
fn constants_made_of_sizes() {
    let mut file = File::new(17);
    file.input("x", &[3, 4]).output("y", &[3, 4]);
    for (name, value) in [("start", 2), ("limit", 10), ("step", 2)] {
        file.scalar(name, value);
    }
    file.longs("shape", &[3, 1]);
    file.node("Range", "start limit step", "r", &[]);
    file.node("Cast", "r", "f", &[int("to", 1)]);
    let half = AttributeProto {
        t: Some(crate::support::build::real("", &[1], &[0.5])),
        ..crate::support::build::attribute(
            "value",
            tract_onnx::pb::attribute_proto::AttributeType::Tensor,
        )
    };
    file.node("ConstantOfShape", "shape", "h", &[half]);
    file.node("Mul", "x h", "a", &[])
        .node("Add", "a f", "y", &[]);
    follows(&file, &reals(&[4, 3, 4]), WIDE, "range");
}

#[test]
fn normalisations_follow_tract_however_they_are_written() {
    let gains = |file: &mut File, name: &str, length: i64| {
        let values = ramp(usize::try_from(2 * length).unwrap());
        let (gain, shift) = values.split_at(values.len() / 2);
        let gain: Vec<f32> = gain.iter().map(|g| g + 1.5).collect();
        file.floats(&format!("{name}_gain"), &[length], &gain)
            .floats(&format!("{name}_shift"), &[length], shift);
    };
    let mut file = one(
        "LayerNormalization",
        17,
        &[2, 3, 4],
        "n_gain n_shift",
        &[float("epsilon", 1e-3)],
    );
    gains(&mut file, "n", 4);
    let inputs = reals(&[6, 2, 3, 4]);
    let ops = follows(&file, &inputs, WIDE, "layer normalisation");
    assert!(ops.contains(&"rms_ratio"), "{ops:?}");

    let mut file = one("ReduceMean", 17, &[2, 3, 4], "", &[ints("axes", &[-1])]);
    file.graph().node[0].output[0] = "mean".to_owned();
    file.floats("two", &[], &[2.0])
        .floats("epsilon", &[], &[1e-3]);
    gains(&mut file, "n", 4);
    file.node("Sub", "x mean", "d", &[])
        .node("Pow", "d two", "squares", &[]);
    file.node("ReduceMean", "squares", "variance", &[ints("axes", &[-1])]);
    file.node("Add", "variance epsilon", "more", &[])
        .node("Sqrt", "more", "root", &[]);
    file.node("Div", "d root", "n", &[])
        .node("Mul", "n n_gain", "g", &[])
        .node("Add", "g n_shift", "y", &[]);
    let apart = follows(&file, &inputs, WIDE, "layer normalisation taken apart");
    assert!(apart.contains(&"rms_ratio"), "{apart:?}");
    assert!(!apart.contains(&"divide"), "{apart:?}");

    let mut file = one(
        "InstanceNormalization",
        17,
        &[2, 3, 4],
        "n_gain n_shift",
        &[float("epsilon", 1e-3)],
    );
    gains(&mut file, "n", 2);
    follows(&file, &inputs, WIDE, "instance normalisation");
}

#[test]
fn elements_are_gathered_one_by_one() {
    let mut file = File::new(17);
    file.input("x", &[2, 3, 4]).output("y", &[2, 2, 4]);
    let picks: [i64; 16] = [0, 2, -1, 1, 1, 1, 0, 0, 2, 0, 1, 2, 2, 2, 0, -3];
    file.graph()
        .initializer
        .push(tensor("at", 7, &[1, 2, 2, 4], &picks));
    file.node("GatherElements", "x at", "y", &[int("axis", 2)]);
    follows(&file, &reals(&[1, 2, 3, 4]), MOVED, "gather elements");
    let mut file = File::new(17);
    file.input("x", &[2, 3, 4]).output("y", &[2, 3, 1]);
    file.graph()
        .initializer
        .push(tensor("at", 7, &[1, 2, 3, 1], &[3, 0, 1, 2, -1, 0]));
    file.node("GatherElements", "x at", "y", &[int("axis", -1)]);
    follows(&file, &reals(&[1, 2, 3, 4]), MOVED, "gather along the last");
}

#[test]
fn linear_models_follow_tract() {
    let floats = crate::support::build::floats;
    let mut file = File::new(13);
    file.input("x", &[4]).output("p", &[3]).output("r", &[2]);
    let classifier = [
        floats("coefficients", &ramp(12)),
        floats("intercepts", &[0.5, 0.0, -0.5]),
        ints("classlabels_ints", &[2, 4, 8]),
        int("multi_class", 1),
        string("post_transform", "LOGISTIC"),
    ];
    let scaler = [
        floats("offset", &[0.1, 0.2, -0.3, 0.0]),
        floats("scale", &[2.0, 0.5, 1.0, 3.0]),
    ];
    file.node("Scaler", "x", "s", &scaler);
    file.node("LinearClassifier", "s", "label raw", &classifier);
    file.node("Normalizer", "raw", "p", &[string("norm", "L1")]);
    let regressor = [
        floats("coefficients", &ramp(8)),
        floats("intercepts", &[1.0, 2.0]),
        int("targets", 2),
    ];
    file.node("LinearRegressor", "s", "r", &regressor);
    follows(&file, &reals(&[30, 4]), BYTES, "linear models");
}

#[test]
fn rows_are_normalised_by_each_norm() {
    for (norm, inputs) in [("L1", -1.0_f32), ("L2", -1.0), ("MAX", 0.05)] {
        let mut file = File::new(13);
        file.input("x", &[4]).output("y", &[4]);
        file.node("Normalizer", "x", "y", &[string("norm", norm)]);
        let values = ramp(40)
            .iter()
            .map(|x| x - (1.0 + inputs) + 2.0 * (1.0 + inputs))
            .collect();
        let inputs = of("x", &[10, 4], Elements::Fp32(values));
        follows(&file, &inputs, WIDE, norm);
    }
}
