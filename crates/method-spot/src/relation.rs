//! Whether one cell of a run is right, by its relation (`docs/spec/trace.md`, section 5).
//!
//! ```text
//! Cell ─▶ its op's relation ─▶ operands: cut ones from the source, uncut ones by their own relation ─▶ value ─▶ equal to what is committed?
//! ```
//!
//! Work is bounded: what is computed is computed once, nothing nests deeper than [`DEPTH_MAX`], and a cell that takes more than [`STEPS_MAX`] reads is given
//! up. It deliberately does not care where bytes come from, nor how a cell was chosen.

use credence_exact::cell::{CellError, Context, evaluate};
use credence_exact::{Dtype, NodeId, Op, ParamId, Shape, Sight};

use crate::layout::{Layout, Place, Tree, View};
use crate::memo::Memo;
use crate::source::Source;

/// How deep uncut nodes may stand in one another. Importers' programs have fewer than ten.
pub const DEPTH_MAX: usize = 256;

/// Most operands read and uncut cells computed for one cell.
pub const STEPS_MAX: u64 = 1 << 22;

/// One cell of a cut node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The position.
    pub position: u64,
    /// The node.
    pub node: NodeId,
    /// The flat index, row-major. A score's is `head·context + position seen`.
    pub index: usize,
}

/// What a request brings into a run.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// The tokens at positions 0, 1, … of a language model's run.
    Tokens(&'a [u32]),
    /// For each input of a tensor model its encoded elements, of all positions.
    Inputs(&'a [Vec<i64>]),
}

/// Bytes that a relation reads and that the source does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {start} of {tree:?} is not opened")]
pub struct Missing {
    /// Of which tree.
    pub tree: Tree,
    /// The first byte.
    pub start: u64,
}

/// Why a relation gives no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// The run has no such cell, or its node is not cut.
    #[error("the run has no cell {} of node {} at position {}", .0.index, .0.node.0, .0.position)]
    NoCell(Cell),
    /// Something that it reads is not opened.
    #[error("what a relation reads is not opened")]
    Missing(#[from] Missing),
    /// What it reads is not what it may be: in a run of a checked model this does not happen, so a cell read is wrong.
    #[error("the cells that the relation reads lead to no value")]
    NoValue(#[from] CellError),
    /// The program nests too deep.
    #[error("the relation nests deeper than {DEPTH_MAX} uncut nodes: replay the run instead")]
    Depth,
    /// The relation takes too long.
    #[error("the relation takes more than {STEPS_MAX} steps: replay the run instead")]
    Steps,
}

/// A cell that is not what its relation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run has {committed} in the cell, its relation gives {expected:?}")]
pub struct WrongCell {
    /// What stands in the run.
    pub committed: i64,
    /// What should; none if the cells read lead to no value.
    pub expected: Option<i64>,
}

/// Evaluates relations of one run.
#[derive(Debug)]
pub struct Relations<'a> {
    layout: &'a Layout<'a>,
    given: Given<'a>,
    memo: Memo,
}

impl<'a> Relations<'a> {
    /// For a run of this layout and request.
    #[must_use]
    pub fn new(layout: &'a Layout<'a>, given: Given<'a>) -> Self {
        let memo = Memo::new(layout.program().spec().nodes.len());
        Self {
            layout,
            given,
            memo,
        }
    }

    /// The value that the relation gives, from what the source holds.
    ///
    /// # Errors
    /// [`RelationError`]: no such cell, something is not opened, no value, or too much work.
    pub fn evaluate(&mut self, source: &mut impl Source, cell: Cell) -> Result<i64, RelationError> {
        let program = self.layout.program();
        let place = self
            .layout
            .place(cell.node, cell.position, cell.index, View::Own);
        let (Some(_), Some(node), Some(shape)) =
            (place, program.node(cell.node), program.shape(cell.node))
        else {
            return Err(RelationError::NoCell(cell));
        };
        self.memo.clear();
        let mut reading = Reading {
            layout: self.layout,
            given: self.given,
            memo: &mut self.memo,
            source,
            position: cell.position,
            view: View::Own,
            depth: 0,
            steps: STEPS_MAX,
            stopped: None,
            near: [None; NEAR],
            oldest: 0,
        };
        let value = reading.compute(&node.op, shape, node.dtype, cell.index);
        match reading.stopped {
            Some(Stop::Missing(missing)) => Err(missing.into()),
            Some(Stop::Depth) => Err(RelationError::Depth),
            Some(Stop::Steps) => Err(RelationError::Steps),
            None => Ok(value?),
        }
    }

    /// What the run has in the cell, wherever it stands.
    ///
    /// # Errors
    /// [`RelationError::NoCell`] or [`RelationError::Missing`].
    pub fn committed(
        &self,
        source: &mut impl Source,
        cell: Cell,
        view: View,
    ) -> Result<i64, RelationError> {
        let place = self
            .layout
            .place(cell.node, cell.position, cell.index, view);
        let place = place.ok_or(RelationError::NoCell(cell))?;
        Ok(read(source, place)?)
    }

    /// Compares what the run has in the cell with what the relation gives. A cell of a node that is remembered as keys and as values is compared in both places.
    ///
    /// # Errors
    /// [`RelationError`] as [`Self::evaluate`], but that a relation without a value makes the cell wrong.
    pub fn check(
        &mut self,
        source: &mut impl Source,
        cell: Cell,
    ) -> Result<Result<(), WrongCell>, RelationError> {
        let mut committed = vec![self.committed(source, cell, View::Own)?];
        if self.layout.is_twice(cell.node) {
            committed.push(self.committed(source, cell, View::Values)?);
        }
        let expected = match self.evaluate(source, cell) {
            Ok(value) => Some(value),
            Err(RelationError::NoValue(_)) => None,
            Err(error) => return Err(error),
        };
        let wrong = committed.into_iter().find(|&value| Some(value) != expected);
        Ok(wrong.map_or(Ok(()), |committed| {
            Err(WrongCell {
                committed,
                expected,
            })
        }))
    }
}

/// Reads a value.
pub(crate) fn read(source: &mut impl Source, place: Place) -> Result<i64, Missing> {
    let missing = Missing {
        tree: place.tree,
        start: place.start,
    };
    let bytes = source.bytes(place.tree, place.start, place.dtype.width());
    let bytes = bytes.ok_or(missing)?;
    let value = match place.dtype {
        Dtype::I8 => bytes.try_into().map(|b| i64::from(i8::from_le_bytes(b))),
        Dtype::I16 => bytes.try_into().map(|b| i64::from(i16::from_le_bytes(b))),
        Dtype::I32 => bytes.try_into().map(|b| i64::from(i32::from_le_bytes(b))),
    };
    value.map_err(|_| missing)
}

/// Why evaluating stopped, other than that there is no value.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Missing(Missing),
    Depth,
    Steps,
}

