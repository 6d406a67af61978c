//! Columns: numbers that the verifier knows, one for each position, by which slots may be weighted.
//!
//! ```text
//! sight, table, sampled positions ─▶ Column { values }          weighted slot = Σ coefficient · column[position] · slot
//! ```
//!
//! A weighted slot costs nothing: its weight goes over to committed slots, at positions weighted by the column (`docs/spec/snark.md`, 3.6). It deliberately holds no value of a run.

use credence_exact::{ParamId, Sight};

use super::builder::{Builder, Built};
use super::{Hint, Map, ONE, Span, Step};

/// A number for each position of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// In order of positions.
    pub values: Vec<i64>,
}

/// A slot, weighted by a column and an integer. The slot is committed, or holds 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnTerm {
    /// The slot.
    pub slot: u32,
    /// Which of `Circuit::columns`.
    pub column: u32,
    /// The factor.
    pub coefficient: i64,
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Builder<'_> {
    fn column(&mut self, values: Vec<i64>) -> Built<u32> {
        let column = narrow(self.circuit.columns.len());
        self.count_apart(values.len(), 8)?;
        self.circuit.columns.push(Column { values });
        Ok(column)
    }

    /// Counts memory of lists that are no rows.
    pub(super) fn count_apart(&mut self, len: usize, bytes: u64) -> Built<()> {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let own = &mut self.circuit.apart_bytes;
        *own = own.saturating_add(len.saturating_mul(bytes));
        self.check_bytes()
    }

    /// The first of as many columns as there are positions: column `first + t` is 1 where a position sees t, else 0.
    pub(super) fn sight(&mut self, sight: Sight) -> Built<u32> {
        let key = (sight.window.unwrap_or(u32::MAX), sight.ahead);
        if let Some(&first) = self.sights.get(&key) {
            return Ok(first);
        }
        let first = narrow(self.circuit.columns.len());
        if self.is_counting() {
            return Ok(first);
        }
        let positions = self.circuit.positions;
        for t in 0..positions {
            let sees = |position| sight.range(position, positions).contains(&t);
            let values = (0..positions).map(|position| sees(position).into());
            self.column(values.collect())?;
        }
        self.sights.insert(key, first);
        Ok(first)
    }

    /// The first of as many columns as a table of rows by position has.
    pub(super) fn table_columns(&mut self, param: ParamId, width: usize) -> Built<u32> {
        let key = param.0;
        if let Some(&first) = self.rotations.get(&key) {
            return Ok(first);
        }
        let first = narrow(self.circuit.columns.len());
        if self.is_counting() {
            return Ok(first);
        }
        let entries = self.entries(param)?;
        for index in 0..width {
            let rows = entries.chunks_exact(width.max(1));
            let own = rows.filter_map(|row| row.get(index).copied());
            let own: Vec<i64> = own.take(self.circuit.positions).collect();
            if own.len() != self.circuit.positions {
                return self.absent("a row of its table for every position");
            }
            self.column(own)?;
        }
        self.rotations.insert(key, first);
        Ok(first)
    }

    /// The column of sampled positions, the last ones.
    pub(super) fn sampled_column(&mut self) -> Built<u32> {
        let positions = self.circuit.positions;
        let first = positions.saturating_sub(self.circuit.sampled);
        let values = (0..positions).map(|position| (position >= first).into());
        self.column(values.collect())
    }

    /// New slots, each a weighted sum. Every slot in the sums is made an anchored one.
    pub(super) fn weighted(&mut self, rows: Vec<Vec<ColumnTerm>>) -> Built<Span> {
        let y = self.slots(narrow(rows.len()))?;
        if self.is_counting() {
            return Ok(y);
        }
        let first = self.circuit.weighted.len();
        for (row, slot) in rows.into_iter().zip(y.start..) {
            let mut terms = Vec::with_capacity(row.len());
            for term in row {
                let slot = match term.slot {
                    ONE => ONE,
                    other => self.anchored(other)?,
                };
                terms.push(ColumnTerm { slot, ..term });
            }
            let of = self.circuit.weighted.len();
            self.circuit.weighted.push(terms);
            self.hint(slot, Hint::Weighted { of });
        }
        let rows = first..self.circuit.weighted.len();
        let (tied, map) = (false, Map::Weighted { rows });
        self.circuit.steps.push(Step { y, tied, map });
        Ok(y)
    }
}
