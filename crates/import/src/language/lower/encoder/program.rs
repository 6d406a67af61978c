//! The integer program of an encoder, given its quantised weights and the units of what each block keeps in 16 bits.
//!
//! ```text
//! token, position ─▶ sum ─norm─▶ x ─transform─▶ 8 bits ─▶ q, k, v ─▶ scores, mean ─▶ out ─▶ + x ─norm─▶ x ─▶ up, function, down ─▶ + x ─norm─▶ x …
//! all x ─▶ 16 bits ─▶ mean of all positions, or the first ─▶ length 1
//! ```
//!
//! A LayerNorm subtracts the mean exactly: `C·x − Σx`, a sum over a window of the whole vector, at a power of two. What becomes one vector is a mean by scores
//! that are all equal, or by such that only the first position's weighs: no relation reads more than one of attention does.

use credence_exact::{
    Add, Attend, Dtype, Embed, Mul, NodeId, Op, Position, Quantise, Reindex, Rescale, RmsRatio,
    Scores, SumPool, Table as TableOp, Token, Window,
};
use credence_model::{Decode, EncoderSpec, LanguageSpec, ParamBytes, ProgramSpec};

use super::super::LanguageLowerError;
use super::super::emit::{Emit, Scaled, Target, Value, fixed, multiplier, shift};
use super::super::program::{PRODUCT_MAX, VALUE_MAX, head_max};
use super::super::rotation::count;
use super::super::tables::activation;
use super::super::units::STREAM_BITS;
use super::super::weights::{BlockWeights, Matrix, Table};
use super::real::transform;
use super::{EncoderUnits, Weights};
use crate::language::{EncoderGraph, Norm, Pooling};
use crate::number::{dim32, pow2};

/// Fraction bits of embeddings, which are small: a norm follows at once.
const EMBEDDED_BITS: i32 = 18;
/// By how many bits means are finer than values: both fit 16 bits.
const MEAN_BITS: u8 = 4;
/// Largest magnitude of a vector's cell that is pooled.
pub(super) const POOL_MAX: i32 = 4095;
/// By how many bits the pooled vector is finer.
const POOL_BITS: u8 = 3;
/// Scores are in units of 1/256 nat: the profile's.
const SCORES_PER_NAT: f64 = 256.0;
/// Largest magnitude of what is normalised, times its cells: their sum fits 31 bits.
const SUM_MAX: i32 = 1 << 30;
/// Widest vector that is normalised: one window.
const WIDTH_MAX: usize = 2048;
/// Steps of a vector that is brought to length 1, before its length is known.
const STEPS: u16 = 32_767;
/// Fraction bits of a largest cell over the length.
const LENGTH_BITS: u8 = 30;
/// By how many bits their product is made coarser.
const UNIT_SHIFT: i32 = 15;

/// What a program is made of.
pub(super) struct Source<'a> {
    pub(super) graph: &'a EncoderGraph,
    pub(super) weights: &'a Weights,
    pub(super) context: usize,
}

/// The program and its parameters.
pub(super) fn program(
    source: &Source<'_>,
    units: &[EncoderUnits],
    pool: i32,
) -> Result<(ProgramSpec, Vec<ParamBytes>), LanguageLowerError> {
    let Source {
        graph,
        weights,
        context,
    } = *source;
    let mut emit = Emit {
        spec: ProgramSpec {
            profile: "exact-1".to_owned(),
            inputs: Vec::new(),
            params: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            language: None,
        },
        params: Vec::new(),
    };
    let bytes = graph.text.clone();
    let text = emit.param("text".to_owned(), Dtype::I8, &[bytes.len()], bytes);
    let mut make = Make {
        graph,
        emit,
        activations: Vec::new(),
    };
    let place = Op::Position(Position {});
    let place = make
        .emit
        .node("position".to_owned(), place, Dtype::I32, true);
    let mut x = make.stream(weights, place, context)?;
    for (number, (block, units)) in weights.blocks.iter().zip(units).enumerate() {
        let name = format!("block.{number}");
        x = make.attention(&name, x, (block, units, number))?;
        x = make.feed(&name, x, (block, units, number))?;
    }
    let (logits, decode) = make.pooled(x, place, pool)?;
    make.emit.spec.language = Some(LanguageSpec {
        vocabulary: dim32(graph.vocabulary),
        context: dim32(context),
        logits,
        text,
        encoder: Some(EncoderSpec { decode }),
    });
    Ok((make.emit.spec, make.emit.params))
}

