//! Steps of the ops that larger tensor models add: rows of a table, products of two values, quotients.

use credence_exact::{Dtype, ParamId};
use credence_model::Model;

use super::{Place, Position};
use crate::cells::{CHUNK, Cell, Cells, low32, row};

/// `table[x]`. The table is read where the model has it.
pub(crate) struct Gather {
    pub(crate) x: Place,
    pub(crate) y: Place,
    pub(crate) table: ParamId,
    pub(crate) dtype: Dtype,
    /// Columns of the table.
    pub(crate) width: usize,
}

impl Gather {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>, model: &Model) {
        let Some(table) = model.param(self.table) else {
            return;
        };
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let bytes = self.width * self.dtype.width();
        let mut chunk = [0_i32; CHUNK];
        for vector in 0..self.x.cells {
            let number = row(x.get(vector));
            let entries = Cells::new(self.dtype, &table.bytes()[number * bytes..][..bytes]);
            for first in (0..self.width).step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(self.width - first)];
                entries.widen(first, cells);
                y.narrow(vector * self.width + first, cells);
            }
        }
    }
}

/// `a·b` for each pair of matrices.
pub(crate) struct MatMul {
    pub(crate) a: Place,
    pub(crate) b: Place,
    pub(crate) y: Place,
    /// M, K, N.
    pub(crate) sizes: [usize; 3],
}

impl MatMul {
    /// Multiply-adds of one position.
    pub(crate) const fn work(&self) -> usize {
        self.y.cells.saturating_mul(self.sizes[1])
    }

    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let (a, b) = (others.read(self.a), others.read(self.b));
        let mut sums = [0_i32; CHUNK];
        let mut out = |first: usize, sums: &[i32]| y.narrow(first, sums);
        match (a, b) {
            (Cells::I8(a), Cells::I8(b)) => self.multiply(a, b, &mut sums, &mut out),
            (Cells::I8(a), Cells::I16(b)) => self.multiply(a, b, &mut sums, &mut out),
            (Cells::I16(a), Cells::I8(b)) => self.multiply(a, b, &mut sums, &mut out),
            (Cells::I16(a), Cells::I16(b)) => self.multiply(a, b, &mut sums, &mut out),
            // A checked program has no factor of 32 bits.
            (Cells::I32(_), _) | (_, Cells::I32(_)) => {}
        }
    }

    /// Row by row, a run of columns in registers at a time. Sums of a checked model fit 32 bits, whatever their order.
    #[inline(always)]
    fn multiply<A: Cell, B: Cell>(
        &self,
        a: &[A],
        b: &[B],
        sums: &mut [i32; CHUNK],
        out: &mut impl FnMut(usize, &[i32]),
    ) {
        let [rows, inner, columns] = self.sizes;
        for (number, a) in a.chunks_exact(inner).enumerate() {
            let b = &b[number / rows * inner * columns..][..inner * columns];
            for first in (0..columns).step_by(CHUNK) {
                let sums = &mut sums[..CHUNK.min(columns - first)];
                sums.fill(0);
                for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
                    let a = a.wide();
                    for (sum, b) in sums.iter_mut().zip(&b[first..]) {
                        *sum = sum.wrapping_add(a.wrapping_mul(b.wide()));
                    }
                }
                out(number * columns + first, sums);
            }
        }
    }
}

/// `clamp(⌊(factor·a + ⌊b/2⌋)/b⌋)`.
pub(crate) struct Divide {
    pub(crate) a: Place,
    pub(crate) b: Place,
    pub(crate) y: Place,
    /// Cells along the last axis.
    pub(crate) length: usize,
    /// Whether b has a cell for each of a, or one for each vector.
    pub(crate) each: bool,
    pub(crate) factor: i64,
    pub(crate) min: i32,
    pub(crate) max: i32,
}

impl Divide {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let (a, b) = (others.read(self.a), others.read(self.b));
        let mut chunk = [0_i32; CHUNK];
        for vector in 0..self.y.cells / self.length {
            let start = vector * self.length;
            for first in (0..self.length).step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(self.length - first)];
                a.widen(start + first, cells);
                for (at, cell) in cells.iter_mut().enumerate() {
                    let by = if self.each {
                        start + first + at
                    } else {
                        vector
                    };
                    // A checked model's divisors are at least 1.
                    let divisor = i64::from(b.get(by)).max(1);
                    let sum = i64::from(*cell) * self.factor + divisor / 2;
                    let quotient = sum.div_euclid(divisor);
                    *cell = low32(quotient.clamp(self.min.into(), self.max.into()));
                }
                y.narrow(start + first, cells);
            }
        }
    }
}
