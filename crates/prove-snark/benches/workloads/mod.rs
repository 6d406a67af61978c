//! Programs of random weights, in the shapes that provers are compared on.
//!
//! Multipliers are such that a rounded sum is seldom clamped, as an importer chooses them. It deliberately trains nothing.

mod gpt;

use credence_exact::{
    ArgMax, Conv, Dtype, GatherSum, Input, Linear, MaxPool, NodeId, Op, ParamId, Reindex, Rescale,
    Shift, TreeLeaves, Window,
};
use credence_model::{
    BorderType, Decode, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
};
use credence_testkit::program_gen::{Choices, request};

pub(crate) use gpt::Request;

/// A named program and request.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) make: fn() -> (Model, Request),
}

pub(crate) fn all() -> Vec<Workload> {
    let workload = |name, make| Workload { name, make };
    vec![
        workload("mlp-784-128-10", || perceptron(&[784, 128, 10], 1)),
        workload("mlp-784-128-10-batch-64", || {
            perceptron(&[784, 128, 10], 64)
        }),
        workload("dense-4m", || {
            perceptron(&[1024, 1024, 1024, 1024, 1024, 10], 1)
        }),
        workload("lenet-5", lenet),
        workload("cnn-264k", cnn),
        workload("forest-100x6", || forest(1)),
        workload("forest-100x6-batch-128", || forest(128)),
        workload("nano-gpt-213k-64-tokens", gpt::nano),
    ]
}

struct Draft {
    choices: Choices,
    spec: ProgramSpec,
    params: Vec<Vec<u8>>,
}

impl Draft {
    fn new(shape: &[u32], dtype: BorderType, encode: Encode, inside: Dtype) -> Self {
        let input = InputSpec {
            name: "x".into(),
            dtype,
            shape: shape.to_vec(),
            encode,
        };
        let mut draft = Self {
            choices: Choices::new(7),
            spec: ProgramSpec {
                profile: "exact-1".into(),
                inputs: vec![input],
                params: Vec::new(),
                nodes: Vec::new(),
                outputs: Vec::new(),
                language: None,
            },
            params: Vec::new(),
        };
        draft.node(Op::Input(Input { index: 0 }), inside, true);
        draft
    }

    fn bytes(shape: &[u32]) -> Self {
        let encode = Encode::Quantise {
            multiplier: 14,
            shift: 0,
            min: -127,
            max: 127,
        };
        Self::new(shape, BorderType::Fp32, encode, Dtype::I8)
    }

    fn node(&mut self, op: Op, dtype: Dtype, cut: bool) -> NodeId {
        let id = u32::try_from(self.spec.nodes.len()).unwrap();
        self.spec.nodes.push(NodeSpec {
            name: format!("{}-{id}", op.name()),
            op,
            dtype,
            cut,
        });
        NodeId(id)
    }

