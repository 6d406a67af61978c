//! Operators on values, shapes and parts: our reading against tract's, and what is refused by name.

use credence_format_onnx::reference::Runner;
use credence_format_onnx::{Limits, Onnx};
use credence_import::{Elements, Tensor, Tensors, evaluate};
use tract_onnx::pb::AttributeProto;

use crate::support::build::{File, float, int, ints, string};
use crate::support::{LIMITS, chain, parse};

fn ramp(count: u16) -> Vec<f32> {
    (0..count).map(|k| f32::from(k % 37) / 18.0 - 1.0).collect()
}

fn batch(shape: &[u64]) -> Tensors {
    let cells = u16::try_from(shape.iter().product::<u64>()).unwrap();
    let tensor = Tensor::new("x", shape.to_vec(), Elements::Fp32(ramp(cells))).unwrap();
    Tensors::new(vec![tensor]).unwrap()
}

/// A file of one input, one node, and an output of this shape.
fn one(op: &str, shape: &[i64], to: &[i64], more: &str, attributes: &[AttributeProto]) -> File {
    let mut file = File::new(if op == "Gelu" || op == "Mish" { 20 } else { 17 });
    file.input("x", shape).output("y", to);
    file.floats("c", &[1, 3, 1], &[0.5, -1.0, 2.0])
        .floats("low", &[], &[0.2])
        .longs("one", &[1])
        .longs("two", &[2])
        .longs("ends", &[-1])
        .longs("steps", &[2]);
    file.node(op, &format!("x {more}"), "y", attributes);
    file
}

fn agrees(file: &File, inputs: &Tensors, what: &str) {
    let onnx = parse(&file.bytes());
    let ours = evaluate(onnx.graph(), inputs).unwrap();
    let theirs = match Runner::new(&onnx).and_then(|runner| runner.run(inputs)) {
        Ok(theirs) => theirs,
        Err(error) => panic!("{what}: {}", chain(&error)),
    };
    for (a, b) in ours.iter().zip(theirs.iter()) {
        assert_eq!(a.shape(), b.shape(), "{what}");
        let (Elements::Fp32(x), Elements::Fp32(y)) = (a.elements(), b.elements()) else {
            panic!("{what}: reals")
        };
        for (x, y) in x.iter().zip(y) {
            assert!((x - y).abs() < 2e-4 * y.abs().max(1.0), "{what}: {x} {y}");
        }
    }
}

#[test]
fn functions_are_tracts() {
    let all = [
        "Abs",
        "Ceil",
        "Cos",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "HardSigmoid",
        "HardSwish",
        "Neg",
        "Sign",
        "Sin",
        "Softplus",
        "Softsign",
        "Selu",
        "Tanh",
    ];
    for op in all {
        let file = one(op, &[2, 3, 4], &[2, 3, 4], "", &[]);
        agrees(&file, &batch(&[2, 2, 3, 4]), op);
    }
}

#[test]
fn arithmetic_broadcasts_as_tract_has_it() {
    let sides = [
        ("Mul", "c"),
        ("Add", "c"),
        ("Max", "c low"),
        ("Min", "low"),
        ("PRelu", "c"),
        ("Pow", "two_f"),
    ];
    for (op, more) in sides {
        let mut file = one(op, &[2, 3, 4], &[2, 3, 4], more, &[]);
        file.floats("two_f", &[], &[2.0]);
        agrees(&file, &batch(&[2, 2, 3, 4]), op);
    }
    let mut file = File::new(17);
    file.input("x", &[2, 3, 4]).output("y", &[2, 3, 4]);
    file.node("ReduceMax", "x", "m", &[ints("axes", &[-1])]);
    file.node("Sub", "x m", "d", &[]).node("Exp", "d", "e", &[]);
    file.longs("last", &[3]);
    file.node("ReduceSum", "e last", "s", &[])
        .node("Div", "e s", "y", &[]);
    agrees(&file, &batch(&[2, 2, 3, 4]), "a softmax taken apart");
}

#[test]
fn reductions_keep_and_drop_their_axes() {
    for op in [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
    ] {
        for (axes, keep, to) in [
            (vec![2, 3], 1, vec![2, 1, 1]),
            (vec![-2], 0, vec![2, 4]),
            (vec![1, 3], 0, vec![3]),
        ] {
            let attributes = [ints("axes", &axes), int("keepdims", keep)];
            let file = one(op, &[2, 3, 4], &to, "", &attributes);
            agrees(&file, &batch(&[2, 2, 3, 4]), op);
        }
    }
}

