//! Where every cell of a run and every entry of a parameter stands: in which tree, at which byte (`docs/spec/trace.md`, sections 2 to 4).
//!
//! ```text
//! Program, Extent ──▶ Layout ──place(node, position, index)──▶ Place{tree, start, dtype}
//! ```
//!
//! Everything follows from the program and from how many positions the run has, none of it from whoever opens. It deliberately reads no byte.

use credence_exact::{Dtype, NodeId, Op, ParamId};
use credence_model::{LanguageLayout, Part, Program, TILE_POSITIONS};

/// Bytes at a multiple of which a parameter begins in the tree of weights.
const PARAM_ALIGN: u64 = 64;
/// Bytes of a key, a value or a score.
const HALF: u64 = 2;

/// A tree whose bytes relations read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// The model's parameters.
    Weights,
    /// Section 0 of the trace: what exists at every position.
    Positions,
    /// Section 1: keys.
    Keys,
    /// Section 2: values.
    Values,
    /// Section 3: what exists at sampled positions.
    Sampled,
}

impl Tree {
    /// All of them, in the order in which evidence holds them.
    pub const ALL: [Self; 5] = [
        Self::Weights,
        Self::Positions,
        Self::Keys,
        Self::Values,
        Self::Sampled,
    ];

    /// Those of the trace, in the order of their kinds.
    pub const SECTIONS: [Self; 4] = [Self::Positions, Self::Keys, Self::Values, Self::Sampled];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Weights => 0,
            Self::Positions => 1,
            Self::Keys => 2,
            Self::Values => 3,
            Self::Sampled => 4,
        }
    }

    /// The kind of a section; none for the weights.
    #[must_use]
    pub const fn kind(self) -> Option<u8> {
        match self {
            Self::Weights => None,
            Self::Positions => Some(0),
            Self::Keys => Some(1),
            Self::Values => Some(2),
            Self::Sampled => Some(3),
        }
    }
}

/// How far a run goes. A tensor model's run samples nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of positions, at least 1.
    pub positions: u64,
    /// The first position whose logits were asked for; all behind it are sampled too. `positions` if there is none.
    pub sampled_from: u64,
}

/// Why there is no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The run has no position, or is sampled behind its end.
    #[error(
        "a run has a position, and is sampled within it; got {positions}, sampled from {sampled_from}"
    )]
    Extent {
        /// Positions given.
        positions: u64,
        /// First sampled position given.
        sampled_from: u64,
    },
    /// More positions than the model's context.
    #[error("a run of this model has at most {max} positions, got {got}")]
    Context {
        /// The context.
        max: u64,
        /// Positions given.
        got: u64,
    },
    /// Later positions are seen: there is no form for opening such a run yet.
    #[error("runs of encoders cannot be opened cell by cell: verify by replay")]
    Encoder,
    /// Its trace would have 2^62 bytes or more.
    #[error("the run's trace is too large to be opened")]
    TooLarge,
}

/// Which of its places a cell is read from: a node that is remembered both as keys and as values has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The first section in which it stands.
    Own,
    /// The section of values.
    Values,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tree.
    pub tree: Tree,
    /// Its first byte, a multiple of the type's width.
    pub start: u64,
    /// Its type.
    pub dtype: Dtype,
}

/// Where a node's cells stand. A node that is not cut stands nowhere.
#[derive(Clone, Copy, Debug, Default)]
struct Home {
    /// Offset in the block.
    fixed: Option<u64>,
    /// Heads before its own in the block.
    scores: Option<u64>,
    /// Start in the section of keys.
    keys: Option<u64>,
    /// Start in the section of values.
    values: Option<u64>,
    /// Whether it exists at sampled positions only.
    late: bool,
}

/// A kind of block: those of all positions, or of sampled ones.
#[derive(Clone, Copy, Debug, Default)]
struct Blocks {
    /// Bytes of what does not grow.
    fixed: u64,
    /// Rows of scores.
    heads: u64,
}

