//! Files that are wrong, each refused with one error that names what is, and none of them with a panic.

use credence_format_onnx::reference::Runner;
use credence_format_onnx::{Limits, Onnx};
use credence_import::{Clipping, Elements, ImportOptions, Tensor, Tensors, import};
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{FunctionProto, StringStringEntryProto};

use crate::support::build::{File, float, floats, int, ints, strings};
use crate::support::{LIMITS, chain};

/// A perceptron of two layers, trees beside it.
fn small() -> File {
    let mut file = File::new(13);
    file.input("x", &[3]).output("y", &[2]).output("t", &[1]);
    file.floats("w", &[3, 2], &[0.5, -1.0, 0.25, 2.0, 1.5, -0.75]);
    file.floats("b", &[2], &[0.1, -0.1]);
    file.node("MatMul", "x w", "m", &[])
        .node("Add", "m b", "a", &[])
        .node("Relu", "a", "y", &[]);
    file.graph()
        .input
        .push(crate::support::build::port("f", 1, &[2]));
    let trees = [
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[1, 0, 0]),
        floats("nodes_values", &[1.5, 0.0, 0.0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[1.0, 2.0]),
        int("n_targets", 1),
    ];
    file.node("TreeEnsembleRegressor", "f", "t", &trees);
    file
}

fn calibration() -> Tensors {
    let tensor = |name: &str, shape: &[u64], values: &[f32]| {
        Tensor::new(name, shape.to_vec(), Elements::Fp32(values.to_vec())).unwrap()
    };
    Tensors::new(vec![
        tensor("x", &[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.5, 0.0]),
        tensor("f", &[2, 2], &[1.0, 2.0, 3.0, 1.0]),
    ])
    .unwrap()
}

/// Parses, and if that succeeds imports, and hands it to tract: whatever comes of it must not be a panic.
fn survive(bytes: &[u8], calibration: &Tensors) -> bool {
    let Ok(onnx) = Onnx::parse(bytes, LIMITS) else {
        return false;
    };
    if let Ok(runner) = Runner::new(&onnx) {
        // A refusal is as good as a run.
        drop(runner.run(calibration));
    }
    let options = ImportOptions {
        calibration: Some(calibration),
        clipping: Clipping::Percentile,
        source: &[],
    };
    import(onnx.graph(), &options).is_ok()
}

/// Three classes by two trees, and their softmax.
fn forest() -> File {
    let mut file = File::new(13);
    file.input("f", &[2]).labels("label").output("p", &[3]);
    let trees = [
        ints("nodes_treeids", &[0, 0, 0, 1]),
        ints("nodes_nodeids", &[0, 1, 2, 0]),
        ints("nodes_featureids", &[1, 0, 0, 0]),
        floats("nodes_values", &[1.5, 0.0, 0.0, 0.0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0, 0]),
        ints("class_treeids", &[0, 0, 1]),
        ints("class_nodeids", &[1, 2, 0]),
        ints("class_ids", &[0, 1, 2]),
        floats("class_weights", &[1.0, 2.0, 1.5]),
        ints("classlabels_int64s", &[0, 1, 2]),
    ];
    file.node("TreeEnsembleClassifier", "f", "label s", &trees);
    file.node("Softmax", "s", "p", &[]);
    file
}

#[test]
fn every_truncation_and_every_changed_byte_is_survived() {
    let trees_alone = calibration().get("f").unwrap().clone();
    let trees_alone = Tensors::new(vec![trees_alone]).unwrap();
    for (file, calibration) in [(small(), calibration()), (forest(), trees_alone)] {
        let bytes = file.bytes();
        assert!(survive(&bytes, &calibration));
        for length in 0..bytes.len() {
            // A prefix may end between two fields and be a message of its own, without a graph or with less of one.
            survive(&bytes[..length], &calibration);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x40] {
                let mut changed = bytes.clone();
                changed[at] = value;
                survive(&changed, &calibration);
            }
        }
    }
}

