//! Maxima and sums over windows of an `[H, W, C]` value.

use core::ops::Range;

use super::{Place, Position};
use crate::cells::{CHUNK, Cell, Cells, CellsMut};

/// Channels whose maximum is taken at once; a multiple of what registers hold.
const AT_ONCE: usize = 32;

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
        if self.dilation == 1 {
            // The common case without a division.
            let first = self.pad.saturating_sub(start);
            let at = start.saturating_sub(self.pad);
            let last = self.kernel.min(first + self.length.saturating_sub(at));
            return (first.min(last)..last, at);
        }
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
            (_, x, y) => self.fold(x, y),
        }
    }

    /// The operand's cells that a window covers.
    #[inline(always)]
    fn covered(&self, i: usize, j: usize) -> Covered {
        let [vertical, horizontal] = &self.axes;
        let (rows, top) = vertical.inside(i);
        let (columns, left) = horizontal.inside(j);
        Covered {
            first: (top * horizontal.length + left) * self.channels,
            rows: rows.len(),
            row_step: vertical.dilation * horizontal.length * self.channels,
            columns: columns.len(),
            column_step: horizontal.dilation * self.channels,
        }
    }

    /// The maximum where both types are equal: no widening, and many channels at once.
    #[inline(always)]
    fn max<T: Cell>(&self, x: &[T], y: &mut [T]) {
        let [vertical, horizontal] = &self.axes;
        let mut pixels = y.chunks_exact_mut(self.channels);
        for i in 0..vertical.windows {
            for j in 0..horizontal.windows {
                let (Some(y), covered) = (pixels.next(), self.covered(i, j)) else {
                    return;
                };
                let (parts, rest) = y.as_chunks_mut::<AT_ONCE>();
                for (part, y) in parts.iter_mut().enumerate() {
                    covered.max_into(&x[part * AT_ONCE..], y);
                }
                let done = self.channels - rest.len();
                for (channel, y) in rest.iter_mut().enumerate() {
                    covered.max_into::<T, 1>(&x[done + channel..], core::array::from_mut(y));
                }
            }
        }
    }

    /// Sums along one axis of neighbours: of a whole vector, say.
    #[inline(always)]
    fn line(&self, x: Cells<'_>, y: &mut CellsMut<'_>) {
        let mut cells = [0_i32; CHUNK];
        for i in 0..self.axes[0].windows {
            let covered = self.covered(i, 0);
            let (mut sum, end) = (0_i32, covered.first + covered.rows);
            for first in (covered.first..end).step_by(CHUNK) {
                let cells = &mut cells[..CHUNK.min(end - first)];
                x.widen(first, cells);
                sum = cells.iter().fold(sum, |sum, cell| sum.wrapping_add(*cell));
            }
            y.set(i, sum);
        }
    }

    /// Any pool of any types, channels a chunk at a time.
    #[inline(always)]
    fn fold(&self, x: Cells<'_>, y: &mut CellsMut<'_>) {
        let [vertical, horizontal] = &self.axes;
        let narrow = horizontal.length == 1 && horizontal.kernel == 1 && horizontal.pad == 0;
        let narrow = narrow && horizontal.windows == 1 && self.channels == 1;
        if self.kind == PoolKind::Sum && narrow && vertical.dilation == 1 {
            return self.line(x, y);
        }
        let (mut sums, mut cells) = ([0_i32; CHUNK], [0_i32; CHUNK]);
        let start = match self.kind {
            PoolKind::Max => i32::MIN,
            PoolKind::Sum => 0,
        };
        for channel in (0..self.channels).step_by(CHUNK) {
            let len = CHUNK.min(self.channels - channel);
            let (sums, cells) = (&mut sums[..len], &mut cells[..len]);
            for i in 0..vertical.windows {
                for j in 0..horizontal.windows {
                    sums.fill(start);
                    let covered = self.covered(i, j);
                    for row in 0..covered.rows {
                        for column in 0..covered.columns {
                            x.widen(covered.pixel(row, column) + channel, cells);
                            self.fold_into(sums, cells);
                        }
                    }
                    y.narrow((i * horizontal.windows + j) * self.channels + channel, sums);
                }
            }
        }
    }

    #[inline(always)]
    fn fold_into(&self, sums: &mut [i32], cells: &[i32]) {
        match self.kind {
            PoolKind::Max => {
                for (sum, cell) in sums.iter_mut().zip(cells) {
                    *sum = (*sum).max(*cell);
                }
            }
            PoolKind::Sum => {
                for (sum, cell) in sums.iter_mut().zip(cells) {
                    *sum = sum.wrapping_add(*cell);
                }
            }
        }
    }
}

/// The cells of the operand that a window covers: a grid of pixels, each by its first cell.
#[derive(Clone, Copy)]
struct Covered {
    first: usize,
    rows: usize,
    row_step: usize,
    columns: usize,
    column_step: usize,
}

impl Covered {
    #[inline(always)]
    const fn pixel(&self, row: usize, column: usize) -> usize {
        self.first + row * self.row_step + column * self.column_step
    }

    /// The maximum of N channels over all pixels. A checked program has a pixel in every window.
    #[inline(always)]
    fn max_into<T: Cell, const N: usize>(&self, x: &[T], y: &mut [T; N]) {
        let Some(&first) = x[self.first..].first_chunk::<N>() else {
            return;
        };
        let mut max = first;
        for row in 0..self.rows {
            for column in 0..self.columns {
                let Some(&pixel) = x[self.pixel(row, column)..].first_chunk::<N>() else {
                    return;
                };
                for (max, cell) in max.iter_mut().zip(pixel) {
                    *max = (*max).max(cell);
                }
            }
        }
        *y = max;
    }
}

#[cfg(test)]
mod tests {
    use credence_exact::Window;
    use credence_exact::shape::window_cells;

    use super::*;

    #[test]
    fn windows_are_those_of_the_specification() {
        for (kernel, stride, dilation, pad, length) in (0..6_u32 * 4 * 4 * 7 * 8).map(|n| {
            (
                1 + n % 6,
                1 + n / 6 % 4,
                1 + n / 24 % 4,
                n / 96 % 7,
                1 + n / 672 % 8,
            )
        }) {
            let window = Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                pad: [pad; 4],
                dilation: [dilation; 2],
            };
            let size = |n: u32| usize::try_from(n).unwrap();
            let axis = Axis {
                kernel: size(kernel),
                stride: size(stride),
                dilation: size(dilation),
                pad: size(pad),
                length: size(length),
                windows: 20,
            };
            for i in 0..20 {
                let expected: Vec<_> = window_cells(window, 0, i, axis.length).collect();
                let (inside, at) = axis.inside(i);
                let got = inside
                    .clone()
                    .map(|u| (u, at + (u - inside.start) * axis.dilation));
                assert_eq!(got.collect::<Vec<_>>(), expected, "{axis:?} window {i}");
            }
        }
    }
}