/// What stops an evaluation from below: the reason is kept beside it.
const STOPPED: CellError = CellError::Absent {
    what: "the source",
    index: 0,
};

const fn absent(what: &'static str, index: usize) -> CellError {
    CellError::Absent { what, index }
}

/// Cells that stand in a row, so that one lookup serves all of them.
#[derive(Clone, Copy, Debug)]
struct Near {
    /// Of a node, or of a parameter.
    of: Result<NodeId, ParamId>,
    first: Place,
    cells: usize,
    /// The value, once it was read, if there is one cell: scales are read again and again.
    single: Option<i64>,
}

/// The rows that were read last.
const NEAR: usize = 4;

/// One evaluation.
struct Reading<'a, 'r, S> {
    layout: &'a Layout<'a>,
    given: Given<'a>,
    memo: &'r mut Memo,
    source: &'r mut S,
    position: u64,
    /// Where the op that is evaluated finds what it reads of other positions.
    view: View,
    depth: usize,
    steps: u64,
    stopped: Option<Stop>,
    near: [Option<Near>; NEAR],
    oldest: usize,
}

impl<S: Source> Reading<'_, '_, S> {
    fn compute(
        &mut self,
        op: &Op,
        shape: &Shape,
        dtype: Dtype,
        index: usize,
    ) -> Result<i64, CellError> {
        let view = if matches!(op, Op::Attend(_)) {
            View::Values
        } else {
            View::Own
        };
        let outer = core::mem::replace(&mut self.view, view);
        let value = evaluate(op, shape, index, self);
        self.view = outer;
        Ok(dtype.check(value?)?)
    }

    fn stop(&mut self, stop: Stop) -> CellError {
        self.stopped.get_or_insert(stop);
        STOPPED
    }

