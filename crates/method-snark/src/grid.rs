//! A random point over values that stand in rows of positions: which weight the point gives to each row and to each position.
//!
//! Value `(row, position)` has index `row·2^p + position`, so the point's last p coordinates are the positions' and the others the rows'. Lists that are no rows of positions
//! (tables, counts) stand behind them, filling rows one after another. It deliberately holds no value of a run.

use crate::extension::K;
use crate::mle::eq_table;

/// `eq(point, ·)` in two factors.
#[derive(Debug)]
pub struct Grid {
    rows: Vec<K>,
    columns: Vec<K>,
    positions: usize,
}

impl Grid {
    /// The weights of `point`, whose last `log_positions` coordinates are the positions', of which the first `positions` are real.
    #[must_use]
    pub fn new(point: &[K], log_positions: u32, positions: usize) -> Self {
        let log = usize::try_from(log_positions).unwrap_or(usize::MAX);
        let (high, low) = point
            .split_at_checked(point.len().saturating_sub(log))
            .unwrap_or((point, &[]));
        Self {
            rows: eq_table(high, K::ONE),
            columns: eq_table(low, K::ONE),
            positions,
        }
    }

    /// The weights of rows.
    #[must_use]
    pub fn rows(&self) -> &[K] {
        &self.rows
    }

    /// The weights of real positions.
    #[must_use]
    pub fn positions(&self) -> &[K] {
        self.columns.get(..self.positions).unwrap_or_default()
    }

    /// The sum of the weights of real positions.
    #[must_use]
    pub fn real(&self) -> K {
        self.positions().iter().copied().sum()
    }

    /// The weights of a list that begins with row `first`.
    pub fn list(&self, first: usize) -> impl Iterator<Item = K> {
        let rows = self.rows.get(first..).unwrap_or_default();
        rows.iter()
            .flat_map(|row| self.columns.iter().map(|column| *row * *column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_the_point_s_weights() {
        let point: Vec<K> = (3_u32..8).map(K::from).collect();
        let all = eq_table(&point, K::ONE);
        for log in 0..=5_u32 {
            let width = 1_usize << log;
            let real = width.div_ceil(2);
            let grid = Grid::new(&point, log, real);
            for (row, weight) in grid.rows().iter().enumerate() {
                for (position, own) in grid.positions().iter().enumerate() {
                    assert_eq!(*weight * *own, all[row * width + position]);
                }
            }
            assert_eq!(grid.positions().len(), real);
            for first in 0..grid.rows().len() {
                let list: Vec<K> = grid.list(first).collect();
                assert_eq!(list, all[first * width..]);
            }
            let sum: K = grid.positions().iter().copied().sum();
            assert_eq!(grid.real(), sum);
        }
    }
}
