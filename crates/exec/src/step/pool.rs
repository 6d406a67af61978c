//! Maxima and sums over windows of an `[H, W, C]` value.

use core::ops::Range;

use super::{Place, Position};
use crate::cells::{CHUNK, Cell, Cells, CellsMut};

/// A window along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// Cells before the first.
    pub(crate) pad: usize,
    /// Cells of the operand.
    pub(crate) length: usize,
    /// Number of windows.
    pub(crate) windows: usize,
}

impl Axis {
    /// The window's cells of window number `i` that lie inside the operand: which of the window's cells, and where the
    /// first of them is. Cell u of the window is at `at + (u − range.start)·dilation`.
    #[inline(always)]
    pub(crate) fn inside(&self, i: usize) -> (Range<usize>, usize) {
        let start = i * self.stride;
        let first = self.pad.saturating_sub(start).div_ceil(self.dilation);
        let at = start + first * self.dilation - self.pad.min(start + first * self.dilation);
        let behind = self.length.saturating_sub(at).div_ceil(self.dilation);
        let last = self.kernel.min(first + behind);
        (first.min(last)..last, at)
    }
}

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolKind {
    Max,
    Sum,
}

/// A pool.
pub(crate) struct Pool {
    pub(crate) kind: PoolKind,
    pub(crate) x: Place,
    pub(crate) y: Place,
    /// Vertical, horizontal.
    pub(crate) axes: [Axis; 2],
    pub(crate) channels: usize,
}

impl Pool {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        match (self.kind, x, &mut y) {
            (PoolKind::Max, Cells::I8(x), CellsMut::I8(y)) => self.max(x, y),
            (PoolKind::Max, Cells::I16(x), CellsMut::I16(y)) => self.max(x, y),
            (PoolKind::Max, Cells::I32(x), CellsMut::I32(y)) => self.max(x, y),
            (PoolKind::Max, x, y) => self.fold(x, y, i32::MIN, Ord::max),
            (PoolKind::Sum, x, y) => self.fold(x, y, 0, i32::wrapping_add),
        }
    }

    /// Calls `each` with the result's first cell of every pixel, and the operand's first cell of every pixel in its window.
    #[inline(always)]
    fn windows(&self, mut each: impl FnMut(usize, &mut dyn Iterator<Item = usize>)) {
        let [vertical, horizontal] = &self.axes;
        for i in 0..vertical.windows {
            let (rows, top) = vertical.inside(i);
            for j in 0..horizontal.windows {
                let (columns, left) = horizontal.inside(j);
                let mut pixels = rows.clone().flat_map(|u| {
                    let row = top + (u - rows.start) * vertical.dilation;
                    let columns = columns.clone();
                    (0..columns.len()).map(move |v| {
                        (row * horizontal.length + left + v * horizontal.dilation) * self.channels
                    })
                });
                each((i * horizontal.windows + j) * self.channels, &mut pixels);
            }
        }
    }

    /// The maximum where both types are equal: no widening.
    #[inline(always)]
    fn max<T: Cell>(&self, x: &[T], y: &mut [T]) {
        self.windows(|at, pixels| {
            let y = &mut y[at..][..self.channels];
            // A checked program has a pixel in every window.
            let Some(first) = pixels.next() else { return };
            y.copy_from_slice(&x[first..][..self.channels]);
            for pixel in pixels {
                for (y, x) in y.iter_mut().zip(&x[pixel..][..self.channels]) {
                    *y = (*y).max(*x);
                }
            }
        });
    }

    #[inline(always)]
    fn fold(&self, x: Cells<'_>, y: &mut CellsMut<'_>, start: i32, fold: impl Fn(i32, i32) -> i32) {
        let (mut sums, mut cells) = ([0_i32; CHUNK], [0_i32; CHUNK]);
        for channel in (0..self.channels).step_by(CHUNK) {
            let len = CHUNK.min(self.channels - channel);
            let (sums, cells) = (&mut sums[..len], &mut cells[..len]);
            self.windows(|at, pixels| {
                sums.fill(start);
                for pixel in pixels {
                    x.widen(pixel + channel, cells);
                    for (sum, cell) in sums.iter_mut().zip(cells.iter()) {
                        *sum = fold(*sum, *cell);
                    }
                }
                y.narrow(at + channel, sums);
            });
        }
    }
}
