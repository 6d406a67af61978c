//! A linear functional over the slots of one position, and its pull-back through derived nodes.
//!
//! ```text
//! claims about lookups, products, equations and ties ─▶ f over all slots ─steps from the last to the first─▶ f over committed and public slots
//! ```
//!
//! After its random challenges every constraint says `Σ_slot f[slot]·v[slot] = c`, v the values weighted by position. A derived node's value is a linear function of others, so its weight goes
//! over to them: reverse-mode differentiation, one pass for all claims at once. A product of matrices costs one fold of its weights. Both sides do it by this code.
//! It deliberately knows no value of a run, so it costs the same for one position as for a million.

use core::ops::Range;

use credence_exact::shape::window_cells;
use credence_exact::{Conv, ParamId};
use credence_model::ParamView;

use crate::circuit::{Circuit, Map, ONE, Rows, Span, Step, Term, log2_ceil};
use crate::extension::K;
use crate::field::F;
use crate::fold::fold_rows;
use crate::known::Known;
use crate::mle::eq_table;
use crate::weights::Apart;

/// Coordinates of a point over the rows or the last axis of any node.
pub const TIE_VARIABLES: usize = 32;

/// The points at which ties are checked.
#[derive(Debug)]
pub struct TiePoints {
    /// Over all axes but the last.
    pub rows: Vec<K>,
    /// Over the last axis.
    pub columns: Vec<K>,
}

/// Why weights cannot be moved: the circuit is of another program than the one at hand, which a [`Relation`](crate::Relation) rules out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PullBackError {
    /// A map names a parameter that is not there.
    #[error("parameter {} of the program is not at hand: check with the model that the circuit is of", .param.0)]
    Absent {
        /// The parameter.
        param: ParamId,
    },
    /// A parameter has another size than its map.
    #[error("parameter {} has {got} entries where the circuit has {expected}: check with the model that the circuit is of", .param.0)]
    Size {
        /// The parameter.
        param: ParamId,
        /// Entries by the circuit.
        expected: usize,
        /// Entries that are there.
        got: usize,
    },
    /// A map leads from slots that the circuit does not have, or has more runs than a point has coordinates for.
    #[error("a map of the circuit is between slots that it does not have: build it of its model")]
    Slots,
}

/// Weights of slots.
#[derive(Debug)]
pub struct Functional {
    weights: Vec<K>,
    moved: Vec<Moved>,
    apart: Vec<Apart>,
}

/// A weight of a slot at positions that are weighted by a column.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The column.
    pub column: u32,
    /// The slot: committed, or the one that holds 1.
    pub slot: u32,
    /// The weight.
    pub weight: K,
}

/// A weight times a coefficient, of which most are 1 or −1.
#[inline]
pub(crate) fn times(weight: K, coefficient: i64) -> K {
    match coefficient {
        0 => K::ZERO,
        1 => weight,
        -1 => -weight,
        _ => weight * F::from_i64(coefficient),
    }
}

