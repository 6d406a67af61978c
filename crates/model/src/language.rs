//! What a language model's program says beside its nodes, and how its trace is laid out (`docs/spec/trace.md`, section 3).
//!
//! ```text
//! positions  block of position 0 ‖ …      nodes that later positions depend on, and their scores
//! keys       [node][group][position][d]   what `scores` remembers
//! values     [node][group][d][position]   what `attend` remembers, positions filled up to a multiple of 32
//! sampled    block of each position whose logits were asked for: the other nodes, and their scores
//! ```
//!
//! A node is *carried* if a later position may depend on it: through keys or values, and by nothing else. The rest (the last block's queries, the
//! logits) exists only where a token is drawn.

use std::collections::BTreeSet;

use credence_exact::{NodeId, Op, ParamId, Shape};
use serde::{Deserialize, Serialize};

use crate::layout::TraceLayout;
use crate::spec::{Decode, NodeSpec, ProgramSpec};

/// Scores stand in rows filled up to a multiple of this many positions, and so do the values of the cache: 64 bytes of i16.
pub const TILE_POSITIONS: usize = 32;

/// Bytes of one score.
const SCORE_BYTES: usize = 2;

/// The member `language` of a program: its positions are tokens, each of which sees those before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageSpec {
    /// Number of token ids, `1 ..= 2²⁰`.
    pub vocabulary: u32,
    /// Most positions of a run, `1 ..= 2²⁰`.
    pub context: u32,
    /// The node of the logits: `[vocabulary]` of i32 in units of 2⁻¹⁶ nat, cut; of an encoder's embedding, `[D]` of i32.
    pub logits: NodeId,
    /// Tokeniser and chat template: bytes, as i8.
    pub text: ParamId,
    /// Present if positions see those behind them too, and `logits` is the embedding of a text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub encoder: Option<EncoderSpec>,
}

/// What makes an encoder of a language model: its answer is one vector for a whole text, taken at the last position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// From an integer of the embedding to FP32: of the kind `scale`.
    pub decode: Decode,
}

/// Where cut nodes stand that share a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    fixed: TraceLayout,
    /// Nodes of scores, their heads, and the heads of those before.
    scores: Vec<(NodeId, usize, usize)>,
    heads: usize,
}

/// Bytes that the scores of one head take at a position.
#[must_use]
pub const fn score_row_bytes(position: usize) -> usize {
    (position + 1).next_multiple_of(TILE_POSITIONS) * SCORE_BYTES
}

impl Part {
    /// Bytes of the block at a position, a multiple of 64.
    #[must_use]
    pub const fn block_bytes(&self, position: usize) -> usize {
        self.fixed.block_bytes() + self.heads * score_row_bytes(position)
    }

    /// The cells whose number does not depend on the position: they come first.
    #[must_use]
    pub const fn fixed(&self) -> &TraceLayout {
        &self.fixed
    }

    /// The heads of scores that stand before this node's, in rows of [`score_row_bytes`] behind the fixed cells.
    #[must_use]
    pub fn heads_before(&self, scores: NodeId) -> Option<usize> {
        let found = self.scores.iter().find(|(node, _, _)| *node == scores);
        found.map(|&(_, _, before)| before)
    }

    /// Heads of scores in the block.
    #[must_use]
    pub const fn heads(&self) -> usize {
        self.heads
    }
}

/// The layout of a language model's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageLayout {
    carried: Vec<bool>,
    positions: Part,
    sampled: Part,
    keys: Vec<NodeId>,
    values: Vec<NodeId>,
}

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

impl LanguageLayout {
    /// Lays out a program whose references have been checked. `None` if a size overflows.
    pub(crate) fn new(spec: &ProgramSpec, shapes: &[Shape]) -> Option<Self> {
        let carried = carried(spec);
        let remembered = |pick: fn(&Op) -> Option<NodeId>| -> Vec<NodeId> {
            let nodes: BTreeSet<NodeId> = spec.nodes.iter().filter_map(|n| pick(&n.op)).collect();
            nodes.into_iter().collect()
        };
        let keys = remembered(|op| match op {
            Op::Scores(op) => Some(op.k),
            _ => None,
        });
        let values = remembered(|op| match op {
            Op::Attend(op) => Some(op.v),
            _ => None,
        });
        let cached: BTreeSet<NodeId> = keys.iter().chain(&values).copied().collect();
        let part = |of_carried: bool| {
            let mut scores = Vec::new();
            let mut heads = 0_usize;
            let mut sizes = Vec::with_capacity(shapes.len());
            let nodes = (0_u32..).map(NodeId).zip(spec.nodes.iter().zip(shapes));
            for ((id, (node, shape)), &is_carried) in nodes.zip(&carried) {
                let here = node.cut && is_carried == of_carried && !cached.contains(&id);
                if here && matches!(node.op, Op::Scores(_)) {
                    let own = shape.dims().first().copied().unwrap_or(1);
                    scores.push((id, own, heads));
                    heads = heads.checked_add(own)?;
                    sizes.push(None);
                } else {
                    sizes.push(if here {
                        Some(bytes(node, shape)?)
                    } else {
                        None
                    });
                }
            }
            Some(Part {
                fixed: TraceLayout::new(sizes.into_iter())?,
                scores,
                heads,
            })
        };
        let (positions, sampled) = (part(true)?, part(false)?);
        Some(Self {
            carried,
            positions,
            sampled,
            keys,
            values,
        })
    }

    /// Whether a node exists at every position, and not only where a token is drawn.
    #[must_use]
    pub fn is_carried(&self, node: NodeId) -> bool {
        self.carried.get(at(node)).copied().unwrap_or(false)
    }

    /// The blocks of all positions.
    #[must_use]
    pub const fn positions(&self) -> &Part {
        &self.positions
    }

    /// The blocks of positions where a token is drawn.
    #[must_use]
    pub const fn sampled(&self) -> &Part {
        &self.sampled
    }

    /// Nodes that `scores` remember, in order.
    #[must_use]
    pub fn keys(&self) -> &[NodeId] {
        &self.keys
    }

    /// Nodes that `attend` remember, in order.
    #[must_use]
    pub fn values(&self) -> &[NodeId] {
        &self.values
    }
}

fn bytes(node: &NodeSpec, shape: &Shape) -> Option<usize> {
    shape.cells().checked_mul(node.dtype.width())
}

/// Which nodes a remembered node depends on, itself included.
fn carried(spec: &ProgramSpec) -> Vec<bool> {
    let mut carried = vec![false; spec.nodes.len()];
    for node in &spec.nodes {
        if let Some(slot) = node.op.remembered().and_then(|id| carried.get_mut(at(id))) {
            *slot = true;
        }
    }
    for (index, node) in spec.nodes.iter().enumerate().rev() {
        if carried.get(index) == Some(&true) {
            for operand in node.op.operands() {
                if let Some(slot) = carried.get_mut(at(operand)) {
                    *slot = true;
                }
            }
        }
    }
    carried
}
