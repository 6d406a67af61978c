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
