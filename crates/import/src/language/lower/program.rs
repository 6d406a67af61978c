//! The integer program of a language model, given its quantised weights and the units of what each block keeps in 16 bits.

use credence_exact::{
    Attend, Dtype, Embed, Mul, NodeId, Op, Position as PositionOp, Rope as RopeOp, Scores, Table,
    Token,
};
use credence_model::{LanguageSpec, ParamBytes, ProgramSpec};

use super::LanguageLowerError;
use super::emit::{Emit, STREAM_MAX, Scaled, Target, Value, fixed, multiplier, shift};
use super::rotation::count;
use super::tables::{activation, rotation_table};
use super::units::{STREAM_BITS, Units};
use super::weights::{BlockWeights, Matrix, Table as RowTable, Weights};
use crate::language::{Attention, Block, LanguageGraph, Position};
use crate::number::pow2;

/// Largest magnitude of rotated queries and keys, so that a sum of `width` products fits 31 bits.
pub(super) const fn head_max(width: usize) -> i32 {
    match width {
        0..=128 => 4095,
        129..=256 => 2895,
        _ => 1447,
    }
}

/// Largest magnitude of a value: 32 of them, weighed, are summed in 32 bits.
pub(super) const VALUE_MAX: i32 = 2047;
/// By how many bits means are finer than values: both fit 16 bits.
const MEAN_BITS: u8 = 4;
/// Largest magnitude of a cell of the hidden layer: 512 of them are summed.
pub(super) const PRODUCT_MAX: i32 = 1 << 21;
/// Units of what a head is before its own norm.
const WIDE_BITS: i32 = 12;

/// Largest magnitude of a cell before a norm over `width` of them: the sum of their squares stays below 2⁶².
fn square_max(width: usize) -> i32 {
    let bits = 61_u32.saturating_sub(width.max(1).next_power_of_two().trailing_zeros()) / 2;
    1 << bits.min(28)
}

/// Fraction bits of a logit: the profile's.
const LOGIT_BITS: i32 = 16;
/// Scores are in units of 1/256 nat: the profile's.
const SCORES_PER_NAT: f64 = 256.0;

/// What a program is made of.
pub(super) struct Source<'a> {
    pub(super) graph: &'a LanguageGraph,
    pub(super) weights: &'a Weights,
    pub(super) text: &'a [u8],
    pub(super) context: usize,
}

/// Tables that blocks share.
struct Shared {
    /// By rotation: cosines and sines.
    angles: Vec<[credence_exact::ParamId; 2]>,
    /// By unit: the activation.
    activations: Vec<(i32, credence_exact::ParamId)>,
}

/// The program and its parameters.
pub(super) fn program(
    source: &Source<'_>,
    units: &[Units],
) -> Result<(ProgramSpec, Vec<ParamBytes>), LanguageLowerError> {
    let Source { graph, weights, .. } = *source;
    let narrow = |n: usize| u32::try_from(n).map_err(|_| LanguageLowerError::Scale);
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
    let text = emit.param(
        "text".to_owned(),
        Dtype::I8,
        &[source.text.len()],
        source.text.to_vec(),
    );
    let mut shared = Shared {
        angles: Vec::new(),
        activations: Vec::new(),
    };
    if let Position::Rope(ropes) = &graph.position {
        for (number, rope) in ropes.iter().enumerate() {
            let [cos, sin] = rotation_table(rope, source.context);
            let shape = [source.context, rope.dims / 2];
            let cos = emit.param(format!("rope.{number}.cos"), Dtype::I16, &shape, cos);
            let sin = emit.param(format!("rope.{number}.sin"), Dtype::I16, &shape, sin);
            shared.angles.push([cos, sin]);
        }
    }
    let mut x = stream(&mut emit, source)?;
    for (number, block) in graph.blocks.iter().enumerate() {
        let own = BlockEmit {
            graph,
            block,
            weights: &weights.blocks[number],
            hadamard: weights.hadamard,
            units: units[number],
            name: format!("block.{number}"),
        };
        x = own.attention(&mut emit, &shared, x)?;
        x = own.feed(&mut emit, &mut shared, x)?;
    }
    let width = graph.width;
    let epsilon = f64::from(graph.epsilon);
    let normal = emit.norm("head", Value { node: x, width }, (epsilon, STREAM_BITS))?;
    let target = Target {
        bits: &|_| LOGIT_BITS,
        dtype: Dtype::I32,
        max: 1 << 30,
        cut: true,
    };
    let logits = emit.product("logits", normal, (&weights.head, 1.0), &target)?;
    emit.spec.language = Some(LanguageSpec {
        vocabulary: narrow(graph.vocabulary)?,
        context: narrow(source.context)?,
        logits: logits.node,
        text,
        encoder: None,
    });
    Ok((emit.spec, emit.params))
}