/// A program that grows.
struct Make<'a> {
    graph: &'a EncoderGraph,
    emit: Emit,
    /// By unit: the function's table.
    activations: Vec<(i32, credence_exact::ParamId)>,
}

impl Make<'_> {
    /// The largest power of two below which a vector's cells, all together, have a sum of 31 bits.
    fn stream_max(&self) -> i32 {
        let bits = usize::BITS - (self.graph.width - 1).leading_zeros();
        SUM_MAX >> bits.min(30)
    }

    /// The embedded token and position, normalised.
    fn stream(
        &mut self,
        weights: &Weights,
        place: NodeId,
        context: usize,
    ) -> Result<NodeId, LanguageLowerError> {
        let token = Op::Token(Token {});
        let token = self.emit.node("token".to_owned(), token, Dtype::I32, true);
        let mut used = weights.positions.clone();
        used.scales.truncate(context);
        let bytes = context * used.columns * Dtype::I16.width();
        used.entries = ParamBytes::from(used.entries[..bytes].to_vec());
        let words = self.rows("embedding", token, &weights.embedding)?;
        let places = self.rows("positions", place, &used)?;
        let sum = self.sum("embedded", words, places)?;
        let graph = self.graph;
        self.norm("embedded.norm", sum, (&graph.embedding_norm, EMBEDDED_BITS))
    }

    fn rows(&mut self, name: &str, x: NodeId, rows: &Table) -> Result<NodeId, LanguageLowerError> {
        let shape = [rows.scales.len(), rows.columns];
        let reals = rows.scales.iter().map(|s| s * pow2(EMBEDDED_BITS));
        let (multipliers, shift) = fixed(&reals.collect::<Vec<f64>>())?;
        let entries = rows.entries.clone();
        let max = self.stream_max() / 2;
        let emit = &mut self.emit;
        let op = Embed {
            x,
            table: emit.param(format!("{name}.rows"), Dtype::I16, &shape, entries),
            multiplier: emit.vector(format!("{name}.multiplier"), &multipliers),
            shift,
            min: -max,
            max,
        };
        Ok(emit.node(name.to_owned(), Op::Embed(op), Dtype::I32, false))
    }

    /// `a + b`, cut, so small that a sum of its cells fits.
    fn sum(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId, LanguageLowerError> {
        let max = self.stream_max();
        let op = Add {
            a,
            b,
            a_multiplier: multiplier(2)?,
            b_multiplier: multiplier(2)?,
            negate_b: false,
            shift: shift(1)?,
            min: -max,
            max,
        };
        Ok(self
            .emit
            .node(name.to_owned(), Op::Add(op), Dtype::I32, true))
    }

    /// `(C·x − Σx)/2^s`, and the factor by which that is larger than x less its mean.
    fn centred(&mut self, name: &str, x: NodeId) -> Result<(NodeId, f64), LanguageLowerError> {
        let width = self.graph.width;
        if width > WIDTH_MAX {
            return Err(LanguageLowerError::Unsupported {
                what: "a LayerNorm of more than 2,048 cells",
                instead: "narrower ones",
            });
        }
        let column = [width, 1, 1];
        let emit = &mut self.emit;
        let tall = emit.reindex(format!("{name}.column"), x, 0, &column, Dtype::I32);
        let op = SumPool {
            x: tall,
            window: Window {
                kernel: [dim32(width), 1],
                stride: [1, 1],
                pad: [0; 4],
                dilation: [1, 1],
            },
        };
        let sum = emit.node(format!("{name}.sum"), Op::SumPool(op), Dtype::I32, false);
        let op = Reindex {
            x: sum,
            shape: vec![dim32(width)],
            offset: 0,
            strides: vec![0],
        };
        let sums = emit.node(format!("{name}.sums"), Op::Reindex(op), Dtype::I32, false);
        let bits = width.ilog2().max(1);
        let op = Add {
            a: x,
            b: sums,
            a_multiplier: multiplier(i32::try_from(width).unwrap_or(i32::MAX))?,
            b_multiplier: multiplier(1)?,
            negate_b: true,
            shift: shift(i32::try_from(bits).unwrap_or(1))?,
            min: -(1 << 25),
            max: 1 << 25,
        };
        let node = emit.node(format!("{name}.centred"), Op::Add(op), Dtype::I32, false);
        let by = count(width) * pow2(-i32::try_from(bits).unwrap_or(1));
        Ok((node, by))
    }

    /// A LayerNorm with gain and bias; x in units of 2^−bits, the result in those of the stream, cut.
    fn norm(
        &mut self,
        name: &str,
        x: NodeId,
        (norm, bits): (&Norm, i32),
    ) -> Result<NodeId, LanguageLowerError> {
        let largest = norm.gain.iter().fold(0.0_f32, |max, g| max.max(g.abs()));
        // What 20 bits below the largest cannot say is 0.
        if norm.gain.iter().any(|&g| g < -largest / 1_048_576.0) {
            return Err(LanguageLowerError::Unsupported {
                what: "a LayerNorm with a negative gain",
                instead: "those whose gains are at least 0",
            });
        }
        let gain: Vec<f32> = norm.gain.iter().map(|g| g.max(0.0)).collect();
        let (centred, by) = self.centred(name, x)?;
        let width = self.graph.width;
        let value = Value {
            node: centred,
            width,
        };
        let epsilon = f64::from(self.graph.epsilon) * by * by;
        let emit = &mut self.emit;
        let (wide, ratio, bits) = emit.gained(name, value, &gain, (epsilon, bits, STREAM_BITS))?;
        let bias = norm.bias.as_ref().map(|bias| {
            let real = bias.iter().map(|&b| f64::from(b) * pow2(STREAM_BITS));
            let all = real.map(|b| crate::number::round_to(b, -(1 << 20), 1 << 20));
            all.collect::<Vec<i32>>()
        });
        let bias = bias.map(|bias| emit.vector(format!("{name}.bias"), &bias));
        let max = self.stream_max() / 2;
        let op = Mul {
            a: wide,
            b: ratio,
            bias,
            shift: shift(bits)?,
            min: -max,
            max,
        };
        Ok(self
            .emit
            .node(name.to_owned(), Op::Mul(op), Dtype::I32, true))
    }

    /// An operand of products: transformed, by its own scale. The result's cells are in units of 2^−bits, made `√size` times as large.
    fn operand(&mut self, name: &str, x: NodeId, width: usize) -> (Scaled, f64) {
        let size = transform(width);
        let (mut node, mut factor) = (x, 1.0);
        if size > 1 {
            node = self.emit.hadamard(format!("{name}.transform"), x, size);
            factor = 1.0 / count(size).sqrt();
        }
        let value = Value { node, width };
        (self.emit.scaled(name, value, (0, size)), factor)
    }

    fn attention(
        &mut self,
        name: &str,
        x: NodeId,
        (weights, units, number): (&BlockWeights, &EncoderUnits, usize),
    ) -> Result<NodeId, LanguageLowerError> {
        let graph = self.graph;
        let (width, heads, d) = (graph.width, graph.heads, graph.head_width());
        let (operand, factor) = self.operand(&format!("{name}.attention"), x, width);
        let target = Target {
            bits: &|row| match row / width {
                0 => units.q,
                1 => units.k,
                _ => units.v,
            },
            dtype: Dtype::I16,
            max: 32_767,
            cut: false,
        };
        let factor = factor * pow2(-STREAM_BITS);
        let emit = &mut self.emit;
        let all = emit.product(
            &format!("{name}.qkv"),
            operand,
            (&weights.qkv, factor),
            &target,
        )?;
        let mut part = |part: &str, offset, max| {
            let wide = format!("{name}.{part}.wide");
            let shape = [heads, d];
            let wide = emit.reindex(wide, all.node, offset, &shape, Dtype::I16);
            emit.rescale(
                format!("{name}.{part}"),
                wide,
                (1.0, max),
                (Dtype::I16, true),
            )
        };
        let (q, k) = (part("q", 0, head_max(d))?, part("k", width, head_max(d))?);
        let v = part("v", 2 * width, VALUE_MAX)?;
        let scale = SCORES_PER_NAT / count(d).sqrt() * pow2(-units.q - units.k);
        let (multipliers, bits) = fixed(&[scale])?;
        let op = Scores {
            q,
            k,
            multiplier: multiplier(multipliers.first().copied().unwrap_or(0))?,
            shift: bits,
            min: -32_767,
            max: 32_767,
            window: None,
            ahead: true,
        };
        let scores = Op::Scores(op);
        let scores = emit.node(format!("{name}.scores"), scores, Dtype::I16, true);
        let op = Op::Attend(Attend {
            scores,
            v,
            bits: MEAN_BITS,
        });
        let mean = emit.node(format!("{name}.mean"), op, Dtype::I16, true);
        let flat = emit.reindex(format!("{name}.mean.flat"), mean, 0, &[width], Dtype::I16);
        let flat = Value { node: flat, width };
        let scaled = emit.scaled(&format!("{name}.mean"), flat, (0, d));
        let factor = pow2(-units.v - i32::from(MEAN_BITS));
        let written = (&weights.out, factor);
        let norm = graph.blocks.get(number).map(|block| &block.attention_norm);
        self.write(&format!("{name}.attended"), (scaled, x), written, norm)
    }

    /// A product, added to what its block read, under a norm.
    fn write(
        &mut self,
        name: &str,
        (x, stream): (Scaled, NodeId),
        product: (&Matrix, f64),
        norm: Option<&Norm>,
    ) -> Result<NodeId, LanguageLowerError> {
        let target = Target {
            bits: &|_| STREAM_BITS,
            dtype: Dtype::I32,
            max: self.stream_max(),
            cut: false,
        };
        let written = self.emit.product(name, x, product, &target)?;
        let sum = self.sum(&format!("{name}.stream"), stream, written.node)?;
        match norm {
            Some(norm) => self.norm(&format!("{name}.norm"), sum, (norm, STREAM_BITS)),
            None => Ok(sum),
        }
    }

    fn feed(
        &mut self,
        name: &str,
        x: NodeId,
        (weights, units, number): (&BlockWeights, &EncoderUnits, usize),
    ) -> Result<NodeId, LanguageLowerError> {
        let graph = self.graph;
        let hidden = graph.hidden();
        let (operand, factor) = self.operand(&format!("{name}.feed"), x, graph.width);
        let target = Target {
            bits: &|_| units.up,
            dtype: Dtype::I16,
            max: 32_767,
            cut: false,
        };
        let factor = factor * pow2(-STREAM_BITS);
        let table = self.activation(units.up)?;
        let emit = &mut self.emit;
        let up = (&weights.gate_up, factor);
        let up = emit.product(&format!("{name}.up"), operand, up, &target)?;
        let op = TableOp {
            x: up.node,
            table,
            base: -32_768,
        };
        let active = emit.node(format!("{name}.active"), Op::Table(op), Dtype::I16, false);
        let factor = (pow2(units.product - units.up), PRODUCT_MAX);
        let product = format!("{name}.product");
        let product = emit.rescale(product, active, factor, (Dtype::I32, true))?;
        let (operand, factor) = self.operand(&format!("{name}.spread"), product, hidden);
        let written = (&weights.down, factor * pow2(-units.product));
        let norm = graph.blocks.get(number).map(|block| &block.feed_norm);
        self.write(&format!("{name}.fed"), (operand, x), written, norm)
    }

    fn activation(&mut self, bits: i32) -> Result<credence_exact::ParamId, LanguageLowerError> {
        if let Some((_, table)) = self.activations.iter().find(|(unit, _)| *unit == bits) {
            return Ok(*table);
        }
        let entries = activation(self.graph.activation, bits)?;
        let bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_le_bytes()).collect();
        let name = format!("activation.{bits}");
        let table = self.emit.param(name, Dtype::I16, &[entries.len()], bytes);
        self.activations.push((bits, table));
        Ok(table)
    }

    /// A constant, or the position, between two ends, as one head of one cell.
    fn one(
        &mut self,
        name: &str,
        place: NodeId,
        (min, max): (i32, i32),
        cut: bool,
    ) -> Result<NodeId, LanguageLowerError> {
        let emit = &mut self.emit;
        let shift = shift(30)?;
        let op = Rescale {
            x: place,
            multiplier: emit.vector(format!("{name}.multiplier"), &[1 << 30]),
            shift,
            min,
            max,
        };
        let one = emit.node(format!("{name}.one"), Op::Rescale(op), Dtype::I16, false);
        let op = Reindex {
            x: one,
            shape: vec![1, 1],
            offset: 0,
            strides: vec![1, 1],
        };
        Ok(emit.node(name.to_owned(), Op::Reindex(op), Dtype::I16, cut))
    }

    /// One vector for the text.
    fn pooled(
        &mut self,
        x: NodeId,
        place: NodeId,
        pool: i32,
    ) -> Result<(NodeId, Decode), LanguageLowerError> {
        let width = self.graph.width;
        // The score of position p is −min(p, 1) times a factor: 0 for all, or too little to weigh for all but the first.
        let q = self.one("pool.q", place, (-1, -1), false)?;
        let k = self.one("pool.k", place, (0, 1), true)?;
        let emit = &mut self.emit;
        let wide = emit.reindex("pool.wide".to_owned(), x, 0, &[1, width], Dtype::I32);
        let factor = (pow2(pool - STREAM_BITS), POOL_MAX);
        let v = emit.rescale("pool.v".to_owned(), wide, factor, (Dtype::I16, true))?;
        let op = Scores {
            q,
            k,
            multiplier: multiplier(match self.graph.pooling {
                Pooling::Mean => 0,
                Pooling::First => 1 << 15,
            })?,
            shift: shift(1)?,
            min: -32_767,
            max: 32_767,
            window: None,
            ahead: true,
        };
        let scores = emit.node("pool.scores".to_owned(), Op::Scores(op), Dtype::I16, true);
        let bits = POOL_BITS;
        let op = Op::Attend(Attend { scores, v, bits });
        let mean = emit.node("pool.mean".to_owned(), op, Dtype::I16, true);
        let flat = emit.reindex("pool.flat".to_owned(), mean, 0, &[width], Dtype::I16);
        if !self.graph.normalised {
            let one = (1.0, 32_767);
            let y = emit.rescale("embedding.out".to_owned(), flat, one, (Dtype::I32, true))?;
            let decode = Decode::Scale {
                multiplier: 1,
                shift: pool + i32::from(POOL_BITS),
            };
            return Ok((y, decode));
        }
        self.unit(Value { node: flat, width })
    }

    /// A vector of length 1.
    fn unit(&mut self, x: Value) -> Result<(NodeId, Decode), LanguageLowerError> {
        let emit = &mut self.emit;
        let scale = emit.max_abs("unit", x, 0);
        let op = RmsRatio {
            x: x.node,
            scale,
            factor: multiplier(1 << LENGTH_BITS)?,
            epsilon: 0,
            max: 1 << LENGTH_BITS,
        };
        let ratio = emit.node("unit.ratio".to_owned(), Op::RmsRatio(op), Dtype::I32, true);
        let op = Quantise {
            x: x.node,
            scale,
            limit: STEPS,
        };
        let q = emit.node("unit.q".to_owned(), Op::Quantise(op), Dtype::I16, false);
        let op = Mul {
            a: q,
            b: ratio,
            bias: None,
            shift: shift(UNIT_SHIFT)?,
            min: -(1 << LENGTH_BITS),
            max: 1 << LENGTH_BITS,
        };
        let y = emit.node("embedding.out".to_owned(), Op::Mul(op), Dtype::I32, true);
        // One is 32,767·2^(30 − 15) of them.
        let one = f64::from(STEPS) * pow2(i32::from(LENGTH_BITS) - UNIT_SHIFT);
        let shift = 60;
        let decode = Decode::Scale {
            multiplier: crate::number::round_to(pow2(shift) / one, 1, i32::MAX),
            shift,
        };
        Ok((y, decode))
    }
}
