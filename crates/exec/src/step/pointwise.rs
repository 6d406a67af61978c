//! Steps that compute each cell from cells of the same index, a chunk at a time.

use std::sync::Arc;

use super::{Place, Position};
use crate::cells::{CHUNK, row};
use crate::kernel::Rounding;

/// `clamp(rescale(x·m))`, m by the last axis or for all.
pub(crate) struct Rescale {
    pub(crate) x: Place,
    pub(crate) y: Place,
    /// Cell i takes multiplier i modulo their number, which is a multiple of the last axis.
    pub(crate) multipliers: Vec<i32>,
    pub(crate) rounding: Rounding,
}

/// Repeats multipliers until a chunk need not be cut short by them.
pub(crate) fn repeat(multipliers: &[i32]) -> Vec<i32> {
    multipliers.repeat(CHUNK.div_ceil(multipliers.len().max(1)))
}

impl Rescale {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let mut chunk = [0_i32; CHUNK];
        let (mut first, mut phase) = (0, 0);
        while first < self.y.cells {
            let len = CHUNK
                .min(self.y.cells - first)
                .min(self.multipliers.len() - phase);
            let cells = &mut chunk[..len];
            x.widen(first, cells);
            for (cell, m) in cells.iter_mut().zip(&self.multipliers[phase..]) {
                *cell = self.rounding.round(i64::from(*cell) * i64::from(*m));
            }
            y.narrow(first, cells);
            first += len;
            phase = (phase + len) % self.multipliers.len();
        }
    }
}

/// `clamp(rescale(a·ma + b·mb))`, mb negative for a difference.
pub(crate) struct Add {
    pub(crate) a: Place,
    pub(crate) b: Place,
    pub(crate) y: Place,
    pub(crate) a_multiplier: i64,
    pub(crate) b_multiplier: i64,
    pub(crate) rounding: Rounding,
}

impl Add {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let (a, b) = (others.read(self.a), others.read(self.b));
        let (mut a_chunk, mut b_chunk) = ([0_i32; CHUNK], [0_i32; CHUNK]);
        for first in (0..self.y.cells).step_by(CHUNK) {
            let len = CHUNK.min(self.y.cells - first);
            let (a_cells, b_cells) = (&mut a_chunk[..len], &mut b_chunk[..len]);
            a.widen(first, a_cells);
            b.widen(first, b_cells);
            let one = 1_i64 << self.rounding.shift;
            if self.a_multiplier == one && self.b_multiplier == one {
                // Nothing is rounded, and what saturates here is clamped the same.
                let Rounding { min, max, .. } = self.rounding;
                for (a, b) in a_cells.iter_mut().zip(b_cells) {
                    *a = a.saturating_add(*b).clamp(min, max);
                }
            } else {
                for (a, b) in a_cells.iter_mut().zip(b_cells) {
                    let sum = i64::from(*a) * self.a_multiplier + i64::from(*b) * self.b_multiplier;
                    *a = self.rounding.round(sum);
                }
            }
            y.narrow(first, a_cells);
        }
    }
}

/// `table[x − base]`.
pub(crate) struct Table {
    pub(crate) x: Place,
    pub(crate) y: Place,
    pub(crate) table: Arc<Entries>,
    pub(crate) base: i32,
}

/// A table's entries, as narrow as they fit: a large one is read from the second cache or beyond.
pub(crate) enum Entries {
    Narrow(Vec<i16>),
    Wide(Vec<i32>),
}

impl Entries {
    pub(crate) fn new(table: Vec<i32>) -> Self {
        let narrow: Result<Vec<i16>, _> = table.iter().map(|&entry| i16::try_from(entry)).collect();
        narrow.map_or(Self::Wide(table), Self::Narrow)
    }
}

impl Table {
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        let x = others.read(self.x);
        let mut chunk = [0_i32; CHUNK];
        for first in (0..self.y.cells).step_by(CHUNK) {
            let cells = &mut chunk[..CHUNK.min(self.y.cells - first)];
            x.widen(first, cells);
            match &*self.table {
                Entries::Narrow(table) => {
                    for cell in cells.iter_mut() {
                        *cell = table[row(cell.wrapping_sub(self.base))].into();
                    }
                }
                Entries::Wide(table) => {
                    for cell in cells.iter_mut() {
                        *cell = table[row(cell.wrapping_sub(self.base))];
                    }
                }
            }
            y.narrow(first, cells);
        }
    }
}
