//! What stands at a byte of a trace: the way back from [`Layout::place`], and which cells a challenger may name after another (`docs/spec/dispute.md`, section 4).
//!
//! ```text
//! section, byte ─▶ position, node, index ─▶ Cell        or nothing: filler, which is 0 in every run
//! ```
//!
//! It deliberately reads no byte: all of it follows from the program and the run's extent.

use credence_exact::{NodeId, Shape, Sight};
use credence_method_spot::{Cell, Layout, Tree, View};
use credence_model::{NodeSpec, TILE_POSITIONS, TraceLayout};

/// Bytes of a key, a value or a score.
const HALF: u64 = 2;

/// What stands at a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// One of a cell's bytes.
    Cell(Cell),
    /// No cell's: a run has 0 there.
    Filler,
}

fn wide(n: usize) -> Option<u64> {
    u64::try_from(n).ok()
}

/// What stands at byte `at` of a section. None if the section ends before it.
#[must_use]
pub fn site(layout: &Layout<'_>, section: Tree, at: u64) -> Option<Site> {
    if section == Tree::Weights || at >= layout.len(section) {
        return None;
    }
    let found = match section {
        Tree::Weights => return None,
        Tree::Keys => remembered(layout, at, false),
        Tree::Values => remembered(layout, at, true),
        Tree::Positions => in_block(layout, at, false),
        Tree::Sampled => in_block(layout, at, true),
    };
    let Some(cell) = found else {
        return Some(Site::Filler);
    };
    // The layout itself has the last word.
    let stands = [View::Own, View::Values].into_iter().any(|view| {
        let place = layout.place(cell.node, cell.position, cell.index, view);
        place.is_some_and(|place| {
            let end = wide(place.dtype.width()).map(|width| place.start.saturating_add(width));
            place.tree == section && place.start <= at && end.is_some_and(|end| at < end)
        })
    });
    Some(if stands {
        Site::Cell(cell)
    } else {
        Site::Filler
    })
}

/// In a section of what is remembered.
fn remembered(layout: &Layout<'_>, at: u64, values: bool) -> Option<Cell> {
    let language = layout.program().language()?;
    let positions = layout.extent().positions;
    let tile = wide(TILE_POSITIONS)?;
    let nodes = if values {
        language.values()
    } else {
        language.keys()
    };
    let row = if values {
        positions.checked_next_multiple_of(tile)?
    } else {
        positions
    };
    let mut before = 0_u64;
    for &node in nodes {
        let shape = layout.program().shape(node)?;
        let cells = wide(shape.cells())?;
        let bytes = cells.checked_mul(row)?.checked_mul(HALF)?;
        let end = before.checked_add(bytes)?;
        if at >= end {
            before = end;
            continue;
        }
        let nth = at.checked_sub(before)?.checked_div(HALF)?;
        let width = wide(shape.last())?;
        let (position, index) = if values {
            (nth.checked_rem(row)?, nth.checked_div(row)?)
        } else {
            let line = nth.checked_div(width)?;
            let group = line.checked_div(row)?;
            let within = group.checked_mul(width)?;
            (
                line.checked_rem(row)?,
                within.checked_add(nth.checked_rem(width)?)?,
            )
        };
        return Some(Cell {
            position,
            node,
            index: usize::try_from(index).ok()?,
        });
    }
    None
}

/// A kind of block.
struct Blocks<'a> {
    fixed: &'a TraceLayout,
    heads: u64,
}

impl Blocks<'_> {
    /// Bytes of all blocks before a position's, from position 0 on.
    fn before(&self, position: u64) -> Option<u64> {
        let tile = wide(TILE_POSITIONS)?;
        let (a, b) = (position.checked_div(tile)?, position.checked_rem(tile)?);
        let rows = a.checked_mul(tile / 2)?.checked_add(b)?;
        let rows = rows
            .checked_mul(a.checked_add(1)?)?
            .checked_mul(self.heads)?;
        let scores = rows.checked_mul(tile.checked_mul(HALF)?)?;
        wide(self.fixed.block_bytes())?
            .checked_mul(position)?
            .checked_add(scores)
    }
}