impl Blocks {
    fn of(part: &Part) -> Option<Self> {
        Some(Self {
            fixed: u64::try_from(part.fixed().block_bytes()).ok()?,
            heads: u64::try_from(part.heads()).ok()?,
        })
    }

    /// Bytes of the blocks of all positions before `position`.
    fn before(self, position: u64) -> Option<u64> {
        let (a, b) = (position.checked_div(32)?, position.checked_rem(32)?);
        let rows = a.checked_mul(16)?.checked_add(b)?;
        let rows = rows
            .checked_mul(a.checked_add(1)?)?
            .checked_mul(self.heads)?;
        let fixed = position.checked_mul(self.fixed)?;
        fixed.checked_add(rows.checked_mul(64)?)
    }

    /// Bytes of one row of scores.
    fn row(position: u64) -> Option<u64> {
        filled(position.checked_add(1)?)
    }
}

/// Bytes of so many cells of 16 bits, filled up to whole tiles.
fn filled(positions: u64) -> Option<u64> {
    let tile = u64::try_from(TILE_POSITIONS).ok()?;
    positions.checked_next_multiple_of(tile)?.checked_mul(HALF)
}

/// Where everything stands.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    program: &'a Program,
    extent: Extent,
    homes: Vec<Home>,
    params: Vec<u64>,
    blocks: Blocks,
    late: Blocks,
    lens: [u64; 5],
}

impl<'a> Layout<'a> {
    /// Lays out a run.
    ///
    /// # Errors
    /// [`LayoutError`] if a run of this program cannot have this extent.
    pub fn new(program: &'a Program, extent: Extent) -> Result<Self, LayoutError> {
        let Extent {
            positions,
            sampled_from,
        } = extent;
        if positions == 0 || sampled_from > positions {
            return Err(LayoutError::Extent {
                positions,
                sampled_from,
            });
        }
        if let Some(language) = &program.spec().language {
            if language.encoder.is_some() {
                return Err(LayoutError::Encoder);
            }
            let max = u64::from(language.context);
            if positions > max {
                return Err(LayoutError::Context {
                    max,
                    got: positions,
                });
            }
        }
        let made = match program.language() {
            None => Self::of_tensors(program, extent),
            Some(layout) => Self::of_language(program, layout, extent),
        };
        let made = made.ok_or(LayoutError::TooLarge)?;
        if made
            .lens
            .iter()
            .any(|&len| len > credence_commit::opening::CONTENT_LEN_MAX)
        {
            return Err(LayoutError::TooLarge);
        }
        Ok(made)
    }

    fn of_tensors(program: &'a Program, extent: Extent) -> Option<Self> {
        let layout = program.trace_layout();
        let mut homes = Vec::new();
        for (id, _, _) in program.nodes() {
            let fixed = match layout.offset(id) {
                Some(offset) => Some(u64::try_from(offset).ok()?),
                None => None,
            };
            homes.push(Home {
                fixed,
                ..Home::default()
            });
        }
        let blocks = Blocks {
            fixed: u64::try_from(layout.block_bytes()).ok()?,
            heads: 0,
        };
        let (params, weights) = param_starts(program)?;
        Some(Self {
            program,
            extent,
            homes,
            params,
            blocks,
            late: Blocks::default(),
            lens: [weights, blocks.before(extent.positions)?, 0, 0, 0],
        })
    }

