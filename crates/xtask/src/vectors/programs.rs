//! `vectors/programs/`: small programs, one for each op at least, with their `ModelId`, a request, every value of every node, the
//! trace root and the answer (`docs/spec/arithmetic.md`, section 5; `docs/spec/trace.md`).

use credence_exact::{
    Add, ArgMax, Concat, Conv, Divide, Dtype, Gather, GatherSum, Input, Linear, MatMul, MaxAbs,
    MaxPool, Mul, Multiplier, NodeId, Op, ParamId, Quantise, Reindex, Rescale, RmsRatio, Shift,
    Softmax, SumPool, Table, TreeLeaves, Window, fixed,
};
use credence_exec::reference;
use credence_model::{
    BorderType, Decode, Elements, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec,
    ProgramSpec, Tensor, Tensors,
};
use serde_json::{Value, json};

type Failure = String;
/// A program by name.
type Named = (&'static str, fn() -> Result<Builder, Failure>);

/// A program in the making. Nodes and parameters are named by their numbers.
struct Builder {
    inputs: Vec<InputSpec>,
    params: Vec<ParamSpec>,
    bytes: Vec<Vec<u8>>,
    nodes: Vec<NodeSpec>,
    outputs: Vec<OutputSpec>,
}

/// A deterministic sequence of integers in `min ..= max` that reaches both ends.
fn integers(seed: i64, count: usize, min: i64, max: i64) -> Vec<i64> {
    let mut state = seed;
    let mut next = |k: usize| match k % 7 {
        0 => min,
        1 => max,
        _ => {
            // Knuth's MMIX generator; the upper bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            min + (state >> 33).rem_euclid(max - min + 1)
        }
    };
    (0..count).map(&mut next).collect()
}

fn cells(shape: &[u32]) -> usize {
    shape
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(0))
        .product()
}

impl Builder {
    /// Begins with one i8 input of this shape, quantised by one half.
    fn new(shape: &[u32]) -> Self {
        let encode = Encode::Quantise {
            multiplier: 1,
            shift: 1,
            min: -128,
            max: 127,
        };
        Self::with(shape, BorderType::Fp32, encode, Dtype::I8)
    }

    fn with(shape: &[u32], dtype: BorderType, encode: Encode, node: Dtype) -> Self {
        let input = InputSpec {
            name: "x".into(),
            dtype,
            shape: shape.to_vec(),
            encode,
        };
        let mut builder = Self {
            inputs: vec![input],
            params: vec![],
            bytes: vec![],
            nodes: vec![],
            outputs: vec![],
        };
        builder.node(Op::Input(Input { index: 0 }), node, true);
        builder
    }

    fn param(&mut self, dtype: Dtype, shape: &[u32], values: &[i64]) -> ParamId {
        let id = u32::try_from(self.params.len()).unwrap_or(u32::MAX);
        self.params.push(ParamSpec {
            name: format!("p{id}"),
            dtype,
            shape: shape.to_vec(),
        });
        self.bytes.push(
            values
                .iter()
                .flat_map(|v| v.to_le_bytes().into_iter().take(dtype.width()))
                .collect(),
        );
        ParamId(id)
    }

    fn weights(&mut self, shape: &[u32]) -> ParamId {
        let values = integers(
            i64::try_from(self.params.len()).unwrap_or(0) + 11,
            cells(shape),
            -128,
            127,
        );
        self.param(Dtype::I8, shape, &values)
    }

    fn vector(&mut self, values: &[i64]) -> ParamId {
        let length = u32::try_from(values.len()).unwrap_or(u32::MAX);
        self.param(Dtype::I32, &[length], values)
    }

    fn node(&mut self, op: Op, dtype: Dtype, cut: bool) -> NodeId {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(NodeSpec {
            name: format!("n{id}"),
            op,
            dtype,
            cut,
        });
        NodeId(id)
    }

    fn rescale(
        &mut self,
        x: NodeId,
        multipliers: &[i64],
        shift: u8,
        dtype: Dtype,
    ) -> Result<NodeId, Failure> {
        let multiplier = self.vector(multipliers);
        let (min, max) = if dtype == Dtype::I8 {
            (-127, 127)
        } else {
            (-32_767, 32_767)
        };
        let shift = Shift::try_from(shift).map_err(|error| error.to_string())?;
        Ok(self.node(
            Op::Rescale(Rescale {
                x,
                multiplier,
                shift,
                min,
                max,
            }),
            dtype,
            true,
        ))
    }

