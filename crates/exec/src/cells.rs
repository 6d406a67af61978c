//! Cells in memory: little-endian integers of 8, 16 or 32 bits, seen as typed slices of a byte buffer.
//!
//! Every value of a program fits 32 bits, so steps that are not matrix products work on `i32` and go through [`Cells::widen`] and
//! [`CellsMut::narrow`] a chunk at a time. Nothing here checks that a value fits its type: a checked model has shown that.

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use credence_exact::Dtype;

#[cfg(target_endian = "big")]
compile_error!(
    "cells stand in the trace in little-endian order, which this engine takes for the machine's own"
);

/// Cells that one pass of a step holds in registers and the first cache.
pub(crate) const CHUNK: usize = 128;

/// An integer type that cells are stored in.
pub(crate) trait Cell: Pod + Ord {
    /// The value.
    fn wide(self) -> i32;
    /// The value's low bits: the value itself wherever it fits.
    fn low(value: i32) -> Self;
}

impl Cell for i8 {
    #[inline(always)]
    fn wide(self) -> i32 {
        self.into()
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "keeps the low bits, as documented"
    )]
    fn low(value: i32) -> Self {
        value as Self
    }
}

impl Cell for i16 {
    #[inline(always)]
    fn wide(self) -> i32 {
        self.into()
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "keeps the low bits, as documented"
    )]
    fn low(value: i32) -> Self {
        value as Self
    }
}

impl Cell for i32 {
    #[inline(always)]
    fn wide(self) -> i32 {
        self
    }

    #[inline(always)]
    fn low(value: i32) -> Self {
        value
    }
}

/// The low 32 bits of an integer: the value itself wherever it fits, and the sum modulo 2³² where it is an accumulator.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "keeps the low bits, as documented"
)]
pub(crate) const fn low32(value: i64) -> i32 {
    value as i32
}

/// An index of the wire form as one of memory.
#[inline(always)]
pub(crate) fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A row number that a program's bounds have shown to be at least 0.
#[inline(always)]
pub(crate) fn row(value: i32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Typed cells.
#[derive(Clone, Copy)]
pub(crate) enum Cells<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
}

/// Typed cells to be written.
pub(crate) enum CellsMut<'a> {
    I8(&'a mut [i8]),
    I16(&'a mut [i16]),
    I32(&'a mut [i32]),
}

/// Calls `$body` with `$cells` bound to the typed slice.
macro_rules! typed {
    ($kind:ident, $value:expr, $cells:ident => $body:expr) => {
        match $value {
            $crate::cells::$kind::I8($cells) => $body,
            $crate::cells::$kind::I16($cells) => $body,
            $crate::cells::$kind::I32($cells) => $body,
        }
    };
}

impl<'a> Cells<'a> {
    /// Sees bytes as cells. The bytes stand at a multiple of the type's width.
    #[inline(always)]
    pub(crate) fn new(dtype: Dtype, bytes: &'a [u8]) -> Self {
        match dtype {
            Dtype::I8 => Self::I8(cast_slice(bytes)),
            Dtype::I16 => Self::I16(cast_slice(bytes)),
            Dtype::I32 => Self::I32(cast_slice(bytes)),
        }
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        typed!(Cells, self, cells => cells.len())
    }

    /// Cell number `at`.
    #[inline(always)]
    pub(crate) fn get(self, at: usize) -> i32 {
        typed!(Cells, self, cells => cells[at].wide())
    }

    /// The cells from `at` on, as many as `out` takes.
    #[inline(always)]
    pub(crate) fn widen(self, at: usize, out: &mut [i32]) {
        typed!(Cells, self, cells => {
            for (out, cell) in out.iter_mut().zip(&cells[at..]) {
                *out = cell.wide();
            }
        });
    }

    /// All cells as 64-bit integers.
    pub(crate) fn to_vec(self) -> Vec<i64> {
        typed!(Cells, self, cells => cells.iter().map(|cell| i64::from(cell.wide())).collect())
    }
}

impl<'a> CellsMut<'a> {
    /// As [`Cells::new`].
    #[inline(always)]
    pub(crate) fn new(dtype: Dtype, bytes: &'a mut [u8]) -> Self {
        match dtype {
            Dtype::I8 => Self::I8(cast_slice_mut(bytes)),
            Dtype::I16 => Self::I16(cast_slice_mut(bytes)),
            Dtype::I32 => Self::I32(cast_slice_mut(bytes)),
        }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        typed!(CellsMut, self, cells => cells.len())
    }

    /// Writes one cell.
    #[inline(always)]
    pub(crate) fn set(&mut self, at: usize, value: i32) {
        typed!(CellsMut, self, cells => cells[at] = Cell::low(value));
    }

    /// Writes cells from `at` on.
    #[inline(always)]
    pub(crate) fn narrow(&mut self, at: usize, values: &[i32]) {
        typed!(CellsMut, self, cells => {
            for (cell, value) in cells[at..].iter_mut().zip(values) {
                *cell = Cell::low(*value);
            }
        });
    }
}
