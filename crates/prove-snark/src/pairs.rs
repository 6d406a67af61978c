//! The prover of products of two values: operands folded at the points, then one sumcheck over heads, inner axes and positions (`method-snark`'s `pairs.rs` says what is checked).
//!
//! What it sums over is as long as the operands are after one axis of each is folded away, so reading them is most of the work. It deliberately does not look whether the products hold.

use credence_method_snark::circuit::Circuit;
use credence_method_snark::circuit::pairs::{Kind, Pair};
use credence_method_snark::pairs::{
    DEGREE, PairClaims, PairPoints, absorb_sum, absorb_values, points, rounds, sizes, some_of,
};
use credence_method_snark::{F, K, Transcript, mle};
use rayon::prelude::*;

use crate::sumcheck::{Rounds, prove};
use crate::vector::eq_table;
use crate::witness::Slots;

/// Proves all products of two values; nothing is said if there are none.
pub fn prove_pairs(
    circuit: &Circuit,
    slots: &Slots,
    leaves: &[K],
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
) -> PairClaims {
    if circuit.pairs.is_empty() {
        return PairClaims::default();
    }
    let points = points(circuit, leaves, transcript);
    let weights = Weights::new(circuit, &points);
    let folded = circuit.pairs.par_iter();
    let mut tables: Vec<Table> = folded
        .map(|pair| Table::new(pair, circuit, slots, &points, &weights))
        .collect();
    let mut scale = K::ONE;
    for table in &mut tables {
        for weight in &mut table.w {
            *weight *= scale;
        }
        scale *= points.lambda;
        table.sum = table.total();
    }
    let sum: K = tables.iter().map(|table| table.sum).sum();
    sum.write(out);
    absorb_sum(sum, transcript);
    let mut rounds = PairSum {
        tables,
        left: rounds(circuit),
    };
    let reduced = prove(&mut rounds, sum, transcript, out);
    let values: Vec<[K; 2]> = rounds.tables.iter().map(Table::values).collect();
    for value in values.as_flattened() {
        value.write(out);
    }
    absorb_values(&values, transcript);
    PairClaims {
        points,
        sum,
        at: reduced.point,
        values,
    }
}

/// Weights of positions.
struct Weights {
    leaves: Vec<K>,
    keys: Vec<K>,
}

impl Weights {
    fn new(circuit: &Circuit, points: &PairPoints) -> Self {
        Self {
            leaves: some_of(&points.positions, circuit.positions),
            keys: some_of(&points.keys, circuit.positions),
        }
    }
}

/// `W·A·B` of one product, over all points that are not bound yet; before its first own variable comes, weighed by those before.
struct Table {
    variables: usize,
    w: Vec<K>,
    a: Vec<K>,
    b: Vec<K>,
    sum: K,
}

fn at(slot: &[u32], index: usize) -> u32 {
    slot.get(index).copied().unwrap_or(0)
}

/// A slot's values weighted by position.
fn over_positions(slots: &Slots, slot: u32, weights: &[K]) -> K {
    let values = slots.row(slot).iter().zip(weights);
    values.map(|(value, weight)| *weight * *value).sum()
}

impl Table {
    fn new(
        pair: &Pair,
        circuit: &Circuit,
        slots: &Slots,
        points: &PairPoints,
        weights: &Weights,
    ) -> Self {
        let own = sizes(pair, circuit);
        let [heads, inner, positions] = own;
        let variables = own.iter().sum();
        let (mut a, mut b) = match pair.kind {
            Kind::Within => within(pair, circuit, slots, points),
            Kind::Keys => keys(pair, slots, weights),
            Kind::Mix => mix(pair, circuit, slots, points, weights),
        };
        // Each axis stands as if it were a power of two.
        let spread = |values: Vec<K>, width: usize| {
            let mut all = vec![K::ZERO; 1_usize << variables];
            let stride = 1_usize << positions;
            let rows = values.chunks(width * pair.inner.max(1)).enumerate();
            for (outer, row) in rows {
                for (k, cells) in row.chunks(width).enumerate() {
                    let start = ((outer << inner) + k) * stride;
                    all[start..start + cells.len()].copy_from_slice(cells);
                }
            }
            all
        };
        let width = match pair.kind {
            Kind::Within => circuit.positions,
            Kind::Keys | Kind::Mix => 1,
        };
        a = spread(a, width);
        b = spread(b, width);
        let head_weights = eq_table(points.outer.get(..heads).unwrap_or_default(), K::ONE);
        let position_weights = match pair.kind {
            Kind::Within => eq_table(&points.positions, K::ONE),
            Kind::Keys | Kind::Mix => vec![K::ONE],
        };
        let mut w = Vec::with_capacity(1_usize << variables);
        for head in &head_weights {
            for _ in 0..1_usize << inner {
                w.extend(position_weights.iter().map(|position| *head * *position));
            }
        }
        Self {
            variables,
            w,
            a,
            b,
            sum: K::ZERO,
        }
    }

    fn total(&self) -> K {
        let terms = self.w.par_iter().zip(&self.a).zip(&self.b);
        let terms = terms.map(|((w, a), b)| *w * *a * *b);
        terms.reduce(|| K::ZERO, |a, b| a + b)
    }