    fn step(&mut self) -> Result<(), CellError> {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(self.stop(Stop::Steps)),
        }
    }

    /// Where a cell of this position, or a parameter's entry, stands.
    fn place(&mut self, of: Result<NodeId, ParamId>, index: usize) -> Option<Place> {
        let known = self.near.iter().flatten().find(|near| near.of == of);
        let near = match known.copied() {
            Some(near) => near,
            None => match self.row(of) {
                Some(near) => {
                    if let Some(slot) = self.near.get_mut(self.oldest) {
                        *slot = Some(near);
                    }
                    let next = self.oldest.saturating_add(1);
                    self.oldest = next.checked_rem(NEAR).unwrap_or(0);
                    near
                }
                // Scores and what is remembered stand in other orders.
                None => {
                    let node = of.ok()?;
                    return self.layout.place(node, self.position, index, View::Own);
                }
            },
        };
        if index >= near.cells {
            return None;
        }
        let width = u64::try_from(near.first.dtype.width()).ok()?;
        let within = u64::try_from(index).ok()?.checked_mul(width)?;
        Some(Place {
            start: near.first.start.checked_add(within)?,
            ..near.first
        })
    }

    fn single(&self, node: NodeId) -> Option<i64> {
        let near = self.near.iter().flatten().find(|near| near.of == Ok(node));
        near.and_then(|near| near.single)
    }

    fn keep_single(&mut self, node: NodeId, value: i64) {
        let mut near = self.near.iter_mut().flatten();
        if let Some(near) = near.find(|near| near.cells == 1 && near.of == Ok(node)) {
            near.single = Some(value);
        }
    }

    fn row(&self, of: Result<NodeId, ParamId>) -> Option<Near> {
        let program = self.layout.program();
        let (first, shape) = match of {
            Ok(node) if self.layout.is_row(node) => {
                let first = self.layout.place(node, self.position, 0, View::Own);
                (first?, program.shape(node)?)
            }
            Ok(_) => return None,
            Err(param) => (self.layout.param(param, 0)?, program.param_shape(param)?),
        };
        Some(Near {
            of,
            first,
            cells: shape.cells(),
            single: None,
        })
    }

    fn read(&mut self, place: Place) -> Result<i64, CellError> {
        self.step()?;
        read(self.source, place).map_err(|missing| self.stop(Stop::Missing(missing)))
    }

    /// A cell of an uncut node at this position.
    fn uncut(&mut self, node: NodeId, index: usize) -> Result<i64, CellError> {
        if let Some(value) = self.memo.get(node, index) {
            return Ok(value);
        }
        let program = self.layout.program();
        let (Some(spec), Some(shape)) = (program.node(node), program.shape(node)) else {
            return Err(absent("the program", index));
        };
        self.step()?;
        if self.depth >= DEPTH_MAX {
            return Err(self.stop(Stop::Depth));
        }
        self.depth = self.depth.saturating_add(1);
        let value = self.compute(&spec.op, shape, spec.dtype, index);
        self.depth = self.depth.saturating_sub(1);
        let value = value?;
        self.memo.set(node, shape.cells(), index, value);
        Ok(value)
    }

    fn here(&self) -> Result<usize, CellError> {
        usize::try_from(self.position).map_err(|_| absent("the run", 0))
    }
}

impl<S: Source> Context for Reading<'_, '_, S> {
    fn shape(&self, node: NodeId) -> Result<&Shape, CellError> {
        let shape = self.layout.program().shape(node);
        shape.ok_or(absent("the program", 0))
    }

    fn param_shape(&self, param: ParamId) -> Result<&Shape, CellError> {
        let shape = self.layout.program().param_shape(param);
        shape.ok_or(absent("the program", 0))
    }

    fn value(&mut self, node: NodeId, index: usize) -> Result<i64, CellError> {
        match self.layout.program().node(node) {
            Some(spec) if spec.cut => {
                if index == 0
                    && let Some(value) = self.single(node)
                {
                    return Ok(value);
                }
                let place = self.place(Ok(node), index);
                let value = self.read(place.ok_or(absent("an operand", index))?)?;
                self.keep_single(node, value);
                Ok(value)
            }
            Some(_) => self.uncut(node, index),
            None => Err(absent("the program", index)),
        }
    }

    fn param(&mut self, param: ParamId, index: usize) -> Result<i64, CellError> {
        let place = self.place(Err(param), index);
        self.read(place.ok_or(absent("a parameter", index))?)
    }

    fn input(&mut self, input: u32, index: usize) -> Result<i64, CellError> {
        let Given::Inputs(inputs) = self.given else {
            return Err(absent("the inputs", index));
        };
        let shape = self.layout.program().input_shape(input);
        let number = usize::try_from(input).map_err(|_| absent("the inputs", index))?;
        let at = shape.and_then(|shape| {
            let before = self.here().ok()?.checked_mul(shape.cells())?;
            before.checked_add(index)
        });
        let element = at.and_then(|at| inputs.get(number)?.get(at).copied());
        element.ok_or(absent("the inputs", index))
    }

    fn position(&self) -> Result<usize, CellError> {
        self.here()
    }

    fn token(&mut self) -> Result<i64, CellError> {
        let at = self.here()?;
        match self.given {
            Given::Tokens(tokens) => tokens.get(at).map(|&token| i64::from(token)),
            Given::Inputs(_) => None,
        }
        .ok_or(absent("the tokens", at))
    }

    fn past(&mut self, node: NodeId, position: usize, index: usize) -> Result<i64, CellError> {
        let position = u64::try_from(position).map_err(|_| absent("the run", position))?;
        let place = self.layout.place(node, position, index, self.view);
        self.read(place.ok_or(absent("an operand", index))?)
    }

    fn sight(&self, scores: NodeId) -> Result<Sight, CellError> {
        Ok(Sight {
            window: self.layout.window(scores),
            ahead: false,
        })
    }
}

#[cfg(test)]
mod tests;
