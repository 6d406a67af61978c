//! Products of two values of a run: matrices of one position, queries with keys of all positions, weights with values of all positions.
//!
//! ```text
//! within: y[p; l, m, n] = Σ_k a[p; l, m, k] · b[p; l, k, n]
//! keys:   y[p; h, t]    = Σ_d a[p; h, d] · b[t; g(h), d]          mix: y[p; h, d] = Σ_t a[p; h, t] · b[t; g(h), d]          g(h) = ⌊h·G/H⌋
//! ```
//!
//! The results are committed; a sumcheck holds them to the operands (`docs/spec/snark.md`, 3.7 and section 5). It deliberately knows no challenge: `crate::pairs` does.

use credence_exact::{MatMul, NodeId};

use super::arithmetic::slots;
use super::builder::{Builder, Built};
use super::expr::Expr;
use super::{Hint, Span};

/// Which positions a product reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Both operands of one position.
    Within,
    /// The second operand of every position, which is the result's last axis.
    Keys,
    /// The second operand of every position, which is the first operand's last axis.
    Mix,
}

/// A product of two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What it reads.
    pub kind: Kind,
    /// The result, committed.
    pub y: Span,
    /// Slots of the first operand's cells.
    pub a: Vec<u32>,
    /// Slots of the second operand's cells, committed; of the first as well, if the kind is [`Kind::Within`].
    pub b: Vec<u32>,
    /// Matrices, or heads.
    pub outer: usize,
    /// Rows of the first operand's matrix; 1 for a head.
    pub rows: usize,
    /// The length of the sums.
    pub inner: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Matrices, or heads, of the second operand.
    pub groups: usize,
}

impl Pair {
    /// The group that an outer index reads.
    #[must_use]
    pub fn group(&self, outer: usize) -> usize {
        let scaled = outer.saturating_mul(self.groups);
        scaled.checked_div(self.outer).unwrap_or(0)
    }

    /// Where cell `cell` of the result is read: row of a, matrix of b, column.
    fn place(&self, cell: usize) -> Option<(usize, usize, usize)> {
        let row = cell.checked_div(self.columns)?;
        let column = cell.checked_rem(self.columns)?;
        let outer = row.checked_div(self.rows)?;
        Some((row, self.group(outer), column))
    }

    /// The factors of one cell of the result at one position: slot and position of each.
    pub fn factors(&self, cell: usize, position: usize) -> impl Iterator<Item = [(u32, usize); 2]> {
        let (row, group, column) = self.place(cell).unwrap_or_default();
        let slot = |slots: &[u32], at: usize| slots.get(at).copied().unwrap_or(0);
        (0..self.inner).map(move |k| {
            let a = slot(&self.a, row.saturating_mul(self.inner).saturating_add(k));
            let at = |row: usize, width: usize, column: usize| {
                row.saturating_mul(width).saturating_add(column)
            };
            let b = match self.kind {
                Kind::Within => {
                    let row = at(group, self.inner, k);
                    (slot(&self.b, at(row, self.columns, column)), position)
                }
                Kind::Keys => (slot(&self.b, at(group, self.inner, k)), column),
                Kind::Mix => (slot(&self.b, at(group, self.columns, column)), k),
            };
            [(a, position), b]
        })
    }
}

/// What a product is of, before it is made.
pub(super) struct Operands {
    pub(super) kind: Kind,
    pub(super) a: Vec<u32>,
    pub(super) b: Vec<u32>,
    pub(super) outer: usize,
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) groups: usize,
}

impl Builder<'_> {
    /// Says that a slot holds what the other does, if that is committed.
    pub(super) fn alias(&mut self, slot: u32, other: u32) {
        let anchor = self.anchor(other);
        let at = usize::try_from(slot).unwrap_or(usize::MAX);
        if let Some(own) = self.anchors.get_mut(at) {
            *own = anchor;
        }
    }

    fn anchor(&self, slot: u32) -> Option<u32> {
        let at = usize::try_from(slot).unwrap_or(usize::MAX);
        self.anchors.get(at).copied().flatten()
    }

    /// A committed slot that holds what this one does.
    pub(super) fn anchored(&mut self, slot: u32) -> Built<u32> {
        if self.is_counting() {
            return Ok(slot);
        }
        if let Some(anchor) = self.anchor(slot) {
            return Ok(anchor);
        }
        let of = self.hint_row(&Expr::slot(slot));
        let copy = self.aux(Hint::Sum { of })?;
        self.zero(&Expr::slot(copy).and(slot, -1));
        self.alias(slot, copy);
        Ok(copy)
    }

    fn anchor_all(&mut self, slots: &mut [u32]) -> Built<()> {
        for slot in slots {
            *slot = self.anchored(*slot)?;
        }
        Ok(())
    }

    /// A product; `filled` says whether its cells are filled by hints, being no node's.
    pub(super) fn pair(&mut self, operands: Operands, filled: bool) -> Built<Span> {
        let Operands {
            kind,
            mut a,
            mut b,
            outer,
            rows,
            inner,
            columns,
            groups,
        } = operands;
        if kind == Kind::Within {
            self.anchor_all(&mut a)?;
        }
        self.anchor_all(&mut b)?;
        let cells = outer.saturating_mul(rows).saturating_mul(columns);
        let y = self.committed(u32::try_from(cells).unwrap_or(u32::MAX))?;
        if self.is_counting() {
            return Ok(y);
        }
        let pair = self.circuit.pairs.len();
        if filled {
            let hints = slots(y)
                .zip(0..)
                .map(|(slot, cell)| (slot, Hint::Pair { pair, cell }));
            self.circuit.hints.extend(hints);
        }
        self.count_apart(a.len().saturating_add(b.len()), 4)?;
        self.circuit.pairs.push(Pair {
            kind,
            y,
            a,
            b,
            outer,
            rows,
            inner,
            columns,
            groups,
        });
        Ok(y)
    }

    pub(super) fn mat_mul(&mut self, op: &MatMul, id: NodeId) -> Built<Span> {
        let (a, b) = (self.of(op.a)?, self.of(op.b)?);
        let program = self.model.program();
        let shapes = (program.shape(op.a), program.shape(id));
        let (Some(of_a), Some(of_y)) = shapes else {
            return self.absent("a shape");
        };
        let &[.., rows, inner] = of_a.dims() else {
            return self.absent("two axes");
        };
        let columns = of_y.last();
        let matrices = of_a.cells().checked_div(rows.saturating_mul(inner));
        let matrices = matrices.unwrap_or(0);
        let operands = Operands {
            kind: Kind::Within,
            a: slots(a).collect(),
            b: slots(b).collect(),
            outer: matrices,
            rows,
            inner,
            columns,
            groups: matrices,
        };
        self.pair(operands, false)
    }

    /// The sums of squares of rows of so many cells.
    pub(super) fn squares(&mut self, x: Span, length: usize) -> Built<Span> {
        let rows = x.range().len().checked_div(length).unwrap_or(0);
        let operands = Operands {
            kind: Kind::Within,
            a: slots(x).collect(),
            b: slots(x).collect(),
            outer: rows,
            rows: 1,
            inner: length,
            columns: 1,
            groups: rows,
        };
        self.pair(operands, true)
    }
}