    fn show(&mut self, node: NodeId, decode: Decode) {
        let name = format!("y{}", self.outputs.len());
        self.outputs.push(OutputSpec { name, node, decode });
    }

    /// Runs the program on two positions and writes everything down.
    fn vector_file(self) -> Result<Value, Failure> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let input = self.inputs.first().ok_or("no input")?.clone();
        let count = cells(&input.shape) * 2;
        let values = integers(5, count, -300, 300);
        let elements = match input.dtype {
            // Halves of small integers: exact in FP32, and ties of the quantisation.
            BorderType::Fp32 => Elements::Fp32(
                values
                    .iter()
                    .filter_map(|&v| i16::try_from(v).ok())
                    .map(|v| f32::from(v) / 2.0)
                    .collect(),
            ),
            BorderType::Int32 => Elements::Int32(
                values
                    .iter()
                    .filter_map(|&v| i32::try_from(v.rem_euclid(4)).ok())
                    .collect(),
            ),
            BorderType::Int64 => Elements::Int64(values),
        };
        let shape = [2]
            .into_iter()
            .chain(input.shape.iter().map(|&dim| u64::from(dim)))
            .collect();
        let tensor = Tensor::new("x", shape, elements).map_err(|error| text(&error))?;
        let request = Tensors::new(vec![tensor]).map_err(|error| text(&error))?;
        let (inputs, params, nodes, outputs) = (self.inputs, self.params, self.nodes, self.outputs);
        let spec = ProgramSpec {
            profile: "exact-1".into(),
            inputs,
            params,
            nodes,
            outputs,
            language: None,
        };
        let program = credence_model::program_bytes(&spec).map_err(|error| text(&error))?;
        let weights: Vec<String> = self.bytes.iter().map(|bytes| hex(bytes)).collect();
        let model =
            Model::new(spec, self.bytes).map_err(|error| format!("{error}: {:?}", error))?;
        let run = reference::run(&model, &request).map_err(|error| format!("{error:?}"))?;
        Ok(json!({
            "program": String::from_utf8(program).map_err(|error| text(&error))?,
            "weights": weights,
            "model_id": model.id().to_string(),
            "request": hex(&request.encode()),
            "values": run.values,
            "relation_costs": super::relation_costs(&model),
            "trace": hex(run.execution.trace.bytes()),
            "trace_root": run.execution.trace.root().to_string(),
            "answer": hex(&run.execution.outputs.encode()),
        }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn files() -> Result<Vec<(String, Value)>, Failure> {
    let named: [Named; 8] = [
        ("linear", linear),
        ("conv", conv),
        ("pools", pools),
        ("elementwise", elementwise),
        ("moves", moves),
        ("rows", rows),
        ("trees", trees),
        ("values", values),
    ];
    named
        .into_iter()
        .map(|(name, build)| {
            let file = build()
                .and_then(Builder::vector_file)
                .map_err(|error| format!("{name}: {error}"))?;
            Ok((format!("programs/{name}.json"), file))
        })
        .collect()
}

const SCALE: Decode = Decode::Scale {
    multiplier: 3,
    shift: 9,
};

/// Two vectors of 5, three rows; per-row multipliers; with and without bias.
fn linear() -> Result<Builder, Failure> {
    let mut b = Builder::new(&[2, 5]);
    let (weight, bias) = (b.weights(&[3, 5]), b.vector(&[1000, -1000, 7]));
    let dot = b.node(
        Op::Linear(Linear {
            x: NodeId(0),
            weight,
            bias: Some(bias),
        }),
        Dtype::I32,
        false,
    );
    let y = b.rescale(dot, &[1 << 20, 3 << 20, 0], 28, Dtype::I8)?;
    b.show(y, SCALE);
    let weight = b.weights(&[2, 5]);
    let raw = b.node(
        Op::Linear(Linear {
            x: NodeId(0),
            weight,
            bias: None,
        }),
        Dtype::I32,
        true,
    );
    b.show(raw, Decode::Integer {});
    Ok(b)
}

/// Padding, stride, dilation and groups at once, and a plain one behind it.
fn conv() -> Result<Builder, Failure> {
    let mut b = Builder::new(&[5, 4, 4]);
    let window = Window {
        kernel: [3, 2],
        stride: [2, 1],
        pad: [1, 0, 2, 1],
        dilation: [1, 2],
    };
    let (weight, bias) = (
        b.weights(&[6, 3, 2, 2]),
        b.vector(&[5, -5, 0, 100_000, -100_000, 1]),
    );
    let first = Conv {
        x: NodeId(0),
        weight,
        bias: Some(bias),
        window,
        groups: 2,
    };
    let dot = b.node(Op::Conv(first), Dtype::I32, false);
    let hidden = b.rescale(dot, &[1 << 24], 33, Dtype::I8)?;
    let window = Window {
        kernel: [1, 1],
        stride: [1, 1],
        pad: [0; 4],
        dilation: [1, 1],
    };
    let weight = b.weights(&[3, 1, 1, 6]);
    let dot = b.node(
        Op::Conv(Conv {
            x: hidden,
            weight,
            bias: None,
            window,
            groups: 1,
        }),
        Dtype::I32,
        false,
    );
    let y = b.rescale(dot, &[1 << 22, 1 << 23, 1 << 24], 31, Dtype::I16)?;
    b.show(y, SCALE);
    Ok(b)
}

fn pools() -> Result<Builder, Failure> {
    let mut b = Builder::new(&[4, 5, 2]);
    let window = Window {
        kernel: [3, 2],
        stride: [2, 2],
        pad: [1, 1, 1, 0],
        dilation: [1, 1],
    };
    let max = b.node(
        Op::MaxPool(MaxPool {
            x: NodeId(0),
            window,
        }),
        Dtype::I8,
        true,
    );
    b.show(max, Decode::Integer {});
    let sum = b.node(
        Op::SumPool(SumPool {
            x: NodeId(0),
            window,
        }),
        Dtype::I32,
        false,
    );
    let mean = b.rescale(sum, &[357_913_941], 31, Dtype::I8)?;
    b.show(mean, SCALE);
    Ok(b)
}

fn elementwise() -> Result<Builder, Failure> {
    let mut b = Builder::new(&[6]);
    let table: Vec<i64> = (-128..128).map(|x| fixed::sigmoid(x, 5, 14)).collect();
    let table = b.vector(&table);
    let curve = b.node(
        Op::Table(Table {
            x: NodeId(0),
            table,
            base: -128,
        }),
        Dtype::I16,
        true,
    );
    b.show(curve, SCALE);
    for negate_b in [false, true] {
        let [a_multiplier, b_multiplier] = [3_i32, 1_000_000].map(Multiplier::try_from);
        let shift = Shift::try_from(9).map_err(|error| error.to_string())?;
        let op = Add {
            a: curve,
            b: NodeId(0),
            a_multiplier: a_multiplier.map_err(|error| error.to_string())?,
            b_multiplier: b_multiplier.map_err(|error| error.to_string())?,
            negate_b,
            shift,
            min: -200_000,
            max: 150_000,
        };
        let sum = b.node(Op::Add(op), Dtype::I32, true);
        b.show(
            sum,
            Decode::Scale {
                multiplier: i32::MAX,
                shift: 40,
            },
        );
    }
    Ok(b)
}

fn moves() -> Result<Builder, Failure> {
    let mut b = Builder::new(&[2, 3]);
    let reindex = |shape: &[u32], offset, strides: &[i32]| {
        Op::Reindex(Reindex {
            x: NodeId(0),
            shape: shape.to_vec(),
            offset,
            strides: strides.to_vec(),
        })
    };
    let transposed = b.node(reindex(&[3, 2], 0, &[1, 3]), Dtype::I8, true);
    let flipped = b.node(reindex(&[3, 2], 5, &[-1, -3]), Dtype::I8, true);
    let broadcast = b.node(reindex(&[3, 1], 1, &[0, 0]), Dtype::I8, false);
    let all = Op::Concat(Concat {
        xs: vec![transposed, flipped, broadcast],
        axis: 1,
    });
    let all = b.node(all, Dtype::I8, true);
    b.show(all, Decode::Integer {});
    Ok(b)
}

fn rows() -> Result<Builder, Failure> {
    let mut b = Builder::new(&[2, 9]);
    let exp: Vec<i64> = (0..100).map(|d| fixed::exp_neg(d, 3, 24)).collect();
    let exp = b.vector(&exp);
    let p = b.node(
        Op::Softmax(Softmax {
            x: NodeId(0),
            exp,
            bits: 24,
        }),
        Dtype::I32,
        true,
    );
    b.show(
        p,
        Decode::Scale {
            multiplier: 1,
            shift: 24,
        },
    );
    let best = b.node(Op::ArgMax(ArgMax { x: NodeId(0) }), Dtype::I8, true);
    b.show(
        best,
        Decode::Lookup {
            values: (0..9).map(|k| k * k - 9).collect(),
        },
    );
    Ok(b)
}

/// Values with values: rows by their own scales, their products with one another, quotients, and rows that values name.
fn values() -> Result<Builder, Failure> {
    let shift = |bits: u8| Shift::try_from(bits).map_err(|e| e.to_string());
    let factor = |m: i32| Multiplier::try_from(m).map_err(|e| e.to_string());
    let mut b = Builder::new(&[4, 6]);
    let x = NodeId(0);
    let scale = b.node(Op::MaxAbs(MaxAbs { x }), Dtype::I32, true);
    let limit = 127;
    let steps = b.node(Op::Quantise(Quantise { x, scale, limit }), Dtype::I8, true);
    let ratio = RmsRatio {
        x,
        scale,
        factor: factor(160_530)?,
        epsilon: 3,
        max: 1 << 23,
    };
    let ratio = b.node(Op::RmsRatio(ratio), Dtype::I32, true);
    let bias = b.vector(&[0, 5, -5, 100, -100, 1]);
    let normal = Mul {
        a: steps,
        b: ratio,
        bias: Some(bias),
        shift: shift(9)?,
        min: -20_000,
        max: 20_000,
    };
    let normal = b.node(Op::Mul(normal), Dtype::I16, true);
    let turned = Reindex {
        x: steps,
        shape: vec![6, 4],
        offset: 0,
        strides: vec![1, 6],
    };
    let turned = b.node(Op::Reindex(turned), Dtype::I8, false);
    let products = MatMul {
        a: steps,
        b: turned,
    };
    let products = b.node(Op::MatMul(products), Dtype::I32, true);
    let quotients = Divide {
        a: products,
        b: scale,
        factor: factor(7)?,
        min: -9_000,
        max: 9_000,
    };
    let quotients = b.node(Op::Divide(quotients), Dtype::I16, true);
    let best = b.node(Op::ArgMax(ArgMax { x }), Dtype::I8, true);
    let table = b.weights(&[6, 3]);
    let rows = b.node(Op::Gather(Gather { x: best, table }), Dtype::I8, true);
    for y in [normal, products, quotients, rows] {
        b.show(
            y,
            Decode::Scale {
                multiplier: 1,
                shift: 4,
            },
        );
    }
    Ok(b)
}

/// Three trees: two that share a node, and one that is a leaf.
fn trees() -> Result<Builder, Failure> {
    let mut b = Builder::with(&[3], BorderType::Fp32, Encode::OrderKey {}, Dtype::I32);
    let half = 0x3f00_0000;
    let nodes = b.param(
        Dtype::I32,
        &[3, 4],
        &[0, 0, 1, 2, 1, half, -1, -2, 2, -half, -3, 1 - 4],
    );
    let roots = b.vector(&[0, 2, -5]);
    let op = TreeLeaves {
        x: NodeId(0),
        nodes,
        roots,
        depth: 2,
    };
    let leaves = b.node(Op::TreeLeaves(op), Dtype::I8, true);
    let table = b.param(
        Dtype::I32,
        &[5, 2],
        &[1, 2, 30, 40, 500, 600, 7000, 8000, 90_000, -90_000],
    );
    let bias = b.vector(&[-1, 1]);
    let sum = b.node(
        Op::GatherSum(GatherSum {
            x: leaves,
            table,
            bias: Some(bias),
        }),
        Dtype::I32,
        true,
    );
    b.show(sum, Decode::Integer {});
    b.show(leaves, Decode::Integer {});
    Ok(b)
}
