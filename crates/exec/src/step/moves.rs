//! Steps that move cells: re-indexing and joining.

use super::{Place, Position};
use crate::cells::{CHUNK, Cell, Cells, CellsMut};

/// `y[i₀, …] = x[offset + Σ iₖ·strides[k]]`.
pub(crate) struct Reindex {
    pub(crate) x: Place,
    pub(crate) y: Place,
    pub(crate) offset: usize,
    /// The result's axes, slowest first: length, and step in the operand.
    pub(crate) axes: Vec<(usize, isize)>,
}

impl Reindex {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        match (others.read(self.x), &mut y) {
            (Cells::I8(x), CellsMut::I8(y)) => self.copy(x, y),
            (Cells::I16(x), CellsMut::I16(y)) => self.copy(x, y),
            (Cells::I32(x), CellsMut::I32(y)) => self.copy(x, y),
            (x, y) => self.walk(|to, from| y.set(to, x.get(from))),
        }
    }

    #[inline(always)]
    fn copy<T: Cell>(&self, x: &[T], y: &mut [T]) {
        self.walk(|to, from| y[to] = x[from]);
    }

    /// Calls `each` with every cell of the result and the cell of the operand it shows.
    #[inline(always)]
    fn walk(&self, mut each: impl FnMut(usize, usize)) {
        // The two fastest axes are loops; those before them are counted like an odometer.
        let (outer_axes, inner_axes) = self.axes.split_at(self.axes.len().saturating_sub(2));
        let [(rows, row_step), (columns, column_step)] = match *inner_axes {
            [] => [(1, 0), (1, 0)],
            [one] => [(1, 0), one],
            [row, column, ..] => [row, column],
        };
        let blocks: usize = outer_axes.iter().map(|axis| axis.0).product();
        let mut to = 0;
        for block in 0..blocks {
            let mut base = self.offset;
            let mut rest = block;
            for &(length, step) in outer_axes.iter().rev() {
                base = step_by(base, step, rest % length);
                rest /= length;
            }
            for i in 0..rows {
                let row = step_by(base, row_step, i);
                for j in 0..columns {
                    each(to, step_by(row, column_step, j));
                    to += 1;
                }
            }
        }
    }
}

/// `base + step·count`, which a checked program keeps within the operand.
#[inline(always)]
fn step_by(base: usize, step: isize, count: usize) -> usize {
    base.wrapping_add(count.wrapping_mul(step.cast_unsigned()))
}

/// Operands one after another along an axis.
pub(crate) struct Concat {
    /// Each operand, and its cells for each index of the axes before the join.
    pub(crate) parts: Vec<(Place, usize)>,
    pub(crate) y: Place,
    /// Product of the axes before the join.
    pub(crate) outer: usize,
}

impl Concat {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let step: usize = self.parts.iter().map(|part| part.1).sum();
        let mut start = 0;
        for &(place, run) in &self.parts {
            let x = others.read(place);
            for outer in 0..self.outer {
                copy(x, outer * run, &mut y, (outer * step + start, run));
            }
            start += run;
        }
    }
}

/// Copies cells from `from` on to a range given as first cell and number.
#[inline(always)]
fn copy(x: Cells<'_>, from: usize, y: &mut CellsMut<'_>, (to, len): (usize, usize)) {
    match (x, &mut *y) {
        (Cells::I8(x), CellsMut::I8(y)) => y[to..][..len].copy_from_slice(&x[from..][..len]),
        (Cells::I16(x), CellsMut::I16(y)) => y[to..][..len].copy_from_slice(&x[from..][..len]),
        (Cells::I32(x), CellsMut::I32(y)) => y[to..][..len].copy_from_slice(&x[from..][..len]),
        (x, y) => {
            let mut chunk = [0_i32; CHUNK];
            for at in (0..len).step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(len - at)];
                x.widen(from + at, cells);
                y.narrow(to + at, cells);
            }
        }
    }
}
