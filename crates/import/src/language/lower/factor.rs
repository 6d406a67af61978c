//! What the rounding errors of some columns ask of the others: `H = M·D·Mᵀ`, M unit upper triangular.
//!
//! `δᵀHδ = Σ_t D_t·(δ_t + Σ_{s<t} M_st·δ_s)²`: once the columns before t are rounded, the sum over them is what the error of column t should make good.
//! All in f64 with sums in a fixed order; threads share rows. H is damped, so that it can be decomposed whatever the text: a column that was never read asks
//! for nothing. Deliberately absent: an order of columns other than their own.

use rayon::prelude::*;

use super::gram::gram;
use super::inputs::Inputs;
use crate::number::{from_len, narrow};

/// Columns that are rounded with one another's errors; wider matrices are cut into runs of one size. It bounds what an import costs, and how much a
/// short text is believed.
const SPAN_MAX: usize = 1024;
/// What is added to the diagonal of H, as a share of its mean: what a text of this length cannot tell.
const DAMPING: f64 = 0.05;
/// Pivots that meet the rows before them at once.
const PIVOTS: usize = 8;

/// The coefficients of one product, by runs of columns.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    pub(super) spans: Vec<Span>,
}

/// Columns that know of one another.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) first: usize,
    /// Row t has t cells: by how much an error of each column before asks for one in column t.
    pub(super) rows: Vec<Vec<f32>>,
}

impl Factor {
    /// Of a product with `width` columns. Where nothing was read, every weight goes to the nearest.
    pub(super) fn new(inputs: &Inputs, width: usize) -> Self {
        let size = width.div_ceil(width.div_ceil(SPAN_MAX).max(1)).max(1);
        let spans = (0..width).step_by(size).map(|first| {
            let size = size.min(width - first);
            Span::new(first, gram(inputs, first, size))
        });
        Self {
            spans: spans.collect(),
        }
    }
}

impl Span {
    /// From the lower half of H. Without a single cell that is not 0, no column asks anything of another.
    fn new(first: usize, mut h: Vec<Vec<f64>>) -> Self {
        let diagonal = h.iter().filter_map(|row| row.last());
        let mean = diagonal.sum::<f64>() / from_len(h.len().max(1));
        if mean > 0.0 {
            for row in &mut h {
                if let Some(cell) = row.last_mut() {
                    *cell += DAMPING * mean;
                }
            }
            decompose(&mut h);
        }
        let rows = h.iter().map(|row| {
            let cells = row.iter().take(row.len() - 1);
            cells.map(|&cell| narrow(cell)).collect()
        });
        Self {
            first,
            rows: rows.collect(),
        }
    }
}

/// Row t of the lower half of H becomes the cells of M above its diagonal in column t, and then D's.
fn decompose(h: &mut [Vec<f64>]) {
    let mut end = h.len();
    while end > 0 {
        let start = end.saturating_sub(PIVOTS);
        let (before, panel) = h[..end].split_at_mut(start);
        for t in (0..panel.len()).rev() {
            let (above, pivot) = panel.split_at_mut(t);
            for (s, row) in above.iter_mut().enumerate() {
                subtract(row, &pivot[0], pivot[0][start + s] / pivot[0][start + t]);
            }
        }
        let shares: Vec<Vec<f64>> = panel
            .iter_mut()
            .enumerate()
            .map(|(t, row)| {
                let d = row[start + t];
                let cells = row.iter().take(start + t);
                cells.map(|cell| cell / d).collect()
            })
            .collect();
        let rows = before.par_iter_mut().enumerate();
        rows.for_each(|(s, row)| take(row, s, panel, &shares));
        for (row, shares) in panel.iter_mut().zip(shares) {
            for (cell, share) in row.iter_mut().zip(shares) {
                *cell = share;
            }
        }
        end = start;
    }
}