    fn of_language(program: &'a Program, layout: &LanguageLayout, extent: Extent) -> Option<Self> {
        let mut homes = Vec::new();
        for (id, _, _) in program.nodes() {
            let late = !layout.is_carried(id);
            let part = if late {
                layout.sampled()
            } else {
                layout.positions()
            };
            let narrow = |n: Option<usize>| n.and_then(|n| u64::try_from(n).ok());
            homes.push(Home {
                fixed: narrow(part.fixed().offset(id)),
                scores: narrow(part.heads_before(id)),
                keys: None,
                values: None,
                late,
            });
        }
        let cells = |node: &NodeId| u64::try_from(program.shape(*node)?.cells()).ok();
        let (mut keys, mut values) = (0_u64, 0_u64);
        for node in layout.keys() {
            homes.get_mut(at(node.0)?)?.keys = Some(keys);
            let bytes = cells(node)?.checked_mul(HALF)?;
            keys = keys.checked_add(bytes.checked_mul(extent.positions)?)?;
        }
        for node in layout.values() {
            homes.get_mut(at(node.0)?)?.values = Some(values);
            let bytes = cells(node)?.checked_mul(filled(extent.positions)?)?;
            values = values.checked_add(bytes)?;
        }
        let (blocks, late) = (
            Blocks::of(layout.positions())?,
            Blocks::of(layout.sampled())?,
        );
        let all = blocks.before(extent.positions)?;
        let drawn = late.before(extent.positions)?;
        let drawn = drawn.checked_sub(late.before(extent.sampled_from)?)?;
        let (params, weights) = param_starts(program)?;
        Some(Self {
            program,
            extent,
            homes,
            params,
            blocks,
            late,
            lens: [weights, all, keys, values, drawn],
        })
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &'a Program {
        self.program
    }

    /// The run's extent.
    #[must_use]
    pub const fn extent(&self) -> Extent {
        self.extent
    }

    /// Bytes of a tree; 0 for a section that is empty, or that a tensor model does not have.
    #[must_use]
    pub fn len(&self, tree: Tree) -> u64 {
        self.lens.get(tree.index()).copied().unwrap_or(0)
    }

