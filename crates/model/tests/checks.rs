//! Each check of a program and of a model: one change to a good one, and the refusal it must meet.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use credence_exact::{
    Add, ArgMax, Dtype, GatherSum, Input, Linear, MaxPool, Multiplier, NodeId, Op, ParamId,
    Rescale, Shift, Softmax, Table, TreeLeaves, Window,
};
use credence_model::{
    BorderType, BoundsError, Decode, Encode, InputSpec, Model, ModelError, NodeSpec, OutputSpec,
    ParamSpec, ProgramSpec,
};

fn shift(bits: u8) -> Shift {
    Shift::try_from(bits).unwrap()
}

fn param(name: &str, dtype: Dtype, shape: &[u32]) -> ParamSpec {
    ParamSpec {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    }
}

fn node(name: &str, op: Op, dtype: Dtype, cut: bool) -> NodeSpec {
    NodeSpec {
        name: name.into(),
        op,
        dtype,
        cut,
    }
}

/// x of 4 cells, one linear layer to 3, rescaled.
fn good() -> (ProgramSpec, Vec<Vec<u8>>) {
    let spec = ProgramSpec {
        profile: "exact-1".into(),
        inputs: vec![InputSpec {
            name: "x".into(),
            dtype: BorderType::Fp32,
            shape: vec![4],
            encode: Encode::Quantise {
                multiplier: 127,
                shift: 0,
                min: -127,
                max: 127,
            },
        }],
        params: vec![
            param("w", Dtype::I8, &[3, 4]),
            param("b", Dtype::I32, &[3]),
            param("m", Dtype::I32, &[3]),
        ],
        nodes: vec![
            node("x", Op::Input(Input { index: 0 }), Dtype::I8, true),
            node(
                "dot",
                Op::Linear(Linear {
                    x: NodeId(0),
                    weight: ParamId(0),
                    bias: Some(ParamId(1)),
                }),
                Dtype::I32,
                false,
            ),
            node(
                "y",
                Op::Rescale(Rescale {
                    x: NodeId(1),
                    multiplier: ParamId(2),
                    shift: shift(31),
                    min: -127,
                    max: 127,
                }),
                Dtype::I8,
                true,
            ),
        ],
        outputs: vec![OutputSpec {
            name: "y".into(),
            node: NodeId(2),
            decode: Decode::Scale {
                multiplier: 1,
                shift: 7,
            },
        }],
        language: None,
    };
    let weights = vec![1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc, 127, 127, 0x81, 0x81];
    (
        spec,
        vec![
            weights,
            i32s(&[10, -10, 0]),
            i32s(&[1 << 30, 1 << 29, i32::MAX]),
        ],
    )
}

fn i32s(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The refusal of the good program after `change`, as its debug text.
fn refusal(change: impl FnOnce(&mut ProgramSpec, &mut Vec<Vec<u8>>)) -> String {
    let (mut spec, mut params) = good();
    change(&mut spec, &mut params);
    match Model::new(spec, params) {
        Ok(_) => "accepted".into(),
        Err(ModelError::Program(error)) => format!("{error:?}"),
        Err(ModelError::Params(error)) => format!("{error:?}"),
        Err(ModelError::Bounds(error)) => format!("{error:?}"),
        Err(error) => format!("{error:?}"),
    }
}

#[track_caller]
fn refuses(expected: &str, change: impl FnOnce(&mut ProgramSpec, &mut Vec<Vec<u8>>)) {
    let got = refusal(change);
    assert!(got.starts_with(expected), "expected {expected}, got {got}");
}

#[test]
fn the_good_program_is_accepted_and_its_id_pinned() {
    let (spec, params) = good();
    let model = Model::new(spec, params).unwrap();
    assert_eq!(
        model.id().to_string(),
        "8bb40dd2f1cdefee7cb8214f1d4ffceeacbf774428f73f22c1e4da1c76426409"
    );
    assert_eq!(model.parameter_count(), 18);
    let bounds = model.bounds(NodeId(1)).unwrap();
    assert_eq!((bounds.min, bounds.max), (-127 * 4 * 127, 127 * 4 * 127));
    assert_eq!(model.program().trace_layout().block_bytes(), 128);
    assert_eq!(model.program().trace_layout().offset(NodeId(2)), Some(64));
    assert_eq!(model.program().trace_layout().offset(NodeId(1)), None);
}

#[test]
fn a_file_gives_the_model_back_and_every_change_of_it_is_seen() {
    let (spec, params) = good();
    let model = Model::new(spec, params).unwrap();
    let provenance = [("importer".to_owned(), "1".to_owned())].into();
    let bytes = model.to_safetensors(&provenance).unwrap();
    assert_eq!(bytes, model.to_safetensors(&provenance).unwrap());
    let (read, read_provenance) = Model::from_safetensors(&bytes).unwrap();
    assert_eq!((read.id(), &read_provenance), (model.id(), &provenance));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        // The provenance is not authenticated; everything else changes the id or is refused.
        if let Ok((read, noted)) = Model::from_safetensors(&changed) {
            assert!(
                read.id() != model.id() || noted != read_provenance,
                "byte {at}"
            );
        }
        assert!(
            Model::from_safetensors(&bytes[..at]).is_err(),
            "truncated to {at}"
        );
    }
}

