//! One small program for each op, and what a liar makes of it.
//!
//! It deliberately holds no large sizes: each is proved hundreds of times.

use credence_exact::{
    Add, ArgMax, Concat, Conv, Divide, Dtype, Gather, GatherSum, Input, Linear, MatMul, MaxAbs,
    MaxPool, Mul, Multiplier, NodeId, Op, ParamId, Quantise, Reindex, Rescale, RmsRatio, Shift,
    Softmax, SumPool, Table, TreeLeaves, Window,
};
use credence_model::{
    BorderType, Decode, Elements, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec,
    ProgramSpec, Tensor, Tensors,
};
use credence_testkit::program_gen::{Choices, request};

pub(crate) type Case = (&'static str, Model, Tensors);

/// A program under construction.
pub(crate) struct Draft {
    pub(crate) spec: ProgramSpec,
    pub(crate) params: Vec<Vec<u8>>,
}

impl Draft {
    pub(crate) fn new(shape: &[u32], dtype: Dtype) -> Self {
        let (min, max) = dtype.range();
        let encode = Encode::Integer {
            min: i32::try_from(min).unwrap(),
            max: i32::try_from(max).unwrap(),
        };
        let spec = ProgramSpec {
            profile: "exact-1".into(),
            inputs: vec![InputSpec {
                name: "x".into(),
                dtype: BorderType::Int32,
                shape: shape.to_vec(),
                encode,
            }],
            params: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            language: None,
        };
        let mut draft = Self {
            spec,
            params: Vec::new(),
        };
        draft.node(Op::Input(Input { index: 0 }), dtype);
        draft
    }

    pub(crate) fn node(&mut self, op: Op, dtype: Dtype) -> NodeId {
        let id = u32::try_from(self.spec.nodes.len()).unwrap();
        self.spec.nodes.push(NodeSpec {
            name: format!("{}-{id}", op.name()),
            op,
            dtype,
            cut: true,
        });
        NodeId(id)
    }

    pub(crate) fn param(&mut self, dtype: Dtype, shape: &[u32], entries: &[i32]) -> ParamId {
        let id = u32::try_from(self.spec.params.len()).unwrap();
        let bytes = entries
            .iter()
            .flat_map(|e| e.to_le_bytes().into_iter().take(dtype.width()));
        self.params.push(bytes.collect());
        self.spec.params.push(ParamSpec {
            name: format!("p{id}"),
            dtype,
            shape: shape.to_vec(),
        });
        ParamId(id)
    }

    pub(crate) fn rescale(
        &mut self,
        x: NodeId,
        multiplier: i32,
        shift: u8,
        ends: (i32, i32),
    ) -> NodeId {
        let multiplier = self.param(Dtype::I32, &[1], &[multiplier]);
        let op = Op::Rescale(Rescale {
            x,
            multiplier,
            shift: Shift::try_from(shift).unwrap(),
            min: ends.0,
            max: ends.1,
        });
        self.node(op, Dtype::I8)
    }

    pub(crate) fn model(mut self, shown: &[NodeId]) -> Model {
        for (index, &node) in shown.iter().enumerate() {
            self.spec.outputs.push(OutputSpec {
                name: format!("y{index}"),
                node,
                decode: Decode::Integer {},
            });
        }
        Model::new(self.spec, self.params).unwrap()
    }
}

pub(crate) fn weights(choices: &mut Choices, n: u32) -> Vec<i32> {
    (0..n).map(|_| choices.int(-127, 127)).collect()
}

fn perceptron() -> Model {
    let mut choices = Choices::new(1);
    let mut draft = Draft::new(&[2, 5], Dtype::I8);
    let weight = draft.param(Dtype::I8, &[4, 5], &weights(&mut choices, 20));
    let bias = draft.param(Dtype::I32, &[4], &[5, -900, 300, 0]);
    let bias = Some(bias);
    let x = NodeId(0);
    let y = draft.node(Op::Linear(Linear { x, weight, bias }), Dtype::I32);
    let y = draft.rescale(y, 1 << 9, 14, (-100, 127));
    let flat = Op::Reindex(Reindex {
        x: y,
        shape: vec![8],
        offset: 7,
        strides: vec![-1],
    });
    let flat = draft.node(flat, Dtype::I8);
    let weight = draft.param(Dtype::I8, &[3, 8], &weights(&mut choices, 24));
    let last = Op::Linear(Linear {
        x: flat,
        weight,
        bias: None,
    });
    let last = draft.node(last, Dtype::I32);
    let best = draft.node(Op::ArgMax(ArgMax { x: last }), Dtype::I8);
    draft.model(&[last, best])
}

const WINDOW: Window = Window {
    kernel: [2, 2],
    stride: [1, 2],
    pad: [1, 0, 0, 1],
    dilation: [1, 1],
};

fn images() -> Model {
    let mut choices = Choices::new(2);
    let mut draft = Draft::new(&[3, 4, 2], Dtype::I8);
    let weight = draft.param(Dtype::I8, &[2, 2, 2, 1], &weights(&mut choices, 8));
    let conv = Op::Conv(Conv {
        x: NodeId(0),
        weight,
        bias: None,
        window: WINDOW,
        groups: 2,
    });
    let conv = draft.node(conv, Dtype::I32);
    let y = draft.rescale(conv, 3, 5, (-128, 127));
    let window = Window {
        stride: [1, 1],
        ..WINDOW
    };
    let most = draft.node(Op::MaxPool(MaxPool { x: y, window }), Dtype::I8);
    let sums = draft.node(Op::SumPool(SumPool { x: y, window }), Dtype::I32);
    draft.model(&[most, sums])
}

fn sums() -> Model {
    let mut draft = Draft::new(&[6], Dtype::I16);
    let table: Vec<i32> = (-128..128).map(|x: i32| x * x % 251 - 125).collect();
    let small = draft.rescale(NodeId(0), 77, 12, (-128, 127));
    let table = draft.param(Dtype::I8, &[256], &table);
    let looked = draft.node(
        Op::Table(Table {
            x: small,
            table,
            base: -128,
        }),
        Dtype::I8,
    );
    let add = draft.node(
        Op::Add(Add {
            a: small,
            b: looked,
            a_multiplier: Multiplier::try_from(300).unwrap(),
            b_multiplier: Multiplier::try_from(900).unwrap(),
            negate_b: true,
            shift: Shift::try_from(9).unwrap(),
            min: -130,
            max: 200,
        }),
        Dtype::I16,
    );
    let both = draft.node(
        Op::Concat(Concat {
            xs: vec![add, looked],
            axis: 0,
        }),
        Dtype::I16,
    );
    draft.model(&[both])
}

fn chances() -> Model {
    let mut draft = Draft::new(&[2, 4], Dtype::I8);
    let exp: Vec<i32> = (0..40).map(|d| 5000 / (d + 1)).collect();
    let exp = draft.param(Dtype::I32, &[40], &exp);
    let softmax = Op::Softmax(Softmax {
        x: NodeId(0),
        exp,
        bits: 12,
    });
    let y = draft.node(softmax, Dtype::I16);
    draft.model(&[y])
}

fn forest() -> Model {
    let mut draft = Draft::new(&[3], Dtype::I32);
    let nodes = [
        [0, 10, 1, 2],
        [1, -7, -1, -2],
        [2, i32::MAX, 3, -3],
        [0, i32::MIN, -4, -5],
    ];
    let nodes = draft.param(Dtype::I32, &[4, 4], &nodes.concat());
    let roots = draft.param(Dtype::I32, &[3], &[0, 2, -5]);
    let leaves = draft.node(
        Op::TreeLeaves(TreeLeaves {
            x: NodeId(0),
            nodes,
            roots,
            depth: 4,
        }),
        Dtype::I8,
    );
    let table: Vec<i32> = (0..10).map(|i: i32| i * i * 1000 - 7).collect();
    let table = draft.param(Dtype::I32, &[5, 2], &table);
    let bias = draft.param(Dtype::I32, &[2], &[3, -4]);
    let bias = Some(bias);
    let x = leaves;
    let y = draft.node(Op::GatherSum(GatherSum { x, table, bias }), Dtype::I32);
    // The same nodes from other roots, one of them a leaf that no node names.
    let roots = draft.param(Dtype::I32, &[2], &[-8, 1]);
    let others = draft.node(
        Op::TreeLeaves(TreeLeaves {
            x: NodeId(0),
            nodes,
            roots,
            depth: 4,
        }),
        Dtype::I8,
    );
    draft.model(&[leaves, y, others])
}

fn multiplier(n: i32) -> Multiplier {
    Multiplier::try_from(n).unwrap()
}

/// Two matrices of the input's, one of them turned, multiplied, and weighted with a softmax.
fn matrices() -> Model {
    let mut draft = Draft::new(&[2, 3, 4], Dtype::I8);
    let x = NodeId(0);
    let a = draft.rescale(x, 3000, 12, (-90, 100));
    let turned = draft.node(
        Op::Reindex(Reindex {
            x,
            shape: vec![2, 4, 3],
            offset: 0,
            strides: vec![12, 1, 4],
        }),
        Dtype::I8,
    );
    let squares = draft.node(Op::MatMul(MatMul { a, b: turned }), Dtype::I32);
    let scores = draft.rescale(squares, 9000, 22, (-127, 127));
    let exp: Vec<i32> = (0..60).map(|d| 16_000 / (d + 1)).collect();
    let exp = draft.param(Dtype::I32, &[60], &exp);
    let softmax = Op::Softmax(Softmax {
        x: scores,
        exp,
        bits: 12,
    });
    let chances = draft.node(softmax, Dtype::I16);
    let mixed = draft.node(Op::MatMul(MatMul { a: chances, b: a }), Dtype::I32);
    draft.model(&[mixed, squares])
}

/// A norm by root and by quotient, with clamps that cut and such that do not.
fn norms() -> Model {
    let mut draft = Draft::new(&[2, 5], Dtype::I16);
    let x = NodeId(0);
    let scale = draft.node(Op::MaxAbs(MaxAbs { x }), Dtype::I32);
    let limit = 127;
    let small = draft.node(Op::Quantise(Quantise { x, scale, limit }), Dtype::I8);
    let ratio = Op::RmsRatio(RmsRatio {
        x,
        scale,
        factor: multiplier(1 << 12),
        epsilon: 0,
        max: 9_000,
    });
    let ratio = draft.node(ratio, Dtype::I32);
    let bias = draft.param(Dtype::I32, &[5], &[9, -4, 0, 1_000, -70]);
    let normed = draft.node(
        Op::Mul(Mul {
            a: small,
            b: ratio,
            bias: Some(bias),
            shift: Shift::try_from(7).unwrap(),
            min: -2_000,
            max: 2_500,
        }),
        Dtype::I16,
    );
    let other = draft.node(Op::MaxAbs(MaxAbs { x: small }), Dtype::I8);
    // Divided by the scale of something smaller, most cells are cut off.
    let cut = Op::Quantise(Quantise {
        x: normed,
        scale: other,
        limit: 11,
    });
    let cut = draft.node(cut, Dtype::I8);
    let quotients = Op::Divide(Divide {
        a: normed,
        b: scale,
        factor: multiplier(100),
        min: -3,
        max: 40,
    });
    let quotients = draft.node(quotients, Dtype::I8);
    draft.model(&[normed, cut, quotients])
}

/// Rows by public numbers, and by numbers that are computed.
fn rows() -> Model {
    let mut draft = Draft::new(&[3], Dtype::I8);
    draft.spec.inputs[0].encode = Encode::Integer { min: 0, max: 4 };
    let table: Vec<i32> = (0..10).map(|i: i32| (i * 37) % 23 - 9).collect();
    let table = draft.param(Dtype::I8, &[5, 2], &table);
    let x = NodeId(0);
    let given = draft.node(Op::Gather(Gather { x, table }), Dtype::I8);
    let best = draft.node(Op::ArgMax(ArgMax { x: given }), Dtype::I8);
    let wide: Vec<i32> = (0..2 * 70).map(|i: i32| i * i * 5 - 700).collect();
    let wide = draft.param(Dtype::I32, &[2, 70], &wide);
    let looked = draft.node(
        Op::Gather(Gather {
            x: best,
            table: wide,
        }),
        Dtype::I32,
    );
    draft.model(&[looked, given])
}

/// A table that is far longer than what is looked up, so that rows are shown.
pub(crate) fn shown() -> Case {
    let mut draft = Draft::new(&[3], Dtype::I16);
    let table: Vec<i32> = (0..65_536).map(|x: i32| (x * 7919) % 30_011).collect();
    let table = draft.param(Dtype::I16, &[65_536], &table);
    let op = Op::Table(Table {
        x: NodeId(0),
        table,
        base: -32_768,
    });
    let y = draft.node(op, Dtype::I16);
    let model = draft.model(&[y]);
    let inputs = request(&model, 3, 2);
    ("shown", model, inputs)
}

/// A request of everyday values, two positions.
fn with_request(name: &'static str, model: Model, values: &[i32]) -> Case {
    let shape: Vec<u64> = [2]
        .into_iter()
        .chain(
            model.program().spec().inputs[0]
                .shape
                .iter()
                .map(|&d| d.into()),
        )
        .collect();
    let cells = usize::try_from(shape.iter().product::<u64>()).unwrap();
    let elements = values.iter().copied().cycle().take(cells).collect();
    let x = Tensor::new("x", shape, Elements::Int32(elements)).unwrap();
    (name, model, Tensors::new(vec![x]).unwrap())
}

/// Programs that together have every op.
pub(crate) fn programs() -> Vec<Case> {
    vec![
        with_request("perceptron", perceptron(), &[3, -50, 127, 88, -128, 0, 17]),
        with_request("images", images(), &[9, -3, 100, -128, 127, 64, 5, -77, 31]),
        with_request("sums", sums(), &[300, -20_000, 32_767, 0, -5, 4_096, 77]),
        with_request("chances", chances(), &[5, 9, 8, -100, 3, 3, 3]),
        with_request("forest", forest(), &[10, -7, 5, 11, -8, i32::MAX, i32::MIN]),
        with_request("matrices", matrices(), &[9, -3, 100, -128, 127, 64, 5]),
        with_request("norms", norms(), &[0, 900, -32_768, 77, 3, -4, 1]),
        with_request("zero norms", norms(), &[0]),
        with_request("rows", rows(), &[4, 0, 1, 3]),
    ]
}

/// The same model.
pub(crate) fn again(model: &Model) -> Model {
    let params = model.params().iter().map(|bytes| bytes.to_vec()).collect();
    Model::new(model.program().spec().clone(), params).unwrap()
}

/// Models like this one, each with one thing changed.
pub(crate) fn changed(model: &Model) -> Vec<(String, Model)> {
    let params: Vec<Vec<u8>> = model.params().iter().map(|bytes| bytes.to_vec()).collect();
    let mut all = Vec::new();
    for (index, param) in params.iter().enumerate() {
        let mut other = params.clone();
        other[index][param.len() / 2] ^= 1;
        if let Ok(model) = Model::new(model.program().spec().clone(), other) {
            all.push((format!("parameter {index}"), model));
        }
    }
    for (index, node) in model.program().spec().nodes.iter().enumerate() {
        let mut spec = model.program().spec().clone();
        let op = &mut spec.nodes[index].op;
        match op {
            Op::Rescale(op) => op.max -= 1,
            Op::Add(op) => op.negate_b = !op.negate_b,
            Op::Reindex(op) => {
                op.offset = 0;
                op.strides = op.strides.iter().map(|s| -s).collect();
            }
            Op::Concat(op) => op.xs.reverse(),
            _ => continue,
        }
        if let Ok(model) = Model::new(spec, params.clone()) {
            all.push((node.name.clone(), model));
        }
    }
    all
}