fn refusal(file: &File) -> String {
    let error = Onnx::parse(&file.bytes(), LIMITS).map(|onnx| format!("{:?}", onnx.graph()));
    chain(&error.unwrap_err())
}

/// Changes the small file and expects an error that has all of these words.
fn refused(change: impl FnOnce(&mut File), words: &[&str]) {
    let mut file = small();
    change(&mut file);
    let text = refusal(&file);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn sizes() {
    let bytes = small().bytes();
    let limits = Limits {
        bytes_max: bytes.len() - 1,
    };
    let text = chain(&Onnx::parse(&bytes, limits).unwrap_err());
    assert!(text.contains("bytes"), "{text}");
    assert!(chain(&Onnx::parse(b"not a model at all", LIMITS).unwrap_err()).contains("not ONNX"));
    assert!(chain(&Onnx::parse(b"", LIMITS).unwrap_err()).contains("operator set"));
}

#[test]
fn a_small_file_does_not_grow_into_a_large_memory() {
    // Joined a thousandfold, four times over: 10^12 elements.
    refused(
        |f| {
            f.longs("seed", &[7]);
            let mut last = "seed".to_owned();
            for level in 0..4 {
                let all = vec![last.as_str(); 1000].join(" ");
                last = format!("c{level}");
                f.node("Concat", &all, &last, &[int("axis", 0)]);
            }
        },
        &["`c2`", "2^24"],
    );
    // Each is as large as one may be, and there are five.
    refused(
        |f| {
            f.longs("shape", &[1 << 24]);
            for name in ["a0", "a1", "a2", "a3", "a4"] {
                f.node("ConstantOfShape", "shape", name, &[]);
            }
        },
        &["`a4`", "simplify"],
    );
}

#[test]
fn graphs_that_do_not_hang_together() {
    refused(
        |f| f.graph().node[0].input[0] = "y".into(),
        &["`m`", "`y`", "cycle"],
    );
    refused(|f| f.graph().node[0].input[0] = "z".into(), &["`m`", "`z`"]);
    refused(
        |f| f.graph().node.swap(0, 2),
        &["`y`", "`a`", "out of order"],
    );
    refused(
        |f| f.graph().node[1].output[0] = "m".into(),
        &["`m`", "twice"],
    );
    refused(
        |f| f.graph().output[0].name = "w".into(),
        &["`w`", "constant output"],
    );
    refused(|f| f.graph().output[0].name = "q".into(), &["`q`"]);
    refused(|f| f.graph().output.clear(), &["outputs"]);
    refused(
        |f| f.graph().output[1].name = "y".into(),
        &["output name \"y\""],
    );
    refused(
        |f| f.graph().input[1].name = "x".into(),
        &["input name \"x\""],
    );
    refused(|f| f.0.graph = None, &["without a graph"]);
    refused(
        |f| f.0.functions.push(FunctionProto::default()),
        &["function", "inline"],
    );
    refused(
        |f| f.graph().node[2].output.push("mask".into()),
        &["`mask`", "further output"],
    );
}

#[test]
fn operators_that_are_not_there_are_named_with_those_that_are() {
    refused(
        |f| f.graph().node[2].op_type = "Einsum".into(),
        &[
            "`y`",
            "`Einsum`",
            "Conv",
            "ai.onnx.ml.TreeEnsembleClassifier",
        ],
    );
    refused(
        |f| f.graph().node[2].domain = "com.microsoft".into(),
        &["`com.microsoft.Relu`"],
    );
    refused(|f| f.0.opset_import[0].version = 6, &["6", "7", "23"]);
    refused(|f| f.0.opset_import[0].version = 99, &["99"]);
    refused(|f| f.0.opset_import[1].version = 5, &["ai.onnx.ml", "5"]);
    refused(
        |f| f.graph().node[2].attribute.push(float("alpha", 1.0)),
        &["`y`", "`alpha`"],
    );
    refused(
        |f| f.graph().node[2].input.push("x".into()),
        &["`y`", "operand 1"],
    );
    refused(
        |f| f.graph().node[0].input.truncate(1),
        &["`m`", "operand 1", "absent"],
    );
    refused(
        |f| f.graph().node[0].input.reverse(),
        &["`m`", "operand 0", "`w`"],
    );
}

#[test]
fn ports() {
    fn dims(file: &mut File) -> &mut Vec<Dimension> {
        let Some(Value::TensorType(tensor)) =
            &mut file.graph().input[0].r#type.as_mut().unwrap().value
        else {
            panic!("a tensor")
        };
        &mut tensor.shape.as_mut().unwrap().dim
    }
    let fixed = |size| Some(Dim::DimValue(size));
    refused(
        |f| dims(f)[0].value = fixed(4),
        &["`x`", "fixed batch of 4"],
    );
    refused(
        |f| dims(f)[1].value = Some(Dim::DimParam("M".into())),
        &["`x`", "symbolic"],
    );
    refused(|f| dims(f)[1].value = fixed(-3), &["`x`"]);
    refused(|f| dims(f)[1].value = fixed(0), &["`x`"]);
    refused(|f| dims(f)[1].value = fixed(i64::MAX), &["`x`", "2^30"]);
    refused(|f| dims(f)[1].value = fixed(1 << 30), &["elements"]);
    refused(|f| dims(f).clear(), &["`x`", "scalar"]);
    refused(
        |f| {
            for _ in 0..9 {
                let dim = dims(f)[1].clone();
                dims(f).push(dim);
            }
        },
        &["6 axes"],
    );
    refused(|f| f.graph().input[0].r#type = None, &["`x`", "no type"]);
    refused(
        |f| f.graph().input[0].name = String::new(),
        &["input name \"\""],
    );
    refused(
        |f| {
            let port = crate::support::build::port("x", 11, &[3]);
            f.graph().input[0] = port;
        },
        &["`x`", "DOUBLE"],
    );
    refused(
        |f| {
            let port = crate::support::build::port("y", 7, &[2]);
            f.graph().output[0] = port;
        },
        &["`y`", "INT64", "FLOAT"],
    );
    let mut one = small();
    dims(&mut one)[0].value = fixed(1);
    assert!(
        survive(&one.bytes(), &calibration()),
        "a batch of 1 is the batch"
    );
}

#[test]
fn tensors() {
    refused(
        |f| f.graph().initializer[0].dims = vec![3, 3],
        &["`w`", "9 elements"],
    );
    refused(
        |f| f.graph().initializer[0].dims = vec![-3, -2],
        &["`w`", "shape"],
    );
    refused(
        |f| f.graph().initializer[0].dims = vec![i64::MAX, i64::MAX],
        &["`w`", "shape"],
    );
    refused(
        |f| f.graph().initializer[0].data_type = 10,
        &["`w`", "FLOAT16"],
    );
    refused(
        |f| f.graph().initializer[0].data_type = 999,
        &["`w`", "999"],
    );
    refused(
        |f| f.graph().initializer[0].raw_data.truncate(23),
        &["`w`", "multiple of 4"],
    );
    refused(
        |f| f.graph().initializer[1].name = "w".into(),
        &["`w`", "twice"],
    );
    refused(
        |f| {
            f.graph().initializer[0]
                .external_data
                .push(StringStringEntryProto::default())
        },
        &["`w`", "external data"],
    );
    for bad in [f32::NAN, f32::INFINITY] {
        let bytes = bad.to_le_bytes();
        refused(
            |f| f.graph().initializer[0].raw_data[8..12].copy_from_slice(&bytes),
            &["`m`", "tensor `w`", "repair"],
        );
    }
    refused(
        |f| f.graph().initializer[1].raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
        &["`a`", "tensor `b`"],
    );
}

#[test]
fn trees() {
    let attribute = |f: &mut File, name: &str| {
        let node = f.graph().node.last_mut().unwrap();
        let at = node.attribute.iter().position(|a| a.name == name).unwrap();
        (at, node.attribute[at].clone())
    };
    let set = |name: &'static str, at: usize, value: i64| {
        move |f: &mut File| {
            let (place, mut changed) = attribute(f, name);
            changed.ints[at] = value;
            f.graph().node.last_mut().unwrap().attribute[place] = changed;
        }
    };
    refused(set("nodes_truenodeids", 0, 0), &["`t`", "not reached"]);
    refused(set("nodes_truenodeids", 0, 2), &["`t`"]);
    refused(
        set("nodes_truenodeids", 0, 9),
        &["`t`", "nodes_truenodeids", "9"],
    );
    refused(set("nodes_featureids", 0, 2), &["`t`", "F ≥ 3"]);
    refused(set("nodes_featureids", 0, -1), &["nodes_featureids"]);
    refused(set("nodes_nodeids", 1, 2), &["nodes_nodeids", "twice"]);
    refused(set("target_ids", 0, 1), &["`t`", "output 1"]);
    refused(set("target_ids", 0, -1), &["`t`", "output"]);
    refused(set("target_nodeids", 0, 0), &["LEAF", "node 0"]);
    refused(set("target_nodeids", 0, 7), &["node 7"]);
    refused(set("nodes_treeids", 2, 5), &["nodes_falsenodeids"]);
    refused(
        |f| {
            let (place, mut changed) = attribute(f, "nodes_values");
            changed.floats[0] = f32::NAN;
            f.graph().node.last_mut().unwrap().attribute[place] = changed;
        },
        &["`t`", "threshold"],
    );
    refused(
        |f| {
            let (place, mut changed) = attribute(f, "nodes_values");
            changed.floats.pop();
            f.graph().node.last_mut().unwrap().attribute[place] = changed;
        },
        &["nodes_values", "of 3"],
    );
}

/// Name, shape, elements.
type Named<'a> = (&'a str, &'a [u64], &'a [f32]);

