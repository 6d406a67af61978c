//! Which cells are checked: by weight, at the border, and which tokens are drawn again (`docs/spec/spot.md`, section 3).
//!
//! ```text
//! weights of all cut cells in one line, node by node, position by position ──draw mod total──▶ cell
//! ```
//!
//! Everything is integer arithmetic over what the verifier knows. It deliberately reads no byte of the run: a draw cannot depend on values.

use credence_exact::{NodeId, Op};

use crate::card::Card;
use crate::challenge::{Kind, Stream};
use crate::layout::Layout;
use crate::relation::Cell;

/// Draws of a run.
#[derive(Debug)]
pub struct Draws<'a> {
    card: &'a Card,
    layout: &'a Layout<'a>,
    /// For each cut node that has cells: the weight before it, the number of cells before it, and the weight of one.
    nodes: Vec<Line>,
    total: u128,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    node: NodeId,
    weight_before: u128,
    cells_before: u128,
    weight: u64,
}

/// A run whose cells weigh 2^64 or more together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run is too large to draw cells from: replay it instead")]
pub struct TooLarge;

/// Positions that the scores of positions before `position` see, by this window.
fn seen_before(position: u64, window: Option<u32>) -> u128 {
    let triangle = |n: u64| u128::from(n).saturating_mul(u128::from(n).saturating_add(1)) / 2;
    let Some(window) = window.map(u64::from) else {
        return triangle(position);
    };
    let full = position.saturating_sub(window);
    triangle(position.min(window)).saturating_add(u128::from(full).saturating_mul(window.into()))
}

