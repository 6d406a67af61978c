//! A linear functional over the slots of one position, and its pull-back through derived nodes.
//!
//! ```text
//! claims about lookups, products, equations and ties ─▶ f over all slots ─steps from the last to the first─▶ f over committed and public slots
//! ```
//!
//! After its random challenges every constraint says `Σ_slot f[slot]·v[slot] = c`, v the values weighted by position. A derived node's value is a linear function of others, so its weight goes
//! over to them: reverse-mode differentiation, one pass for all claims at once. A product of matrices costs one fold of its weights. Both sides do it by this code.
//! It deliberately knows no value of a run, so it costs the same for one position as for a million.

use credence_exact::shape::window_cells;
use credence_exact::{Conv, ParamId};
use credence_model::Model;

use crate::circuit::{Circuit, Map, ONE, Rows, Span, Step, Term, log2_ceil};
use crate::extension::K;
use crate::field::F;
use crate::fold::fold_rows;
use crate::mle::eq_table;

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

/// Weights of slots.
#[derive(Debug)]
pub struct Functional {
    weights: Vec<K>,
    moved: Vec<Moved>,
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
    pub fn add_rows(&mut self, rows: &Rows, weights: impl Iterator<Item = K>) {
        for (row, weight) in rows.iter().zip(weights) {
            self.add_row(row, weight, K::ONE);
        }
    }

    /// Moves the weights of derived nodes to what they derive from, from the last node to the first; the tie of node number i of them, counted from 0, is weighted by `scale^(i+1)` times `first`.
    pub fn pull_back(
        &mut self,
        circuit: &Circuit,
        model: &Model,
        points: &TiePoints,
        batch: (K, K),
    ) {
        let (first, scale) = batch;
        let mut tie = first;
        let mut tied = Vec::new();
        for step in &circuit.steps {
            if step.tied {
                tied.push(tie);
                tie *= scale;
            }
        }
        for step in circuit.steps.iter().rev() {
            let weight = if step.tied { tied.pop() } else { None };
            self.step(step, circuit, model, weight.map(|weight| (weight, points)));
        }
    }

    fn step(
        &mut self,
        step: &Step,
        circuit: &Circuit,
        model: &Model,
        tie: Option<(K, &TiePoints)>,
    ) {
        match &step.map {
            Map::Sparse { rows } => {
                let weights = self.take(step.y);
                let rows = circuit.derived.some(rows.clone());
                for (row, weight) in rows.zip(weights) {
                    for term in row {
                        self.add(term.slot, times(weight, term.coefficient));
                    }
                }
            }
            Map::Weighted { rows } => {
                let weights = self.take(step.y);
                let rows = circuit.weighted.some(rows.clone());
                for (row, weight) in rows.zip(weights) {
                    self.moved.extend(row.iter().map(|term| Moved {
                        column: term.column,
                        slot: term.slot,
                        weight: times(weight, term.coefficient),
                    }));
                }
            }
            Map::Hadamard { x, size } => {
                let mut weights = self.take(step.y);
                // The matrix is its own transpose.
                for block in weights.chunks_mut((*size).max(1)) {
                    hadamard(block);
                }
                let own = self.weights.get_mut(x.range()).unwrap_or_default();
                for (own, weight) in own.iter_mut().zip(weights) {
                    *own += weight;
                }
            }
            Map::Matrix { x, weight, bias } => {
                let Some(view) = model.param(*weight) else {
                    return;
                };
                let columns = view.shape().last();
                let rows = view.shape().cells().checked_div(columns).unwrap_or(0);
                let (heads, u) = self.outer(step.y, rows, tie);
                let folded = fold_rows(view.bytes(), columns, &u);
                let runs = x.range().step_by(columns.max(1));
                for (head, start) in heads.iter().zip(runs) {
                    let own = self.weights.get_mut(start..).unwrap_or_default();
                    for (own, value) in own.iter_mut().zip(&folded) {
                        *own += *head * *value;
                    }
                }
                self.bias(model, *bias, &heads, &u);
            }
            Map::Convolution {
                x,
                x_dims,
                y_dims,
                op,
            } => {
                let Some(view) = model.param(op.weight) else {
                    return;
                };
                let channels = view.shape().dims().first().copied().unwrap_or(0);
                let (heads, u) = self.outer(step.y, channels, tie);
                let image = Image {
                    x: *x,
                    x_dims: *x_dims,
                    y_dims: *y_dims,
                };
                self.convolution(op, &image, view.bytes(), (&heads, &u));
                self.bias(model, op.bias, &heads, &u);
            }
        }
    }

