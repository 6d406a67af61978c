//! Bounds of the ops that larger tensor models add (`docs/spec/arithmetic.md`, section 8).

use credence_exact::{Divide, Gather, MatMul};

use super::{Bounder, BoundsError, selects, times};
use crate::Interval;

impl Bounder<'_> {
    /// The extremes of the rows that x reaches.
    pub(super) fn gather(&self, op: &Gather) -> Result<Interval, BoundsError> {
        let Some(table) = self.param(op.table) else {
            return Err(self.parameter("an absent table", 0));
        };
        let rows = table.shape().dims().first().copied().unwrap_or(0);
        let x = self.of(op.x);
        selects(&self.node.name, "its table", x, rows)?;
        let width = table.shape().last();
        let first = usize::try_from(x.min).unwrap_or(0).saturating_mul(width);
        let end = usize::try_from(x.max).unwrap_or(0).saturating_add(1);
        let end = end.saturating_mul(width);
        let reached = table.values().take(end).skip(first);
        let (min, max) = reached.fold((i64::MAX, i64::MIN), |(min, max), entry| {
            (min.min(entry), max.max(entry))
        });
        Ok(Interval { min, max })
    }

    pub(super) fn mat_mul(&self, op: &MatMul) -> Result<Interval, BoundsError> {
        let (a, b) = (self.of(op.a), self.of(op.b));
        let (low, high) = corners(a, b);
        let inner = self.length(op.a);
        self.accumulator(low.saturating_mul(inner), high.saturating_mul(inner))
    }

    /// A quotient rounded half up follows both operands monotonically, so its extremes are at their ends.
    pub(super) fn divide(&self, op: &Divide) -> Result<Interval, BoundsError> {
        let (a, b) = (self.of(op.a), self.of(op.b));
        if b.min < 1 {
            return Err(self.parameter("a divisor", b.min));
        }
        let (low, high) = times(a, op.factor.get().into());
        let half = i128::from(b.max / 2);
        self.below(low.abs().max(high.abs()).saturating_add(half))?;
        let quotient = |a: i128, b: i64| {
            let rounded = (a + i128::from(b / 2)).div_euclid(i128::from(b));
            i64::try_from(rounded).unwrap_or(i64::MAX)
        };
        let ends = [low, high].map(|a| [b.min, b.max].map(|b| quotient(a, b)));
        let all = ends.iter().flatten().copied();
        let clamped = |n: i64| n.clamp(op.min.into(), op.max.into());
        Ok(Interval {
            min: clamped(all.clone().min().unwrap_or(i64::MIN)),
            max: clamped(all.max().unwrap_or(i64::MAX)),
        })
    }
}

/// The least and the largest product of two intervals.
fn corners(a: Interval, b: Interval) -> (i128, i128) {
    let ends = [times(a, b.min.into()), times(a, b.max.into())];
    (ends[0].0.min(ends[1].0), ends[0].1.max(ends[1].1))
}
