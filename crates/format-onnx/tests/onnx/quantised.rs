//! Files of 8-bit integers: their integers are the program's, nothing is calibrated, and answers are tract's to one step.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Engine, Isa, Options};
use credence_format_onnx::Onnx;
use credence_format_onnx::reference::Runner;
use credence_import::{Elements, Tensor, Tensors, evaluate};
use credence_model::Model;
use tract_onnx::pb::AttributeProto;

use crate::support::build::{File, int, ints};
use crate::support::{LIMITS, chain, import_with, parse};

const INT8: i32 = 3;
const UINT8: i32 = 2;
const INT32: i32 = 6;

/// Integers that look random, −range … range.
fn numbers(count: usize, range: i64, seed: u64) -> Vec<i64> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 40).unwrap() % (2 * range + 1) - range
    };
    core::iter::repeat_with(next).take(count).collect()
}

fn inputs(shape: &[u64]) -> Tensors {
    let cells = usize::try_from(shape.iter().product::<u64>()).unwrap();
    let all = numbers(cells, 1000, 77);
    let all = all
        .iter()
        .map(|&x| f32::from(i16::try_from(x).unwrap()) / 500.0);
    let elements = Elements::Fp32(all.collect());
    Tensors::new(vec![Tensor::new("x", shape.to_vec(), elements).unwrap()]).unwrap()
}

/// Initializers `NAME_s` and `NAME_z`.
fn grid(file: &mut File, name: &str, kind: i32, scales: &[f32], zeros: &[i64]) {
    let dims: Vec<i64> = if scales.len() == 1 {
        vec![]
    } else {
        vec![i64::try_from(scales.len()).unwrap()]
    };
    file.floats(&format!("{name}_s"), &dims, scales);
    file.ints(&format!("{name}_z"), kind, &dims, zeros);
}

/// `x → Q → DQ → y` under a grid.
fn rounded(file: &mut File, x: &str, y: &str, grid: &str) {
    file.node(
        "QuantizeLinear",
        &format!("{x} {grid}_s {grid}_z"),
        &format!("{y}_q"),
        &[],
    );
    file.node(
        "DequantizeLinear",
        &format!("{y}_q {grid}_s {grid}_z"),
        y,
        &[],
    );
}

fn floats_of(tensors: &Tensors) -> Vec<f32> {
    match tensors.iter().next().unwrap().elements() {
        Elements::Fp32(all) => all.clone(),
        other => panic!("{other:?}"),
    }
}

/// Imports without calibration, runs, and compares with tract in steps of this size. Returns the model and the share of outputs that are equal.
fn compared(file: &File, inputs: &Tensors, step: f32) -> (Arc<Model>, f32) {
    let onnx = parse(&file.bytes());
    let ours = floats_of(&evaluate(onnx.graph(), inputs).unwrap());
    let runner = Runner::new(&onnx).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let theirs = runner
        .run(inputs)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let theirs = floats_of(&theirs);
    let model = Arc::new(import_with(&onnx, None).model);
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let engine = Engine::new(Arc::clone(&model), options).unwrap();
    let run = engine.run(inputs).unwrap();
    let plain = credence_exec::reference::run(&model, inputs).unwrap();
    assert_eq!(run.trace.root(), plain.execution.trace.root(), "engines");
    let exact = floats_of(&run.outputs);
    assert_eq!(exact.len(), theirs.len());
    let mut equal = 0_u16;
    for ((x, a), b) in exact.iter().zip(&ours).zip(&theirs) {
        assert!((a - b).abs() <= 1.01 * step, "read {a} for tract's {b}");
        assert!(
            (x - b).abs() <= 1.01 * step,
            "{x} for tract's {b}, steps of {step}"
        );
        equal += u16::from((x - b).abs() < 0.01 * step);
    }
    (
        model,
        f32::from(equal) / f32::from(u16::try_from(exact.len()).unwrap()),
    )
}

/// Whether some parameter of the model holds just these bytes, in any order.
fn holds(model: &Model, weights: &[i64]) -> bool {
    let mut wanted: Vec<u8> = weights
        .iter()
        .map(|&w| i8::try_from(w).unwrap().to_le_bytes()[0])
        .collect();
    wanted.sort_unstable();
    model.params().iter().any(|bytes| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes == wanted
    })
}