fn at(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

impl Functional {
    /// 0.
    #[must_use]
    pub fn new(circuit: &Circuit) -> Self {
        Self {
            weights: vec![K::ZERO; at(circuit.slots)],
            moved: Vec::new(),
            apart: Vec::new(),
        }
    }

    /// What was moved to slots at positions that are weighted by columns.
    #[must_use]
    pub fn moved(&self) -> &[Moved] {
        &self.moved
    }

    /// The weight of a slot.
    #[must_use]
    pub fn get(&self, slot: u32) -> K {
        self.weights.get(at(slot)).copied().unwrap_or(K::ZERO)
    }

    /// The weights of neighbouring slots.
    #[must_use]
    pub fn span(&self, span: Span) -> &[K] {
        self.weights.get(span.range()).unwrap_or_default()
    }

    /// Adds to the weight of a slot.
    pub fn add(&mut self, slot: u32, weight: K) {
        if let Some(own) = self.weights.get_mut(at(slot)) {
            *own += weight;
        }
    }

    /// Adds another functional over the same slots.
    pub fn add_all(&mut self, other: &Self) {
        for (own, other) in self.weights.iter_mut().zip(&other.weights) {
            *own += *other;
        }
    }

    /// Adds a row times a weight, components of a tuple times powers of `gamma`.
    #[inline]
    pub fn add_row(&mut self, row: &[Term], weight: K, gamma: K) {
        let (mut power, mut scaled) = (0_u8, weight);
        for term in row {
            while power < term.power {
                scaled *= gamma;
                power = power.saturating_add(1);
            }
            self.add(term.slot, times(scaled, term.coefficient));
        }
    }

    /// Adds rows that are no tuples, each times its weight.
    pub fn add_rows(&mut self, rows: &Rows, weights: &[K]) {
        for (row, weight) in rows.iter().zip(weights) {
            self.add_row(row, *weight, K::ONE);
        }
    }

    /// Maps whose weights were not at hand when weights were moved through them: their operands lack what they hand on.
    #[must_use]
    pub fn into_apart(self) -> Vec<Apart> {
        self.apart
    }

    /// Moves the weights of derived nodes to what they derive from, from the last node to the first; the tie of node number i of them, counted from 0, is weighted by `scale^(i+1)` times `first`.
    /// In a circuit whose weights are committed to, maps whose weights are not at hand are kept apart.
    ///
    /// # Errors
    /// [`PullBackError`]: the circuit is not of this model.
    pub fn pull_back(
        &mut self,
        circuit: &Circuit,
        model: &dyn Known,
        points: &TiePoints,
        batch: (K, K),
    ) -> Result<(), PullBackError> {
        let (first, scale) = batch;
        let mut tie = first;
        let mut tied = Vec::new();
        for step in &circuit.steps {
            if step.tied {
                tied.push(tie);
                tie *= scale;
            }
        }
        for (number, step) in circuit.steps.iter().enumerate().rev() {
            let weight = if step.tied { tied.pop() } else { None };
            let tie = weight.map(|weight| (weight, points));
            self.step((number, step), circuit, model, tie)?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        (number, step): (usize, &Step),
        circuit: &Circuit,
        model: &dyn Known,
        tie: Option<(K, &TiePoints)>,
    ) -> Result<(), PullBackError> {
        match &step.map {
            Map::Sparse { rows } => self.sparse(step.y, circuit, rows.clone()),
            Map::Weighted { rows } => self.weighted(step.y, circuit, rows.clone()),
            Map::Hadamard { x, size } => self.blocks(step.y, *x, *size),
            Map::Matrix { x, weight, bias } => {
                let shape = model.program().param_shape(*weight);
                let absent = PullBackError::Absent { param: *weight };
                let shape = shape.ok_or(absent)?;
                let columns = shape.last();
                let rows = shape.cells().checked_div(columns).unwrap_or(0);
                let (heads, u) = self.outer(step.y, rows, tie)?;
                self.bias(model, *bias, &heads, &u)?;
                let Some(view) = matrix(model, circuit, *weight)? else {
                    self.apart.push(Apart {
                        step: number,
                        heads,
                        u,
                    });
                    return Ok(());
                };
                let folded = fold_rows(view.bytes(), columns, &u);
                let own = self.weights.get_mut(x.range());
                let own = own.ok_or(PullBackError::Slots)?;
                if heads.len().checked_mul(columns) != Some(own.len()) {
                    return Err(PullBackError::Slots);
                }
                for (head, run) in heads.iter().zip(own.chunks_mut(columns.max(1))) {
                    for (own, value) in run.iter_mut().zip(&folded) {
                        *own += *head * *value;
                    }
                }
                Ok(())
            }
            Map::Convolution {
                x,
                x_dims,
                y_dims,
                op,
            } => {
                let shape = model.program().param_shape(op.weight);
                let channels = shape.and_then(|shape| shape.dims().first().copied());
                let absent = PullBackError::Absent { param: op.weight };
                let (heads, u) = self.outer(step.y, channels.ok_or(absent)?, tie)?;
                self.bias(model, op.bias, &heads, &u)?;
                let Some(view) = matrix(model, circuit, op.weight)? else {
                    self.apart.push(Apart {
                        step: number,
                        heads,
                        u,
                    });
                    return Ok(());
                };
                let image = Image {
                    x: *x,
                    x_dims: *x_dims,
                    y_dims: *y_dims,
                };
                self.convolution(op, &image, view.bytes(), (&heads, &u))
            }
        }
    }

    fn sparse(
        &mut self,
        y: Span,
        circuit: &Circuit,
        rows: Range<usize>,
    ) -> Result<(), PullBackError> {
        let rows = circuit.derived.some(rows);
        if rows.len() != y.range().len() {
            return Err(PullBackError::Slots);
        }
        let weights = self.take(y)?;
        for (row, weight) in rows.zip(weights) {
            for term in row {
                self.add(term.slot, times(weight, term.coefficient));
            }
        }
        Ok(())
    }

    fn weighted(
        &mut self,
        y: Span,
        circuit: &Circuit,
        rows: Range<usize>,
    ) -> Result<(), PullBackError> {
        let rows = circuit.weighted.some(rows);
        if rows.len() != y.range().len() {
            return Err(PullBackError::Slots);
        }
        let weights = self.take(y)?;
        for (row, weight) in rows.zip(weights) {
            self.moved.extend(row.iter().map(|term| Moved {
                column: term.column,
                slot: term.slot,
                weight: times(weight, term.coefficient),
            }));
        }
        Ok(())
    }

    fn blocks(&mut self, y: Span, x: Span, size: usize) -> Result<(), PullBackError> {
        let mut weights = self.take(y)?;
        // The matrix is its own transpose.
        for block in weights.chunks_mut(size.max(1)) {
            hadamard(block);
        }
        let own = self.weights.get_mut(x.range());
        let own = own.filter(|own| own.len() == weights.len());
        for (own, weight) in own.ok_or(PullBackError::Slots)?.iter_mut().zip(weights) {
            *own += weight;
        }
        Ok(())
    }

    /// The weights of a node's cells, which become 0.
    fn take(&mut self, y: Span) -> Result<Vec<K>, PullBackError> {
        let own = self.weights.get_mut(y.range());
        let own = own.ok_or(PullBackError::Slots)?;
        let taken = own.to_vec();
        own.fill(K::ZERO);
        Ok(taken)
    }

    /// The weights of a node's cells as a product of weights of its runs and of its last axis: what is derived has one run; a tie has its random points, adds their weight to the committed
    /// cells, and hands on the opposite.
    fn outer(
        &mut self,
        y: Span,
        last: usize,
        tie: Option<(K, &TiePoints)>,
    ) -> Result<(Vec<K>, Vec<K>), PullBackError> {
        let Some((weight, points)) = tie else {
            return match self.take(y)? {
                own if own.len() == last => Ok((vec![K::ONE], own)),
                _ => Err(PullBackError::Slots),
            };
        };
        let runs = y.range().len().checked_div(last).unwrap_or(0);
        let mut heads = table_of(&points.rows, runs, weight)?;
        let u = table_of(&points.columns, last, K::ONE)?;
        let own = self.weights.get_mut(y.range());
        let own = own.ok_or(PullBackError::Slots)?;
        if runs.checked_mul(last) != Some(own.len()) {
            return Err(PullBackError::Slots);
        }
        for (run, head) in own.chunks_mut(last.max(1)).zip(&heads) {
            for (own, u) in run.iter_mut().zip(&u) {
                *own += *head * *u;
            }
        }
        for head in &mut heads {
            *head = -*head;
        }
        Ok((heads, u))
    }

    fn bias(
        &mut self,
        model: &dyn Known,
        bias: Option<ParamId>,
        heads: &[K],
        u: &[K],
    ) -> Result<(), PullBackError> {
        let Some(param) = bias else {
            return Ok(());
        };
        let view = model.param(param).ok_or(PullBackError::Absent { param })?;
        if view.shape().cells() != u.len() {
            return Err(PullBackError::Size {
                param,
                expected: u.len(),
                got: view.shape().cells(),
            });
        }
        let sum: K = view
            .values()
            .zip(u)
            .map(|(bias, u)| *u * F::from_i64(bias))
            .sum();
        let heads: K = heads.iter().copied().sum();
        self.add(ONE, heads * sum);
        Ok(())
    }

    fn convolution(
        &mut self,
        op: &Conv,
        image: &Image,
        weights: &[u8],
        outer: (&[K], &[K]),
    ) -> Result<(), PullBackError> {
        let (heads, u) = outer;
        let groups = at(op.groups).max(1);
        let [height, width, channels] = image.x_dims;
        let own_channels = channels.checked_div(groups).unwrap_or(0);
        let per_group = u.len().checked_div(groups).unwrap_or(0);
        let [kernel_rows, kernel_columns] = op.window.kernel.map(at);
        let taps = kernel_rows.saturating_mul(kernel_columns);
        let columns = taps.saturating_mul(own_channels);
        let chunk = columns.saturating_mul(per_group).max(1);
        let x = self.weights.get_mut(image.x.range());
        let x = x.ok_or(PullBackError::Slots)?;
        let cells = height.saturating_mul(width).saturating_mul(channels);
        let expected = columns.saturating_mul(u.len());
        if weights.len() != expected {
            return Err(PullBackError::Size {
                param: op.weight,
                expected,
                got: weights.len(),
            });
        }
        if x.len() != cells {
            return Err(PullBackError::Slots);
        }
        for (group, (weights, u)) in weights
            .chunks(chunk)
            .zip(u.chunks(per_group.max(1)))
            .enumerate()
        {
            // [u, v, c]
            let folded = fold_rows(weights, columns, u);
            let first = group.saturating_mul(own_channels);
            let [rows, columns] = image.y_dims;
            for (i, heads) in (0..rows).zip(heads.chunks(columns.max(1))) {
                for (v, row) in window_cells(op.window, 0, i, height) {
                    for (j, head) in (0..columns).zip(heads) {
                        for (h, column) in window_cells(op.window, 1, j, width) {
                            let tap = v.saturating_mul(kernel_columns).saturating_add(h);
                            let taps = folded.chunks(own_channels.max(1)).nth(tap);
                            let cell = row.saturating_mul(width).saturating_add(column);
                            let start = cell.saturating_mul(channels).saturating_add(first);
                            let own = x.get_mut(start..).unwrap_or_default();
                            for (own, value) in own.iter_mut().zip(taps.unwrap_or_default()) {
                                *own += *head * *value;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The weights of a matrix or a convolution; `None` if they are committed to and not at hand.
fn matrix<'a>(
    model: &'a dyn Known,
    circuit: &Circuit,
    param: ParamId,
) -> Result<Option<ParamView<'a>>, PullBackError> {
    let Some(view) = model.param(param) else {
        return if circuit.apart {
            Ok(None)
        } else {
            Err(PullBackError::Absent { param })
        };
    };
    let (expected, got) = (view.shape().cells(), view.bytes().len());
    if expected == got {
        Ok(Some(view))
    } else {
        Err(PullBackError::Size {
            param,
            expected,
            got,
        })
    }
}

/// Sums and differences of a block of a power of two, by as many steps as its logarithm.
fn hadamard(block: &mut [K]) {
    let half = block.len() >> 1;
    let Some((low, high)) = block.split_at_mut_checked(half).filter(|_| half > 0) else {
        return;
    };
    for (low, high) in low.iter_mut().zip(high.iter_mut()) {
        let (a, b) = (*low, *high);
        *low = a + b;
        *high = a - b;
    }
    hadamard(low);
    hadamard(high);
}

/// The geometry of a convolution.
struct Image {
    x: Span,
    x_dims: [usize; 3],
    y_dims: [usize; 2],
}

/// The first `len` of `scale·eq(point, ·)`, over as many coordinates as `len` needs.
fn table_of(point: &[K], len: usize, scale: K) -> Result<Vec<K>, PullBackError> {
    let point = point
        .get(..at(log2_ceil(len)))
        .ok_or(PullBackError::Slots)?;
    let mut table = eq_table(point, scale);
    table.truncate(len);
    Ok(table)
}
