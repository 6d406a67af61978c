//! Random language models: blocks of attention and of gated products, in shapes that no register divides and that cross every tile.

use credence_exact::{
    Add, Attend, Dtype, Embed, Hadamard, Linear, MaxAbs, Mul, Multiplier, NodeId, Op, ParamId,
    Position, Quantise, Reindex, Rescale, RmsRatio, Rope, Scores, Shift, Table, Token,
};
use credence_model::{Decode, EncoderSpec, LanguageSpec, NodeSpec, ParamSpec, ProgramSpec};

use super::random::Choices;

/// Sizes of a model.
struct Sizes {
    vocabulary: u32,
    context: u32,
    width: u32,
    groups: u32,
    /// Heads that share keys.
    together: u32,
    head: u32,
    hidden: u32,
    hadamard: u32,
    /// Cells of the logits, or of the embedding.
    result: u32,
}

struct Builder<'a> {
    choices: &'a mut Choices,
    sizes: Sizes,
    spec: ProgramSpec,
    params: Vec<Vec<u8>>,
}

fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn signed(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A program and its weights; most are valid.
pub(super) fn program(choices: &mut Choices) -> (ProgramSpec, Vec<Vec<u8>>) {
    of_text(choices, (None, None), &[1, 254, 3], true)
}

/// As [`program`], of an encoder: every position sees all.
pub(super) fn encoder(choices: &mut Choices) -> (ProgramSpec, Vec<Vec<u8>>) {
    let width = choices.size(1, 50);
    of_text(choices, (None, Some(width)), &[1, 254, 3], true)
}

/// As [`encoder`], with this vocabulary, context, text and width of the embedding.
pub(super) fn embedding(
    choices: &mut Choices,
    (vocabulary, context, width): (u32, u32, u32),
    text: &[u8],
) -> (ProgramSpec, Vec<Vec<u8>>) {
    of_text(
        choices,
        (Some((vocabulary, context)), Some(width)),
        text,
        true,
    )
}

/// As [`program`], with this vocabulary, context and text, and with or without attention.
pub(super) fn speaking(
    choices: &mut Choices,
    sizes: (u32, u32),
    text: &[u8],
    attends: bool,
) -> (ProgramSpec, Vec<Vec<u8>>) {
    of_text(choices, (Some(sizes), None), text, attends)
}

fn of_text(
    choices: &mut Choices,
    (sizes, embedding): (Option<(u32, u32)>, Option<u32>),
    text: &[u8],
    attends: bool,
) -> (ProgramSpec, Vec<Vec<u8>>) {
    let hadamard = *choices.pick(&[2, 4, 8, 16]);
    let (vocabulary, context) = sizes.unwrap_or_else(|| (choices.size(1, 70), choices.size(1, 75)));
    let sizes = Sizes {
        vocabulary,
        context,
        width: choices.size(1, 40),
        groups: choices.size(1, 3),
        together: choices.size(1, 6),
        head: choices.size(1, 35),
        hidden: hadamard * choices.size(1, 4),
        hadamard,
        result: embedding.unwrap_or(vocabulary),
    };
    let language = LanguageSpec {
        vocabulary: sizes.vocabulary,
        context: sizes.context,
        logits: NodeId(0),
        text: ParamId(0),
        encoder: embedding.map(|_| EncoderSpec {
            decode: Decode::Scale {
                multiplier: 3,
                shift: 20,
            },
        }),
    };
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: Vec::new(),
        params: Vec::new(),
        nodes: Vec::new(),
        outputs: Vec::new(),
        language: Some(language),
    };
    let mut builder = Builder {
        choices,
        sizes,
        spec,
        params: Vec::new(),
    };
    builder.model(text, attends);
    (builder.spec, builder.params)
}

