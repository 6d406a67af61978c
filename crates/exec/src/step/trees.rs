//! Decision trees: the leaf that each tree reaches.
//!
//! A path is a chain of loads, each waiting for the one before, so several paths are walked side by side: those of one tree for
//! several positions, or of several trees for one. No comparison is a branch: a node's children stand in neighbouring slots
//! and the comparison is added to the first one's number; a leaf leads to itself until the longest path has ended.
//!
//! A node that several trees share is not unfolded: slots are twice the nodes and one for each tree.

use super::{Place, Surroundings, Tile};
use crate::cells::{CellsMut, index};
use crate::kernel::{Work, vectorise};

/// Paths that are walked side by side.
const PATHS: usize = 8;

/// Where a path stands: what is compared, and where it leads.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Goes on to `next` if `x[feature] ≤ threshold`, else to the slot behind it.
    threshold: i32,
    feature: u32,
    next: u32,
}

/// A tree.
#[derive(Clone, Copy, Debug)]
struct Tree {
    /// Its root's slot.
    slot: u32,
    /// Most comparisons on a path.
    depth: u32,
    /// Its number in the program.
    number: usize,
}

/// The leaves of all trees.
pub(crate) struct TreeLeaves {
    x: Place,
    y: Place,
    slots: Vec<Slot>,
    /// The leaf of each slot that is one.
    leaves: Vec<i32>,
    /// Deepest first, so that trees walked side by side are alike.
    trees: Vec<Tree>,
}

impl TreeLeaves {
    /// Takes node records `(feature, threshold, left, right)` and roots of a checked program. `None` if there are more slots
    /// than their numbers hold, or a record breaks the program's rules.
    pub(crate) fn new(x: Place, y: Place, nodes: &[i32], roots: &[i32]) -> Option<Self> {
        let count = nodes.len() / 4;
        let mut built = Self {
            x,
            y,
            slots: Vec::with_capacity(2 * count + roots.len()),
            leaves: Vec::new(),
            trees: Vec::with_capacity(roots.len()),
        };
        let mut heights = vec![0_u32; count];
        for (at, record) in nodes.chunks_exact(4).enumerate().rev() {
            let height = |child: i32| match usize::try_from(child) {
                Ok(node) => heights.get(node).copied(),
                Err(_) => Some(0),
            };
            heights[at] = 1 + height(record[2])?.max(height(record[3])?);
        }
        // Node n's children stand in slots 2n and 2n + 1, the roots behind all of them.
        for record in nodes.chunks_exact(4) {
            built.push(nodes, record[2])?;
            built.push(nodes, record[3])?;
        }
        for (number, &root) in roots.iter().enumerate() {
            let slot = u32::try_from(built.slots.len()).ok()?;
            built.push(nodes, root)?;
            let depth = usize::try_from(root).map_or(Some(0), |node| heights.get(node).copied())?;
            built.trees.push(Tree {
                slot,
                depth,
                number,
            });
        }
        built
            .trees
            .sort_by_key(|tree| core::cmp::Reverse(tree.depth));
        Some(built)
    }

    /// Appends the slot of a child: another node, or a leaf.
    fn push(&mut self, nodes: &[i32], child: i32) -> Option<()> {
        let own = u32::try_from(self.slots.len()).ok()?;
        let (slot, leaf) = match usize::try_from(child) {
            Ok(node) => {
                let record = nodes.get(node.checked_mul(4)?..)?.get(..2)?;
                let feature = u32::try_from(record[0]).ok();
                let slot = Slot {
                    feature: feature.filter(|&f| index(f) < self.x.cells)?,
                    threshold: record[1],
                    next: u32::try_from(2 * node).ok()?,
                };
                (slot, 0)
            }
            // No x is above the largest threshold.
            Err(_) => {
                let slot = Slot {
                    feature: 0,
                    threshold: i32::MAX,
                    next: own,
                };
                (slot, -1 - child)
            }
        };
        self.slots.push(slot);
        self.leaves.push(leaf);
        Some(())
    }

    /// Comparisons of one position.
    pub(crate) fn work(&self) -> usize {
        self.trees.iter().map(|tree| index(tree.depth)).sum()
    }

    /// Bytes of panel for a tile of so many positions: features and leaves in 32 bits.
    pub(crate) fn panel_bytes(&self, positions: usize) -> usize {
        let features = self.x.cells * positions.next_multiple_of(PATHS);
        (features + self.y.cells * positions) * size_of::<i32>()
    }