/// The embedded token, and position where those are learned.
fn stream(emit: &mut Emit, source: &Source<'_>) -> Result<NodeId, LanguageLowerError> {
    let token = emit.node("token".to_owned(), Op::Token(Token {}), Dtype::I32, true);
    let x = rows(emit, "embedding", token, &source.weights.embedding)?;
    let Some(positions) = &source.weights.positions else {
        return Ok(x);
    };
    let place = Op::Position(PositionOp {});
    let place = emit.node("position".to_owned(), place, Dtype::I32, true);
    let mut used = positions.clone();
    used.scales.truncate(source.context);
    let used_bytes = source.context * used.columns * Dtype::I16.width();
    used.entries = ParamBytes::from(used.entries[..used_bytes].to_vec());
    let places = rows(emit, "positions", place, &used)?;
    emit.add("embedded".to_owned(), x, places)
}

fn rows(
    emit: &mut Emit,
    name: &str,
    x: NodeId,
    matrix: &RowTable,
) -> Result<NodeId, LanguageLowerError> {
    let shape = [matrix.scales.len(), matrix.columns];
    let reals: Vec<f64> = matrix
        .scales
        .iter()
        .map(|s| s * pow2(STREAM_BITS))
        .collect();
    let (multipliers, shift) = fixed(&reals)?;
    let op = Embed {
        x,
        table: emit.param(
            format!("{name}.rows"),
            Dtype::I16,
            &shape,
            matrix.entries.clone(),
        ),
        multiplier: emit.vector(format!("{name}.multiplier"), &multipliers),
        shift,
        min: -STREAM_MAX,
        max: STREAM_MAX,
    };
    Ok(emit.node(name.to_owned(), Op::Embed(op), Dtype::I32, true))
}

struct BlockEmit<'a> {
    graph: &'a LanguageGraph,
    block: &'a Block,
    weights: &'a BlockWeights,
    hadamard: usize,
    units: Units,
    name: String,
}