#[test]
fn calibration_sets_that_do_not_fit() {
    let onnx = Onnx::parse(&small().bytes(), LIMITS).unwrap();
    let with = |tensors: &[Named<'_>]| {
        let tensors = tensors.iter().map(|(name, shape, values)| {
            Tensor::new(*name, shape.to_vec(), Elements::Fp32(values.to_vec())).unwrap()
        });
        let tensors = Tensors::new(tensors.collect()).unwrap();
        let options = ImportOptions {
            calibration: Some(&tensors),
            clipping: Clipping::Largest,
            source: &[],
        };
        chain(&import(onnx.graph(), &options).unwrap_err())
    };
    let f: Named<'_> = ("f", &[1, 2], &[0.0, 0.0]);
    let cases: &[(&[Named<'_>], &str)] = &[
        (&[f], "`x` is missing"),
        (&[f, ("z", &[1, 1], &[0.0])], "`z`"),
        (&[f, ("x", &[1, 2], &[0.0; 2])], "[batch, 3]"),
        (&[f, ("x", &[2, 3], &[0.0; 6])], "positions"),
        (
            &[f, ("x", &[1, 3], &[0.0, f32::NAN, 0.0])],
            "element 1 is NaN",
        ),
    ];
    for (tensors, word) in cases {
        let text = with(tensors);
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn nesting_too_deep_is_refused() {
    /// A field of bytes.
    fn wrapped(tag: u8, inner: &[u8]) -> Vec<u8> {
        let mut outer = vec![tag << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend_from_slice(inner);
        outer
    }
    // A graph's node's attribute holds a graph, and so on.
    let mut bytes = Vec::new();
    for _ in 0..200 {
        bytes = wrapped(1, &wrapped(5, &wrapped(6, &bytes)));
    }
    let text = chain(&Onnx::parse(&wrapped(7, &bytes), LIMITS).unwrap_err());
    assert!(text.contains("recursion limit"), "{text}");
}
