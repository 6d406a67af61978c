//! How many bytes it takes at most to open one cell with everything its relation reads, from the layout alone.
//!
//! ```text
//! Cell ─relation over a run of ones─▶ blocks read ───────────────────▶ bytes up to their chunks' ends, chaining values beside the paths ─┐
//!                               └───▶ entries looked up by value ─▶ as many chunks as they can fall on, each with a path of its own ─────┴─▶ OpeningSize
//! ```
//!
//! For planning, and for holding programs to a size: nothing is run. Which entries of a parameter a relation looks up by value is not known then. So each of its
//! lookups, those of uncut operands among them, is counted as a chunk of its own, as far as the parameter has chunks; a row of an `embed` is one lookup.
//! Where ones lead to no value it is a run of zeros. Bytes are counted before they are packed.
//!
//! It deliberately does not follow trees of decisions: where a path leads is known only with their weights. There it gives an error, not too little.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use credence_commit::blocks::{BLOCK_LEN, Runs};
use credence_commit::tree::CHUNK_LEN;
use credence_exact::{NodeId, Op, ParamId, Shape};

use crate::layout::{Layout, Tree, View};
use crate::relation::{Cell, Given, RelationError, Relations};
use crate::source::Source;

/// What opening one cell takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpeningSize {
    /// Opened bytes of the run and of the weights, before they are packed.
    pub content: u64,
    /// Bytes of chaining values.
    pub values: u64,
}

impl OpeningSize {
    /// Both.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.content.saturating_add(self.values)
    }
}

/// How a relation comes to a parameter's entries.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    /// By an index that follows from the cell's.
    direct: bool,
    /// Nodes that look up one row by value, and read within it.
    rows: u64,
    /// Whether each entry is looked up by a value of its own.
    entries: bool,
}

impl Uses {
    const fn by_value(self) -> bool {
        self.rows > 0 || self.entries
    }
}

/// A parameter that is looked up by value.
#[derive(Debug)]
struct LookedUp {
    /// Its bytes in the tree of weights.
    start: u64,
    end: u64,
    uses: Uses,
    /// Reads over a run of equal values.
    reads: u64,
    /// Where they fall then.
    starts: BTreeSet<u64>,
}

impl LookedUp {
    /// The most chunks that the reads can fall on.
    fn chunks(&self) -> u64 {
        let chunk = |byte: u64| byte.checked_div(CHUNK_LEN).unwrap_or(0);
        let own = chunk(self.end.saturating_sub(1)).saturating_sub(chunk(self.start));
        let most = self.reads.min(own.saturating_add(1));
        if self.uses.entries {
            return most;
        }
        // Of another row the same cells are read: as many, as far apart, wherever they begin. No entry crosses a chunk.
        let first = self.starts.first().copied().unwrap_or(0);
        let last = self.starts.last().copied().unwrap_or(0);
        let across = last.saturating_sub(first).div_ceil(CHUNK_LEN);
        let cells = u64::try_from(self.starts.len()).unwrap_or(u64::MAX);
        let row = cells.min(across.saturating_add(1));
        let rows = self.uses.rows.saturating_add(self.uses.direct.into());
        most.min(rows.saturating_mul(row))
    }
}

/// A run whose values are all the same.
#[derive(Debug)]
struct Same {
    value: [u8; 4],
    blocks: [Vec<u64>; 5],
    looked_up: Vec<LookedUp>,
}

impl Source for Same {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let mut params = self.looked_up.iter_mut();
        let param = params.find(|param| (param.start..param.end).contains(&start));
        match param.filter(|_| tree == Tree::Weights) {
            Some(param) => {
                param.starts.insert(start);
                param.reads = param.reads.saturating_add(1);
            }
            None => self
                .blocks
                .get_mut(tree.index())?
                .push(start.checked_div(BLOCK_LEN)?),
        }
        self.value.get(..len)
    }
}

/// What it takes at most to open a cell and all that its relation reads, with nothing else opened to share paths with.
///
/// # Errors
/// [`RelationError`] if there is no such cell, its relation takes too much, or neither ones nor zeros lead to a value.
pub fn opening_size(layout: &Layout<'_>, cell: Cell) -> Result<OpeningSize, RelationError> {
    match size_over(layout, cell, 1) {
        Err(RelationError::NoValue(_)) => size_over(layout, cell, 0),
        size => size,
    }
}

