//! Decoders of random weights: nanoGPT's shape, with norms by root, a table of GELU and learned positions.
//!
//! Scales are such that few cells are clamped and attention is neither flat nor all on one token. It deliberately says nothing: a proof costs the same whatever the words are.

use credence_exact::{
    Add, Attend, Dtype, Embed, Linear, MaxAbs, Mul, Multiplier, NodeId, Op, ParamId, Position,
    Quantise, Reindex, Rescale, RmsRatio, Scores, Shift, Table, Token,
};
use credence_exec::{Append, Engine};
use credence_method_snark::circuit::Extent;
use credence_model::{LanguageSpec, Model, ProgramSpec, Tensors};
use credence_prove_snark::run::{node_values, token_values};
use credence_prove_snark::witness::NodeValues;
use credence_testkit::program_gen::Choices;

use super::Draft;

/// What a workload is asked.
pub(crate) enum Request {
    /// Of a tensor model.
    Tensors(Tensors),
    /// Of a language model: tokens, of which the last so many are sampled.
    Tokens(Vec<u32>, usize),
}

impl Request {
    /// How long the run is.
    pub(crate) fn extent(&self) -> Extent {
        match self {
            Self::Tensors(tensors) => {
                let first = tensors.iter().next().unwrap().shape()[0];
                usize::try_from(first).unwrap().into()
            }
            Self::Tokens(tokens, sampled) => Extent {
                positions: tokens.len(),
                sampled: *sampled,
            },
        }
    }

    /// Runs it again, as whoever replays does.
    pub(crate) fn run(&self, engine: &Engine) {
        match self {
            Self::Tensors(tensors) => drop(engine.run(tensors).unwrap()),
            Self::Tokens(tokens, sampled) => {
                let mut session = engine.session().unwrap();
                let mut appends = [Append {
                    session: &mut session,
                    tokens,
                    sampled: *sampled,
                }];
                engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
                core::hint::black_box(session.trace_root());
            }
        }
    }

    /// All values of the run.
    pub(crate) fn values(&self, engine: &Engine) -> NodeValues {
        match self {
            Self::Tensors(tensors) => node_values(engine, tensors).unwrap().0,
            Self::Tokens(tokens, _) => token_values(engine, tokens).unwrap(),
        }
    }
}

/// Sizes of a decoder.
struct Sizes {
    layers: u32,
    heads: u32,
    width: u32,
    vocabulary: u32,
    context: u32,
}

/// 4 layers, 4 heads, width 64, 64 tokens of which 16 are answered.
pub(crate) fn nano() -> (Model, Request) {
    let sizes = Sizes {
        layers: 4,
        heads: 4,
        width: 64,
        vocabulary: 65,
        context: 64,
    };
    let model = decoder(&sizes);
    let mut choices = Choices::new(5);
    let tokens = (0..64).map(|_| choices.size(0, 64)).collect();
    (model, Request::Tokens(tokens, 16))
}

fn shift(bits: u8) -> Shift {
    Shift::try_from(bits).unwrap()
}

fn multiplier(n: i32) -> Multiplier {
    Multiplier::try_from(n).unwrap()
}

fn decoder(sizes: &Sizes) -> Model {
    let mut draft = Draft {
        choices: Choices::new(7),
        spec: ProgramSpec {
            profile: "exact-1".into(),
            inputs: Vec::new(),
            params: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            language: None,
        },
        params: Vec::new(),
    };
    let text = draft.param(Dtype::I8, &[3], &[1, 254, 3]);
    let token = draft.node(Op::Token(Token {}), Dtype::I32, true);
    let place = draft.node(Op::Position(Position {}), Dtype::I32, true);
    let words = draft.rows(token, sizes.vocabulary, sizes.width);
    let places = draft.rows(place, sizes.context, sizes.width);
    let mut x = draft.sum(words, places);
    for _ in 0..sizes.layers {
        let attended = draft.attention(x, sizes);
        x = draft.sum(x, attended);
        let fed = draft.feed(x, sizes.width);
        x = draft.sum(x, fed);
    }
    let (normal, ratio) = draft.norm(x);
    let ends = (1 << 30, Dtype::I32, true);
    let sizes_of = (sizes.width, sizes.vocabulary);
    let logits = draft.product((normal, ratio), sizes_of, 14, ends);
    draft.spec.language = Some(LanguageSpec {
        vocabulary: sizes.vocabulary,
        context: sizes.context,
        logits,
        text,
        encoder: None,
    });
    Model::new(draft.spec, draft.params).unwrap()
}

impl Draft {
    fn rows(&mut self, x: NodeId, rows: u32, width: u32) -> NodeId {
        let table = self.weights(&[rows, width]);
        let multipliers = vec![1 << 12; usize::try_from(rows).unwrap()];
        let multiplier = self.param(Dtype::I32, &[rows], &multipliers);
        let op = Embed {
            x,
            table,
            multiplier,
            shift: shift(5),
            min: -(1 << 25),
            max: 1 << 25,
        };
        self.node(Op::Embed(op), Dtype::I32, true)
    }

