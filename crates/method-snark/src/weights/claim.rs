//! What maps whose weights are not at hand add to the linear claim: sums over the committed weights.
//!
//! ```text
//! map with weights W, operand x:   Σ_run head[run]·Σ_r u[r]·Σ_k W[r,k]·v(x[run,k])  =  Σ_r,k W[r,k]·u[r]·c[k],   c[k] = Σ_run head[run]·v(x[run,k])
//! ```
//!
//! `v` is either the values that are public, weighted by position, or what the point of the last sumcheck gives to committed ones: both are known to whoever checks, and go through derived slots forwards. So the
//! coefficient of a weight is a product of one for its row and one for its column, and the polynomial of all coefficients is evaluated by sums over rows and columns. Groups of a convolution have columns each their own.
//! It deliberately reads no weight but for a prover.

use core::ops::Range;

use credence_exact::shape::window_cells;
use credence_exact::{Conv, ParamId};
use credence_model::Model;

use crate::circuit::{Circuit, Map, Span, Step};
use crate::extension::K;
use crate::field::F;
use crate::fold::fold_rows;
use crate::mle::{eq_index, eq_table};
use crate::weights::layout::{Block, Layout};

/// A map whose weights are not at hand: its weights by run and by row.
#[derive(Debug)]
pub struct Apart {
    /// Which of the circuit's steps.
    pub step: usize,
    /// Weights of runs, or of the cells of a convolution's result.
    pub heads: Vec<K>,
    /// Weights of rows.
    pub u: Vec<K>,
}

/// Why there is no sum over committed weights: card and circuit are of different programs, which a [`Relation`](crate::Relation) rules out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// A map that is none of weights.
    #[error("step {step} of the circuit has no weights: build it of its card")]
    Step {
        /// The step.
        step: usize,
    },
    /// A matrix that is not committed to, or of another size.
    #[error("parameter {} is not committed to in the size that the circuit has: use its own card", .param.0)]
    Block {
        /// The parameter.
        param: ParamId,
    },
}

/// The coefficients of one matrix: rows of a group have the same ones by column.
#[derive(Debug)]
struct Part {
    block: Block,
    u: Vec<K>,
    groups: Vec<(Range<usize>, Vec<K>)>,
}

/// A sum over all committed weights.
#[derive(Debug)]
pub struct WeightsClaim {
    parts: Vec<Part>,
    log_len: u32,
}

/// Values of derived slots from those of the slots before them.
pub(crate) fn forwards(circuit: &Circuit, values: &mut [K]) {
    for step in &circuit.steps {
        let Map::Sparse { rows } = &step.map else {
            continue;
        };
        let rows = circuit.derived.some(rows.clone());
        for (slot, row) in step.y.range().zip(rows) {
            let mut sum = K::ZERO;
            for term in row {
                let at = usize::try_from(term.slot).unwrap_or(usize::MAX);
                let value = values.get(at).copied().unwrap_or(K::ZERO);
                sum += value * F::from_i64(term.coefficient);
            }
            if let Some(own) = values.get_mut(slot) {
                *own = sum;
            }
        }
    }
}

impl WeightsClaim {
    /// The coefficients for these values of slots.
    ///
    /// # Errors
    /// [`WeightsError`].
    pub fn new(
        circuit: &Circuit,
        layout: &Layout,
        apart: &[Apart],
        values: &[K],
    ) -> Result<Self, WeightsError> {
        let part = |own: &Apart| part(circuit.steps.get(own.step), layout, own, values);
        Ok(Self {
            parts: apart.iter().map(part).collect::<Result<_, _>>()?,
            log_len: layout.log_len(),
        })
    }

    /// The same sum, and another one of the same maps times a factor.
    #[must_use]
    pub fn and(mut self, other: &Self, factor: K) -> Self {
        for (own, other) in self.parts.iter_mut().zip(&other.parts) {
            for ((_, own), (_, other)) in own.groups.iter_mut().zip(&other.groups) {
                for (own, other) in own.iter_mut().zip(other) {
                    *own += factor * *other;
                }
            }
        }
        self
    }

    /// The sum times a factor.
    #[must_use]
    pub fn scaled(mut self, factor: K) -> Self {
        for (_, columns) in self.parts.iter_mut().flat_map(|part| &mut part.groups) {
            for column in columns {
                *column *= factor;
            }
        }
        self
    }

    /// The coefficients' polynomial at a point over the committed weights.
    #[must_use]
    pub fn at(&self, point: &[K]) -> K {
        self.parts.iter().map(|part| part.at(point)).sum()
    }

    /// The sum itself, for whoever has the weights.
    #[must_use]
    pub fn of(&self, model: &Model) -> K {
        self.parts.iter().map(|part| part.of(model)).sum()
    }

    /// The coefficient of every weight, in order.
    #[must_use]
    pub fn coefficients(&self) -> Vec<K> {
        let mut all = vec![K::ZERO; 1_usize.checked_shl(self.log_len).unwrap_or(0)];
        for part in &self.parts {
            let start = usize::try_from(part.block.start).unwrap_or(usize::MAX);
            let own = all.get_mut(start..).unwrap_or_default();
            let width = 1_usize.checked_shl(part.block.log_columns).unwrap_or(1);
            for (rows, columns) in &part.groups {
                let us = part.u.get(rows.clone()).unwrap_or_default();
                for (row, u) in rows.clone().zip(us) {
                    let first = row.saturating_mul(width);
                    let cells = own.get_mut(first..).unwrap_or_default();
                    for (cell, column) in cells.iter_mut().zip(columns) {
                        *cell += *u * *column;
                    }
                }
            }
        }
        all
    }
}