    /// Computes a tile.
    pub(crate) fn run(&self, tile: &mut Tile<'_>, around: Surroundings<'_>) {
        let positions = tile.positions();
        let mut first = 0;
        while positions - first >= PATHS {
            self.several(tile, around, first);
            first += PATHS;
        }
        for position in first..positions {
            self.one(tile, around, position);
        }
    }

    /// Several trees side by side, for one position.
    fn one(&self, tile: &mut Tile<'_>, around: Surroundings<'_>, position: usize) {
        let (panel, x) = tile.panel_and_read(position, self.x);
        let (features, leaves) = self.parts(panel, self.x.cells, self.y.cells);
        x.widen(0, features);
        vectorise(
            around.isa,
            OnePosition {
                step: self,
                features,
                leaves,
            },
        );
        self.show(tile, position, self.x.cells, 0);
    }

    /// Every tree for [`PATHS`] positions side by side.
    fn several(&self, tile: &mut Tile<'_>, around: Surroundings<'_>, first: usize) {
        let cells = self.x.cells;
        for path in 0..PATHS {
            let (panel, x) = tile.panel_and_read(first + path, self.x);
            let (features, _) = self.parts(panel, cells * PATHS, self.y.cells * PATHS);
            for (feature, slot) in features.iter_mut().skip(path).step_by(PATHS).enumerate() {
                *slot = x.get(feature);
            }
        }
        let (panel, _) = tile.panel_and_read(first, self.x);
        let (features, leaves) = self.parts(panel, cells * PATHS, self.y.cells * PATHS);
        vectorise(
            around.isa,
            SeveralPositions {
                step: self,
                features,
                leaves,
            },
        );
        for path in 0..PATHS {
            self.show(tile, first + path, cells * PATHS, path * self.y.cells);
        }
    }

    /// The panel as so many features, and behind them so many leaves.
    fn parts<'p>(
        &self,
        panel: &'p mut [u8],
        features: usize,
        leaves: usize,
    ) -> (&'p mut [i32], &'p mut [i32]) {
        let panel = &mut panel[..(features + leaves) * size_of::<i32>()];
        let panel: &mut [i32] = bytemuck::cast_slice_mut(panel);
        panel.split_at_mut(features)
    }

    /// Writes a position's leaves, which stand in the panel behind so many features and leaves of other positions.
    fn show(&self, tile: &mut Tile<'_>, position: usize, features: usize, before: usize) {
        let (panel, y, _) = tile.panel_and_write(position, self.y);
        let bytes = size_of::<i32>();
        let leaves = &panel[(features + before) * bytes..][..self.y.cells * bytes];
        let mut y = CellsMut::new(self.y.dtype, &mut y[..self.y.bytes()]);
        y.narrow(0, bytemuck::cast_slice(leaves));
    }

    /// Walks paths side by side: path p starts at `at[p]` and reads feature f at `features[f·STRIDE + p]`, or at `features[f]` if
    /// STRIDE is 1.
    #[inline(always)]
    fn walk<const STRIDE: usize>(
        &self,
        features: &[i32],
        mut at: [u32; PATHS],
        depth: u32,
    ) -> [u32; PATHS] {
        for _ in 0..depth {
            for (path, at) in at.iter_mut().enumerate() {
                let slot = self.slots[index(*at)];
                let offset = if STRIDE == 1 { 0 } else { path };
                let x = features[index(slot.feature) * STRIDE + offset];
                *at = slot.next + u32::from(x > slot.threshold);
            }
        }
        at
    }
}

struct OnePosition<'a> {
    step: &'a TreeLeaves,
    features: &'a [i32],
    leaves: &'a mut [i32],
}

impl Work for OnePosition<'_> {
    #[inline(always)]
    fn run(self) {
        let step = self.step;
        for trees in step.trees.chunks(PATHS) {
            // Where trees run out, the first one is walked again.
            let at = core::array::from_fn(|path| trees.get(path).unwrap_or(&trees[0]).slot);
            let ends = step.walk::<1>(self.features, at, trees[0].depth);
            for (tree, end) in trees.iter().zip(ends) {
                self.leaves[tree.number] = step.leaves[index(end)];
            }
        }
    }
}

struct SeveralPositions<'a> {
    step: &'a TreeLeaves,
    features: &'a [i32],
    leaves: &'a mut [i32],
}

impl Work for SeveralPositions<'_> {
    #[inline(always)]
    fn run(self) {
        let (step, count) = (self.step, self.step.y.cells);
        for tree in &step.trees {
            let ends = step.walk::<PATHS>(self.features, [tree.slot; PATHS], tree.depth);
            for (path, end) in ends.into_iter().enumerate() {
                self.leaves[path * count + tree.number] = step.leaves[index(end)];
            }
        }
    }
}