#[test]
fn forms_that_are_not_programs() {
    refuses("Profile", |spec, _| spec.profile = "exact-2".into());
    refuses("Count { what: \"outputs\"", |spec, _| spec.outputs.clear());
    refuses("Count { what: \"inputs\"", |spec, _| spec.inputs.clear());
    refuses("Name { what: \"a node\"", |spec, _| {
        spec.nodes[1].name = "x".into()
    });
    refuses("Name { what: \"a parameter\"", |spec, _| {
        spec.params[1].name = String::new()
    });
    refuses("Name { what: \"an input\"", |spec, _| {
        spec.inputs[0].name = "a\n".into()
    });
    refuses("Name { what: \"an output\"", |spec, _| {
        spec.outputs[0].name = "a".repeat(257)
    });
    refuses("Reference { node: \"dot\", what: \"node\"", |spec, _| {
        spec.nodes[1].op = Op::Linear(Linear {
            x: NodeId(1),
            weight: ParamId(0),
            bias: None,
        });
    });
    refuses(
        "Reference { node: \"dot\", what: \"parameter\"",
        |spec, _| {
            spec.nodes[1].op = Op::Linear(Linear {
                x: NodeId(0),
                weight: ParamId(3),
                bias: None,
            });
        },
    );
    refuses("Reference { node: \"x\", what: \"input\"", |spec, _| {
        spec.nodes[0].op = Op::Input(Input { index: 1 })
    });
    refuses("OutputNode", |spec, _| spec.outputs[0].node = NodeId(1));
    refuses("OutputNode", |spec, _| spec.outputs[0].node = NodeId(9));
    refuses("OutputNode", |spec, _| spec.nodes[2].cut = false);
    refuses("Unused { what: \"parameter\"", |spec, params| {
        spec.params.push(param("dead", Dtype::I8, &[1]));
        params.push(vec![0]);
    });
    refuses("Unused { what: \"node\"", |spec, _| {
        spec.outputs[0].node = NodeId(0)
    });
    refuses("Unused { what: \"input\"", |spec, _| {
        let mut second = spec.inputs[0].clone();
        second.name = "z".into();
        spec.inputs.push(second);
    });
}

#[test]
fn shapes_and_sizes_that_do_not_fit() {
    refuses("Shape { what: \"input\"", |spec, _| {
        spec.inputs[0].shape = vec![0]
    });
    refuses("Shape { what: \"input\"", |spec, _| {
        spec.inputs[0].shape = vec![1 << 16, 1 << 16]
    });
    refuses("Shape { what: \"parameter\"", |spec, _| {
        spec.params[0].shape = vec![1; 9]
    });
    refuses("Shape { what: \"node\"", |spec, _| {
        spec.inputs[0].shape = vec![5]
    });
    refuses("Shape { what: \"node\"", |spec, _| {
        spec.nodes[0].dtype = Dtype::I16
    });
    refuses("Shape { what: \"node\"", |spec, _| {
        spec.params[1].shape = vec![4]
    });
    refuses("Count", |_, params| {
        params.pop();
    });
    refuses("Bytes { name: \"w\"", |_, params| {
        params[0].push(0);
    });
    let big = Op::ArgMax(ArgMax { x: NodeId(0) });
    refuses("Size", |spec, params| {
        spec.inputs[0].shape = vec![1 << 20, 1 << 10];
        spec.nodes[0].dtype = Dtype::I32;
        only(big, Dtype::I32, vec![])(spec, params);
    });
    refuses("Relation { node: \"y\", got: 16656", |spec, params| {
        spec.inputs[0].shape = vec![8320];
        spec.params[0].shape = vec![3, 8320];
        params[0] = vec![0; 3 * 8320];
    });
}

