//! Quotients, products of two cells, and norms as constraints (`docs/spec/snark.md`, sections 4.9 to 4.12).
//!
//! A quotient is held by `y·D + r = N` with `0 ≤ r < D`; where a clamp may cut it off, what is cut off may be added, but only at that end. It deliberately multiplies no matrices.

use credence_exact::{Divide, MaxAbs, Mul, NodeId, Op, Quantise, RmsRatio};
use credence_model::Interval;

use super::arithmetic::{Rounding, Sum, count, plus, plus_power, slots};
use super::builder::{Builder, Built, bits_of};
use super::expr::Expr;
use super::limits::MODULUS;
use super::{Hint, ONE, Span};

/// Where a value can lie.
pub(super) type Ends = (i128, i128);

/// What is divided by: an expression, and where it can lie, at least 1.
pub(super) struct Divisor {
    pub(super) expr: Expr,
    pub(super) ends: Ends,
}

/// A quotient to be held: what is divided, its result's clamp, and whether that never cuts.
pub(super) struct Quotient {
    pub(super) sum: Sum,
    pub(super) min: i64,
    pub(super) max: i64,
    /// The clamp cuts nothing, as the program shows.
    pub(super) inside: bool,
}

fn ends(interval: Interval) -> Ends {
    (interval.min.into(), interval.max.into())
}

/// The products of two intervals.
pub(super) fn products(a: Ends, b: Ends) -> Ends {
    let all = [(a.0, b.0), (a.0, b.1), (a.1, b.0), (a.1, b.1)];
    let all = all.map(|(a, b)| a.saturating_mul(b));
    let least = all.into_iter().min().unwrap_or(0);
    (least, all.into_iter().max().unwrap_or(0))
}

fn minus(a: Ends, b: Ends) -> Ends {
    (a.0.saturating_sub(b.1), a.1.saturating_sub(b.0))
}

fn largest(interval: Interval) -> i128 {
    let (low, high) = ends(interval);
    low.saturating_abs().max(high.saturating_abs())
}