    /// Sections of this program's traces: one for a tensor model, four for a language model.
    #[must_use]
    pub const fn sections(&self) -> &'static [Tree] {
        if self.program.language().is_some() {
            &Tree::SECTIONS
        } else {
            &[Tree::Positions]
        }
    }

    /// Whether a node has cells at a position.
    #[must_use]
    pub fn exists(&self, node: NodeId, position: u64) -> bool {
        let late = self.home(node).is_some_and(|home| home.late);
        position < self.extent.positions && (!late || position >= self.extent.sampled_from)
    }

    /// Whether a node exists at sampled positions only.
    #[must_use]
    pub fn is_late(&self, node: NodeId) -> bool {
        self.home(node).is_some_and(|home| home.late)
    }

    /// Whether a node's cells of one position stand one after another in the position's block, behind those of earlier such nodes. Scores stand behind them all, and
    /// what is remembered in sections of its own; a node that is not cut stands nowhere.
    #[must_use]
    pub fn is_row(&self, node: NodeId) -> bool {
        let home = self.home(node);
        home.is_some_and(|home| {
            home.fixed.is_some() && home.keys.is_none() && home.values.is_none()
        })
    }

    /// Whether a node stands in both sections of what is remembered.
    #[must_use]
    pub fn is_twice(&self, node: NodeId) -> bool {
        let home = self.home(node);
        home.is_some_and(|home| home.keys.is_some() && home.values.is_some())
    }

    /// Where a cell of a cut node stands. A score's index is `head·context + position seen`. None if there is no such cell.
    #[must_use]
    pub fn place(&self, node: NodeId, position: u64, index: usize, view: View) -> Option<Place> {
        if !self.exists(node, position) {
            return None;
        }
        let home = self.home(node)?;
        let spec = self.program.node(node)?;
        let shape = self.program.shape(node)?;
        if index >= shape.cells() {
            return None;
        }
        let cell = u64::try_from(index).ok()?;
        let (tree, start) = match (home.keys, home.values, view) {
            (Some(start), _, View::Own) | (Some(start), None, View::Values) => {
                let width = u64::try_from(shape.last()).ok()?;
                let (group, d) = (cell.checked_div(width)?, cell.checked_rem(width)?);
                let row = group
                    .checked_mul(self.extent.positions)?
                    .checked_add(position)?;
                let cells = row.checked_mul(width)?.checked_add(d)?;
                (Tree::Keys, start.checked_add(cells.checked_mul(HALF)?)?)
            }
            (_, Some(start), _) => {
                let row = cell.checked_mul(filled(self.extent.positions)?)?;
                let within = row.checked_add(position.checked_mul(HALF)?)?;
                (Tree::Values, start.checked_add(within)?)
            }
            (None, None, _) => {
                let within = match (home.fixed, home.scores) {
                    (Some(offset), _) => {
                        let width = u64::try_from(spec.dtype.width()).ok()?;
                        offset.checked_add(cell.checked_mul(width)?)?
                    }
                    (None, Some(before)) => {
                        self.score(home, before, position, (cell, shape.last()))?
                    }
                    (None, None) => return None,
                };
                let (tree, block) = self.block(home.late, position)?;
                (tree, block.checked_add(within)?)
            }
        };
        Some(Place {
            tree,
            start,
            dtype: spec.dtype,
        })
    }

    /// Offset of a score in its block.
    fn score(
        &self,
        home: Home,
        before: u64,
        position: u64,
        (cell, context): (u64, usize),
    ) -> Option<u64> {
        let context = u64::try_from(context).ok()?;
        let (head, seen) = (cell.checked_div(context)?, cell.checked_rem(context)?);
        if seen > position {
            return None;
        }
        let blocks = if home.late { self.late } else { self.blocks };
        let row = before
            .checked_add(head)?
            .checked_mul(Blocks::row(position)?)?;
        blocks
            .fixed
            .checked_add(row)?
            .checked_add(seen.checked_mul(HALF)?)
    }

    /// Where a position's block begins.
    fn block(&self, late: bool, position: u64) -> Option<(Tree, u64)> {
        if late {
            let before = self.late.before(self.extent.sampled_from)?;
            let start = self.late.before(position)?.checked_sub(before)?;
            Some((Tree::Sampled, start))
        } else {
            Some((Tree::Positions, self.blocks.before(position)?))
        }
    }

    /// Where an entry of a parameter stands. None if there is no such entry.
    #[must_use]
    pub fn param(&self, param: ParamId, index: usize) -> Option<Place> {
        let spec = self.program.spec().params.get(at(param.0)?)?;
        if index >= self.program.param_shape(param)?.cells() {
            return None;
        }
        let width = u64::try_from(spec.dtype.width()).ok()?;
        let within = u64::try_from(index).ok()?.checked_mul(width)?;
        Some(Place {
            tree: Tree::Weights,
            start: self.params.get(at(param.0)?)?.checked_add(within)?,
            dtype: spec.dtype,
        })
    }

    /// What a position sees of earlier ones by a `scores` node; the number of positions for any other node.
    #[must_use]
    pub fn window(&self, node: NodeId) -> Option<u32> {
        match self.program.node(node).map(|node| &node.op) {
            Some(Op::Scores(op)) => op.window,
            Some(_) | None => None,
        }
    }

    fn home(&self, node: NodeId) -> Option<Home> {
        self.homes.get(at(node.0)?).copied()
    }
}

fn at(index: u32) -> Option<usize> {
    usize::try_from(index).ok()
}

/// Where each parameter begins in the tree of weights, and the tree's bytes.
pub(crate) fn param_starts(program: &Program) -> Option<(Vec<u64>, u64)> {
    let mut starts = Vec::new();
    let mut end = 0_u64;
    for (param, id) in program.spec().params.iter().zip(0_u32..) {
        starts.push(end);
        let cells = u64::try_from(program.param_shape(ParamId(id))?.cells()).ok()?;
        let bytes = cells.checked_mul(u64::try_from(param.dtype.width()).ok()?)?;
        end = end
            .checked_add(bytes)?
            .checked_next_multiple_of(PARAM_ALIGN)?;
    }
    Some((starts, end))
}

/// Bytes of the tree of weights.
pub(crate) fn weights_len(program: &Program) -> Option<u64> {
    let (_, len) = param_starts(program)?;
    Some(len)
}