#[test]
fn codings_that_do_not_exist() {
    let encode =
        |encode| move |spec: &mut ProgramSpec, _: &mut Vec<Vec<u8>>| spec.inputs[0].encode = encode;
    let quantise = |multiplier, shift, min, max| {
        encode(Encode::Quantise {
            multiplier,
            shift,
            min,
            max,
        })
    };
    refuses("Coding { what: \"input\"", quantise(0, 0, -127, 127));
    refuses("Coding { what: \"input\"", quantise(1 << 24, 0, -127, 127));
    refuses("Coding { what: \"input\"", quantise(1, 127, -127, 127));
    refuses("Coding { what: \"input\"", quantise(1, 0, 127, -127));
    refuses(
        "Coding { what: \"input\"",
        encode(Encode::Integer { min: 0, max: 9 }),
    );
    refuses("Coding { what: \"input\"", |spec, _| {
        spec.inputs[0].dtype = BorderType::Int32
    });
    let decode = |decode| {
        move |spec: &mut ProgramSpec, _: &mut Vec<Vec<u8>>| spec.outputs[0].decode = decode
    };
    refuses(
        "Coding { what: \"output\"",
        decode(Decode::Scale {
            multiplier: 0,
            shift: 0,
        }),
    );
    refuses(
        "Coding { what: \"output\"",
        decode(Decode::Scale {
            multiplier: 1,
            shift: 127,
        }),
    );
    refuses(
        "Coding { what: \"output\"",
        decode(Decode::Lookup { values: vec![] }),
    );
    refuses(
        "Coding { what: \"output\"",
        decode(Decode::Lookup {
            values: vec![1 << 53],
        }),
    );
    refuses(
        "Selection",
        decode(Decode::Lookup {
            values: vec![0; 127],
        }),
    );
}

#[test]
fn values_that_could_leave_their_type() {
    refuses("Value { node: \"x\", min: -129", |spec, _| {
        spec.inputs[0].encode = Encode::Quantise {
            multiplier: 1,
            shift: 0,
            min: -129,
            max: 127,
        };
    });
    refuses("Value { node: \"y\"", |spec, _| {
        spec.nodes[2].op = Op::Rescale(Rescale {
            x: NodeId(1),
            multiplier: ParamId(2),
            shift: shift(20),
            min: -127,
            max: 128,
        });
    });
    refuses("Accumulator { node: \"dot\"", |_, params| {
        params[1] = i32s(&[i32::MAX, 0, 0])
    });
    refuses(
        "Parameter { node: \"y\", what: \"a multiplier\", got: -1",
        |_, params| params[2] = i32s(&[1, -1, 1]),
    );
    assert_eq!(
        refusal(|_, params| params[1] = i32s(&[i32::MAX - 127 * 10, 0, 0])),
        "accepted"
    );
    refuses(
        "Accumulator { node: \"dot\", magnitude: 2147483648",
        |_, params| {
            params[1] = i32s(&[i32::MAX - 127 * 10 + 1, 0, 0]);
        },
    );
}

fn vector(name: &str, values: &[i32]) -> (ParamSpec, Vec<u8>) {
    (
        param(name, Dtype::I32, &[u32::try_from(values.len()).unwrap()]),
        i32s(values),
    )
}

/// Replaces everything behind the input by one node, shown as an integer.
fn only(
    op: Op,
    dtype: Dtype,
    params_of: Vec<(ParamSpec, Vec<u8>)>,
) -> impl FnOnce(&mut ProgramSpec, &mut Vec<Vec<u8>>) {
    move |spec, params| {
        spec.nodes.truncate(1);
        spec.nodes.push(node("only", op, dtype, true));
        spec.outputs[0] = OutputSpec {
            name: "y".into(),
            node: NodeId(1),
            decode: Decode::Integer {},
        };
        (spec.params, *params) = params_of.into_iter().unzip();
    }
}

#[test]
fn ops_whose_parameters_could_mislead_them() {
    let table = |base| {
        Op::Table(Table {
            x: NodeId(0),
            table: ParamId(0),
            base,
        })
    };
    refuses(
        "Selection",
        only(table(-126), Dtype::I32, vec![vector("t", &[0; 255])]),
    );
    refuses(
        "Selection",
        only(table(-127), Dtype::I32, vec![vector("t", &[0; 254])]),
    );
    assert_eq!(
        refusal(only(
            table(-127),
            Dtype::I8,
            vec![vector("t", &[-128; 255])]
        )),
        "accepted"
    );
    refuses(
        "Value",
        only(table(-127), Dtype::I8, vec![vector("t", &[128; 255])]),
    );

    let softmax = |bits| {
        Op::Softmax(Softmax {
            x: NodeId(0),
            exp: ParamId(0),
            bits,
        })
    };
    assert_eq!(
        refusal(only(
            softmax(24),
            Dtype::I32,
            vec![vector("e", &[1 << 24, 0])]
        )),
        "accepted"
    );
    refuses(
        "Parameter",
        only(softmax(24), Dtype::I32, vec![vector("e", &[0, 1])]),
    );
    refuses(
        "Parameter",
        only(softmax(24), Dtype::I32, vec![vector("e", &[1, -1])]),
    );
    refuses(
        "Parameter",
        only(softmax(24), Dtype::I32, vec![vector("e", &[(1 << 24) + 1])]),
    );
    refuses(
        "Shape",
        only(softmax(25), Dtype::I32, vec![vector("e", &[1])]),
    );
    refuses(
        "Value",
        only(softmax(24), Dtype::I16, vec![vector("e", &[1])]),
    );
}

