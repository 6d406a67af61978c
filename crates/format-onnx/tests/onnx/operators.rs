//! Operators that random graphs do not reach, and what they leave alone.

use credence_format_onnx::reference::Runner;
use credence_import::{Elements, GraphOp, Tensor, Tensors, evaluate};

use crate::support::build::{File, floats, int, ints, string};
use crate::support::{fidelity, import_with, parse};

fn batch(name: &str, shape: &[u64], values: Vec<f32>) -> Tensors {
    let tensor = Tensor::new(name, shape.to_vec(), Elements::Fp32(values)).unwrap();
    Tensors::new(vec![tensor]).unwrap()
}

fn ramp(count: u16) -> Vec<f32> {
    (0..count).map(|k| f32::from(k % 37) / 18.0 - 1.0).collect()
}

/// Our reading and tract's agree on all outputs.
fn agrees(file: &File, inputs: &Tensors) {
    let onnx = parse(&file.bytes());
    let ours = evaluate(onnx.graph(), inputs).unwrap();
    let theirs = Runner::new(&onnx).unwrap().run(inputs).unwrap();
    for (a, b) in ours.iter().zip(theirs.iter()) {
        match (a.elements(), b.elements()) {
            (Elements::Fp32(x), Elements::Fp32(y)) => {
                assert_eq!(a.shape(), b.shape(), "{}", a.name());
                for (x, y) in x.iter().zip(y) {
                    assert!((x - y).abs() < 1e-4, "{}: {x} {y}", a.name());
                }
            }
            (x, y) => assert_eq!(x, y, "{}", a.name()),
        }
    }
}

#[test]
fn what_sklearn_emits_for_a_perceptron() {
    let mut file = File::new(13);
    file.input("x", &[4]).labels("label").output("p", &[3]);
    file.floats("w", &[4, 3], &ramp(12))
        .floats("b", &[1, 3], &[0.1, 0.2, -0.3]);
    file.longs("classes", &[10, 20, 30]).longs("shape", &[-1]);
    file.node(
        "Scaler",
        "x",
        "scaled",
        &[
            floats("offset", &[0.1, 0.2, 0.3, 0.4]),
            floats("scale", &[2.0, 1.0, 0.5, 1.0]),
        ],
    );
    file.node("Cast", "scaled", "cast", &[int("to", 1)]);
    file.node("MatMul", "cast w", "m", &[])
        .node("Add", "m b", "a", &[]);
    file.node("Softmax", "a", "soft", &[])
        .node("Identity", "soft", "p", &[]);
    file.node("ArgMax", "p", "best", &[int("axis", 1)]);
    file.node("ArrayFeatureExtractor", "classes best", "found", &[]);
    file.node("Reshape", "found shape", "flat", &[]);
    file.node("Cast", "flat", "label", &[int("to", 7)]);
    let inputs = batch("x", &[9, 4], ramp(36));
    agrees(&file, &inputs);
    let onnx = parse(&file.bytes());
    let imported = import_with(&onnx, Some(&inputs));
    let (fidelity, independent) = fidelity(&onnx, imported, &inputs);
    assert!(independent);
    let errors = fidelity.outputs[1].errors.unwrap();
    assert!(errors.max < 0.02, "{fidelity:?}");
}

#[test]
fn one_dimensional_layers() {
    let mut file = File::new(13);
    file.input("x", &[2, 11]).output("y", &[3]);
    file.floats("w", &[3, 2, 3], &ramp(18));
    file.node(
        "Conv",
        "x w",
        "c",
        &[
            ints("pads", &[1, 0]),
            ints("strides", &[2]),
            ints("dilations", &[2]),
        ],
    );
    file.node("MaxPool", "c", "m", &[ints("kernel_shape", &[2])]);
    file.node("GlobalAveragePool", "m", "g", &[]);
    file.longs("last", &[2]).node("Squeeze", "g last", "y", &[]);
    agrees(&file, &batch("x", &[3, 2, 11], ramp(66)));
}

#[test]
fn automatic_padding_above_and_below() {
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let mut file = File::new(13);
        let size = if mode == "VALID" { 2 } else { 3 };
        file.input("x", &[1, 5, 6]).output("y", &[2, size, size]);
        file.floats("w", &[2, 1, 2, 3], &ramp(12));
        let attributes = [string("auto_pad", mode), ints("strides", &[2, 2])];
        file.node("Conv", "x w", "y", &attributes);
        agrees(&file, &batch("x", &[2, 1, 5, 6], ramp(60)));
    }
}

#[test]
fn the_reference_keeps_a_step_in_front_of_padding() {
    // tract's optimiser does not; onnxruntime agrees with our reading.
    let mut file = File::new(13);
    file.input("x", &[1, 3, 4]).output("y", &[2, 4, 6]);
    file.floats("a", &[4, 1, 1, 1], &ramp(4))
        .floats("b", &[2, 4, 1, 1], &ramp(8))
        .floats("c", &[2], &[0.5, -0.5]);
    file.node("Conv", "x a", "v", &[ints("strides", &[2, 1])]);
    file.node("Conv", "v b c", "y", &[ints("pads", &[1; 4])]);
    agrees(&file, &batch("x", &[2, 1, 3, 4], ramp(24)));
}

