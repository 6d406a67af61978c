//! The ops of language models that read positions, as constraints (`docs/spec/snark.md`, sections 4.14 to 4.17).
//!
//! Scores are of all pairs of positions; which of them a position sees is a matter of columns: what it does not see counts as if it were the largest, and has no weight.
//! It deliberately holds nothing of how tokens are drawn: logits are shown, and `crate::language` draws.

use credence_exact::fixed::{EXP_256_ENTRIES, exp_256};
use credence_exact::{Attend, Embed, Hadamard, NodeId, Op, Rope, Scores, Shift, Sight};

use super::arithmetic::{Rounding, Sum, plus, slots};
use super::builder::{Builder, Built, TableKey};
use super::columns::ColumnTerm;
use super::divide::{Divisor, Quotient, products};
use super::error::CircuitError;
use super::expr::Expr;
use super::limits::SCORES_MAX;
use super::pairs::{Kind, Operands};
use super::{Entries, Hint, Map, ONE, Span, Step};

/// The shift of rotations: cosines and sines are in units of 2⁻¹⁴.
const ROPE_SHIFT: u8 = 14;

/// The largest weight of a position in a mean.
const WEIGHT_MAX: i128 = (1 << 15) - 1;

/// One row of scores with what is worked out of it.
struct Row {
    /// Weights, 0 where nothing is seen.
    weights: Vec<u32>,
    /// Their sum.
    sum: Expr,
}

fn term(slot: u32, column: u32, coefficient: i64) -> ColumnTerm {
    ColumnTerm {
        slot,
        column,
        coefficient,
    }
}