#[test]
fn trees_that_could_mislead_their_walk() {
    let trees = |depth| {
        Op::TreeLeaves(TreeLeaves {
            x: NodeId(0),
            nodes: ParamId(0),
            roots: ParamId(1),
            depth,
        })
    };
    let nodes = |values: [i32; 4]| (param("n", Dtype::I32, &[1, 4]), i32s(&values));
    assert_eq!(
        refusal(only(
            trees(1),
            Dtype::I32,
            vec![nodes([3, 0, -1, -2]), vector("r", &[0])]
        )),
        "accepted"
    );
    refuses(
        "Parameter",
        only(
            trees(1),
            Dtype::I32,
            vec![nodes([4, 0, -1, -2]), vector("r", &[0])],
        ),
    );
    refuses(
        "Parameter",
        only(
            trees(1),
            Dtype::I32,
            vec![nodes([0, 0, 0, -2]), vector("r", &[0])],
        ),
    );
    refuses(
        "Parameter",
        only(
            trees(1),
            Dtype::I32,
            vec![nodes([0, 0, -1, -2]), vector("r", &[1])],
        ),
    );
    refuses(
        "Shape",
        only(
            trees(0),
            Dtype::I32,
            vec![nodes([0, 0, -1, -2]), vector("r", &[0])],
        ),
    );
    refuses(
        "Value",
        only(
            trees(1),
            Dtype::I8,
            vec![nodes([0, 0, -1, -129 - 1]), vector("r", &[0])],
        ),
    );

    let gather = Op::GatherSum(GatherSum {
        x: NodeId(0),
        table: ParamId(0),
        bias: None,
    });
    let rows = (param("t", Dtype::I32, &[128, 1]), i32s(&[1; 128]));
    refuses("Selection", only(gather, Dtype::I32, vec![rows]));
}

#[test]
fn ops_on_shapes_they_do_not_take() {
    let add = |multiplier: i32| {
        let multiplier = Multiplier::try_from(multiplier).unwrap();
        Op::Add(Add {
            a: NodeId(0),
            b: NodeId(0),
            a_multiplier: multiplier,
            b_multiplier: multiplier,
            negate_b: false,
            shift: shift(1),
            min: -128,
            max: 127,
        })
    };
    assert_eq!(refusal(only(add(i32::MAX), Dtype::I8, vec![])), "accepted");

    let pool = |pad| {
        let window = Window {
            kernel: [1, 1],
            stride: [1, 1],
            pad: [pad, 0, 0, 0],
            dilation: [1, 1],
        };
        let op = Op::MaxPool(MaxPool {
            x: NodeId(0),
            window,
        });
        let change = only(op, Dtype::I8, vec![]);
        move |spec: &mut ProgramSpec, params: &mut Vec<Vec<u8>>| {
            spec.inputs[0].shape = vec![2, 2, 1];
            change(spec, params);
        }
    };
    assert_eq!(refusal(pool(0)), "accepted");
    refuses("Shape", pool(1));

    let arg_max = |shape: Vec<u32>| {
        let change = only(Op::ArgMax(ArgMax { x: NodeId(0) }), Dtype::I8, vec![]);
        move |spec: &mut ProgramSpec, params: &mut Vec<Vec<u8>>| {
            spec.inputs[0].shape = shape;
            change(spec, params);
        }
    };
    refuses("Shape", arg_max(vec![]));
    refuses("Value", arg_max(vec![129]));
}

#[test]
fn a_sum_to_be_rescaled_below_2_to_the_62_is_needed() {
    // Two operands of 31 bits with multipliers of 31 bits reach 2^62 only as a sum.
    let (mut spec, mut params) = good();
    spec.inputs[0].encode = Encode::OrderKey {};
    let add = |multiplier: i32| {
        let multiplier = Multiplier::try_from(multiplier).unwrap();
        let op = Add {
            a: NodeId(0),
            b: NodeId(0),
            a_multiplier: multiplier,
            b_multiplier: multiplier,
            negate_b: false,
            shift: shift(46),
            min: -9,
            max: 9,
        };
        only(Op::Add(op), Dtype::I32, vec![])
    };
    spec.nodes[0].dtype = Dtype::I32;
    let mut at_limit = spec.clone();
    add(1 << 29)(&mut at_limit, &mut params);
    assert!(Model::new(at_limit, params.clone()).is_ok());
    add(i32::MAX)(&mut spec, &mut params);
    match Model::new(spec, params) {
        Err(ModelError::Bounds(BoundsError::Rescale { .. })) => {}
        other => panic!("{other:?}"),
    }
}