impl Part {
    fn at(&self, point: &[K]) -> K {
        let bits = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let Block {
            log_rows, start, ..
        } = self.block;
        let inner = bits(self.block.log_len());
        let split = point.split_at_checked(point.len().saturating_sub(inner));
        let (high, low) = split.unwrap_or((&[], &[]));
        let (rows, columns) = low.split_at_checked(bits(log_rows)).unwrap_or((&[], &[]));
        let number = start.checked_shr(self.block.log_len()).unwrap_or(0);
        let (rows, columns) = (eq_table(rows, K::ONE), eq_table(columns, K::ONE));
        let mut sum = K::ZERO;
        for (range, own) in &self.groups {
            let us = self.u.get(range.clone()).unwrap_or_default();
            let rows = rows.get(range.clone()).unwrap_or_default();
            sum += K::dot(us, rows) * K::dot(own, &columns);
        }
        eq_index(high, number) * sum
    }

    fn of(&self, model: &Model) -> K {
        let Some(view) = model.param(self.block.param) else {
            return K::ZERO;
        };
        let mut sum = K::ZERO;
        for (range, own) in &self.groups {
            let width = self.block.columns;
            let bytes = range.start.saturating_mul(width)..range.end.saturating_mul(width);
            let bytes = view.bytes().get(bytes).unwrap_or_default();
            let us = self.u.get(range.clone()).unwrap_or_default();
            sum += K::dot(&fold_rows(bytes, width, us), own);
        }
        sum
    }
}

fn part(
    step: Option<&Step>,
    layout: &Layout,
    own: &Apart,
    values: &[K],
) -> Result<Part, WeightsError> {
    let absent = WeightsError::Step { step: own.step };
    let map = step.map(|step| &step.map).ok_or(absent)?;
    let (param, groups) = match map {
        Map::Sparse { .. } | Map::Weighted { .. } | Map::Hadamard { .. } => return Err(absent),
        Map::Matrix { x, weight, .. } => {
            let x = values.get(x.range()).ok_or(absent)?;
            let width = x.len().checked_div(own.heads.len()).unwrap_or(0);
            let mut columns = vec![K::ZERO; width];
            for (head, run) in own.heads.iter().zip(x.chunks(width.max(1))) {
                for (sum, value) in columns.iter_mut().zip(run) {
                    *sum += *head * *value;
                }
            }
            (*weight, vec![(0..own.u.len(), columns)])
        }
        Map::Convolution {
            x,
            x_dims,
            y_dims,
            op,
        } => {
            let image = (*x, *x_dims, *y_dims);
            let groups = convolution(op, image, own, values);
            (op.weight, groups.ok_or(absent)?)
        }
    };
    let block = layout.block(param).filter(|block| {
        let wide = |(_, columns): &(Range<usize>, Vec<K>)| columns.len() == block.columns;
        block.rows == own.u.len() && groups.iter().all(wide)
    });
    Ok(Part {
        block: *block.ok_or(WeightsError::Block { param })?,
        u: own.u.clone(),
        groups,
    })
}

/// For each group the sums over windows, tap by tap and channel by channel.
fn convolution(
    op: &Conv,
    (x, x_dims, y_dims): (Span, [usize; 3], [usize; 2]),
    own: &Apart,
    values: &[K],
) -> Option<Vec<(Range<usize>, Vec<K>)>> {
    let at = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let values = values.get(x.range())?;
    let groups = at(op.groups).max(1);
    let [height, width, channels] = x_dims;
    let own_channels = channels.checked_div(groups)?;
    let per_group = own.u.len().checked_div(groups)?;
    let [kernel_rows, kernel_columns] = op.window.kernel.map(at);
    let taps = kernel_rows.checked_mul(kernel_columns)?;
    let mut all = Vec::with_capacity(groups);
    for group in 0..groups {
        let mut sums = vec![K::ZERO; taps.checked_mul(own_channels)?];
        let first = group.checked_mul(own_channels)?;
        let [rows, columns] = y_dims;
        for (i, heads) in (0..rows).zip(own.heads.chunks(columns.max(1))) {
            for (v, row) in window_cells(op.window, 0, i, height) {
                for (j, head) in (0..columns).zip(heads) {
                    for (h, column) in window_cells(op.window, 1, j, width) {
                        let tap = v.checked_mul(kernel_columns)?.checked_add(h)?;
                        let cell = row.checked_mul(width)?.checked_add(column)?;
                        let start = cell.checked_mul(channels)?.checked_add(first)?;
                        let cells = values.get(start..start.checked_add(own_channels)?)?;
                        let sums = sums.get_mut(tap.checked_mul(own_channels)?..)?;
                        for (sum, value) in sums.iter_mut().zip(cells) {
                            *sum += *head * *value;
                        }
                    }
                }
            }
        }
        let start = group.checked_mul(per_group)?;
        all.push((start..start.checked_add(per_group)?, sums));
    }
    Some(all)
}
