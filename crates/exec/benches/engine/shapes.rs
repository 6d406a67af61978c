//! Models whose shapes are worth measuring, with random weights: what a run costs does not depend on them.

use credence_exact::{
    Conv, Dtype, GatherSum, Input, Linear, MaxPool, NodeId, Op, ParamId, Reindex, Rescale, Shift,
    TreeLeaves, Window,
};
use credence_model::{
    BorderType, Decode, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
};
use credence_testkit::program_gen::Choices;

/// A program under construction: each method appends a node that reads the last one.
struct Shapes {
    spec: ProgramSpec,
    params: Vec<Vec<u8>>,
    choices: Choices,
    dims: Vec<u32>,
}

const SAME: Window = Window {
    kernel: [3, 3],
    stride: [1, 1],
    pad: [1, 1, 1, 1],
    dilation: [1, 1],
};
const HALVES: Window = Window {
    kernel: [2, 2],
    stride: [2, 2],
    pad: [0; 4],
    dilation: [1, 1],
};

impl Shapes {
    /// Starts with a float input of this shape.
    fn new(shape: &[u32], encode: Encode, dtype: Dtype) -> Self {
        let mut shapes = Self {
            spec: ProgramSpec {
                profile: "exact-1".to_owned(),
                inputs: vec![InputSpec {
                    name: "x".to_owned(),
                    dtype: BorderType::Fp32,
                    shape: shape.to_vec(),
                    encode,
                }],
                params: Vec::new(),
                nodes: Vec::new(),
                outputs: Vec::new(),
            },
            params: Vec::new(),
            choices: Choices::new(1),
            dims: shape.to_vec(),
        };
        shapes.node(Op::Input(Input { index: 0 }), shape.to_vec(), dtype, true);
        shapes
    }

    fn bytes(shape: &[u32]) -> Self {
        let encode = Encode::Quantise {
            multiplier: 100,
            shift: 3,
            min: -128,
            max: 127,
        };
        Self::new(shape, encode, Dtype::I8)
    }

    fn last(&self) -> NodeId {
        NodeId(u32::try_from(self.spec.nodes.len()).unwrap() - 1)
    }

    fn node(&mut self, op: Op, dims: Vec<u32>, dtype: Dtype, cut: bool) {
        let name = format!("{}-{}", op.name(), self.spec.nodes.len());
        self.spec.nodes.push(NodeSpec {
            name,
            op,
            dtype,
            cut,
        });
        self.dims = dims;
    }

    fn param(&mut self, dtype: Dtype, shape: &[u32], entries: &[i32]) -> ParamId {
        let bytes = entries
            .iter()
            .flat_map(|e| e.to_le_bytes().into_iter().take(dtype.width()));
        self.params.push(bytes.collect());
        let id = u32::try_from(self.spec.params.len()).unwrap();
        self.spec.params.push(ParamSpec {
            name: format!("param-{id}"),
            dtype,
            shape: shape.to_vec(),
        });
        ParamId(id)
    }

    fn random(&mut self, dtype: Dtype, shape: &[u32], reach: i32) -> ParamId {
        let cells = shape.iter().product();
        let entries: Vec<i32> = (0..cells)
            .map(|_| self.choices.int(-reach, reach))
            .collect();
        self.param(dtype, shape, &entries)
    }

    fn rescaled(&mut self, op: Op, dims: Vec<u32>, min: i32, cut: bool) {
        let outputs = *dims.last().unwrap();
        self.node(op, dims.clone(), Dtype::I32, false);
        let entries: Vec<i32> = (0..outputs)
            .map(|_| self.choices.int(1 << 20, 1 << 21))
            .collect();
        let rescale = Rescale {
            x: self.last(),
            multiplier: self.param(Dtype::I32, &[outputs], &entries),
            shift: Shift::try_from(30).unwrap(),
            min,
            max: 127,
        };
        self.node(Op::Rescale(rescale), dims, Dtype::I8, cut);
    }

    fn linear(mut self, outputs: u32) -> Self {
        let length = *self.dims.last().unwrap();
        let op = Op::Linear(Linear {
            x: self.last(),
            weight: self.random(Dtype::I8, &[outputs, length], 127),
            bias: Some(self.random(Dtype::I32, &[outputs], 1 << 15)),
        });
        let mut dims = self.dims.clone();
        *dims.last_mut().unwrap() = outputs;
        self.rescaled(op, dims, -128, true);
        self
    }

