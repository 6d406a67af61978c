//! Products, sums and roundings as constraints.
//!
//! Sums cost nothing: they are derived. A rounding commits its result and, in limbs, its remainder and what a clamp cut off (`docs/spec/snark.md`, sections 4.1 to 4.4).

use credence_exact::shape::window_cells;
use credence_exact::{Add, Concat, Conv, Linear, NodeId, Reindex, Rescale, Shift, SumPool, Table};
use credence_model::Interval;

use super::builder::{Builder, Built, TableKey, bits_of};
use super::error::CircuitError;
use super::expr::Expr;
use super::limits::{MODULUS, SLOTS_MAX, WINDOW_CELLS_MAX};
use super::{Entries, Hint, Map, ONE, Span, Step};

/// A value to be rounded: what it is a sum of, and where it can lie.
pub(super) struct Sum {
    pub(super) expr: Expr,
    /// Least and largest value, with the half that rounding adds.
    pub(super) ends: (i128, i128),
}

/// How it is rounded.
#[derive(Clone, Copy)]
pub(super) struct Rounding {
    pub(super) shift: Shift,
    pub(super) min: i32,
    pub(super) max: i32,
}

impl Builder<'_> {
    pub(super) fn linear(&mut self, op: &Linear, cells: usize) -> Built<Span> {
        let x = self.of(op.x)?;
        let rows = self.model.program().param_shape(op.weight);
        let rows = rows.and_then(|shape| shape.dims().first().copied());
        let Some(rows) = rows else {
            return self.absent("a weight's rows");
        };
        let len = u32::try_from(cells).unwrap_or(u32::MAX);
        // One run of columns is one dot product with the functional; more are folded at once, which needs a value of their own.
        let tied = self.circuit.apart || cells > rows;
        let y = if tied {
            self.committed(len)?
        } else {
            self.slots(len)?
        };
        let map = Map::Matrix {
            x,
            weight: op.weight,
            bias: op.bias,
        };
        self.circuit.steps.push(Step { y, tied, map });
        Ok(y)
    }

    /// The height, width and channels of a node.
    pub(super) fn image(&self, node: NodeId) -> Built<[usize; 3]> {
        let shape = self.model.program().shape(node);
        match shape.and_then(|shape| shape.image().ok()) {
            Some(dims) => Ok(dims),
            None => self.absent("three axes"),
        }
    }

    pub(super) fn conv(&mut self, op: &Conv, id: NodeId) -> Built<Span> {
        let x = self.of(op.x)?;
        let x_dims = self.image(op.x)?;
        let [rows, columns, channels] = self.image(id)?;
        let cells = rows.saturating_mul(columns).saturating_mul(channels);
        let y = self.committed(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let map = Map::Convolution {
            x,
            x_dims,
            y_dims: [rows, columns],
            op: Box::new(op.clone()),
        };
        self.circuit.steps.push(Step { y, tied: true, map });
        Ok(y)
    }

    pub(super) fn rescale(&mut self, op: &Rescale) -> Built<Span> {
        let x = self.of(op.x)?;
        let interval = self.interval(op.x)?;
        let multipliers = self.entries(op.multiplier)?;
        let y = self.committed(x.len)?;
        let rounding = Rounding {
            shift: op.shift,
            min: op.min,
            max: op.max,
        };
        // Cells of one channel are alike: one of each is counted for all.
        let channels = u32::try_from(multipliers.len()).unwrap_or(u32::MAX).max(1);
        let cells = if self.is_counting() {
            self.count_as(x.len.checked_div(channels).unwrap_or(0).into());
            multipliers.len()
        } else {
            x.range().len()
        };
        let multipliers = multipliers.iter().copied().cycle();
        let cells = slots(x).zip(slots(y)).take(cells);
        for ((x, y), m) in cells.zip(multipliers) {
            let sum = Sum {
                expr: Expr::default().and(x, m),
                ends: times(interval, m),
            };
            self.round(sum, rounding, y)?;
        }
        self.count_as(1);
        Ok(y)
    }

    pub(super) fn add(&mut self, op: &Add) -> Built<Span> {
        let (a, b) = (self.of(op.a)?, self.of(op.b)?);
        let (a_in, b_in) = (self.interval(op.a)?, self.interval(op.b)?);
        let ma = op.a_multiplier.get();
        let mb = op.b_multiplier.get();
        let mb = if op.negate_b { mb.saturating_neg() } else { mb };
        let ends = plus(times(a_in, ma), times(b_in, mb));
        let y = self.committed(a.len)?;
        let rounding = Rounding {
            shift: op.shift,
            min: op.min,
            max: op.max,
        };
        let cells = if self.is_counting() {
            self.count_as(a.len.into());
            1
        } else {
            a.range().len()
        };
        for ((a, b), y) in slots(a).zip(slots(b)).zip(slots(y)).take(cells) {
            let sum = Sum {
                expr: Expr::default().and(a, ma).and(b, mb),
                ends,
            };
            self.round(sum, rounding, y)?;
        }
        self.count_as(1);
        Ok(y)
    }

    /// Holds `y = clamp(rescale(sum, s), min, max)`: `sum + 2^(s−1) = t·2^s + r` with `0 ≤ r < 2^s` and `t = y + above − below`, where `above` and `below` are
    /// not negative, and each is 0 unless y is at that end. All `t` that satisfy the ranges lie so near that one alone is right modulo the field's prime.
    pub(super) fn round(&mut self, sum: Sum, rounding: Rounding, y: u32) -> Built<()> {
        let shift = u32::from(rounding.shift.bits());
        let half = 1_i64.checked_shl(shift.saturating_sub(1)).unwrap_or(0);
        let sum_row = sum.expr.and(ONE, half);
        let of = self.hint_row(&sum_row);
        let (low, high) = plus(sum.ends, (half.into(), half.into()));
        let (low, high) = (floor(low, shift), floor(high, shift));
        let (min, max) = (i64::from(rounding.min), i64::from(rounding.max));
        let mut t = Expr::slot(y);
        let mut reach = (low, high);
        if low >= i128::from(min) && high <= i128::from(max) {
            let first = i64::try_from(low).map_err(|_| self.wide(64))?;
            let bits = bits_of(count(low, high).ok_or_else(|| self.wide(64))?);
            let from = Expr::slot(y).and(ONE, first.saturating_neg());
            self.range(&from, bits, None)?;
            reach.1 = plus_power(low, bits);
        } else {
            let span = count(min.into(), max.into()).ok_or_else(|| self.wide(64))?;
            let from = Expr::slot(y).and(ONE, min.saturating_neg());
            self.range_exact(&from, span)?;
            reach = (min.into(), max.into());
            if high > i128::from(max) {
                let bits = bits_of(count(max.into(), high).ok_or_else(|| self.wide(64))?);
                let above = self.excess(of, shift, max, false, bits)?;
                let left = Expr::constant(max).and(y, -1);
                self.gate(&above, &left, &Expr::default());
                t = t.and_times(&above, 1).ok_or_else(|| self.wide(bits))?;
                reach.1 = plus_power(reach.1, bits);
            }
            if low < i128::from(min) {
                let bits = bits_of(count(low, min.into()).ok_or_else(|| self.wide(64))?);
                let below = self.excess(of, shift, min, true, bits)?;
                let left = Expr::slot(y).and(ONE, min.saturating_neg());
                self.gate(&below, &left, &Expr::default());
                t = t.and_times(&below, -1).ok_or_else(|| self.wide(bits))?;
                reach.0 = minus_power(reach.0, bits);
            }
        }
        self.apart(reach, shift)?;
        let unit = 1_i64.checked_shl(shift).unwrap_or(0).saturating_neg();
        let remainder = sum_row.and_times(&t, unit);
        let remainder = remainder.ok_or_else(|| self.wide(64))?;
        self.range(&remainder, shift, Some(of))
    }

    fn excess(&mut self, of: usize, shift: u32, limit: i64, below: bool, bits: u32) -> Built<Expr> {
        self.fresh(bits, |low, width| Hint::Excess {
            of,
            shift,
            limit,
            below,
            low,
            width,
        })
    }

    /// Checks that no two `t·2^s + r` of the ranges are equal modulo the prime.
    fn apart(&self, reach: (i128, i128), shift: u32) -> Built<()> {
        let ts = reach.1.checked_sub(reach.0).and_then(|n| n.checked_add(1));
        let unit = 1_i128.checked_shl(shift).unwrap_or(i128::MAX);
        let all = ts.and_then(|ts| ts.checked_mul(unit));
        match all {
            Some(all) if all <= MODULUS => Ok(()),
            _ => Err(self.wide(64)),
        }
    }

    pub(super) fn table(&mut self, op: &Table) -> Built<Span> {
        let x = self.of(op.x)?;
        let interval = self.interval(op.x)?;
        let base = i64::from(op.base);
        let end = |value: i64| usize::try_from(value.saturating_sub(base)).ok();
        let (Some(from), Some(to)) = (end(interval.min), end(interval.max)) else {
            return self.absent("a table's entries");
        };
        let (key, table) = self.function(op.table.0, from, to)?;
        let y = self.committed(x.len)?;
        for (x, y) in slots(x).zip(slots(y)) {
            let entry = Expr::slot(x).and(ONE, base.saturating_neg());
            self.look_up(key, table, &[&entry, &Expr::slot(y)])?;
        }
        Ok(y)
    }

    /// The table of a parameter's entries `from ..= to` with their indices.
    pub(super) fn function(
        &mut self,
        param: u32,
        from: usize,
        to: usize,
    ) -> Built<(TableKey, usize)> {
        let key = TableKey::Function { param, from, to };
        // A softmax asks for each of its cells.
        if let Some(table) = self.known(&key) {
            return Ok((key, table));
        }
        let entries = self.entries(credence_exact::ParamId(param))?;
        let Some(reached) = entries.get(from..=to) else {
            return self.absent("a table's entries");
        };
        let first = i64::try_from(from).unwrap_or(i64::MAX);
        let cells = (first..).zip(reached);
        let cells = cells.flat_map(|(index, &value)| [index, value]).collect();
        let table = self.fixed(key, || Entries::Listed { width: 2, cells });
        Ok((key, table))
    }

    /// A node whose cells are sums of earlier slots times integers.
    pub(super) fn sparse(
        &mut self,
        cells: usize,
        rows: impl Iterator<Item = Result<Expr, CircuitError>>,
    ) -> Built<Span> {
        let y = self.slots(u32::try_from(cells).unwrap_or(u32::MAX))?;
        self.derive(y, rows)?;
        Ok(y)
    }

    /// A derived slot that holds a sum, for sums that many constraints have in them.
    pub(super) fn derived(&mut self, sum: &Expr) -> Built<u32> {
        let span = self.slots(1)?;
        self.derive(span, core::iter::once(Ok(sum.clone())))?;
        let of = self.hint_row(sum);
        self.hint(span.start, Hint::Sum { of });
        Ok(span.start)
    }

    /// As [`Self::sparse`], for slots that are there already.
    pub(super) fn derive(
        &mut self,
        y: Span,
        rows: impl Iterator<Item = Result<Expr, CircuitError>>,
    ) -> Built<()> {
        if self.is_counting() {
            return Ok(());
        }
        let first = self.circuit.derived.len();
        for row in rows {
            self.circuit.derived.push(row?.terms(0));
            let got = self.circuit.derived.terms.len();
            if got > SLOTS_MAX {
                return Err(CircuitError::Size {
                    what: "terms of derived values",
                    max: SLOTS_MAX,
                    got,
                });
            }
        }
        let map = Map::Sparse {
            rows: first..self.circuit.derived.len(),
        };
        let tied = false;
        self.circuit.steps.push(Step { y, tied, map });
        Ok(())
    }

    pub(super) fn sum_pool(&mut self, op: &SumPool, id: NodeId) -> Built<Span> {
        let cells = self.image(id)?.into_iter().product();
        let windows = self.windows(op.x, op.window, id)?;
        let sum = |cells: Vec<u32>| {
            Ok(cells
                .into_iter()
                .fold(Expr::default(), |sum, cell| sum.and(cell, 1)))
        };
        self.sparse(cells, windows.into_iter().map(sum))
    }

    /// The operand's slots in the window of each cell of a pool.
    pub(super) fn windows(
        &self,
        x: NodeId,
        window: credence_exact::Window,
        id: NodeId,
    ) -> Built<Vec<Vec<u32>>> {
        let first = self.of(x)?.start;
        let [height, width, channels] = self.image(x)?;
        let dims = self.image(id)?;
        let [rows, columns, _] = dims;
        let inside = self.cells_in_windows(x, window, dims)?;
        let got = usize::try_from(inside).unwrap_or(usize::MAX);
        if got > WINDOW_CELLS_MAX {
            return Err(CircuitError::Size {
                what: "cells of a pool's windows",
                max: WINDOW_CELLS_MAX,
                got,
            });
        }
        let mut all = Vec::new();
        if self.is_counting() {
            return Ok(all);
        }
        for i in 0..rows {
            for j in 0..columns {
                for channel in 0..channels {
                    let cell = |row: usize, column: usize| {
                        let at = row.checked_mul(width)?.checked_add(column)?;
                        let at = at.checked_mul(channels)?.checked_add(channel)?;
                        first.checked_add(u32::try_from(at).ok()?)
                    };
                    let inside = window_cells(window, 0, i, height).flat_map(|(_, row)| {
                        window_cells(window, 1, j, width)
                            .filter_map(move |(_, column)| cell(row, column))
                    });
                    all.push(inside.collect());
                }
            }
        }
        Ok(all)
    }

    pub(super) fn reindex(&mut self, op: &Reindex, id: NodeId) -> Built<Span> {
        let x = self.of(op.x)?;
        let Some(shape) = self.model.program().shape(id).cloned() else {
            return self.absent("a shape");
        };
        let source = |index: usize| -> Option<u32> {
            let mut at = i64::from(op.offset);
            let mut rest = index;
            for (&dim, &stride) in shape.dims().iter().zip(&op.strides).rev() {
                let step = i64::try_from(rest.checked_rem(dim)?).ok()?;
                at = at.checked_add(step.checked_mul(stride.into())?)?;
                rest = rest.checked_div(dim)?;
            }
            let at = u32::try_from(at).ok().filter(|&at| at < x.len)?;
            x.start.checked_add(at)
        };
        let absent = CircuitError::Absent {
            node: self.node.clone(),
            what: "a cell of its operand",
        };
        let cell = |index| source(index).map(Expr::slot).ok_or_else(|| absent.clone());
        self.sparse(shape.cells(), (0..shape.cells()).map(cell))
    }

    pub(super) fn concat(&mut self, op: &Concat, id: NodeId) -> Built<Span> {
        let axis = usize::try_from(op.axis).unwrap_or(usize::MAX);
        let program = self.model.program();
        let Some(shape) = program.shape(id) else {
            return self.absent("a shape");
        };
        let outer: usize = shape.dims().iter().take(axis).product();
        // Each operand gives one run of cells for each place before the axis.
        let mut runs = Vec::with_capacity(op.xs.len());
        for &x in &op.xs {
            let span = self.of(x)?;
            let run = span.range().len().checked_div(outer).unwrap_or(0);
            runs.push((span, run));
        }
        let mut rows = Vec::new();
        for place in 0..outer {
            for &(span, run) in &runs {
                let skipped = place.saturating_mul(run);
                rows.extend(slots(span).skip(skipped).take(run));
            }
        }
        let cells = shape.cells();
        self.sparse(cells, rows.into_iter().map(|slot| Ok(Expr::slot(slot))))
    }
}

/// The slots of a span.
pub(super) fn slots(span: Span) -> impl Iterator<Item = u32> {
    (span.start..).take(span.range().len())
}

/// An interval times a factor.
pub(super) fn times(x: Interval, factor: i64) -> (i128, i128) {
    let end = |value: i64| i128::from(value).saturating_mul(factor.into());
    let (a, b) = (end(x.min), end(x.max));
    (a.min(b), a.max(b))
}

fn plus(a: (i128, i128), b: (i128, i128)) -> (i128, i128) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

fn plus_power(from: i128, bits: u32) -> i128 {
    from.saturating_add(1_i128.checked_shl(bits).unwrap_or(i128::MAX))
        .saturating_sub(1)
}

fn minus_power(from: i128, bits: u32) -> i128 {
    from.saturating_sub(1_i128.checked_shl(bits).unwrap_or(i128::MAX))
        .saturating_add(1)
}

fn floor(value: i128, shift: u32) -> i128 {
    value.checked_shr(shift).unwrap_or(0)
}

/// How many integers there are from `low` to `high`.
pub(super) fn count(low: i128, high: i128) -> Option<u64> {
    let all = high.checked_sub(low)?.checked_add(1)?;
    u64::try_from(all).ok()
}
