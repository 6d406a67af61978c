//! Graphs of ops on values: what the lowering makes of them follows the f64 evaluation, and what exporters take apart is put together again.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Isa, Options};
use credence_import::fidelity::measure;
use credence_import::{
    AffineOp, BorderType, Clipping, Combination, Elementary, Elements, Formula, Function, Graph,
    GraphBuilder, GraphOp, ImportOptions, Imported, Run, Tensor, Tensors, ValueId, evaluate,
    import,
};

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(state >> 16).unwrap()) / 32_768.0 - 1.0
    };
    core::iter::repeat_with(next).take(count).collect()
}

fn inputs(shape: &[usize], count: u64) -> Tensors {
    let cells = shape.iter().product::<usize>() * usize::try_from(count).unwrap();
    let mut dims = vec![count];
    dims.extend(shape.iter().map(|&dim| u64::try_from(dim).unwrap()));
    let elements = Elements::Fp32(numbers(cells, 5));
    Tensors::new(vec![Tensor::new("x", dims, elements).unwrap()]).unwrap()
}

/// A graph of one input, and its last value as the output.
fn graph(shape: &[usize], build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let mut builder = GraphBuilder::new();
    let x = builder
        .input("x", BorderType::Fp32, shape.to_vec())
        .unwrap();
    let y = build(&mut builder, x);
    builder.output("y", y).unwrap();
    builder.finish().unwrap()
}

/// Imports and compares; returns the model and the cosine.
fn checked(graph: &Graph, inputs: &Tensors) -> (Imported, f64) {
    let options = ImportOptions {
        calibration: Some(inputs),
        clipping: Clipping::LeastError,
        source: &[],
    };
    let imported = import(graph, &options).unwrap_or_else(|error| panic!("{error:?}"));
    let again = import(graph, &options).unwrap();
    assert_eq!(imported.model.id(), again.model.id());
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let reference = evaluate(graph, inputs).unwrap();
    let model = Arc::new(again.model);
    let fidelity = measure(&model, inputs, &reference, options).unwrap();
    // The plain engine agrees on every bit of outputs and trace.
    let fast = credence_exec::Engine::new(Arc::clone(&model), options).unwrap();
    let fast = fast.run(inputs).unwrap();
    let plain = credence_exec::reference::run(&model, inputs)
        .unwrap()
        .execution;
    assert_eq!(fast.outputs, plain.outputs);
    assert_eq!(fast.trace.root(), plain.trace.root());
    let cosine = fidelity.outputs[0].errors.unwrap().cosine;
    (imported, cosine)
}

fn ops(imported: &Imported) -> Vec<&'static str> {
    let nodes = imported.model.program().nodes();
    nodes.map(|(_, node, _)| node.op.name()).collect()
}

fn affine(x: ValueId, scale: f64, shift: f64) -> GraphOp {
    GraphOp::Affine(AffineOp {
        x,
        axis: 0,
        scale: vec![scale],
        shift: vec![shift],
    })
}

fn unary(x: ValueId, formula: Formula) -> GraphOp {
    GraphOp::Unary {
        x,
        function: Function::Formula(Arc::new(formula)),
    }
}

const SHAPE: [usize; 3] = [4, 6, 5];

type Build = fn(&mut GraphBuilder, ValueId) -> ValueId;

fn turned(b: &mut GraphBuilder, x: ValueId, order: [usize; 3]) -> ValueId {
    let order = order.to_vec();
    b.push("turned", GraphOp::Transpose { x, order }).unwrap()
}

/// One cell of an axis, spread over all of it.
fn repeated(b: &mut GraphBuilder, x: ValueId, axis: usize, start: usize) -> ValueId {
    let run = Run {
        start,
        step: 1,
        count: 1,
    };
    let x = b.push("one", GraphOp::Slice { x, axis, run }).unwrap();
    let shape = SHAPE.to_vec();
    b.push("all", GraphOp::Expand { x, shape }).unwrap()
}

fn product(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let other = turned(b, x, [0, 1, 2]);
    let other = b.push("s", affine(other, -0.5, 0.25)).unwrap();
    let gate = repeated(b, other, 1, 2);
    b.push("mul", GraphOp::Mul { a: x, b: gate }).unwrap()
}

fn quotient(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let formula = Formula::x().apply(Elementary::Exp);
    let exp = b.push("exp", unary(x, formula)).unwrap();
    let first = repeated(b, exp, 0, 1);
    b.push("div", GraphOp::Div { a: x, b: first }).unwrap()
}

fn matrices(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let other = turned(b, x, [0, 2, 1]);
    b.push("m", GraphOp::MatMul { a: x, b: other }).unwrap()
}

fn largest(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let x = turned(b, x, [2, 0, 1]);
    b.push("max", GraphOp::Max { x }).unwrap()
}

fn normalised(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let x = b.push("s", affine(x, 3.0, 5.0)).unwrap();
    let op = GraphOp::Normalise {
        x,
        epsilon: 1e-5,
        centred: true,
    };
    b.push("n", op).unwrap()
}

