//! How many bytes it takes to open one cell with everything its relation reads, from the layout alone.
//!
//! ```text
//! Cell ─relation over a run of ones─▶ blocks read ─▶ bytes up to their chunks' ends, chaining values beside the paths
//! ```
//!
//! For planning, and for holding programs to a size: nothing is run. Which entries a relation looks up by value is not known then; it is counted as if all
//! its lookups of one parameter fell on one entry, which is exact where there is one, as in language models, and too little for forests of trees. Bytes are
//! counted before they are packed.

use credence_commit::blocks::BLOCK_LEN;
use credence_commit::tree::CHUNK_LEN;

use crate::layout::{Layout, Tree};
use crate::relation::{Cell, Given, RelationError, Relations};
use crate::source::Source;

/// Every value is 1.
#[derive(Debug, Default)]
struct Ones {
    blocks: [Vec<u64>; 5],
}

impl Source for Ones {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        self.blocks
            .get_mut(tree.index())?
            .push(start.checked_div(BLOCK_LEN)?);
        [1, 0, 0, 0].get(..len).map(|_| match len {
            1 => [1].as_slice(),
            2 => [1, 0].as_slice(),
            _ => [1, 0, 0, 0].as_slice(),
        })
    }
}

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

/// What it takes to open a cell and all that its relation reads, with nothing else opened to share paths with.
///
/// # Errors
/// [`RelationError`] if there is no such cell, or its relation takes too much.
pub fn opening_size(layout: &Layout<'_>, cell: Cell) -> Result<OpeningSize, RelationError> {
    let mut source = Ones::default();
    let positions = usize::try_from(layout.extent().positions).unwrap_or(0);
    let tokens = vec![0; positions];
    let cells = layout.program().spec().inputs.iter().zip(0_u32..);
    let inputs: Vec<Vec<i64>> = cells
        .map(|(_, index)| {
            let shape = layout.program().input_shape(index);
            let one = shape.map_or(0, credence_exact::Shape::cells);
            vec![1; one.saturating_mul(positions).min(1 << 24)]
        })
        .collect();
    let given = if layout.program().language().is_some() {
        Given::Tokens(&tokens)
    } else {
        Given::Inputs(&inputs)
    };
    match Relations::new(layout, given).check(&mut source, cell) {
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let mut size = OpeningSize::default();
    for tree in Tree::ALL {
        let blocks = source.blocks.get(tree.index()).cloned();
        let part = tree_size(layout.len(tree), blocks.unwrap_or_default());
        size.content = size.content.saturating_add(part.content);
        size.values = size.values.saturating_add(part.values);
    }
    Ok(size)
}

/// Counts the chaining values of a walk.
fn tree_size(len: u64, blocks: Vec<u64>) -> OpeningSize {
    let runs = credence_commit::blocks::Runs::of_blocks(blocks);
    let ranges = runs.byte_ranges(len);
    let content = ranges
        .iter()
        .map(|range| range.end.saturating_sub(range.start))
        .fold(0, u64::saturating_add);
    let inside = ranges
        .iter()
        .filter(|range| range.start.checked_rem(CHUNK_LEN) != Some(0));
    let inside = u64::try_from(inside.count()).unwrap_or(u64::MAX);
    // Each run's path has a value beside it at every level at most.
    let chunks = len.div_ceil(CHUNK_LEN).max(1);
    let levels = u64::from(chunks.next_power_of_two().trailing_zeros());
    let count = u64::try_from(ranges.len()).unwrap_or(u64::MAX);
    let beside = count.saturating_mul(levels).saturating_mul(2).min(
        // Two runs or more share the top of their paths; one has a path on each side of it.
        count.saturating_mul(levels).saturating_add(levels),
    );
    OpeningSize {
        content,
        values: inside.saturating_add(beside).saturating_mul(32),
    }
}
