//! Steps along the last axis: softmax, the index of the maximum, and sums of table rows.

use super::{Place, Position};
use crate::cells::{CHUNK, Cells, low32, row};

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
        let mut chunk = [0_i32; CHUNK];
        for first in (0..self.y.cells).step_by(self.length) {
            let row = first..first + self.length;
            let (mut max, mut sum) = (i32::MIN, 0_i64);
            for at in row.clone().step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(row.end - at)];
                x.widen(at, cells);
                max = cells.iter().copied().fold(max, i32::max);
            }
            for at in row.clone().step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(row.end - at)];
                x.widen(at, cells);
                sum += self.exponentials(max, cells);
            }
            for at in row.clone().step_by(CHUNK) {
                let cells = &mut chunk[..CHUNK.min(row.end - at)];
                // A row of one chunk has its exponentials already.
                if self.length > CHUNK {
                    x.widen(at, cells);
                    self.exponentials(max, cells);
                }
                self.normalise(sum, cells);
                y.narrow(at, cells);
            }
        }
    }

    /// Puts `exp[min(max − x, n − 1)]` in the place of each x, and returns the sum.
    #[inline(always)]
    fn exponentials(&self, max: i32, cells: &mut [i32]) -> i64 {
        let last = self.exp.len() - 1;
        let mut sum = 0;
        for cell in cells.iter_mut() {
            let below = usize::try_from(max.abs_diff(*cell)).unwrap_or(last);
            *cell = self.exp[below.min(last)];
            sum += i64::from(*cell);
        }
        sum
    }

    /// `⌊(e·2^bits + ⌊sum/2⌋) / sum⌋`. Entries are not negative and at most 2^24, bits at most 24, the sum below 2^34 and not 0, as the
    /// maximum's own entry is positive: in unsigned numbers nothing wraps.
    #[inline(always)]
    fn normalise(&self, sum: i64, cells: &mut [i32]) {
        let (sum, bits) = (sum.cast_unsigned(), self.bits);
        for cell in cells.iter_mut() {
            let e = u64::from(cell.cast_unsigned());
            *cell = low32((((e << bits) + sum / 2) / sum).cast_signed());
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