/// What a panel of pivots takes from row s, one sum for each cell. A panel that is not whole is the first, and has no rows before it.
fn take(row: &mut [f64], s: usize, panel: &[Vec<f64>], shares: &[Vec<f64>]) {
    let len = row.len();
    let Ok(pivots) = <&[Vec<f64>; PIVOTS]>::try_from(panel) else {
        return;
    };
    let pivots: [&[f64]; PIVOTS] = pivots.each_ref().map(|pivot| &pivot[..len]);
    let by: [f64; PIVOTS] = std::array::from_fn(|t| shares[t][s]);
    for (k, cell) in row.iter_mut().enumerate() {
        let mut sum = 0.0;
        for (pivot, by) in pivots.iter().zip(by) {
            sum += by * pivot[k];
        }
        *cell -= sum;
    }
}

fn subtract(row: &mut [f64], pivot: &[f64], by: f64) {
    for (cell, other) in row.iter_mut().zip(pivot) {
        *cell -= by * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::lower::rotation::count;

    /// Cells in −1 … 1 that look random.
    fn noise(seed: usize) -> f64 {
        count((seed * 7919 + seed * seed * 31) % 1009) / 504.0 - 1.0
    }

    /// A positive definite matrix: `A·Aᵀ + I/4`.
    fn positive(size: usize) -> Vec<Vec<f64>> {
        let a = |r: usize, k: usize| noise(r * size + k + 1);
        let cell = |r: usize, c: usize| {
            let terms = (0..size / 2 + 1).map(|k| a(r, k) * a(c, k));
            terms.sum::<f64>() + if r == c { 0.25 } else { 0.0 }
        };
        let row = |r: usize| (0..=r).map(|c| cell(r, c)).collect();
        (0..size).map(row).collect()
    }

    #[test]
    fn the_parts_multiply_to_the_whole() {
        for size in [1, 2, 7, 8, 9, 16, 23, 40] {
            let h = positive(size);
            let mut parts = h.clone();
            decompose(&mut parts);
            // M's cell (s, t), s ≤ t.
            let m = |s: usize, t: usize| if s == t { 1.0 } else { parts[t][s] };
            for (r, row) in h.iter().enumerate() {
                for (c, expected) in row.iter().enumerate() {
                    let terms = (r..size).map(|t| m(r, t) * parts[t][t] * m(c, t));
                    let got = terms.sum::<f64>();
                    assert!(
                        (got - expected).abs() < 1e-9,
                        "{size}: {r}, {c}: {got} for {expected}"
                    );
                }
                assert!(parts[r][r] > 0.0);
            }
        }
    }

    #[test]
    fn wide_products_are_cut_into_runs_of_one_size() {
        let sizes = |width: usize| {
            let factor = Factor::new(&Inputs::default(), width);
            let sizes = factor
                .spans
                .iter()
                .map(|span| (span.first, span.rows.len()));
            sizes.collect::<Vec<_>>()
        };
        assert_eq!(sizes(1), [(0, 1)]);
        assert_eq!(sizes(SPAN_MAX), [(0, SPAN_MAX)]);
        assert_eq!(sizes(SPAN_MAX + 1), [(0, 513), (513, 512)]);
        assert_eq!(sizes(1536), [(0, 768), (768, 768)]);
    }

    #[test]
    fn what_was_not_read_asks_for_nothing() {
        let silent = [
            Inputs::default(),
            Inputs {
                width: 9,
                cells: vec![0; 27],
            },
        ];
        for inputs in silent {
            let factor = Factor::new(&inputs, 9);
            assert!(
                factor
                    .spans
                    .iter()
                    .flat_map(|span| &span.rows)
                    .flatten()
                    .all(|&c| c == 0.0)
            );
        }
    }

    #[test]
    fn one_token_and_dead_columns_give_finite_coefficients() {
        let mut cells = vec![0; 30];
        cells[3] = 127;
        cells[4] = -127;
        for cells in [cells, vec![127; 30], vec![-127; 30 * 700]] {
            let factor = Factor::new(&Inputs { width: 30, cells }, 30);
            let mut all = factor.spans.iter().flat_map(|span| &span.rows).flatten();
            assert!(all.all(|c| c.abs() < 32.0));
        }
    }
}