impl Builder<'_> {
    /// Bits of the numbers from 0 to `last`.
    pub(super) fn bits_to(&self, last: i128) -> Built<u32> {
        Ok(bits_of(count(0, last.max(0)).ok_or_else(|| self.wide(64))?))
    }

    pub(super) fn sum_of(&self, a: Expr, b: &Expr, factor: i64) -> Built<Expr> {
        a.and_times(b, factor).ok_or_else(|| self.wide(64))
    }

    /// How many of so many alike cells are built: all, or one that counts for all.
    pub(super) fn alike(&mut self, cells: usize) -> usize {
        if !self.is_counting() {
            return cells;
        }
        self.count_as(u64::try_from(cells).unwrap_or(u64::MAX));
        cells.min(1)
    }

    /// `⌊D/2⌋` of a divisor that is a slot, made once.
    pub(super) fn half_of(&mut self, slot: u32, most: i128) -> Built<Expr> {
        if let Some(half) = self.halves.get(&slot) {
            return Ok(half.clone());
        }
        let half = self.half(&Expr::slot(slot), most)?;
        if !self.is_counting() {
            self.halves.insert(slot, half.clone());
        }
        Ok(half)
    }

    /// `⌊value/2⌋` of a value from 0 to `most`.
    pub(super) fn half(&mut self, value: &Expr, most: i128) -> Built<Expr> {
        let of = self.hint_row(value);
        let bits = self.bits_to(most >> 1)?;
        let half = self.fresh(bits, |low, width| Hint::Bits {
            of,
            low: low.saturating_add(1),
            width,
        })?;
        let odd = self.sum_of(value.clone(), &half, -2)?;
        self.range(&odd, 1, None)?;
        Ok(half)
    }

    /// Holds `y = clamp(⌊N/D⌋, min, max)`: `N = y·D + r + over − under`, `0 ≤ r < D`, `over·(max − y) = 0`, `under·(y − min) = 0`, all of them at least 0.
    pub(super) fn quotient(&mut self, n: &Quotient, d: &Divisor, y: u32) -> Built<()> {
        let (of, by) = (self.hint_row(&n.sum.expr), self.hint_row(&d.expr));
        let quotients = [n.sum.ends.0, n.sum.ends.1].map(|end| {
            let (a, b) = (
                end.div_euclid(d.ends.0.max(1)),
                end.div_euclid(d.ends.1.max(1)),
            );
            (a.min(b), a.max(b))
        });
        let (low, high) = (quotients[0].0, quotients[1].1);
        let (min, max) = (i128::from(n.min), i128::from(n.max));
        let (over, under) = (high > max && !n.inside, low < min && !n.inside);
        let rest = self.fresh(self.bits_to(d.ends.1.saturating_sub(1))?, |low, width| {
            Hint::Remainder { of, by, low, width }
        })?;
        let mut reach: Ends = (0, 0);
        let below = self.sum_of(d.expr.clone().and(ONE, -1), &rest, -1)?;
        let rest_bits = self.bits_to(d.ends.1.saturating_sub(1))?;
        self.range(&below, rest_bits, None)?;
        reach.1 = plus_power(reach.1, rest_bits);
        let mut product = self.sum_of(n.sum.expr.clone(), &rest, -1)?;
        let value = if n.inside {
            self.within(y, (min, max))?
        } else if low >= min && high <= max {
            self.within(y, (low, high))?
        } else {
            self.within_exactly(y, (min, max))?
        };
        if over {
            let most = minus(n.sum.ends, products((max, max), d.ends)).1;
            let bits = self.bits_to(most)?;
            let beyond = self.beyond((of, by, y), false, bits)?;
            let left = Expr::constant(n.max).and(y, -1);
            self.gate(&beyond, &left, &Expr::default());
            product = self.sum_of(product, &beyond, -1)?;
            reach.1 = plus_power(reach.1, bits);
        }
        if under {
            let least = products((min, min), d.ends);
            let most = minus(plus(least, d.ends), n.sum.ends).1;
            let bits = self.bits_to(most)?;
            let beyond = self.beyond((of, by, y), true, bits)?;
            let left = Expr::slot(y).and(ONE, n.min.saturating_neg());
            self.gate(&beyond, &left, &Expr::default());
            product = self.sum_of(product, &beyond, 1)?;
            reach.0 = reach.0.saturating_sub(plus_power(0, bits));
        }
        self.gate(&Expr::slot(y), &d.expr, &product);
        // The two sides differ by less than the prime, so they are equal as integers.
        let apart = minus(plus(products(value, d.ends), reach), n.sum.ends);
        if apart.0 <= MODULUS.saturating_neg() || apart.1 >= MODULUS {
            return Err(self.wide(64));
        }
        Ok(())
    }

    fn beyond(&mut self, rows: (usize, usize, u32), below: bool, bits: u32) -> Built<Expr> {
        if bits > 62 {
            return Err(self.wide(bits));
        }
        let (of, by, y) = rows;
        self.fresh(bits, |low, width| Hint::Beyond {
            of,
            by,
            y,
            below,
            low,
            width,
        })
    }

    /// Holds a slot to a range that has these numbers, and gives the range.
    pub(super) fn within(&mut self, y: u32, (low, high): Ends) -> Built<Ends> {
        let bits = bits_of(count(low, high).ok_or_else(|| self.wide(64))?);
        let first = i64::try_from(low).map_err(|_| self.wide(64))?;
        self.range(&Expr::slot(y).and(ONE, first.saturating_neg()), bits, None)?;
        Ok((low, plus_power(low, bits)))
    }

    /// Holds a slot to these numbers alone.
    pub(super) fn within_exactly(&mut self, y: u32, (low, high): Ends) -> Built<Ends> {
        let first = i64::try_from(low).map_err(|_| self.wide(64))?;
        let n = count(low, high).ok_or_else(|| self.wide(64))?;
        self.range_exact(&Expr::slot(y).and(ONE, first.saturating_neg()), n)?;
        Ok((low, high))
    }

    /// For each cell of a, the cell of b beside it: its own, or its row's.
    fn beside(&self, a: NodeId, b: NodeId) -> Built<Vec<(u32, u32)>> {
        let (xs, others) = (self.of(a)?, self.of(b)?);
        let length = xs
            .range()
            .len()
            .checked_div(others.range().len())
            .unwrap_or(1);
        let others = slots(others).flat_map(|b| core::iter::repeat_n(b, length.max(1)));
        Ok(slots(xs).zip(others).collect())
    }

    pub(super) fn divide(&mut self, op: &Divide) -> Built<Span> {
        let (a, b) = (self.interval(op.a)?, self.interval(op.b)?);
        let factor = op.factor.get();
        let clamp = (op.min.into(), op.max.into());
        let halves = (0, i128::from(b.max) >> 1);
        let numerators = plus(products(ends(a), (factor.into(), factor.into())), halves);
        self.quotients((op.a, op.b), factor, (numerators, clamp, false))
    }

    pub(super) fn quantise(&mut self, op: &Quantise) -> Built<Span> {
        let (x, scale) = (self.interval(op.x)?, self.interval(op.scale)?);
        let limit = i64::from(op.limit);
        let halves = (0, i128::from(scale.max) >> 1);
        let numerators = plus(products(ends(x), (limit.into(), limit.into())), halves);
        // Divided by its own largest magnitude, nothing is clamped.
        let by = self.model.program().node(op.scale).map(|node| &node.op);
        let inside = matches!(by, Some(Op::MaxAbs(own)) if own.x == op.x);
        let clamp = (limit.saturating_neg(), limit);
        self.quotients((op.x, op.scale), limit, (numerators, clamp, inside))
    }

    fn quotients(
        &mut self,
        (a, b): (NodeId, NodeId),
        factor: i64,
        (numerators, (min, max), inside): (Ends, (i64, i64), bool),
    ) -> Built<Span> {
        let divisors = ends(self.interval(b)?);
        if divisors.0 < 1 {
            return self.absent("a positive divisor");
        }
        if self.is_counting() {
            self.count_as(self.of(b)?.len.into());
            if let Some(first) = slots(self.of(b)?).next() {
                self.half_of(first, divisors.1)?;
            }
        }
        let y = self.committed(self.of(a)?.len)?;
        let pairs = self.beside(a, b)?;
        let cells = self.alike(pairs.len());
        for ((a, b), y) in pairs.into_iter().zip(slots(y)).take(cells) {
            let half = if self.is_counting() {
                Expr::default()
            } else {
                self.half_of(b, divisors.1)?
            };
            let expr = self.sum_of(Expr::default().and(a, factor), &half, 1)?;
            let sum = Sum {
                expr,
                ends: numerators,
            };
            let quotient = Quotient {
                sum,
                min,
                max,
                inside,
            };
            let divisor = Divisor {
                expr: Expr::slot(b),
                ends: divisors,
            };
            self.quotient(&quotient, &divisor, y)?;
        }
        self.count_as(1);
        Ok(y)
    }

    pub(super) fn max_abs(&mut self, op: &MaxAbs) -> Built<Span> {
        let x = self.of(op.x)?;
        let most = largest(self.interval(op.x)?).max(1);
        let shape = self.model.program().shape(op.x);
        let length = shape.map_or(1, credence_exact::Shape::last).max(1);
        let xs: Vec<u32> = slots(x).collect();
        let rows = xs.len().checked_div(length).unwrap_or(0);
        let y = self.committed(u32::try_from(rows).unwrap_or(u32::MAX))?;
        for (row, y) in xs.chunks(length).zip(slots(y)) {
            self.farthest(row, most, y)?;
        }
        Ok(y)
    }

    /// `y ≥ 1`, `y ≥ |x|` for all x, and y is 1, or some x or its opposite: `w = ±y`, `(y − 1)·∏ (w − x) = 0`.
    fn farthest(&mut self, row: &[u32], most: i128, y: u32) -> Built<()> {
        let Some((&start, len)) = row.first().zip(u32::try_from(row.len()).ok()) else {
            return self.absent("a cell in every row");
        };
        let of = Span { start, len };
        let signed = self.aux(Hint::Farthest { of })?;
        let differs = |sign| Expr::slot(signed).and(y, sign);
        self.gate(&differs(-1), &differs(1), &Expr::default());
        let above = Expr::slot(y).and(ONE, -1);
        self.range(&above, self.bits_to(most.saturating_sub(1))?, None)?;
        let bits = self.bits_to(most.saturating_mul(2))?;
        let mut product = above;
        let last = row.len().saturating_sub(1);
        for (at, &x) in row.iter().enumerate() {
            self.range(&Expr::slot(y).and(x, -1), bits, None)?;
            self.range(&Expr::slot(y).and(x, 1), bits, None)?;
            let factor = Expr::slot(signed).and(x, -1);
            if at == last {
                self.gate(&product, &factor, &Expr::default());
                break;
            }
            let (a, b) = (self.hint_row(&product), self.hint_row(&factor));
            let next = Expr::slot(self.aux(Hint::Product { a, b })?);
            self.gate(&product, &factor, &next);
            product = next;
        }
        Ok(())
    }

    /// `y = min(⌊A·factor/r⌋, max)`, r the root of the sum of squares, or 1.
    pub(super) fn rms_ratio(&mut self, op: &RmsRatio) -> Built<Span> {
        let (x, scale) = (self.interval(op.x)?, ends(self.interval(op.scale)?));
        let shape = self.model.program().shape(op.x);
        let length = shape.map_or(1, credence_exact::Shape::last).max(1);
        let square = largest(x).saturating_mul(largest(x));
        let terms = i128::try_from(length).unwrap_or(i128::MAX);
        let epsilon = i64::try_from(op.epsilon).map_err(|_| self.wide(64))?;
        let most = square.saturating_mul(terms).saturating_add(epsilon.into());
        let xs = self.of(op.x)?;
        let y = self.committed(self.of(op.scale)?.len)?;
        let factor = op.factor.get();
        let scales = self.of(op.scale)?;
        let rows = self.squares(xs, length)?;
        for ((sum, scale_slot), y) in slots(rows).zip(slots(scales)).zip(slots(y)) {
            let sum = Expr::slot(sum).and(ONE, epsilon);
            let (root, roots) = self.root(&sum, most, epsilon >= 1)?;
            let numerator = Sum {
                expr: Expr::default().and(scale_slot, factor),
                ends: products(scale, (factor.into(), factor.into())),
            };
            let quotient = Quotient {
                sum: numerator,
                min: 0,
                max: op.max.into(),
                inside: false,
            };
            let divisor = Divisor {
                expr: root,
                ends: roots,
            };
            self.quotient(&quotient, &divisor, y)?;
        }
        Ok(y)
    }

    /// `max(1, ⌊√v⌋)` of a value from 0, or 1 if it is `positive`, to `most`: `r² + d = v`, `0 ≤ d ≤ 2r`.
    fn root(&mut self, value: &Expr, most: i128, positive: bool) -> Built<(Expr, Ends)> {
        let largest = most.isqrt();
        let of = self.hint_row(value);
        let bits = self.bits_to(largest)?;
        if bits > 31 {
            return Err(self.wide(bits));
        }
        let root = self.fresh(bits, |low, width| Hint::Root { of, low, width })?;
        let by = self.hint_row(&root);
        let square = self.aux(Hint::Product { a: by, b: by })?;
        self.gate(&root, &root, &Expr::slot(square));
        let rest = value.clone().and(square, -1);
        let rest_bits = bits.saturating_add(1);
        self.range(&rest, rest_bits, None)?;
        let above = self.sum_of(Expr::default(), &root, 2)?;
        let above = self.sum_of(above, &rest, -1)?;
        self.range(&above, rest_bits, None)?;
        let ends = (1, largest.max(1));
        if positive {
            return Ok((root, ends));
        }
        // One more if the root is 0, and only then.
        let positive = self.hint_row(&self.sum_of(Expr::constant(1), &root, -1)?);
        let none = self.aux(Hint::Positive { of: positive })?;
        self.range(&Expr::slot(none), 1, None)?;
        self.gate(&Expr::slot(none), &root, &Expr::default());
        let root = root.and(none, 1);
        self.range(&root.clone().and(ONE, -1), bits.max(1), None)?;
        Ok((root, ends))
    }

    pub(super) fn mul(&mut self, op: &Mul) -> Built<Span> {
        let (a, b) = (self.interval(op.a)?, self.interval(op.b)?);
        let rounding = Rounding {
            shift: op.shift,
            min: op.min,
            max: op.max,
        };
        let bias = match op.bias {
            Some(bias) => self.entries(bias)?,
            None => vec![0],
        };
        let unit = 1_i64
            .checked_shl(op.shift.bits().into())
            .ok_or_else(|| self.wide(64))?;
        let all = products(ends(a), ends(b));
        let y = self.committed(self.of(op.a)?.len)?;
        let pairs = self.beside(op.a, op.b)?;
        let biased = pairs.len().checked_div(bias.len().max(1)).unwrap_or(0);
        let cells = if self.is_counting() {
            self.count_as(u64::try_from(biased).unwrap_or(u64::MAX));
            bias.len()
        } else {
            pairs.len()
        };
        let pairs = pairs.into_iter().zip(slots(y)).take(cells);
        for (((a, b), y), &bias) in pairs.zip(bias.iter().cycle()) {
            let (a, b) = (Expr::slot(a), Expr::slot(b));
            let rows = (self.hint_row(&a), self.hint_row(&b));
            let product = self.aux(Hint::Product {
                a: rows.0,
                b: rows.1,
            })?;
            self.gate(&a, &b, &Expr::slot(product));
            // A whole number of units goes through the rounding unchanged.
            let shifted = bias.checked_mul(unit).ok_or_else(|| self.wide(64))?;
            let sum = Sum {
                expr: Expr::slot(product).and(ONE, shifted),
                ends: plus(all, (shifted.into(), shifted.into())),
            };
            self.round(sum, rounding, y)?;
        }
        self.count_as(1);
        Ok(y)
    }
}