    fn param(&mut self, dtype: Dtype, shape: &[u32], entries: &[i32]) -> ParamId {
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

    fn weights(&mut self, shape: &[u32]) -> ParamId {
        let cells: u32 = shape.iter().product();
        let entries: Vec<i32> = (0..cells).map(|_| self.choices.int(-127, 127)).collect();
        self.param(Dtype::I8, shape, &entries)
    }

    /// Rows of about `terms` products, rounded to 8 bits, or kept in 32.
    fn rounded(&mut self, sums: NodeId, channels: u32, terms: u32, last: bool) -> NodeId {
        // Products spread by about 73·40; four times that is the clamp.
        let spread = 4.0 * f64::from(terms).sqrt() * 2900.0;
        let scale = 127.0 * (2.0_f64).powi(40) / spread;
        let most = i32::try_from(scale.min(2e9).round().to_string().parse::<i64>().unwrap());
        let most = most.unwrap();
        let multipliers: Vec<i32> = (0..channels)
            .map(|_| self.choices.int(most / 2, most))
            .collect();
        let multiplier = self.param(Dtype::I32, &[channels], &multipliers);
        let (shift, min, max, dtype) = if last {
            (28, -(1 << 29), 1 << 29, Dtype::I32)
        } else {
            (40, -128, 127, Dtype::I8)
        };
        let op = Op::Rescale(Rescale {
            x: sums,
            multiplier,
            shift: Shift::try_from(shift).unwrap(),
            min,
            max,
        });
        self.node(op, dtype, true)
    }

    fn dense(&mut self, x: NodeId, sizes: (u32, u32), last: bool) -> NodeId {
        let (columns, rows) = sizes;
        let weight = self.weights(&[rows, columns]);
        let bias: Vec<i32> = (0..rows).map(|_| self.choices.int(-9000, 9000)).collect();
        let bias = Some(self.param(Dtype::I32, &[rows], &bias));
        let sums = self.node(Op::Linear(Linear { x, weight, bias }), Dtype::I32, false);
        self.rounded(sums, rows, columns, last)
    }

    fn conv(&mut self, x: NodeId, channels: (u32, u32), kernel: u32, pad: u32) -> NodeId {
        let (own, out) = channels;
        let weight = self.weights(&[out, kernel, kernel, own]);
        let bias: Vec<i32> = (0..out).map(|_| self.choices.int(-9000, 9000)).collect();
        let bias = Some(self.param(Dtype::I32, &[out], &bias));
        let window = Window {
            kernel: [kernel; 2],
            stride: [1; 2],
            pad: [pad; 4],
            dilation: [1; 2],
        };
        let op = Op::Conv(Conv {
            x,
            weight,
            bias,
            window,
            groups: 1,
        });
        let sums = self.node(op, Dtype::I32, false);
        self.rounded(sums, out, kernel * kernel * own, false)
    }

    fn pool(&mut self, x: NodeId) -> NodeId {
        let window = Window {
            kernel: [2; 2],
            stride: [2; 2],
            pad: [0; 4],
            dilation: [1; 2],
        };
        self.node(Op::MaxPool(MaxPool { x, window }), Dtype::I8, true)
    }

    fn flat(&mut self, x: NodeId, cells: u32) -> NodeId {
        let op = Op::Reindex(Reindex {
            x,
            shape: vec![cells],
            offset: 0,
            strides: vec![1],
        });
        self.node(op, Dtype::I8, false)
    }

    fn classes(mut self, logits: NodeId, batch: u32) -> (Model, Request) {
        let best = self.node(Op::ArgMax(ArgMax { x: logits }), Dtype::I32, true);
        let scale = Decode::Scale {
            multiplier: 1,
            shift: 20,
        };
        self.finish(
            &[
                ("logits", logits, scale),
                ("class", best, Decode::Integer {}),
            ],
            batch,
        )
    }

    fn finish(mut self, outputs: &[(&str, NodeId, Decode)], batch: u32) -> (Model, Request) {
        for (name, node, decode) in outputs {
            self.spec.outputs.push(OutputSpec {
                name: (*name).to_owned(),
                node: *node,
                decode: decode.clone(),
            });
        }
        let model = Model::new(self.spec, self.params).unwrap();
        // Seeds give styles; this one gives everyday values.
        let inputs = Request::Tensors(request(&model, 3, batch));
        (model, inputs)
    }
}

fn perceptron(sizes: &[u32], batch: u32) -> (Model, Request) {
    let mut draft = Draft::bytes(&sizes[..1]);
    let mut x = NodeId(0);
    for (at, pair) in sizes.windows(2).enumerate() {
        x = draft.dense(x, (pair[0], pair[1]), at + 2 == sizes.len());
    }
    draft.classes(x, batch)
}

/// 28×28, 5×5 convolutions of 6 and 16 channels, 120, 84, 10.
fn lenet() -> (Model, Request) {
    let mut draft = Draft::bytes(&[28, 28, 1]);
    let x = draft.conv(NodeId(0), (1, 6), 5, 2);
    let x = draft.pool(x);
    let x = draft.conv(x, (6, 16), 5, 0);
    let x = draft.pool(x);
    let x = draft.flat(x, 400);
    let x = draft.dense(x, (400, 120), false);
    let x = draft.dense(x, (120, 84), false);
    let x = draft.dense(x, (84, 10), true);
    draft.classes(x, 1)
}

/// 32×32×3, 3×3 convolutions of 32, 64 and 64 channels with pools, 200, 10: 264 thousand parameters.
fn cnn() -> (Model, Request) {
    let mut draft = Draft::bytes(&[32, 32, 3]);
    let x = draft.conv(NodeId(0), (3, 32), 3, 1);
    let x = draft.pool(x);
    let x = draft.conv(x, (32, 64), 3, 1);
    let x = draft.pool(x);
    let x = draft.conv(x, (64, 64), 3, 1);
    let x = draft.pool(x);
    let x = draft.flat(x, 1024);
    let x = draft.dense(x, (1024, 200), false);
    let x = draft.dense(x, (200, 10), true);
    draft.classes(x, 1)
}

/// 100 complete trees of depth 6 on 64 features, two classes.
fn forest(batch: u32) -> (Model, Request) {
    let mut draft = Draft::new(&[64], BorderType::Fp32, Encode::OrderKey {}, Dtype::I32);
    let mut records = Vec::new();
    let mut roots = Vec::new();
    let mut leaf = 0;
    for tree in 0..100 {
        let first = tree * 63;
        roots.push(first);
        for node in 0..63 {
            let mut child = |number: i32| {
                let own = 2 * node + number;
                if own < 63 {
                    first + own
                } else {
                    leaf += 1;
                    -leaf
                }
            };
            let (left, right) = (child(1), child(2));
            let key = draft.choices.int(-1_100_000_000, 1_100_000_000);
            records.extend([draft.choices.int(0, 63), key, left, right]);
        }
    }
    let nodes = draft.param(Dtype::I32, &[6300, 4], &records);
    let roots = draft.param(Dtype::I32, &[100], &roots);
    let leaves = draft.node(
        Op::TreeLeaves(TreeLeaves {
            x: NodeId(0),
            nodes,
            roots,
            depth: 6,
        }),
        Dtype::I16,
        true,
    );
    let table: Vec<i32> = (0..12_800)
        .map(|_| draft.choices.int(-9999, 9999))
        .collect();
    let table = draft.param(Dtype::I32, &[6400, 2], &table);
    let sums = draft.node(
        Op::GatherSum(GatherSum {
            x: leaves,
            table,
            bias: None,
        }),
        Dtype::I32,
        true,
    );
    draft.classes(sums, batch)
}