/// A convolution, a pool and a matrix between roundings, as `quantize_static` writes them.
fn network(kind: i32, zero: i64, weights: &[Vec<i64>; 2]) -> File {
    let mut file = File::new(17);
    file.input("x", &[2, 5, 6]).output("y", &[3]);
    let shifted = if kind == UINT8 { 128 } else { 0 };
    grid(&mut file, "in", kind, &[0.0157], &[zero + shifted]);
    grid(&mut file, "mid", kind, &[0.021], &[-128 + shifted]);
    grid(&mut file, "out", kind, &[0.05], &[7 + shifted]);
    grid(&mut file, "w", INT8, &[0.01, 0.004, 0.02, 0.007], &[0; 4]);
    grid(&mut file, "v", INT8, &[0.013], &[0]);
    file.ints("w_q", INT8, &[4, 2, 3, 3], &weights[0]);
    file.ints("v_q", INT8, &[24, 3], &weights[1]);
    let bias_scales: Vec<f32> = [0.01, 0.004, 0.02, 0.007].map(|s| s * 0.0157).to_vec();
    file.floats("b_s", &[4], &bias_scales);
    file.ints("b_q", INT32, &[4], &[900, -400, 0, 2000]);
    rounded(&mut file, "x", "a", "in");
    file.node("DequantizeLinear", "w_q w_s w_z", "w", &[int("axis", 0)])
        .node("DequantizeLinear", "v_q v_s v_z", "v", &[])
        .node("DequantizeLinear", "b_q b_s", "b", &[int("axis", 0)]);
    let attributes = [ints("pads", &[1, 1, 1, 1]), ints("kernel_shape", &[3, 3])];
    file.node("Conv", "a w b", "c", &attributes)
        .node("Relu", "c", "r", &[]);
    rounded(&mut file, "r", "d", "mid");
    let pool = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    file.node("MaxPool", "d", "p", &pool);
    rounded(&mut file, "p", "e", "mid");
    file.node("Flatten", "e", "f", &[]);
    rounded(&mut file, "f", "g", "mid");
    file.node("MatMul", "g v", "h", &[]);
    rounded(&mut file, "h", "y", "out");
    file
}

#[test]
fn roundings_around_operators_keep_the_files_integers() {
    for (kind, zero) in [(UINT8, -3), (INT8, 0), (INT8, 20)] {
        let mut weights = [numbers(72, 127, 1), numbers(72, 127, 2)];
        weights[0][5] = -128;
        let file = network(kind, zero, &weights);
        let (model, equal) = compared(&file, &inputs(&[40, 2, 5, 6]), 0.05);
        assert!(equal > 0.97, "{kind} {zero}: {equal} equal");
        for weights in &weights {
            assert!(
                holds(&model, weights),
                "{kind} {zero}: weights were rounded anew"
            );
        }
    }
}

#[test]
fn weights_of_another_rounding_are_not_those_of_the_file() {
    // The twin that must fail: the same file, its first weight one step away.
    let weights = [numbers(72, 127, 1), numbers(72, 127, 2)];
    let file = network(UINT8, -3, &weights);
    let model = import_with(&parse(&file.bytes()), None).model;
    let mut other = weights[0].clone();
    other[0] += if other[0] < 127 { 1 } else { -1 };
    assert!(holds(&model, &weights[0]) && !holds(&model, &other));
}

