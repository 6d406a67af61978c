//! A random point over values that stand in rows of positions: which weight the point gives to each row and to each position.
//!
//! Value `(row, position)` has index `row·2^q + position`, so the point's last q coordinates are the positions' and the others the rows'. Lists that are no rows of positions
//! (tables, counts) stand behind them, filling rows one after another. A row's weight is the product of two from short tables, worked out when it is asked for: there may be millions of rows. It deliberately holds no value of a run.

use crate::extension::K;
use crate::mle::eq_table;

/// `eq(point, ·)` in three factors.
#[derive(Debug)]
pub struct Grid {
    high: Vec<K>,
    low: Vec<K>,
    log_low: u32,
    columns: Vec<K>,
    positions: usize,
}

/// Rows whose weights have a factor in common.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The first row's number.
    pub first: usize,
    /// The factor.
    pub high: K,
    /// The other factor of each row.
    pub low: &'a [K],
}

impl Grid {
    /// The weights of `point`, whose last `log_positions` coordinates are the positions', of which the first `positions` are real.
    #[must_use]
    pub fn new(point: &[K], log_positions: u32, positions: usize) -> Self {
        let log = usize::try_from(log_positions).unwrap_or(usize::MAX);
        let (rows, columns) = point
            .split_at_checked(point.len().saturating_sub(log))
            .unwrap_or((point, &[]));
        let (high, low) = rows
            .split_at_checked(rows.len() >> 1)
            .unwrap_or((rows, &[]));
        Self {
            high: eq_table(high, K::ONE),
            low: eq_table(low, K::ONE),
            log_low: u32::try_from(low.len()).unwrap_or(0),
            columns: eq_table(columns, K::ONE),
            positions,
        }
    }

    /// The weights of rows, from row `first` on.
    pub fn rows(&self, first: usize) -> impl Iterator<Item = K> {
        let start = first.checked_shr(self.log_low).unwrap_or(0);
        let skipped = start.checked_shl(self.log_low).unwrap_or(0);
        let inside = first.saturating_sub(skipped);
        let high = self.high.get(start..).unwrap_or_default();
        let (one, others) = high.split_at_checked(1).unwrap_or((high, &[]));
        let rest = self.low.get(inside..).unwrap_or_default();
        let of = |low: &'_ [K], high: K| low.iter().map(move |low| high * *low).collect::<Vec<K>>();
        let begun = one.iter().flat_map(move |high| of(rest, *high));
        let low = &self.low;
        begun.chain(
            others
                .iter()
                .flat_map(move |high| low.iter().map(move |low| *high * *low)),
        )
    }

    /// The same grid, every row's weight times a factor.
    #[must_use]
    pub fn scaled(&self, factor: K) -> Self {
        Self {
            high: self.high.clone(),
            low: self.low.iter().map(|low| *low * factor).collect(),
            log_low: self.log_low,
            columns: self.columns.clone(),
            positions: self.positions,
        }
    }

    /// The first `count` rows in blocks.
    pub fn blocks(&self, count: usize) -> impl Iterator<Item = Block<'_>> {
        let firsts = (0..count).step_by(self.low.len().max(1));
        firsts.zip(&self.high).map(move |(first, high)| {
            let len = count.saturating_sub(first).min(self.low.len());
            Block {
                first,
                high: *high,
                low: self.low.get(..len).unwrap_or_default(),
            }
        })
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
        self.rows(first)
            .flat_map(|row| self.columns.iter().map(move |column| row * *column))
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
            for (row, weight) in grid.rows(0).enumerate() {
                for (position, own) in grid.positions().iter().enumerate() {
                    assert_eq!(weight * *own, all[row * width + position]);
                }
            }
            assert_eq!(grid.positions().len(), real);
            let rows = 32 >> log;
            for count in 0..=rows {
                let scaled = grid.scaled(K::TWO);
                let blocks = scaled.blocks(count).flat_map(|block| {
                    assert!(block.first < count);
                    block.low.iter().map(move |low| block.high * *low)
                });
                let all: Vec<K> = grid.rows(0).take(count).map(K::double).collect();
                assert!(blocks.eq(all));
            }
            for first in 0..=rows {
                assert_eq!(grid.rows(first).count(), rows - first);
                let list: Vec<K> = grid.list(first).collect();
                assert_eq!(list, all[first * width..]);
            }
            let sum: K = grid.positions().iter().copied().sum();
            assert_eq!(grid.real(), sum);
        }
    }
}