    fn sum(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let op = Add {
            a,
            b,
            a_multiplier: multiplier(2),
            b_multiplier: multiplier(2),
            negate_b: false,
            shift: shift(1),
            min: -(1 << 25),
            max: 1 << 25,
        };
        self.node(Op::Add(op), Dtype::I32, true)
    }

    fn scaled(&mut self, x: NodeId) -> (NodeId, NodeId) {
        let scale = self.node(Op::MaxAbs(MaxAbs { x }), Dtype::I32, true);
        let limit = 127;
        let op = Quantise { x, scale, limit };
        (self.node(Op::Quantise(op), Dtype::I8, true), scale)
    }

    fn norm(&mut self, x: NodeId) -> (NodeId, NodeId) {
        let (normal, scale) = self.scaled(x);
        let op = RmsRatio {
            x,
            scale,
            factor: multiplier(1 << 16),
            epsilon: 1 << 10,
            max: 1 << 20,
        };
        (normal, self.node(Op::RmsRatio(op), Dtype::I32, true))
    }

    /// A product of a matrix, brought back by the scale beside the operand.
    fn product(
        &mut self,
        (x, by): (NodeId, NodeId),
        (from, to): (u32, u32),
        bits: u8,
        (limit, dtype, cut): (i32, Dtype, bool),
    ) -> NodeId {
        let weight = self.weights(&[to, from]);
        let bias = None;
        let sums = self.node(Op::Linear(Linear { x, weight, bias }), Dtype::I32, false);
        let multipliers: Vec<i32> = (0..to)
            .map(|_| self.choices.int(1 << 13, 1 << 14))
            .collect();
        let multiplier = self.param(Dtype::I32, &[to], &multipliers);
        let op = Rescale {
            x: sums,
            multiplier,
            shift: shift(14),
            min: -(1 << 30),
            max: 1 << 30,
        };
        let a = self.node(Op::Rescale(op), Dtype::I32, false);
        let op = Mul {
            a,
            b: by,
            bias: None,
            shift: shift(bits),
            min: -limit,
            max: limit,
        };
        self.node(Op::Mul(op), dtype, cut)
    }

    fn shaped(&mut self, x: NodeId, shape: &[u32]) -> NodeId {
        let strides = match shape {
            [_, columns] => vec![i32::try_from(*columns).unwrap(), 1],
            _ => vec![1],
        };
        let op = Reindex {
            x,
            shape: shape.to_vec(),
            offset: 0,
            strides,
        };
        self.node(Op::Reindex(op), Dtype::I16, true)
    }

    fn attention(&mut self, x: NodeId, sizes: &Sizes) -> NodeId {
        let normed = self.norm(x);
        let [width, heads] = [sizes.width, sizes.heads];
        let [q, k, v] = [(); 3].map(|()| {
            // 2^3 times as fine, a mean of them still has 16 bits.
            let ends = (4_095, Dtype::I16, true);
            let all = self.product(normed, (width, width), 18, ends);
            self.shaped(all, &[heads, width / heads])
        });
        let op = Scores {
            q,
            k,
            multiplier: multiplier(1 << 10),
            shift: shift(26),
            min: -32_767,
            max: 32_767,
            window: None,
            ahead: false,
        };
        let scores = self.node(Op::Scores(op), Dtype::I16, true);
        let bits = 3;
        let mean = self.node(Op::Attend(Attend { scores, v, bits }), Dtype::I16, true);
        let flat = self.shaped(mean, &[width]);
        let scaled = self.scaled(flat);
        self.product(scaled, (width, width), 17, (1 << 25, Dtype::I32, true))
    }

    fn feed(&mut self, x: NodeId, width: u32) -> NodeId {
        let normed = self.norm(x);
        let hidden = 4 * width;
        let ends = (2_000, Dtype::I16, true);
        let up = self.product(normed, (width, hidden), 20, ends);
        let table = self.gelu();
        let op = Table {
            x: up,
            table,
            base: -2_000,
        };
        let gelu = self.node(Op::Table(op), Dtype::I16, true);
        let scaled = self.scaled(gelu);
        self.product(scaled, (hidden, width), 15, (1 << 25, Dtype::I32, true))
    }

    fn gelu(&mut self) -> ParamId {
        let known = self.spec.params.iter().position(|own| own.shape == [4001]);
        if let Some(known) = known {
            return ParamId(u32::try_from(known).unwrap());
        }
        let entries: Vec<i32> = (-2_000_i32..=2_000)
            .map(|x| {
                let z = f64::from(x) / 500.0;
                let gelu = z / (1.0 + (-1.702 * z).exp());
                let rounded = (gelu * 2_000.0).round().to_string();
                rounded.parse::<i64>().unwrap().try_into().unwrap()
            })
            .collect();
        self.param(Dtype::I16, &[4001], &entries)
    }
}