#[test]
fn operators_of_integers_are_the_same() {
    let weights = [numbers(72, 127, 3), numbers(72, 120, 4)];
    let mut file = File::new(17);
    file.input("x", &[2, 5, 6]).output("y", &[3]);
    grid(&mut file, "in", UINT8, &[0.0157], &[125]);
    grid(&mut file, "mid", UINT8, &[0.03], &[100]);
    grid(&mut file, "out", UINT8, &[0.06], &[130]);
    grid(&mut file, "w", INT8, &[0.01, 0.004, 0.02, 0.007], &[0; 4]);
    grid(&mut file, "v", INT8, &[0.013], &[0]);
    file.ints("w", INT8, &[4, 2, 3, 3], &weights[0]);
    file.ints("v", INT8, &[24, 3], &weights[1]);
    file.ints("b", INT32, &[4], &[900, -400, 0, 2000]);
    file.longs("shape", &[-1, 24]);
    file.node("QuantizeLinear", "x in_s in_z", "a", &[]);
    let attributes = [ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
    file.node(
        "QLinearConv",
        "a in_s in_z w w_s w_z mid_s mid_z b",
        "c",
        &attributes,
    );
    let shape = file
        .graph()
        .initializer
        .iter_mut()
        .find(|t| t.name == "shape");
    shape.unwrap().int64_data = vec![0, -1];
    file.graph().initializer.iter_mut().for_each(|t| {
        if t.name == "v" {
            t.dims = vec![36, 2];
        }
    });
    file.graph().output.clear();
    file.output("y", &[2]);
    file.node("Reshape", "c shape", "f", &[]);
    file.node(
        "QLinearMatMul",
        "f mid_s mid_z v v_s v_z out_s out_z",
        "q",
        &[],
    );
    file.node("DequantizeLinear", "q out_s out_z", "y", &[]);
    let (model, equal) = compared(&file, &inputs(&[40, 2, 5, 6]), 0.06);
    assert!(equal > 0.97, "{equal} equal");
    assert!(weights.iter().all(|weights| holds(&model, weights)));
}

#[test]
fn sums_of_integers_are_exact() {
    let weights = [numbers(36, 127, 5), numbers(24, 127, 6)];
    let mut file = File::new(17);
    file.input("x", &[2, 4, 4]).output("y", &[2, 4, 4]);
    grid(&mut file, "in", UINT8, &[0.0157], &[121]);
    file.ints("w", INT8, &[2, 2, 3, 3], &weights[0]);
    file.floats("gain", &[], &[0.0003]);
    file.node("QuantizeLinear", "x in_s in_z", "a", &[]);
    file.node("ConvInteger", "a w in_z", "i", &[ints("pads", &[1; 4])]);
    file.node("Cast", "i", "f", &[int("to", 1)]);
    file.node("Mul", "f gain", "y", &[]);
    let (model, equal) = compared(&file, &inputs(&[10, 2, 4, 4]), 1e-4);
    assert!(equal > 0.99, "{equal} equal");
    assert!(holds(&model, &weights[0]));

    let mut file = File::new(17);
    file.input("x", &[6]).output("y", &[4]);
    grid(&mut file, "in", UINT8, &[0.0157], &[121]);
    file.ints("w", INT8, &[6, 4], &weights[1]);
    file.floats("gain", &[4], &[0.0003, 0.001, 0.0002, 0.0007]);
    file.node("QuantizeLinear", "x in_s in_z", "a", &[]);
    file.node("MatMulInteger", "a w in_z", "i", &[]);
    file.node("Cast", "i", "f", &[int("to", 1)]);
    file.node("Mul", "f gain", "y", &[]);
    let (model, equal) = compared(&file, &inputs(&[10, 6]), 1e-4);
    assert!(equal > 0.99, "{equal} equal");
    assert!(holds(&model, &weights[1]));
}

#[test]
fn sums_and_functions_of_rounded_values_follow() {
    let mut file = File::new(17);
    file.input("x", &[2, 4, 4]).output("y", &[2, 2, 2]);
    grid(&mut file, "in", UINT8, &[0.0157], &[121]);
    grid(&mut file, "act", UINT8, &[0.004], &[3]);
    grid(&mut file, "sum", INT8, &[0.02], &[-11]);
    // No mean of four steps of 0.02 lies between two steps of this: halves are rounded to even there, up here.
    grid(&mut file, "out", UINT8, &[0.0173], &[90]);
    rounded(&mut file, "x", "a", "in");
    file.node("Sigmoid", "a", "s", &[]);
    rounded(&mut file, "s", "g", "act");
    file.node("Mul", "a g", "m", &[]);
    rounded(&mut file, "m", "n", "sum");
    file.node("Add", "n a", "t", &[]);
    rounded(&mut file, "t", "u", "sum");
    let pool = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    file.node("AveragePool", "u", "p", &pool);
    rounded(&mut file, "p", "y", "out");
    let (_, equal) = compared(&file, &inputs(&[20, 2, 4, 4]), 0.0173);
    assert!(equal > 0.95, "{equal} equal");
}

#[test]
fn hostile_grids_are_refused_by_name() {
    type Change = fn(&mut File);
    fn set(file: &mut File, name: &str, floats: &[f32]) {
        let all = &mut file.graph().initializer;
        let found = all.iter_mut().find(|t| t.name == name).unwrap();
        found.dims = if floats.len() == 1 {
            vec![]
        } else {
            vec![i64::try_from(floats.len()).unwrap()]
        };
        found.raw_data = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
    }
    fn kind(file: &mut File, name: &str, kind: i32) {
        let all = &mut file.graph().initializer;
        all.iter_mut().find(|t| t.name == name).unwrap().data_type = kind;
    }
    fn attribute(file: &mut File, attribute: AttributeProto) {
        file.graph().node[0].attribute.push(attribute);
    }
    let cases: [(&str, Change); 10] = [
        ("no scale", |f| set(f, "in_s", &[0.0])),
        ("a negative scale", |f| set(f, "in_s", &[-1.0])),
        ("no number", |f| set(f, "in_s", &[f32::NAN])),
        ("an endless scale", |f| set(f, "in_s", &[f32::INFINITY])),
        ("a scale for each channel", |f| set(f, "in_s", &[0.1, 0.2])),
        ("another type behind", |f| {
            f.graph().node[1].input[2] = "v_z".to_owned();
        }),
        ("three scales for four channels", |f| {
            set(f, "w_s", &[0.1; 3])
        }),
        ("a zero point of another type", |f| kind(f, "in_z", 9)),
        ("blocks", |f| attribute(f, int("block_size", 16))),
        ("another type of result", |f| {
            attribute(f, int("output_dtype", 4))
        }),
    ];
    let weights = [numbers(72, 127, 1), numbers(72, 127, 2)];
    for (what, change) in cases {
        let mut file = network(UINT8, -3, &weights);
        change(&mut file);
        let error = Onnx::parse(&file.bytes(), LIMITS).err();
        let error = error.unwrap_or_else(|| panic!("{what} is taken"));
        assert!(chain(&error).contains('`'), "{what}: {error}");
    }
    let mut file = File::new(17);
    file.input("x", &[4]).output("y", &[4]);
    file.node("DynamicQuantizeLinear", "x", "q s z", &[]).node(
        "DequantizeLinear",
        "q s z",
        "y",
        &[],
    );
    let error = Onnx::parse(&file.bytes(), LIMITS).unwrap_err().to_string();
    assert!(
        error.contains("DynamicQuantizeLinear") && error.contains("quantize_static"),
        "{error}"
    );
    assert!(!error.contains("not imported; supported"), "{error}");
}