#[test]
fn parts_are_numpys() {
    let pads = |file: &mut File| {
        file.longs("pads", &[0, 0, 1, 0, 0, 0, 2, 1]);
    };
    let mut file = one("Slice", &[2, 3, 5], &[2, 3, 2], "one ends three steps", &[]);
    file.longs("three", &[3]);
    agrees(&file, &batch(&[2, 2, 3, 5]), "slice");
    let mut file = one(
        "Gather",
        &[2, 3, 5],
        &[2, 3, 3],
        "picked",
        &[int("axis", 3)],
    );
    file.longs("picked", &[4, 0, -2]);
    agrees(&file, &batch(&[2, 2, 3, 5]), "gather");
    for mode in ["constant", "reflect", "edge"] {
        let mut file = one(
            "Pad",
            &[2, 4, 5],
            &[2, 7, 6],
            "pads",
            &[string("mode", mode)],
        );
        pads(&mut file);
        agrees(&file, &batch(&[2, 2, 4, 5]), mode);
    }
    let mut file = one("Tile", &[2, 3, 1], &[2, 6, 3], "times", &[]);
    file.longs("times", &[1, 1, 2, 3]);
    agrees(&file, &batch(&[2, 2, 3, 1]), "tile");
    let mut file = one("Expand", &[2, 3, 1], &[2, 3, 4], "shape", &[]);
    file.longs("shape", &[1, 2, 3, 4]);
    agrees(&file, &batch(&[2, 2, 3, 1]), "expand");
}

#[test]
fn enlargements_repeat() {
    let attributes = [
        string("mode", "nearest"),
        string("coordinate_transformation_mode", "asymmetric"),
        string("nearest_mode", "floor"),
    ];
    let mut file = File::new(13);
    file.input("x", &[2, 3, 4]).output("y", &[2, 6, 12]);
    file.floats("scales", &[4], &[1.0, 1.0, 2.0, 3.0]);
    file.floats("none", &[0], &[]);
    file.node("Resize", "x none scales", "y", &attributes);
    let onnx = parse(&file.bytes());
    let inputs = batch(&[1, 2, 3, 4]);
    let ours = evaluate(onnx.graph(), &inputs).unwrap();
    let (Elements::Fp32(x), Elements::Fp32(y)) = (
        inputs.iter().next().unwrap().elements(),
        ours.iter().next().unwrap().elements(),
    ) else {
        panic!("reals")
    };
    for (at, y) in y.iter().enumerate() {
        let (c, i, j) = (at / 72, at / 12 % 6, at % 12);
        assert_eq!(*y, x[c * 12 + i / 2 * 4 + j / 3]);
    }
}

#[test]
fn transposed_convolutions_of_every_kind() {
    for (kernel, stride, pad, more, groups) in [
        (2, 2, 0, 0, 1),
        (3, 2, 1, 1, 1),
        (3, 1, 1, 0, 1),
        (4, 2, 1, 0, 2),
        (2, 3, 0, 0, 1),
        (5, 3, 2, 2, 2),
    ] {
        let out = |length: i64| stride * (length - 1) + more + kernel - 2 * pad;
        let mut file = File::new(13);
        file.input("x", &[4, 3, 5])
            .output("y", &[3 * groups, out(3), out(5)]);
        let cells = u16::try_from(4 * 3 * kernel * kernel).unwrap();
        file.floats("w", &[4, 3, kernel, kernel], &ramp(cells));
        let bias: Vec<f32> = ramp(u16::try_from(3 * groups).unwrap());
        file.floats("b", &[3 * groups], &bias);
        let attributes = [
            ints("strides", &[stride; 2]),
            ints("pads", &[pad; 4]),
            ints("output_padding", &[more; 2]),
            int("group", groups),
        ];
        file.node("ConvTranspose", "x w b", "y", &attributes);
        agrees(
            &file,
            &batch(&[2, 4, 3, 5]),
            &format!("{kernel} {stride} {pad} {more} {groups}"),
        );
    }
}

#[test]
fn attention_with_its_batch_moved_away_and_back() {
    let mut file = File::new(13);
    file.input("x", &[5, 6]).output("y", &[5, 6]);
    file.floats("w", &[6, 18], &ramp(108));
    file.longs("split", &[0, 5, 3, 2, 3])
        .longs("joined", &[0, 5, 6]);
    for (k, name) in ["zero", "one", "two", "three"].iter().enumerate() {
        file.longs(name, &[i64::try_from(k).unwrap()]);
    }
    file.node("MatMul", "x w", "all", &[]);
    file.node("Reshape", "all split", "heads", &[]);
    file.node(
        "Transpose",
        "heads",
        "qkv",
        &[ints("perm", &[2, 0, 3, 1, 4])],
    );
    for (name, from, to) in [
        ("q", "zero", "one"),
        ("k", "one", "two"),
        ("v", "two", "three"),
    ] {
        file.node(
            "Slice",
            &format!("qkv {from} {to} zero"),
            &format!("{name}1"),
            &[],
        );
        file.node("Squeeze", &format!("{name}1 zero"), name, &[]);
    }
    file.node("Transpose", "k", "kt", &[ints("perm", &[0, 1, 3, 2])]);
    file.node("MatMul", "q kt", "scores", &[]);
    file.node("Softmax", "scores", "p", &[int("axis", 3)]);
    file.node("MatMul", "p v", "heads2", &[]);
    file.node("Transpose", "heads2", "z", &[ints("perm", &[0, 2, 1, 3])]);
    file.node("Reshape", "z joined", "y", &[]);
    agrees(&file, &batch(&[2, 5, 6]), "attention");
}

