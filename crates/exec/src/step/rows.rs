//! Steps along the last axis: softmax, the index of the maximum, and sums of table rows.

use super::{Place, Position};
use crate::cells::{CHUNK, Cells, low32, row};

/// Longest row of a softmax, by the profile.
const SOFTMAX_MAX: usize = credence_exact::shape::SOFTMAX_MAX;

/// Normalised exponentials.
pub(crate) struct Softmax {
    pub(crate) x: Place,
    pub(crate) y: Place,
    /// Cells along the last axis.
    pub(crate) length: usize,
    pub(crate) exp: Vec<i32>,
    pub(crate) bits: u8,
}

impl Softmax {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let mut cells = [0_i32; SOFTMAX_MAX];
        let cells = &mut cells[..self.length];
        for first in (0..self.y.cells).step_by(self.length) {
            x.widen(first, cells);
            self.row(cells);
            y.narrow(first, cells);
        }
    }

    #[inline(always)]
    fn row(&self, cells: &mut [i32]) {
        let max = cells.iter().copied().fold(i32::MIN, i32::max);
        let last = self.exp.len() - 1;
        let mut sum = 0_i64;
        for cell in cells.iter_mut() {
            let below = max.abs_diff(*cell);
            *cell = self.exp[usize::try_from(below).unwrap_or(last).min(last)];
            sum += i64::from(*cell);
        }
        for cell in cells.iter_mut() {
            // Entries are not negative and at most 2^24, bits at most 24: nothing wraps. The maximum's own entry is positive.
            *cell = low32(((i64::from(*cell) << self.bits) + sum / 2) / sum);
        }
    }
}

/// The lowest index of the maximum.
pub(crate) struct ArgMax {
    pub(crate) x: Place,
    pub(crate) y: Place,
    /// Cells along the last axis.
    pub(crate) length: usize,
}

impl ArgMax {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        for result in 0..self.y.cells {
            y.set(result, self.index(x, result * self.length));
        }
    }

    #[inline(always)]
    fn index(&self, x: Cells<'_>, first: usize) -> i32 {
        let (mut best, mut max) = (0, x.get(first));
        for (k, index) in (1..self.length).zip(1..) {
            let value = x.get(first + k);
            if value > max {
                (best, max) = (index, value);
            }
        }
        best
    }
}

/// Columns that are summed in registers at once; tables are filled up to a multiple of it.
const COLUMNS: usize = 16;

/// The sum of the rows that x names.
pub(crate) struct GatherSum {
    x: Place,
    y: Place,
    /// Rows of `stride` entries.
    table: Vec<i32>,
    stride: usize,
    bias: Vec<i32>,
}

impl GatherSum {
    /// Takes a table of rows as wide as y.
    pub(crate) fn new(x: Place, y: Place, table: &[i32], bias: Option<&[i32]>) -> Self {
        let width = y.cells;
        // A few columns are summed one by one, so that filling up takes at most four times the table.
        let stride = if width < COLUMNS / 4 {
            width
        } else {
            width.next_multiple_of(COLUMNS)
        };
        let mut filled = Vec::with_capacity(table.len() / width * stride);
        for row in table.chunks_exact(width) {
            filled.extend_from_slice(row);
            filled.resize(filled.len() + stride - width, 0);
        }
        let mut biases = bias.map_or_else(|| vec![0; width], <[i32]>::to_vec);
        biases.resize(stride, 0);
        Self {
            x,
            y,
            table: filled,
            stride,
            bias: biases,
        }
    }

    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let mut rows = [0_i32; CHUNK];
        for column in (0..self.y.cells).step_by(COLUMNS) {
            let used = COLUMNS.min(self.stride - column);
            let mut sums = [0_i32; COLUMNS];
            sums[..used].copy_from_slice(&self.bias[column..][..used]);
            for first in (0..self.x.cells).step_by(CHUNK) {
                let rows = &mut rows[..CHUNK.min(self.x.cells - first)];
                x.widen(first, rows);
                self.add(rows, column, &mut sums);
            }
            let shown = COLUMNS.min(self.y.cells - column);
            y.narrow(column, &sums[..shown]);
        }
    }

    /// Adds some rows, from a column on.
    #[inline(always)]
    fn add(&self, rows: &[i32], column: usize, sums: &mut [i32; COLUMNS]) {
        if self.stride < COLUMNS {
            for &x in rows {
                let entries = &self.table[row(x) * self.stride..][..self.stride];
                for (sum, entry) in sums.iter_mut().zip(entries) {
                    *sum = sum.wrapping_add(*entry);
                }
            }
            return;
        }
        for &x in rows {
            let entries = &self.table[row(x) * self.stride + column..][..COLUMNS];
            for (sum, entry) in sums.iter_mut().zip(entries) {
                *sum = sum.wrapping_add(*entry);
            }
        }
    }
}