    /// The weights of a node's cells, which become 0.
    fn take(&mut self, y: Span) -> Vec<K> {
        let own = self.weights.get_mut(y.range()).unwrap_or_default();
        let taken = own.to_vec();
        own.fill(K::ZERO);
        taken
    }

    /// The weights of a node's cells as a product of weights of its runs and of its last axis: what is derived has one run; a tie has its random points, adds their weight to the committed
    /// cells, and hands on the opposite.
    fn outer(&mut self, y: Span, last: usize, tie: Option<(K, &TiePoints)>) -> (Vec<K>, Vec<K>) {
        let Some((weight, points)) = tie else {
            return (vec![K::ONE], self.take(y));
        };
        let runs = y.range().len().checked_div(last).unwrap_or(0);
        let mut heads = table_of(&points.rows, runs, weight);
        let u = table_of(&points.columns, last, K::ONE);
        let own = self.weights.get_mut(y.range()).unwrap_or_default();
        for (run, head) in own.chunks_mut(last.max(1)).zip(&heads) {
            for (own, u) in run.iter_mut().zip(&u) {
                *own += *head * *u;
            }
        }
        for head in &mut heads {
            *head = -*head;
        }
        (heads, u)
    }

    fn bias(&mut self, model: &Model, bias: Option<ParamId>, heads: &[K], u: &[K]) {
        let Some(view) = bias.and_then(|bias| model.param(bias)) else {
            return;
        };
        let sum: K = view
            .values()
            .zip(u)
            .map(|(bias, u)| *u * F::from_i64(bias))
            .sum();
        let heads: K = heads.iter().copied().sum();
        self.add(ONE, heads * sum);
    }

    fn convolution(&mut self, op: &Conv, image: &Image, weights: &[u8], outer: (&[K], &[K])) {
        let (heads, u) = outer;
        let groups = at(op.groups).max(1);
        let [height, width, channels] = image.x_dims;
        let own_channels = channels.checked_div(groups).unwrap_or(0);
        let per_group = u.len().checked_div(groups).unwrap_or(0);
        let [kernel_rows, kernel_columns] = op.window.kernel.map(at);
        let taps = kernel_rows.saturating_mul(kernel_columns);
        let columns = taps.saturating_mul(own_channels);
        let chunk = columns.saturating_mul(per_group).max(1);
        for (group, (weights, u)) in weights
            .chunks(chunk)
            .zip(u.chunks(per_group.max(1)))
            .enumerate()
        {
            // [u, v, c]
            let folded = fold_rows(weights, columns, u);
            let [rows, columns] = image.y_dims;
            for (i, heads) in (0..rows).zip(heads.chunks(columns.max(1))) {
                for (v, row) in window_cells(op.window, 0, i, height) {
                    for (j, head) in (0..columns).zip(heads) {
                        for (h, column) in window_cells(op.window, 1, j, width) {
                            let tap = v.saturating_mul(kernel_columns).saturating_add(h);
                            let taps = folded.chunks(own_channels.max(1)).nth(tap);
                            let cell = row.saturating_mul(width).saturating_add(column);
                            let first = cell
                                .saturating_mul(channels)
                                .saturating_add(group.saturating_mul(own_channels))
                                .saturating_add(at(image.x.start));
                            let own = self.weights.get_mut(first..).unwrap_or_default();
                            for (own, value) in own.iter_mut().zip(taps.unwrap_or_default()) {
                                *own += *head * *value;
                            }
                        }
                    }
                }
            }
        }
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
fn table_of(point: &[K], len: usize, scale: K) -> Vec<K> {
    let variables = at(log2_ceil(len));
    let mut table = eq_table(point.get(..variables).unwrap_or_default(), scale);
    table.truncate(len);
    table
}