impl BlockEmit<'_> {
    fn named(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    fn epsilon(&self) -> f64 {
        f64::from(self.graph.epsilon)
    }

    fn attention(
        &self,
        emit: &mut Emit,
        shared: &Shared,
        x: NodeId,
    ) -> Result<NodeId, LanguageLowerError> {
        let Self { graph, units, .. } = self;
        let attention = &self.block.attention;
        let width = graph.width;
        let stream = (self.epsilon(), STREAM_BITS);
        let normal = emit.norm(&self.named("attention"), Value { node: x, width }, stream)?;
        let [q, k, v] = self.heads(emit, normal)?;
        let turned =
            |emit: &mut Emit, part: &str, x: NodeId| match shared.angles.get(attention.rope) {
                Some(&[cos, sin]) => {
                    let max = head_max(graph.head_width);
                    let min = -max;
                    let op = RopeOp {
                        x,
                        cos,
                        sin,
                        min,
                        max,
                    };
                    Ok(emit.node(self.named(part), Op::Rope(op), Dtype::I16, true))
                }
                None => {
                    let clamp = (1.0, head_max(graph.head_width));
                    emit.rescale(self.named(part), x, clamp, (Dtype::I16, true))
                }
            };
        let (q, k) = (turned(emit, "q", q)?, turned(emit, "k", k)?);
        let scale = f64::from(graph.attention_scale) * SCORES_PER_NAT * pow2(-units.q - units.k);
        let (multipliers, bits) = fixed(&[scale])?;
        let op = Scores {
            q,
            k,
            multiplier: multiplier(multipliers.first().copied().unwrap_or(0))?,
            shift: bits,
            min: -32_767,
            max: 32_767,
            window: attention
                .window
                .map(|w| u32::try_from(w).unwrap_or(u32::MAX)),
            ahead: false,
        };
        let scores = emit.node(self.named("scores"), Op::Scores(op), Dtype::I16, true);
        let op = Op::Attend(Attend {
            scores,
            v,
            bits: MEAN_BITS,
        });
        let mean = emit.node(self.named("mean"), op, Dtype::I16, true);
        let cells = graph.heads * graph.head_width;
        let flat = emit.reindex(self.named("mean.flat"), mean, 0, &[cells], Dtype::I16);
        let flat = Value {
            node: flat,
            width: cells,
        };
        let scaled = emit.scaled(&self.named("mean"), flat, (0, graph.head_width));
        let factor = pow2(-units.v - i32::from(MEAN_BITS));
        let written = (&self.weights.out, factor, attention.post_norm.as_ref());
        self.write(emit, "attended", (scaled, x), written)
    }

    /// A product into the stream, behind a norm in some families.
    fn write(
        &self,
        emit: &mut Emit,
        part: &str,
        (x, stream): (Scaled, NodeId),
        (matrix, factor, norm): (&Matrix, f64, Option<&crate::language::Norm>),
    ) -> Result<NodeId, LanguageLowerError> {
        let name = self.named(part);
        let target = Target {
            bits: &|_| STREAM_BITS,
            dtype: Dtype::I32,
            max: STREAM_MAX,
            cut: norm.is_some(),
        };
        let mut written = emit.product(&name, x, (matrix, factor), &target)?;
        if let Some(norm) = norm {
            let name = format!("{name}.norm");
            let units = (self.epsilon(), STREAM_BITS, STREAM_BITS);
            let (wide, by, bits) = emit.gained(&name, written, &norm.gain, units)?;
            let op = Mul {
                a: wide,
                b: by,
                bias: None,
                shift: shift(bits)?,
                min: -STREAM_MAX,
                max: STREAM_MAX,
            };
            written.node = emit.node(name, Op::Mul(op), Dtype::I32, false);
        }
        emit.add(format!("{name}.stream"), stream, written.node)
    }

    /// Queries, keys and values by head, in 16 bits; values are cut.
    fn heads(&self, emit: &mut Emit, x: Scaled) -> Result<[NodeId; 3], LanguageLowerError> {
        let Self { graph, units, .. } = self;
        let Attention { q_norm, k_norm, .. } = &self.block.attention;
        let d = graph.head_width;
        let (queries, keys) = (graph.heads * d, graph.kv_heads * d);
        let normed = q_norm.is_some() || k_norm.is_some();
        let bits = |row: usize| match row {
            _ if normed => WIDE_BITS,
            row if row < queries => units.q,
            row if row < queries + keys => units.k,
            _ => units.v,
        };
        let (dtype, max) = if normed {
            (Dtype::I32, square_max(d))
        } else {
            (Dtype::I16, 32_767)
        };
        let target = Target {
            bits: &bits,
            dtype,
            max,
            cut: normed,
        };
        let all = emit.product(&self.named("qkv"), x, (&self.weights.qkv, 1.0), &target)?;
        let mut part = |name: &str, offset, heads: usize| {
            emit.reindex(self.named(name), all.node, offset, &[heads, d], dtype)
        };
        let q = part("queries", 0, graph.heads);
        let k = part("keys", queries, graph.kv_heads);
        let v = part("values", queries + keys, graph.kv_heads);
        let q = self.head_norm(emit, ("queries", q), (q_norm.as_deref(), units.q), normed)?;
        let k = self.head_norm(emit, ("keys", k), (k_norm.as_deref(), units.k), normed)?;
        let factor = if normed {
            pow2(units.v - WIDE_BITS)
        } else {
            1.0
        };
        let clamp = (factor, VALUE_MAX);
        let v = emit.rescale(self.named("v"), v, clamp, (Dtype::I16, true))?;
        Ok([q, k, v])
    }

    /// The norm of each head, where the model has one.
    fn head_norm(
        &self,
        emit: &mut Emit,
        (name, node): (&str, NodeId),
        (gain, bits): (Option<&[f32]>, i32),
        wide: bool,
    ) -> Result<NodeId, LanguageLowerError> {
        let name = format!("{}.norm", self.named(name));
        let width = self.graph.head_width;
        match gain {
            Some(gain) => {
                let units = (self.epsilon(), WIDE_BITS, bits);
                let x = Value { node, width };
                let (wide, by, bits) = emit.gained(&name, x, gain, units)?;
                let op = Mul {
                    a: wide,
                    b: by,
                    bias: None,
                    shift: shift(bits)?,
                    min: -32_767,
                    max: 32_767,
                };
                Ok(emit.node(name, Op::Mul(op), Dtype::I16, false))
            }
            None if wide => {
                let factor = (pow2(bits - WIDE_BITS), 32_767);
                emit.rescale(name, node, factor, (Dtype::I16, false))
            }
            None => Ok(node),
        }
    }

    fn feed(
        &self,
        emit: &mut Emit,
        shared: &mut Shared,
        x: NodeId,
    ) -> Result<NodeId, LanguageLowerError> {
        let Self { graph, units, .. } = self;
        let feed = &self.block.feed;
        let width = graph.width;
        let hidden = feed.up.weight.rows();
        let stream = (self.epsilon(), STREAM_BITS);
        let normal = emit.norm(&self.named("feed"), Value { node: x, width }, stream)?;
        let target = Target {
            bits: &|row| {
                if row < hidden { units.gate } else { units.up }
            },
            dtype: Dtype::I16,
            max: 32_767,
            cut: false,
        };
        let name = self.named("gate_up");
        let both = emit.product(&name, normal, (&self.weights.gate_up, 1.0), &target)?;
        let gate = emit.reindex(self.named("gate"), both.node, 0, &[hidden], Dtype::I16);
        let table = self.activation(emit, shared)?;
        let op = Table {
            x: gate,
            table,
            base: -32_768,
        };
        let active = emit.node(self.named("active"), Op::Table(op), Dtype::I16, false);
        let product = if feed.gate.is_some() {
            let up = emit.reindex(self.named("up"), both.node, hidden, &[hidden], Dtype::I16);
            let op = Mul {
                a: active,
                b: up,
                bias: None,
                shift: shift(units.gate + units.up - units.product)?,
                min: -PRODUCT_MAX,
                max: PRODUCT_MAX,
            };
            emit.node(self.named("product"), Op::Mul(op), Dtype::I32, true)
        } else {
            let factor = (pow2(units.product - units.gate), PRODUCT_MAX);
            emit.rescale(self.named("product"), active, factor, (Dtype::I32, true))?
        };
        let spread = emit.hadamard(self.named("spread"), product, self.hadamard);
        let spread = Value {
            node: spread,
            width: hidden,
        };
        let scaled = emit.scaled(&self.named("spread"), spread, (0, self.hadamard));
        let factor = pow2(-units.product) / count(self.hadamard).sqrt();
        let written = (&self.weights.down, factor, feed.post_norm.as_ref());
        self.write(emit, "fed", (scaled, x), written)
    }

    fn activation(
        &self,
        emit: &mut Emit,
        shared: &mut Shared,
    ) -> Result<credence_exact::ParamId, LanguageLowerError> {
        let bits = self.units.gate;
        if let Some((_, table)) = shared.activations.iter().find(|(unit, _)| *unit == bits) {
            return Ok(*table);
        }
        let entries = activation(self.graph.activation, bits)?;
        let len = entries.len();
        let bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_le_bytes()).collect();
        let table = emit.param(format!("activation.{bits}"), Dtype::I16, &[len], bytes);
        shared.activations.push((bits, table));
        Ok(table)
    }
}