/// What it takes to open a cell in a run whose values are all the same.
fn size_over(layout: &Layout<'_>, cell: Cell, value: u8) -> Result<OpeningSize, RelationError> {
    let mut source = Same {
        value: [value, 0, 0, 0],
        blocks: Default::default(),
        looked_up: looked_up(layout, cell.node),
    };
    let positions = usize::try_from(layout.extent().positions).unwrap_or(0);
    let tokens = vec![0; positions];
    let cells = layout.program().spec().inputs.iter().zip(0_u32..);
    let inputs: Vec<Vec<i64>> = cells
        .map(|(_, index)| {
            let shape = layout.program().input_shape(index);
            let one = shape.map_or(0, Shape::cells);
            vec![value.into(); one.saturating_mul(positions).min(1 << 24)]
        })
        .collect();
    let given = if layout.program().language().is_some() {
        Given::Tokens(&tokens)
    } else {
        Given::Inputs(&inputs)
    };
    let mut relations = Relations::new(layout, given);
    relations.committed(&mut source, cell, View::Own)?;
    if layout.is_twice(cell.node) {
        relations.committed(&mut source, cell, View::Values)?;
    }
    relations.evaluate(&mut source, cell)?;
    let chunks = source.looked_up.iter().map(LookedUp::chunks);
    let chunks = chunks.fold(0, u64::saturating_add);
    let mut size = OpeningSize::default();
    for (tree, blocks) in Tree::ALL.into_iter().zip(source.blocks) {
        let lone = if tree == Tree::Weights { chunks } else { 0 };
        let part = tree_size(layout.len(tree), blocks, lone);
        size.content = size.content.saturating_add(part.content);
        size.values = size.values.saturating_add(part.values);
    }
    Ok(size)
}

/// The parameters that a node's relation looks up by value, through uncut operands too.
fn looked_up(layout: &Layout<'_>, node: NodeId) -> Vec<LookedUp> {
    let program = layout.program();
    let mut uses: BTreeMap<ParamId, Uses> = BTreeMap::new();
    let (mut seen, mut left) = (BTreeSet::from([node]), vec![node]);
    while let Some(spec) = left.pop().and_then(|node| program.node(node)) {
        for param in spec.op.params() {
            count(&spec.op, param, uses.entry(param).or_default());
        }
        let operands = spec.op.operands();
        left.extend(operands.into_iter().filter(|&operand| {
            program.node(operand).is_some_and(|read| !read.cut) && seen.insert(operand)
        }));
    }
    let uses = uses.into_iter().filter(|(_, uses)| uses.by_value());
    let found = uses.filter_map(|(param, uses)| {
        let start = layout.param(param, 0)?.start;
        let cells = program.param_shape(param)?.cells();
        let last = layout.param(param, cells.checked_sub(1)?)?;
        let width = u64::try_from(last.dtype.width()).ok()?;
        Some(LookedUp {
            start,
            end: last.start.checked_add(width)?,
            uses,
            reads: 0,
            starts: BTreeSet::new(),
        })
    });
    found.collect()
}

/// Adds how one op comes to one of its parameters.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an op that looks nothing up by value knows its entries from the cell's index"
)]
fn count(op: &Op, param: ParamId, uses: &mut Uses) {
    match op {
        Op::Embed(_) => uses.rows = uses.rows.saturating_add(1),
        Op::Table(_) | Op::Softmax(_) => uses.entries = true,
        Op::TreeLeaves(op) if op.nodes == param => uses.entries = true,
        Op::GatherSum(op) if op.table == param => uses.entries = true,
        _ => uses.direct = true,
    }
}

/// What a walk takes to blocks, and to so many chunks besides that may stand anywhere.
fn tree_size(len: u64, blocks: Vec<u64>, lone: u64) -> OpeningSize {
    let ranges = Runs::of_blocks(blocks).byte_ranges(len);
    let length = |range: &Range<u64>| range.end.saturating_sub(range.start);
    let content = ranges.iter().map(length).fold(0, u64::saturating_add);
    let inside = ranges
        .iter()
        .filter(|range| range.start.checked_rem(CHUNK_LEN) != Some(0));
    let inside = u64::try_from(inside.count()).unwrap_or(u64::MAX);
    let chunk = |byte: u64| byte.checked_div(CHUNK_LEN).unwrap_or(0);
    let opened = ranges
        .iter()
        .map(|range| chunk(range.start)..range.end.div_ceil(CHUNK_LEN));
    let opened: Vec<Range<u64>> = opened.collect();
    let chunks = len.div_ceil(CHUNK_LEN).max(1);
    let beside = if opened.is_empty() {
        0
    } else {
        beside(0..chunks, &opened)
    };
    // Opened for two reasons, a tree takes no more than for each by itself: a chunk is opened from its first wanted block on, and a value stands beside a path
    // only if no path leads into what it is of.
    let levels = u64::from(chunks.next_power_of_two().trailing_zeros());
    let each = levels.saturating_add(1);
    let values = inside.saturating_add(beside);
    let values = values.saturating_add(lone.saturating_mul(each));
    OpeningSize {
        content: content
            .saturating_add(lone.saturating_mul(CHUNK_LEN))
            .min(len),
        values: values.saturating_mul(32),
    }
}

/// How many chaining values a walk to `opened` takes of the subtree over `chunks`. As deep as the tree, 52 levels at most.
fn beside(chunks: Range<u64>, opened: &[Range<u64>]) -> u64 {
    let first = opened.partition_point(|run| run.end <= chunks.start);
    let Some(run) = opened.get(first).filter(|run| run.start < chunks.end) else {
        return 1;
    };
    let count = chunks.end.saturating_sub(chunks.start);
    if count <= 1 || (run.start <= chunks.start && chunks.end <= run.end) {
        return 0;
    }
    let left = count.next_power_of_two() >> 1_u32;
    let middle = chunks.start.saturating_add(left);
    beside(chunks.start..middle, opened).saturating_add(beside(middle..chunks.end, opened))
}

#[cfg(test)]
mod tests;