fn backwards(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let run = Run {
        start: 4,
        step: -2,
        count: 3,
    };
    b.push("s", GraphOp::Slice { x, axis: 2, run }).unwrap()
}

fn padded(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let op = GraphOp::Pad {
        x,
        axis: 1,
        counts: [2, 1],
        value: -0.5,
    };
    b.push("p", op).unwrap()
}

fn gains(b: &mut GraphBuilder, x: ValueId) -> ValueId {
    let op = AffineOp {
        x,
        axis: 1,
        scale: vec![1.0, -2.0, 0.5, 3.0, 0.0, -0.1],
        shift: vec![0.5, 0.0, 1.0, -1.0, 2.0, 0.0],
    };
    b.push("a", GraphOp::Affine(op)).unwrap()
}

#[test]
fn each_op_on_values_follows_the_evaluation() {
    let cases: [(&str, Build); 9] = [
        ("product", product),
        ("quotient", quotient),
        ("matrices", matrices),
        ("sum", |b, x| b.push("sum", GraphOp::Sum { x }).unwrap()),
        ("largest", largest),
        ("normalised", normalised),
        ("backwards", backwards),
        ("padded", padded),
        ("gains", gains),
    ];
    for (name, build) in cases {
        let graph = graph(&SHAPE, build);
        let (_, cosine) = checked(&graph, &inputs(&SHAPE, 16));
        assert!(cosine > 0.9999, "{name}: {cosine}");
    }
}

#[test]
fn a_softmax_over_many_classes_sums_to_one_in_pieces() {
    let graph = graph(&[2, 2500], |b, x| {
        let x = b.push("s", affine(x, 9.0, 0.0)).unwrap();
        b.push("soft", GraphOp::Softmax { x }).unwrap()
    });
    let (imported, cosine) = checked(&graph, &inputs(&[2, 2500], 4));
    assert!(cosine > 0.999, "{cosine}");
    assert!(ops(&imported).contains(&"divide"));
}

/// `x` repeated along an axis from a value without it.
fn spread(b: &mut GraphBuilder, x: ValueId, to: [usize; 2], axis: usize) -> ValueId {
    let mut one = to.to_vec();
    one[axis] = 1;
    let x = b.push("one", GraphOp::Reshape { x, shape: one }).unwrap();
    let shape = to.to_vec();
    b.push("all", GraphOp::Expand { x, shape }).unwrap()
}

fn mean(b: &mut GraphBuilder, x: ValueId, count: u32) -> ValueId {
    let sum = b.push("sum", GraphOp::Sum { x }).unwrap();
    b.push("mean", affine(sum, 1.0 / f64::from(count), 0.0))
        .unwrap()
}

#[test]
fn a_normalisation_taken_apart_becomes_one() {
    let root = |epsilon: f64| Formula::x().scaled(1.0, epsilon).apply(Elementary::Sqrt);
    let to = [3, 20];
    let graph = graph(&to, |b, x| {
        let average = mean(b, x, 20);
        let average = spread(b, average, to, 1);
        let subtract = true;
        let d = b
            .push(
                "d",
                GraphOp::Add {
                    a: x,
                    b: average,
                    subtract,
                },
            )
            .unwrap();
        let square = b.push("sq", GraphOp::Mul { a: d, b: d }).unwrap();
        let variance = mean(b, square, 20);
        let root = b.push("root", unary(variance, root(1e-5))).unwrap();
        let root = spread(b, root, to, 1);
        b.push("n", GraphOp::Div { a: d, b: root }).unwrap()
    });
    let (imported, cosine) = checked(&graph, &inputs(&to, 20));
    assert!(cosine > 0.9999, "{cosine}");
    let ops = ops(&imported);
    assert!(
        ops.contains(&"rms_ratio") && !ops.contains(&"table"),
        "{ops:?}"
    );
}

#[test]
fn what_only_looks_like_a_normalisation_stays_as_it_is() {
    // The mean of squares of x, not of what is left of x: no normalisation of d.
    let to = [3, 20];
    let graph = graph(&to, |b, x| {
        let average = mean(b, x, 20);
        let average = spread(b, average, to, 1);
        let subtract = true;
        let d = b
            .push(
                "d",
                GraphOp::Add {
                    a: x,
                    b: average,
                    subtract,
                },
            )
            .unwrap();
        let square = b.push("sq", GraphOp::Mul { a: x, b: x }).unwrap();
        let squares = mean(b, square, 20);
        let by = Formula::x().scaled(1.0, 0.1).apply(Elementary::Sqrt);
        let root = b.push("root", unary(squares, by)).unwrap();
        let root = spread(b, root, to, 1);
        b.push("n", GraphOp::Div { a: d, b: root }).unwrap()
    });
    let (imported, cosine) = checked(&graph, &inputs(&to, 20));
    assert!(cosine > 0.999, "{cosine}");
    assert!(!ops(&imported).contains(&"rms_ratio"));
}