/// In a section of blocks.
fn in_block(layout: &Layout<'_>, at: u64, late: bool) -> Option<Cell> {
    let program = layout.program();
    let extent = layout.extent();
    let (blocks, first) = match program.language() {
        None => {
            let fixed = program.trace_layout();
            (Blocks { fixed, heads: 0 }, 0)
        }
        Some(language) => {
            let part = if late {
                language.sampled()
            } else {
                language.positions()
            };
            let heads = wide(part.heads())?;
            let fixed = part.fixed();
            let first = if late { extent.sampled_from } else { 0 };
            (Blocks { fixed, heads }, first)
        }
    };
    let at = at.checked_add(blocks.before(first)?)?;
    // The last position whose block begins at or before the byte.
    let (mut low, mut high) = (first, extent.positions);
    while high.checked_sub(low)? > 1 {
        let middle = low.midpoint(high);
        if blocks.before(middle)? <= at {
            low = middle;
        } else {
            high = middle;
        }
    }
    let within = at.checked_sub(blocks.before(low)?)?;
    match within.checked_sub(wide(blocks.fixed.block_bytes())?) {
        None => fixed_cell(layout, blocks.fixed, low, within),
        Some(behind) => score(layout, low, behind, late),
    }
}

fn fixed_cell(
    layout: &Layout<'_>,
    fixed: &TraceLayout,
    position: u64,
    within: u64,
) -> Option<Cell> {
    for (node, spec, shape) in layout.program().nodes() {
        let Some(offset) = fixed.offset(node) else {
            continue;
        };
        let Some(inside) = within.checked_sub(wide(offset)?) else {
            continue;
        };
        let index = usize::try_from(inside)
            .ok()?
            .checked_div(spec.dtype.width())?;
        if index < shape.cells() {
            return Some(Cell {
                position,
                node,
                index,
            });
        }
    }
    None
}

/// A score at `behind` bytes behind the fixed cells.
fn score(layout: &Layout<'_>, position: u64, behind: u64, late: bool) -> Option<Cell> {
    let program = layout.program();
    let language = program.language()?;
    let part = if late {
        language.sampled()
    } else {
        language.positions()
    };
    let tile = wide(TILE_POSITIONS)?;
    let row = position
        .checked_add(1)?
        .checked_next_multiple_of(tile)?
        .checked_mul(HALF)?;
    let (head, seen) = (
        usize::try_from(behind.checked_div(row)?).ok()?,
        usize::try_from(behind.checked_rem(row)?.checked_div(HALF)?).ok()?,
    );
    for (node, _, shape) in program.nodes() {
        let Some(before) = part.heads_before(node) else {
            continue;
        };
        let own = shape.dims().first().copied()?;
        let Some(own_head) = head.checked_sub(before).filter(|&head| head < own) else {
            continue;
        };
        let here = usize::try_from(position).ok()?;
        let sight = Sight {
            window: layout.window(node),
            ahead: false,
        };
        if !sight.range(here, 0).contains(&seen) {
            return None;
        }
        return Some(Cell {
            position,
            node,
            index: own_head.checked_mul(shape.last())?.checked_add(seen)?,
        });
    }
    None
}

/// Whether a challenger may name `next` as a cell that the relation of `after` read: one of an earlier node that does not stand in the program's order within its
/// position's block. Cells that do stand before the first difference (`docs/spec/dispute.md`, section 5); the cell shown was itself read, to be compared, and
/// may not be named again.
#[must_use]
pub fn may_be_named(layout: &Layout<'_>, next: Cell, after: Cell) -> bool {
    let place = layout.place(next.node, next.position, next.index, View::Own);
    // Operands stand before their node, so a chain of names ends.
    next.node < after.node && place.is_some() && !layout.is_row(next.node)
}

/// How many cells a challenger can name one after another in a run of this layout, the first one included: each is read by the relation of the one before.
#[must_use]
pub fn steps_max(layout: &Layout<'_>) -> u32 {
    let program = layout.program();
    // For each node how many more can be named behind one of its cells.
    let mut behind: Vec<u32> = Vec::new();
    let all: Vec<(NodeId, &NodeSpec, &Shape)> = program.nodes().collect();
    for (_, spec, _) in &all {
        let of = |operand: NodeId| -> u32 {
            let Some(at) = usize::try_from(operand.0).ok() else {
                return 0;
            };
            let own = behind.get(at).copied().unwrap_or(0);
            let read = program.node(operand);
            if read.is_none_or(|read| !read.cut) {
                own
            } else if layout.is_row(operand) {
                0
            } else {
                own.saturating_add(1)
            }
        };
        let most = spec.op.operands().into_iter().map(of).max().unwrap_or(0);
        behind.push(most);
    }
    let most = all.iter().zip(&behind).filter(|((_, spec, _), _)| spec.cut);
    let most = most.map(|(_, &most)| most).max().unwrap_or(0);
    most.saturating_add(1)
}
