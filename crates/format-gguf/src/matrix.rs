//! A matrix that stays in the file: rows become floats when they are read, and may be read in another order than they lie.

use std::ops::Range;

use credence_import::language::Rows;

use crate::file::{Bytes, Gguf, TensorInfo};
use crate::kind::TensorKind;
use crate::quants::dequantise;

/// In which order rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// As they lie.
    Straight,
    /// Rows of each head of this even width lie in pairs, element i beside element i + width/2; they are read in halves.
    Pairs(usize),
}

impl RowOrder {
    /// Where the row that is read as `row` lies.
    pub(crate) const fn place(self, row: usize) -> usize {
        match self {
            Self::Straight => row,
            Self::Pairs(width) => {
                let (head, at, half) = (row / width, row % width, width / 2);
                let place = if at < half {
                    2 * at
                } else {
                    2 * (at - half) + 1
                };
                head * width + place
            }
        }
    }
}

/// Some rows of a tensor of one or two dimensions.
#[derive(Clone)]
pub struct Matrix {
    bytes: Bytes,
    kind: TensorKind,
    columns: usize,
    rows: usize,
    row_bytes: usize,
    at: Range<usize>,
    order: RowOrder,
}

impl Matrix {
    /// Rows `rows` of a tensor, which has them.
    pub(crate) fn new(
        file: &Gguf,
        tensor: &TensorInfo,
        rows: Range<usize>,
        order: RowOrder,
    ) -> Self {
        let columns = tensor.dims.first().copied().unwrap_or_default();
        let row_bytes = columns / tensor.kind.block() * tensor.kind.block_bytes();
        let place = |row: usize| {
            tensor
                .at
                .start
                .saturating_add(row.saturating_mul(row_bytes))
        };
        Self {
            bytes: file.owner().clone(),
            kind: tensor.kind,
            columns,
            rows: rows.len(),
            row_bytes,
            at: place(rows.start)..place(rows.end).min(tensor.at.end),
            order,
        }
    }

    fn row(&self, row: usize) -> Option<&[u8]> {
        let place = self.order.place(row).checked_mul(self.row_bytes)?;
        let whole = (*self.bytes).as_ref().get(self.at.clone())?;
        whole.get(place..place.checked_add(self.row_bytes)?)
    }
}

impl Rows for Matrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, row: usize, out: &mut [f32]) {
        let wanted = row < self.rows && out.len() == self.columns;
        match self.row(row).filter(|_| wanted) {
            Some(bytes) => dequantise(self.kind, bytes, out),
            None => out.fill(f32::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_halves() {
        let order = RowOrder::Pairs(6);
        let places: Vec<usize> = (0..12).map(|row| order.place(row)).collect();
        assert_eq!(places, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert_eq!(RowOrder::Straight.place(7), 7);
    }
}
