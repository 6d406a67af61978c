//! Matrix products of 8-bit integers with the rounding behind them, one kernel for each instruction set.
//!
//! [`Job::run`] checks once that every byte a kernel touches lies inside what it was given, and then calls the kernel of
//! the instruction set for which the weights were packed. The kernels hold all `unsafe` code of this crate, and each
//! has [`scalar`] as its safe twin: the same job, the same integers.
//!
//! The sum is kept modulo 2³². A checked model's accumulators are below 2³¹ in magnitude, so the last value is the true one
//! whatever the order of the sum and whatever wrapped on the way.

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packed;
mod rounding;
mod scalar;
mod starts;
mod vectorise;

use core::ops::Range;

pub(crate) use attention::{HEADS, LANES, Pairs, Weighted, dots, weighted};
pub(crate) use packed::{Form, Layout, Matrix, Packed, Rescaling, Run};
pub(crate) use rounding::Rounding;
pub(crate) use starts::{StartList, Starts};
pub(crate) use vectorise::{Work, vectorise};

use crate::Isa;

/// Rows of x times some blocks of packed weights.
pub(crate) struct Job<'a> {
    pub(crate) packed: &'a Packed,
    /// Which blocks of outputs.
    pub(crate) blocks: Range<usize>,
    /// Rows of x, in the layout's form.
    pub(crate) x: &'a [u8],
    /// The byte of `x` where each row starts.
    pub(crate) starts: Starts<'a>,
    /// Where results go: row m's begin at byte m·`y_stride`, with the first output of `blocks`.
    pub(crate) y: &'a mut [u8],
    pub(crate) y_stride: usize,
    /// Where the sums themselves go, if somebody watches: as `y`, in units of one sum.
    pub(crate) sums: Option<Sums<'a>>,
}

/// Sums before rounding, for whoever watches a run.
pub(crate) struct Sums<'a> {
    pub(crate) cells: &'a mut [i32],
    pub(crate) stride: usize,
}

impl Sums<'_> {
    fn split(self, at: usize) -> (Self, Self) {
        let (cells, later) = self.cells.split_at_mut(at);
        let stride = self.stride;
        (
            Self { cells, stride },
            Self {
                cells: later,
                stride,
            },
        )
    }
}

impl Job<'_> {
    /// The first `rows` rows, and the others.
    pub(crate) fn split_rows(self, rows: usize) -> (Self, Self) {
        let (starts, later_starts) = self.starts.split_at(rows);
        let (y, later_y) = self.y.split_at_mut(rows * self.y_stride);
        let (sums, later_sums) = self
            .sums
            .map(|sums| {
                let at = rows * sums.stride;
                sums.split(at)
            })
            .unzip();
        let first = Job {
            packed: self.packed,
            blocks: self.blocks.clone(),
            x: self.x,
            starts,
            y,
            y_stride: self.y_stride,
            sums,
        };
        let later = Job {
            starts: later_starts,
            y: later_y,
            sums: later_sums,
            ..self
        };
        (first, later)
    }

    /// The first `blocks` blocks of outputs, and the others; of a job of one row.
    pub(crate) fn split_blocks(self, blocks: usize) -> (Self, Self) {
        let middle = self.blocks.start + blocks;
        let outputs = blocks * self.packed.layout().lanes;
        let (y, later_y) = self.y.split_at_mut(outputs * self.packed.output_bytes());
        let (sums, later_sums) = self.sums.map(|sums| sums.split(outputs)).unzip();
        let first = Job {
            packed: self.packed,
            blocks: self.blocks.start..middle,
            x: self.x,
            starts: self.starts,
            y,
            y_stride: self.y_stride,
            sums,
        };
        let later = Job {
            blocks: middle..self.blocks.end,
            y: later_y,
            sums: later_sums,
            ..self
        };
        (first, later)
    }

    /// Outputs that this job computes for each row.
    fn outputs(&self) -> usize {
        let lanes = self.packed.layout().lanes;
        (self.blocks.end * lanes).min(self.packed.outputs()) - self.blocks.start * lanes
    }

    /// Computes.
    ///
    /// # Panics
    /// If the job reaches outside what it was given: then the plan is wrong, and this must not become a wild write.
    pub(crate) fn run(mut self) {
        let Some(rows) = self.starts.len().checked_sub(1) else {
            return;
        };
        assert!(self.blocks.start < self.blocks.end && self.blocks.end <= self.packed.blocks());
        assert!(self.starts.last() + self.packed.reach() <= self.x.len());
        let row_bytes = self.outputs() * self.packed.output_bytes();
        assert!(rows * self.y_stride + row_bytes <= self.y.len());
        if let Some(sums) = &self.sums {
            assert!(rows * sums.stride + self.outputs() <= sums.cells.len());
        }
        match self.packed.isa() {
            Isa::Scalar => scalar::run(&mut self),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::run(&mut self),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => avx512vnni::run(&mut self),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run(&mut self),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512Vnni => scalar::run(&mut self),
            #[cfg(not(target_arch = "aarch64"))]
            Isa::Neon => scalar::run(&mut self),
        }
    }
}

#[cfg(test)]
mod tests;
