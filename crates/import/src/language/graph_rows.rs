//! Matrices that are read row by row, so that a large model is never wholly in f32.
//!
//! The trait says what a reader may rely on; `DenseRows` is the plain one, for small matrices and tests. Deliberately absent: products,
//! shapes of more than two axes, and errors (what a matrix reads from is checked when it is made).

use std::fmt;

/// A matrix of which any row can be made in f32.
///
/// Whoever implements it guarantees that the same row gives the same bits each time. Values may be NaN or infinite: formats do not look at
/// every weight, so whoever turns them into something else checks them.
pub trait Rows: Send + Sync {
    /// Rows: outputs of a product.
    fn rows(&self) -> usize;
    /// Columns: inputs of a product.
    fn columns(&self) -> usize;
    /// Writes row `row`, below [`rows`](Self::rows), to `out`, of [`columns`](Self::columns) elements. Any other row or length is a
    /// mistake of the caller's, and fills `out` with NaN, so that it cannot pass for weights.
    fn read(&self, row: usize, out: &mut [f32]);
}

impl fmt::Debug for dyn Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({}×{})", self.rows(), self.columns())
    }
}

/// A matrix held in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseRows {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl DenseRows {
    /// Takes row-major `values`; `None` unless there are `rows · columns` of them.
    #[must_use]
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Option<Self> {
        (rows.checked_mul(columns)? == values.len()).then_some(Self {
            rows,
            columns,
            values,
        })
    }
}

impl Rows for DenseRows {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, row: usize, out: &mut [f32]) {
        let found = row
            .checked_mul(self.columns)
            .filter(|_| row < self.rows)
            .and_then(|first| self.values.get(first..first.checked_add(self.columns)?));
        match found {
            Some(values) if values.len() == out.len() => out.copy_from_slice(values),
            _ => out.fill(f32::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dense_matrix_gives_its_rows_and_nothing_else() {
        let matrix = DenseRows::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let mut out = [0.0; 3];
        matrix.read(1, &mut out);
        assert_eq!(out, [4.0, 5.0, 6.0]);
        matrix.read(2, &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
        let mut short = [0.0; 2];
        matrix.read(0, &mut short);
        assert!(short.iter().all(|x| x.is_nan()));
        assert!(DenseRows::new(2, 3, vec![0.0; 5]).is_none());
        assert!(DenseRows::new(usize::MAX, 2, vec![0.0; 5]).is_none());
    }
}
