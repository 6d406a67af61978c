//! Models of one or two layers, each at another limit of the machine, with random weights: what a run costs does not depend on them.

use credence_exact::{Conv, Dtype, Input, Linear, NodeId, Op, ParamId, Rescale, Shift, Window};
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

impl Shapes {
    /// Starts with a float input of this shape, in 8 bits.
    fn new(shape: &[u32]) -> Self {
        let encode = Encode::Quantise {
            multiplier: 100,
            shift: 3,
            min: -128,
            max: 127,
        };
        let input = InputSpec {
            name: "x".to_owned(),
            dtype: BorderType::Fp32,
            shape: shape.to_vec(),
            encode,
        };
        let mut shapes = Self {
            spec: ProgramSpec {
                profile: "exact-1".to_owned(),
                inputs: vec![input],
                params: Vec::new(),
                nodes: Vec::new(),
                outputs: Vec::new(),
                language: None,
            },
            params: Vec::new(),
            choices: Choices::new(1),
            dims: shape.to_vec(),
        };
        shapes.node(
            Op::Input(Input { index: 0 }),
            shape.to_vec(),
            Dtype::I8,
            true,
        );
        shapes
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

    fn rescaled(&mut self, op: Op, dims: Vec<u32>, min: i32) {
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
        self.node(Op::Rescale(rescale), dims, Dtype::I8, true);
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
        self.rescaled(op, dims, -128);
        self
    }

    fn conv(mut self, outputs: u32, groups: u32) -> Self {
        let (rows, columns, channels) = (self.dims[0], self.dims[1], self.dims[2]);
        let op = Op::Conv(Conv {
            x: self.last(),
            weight: self.random(Dtype::I8, &[outputs, 3, 3, channels / groups], 127),
            bias: Some(self.random(Dtype::I32, &[outputs], 1 << 15)),
            window: SAME,
            groups,
        });
        self.rescaled(op, vec![rows, columns, outputs], 0);
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

/// Linear layers whose 8 MiB of weights fit no second cache.
pub(crate) fn wide_mlp() -> Model {
    Shapes::new(&[2048]).linear(2048).linear(2048).model()
}

/// One product that stays in the first and second cache: the multiply-adds of the kernel alone.
pub(crate) fn square() -> Model {
    Shapes::new(&[64, 1024]).linear(256).model()
}

/// A 3×3 convolution of 64 channels on 32×32 pixels.
pub(crate) fn wide_conv() -> Model {
    Shapes::new(&[32, 32, 64]).conv(64, 1).model()
}

/// The same, channel by channel.
pub(crate) fn depthwise() -> Model {
    Shapes::new(&[32, 32, 64]).conv(64, 64).model()
}