impl Builder<'_> {
    pub(super) fn token(&mut self) -> Built<Span> {
        let span = self.slots(1)?;
        self.circuit.inputs.push(span);
        Ok(span)
    }

    pub(super) fn embed(&mut self, op: &Embed, id: NodeId) -> Built<Span> {
        if self.is_known(op.x)? {
            return self.known_node(id);
        }
        Err(CircuitError::Op {
            node: self.node.clone(),
            op: "embed",
        })
    }

    pub(super) fn rope(&mut self, op: &Rope) -> Built<Span> {
        let x = self.of(op.x)?;
        let interval = self.interval(op.x)?;
        let program = self.model.program();
        let length = program.shape(op.x).map_or(1, credence_exact::Shape::last);
        let pairs = program.param_shape(op.cos).map(credence_exact::Shape::last);
        let Some(pairs) = pairs else {
            return self.absent("a table of angles");
        };
        let (cos, sin) = (
            self.table_columns(op.cos, pairs)?,
            self.table_columns(op.sin, pairs)?,
        );
        let xs: Vec<u32> = slots(x).collect();
        let mut rows = Vec::new();
        for row in xs.chunks(length.max(1)) {
            let halves = row.split_at_checked(pairs);
            let (first, rest) = halves.unwrap_or((row, &[]));
            let second = rest.get(..pairs).unwrap_or_default();
            let turned = first.iter().zip(second).zip(0_u32..).map(|((&a, &b), i)| {
                let (c, s) = (cos.saturating_add(i), sin.saturating_add(i));
                let (low, high) = (
                    vec![term(a, c, 1), term(b, s, -1)],
                    vec![term(b, c, 1), term(a, s, 1)],
                );
                (low, high)
            });
            let (low, high): (Vec<_>, Vec<_>) = turned.unzip();
            rows.extend(low.into_iter().chain(high));
        }
        let turned = self.weighted(rows)?;
        let y = self.committed(x.len)?;
        let shift = Shift::try_from(ROPE_SHIFT).map_err(|_| self.wide(ROPE_SHIFT.into()))?;
        let rounding = Rounding {
            shift,
            min: op.min,
            max: op.max,
        };
        let around = self.around(op)?;
        let mut turned = slots(turned);
        for (index, (&x, y)) in xs.iter().zip(slots(y)).enumerate() {
            let within = index.checked_rem(length).unwrap_or(0);
            let (expr, ends) = if within < pairs.saturating_mul(2) {
                (turned.next().map(Expr::slot), around)
            } else {
                let one = 1_i64 << ROPE_SHIFT;
                let ends = products(
                    (interval.min.into(), interval.max.into()),
                    (one.into(), one.into()),
                );
                (Some(Expr::default().and(x, one)), ends)
            };
            let Some(expr) = expr else {
                return self.absent("a pair of cells");
            };
            self.round(Sum { expr, ends }, rounding, y)?;
        }
        Ok(y)
    }

    /// Where sums of rotated cells lie, by the largest cosine and sine of all positions.
    fn around(&self, op: &Rope) -> Built<(i128, i128)> {
        let interval = self.interval(op.x)?;
        let x = i128::from(interval.min.unsigned_abs().max(interval.max.unsigned_abs()));
        let largest = |values: Vec<i64>| {
            let magnitudes = values.into_iter().map(i64::unsigned_abs);
            i128::from(magnitudes.max().unwrap_or(0))
        };
        let (cos, sin) = (self.entries(op.cos)?, self.entries(op.sin)?);
        let all = x.saturating_mul(largest(cos).saturating_add(largest(sin)));
        Ok((all.saturating_neg(), all))
    }

    fn dims(&self, node: NodeId) -> Built<(usize, usize)> {
        let shape = self.model.program().shape(node);
        match shape.map(credence_exact::Shape::dims) {
            Some(&[rows, columns]) => Ok((rows, columns)),
            _ => self.absent("two axes"),
        }
    }

    /// Scores of all pairs of positions, those that are not seen as well: bounds hold for any.
    pub(super) fn scores(&mut self, op: &Scores) -> Built<Span> {
        let ((heads, width), (groups, _)) = (self.dims(op.q)?, self.dims(op.k)?);
        let (q, k) = (self.interval(op.q)?, self.interval(op.k)?);
        let positions = self.circuit.positions;
        let all = heads.saturating_mul(positions).saturating_mul(positions);
        if all > SCORES_MAX {
            return Err(CircuitError::Size {
                what: "scores of all pairs of positions",
                max: SCORES_MAX,
                got: all,
            });
        }
        let operands = Operands {
            kind: Kind::Keys,
            a: slots(self.of(op.q)?).collect(),
            b: slots(self.of(op.k)?).collect(),
            outer: heads,
            rows: 1,
            inner: width,
            columns: positions,
            groups,
        };
        let sums = self.pair(operands, true)?;
        let m = op.multiplier.get();
        let terms = i128::try_from(width).unwrap_or(i128::MAX);
        let one = products((q.min.into(), q.max.into()), (k.min.into(), k.max.into()));
        let factor = terms.saturating_mul(m.into());
        let ends = products(one, (factor, factor));
        let rounding = Rounding {
            shift: op.shift,
            min: op.min,
            max: op.max,
        };
        let shift = u32::from(op.shift.bits());
        let half = 1_i64.checked_shl(shift.saturating_sub(1)).unwrap_or(0);
        let y = self.committed(sums.len)?;
        let cells = self.alike(sums.range().len());
        for (sum, y) in slots(sums).zip(slots(y)).take(cells) {
            let expr = Expr::default().and(sum, m);
            let of = self.hint_row(&expr.clone().and(ONE, half));
            let hint = Hint::Rounded {
                of,
                shift,
                min: op.min,
                max: op.max,
            };
            self.hint(y, hint);
            self.round(Sum { expr, ends }, rounding, y)?;
        }
        self.count_as(1);
        Ok(y)
    }

    pub(super) fn attend(&mut self, op: &Attend, cells: usize) -> Built<Span> {
        let scores = self.of(op.scores)?;
        let sight = self.sight_of(op.scores)?;
        let interval = self.interval(op.scores)?;
        let (heads, _) = self.dims(op.scores)?;
        let (groups, width) = self.dims(op.v)?;
        let positions = self.circuit.positions;
        let all: Vec<u32> = slots(scores).collect();
        let farthest = interval.max.saturating_sub(interval.min);
        let mut rows = Vec::with_capacity(heads);
        for row in all.chunks(positions.max(1)) {
            rows.push(self.attention_row(row, sight, farthest)?);
        }
        let weights = rows.iter().flat_map(|row| row.weights.iter().copied());
        let operands = Operands {
            kind: Kind::Mix,
            a: weights.collect(),
            b: slots(self.of(op.v)?).collect(),
            outer: heads,
            rows: 1,
            inner: positions,
            columns: width,
            groups,
        };
        let mixed: Vec<u32> = slots(self.pair(operands, true)?).collect();
        let y = self.committed(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let ys: Vec<u32> = slots(y).collect();
        let rows = rows.into_iter().zip(mixed.chunks(width.max(1)));
        for ((row, mixed), ys) in rows.zip(ys.chunks(width.max(1))) {
            self.means(op, &row, (mixed, ys))?;
        }
        Ok(y)
    }

    fn sight_of(&self, scores: NodeId) -> Built<Sight> {
        let node = self.model.program().node(scores);
        if let Some(Op::Scores(op)) = node.map(|node| &node.op) {
            return Ok(op.sight());
        }
        self.absent("scores")
    }

    /// The largest score that is seen, held to be one of them and exceeded by none, and the weights of all.
    fn attention_row(&mut self, row: &[u32], sight: Sight, farthest: i64) -> Built<Row> {
        let column = self.sight(sight)?;
        let Some((&start, len)) = row.first().zip(u32::try_from(row.len()).ok()) else {
            return self.absent("a position");
        };
        let of = Span { start, len };
        let most = self.aux(Hint::Seen { of, column })?;
        let seen = |f: &dyn Fn(u32, u32) -> Vec<ColumnTerm>| {
            row.iter().zip(column..).map(|(&y, c)| f(y, c)).collect()
        };
        let distances = self.weighted(seen(&|y, c| vec![term(most, c, 1), term(y, c, -1)]))?;
        let blind = self.blind(column, row.len())?;
        let mut product = Expr::constant(1);
        let last = row.len().saturating_sub(1);
        for (at, (distance, blind)) in slots(distances).zip(slots(blind)).enumerate() {
            let factor = Expr::slot(distance).and(blind, 1).and(ONE, 1);
            if at == last {
                self.gate(&product, &factor, &Expr::default());
                break;
            }
            let (a, b) = (self.hint_row(&product), self.hint_row(&factor));
            let next = Expr::slot(self.aux(Hint::Product { a, b })?);
            self.gate(&product, &factor, &next);
            product = next;
        }
        let cells = self.alike(row.len());
        let mut entries = Vec::with_capacity(row.len());
        for distance in slots(distances).take(cells) {
            entries.push(self.exponential(distance, farthest)?);
        }
        self.count_as(1);
        if self.is_counting() {
            entries = row.to_vec();
        }
        let entries = entries.into_iter().zip(column..);
        let weighed = entries.map(|(e, c)| vec![term(e, c, 1)]).collect();
        let weights: Vec<u32> = slots(self.weighted(weighed)?).collect();
        let sum = weights
            .iter()
            .fold(Expr::default(), |sum, &weight| sum.and(weight, 1));
        let sum = Expr::slot(self.derived(&sum)?);
        Ok(Row { weights, sum })
    }

    /// For each position, −1 where it is seen.
    fn blind(&mut self, column: u32, len: usize) -> Built<Span> {
        if let Some(&blind) = self.blinds.get(&column) {
            return Ok(blind);
        }
        let rows = (column..).take(len).map(|c| vec![term(ONE, c, -1)]);
        let blind = self.weighted(rows.collect())?;
        if !self.is_counting() {
            self.blinds.insert(column, blind);
        }
        Ok(blind)
    }

    /// `exp256` of a distance: of the distance, or of 2,840 if that is less, where it is 0.
    fn exponential(&mut self, distance: u32, farthest: i64) -> Built<u32> {
        let last = i64::from(EXP_256_ENTRIES);
        let to = u32::try_from(farthest.min(last)).unwrap_or(0);
        let key = TableKey::Exp { last: to };
        let table = self.fixed(key, || {
            let rows = (0..=to).flat_map(|d| [i64::from(d), exp_256(d.into())]);
            let cells = rows.collect();
            Entries::Listed { width: 2, cells }
        });
        let mut entry = Expr::slot(distance);
        if farthest > last {
            let of = self.hint_row(&entry);
            let least = self.aux(Hint::AtMost { of, limit: last })?;
            let beyond = entry.and(least, -1);
            let bits = self.bits_to(i128::from(farthest.saturating_sub(last)))?;
            self.range(&beyond, bits, None)?;
            let left = Expr::constant(last).and(least, -1);
            self.gate(&beyond, &left, &Expr::default());
            entry = Expr::slot(least);
        }
        let row = self.hint_row(&entry);
        let weight = self.aux(Hint::Entry {
            key: row,
            table,
            component: 1,
        })?;
        self.look_up(key, table, &[&entry, &Expr::slot(weight)])?;
        Ok(weight)
    }

    /// `y = ⌊(2^bits·z + ⌊S/2⌋)/S⌋` for each cell of a head.
    fn means(&mut self, op: &Attend, row: &Row, (mixed, ys): (&[u32], &[u32])) -> Built<()> {
        let v = self.interval(op.v)?;
        let positions = i128::try_from(self.circuit.positions).unwrap_or(i128::MAX);
        let sums = (WEIGHT_MAX, positions.saturating_mul(WEIGHT_MAX));
        let half = self.half(&row.sum, sums.1)?;
        let scale = 1_i64.checked_shl(op.bits.into()).unwrap_or(1);
        let weighed = products(
            (v.min.min(0).into(), v.max.max(0).into()),
            (0, sums.1.saturating_mul(scale.into())),
        );
        let clamp = |end: i64| end.saturating_mul(scale);
        let cells = self.alike(mixed.len());
        for (&z, &y) in mixed.iter().zip(ys).take(cells) {
            let sum = Sum {
                expr: self.sum_of(Expr::default().and(z, scale), &half, 1)?,
                ends: plus(weighed, (0, sums.1 >> 1)),
            };
            // A mean lies between its terms, so nothing is cut off.
            let quotient = Quotient {
                sum,
                min: clamp(v.min),
                max: clamp(v.max),
                inside: true,
            };
            let divisor = Divisor {
                expr: row.sum.clone(),
                ends: sums,
            };
            self.quotient(&quotient, &divisor, y)?;
        }
        self.count_as(1);
        Ok(())
    }

    pub(super) fn hadamard(&mut self, op: &Hadamard) -> Built<Span> {
        let x = self.of(op.x)?;
        let y = self.slots(x.len)?;
        if !self.is_counting() {
            let size = usize::try_from(op.size).unwrap_or(usize::MAX);
            let map = Map::Hadamard { x, size };
            let tied = false;
            self.circuit.steps.push(Step { y, tied, map });
        }
        Ok(y)
    }

    /// Logits are shown at sampled positions, and 0 at others.
    pub(super) fn sampled_logits(&mut self, logits: NodeId) -> Built<()> {
        let span = self.of(logits)?;
        let column = self.sampled_column()?;
        let rows = slots(span).map(|slot| vec![term(slot, column, 1)]);
        let shown = self.weighted(rows.collect())?;
        let cells: Vec<Expr> = slots(shown).map(Expr::slot).collect();
        let public = self.public(&cells.iter().collect::<Vec<_>>())?;
        self.circuit.outputs.push(public);
        Ok(())
    }
}