    fn values(&self) -> [K; 2] {
        [&self.a, &self.b].map(|table| table.first().copied().unwrap_or(K::ZERO))
    }

    /// The sums at 0, 2 and 3 of the next variable.
    fn message(&self, left: usize) -> [K; 3] {
        if left > self.variables {
            // 1 − x, times the sum.
            return [self.sum, -self.sum, -(self.sum + self.sum)];
        }
        let half = self.w.len() / 2;
        let one = |i: usize| {
            let mut values = [K::ZERO; 3];
            let ends = [&self.w, &self.a, &self.b].map(|table| (table[i], table[i + half]));
            let [zero, two, three] = &mut values;
            *zero = ends[0].0 * ends[1].0 * ends[2].0;
            let mut now = ends.map(|(low, high)| (high, high - low));
            for value in [two, three] {
                now = now.map(|(last, step)| (last + step, step));
                *value = now[0].0 * now[1].0 * now[2].0;
            }
            values
        };
        let add = |a: [K; 3], b: [K; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        let sums = (0..half).into_par_iter().with_min_len(1 << 10).map(one);
        sums.reduce(|| [K::ZERO; 3], add)
    }

    fn bind(&mut self, left: usize, challenge: K) {
        if left > self.variables {
            let factor = K::ONE - challenge;
            self.sum *= factor;
            for weight in &mut self.w {
                *weight *= factor;
            }
            return;
        }
        for table in [&mut self.w, &mut self.a, &mut self.b] {
            mle::fold(table, challenge);
        }
    }
}

/// Both operands of one position: rows, or columns, folded; then inner axis and positions.
fn within(pair: &Pair, circuit: &Circuit, slots: &Slots, points: &PairPoints) -> (Vec<K>, Vec<K>) {
    let rows = some_of(&points.rows, pair.rows);
    let columns = some_of(&points.columns, pair.columns);
    let positions = circuit.positions;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let fold = |out: &mut Vec<K>, cells: &mut dyn Iterator<Item = (u32, K)>| {
        let start = out.len();
        out.resize(start + positions, K::ZERO);
        for (slot, weight) in cells {
            let own = out[start..].iter_mut().zip(slots.row(slot));
            for (sum, value) in own {
                *sum += weight * *value;
            }
        }
    };
    for outer in 0..pair.outer {
        for k in 0..pair.inner {
            let row = |m: usize| (outer * pair.rows + m) * pair.inner + k;
            let cells = rows.iter().enumerate();
            fold(&mut a, &mut cells.map(|(m, w)| (at(&pair.a, row(m)), *w)));
            let first = (outer * pair.inner + k) * pair.columns;
            let cells = columns.iter().enumerate();
            fold(
                &mut b,
                &mut cells.map(|(n, w)| (at(&pair.b, first + n), *w)),
            );
        }
    }
    (a, b)
}

fn keys(pair: &Pair, slots: &Slots, weights: &Weights) -> (Vec<K>, Vec<K>) {
    let a = pair.a.par_iter();
    let a = a
        .map(|&slot| over_positions(slots, slot, &weights.leaves))
        .collect();
    let own = pair.b.par_iter();
    let own: Vec<K> = own
        .map(|&slot| over_positions(slots, slot, &weights.keys))
        .collect();
    let mut b = Vec::with_capacity(pair.outer * pair.inner);
    for head in 0..pair.outer {
        let first = pair.group(head) * pair.inner;
        b.extend_from_slice(&own[first..first + pair.inner]);
    }
    (a, b)
}

fn mix(
    pair: &Pair,
    circuit: &Circuit,
    slots: &Slots,
    points: &PairPoints,
    weights: &Weights,
) -> (Vec<K>, Vec<K>) {
    let a = pair.a.par_iter();
    let a = a
        .map(|&slot| over_positions(slots, slot, &weights.leaves))
        .collect();
    let columns = some_of(&points.columns, pair.columns);
    let mut own = vec![K::ZERO; pair.groups * circuit.positions];
    for (group, sums) in own.chunks_mut(circuit.positions).enumerate() {
        for (d, weight) in columns.iter().enumerate() {
            let row: &[F] = slots.row(at(&pair.b, group * pair.columns + d));
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += *weight * *value;
            }
        }
    }
    let mut b = Vec::with_capacity(pair.outer * circuit.positions);
    for head in 0..pair.outer {
        let first = pair.group(head) * circuit.positions;
        b.extend_from_slice(&own[first..first + circuit.positions]);
    }
    (a, b)
}

struct PairSum {
    tables: Vec<Table>,
    left: usize,
}

impl Rounds for PairSum {
    fn variables(&self) -> usize {
        self.left
    }

    fn degree(&self) -> usize {
        DEGREE
    }

    fn message(&mut self, _claim: K) -> Vec<K> {
        let mut sums = vec![K::ZERO; DEGREE];
        for table in &self.tables {
            for (sum, own) in sums.iter_mut().zip(table.message(self.left)) {
                *sum += own;
            }
        }
        sums
    }

    fn bind(&mut self, challenge: K) {
        for table in &mut self.tables {
            table.bind(self.left, challenge);
        }
        self.left -= 1;
    }
}