#[test]
fn shapes_are_constants_in_which_the_batch_is_open() {
    let mut file = File::new(13);
    file.input("x", &[2, 6]).output("y", &[3, 4]);
    file.longs("first", &[0])
        .longs("next", &[1])
        .longs("rest", &[3, -1]);
    file.node("Shape", "x", "s", &[]);
    file.node("Slice", "s first next", "n", &[]);
    file.node("Concat", "n rest", "t", &[int("axis", 0)]);
    file.node("Reshape", "x t", "y", &[]);
    agrees(&file, &batch(&[2, 2, 6]), "a shape");
}

#[test]
fn symbolic_dimensions_are_bound_by_name_or_place() {
    use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
    use tract_onnx::pb::type_proto::Value;
    let mut file = one("Relu", &[2, 3], &[2, 3], "", &[]);
    let kind = file.graph().input[0].r#type.as_mut().unwrap();
    let Some(Value::TensorType(tensor)) = kind.value.as_mut() else {
        panic!("a tensor")
    };
    let dims = &mut tensor.shape.as_mut().unwrap().dim;
    dims[1].value = Some(Dim::DimParam("T".to_owned()));
    dims[2].value = Some(Dim::DimParam("T".to_owned()));
    let with = |dims: &[(&str, usize)]| {
        let dims: Vec<_> = dims
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size))
            .collect();
        Onnx::parse_with(&file.bytes(), LIMITS, &dims)
    };
    let shape = |onnx: Onnx| onnx.graph().inputs()[0].shape.clone();
    assert_eq!(shape(with(&[("T", 4)]).unwrap()), [4, 4]);
    assert_eq!(shape(with(&[("T", 4), ("x.2", 7)]).unwrap()), [4, 7]);
    let refused = |dims: &[(&str, usize)]| chain(&with(dims).unwrap_err());
    assert!(refused(&[]).contains("--dim"), "{}", refused(&[]));
    assert!(refused(&[("T", 4), ("U", 4)]).contains("`U`"));
    assert!(refused(&[("T", 0)]).contains("`T`"));
}

#[test]
fn hostile_attributes_are_refused_by_name() {
    let huge = i64::MAX;
    let cases: Vec<(&str, &str, Vec<AttributeProto>)> = vec![
        ("Slice", "one one one zeros", vec![]),
        ("Slice", "one ends nine", vec![]),
        ("Gather", "nine", vec![int("axis", 1)]),
        ("Gather", "one", vec![int("axis", 0)]),
        ("Gather", "one", vec![int("axis", huge)]),
        ("Pad", "huge", vec![]),
        ("Pad", "negative", vec![]),
        ("Tile", "huge", vec![]),
        ("Expand", "huge", vec![]),
        ("Expand", "negative", vec![]),
        ("Split", "huge", vec![int("axis", 1)]),
        ("ConvTranspose", "w", vec![ints("strides", &[0, 1])]),
        ("ConvTranspose", "w", vec![ints("strides", &[huge, 1])]),
        ("ConvTranspose", "w", vec![ints("pads", &[huge; 4])]),
        ("ConvTranspose", "w", vec![int("group", 0)]),
        ("ConvTranspose", "w", vec![ints("dilations", &[2, 2])]),
        ("ReduceMean", "", vec![ints("axes", &[0])]),
        ("ReduceMean", "", vec![ints("axes", &[])]),
        ("ReduceMean", "", vec![ints("axes", &[i64::MIN])]),
        ("LayerNormalization", "c", vec![int("axis", 0)]),
        ("LayerNormalization", "c", vec![float("epsilon", -1.0)]),
        ("LayerNormalization", "c", vec![float("epsilon", f32::NAN)]),
        ("Transpose", "", vec![ints("perm", &[0, 1, 1, 3])]),
        ("Transpose", "", vec![ints("perm", &[huge, 1, 2, 3])]),
        ("Elu", "", vec![float("alpha", f32::NAN)]),
        ("Pow", "c", vec![]),
        ("MatMul", "x", vec![]),
        ("Where", "c c", vec![]),
        ("Range", "one one", vec![]),
    ];
    for (op, more, attributes) in cases {
        let mut file = one(op, &[2, 3, 4], &[2, 3, 4], more, &attributes);
        file.longs("zeros", &[0]).longs("nine", &[9]);
        file.longs("huge", &[huge; 8]).longs("negative", &[-1; 8]);
        file.floats("w", &[2, 1, 2, 2], &ramp(8));
        let limits = Limits { bytes_max: 1 << 20 };
        let error = Onnx::parse(&file.bytes(), limits).err();
        let error = error.unwrap_or_else(|| panic!("{op} {more} {attributes:?} is taken"));
        assert!(chain(&error).contains('`'), "{op}: {error}");
    }
}