impl Builder<'_> {
    fn model(&mut self, text: &[u8], attends: bool) {
        let entries: Vec<i32> = text.iter().map(|&byte| byte.into()).collect();
        self.param(Dtype::I8, vec![length(text.len())], &entries);
        let token = self.node(Op::Token(Token {}), Dtype::I32, true);
        let mut x = self.embed(token, self.sizes.vocabulary);
        if self.choices.chance(40) {
            let position = self.node(Op::Position(Position {}), Dtype::I32, true);
            let positions = self.embed(position, self.sizes.context);
            x = self.add(x, positions);
        }
        for _ in 0..self.choices.size(1, 2) {
            if attends {
                let attended = self.attention(x);
                x = self.add(x, attended);
            }
            let gated = self.gated(x);
            x = self.add(x, gated);
        }
        let (q, ratio) = self.norm(x);
        let cut = true;
        let logits = self.product(q, (self.sizes.width, self.sizes.result), ratio, cut);
        if let Some(language) = &mut self.spec.language {
            language.logits = logits;
        }
    }

    fn node(&mut self, op: Op, dtype: Dtype, cut: bool) -> NodeId {
        let id = length(self.spec.nodes.len());
        let name = format!("{}-{id}", op.name());
        self.spec.nodes.push(NodeSpec {
            name,
            op,
            dtype,
            cut,
        });
        NodeId(id)
    }

    fn maybe_cut(&mut self) -> bool {
        self.choices.chance(60)
    }

    fn param(&mut self, dtype: Dtype, shape: Vec<u32>, entries: &[i32]) -> ParamId {
        let id = length(self.spec.params.len());
        let bytes = entries.iter();
        let bytes = bytes.flat_map(|e| e.to_le_bytes().into_iter().take(dtype.width()));
        self.params.push(bytes.collect());
        self.spec.params.push(ParamSpec {
            name: format!("param-{id}"),
            dtype,
            shape,
        });
        ParamId(id)
    }

    fn random(&mut self, dtype: Dtype, shape: Vec<u32>, (min, max): (i32, i32)) -> ParamId {
        let cells: u32 = shape.iter().product();
        let ends = self.choices.chance(25);
        let entries: Vec<i32> = (0..cells)
            .map(|_| {
                if ends {
                    *self.choices.pick(&[min, max])
                } else {
                    self.choices.int(min, max)
                }
            })
            .collect();
        self.param(dtype, shape, &entries)
    }

    fn shift(bits: u8) -> Shift {
        Shift::try_from(bits).unwrap_or_else(|_| Self::shift(1))
    }

    fn multiplier(n: i32) -> Multiplier {
        Multiplier::try_from(n).unwrap_or_else(|_| Self::multiplier(1))
    }

    fn embed(&mut self, x: NodeId, rows: u32) -> NodeId {
        let (dtype, max) = *self.choices.pick(&[(Dtype::I8, 127), (Dtype::I16, 32_767)]);
        let table = self.random(dtype, vec![rows, self.sizes.width], (-max, max));
        let multiplier = self.random(Dtype::I32, vec![rows], (0, 1 << 20));
        let op = Embed {
            x,
            table,
            multiplier,
            shift: Self::shift(12),
            min: -2_000_000,
            max: 1_900_000,
        };
        let cut = self.maybe_cut();
        self.node(Op::Embed(op), Dtype::I32, cut)
    }

    fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let op = Add {
            a,
            b,
            a_multiplier: Self::multiplier(2),
            b_multiplier: Self::multiplier(self.choices.int(1, 3)),
            negate_b: false,
            shift: Self::shift(1),
            min: -(1 << 22),
            max: 1 << 22,
        };
        self.node(Op::Add(op), Dtype::I32, true)
    }

    /// The operand divided by its largest magnitude, and that over the root of its squares.
    fn norm(&mut self, x: NodeId) -> (NodeId, NodeId) {
        let scale = self.scale(x);
        let ratio = RmsRatio {
            x,
            scale,
            factor: Self::multiplier(self.choices.int(1, 1 << 18)),
            epsilon: self.choices.bits() >> self.choices.size(24, 63),
            max: 1 << 20,
        };
        let cut = self.maybe_cut();
        let ratio = self.node(Op::RmsRatio(ratio), Dtype::I32, cut);
        (self.quantise(x, scale, 127), ratio)
    }

    /// The largest magnitude of the operand, or of it made smaller: then some of its cells lie far outside.
    fn scale(&mut self, x: NodeId) -> NodeId {
        if self.choices.chance(70) {
            return self.node(Op::MaxAbs(MaxAbs { x }), Dtype::I32, true);
        }
        let multiplier = self.param(Dtype::I32, vec![1], &[1]);
        let shift = u8::try_from(self.choices.size(1, 31)).unwrap_or(1);
        let op = Rescale {
            x,
            multiplier,
            shift: Self::shift(shift),
            min: i32::MIN,
            max: i32::MAX,
        };
        let cut = self.maybe_cut();
        let x = self.node(Op::Rescale(op), Dtype::I32, cut);
        self.node(Op::MaxAbs(MaxAbs { x }), Dtype::I32, true)
    }

    fn quantise(&mut self, x: NodeId, scale: NodeId, limit: u16) -> NodeId {
        let dtype = if limit < 128 { Dtype::I8 } else { Dtype::I16 };
        let cut = self.maybe_cut();
        let op = Quantise { x, scale, limit };
        self.node(Op::Quantise(op), dtype, cut)
    }

    /// A matrix product, brought back by its rows' multipliers and by the operand's scale: i32.
    fn product(&mut self, x: NodeId, (from, to): (u32, u32), by: NodeId, cut: bool) -> NodeId {
        let weight = self.random(Dtype::I8, vec![to, from], (-128, 127));
        let bias = self.choices.chance(20);
        let bias = bias.then(|| self.random(Dtype::I32, vec![to], (-5000, 5000)));
        let op = Linear { x, weight, bias };
        let sums = self.node(Op::Linear(op), Dtype::I32, false);
        let multiplier = self.random(Dtype::I32, vec![to], (0, 1 << 20));
        let op = Rescale {
            x: sums,
            multiplier,
            shift: Self::shift(14),
            min: -(1 << 30),
            max: 1 << 30,
        };
        let rounded_cut = self.choices.chance(20);
        let rounded = self.node(Op::Rescale(op), Dtype::I32, rounded_cut);
        self.mul(rounded, by, (to, 17), (i32::MAX, Dtype::I32, cut))
    }

    fn mul(
        &mut self,
        a: NodeId,
        b: NodeId,
        (width, shift): (u32, u8),
        (limit, dtype, cut): (i32, Dtype, bool),
    ) -> NodeId {
        let bias = self.choices.chance(30);
        let bias = bias.then(|| self.random(Dtype::I32, vec![width], (-30_000, 30_000)));
        let op = Mul {
            a,
            b,
            bias,
            shift: Self::shift(shift),
            min: -limit,
            max: limit,
        };
        self.node(Op::Mul(op), dtype, cut)
    }

    /// Heads of a product whose cells lie between ±limit.
    fn heads(
        &mut self,
        (x, by): (NodeId, NodeId),
        heads: u32,
        (limit, dtype, cut): (i32, Dtype, bool),
    ) -> NodeId {
        let width = heads * self.sizes.head;
        let wide = self.product(x, (self.sizes.width, width), by, false);
        let one = self.param(Dtype::I32, vec![1], &[1 << 12]);
        let op = Rescale {
            x: wide,
            multiplier: one,
            shift: Self::shift(16),
            min: -limit,
            max: limit,
        };
        let narrow_cut = self.maybe_cut();
        let narrow = self.node(Op::Rescale(op), dtype, narrow_cut);
        let op = Reindex {
            x: narrow,
            shape: vec![heads, self.sizes.head],
            offset: 0,
            strides: vec![signed(self.sizes.head), 1],
        };
        self.node(Op::Reindex(op), dtype, cut)
    }

    /// 16-bit heads of a product.
    fn values(&mut self, (x, by): (NodeId, NodeId), heads: u32) -> NodeId {
        self.heads((x, by), heads, (4000, Dtype::I16, true))
    }

    /// The same, rotated or not, and wider in front of a rotation or not.
    fn rotated(&mut self, (x, by): (NodeId, NodeId), heads: u32, cut: bool) -> NodeId {
        let pairs = self.sizes.head / 2;
        if pairs == 0 || self.choices.chance(20) {
            return self.heads((x, by), heads, (4000, Dtype::I16, cut));
        }
        let wide = self.choices.chance(40);
        let (limit, dtype) = if wide {
            (1 << 26, Dtype::I32)
        } else {
            (4000, Dtype::I16)
        };
        let x = self.heads((x, by), heads, (limit, dtype, cut));
        let pairs = self.choices.size(1, pairs);
        let shape = vec![self.sizes.context, pairs];
        let op = Rope {
            x,
            cos: self.random(Dtype::I16, shape.clone(), (-(1 << 14), 1 << 14)),
            sin: self.random(Dtype::I16, shape, (-(1 << 14), 1 << 14)),
            min: -3900,
            max: 4000,
        };
        self.node(Op::Rope(op), Dtype::I16, true)
    }

    fn attention(&mut self, x: NodeId) -> NodeId {
        let (groups, together) = (self.sizes.groups, self.sizes.together);
        let (normal, ratio) = self.norm(x);
        let q = self.rotated((normal, ratio), groups * together, false);
        let k = self.rotated((normal, ratio), groups, true);
        let v = self.values((normal, ratio), groups);
        let language = self.spec.language.as_ref();
        let ahead = language.is_some_and(|language| language.encoder.is_some());
        let window = self.choices.chance(40) && !ahead;
        let op = Scores {
            q,
            k,
            multiplier: Self::multiplier(self.choices.int(0, 1 << 10)),
            shift: Self::shift(20),
            min: -30_000,
            max: 29_000,
            window: window.then(|| self.choices.size(1, 40)),
            ahead,
        };
        let scores = self.node(Op::Scores(op), Dtype::I16, true);
        let bits = u8::try_from(self.choices.size(0, 3)).unwrap_or(0);
        let cut = self.maybe_cut();
        let mean = self.node(Op::Attend(Attend { scores, v, bits }), Dtype::I16, cut);
        let cells = groups * together * self.sizes.head;
        let op = Reindex {
            x: mean,
            shape: vec![cells],
            offset: 0,
            strides: vec![1],
        };
        let flat = self.node(Op::Reindex(op), Dtype::I16, false);
        self.out(flat, cells)
    }

    /// Back to the width of the stream, by a scale of its own.
    fn out(&mut self, x: NodeId, cells: u32) -> NodeId {
        let scale = self.scale(x);
        let quantised = self.quantise(x, scale, 127);
        let cut = self.maybe_cut();
        self.product(quantised, (cells, self.sizes.width), scale, cut)
    }

    fn gated(&mut self, x: NodeId) -> NodeId {
        let hidden = self.sizes.hidden;
        let (normal, ratio) = self.norm(x);
        let narrow = |builder: &mut Self| {
            let wide = builder.product(normal, (builder.sizes.width, hidden), ratio, false);
            let scale = builder.scale(wide);
            builder.quantise(wide, scale, 2000)
        };
        let (gate, up) = (narrow(self), narrow(self));
        let table = self.random(Dtype::I16, vec![4001], (-32_000, 32_000));
        let base = -2000;
        let op = Table {
            x: gate,
            table,
            base,
        };
        let gate = self.node(Op::Table(op), Dtype::I16, false);
        let cut = self.maybe_cut();
        let product = self.mul(gate, up, (hidden, 3), (1 << 22, Dtype::I32, cut));
        let size = self.sizes.hadamard;
        let cut = self.maybe_cut();
        let op = Hadamard { x: product, size };
        let spread = self.node(Op::Hadamard(op), Dtype::I32, cut);
        self.out(spread, hidden)
    }
}