    fn conv(mut self, outputs: u32, groups: u32, cut: bool) -> Self {
        let (rows, columns, channels) = (self.dims[0], self.dims[1], self.dims[2]);
        let op = Op::Conv(Conv {
            x: self.last(),
            weight: self.random(Dtype::I8, &[outputs, 3, 3, channels / groups], 127),
            bias: Some(self.random(Dtype::I32, &[outputs], 1 << 15)),
            window: SAME,
            groups,
        });
        self.rescaled(op, vec![rows, columns, outputs], 0, cut);
        self
    }

    fn pool(mut self) -> Self {
        let dims = vec![self.dims[0] / 2, self.dims[1] / 2, self.dims[2]];
        let op = Op::MaxPool(MaxPool {
            x: self.last(),
            window: HALVES,
        });
        self.node(op, dims, Dtype::I8, true);
        self
    }

    /// The same cells in another shape.
    fn shape(mut self, dims: &[u32]) -> Self {
        let mut strides = vec![1; dims.len()];
        for axis in (0..dims.len() - 1).rev() {
            strides[axis] = strides[axis + 1] * i32::try_from(dims[axis + 1]).unwrap();
        }
        let op = Op::Reindex(Reindex {
            x: self.last(),
            shape: dims.to_vec(),
            offset: 0,
            strides,
        });
        self.node(op, dims.to_vec(), Dtype::I8, false);
        self
    }

    /// Complete trees of random splits, and the sum of their leaves' rows.
    fn forest(mut self, trees: u32, depth: u32, classes: u32) -> Self {
        let features = i32::try_from(self.dims[0]).unwrap();
        let (splits, leaves) = ((1_u32 << depth) - 1, 1_u32 << depth);
        let mut records = Vec::new();
        for tree in 0..trees {
            for split in 0..splits {
                let child = |n: u32| {
                    if n < splits {
                        i32::try_from(tree * splits + n).unwrap()
                    } else {
                        -1 - i32::try_from(tree * leaves + n - splits).unwrap()
                    }
                };
                let threshold = f32::from(i16::try_from(self.choices.int(0, 15)).unwrap()) + 0.5;
                records.extend([
                    self.choices.int(0, features - 1),
                    i32::try_from(threshold.to_bits()).unwrap(),
                    child(2 * split + 1),
                    child(2 * split + 2),
                ]);
            }
        }
        let roots: Vec<i32> = (0..trees)
            .map(|tree| i32::try_from(tree * splits).unwrap())
            .collect();
        let op = Op::TreeLeaves(TreeLeaves {
            x: self.last(),
            nodes: self.param(Dtype::I32, &[trees * splits, 4], &records),
            roots: self.param(Dtype::I32, &[trees], &roots),
            depth,
        });
        self.node(op, vec![trees], Dtype::I32, true);
        let op = Op::GatherSum(GatherSum {
            x: self.last(),
            table: self.random(Dtype::I32, &[trees * leaves, classes], 1 << 20),
            bias: None,
        });
        self.node(op, vec![classes], Dtype::I32, true);
        self
    }

    fn model(mut self) -> Model {
        self.spec.outputs.push(OutputSpec {
            name: "y".to_owned(),
            node: self.last(),
            decode: Decode::Scale {
                multiplier: 1 << 20,
                shift: 24,
            },
        });
        Model::new(self.spec, self.params).unwrap()
    }
}

/// Two convolutions, a pool and two linear layers on 8×8 pixels: the digits model that ships.
pub(crate) fn digits_cnn() -> Model {
    let shapes = Shapes::bytes(&[1, 8, 8]).shape(&[8, 8, 1]);
    let shapes = shapes.conv(16, 1, true).conv(32, 1, false).pool();
    shapes.shape(&[512]).linear(64).linear(10).model()
}

/// A hundred complete trees of 64 leaves on 64 features, 10 classes.
pub(crate) fn forest() -> Model {
    Shapes::new(&[64], Encode::OrderKey {}, Dtype::I32)
        .forest(100, 6, 10)
        .model()
}

/// Linear layers whose 8 MiB of weights fit no second cache.
pub(crate) fn wide_mlp() -> Model {
    Shapes::bytes(&[2048]).linear(2048).linear(2048).model()
}

/// One product that stays in the first and second cache: the multiply-adds of the kernel alone.
pub(crate) fn square() -> Model {
    Shapes::bytes(&[64, 1024]).linear(256).model()
}

/// A 3×3 convolution of 64 channels on 32×32 pixels.
pub(crate) fn wide_conv() -> Model {
    Shapes::bytes(&[32, 32, 64]).conv(64, 1, true).model()
}

/// The same, channel by channel.
pub(crate) fn depthwise() -> Model {
    Shapes::bytes(&[32, 32, 64]).conv(64, 64, true).model()
}