impl<'a> Draws<'a> {
    /// For a run of the card's model.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn new(card: &'a Card, layout: &'a Layout<'a>) -> Result<Self, TooLarge> {
        let mut draws = Self {
            card,
            layout,
            nodes: Vec::new(),
            total: 0,
        };
        let mut cells = 0_u128;
        let works = card.works().iter();
        for ((node, spec, _), work) in card.program().nodes().zip(works) {
            let count = draws.count(node);
            if !spec.cut || count == 0 {
                continue;
            }
            let weight = work.weight(layout.extent().positions);
            draws.nodes.push(Line {
                node,
                weight_before: draws.total,
                cells_before: cells,
                weight,
            });
            let all = count.checked_mul(weight.into()).ok_or(TooLarge)?;
            draws.total = draws.total.checked_add(all).ok_or(TooLarge)?;
            cells = cells.saturating_add(count);
        }
        if draws.total > u128::from(u64::MAX) {
            return Err(TooLarge);
        }
        Ok(draws)
    }

    /// The weight of the whole run.
    #[must_use]
    pub const fn total(&self) -> u128 {
        self.total
    }

    /// The weight of a cell of this node; 0 if it is not cut.
    #[must_use]
    pub fn weight(&self, node: NodeId) -> u64 {
        let line = self.nodes.iter().find(|line| line.node == node);
        line.map_or(0, |line| line.weight)
    }

    /// Cells of a node in the run.
    fn count(&self, node: NodeId) -> u128 {
        let extent = self.layout.extent();
        let first = self.first(node);
        let shape = self.card.program().shape(node);
        match self.heads(node) {
            Some(heads) => {
                let window = self.layout.window(node);
                let seen = seen_before(extent.positions, window)
                    .saturating_sub(seen_before(first, window));
                seen.saturating_mul(heads.into())
            }
            None => {
                let cells = shape.and_then(|shape| u64::try_from(shape.cells()).ok());
                let positions = u128::from(extent.positions.saturating_sub(first));
                positions.saturating_mul(cells.unwrap_or(0).into())
            }
        }
    }

    /// The first position at which a node exists.
    fn first(&self, node: NodeId) -> u64 {
        if self.layout.is_late(node) {
            self.layout.extent().sampled_from
        } else {
            0
        }
    }

    /// Heads of a node of scores.
    fn heads(&self, node: NodeId) -> Option<u64> {
        let spec = self.card.program().node(node)?;
        let shape = self.card.program().shape(node)?;
        if !matches!(spec.op, Op::Scores(_)) {
            return None;
        }
        u64::try_from(shape.dims().first().copied().unwrap_or(1)).ok()
    }

    /// The cell on which a number falls, taken modulo the run's weight. None if the run has no cell.
    #[must_use]
    pub fn at(&self, number: u128) -> Option<Cell> {
        let rest = number.checked_rem(self.total)?;
        let behind = self
            .nodes
            .partition_point(|line| line.weight_before <= rest);
        let line = self.nodes.get(behind.checked_sub(1)?)?;
        let within = rest.checked_sub(line.weight_before)?;
        self.nth(line.node, within.checked_div(line.weight.into())?)
    }

    /// Cell number `nth` of a node, position by position.
    fn nth(&self, node: NodeId, nth: u128) -> Option<Cell> {
        let first = self.first(node);
        let shape = self.card.program().shape(node)?;
        let Some(heads) = self.heads(node) else {
            let cells = u128::try_from(shape.cells()).ok()?;
            let position = u64::try_from(nth.checked_div(cells)?).ok()?;
            return Some(Cell {
                position: first.checked_add(position)?,
                node,
                index: usize::try_from(nth.checked_rem(cells)?).ok()?,
            });
        };
        let window = self.layout.window(node);
        let before = |position: u64| {
            let seen = seen_before(position, window).saturating_sub(seen_before(first, window));
            seen.saturating_mul(heads.into())
        };
        // The last position before which no more than `nth` cells stand.
        let (mut low, mut high) = (first, self.layout.extent().positions);
        while high.checked_sub(low)? > 1 {
            let middle = low.midpoint(high);
            if before(middle) <= nth {
                low = middle;
            } else {
                high = middle;
            }
        }
        let within = nth.checked_sub(before(low))?;
        let seen = low.checked_add(1)?.min(window.map_or(u64::MAX, u64::from));
        let (head, nth_seen) = (
            within.checked_div(seen.into())?,
            u64::try_from(within.checked_rem(seen.into())?).ok()?,
        );
        let earlier = low
            .checked_add(1)?
            .checked_sub(seen)?
            .checked_add(nth_seen)?;
        let row = usize::try_from(head).ok()?.checked_mul(shape.last())?;
        Some(Cell {
            position: low,
            node,
            index: row.checked_add(usize::try_from(earlier).ok()?)?,
        })
    }

    /// A cell's number among all cut cells, node by node, position by position: how a refutation names it.
    #[must_use]
    pub fn number(&self, cell: Cell) -> u64 {
        let found = self.nodes.iter().find(|line| line.node == cell.node);
        let before = found.map_or(0, |line| line.cells_before);
        let (first, window) = (self.first(cell.node), self.layout.window(cell.node));
        let index = u128::try_from(cell.index).unwrap_or(0);
        let shape = self.card.program().shape(cell.node);
        let wide = |n: usize| u128::try_from(n).unwrap_or(1);
        let within = match self.heads(cell.node) {
            None => {
                let cells = shape.map_or(1, |shape| wide(shape.cells()));
                let positions = cell.position.saturating_sub(first);
                cells.saturating_mul(positions.into()).saturating_add(index)
            }
            Some(heads) => {
                let context = shape.map_or(1, |shape| wide(shape.last()));
                let earlier = seen_before(cell.position, window)
                    .saturating_sub(seen_before(first, window))
                    .saturating_mul(heads.into());
                let next = u128::from(cell.position).saturating_add(1);
                let seen = next.min(window.map_or(u128::MAX, u128::from));
                let head = index.checked_div(context).unwrap_or(0);
                let at = index.checked_rem(context).unwrap_or(0);
                let at = at.saturating_add(seen).saturating_sub(next);
                earlier
                    .saturating_add(head.saturating_mul(seen))
                    .saturating_add(at)
            }
        };
        u64::try_from(before.saturating_add(within)).unwrap_or(u64::MAX)
    }

    /// Cell number `index` that is checked by weight.
    #[must_use]
    pub fn cell(&self, stream: &Stream, index: u32) -> Option<Cell> {
        let [number, _] = stream.draw(Kind::Cell, index);
        self.at(number)
    }

    /// What is checked by draw number `index` at the border of the request: at one drawn position, a cell that reads the request, and one that looks up a token's row.
    pub fn entry(&self, stream: &Stream, index: u32) -> impl Iterator<Item = Cell> {
        let [place, _] = stream.draw(Kind::Position, index);
        let [direct, row] = stream.draw(Kind::Entry, index);
        let entries = self.card.entries();
        let cells = [
            self.at_border(&entries.direct, place, direct),
            self.at_border(&entries.rows, place, row),
        ];
        cells.into_iter().flatten()
    }

    /// A cell of one of these nodes, each as likely as the other, at a position taken from `place`.
    fn at_border(&self, nodes: &[NodeId], place: u128, number: u128) -> Option<Cell> {
        let count = u128::try_from(nodes.len()).ok()?;
        let node = *nodes.get(usize::try_from(number.checked_rem(count)?).ok()?)?;
        let rest = number.checked_div(count)?;
        let first = self.first(node);
        let positions = self.layout.extent().positions.checked_sub(first)?;
        let position = u64::try_from(place.checked_rem(positions.into())?).ok()?;
        let cells = u128::try_from(self.card.program().shape(node)?.cells()).ok()?;
        Some(Cell {
            position: first.checked_add(position)?,
            node,
            index: usize::try_from(rest.checked_rem(cells)?).ok()?,
        })
    }
}

/// How many draws at the border of the request are made beside so many cells: a tenth.
#[must_use]
pub const fn entries_beside(cells: u32) -> u32 {
    cells.div_ceil(10)
}

#[cfg(test)]
mod tests;