#[test]
fn gates_become_one_table() {
    let graph = graph(&[30], |b, x| {
        let x = b.push("s", affine(x, 6.0, 0.0)).unwrap();
        let gate = b
            .push(
                "g",
                GraphOp::Unary {
                    x,
                    function: Function::Sigmoid,
                },
            )
            .unwrap();
        b.push("m", GraphOp::Mul { a: x, b: gate }).unwrap()
    });
    let (imported, cosine) = checked(&graph, &inputs(&[30], 20));
    assert!(cosine > 0.9999, "{cosine}");
    let ops = ops(&imported);
    assert!(!ops.contains(&"mul"), "{ops:?}");
    assert_eq!(
        ops.iter().filter(|op| **op == "table").count(),
        1,
        "{ops:?}"
    );
}

#[test]
fn rows_take_up_what_stands_behind_them_and_refuse_other_numbers() {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", BorderType::Int64, vec![7]).unwrap();
    let op = GraphOp::Rows {
        x,
        table: numbers(40, 3),
        width: 4,
    };
    let rows = builder.push("rows", op).unwrap();
    let by = Formula::x().with(Combination::Multiply, &Formula::x());
    let y = builder.push("sq", unary(rows, by)).unwrap();
    builder.output("y", y).unwrap();
    let graph = builder.finish().unwrap();
    let tensors = |all: Vec<i64>| {
        let tensor = Tensor::new("x", vec![1, 7], Elements::Int64(all)).unwrap();
        Tensors::new(vec![tensor]).unwrap()
    };
    let (imported, cosine) = checked(&graph, &tensors(vec![0, 9, 3, 3, 1, 2, 8]));
    assert!(cosine > 0.999_999, "{cosine}");
    assert_eq!(ops(&imported), ["input", "gather"]);
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let engine = credence_exec::Engine::new(Arc::new(imported.model), options).unwrap();
    let outside = tensors(vec![0, 10, 0, 0, 0, 0, 0]);
    assert!(engine.run(&outside).is_err(), "row 10 of ten");
}

#[test]
fn few_large_elements_among_small_ones_are_read_in_two_limbs() {
    let graph = graph(&[1, 40], |b, x| {
        // x¹⁵¹: mostly near 0.
        let by = Formula::x().with_number(Combination::Power, 151.0);
        let peaks = b.push("peaks", unary(x, by)).unwrap();
        let weight = numbers(3 * 40, 9);
        let op = credence_import::LinearOp {
            x: peaks,
            rows: 3,
            weight,
            bias: vec![],
            steps: Vec::new(),
        };
        b.push("l", GraphOp::Linear(op)).unwrap()
    });
    let (imported, cosine) = checked(&graph, &inputs(&[1, 40], 200));
    assert!(cosine > 0.999, "{cosine}");
    let products = ops(&imported).iter().filter(|op| **op == "linear").count();
    assert_eq!(products, 2);
}

/// Channels of very different size through a convolution of each by itself, and back to one size.
fn channels_apart(b: &mut GraphBuilder, x: ValueId, rectified: bool) -> ValueId {
    let sizes = [4.0, 0.3, 0.05, 0.9];
    let along = |scale: Vec<f64>, x| {
        GraphOp::Affine(AffineOp {
            x,
            axis: 0,
            shift: vec![0.0; scale.len()],
            scale,
        })
    };
    let one = credence_import::Window {
        kernel: [1, 1],
        stride: [1, 1],
        pad: [0; 4],
        dilation: [1, 1],
    };
    let mix = credence_import::ConvOp {
        x,
        channels: 4,
        weight: numbers(16, 21),
        bias: vec![],
        steps: Vec::new(),
        window: one,
        groups: 1,
    };
    let mixed = b.push("mix", GraphOp::Conv(mix)).unwrap();
    let mut x = b.push("apart", along(sizes.to_vec(), mixed)).unwrap();
    if rectified {
        let (min, max) = (0.0, f64::INFINITY);
        x = b.push("relu", GraphOp::Clip { x, min, max }).unwrap();
    } else {
        let by = Formula::x().apply(Elementary::Tanh);
        x = b.push("tanh", unary(x, by)).unwrap();
    }
    let each = credence_import::ConvOp {
        x,
        channels: 4,
        weight: numbers(36, 22),
        bias: numbers(4, 23).iter().map(|b| b / 100.0).collect(),
        steps: Vec::new(),
        window: credence_import::Window {
            kernel: [3, 3],
            pad: [1; 4],
            ..one
        },
        groups: 4,
    };
    let y = b.push("each", GraphOp::Conv(each)).unwrap();
    let back = sizes.map(|size| 1.0 / size).to_vec();
    b.push("back", along(back, y)).unwrap()
}

#[test]
fn channels_of_different_size_keep_a_scale_each() {
    for rectified in [true, false] {
        let graph = graph(&SHAPE, |b, x| channels_apart(b, x, rectified));
        let (imported, cosine) = checked(&graph, &inputs(&SHAPE, 40));
        // At one scale the third channel would have two steps: a cosine of 0.97.
        assert!(cosine > 0.9997, "{rectified}: {cosine}");
        let products = ops(&imported).iter().filter(|op| **op == "conv").count();
        assert_eq!(products, 2, "no limbs: {:?}", ops(&imported));
    }
}