#[test]
fn shapes_come_and_go() {
    let mut file = File::new(11);
    file.input("x", &[6]).output("y", &[3, 2]);
    file.longs("grid", &[0, 2, -1]);
    file.node("Reshape", "x grid", "a", &[]);
    file.node("Transpose", "a", "b", &[ints("perm", &[0, 2, 1])]);
    file.node("Unsqueeze", "b", "c", &[ints("axes", &[1, -1])]);
    file.node("Squeeze", "c", "d", &[ints("axes", &[1, 4])]);
    file.node("Dropout", "d", "e", &[]);
    // Before version 13 a softmax from axis 1 on is one over all.
    file.node("Softmax", "e", "y", &[int("axis", 1)]);
    let onnx = parse(&file.bytes());
    let inputs = batch("x", &[2, 6], ramp(12));
    let outputs = evaluate(onnx.graph(), &inputs).unwrap();
    let Elements::Fp32(y) = outputs.get("y").unwrap().elements() else {
        panic!("reals")
    };
    assert!((y[..6].iter().sum::<f32>() - 1.0).abs() < 1e-6);
    // Row-major [3, 2] of the transposed [2, 3]: the second is the fourth.
    assert!((y[1] / y[0] - (inputs_at(&inputs, 3) - inputs_at(&inputs, 0)).exp()).abs() < 1e-5);
}

fn inputs_at(inputs: &Tensors, at: usize) -> f32 {
    match inputs.iter().next().unwrap().elements() {
        Elements::Fp32(all) => all[at],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_zip_map_becomes_its_tensor_and_says_so() {
    let mut file = File::new(13);
    file.input("x", &[3]);
    file.node("Softmax", "x", "p", &[]);
    file.node(
        "ZipMap",
        "p",
        "maps",
        &[ints("classlabels_int64s", &[1, 2, 4])],
    );
    let mut maps = crate::support::build::port("maps", 1, &[]);
    maps.r#type = Some(tract_onnx::pb::TypeProto::default());
    file.graph().output.push(maps);
    let onnx = parse(&file.bytes());
    assert!(onnx.notes()[0].contains("[1, 2, 4]"), "{:?}", onnx.notes());
    agrees(&file, &batch("x", &[4, 3], ramp(12)));
}

#[test]
fn linear_models_of_sklearn() {
    let mut file = File::new(13);
    file.input("x", &[2])
        .labels("label")
        .output("p", &[3])
        .output("r", &[2]);
    let classifier = [
        floats("coefficients", &ramp(6)),
        floats("intercepts", &[0.5, 0.0, -0.5]),
        ints("classlabels_ints", &[2, 4, 8]),
        int("multi_class", 1),
        string("post_transform", "SOFTMAX"),
    ];
    file.node("LinearClassifier", "x", "label raw", &classifier);
    file.node("Normalizer", "raw", "p", &[string("norm", "L1")]);
    let regressor = [
        floats("coefficients", &ramp(4)),
        floats("intercepts", &[1.0, 2.0]),
        int("targets", 2),
    ];
    file.node("LinearRegressor", "x", "r", &regressor);
    agrees(&file, &batch("x", &[6, 2], ramp(12)));
}

#[test]
fn four_classes_of_opposite_halves_are_normalised() {
    let mut file = File::new(13);
    file.input("x", &[2]).labels("label").output("p", &[4]);
    let half = ramp(4);
    let turned = half.iter().map(|c| -c);
    let all: Vec<f32> = half.iter().copied().chain(turned).collect();
    let classifier = [
        floats("coefficients", &all),
        floats("intercepts", &[0.5, -0.25, -0.5, 0.25]),
        ints("classlabels_ints", &[1, 2, 3, 4]),
        int("multi_class", 1),
        string("post_transform", "LOGISTIC"),
    ];
    file.node("LinearClassifier", "x", "label raw", &classifier);
    file.node("Normalizer", "raw", "p", &[string("norm", "L1")]);
    agrees(&file, &batch("x", &[6, 2], ramp(12)));
}

#[test]
fn constants_may_stand_on_either_side_and_along_several_axes() {
    let mut file = File::new(13);
    file.input("x", &[2, 3, 4]).output("y", &[2, 3, 4]);
    file.floats("plane", &[3, 4], &ramp(12))
        .floats("channel", &[2, 1, 1], &[2.0, -4.0])
        .floats("one", &[1], &[1.0]);
    file.node("Mul", "plane x", "a", &[]);
    file.node("Sub", "one a", "b", &[]);
    file.node("Div", "b channel", "y", &[]);
    let inputs = batch("x", &[2, 2, 3, 4], ramp(48));
    agrees(&file, &inputs);
    let onnx = parse(&file.bytes());
    let imported = import_with(&onnx, Some(&inputs));
    let (fidelity, _) = fidelity(&onnx, imported, &inputs);
    assert!(
        fidelity.outputs[0].errors.unwrap().cosine > 0.999,
        "{fidelity:?}"
    );
}

#[test]
fn initializers_among_the_inputs_are_no_inputs_and_dead_nodes_are_dropped() {
    let mut file = File::new(13);
    file.input("x", &[2]).output("y", &[2]);
    let listed = crate::support::build::port("c", 1, &[]);
    file.graph().input.push(listed);
    file.floats("c", &[2], &[1.0, 2.0]);
    file.node("Add", "x c", "y", &[])
        .node("Relu", "y", "dead", &[]);
    let onnx = parse(&file.bytes());
    assert_eq!(onnx.graph().inputs().len(), 1);
    let relus = onnx
        .graph()
        .nodes()
        .iter()
        .filter(|node| matches!(node.op(), GraphOp::Clip { .. }));
    assert_eq!(relus.count(), 0);
}
