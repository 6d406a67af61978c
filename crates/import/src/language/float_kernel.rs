//! Sheets of activations and the one product that everything is made of.
//!
//! A sheet holds one row per feature and one column per token, so that the lanes of every loop are tokens: norms, rotations and activations need no
//! shuffles, and the product of four rows with eight tokens keeps its sums in registers. Columns are padded to a multiple of eight; what stands in the
//! padding is finite and means nothing. Deliberately absent: instruction sets by name (plain loops, which compilers vectorise) and f64.

use rayon::prelude::*;

use super::graph_rows::Rows;

/// Tokens side by side.
pub(super) const LANES: usize = 8;
/// Rows side by side.
pub(super) const GROUP: usize = 4;
/// Rows that one task makes in f32: they stay in the second cache while all tokens pass.
const ROWS_PER_TASK: usize = 16;
/// Terms summed in registers before they join the rest, which keeps rounding errors small.
const RUN: usize = 256;

/// One feature of eight tokens.
pub(super) type Lanes = [f32; LANES];
/// One feature of four rows.
pub(super) type Quad = [f32; GROUP];

/// Features by tokens.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    features: usize,
    tokens: usize,
    stride: usize,
    values: Vec<f32>,
}

impl Sheet {
    /// A sheet of zeros.
    pub(super) fn new(features: usize, tokens: usize) -> Self {
        let stride = tokens.next_multiple_of(LANES);
        Self {
            features,
            tokens,
            stride,
            values: vec![0.0; features * stride],
        }
    }

    /// Columns that mean something.
    pub(super) const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Columns with padding.
    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    pub(super) const fn features(&self) -> usize {
        self.features
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// One feature of all tokens, with padding.
    pub(super) fn row(&self, feature: usize) -> &[f32] {
        &self.values[feature * self.stride..][..self.stride]
    }

    pub(super) fn row_mut(&mut self, feature: usize) -> &mut [f32] {
        &mut self.values[feature * self.stride..][..self.stride]
    }

    /// All features of one token.
    pub(super) fn column(&self, token: usize) -> impl Iterator<Item = f32> + '_ {
        self.values.iter().skip(token).step_by(self.stride).copied()
    }

    /// Writes all features of one token.
    pub(super) fn set_column(&mut self, token: usize, values: &[f32]) {
        let cells = self.values.iter_mut().skip(token).step_by(self.stride);
        for (cell, &value) in cells.zip(values) {
            *cell = value;
        }
    }

    /// Adds another sheet of the same shape.
    pub(super) fn add(&mut self, other: &Self) {
        for (cell, value) in self.values.iter_mut().zip(&other.values) {
            *cell += value;
        }
    }

    /// Eight tokens' features side by side, feature by feature.
    pub(super) fn panel(&self, tile: usize, features: std::ops::Range<usize>) -> Vec<Lanes> {
        features.map(|feature| self.lanes(feature, tile)).collect()
    }

    /// One feature of one tile of eight tokens.
    pub(super) fn lanes(&self, feature: usize, tile: usize) -> Lanes {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&self.row(feature)[tile * LANES..][..LANES]);
        lanes
    }
}

/// Four rows times eight tokens. Both sides are as long as the shorter one.
pub(super) fn dot(panel: &[Lanes], rows: &[Quad]) -> [Lanes; GROUP] {
    let mut total = [[0.0; LANES]; GROUP];
    for (xs, ws) in panel.chunks(RUN).zip(rows.chunks(RUN)) {
        let mut sums = [[0.0; LANES]; GROUP];
        for (x, w) in xs.iter().zip(ws) {
            for (sum, &weight) in sums.iter_mut().zip(w) {
                for (lane, &value) in sum.iter_mut().zip(x) {
                    *lane += weight * value;
                }
            }
        }
        for (into, sum) in total.iter_mut().flatten().zip(sums.iter().flatten()) {
            *into += sum;
        }
    }
    total
}

/// Rows of a matrix, four side by side; the last group is filled up with zeros.
fn quads(matrix: &dyn Rows, first: usize, count: usize) -> Vec<Vec<Quad>> {
    let columns = matrix.columns();
    let mut row = vec![0.0; columns];
    let mut groups = vec![vec![[0.0; GROUP]; columns]; count.div_ceil(GROUP)];
    for offset in 0..count {
        matrix.read(first + offset, &mut row);
        let group = &mut groups[offset / GROUP];
        for (quad, &value) in group.iter_mut().zip(&row) {
            quad[offset % GROUP] = value;
        }
    }
    groups
}

/// `W·x + b` for all tokens.
pub(super) fn product(matrix: &dyn Rows, bias: Option<&[f32]>, x: &Sheet) -> Sheet {
    let (rows, stride) = (matrix.rows(), x.stride);
    let panels: Vec<Vec<Lanes>> = (0..stride / LANES)
        .into_par_iter()
        .map(|tile| x.panel(tile, 0..x.features))
        .collect();
    let mut out = Sheet::new(rows, x.tokens);
    let tasks = out.values.par_chunks_mut(ROWS_PER_TASK * stride.max(1));
    tasks.enumerate().for_each(|(task, chunk)| {
        let first = task * ROWS_PER_TASK;
        let count = chunk.len() / stride;
        let groups = quads(matrix, first, count);
        for (tile, panel) in panels.iter().enumerate() {
            for (group, quads) in groups.iter().enumerate() {
                let sums = dot(panel, quads);
                for (lane, sum) in sums.iter().enumerate().take(count - group * GROUP) {
                    let row = group * GROUP + lane;
                    let add = bias.map_or(0.0, |bias| bias[first + row]);
                    let cells = &mut chunk[row * stride + tile * LANES..][..LANES];
                    for (cell, value) in cells.iter_mut().zip(sum) {
                        *cell = value + add;
                    }
                }
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::DenseRows;

    #[test]
    fn the_product_is_that_of_plain_loops_at_every_odd_size() {
        for (rows, columns, tokens) in [(1, 1, 1), (3, 5, 7), (16, 8, 8), (37, 600, 19)] {
            let weight =
                |r: usize, c: usize| f32::from(u8::try_from((r * 7 + c * 3) % 11).unwrap()) - 5.0;
            let value =
                |c: usize, t: usize| f32::from(u8::try_from((c + t * 5) % 13).unwrap()) - 6.0;
            let values = (0..rows * columns).map(|at| weight(at / columns, at % columns));
            let matrix = DenseRows::new(rows, columns, values.collect()).unwrap();
            let bias: Vec<f32> = (0..rows).map(|r| weight(r, 9)).collect();
            let mut x = Sheet::new(columns, tokens);
            for t in 0..tokens {
                let column: Vec<f32> = (0..columns).map(|c| value(c, t)).collect();
                x.set_column(t, &column);
            }
            let out = product(&matrix, Some(&bias), &x);
            for t in 0..tokens {
                for (r, got) in out.column(t).enumerate() {
                    let expected: f32 = (0..columns).map(|c| weight(r, c) * value(c, t)).sum();
                    assert_eq!(
                        got,
                        expected + bias[r],
                        "{rows}×{columns}, row {r}, token {t}"
                    );
                }
            }
        }
    }
}
