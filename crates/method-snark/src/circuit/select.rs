//! Maxima, their places, and softmax as constraints (`docs/spec/snark.md`, sections 4.5 to 4.7).

use credence_exact::shape::window_cells;
use credence_exact::{ArgMax, MaxPool, NodeId, Softmax, Window};
use credence_model::Interval;

use super::arithmetic::{count, slots};
use super::builder::{Builder, Built, bits_of};
use super::expr::Expr;
use super::{Hint, ONE, Span};

impl Builder<'_> {
    /// Bits of the differences of two values of an interval.
    fn difference_bits(&self, interval: Interval) -> Built<u32> {
        let all = count(interval.min.into(), interval.max.into());
        Ok(bits_of(all.ok_or_else(|| self.wide(64))?))
    }

    pub(super) fn max_pool(&mut self, op: &MaxPool, id: NodeId) -> Built<Span> {
        let dims = self.image(id)?;
        let cells: usize = dims.into_iter().product();
        let bits = self.difference_bits(self.interval(op.x)?)?;
        let y = self.committed(u32::try_from(cells).unwrap_or(u32::MAX))?;
        if self.is_counting() {
            let inside = self.cells_in_windows(op.x, op.window, dims)?;
            self.demand(bits, inside);
            return Ok(y);
        }
        let windows = self.windows(op.x, op.window, id)?;
        for (y, window) in slots(y).zip(windows) {
            self.largest(y, &window)?;
            for x in window {
                self.range(&Expr::slot(y).and(x, -1), bits, None)?;
            }
        }
        Ok(y)
    }

    /// Cells of all windows together.
    pub(super) fn cells_in_windows(
        &self,
        x: NodeId,
        window: Window,
        dims: [usize; 3],
    ) -> Built<u64> {
        let [height, width, _] = self.image(x)?;
        let [rows, columns, channels] = dims;
        let inside = |axis, windows: usize, length| {
            (0..windows).fold(0_u64, |sum, i| {
                let cells = window_cells(window, axis, i, length).count();
                sum.saturating_add(u64::try_from(cells).unwrap_or(u64::MAX))
            })
        };
        Ok(inside(0, rows, height)
            .saturating_mul(inside(1, columns, width))
            .saturating_mul(u64::try_from(channels).unwrap_or(u64::MAX)))
    }

    /// Holds y to be one of the cells: the product of all differences is 0.
    fn largest(&mut self, y: u32, cells: &[u32]) -> Built<()> {
        let difference = |x: u32| Expr::slot(y).and(x, -1);
        let Some((&first, rest)) = cells.split_first() else {
            return self.absent("a cell in every window");
        };
        let Some((&last, middle)) = rest.split_last() else {
            self.zero(&difference(first));
            return Ok(());
        };
        let mut product = difference(first);
        for &x in middle {
            let (a, b) = (self.hint_row(&product), self.hint_row(&difference(x)));
            let next = Expr::slot(self.aux(Hint::Product { a, b })?);
            self.gate(&product, &difference(x), &next);
            product = next;
        }
        self.gate(&product, &difference(last), &Expr::default());
        Ok(())
    }

    /// The place is the number of `behind_j`, j < C − 1, that are 1: `behind_j` says that the place lies behind j. `here_j = behind_{j−1} − behind_j` is
    /// a bit for every j, so exactly one is 1; there the cell equals the largest, before it every cell is less, behind it none is more.
    pub(super) fn arg_max(&mut self, op: &ArgMax, cells: usize) -> Built<Span> {
        let x = self.of(op.x)?;
        let interval = self.interval(op.x)?;
        let bits = self.difference_bits(interval)?;
        let length = x.range().len().checked_div(cells).unwrap_or(0);
        let all: Vec<u32> = slots(x).collect();
        // The engine gives the places themselves, which derive from slots that stand before them.
        let places = self.slots(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let mut rows = Vec::with_capacity(cells);
        for (place, row) in slots(places).zip(all.chunks(length.max(1))) {
            rows.push(Ok(self.place_of(place, row, bits)?));
        }
        self.derive(places, rows.into_iter())?;
        Ok(places)
    }

    fn place_of(&mut self, place: u32, row: &[u32], bits: u32) -> Built<Expr> {
        let Some(of) = row.first().map(|&start| Span {
            start,
            len: u32::try_from(row.len()).unwrap_or(u32::MAX),
        }) else {
            return self.absent("a cell in every row");
        };
        if row.len() == 1 {
            return Ok(Expr::default());
        }
        let most = self.aux(Hint::Max { of })?;
        let mut sum = Expr::default();
        let mut before = Expr::constant(1);
        for (&x, j) in row.iter().zip(0_i64..) {
            let last = j.saturating_add(1) == i64::try_from(row.len()).unwrap_or(i64::MAX);
            let behind = if last {
                Expr::default()
            } else {
                let row = Expr::slot(place).and(ONE, j.saturating_neg());
                let of = self.hint_row(&row);
                let behind = self.aux(Hint::Positive { of })?;
                sum = sum.and(behind, 1);
                Expr::slot(behind)
            };
            let minus = |a: &Expr, b: &Expr| a.clone().and_times(b, -1);
            let here = minus(&before, &behind).ok_or_else(|| self.wide(64))?;
            self.range(&here, 1, None)?;
            let short = Expr::slot(most).and(x, -1);
            self.gate(&here, &short, &Expr::default());
            let strict = minus(&short, &behind).ok_or_else(|| self.wide(64))?;
            self.range(&strict, bits, None)?;
            before = behind;
        }
        Ok(sum)
    }

    pub(super) fn softmax(&mut self, op: &Softmax) -> Built<Span> {
        let x = self.of(op.x)?;
        let shape = self.model.program().shape(op.x);
        let length = shape.map_or(1, credence_exact::Shape::last);
        let y = self.committed(x.len)?;
        let (xs, ys): (Vec<u32>, Vec<u32>) = (slots(x).collect(), slots(y).collect());
        for (xs, ys) in xs.chunks(length.max(1)).zip(ys.chunks(length.max(1))) {
            self.softmax_row(op, xs, ys)?;
        }
        Ok(y)
    }

    fn softmax_row(&mut self, op: &Softmax, xs: &[u32], ys: &[u32]) -> Built<()> {
        let Some(&start) = xs.first() else {
            return self.absent("a cell in every row");
        };
        let len = u32::try_from(xs.len()).unwrap_or(u32::MAX);
        let of = Span { start, len };
        let most = self.aux(Hint::Max { of })?;
        self.largest(most, xs)?;
        let mut weights = Vec::with_capacity(xs.len());
        for &x in xs {
            let distance = Expr::slot(most).and(x, -1);
            weights.push(self.weight(op, distance)?);
        }
        let sum = weights
            .iter()
            .fold(Expr::default(), |sum, &weight| sum.and(weight, 1));
        // At most 1,024 entries of at most 2^24. Every cell's constraints have the sum in them, so it is written out once.
        let sum = Expr::slot(self.derived(&sum)?);
        let of = self.hint_row(&sum);
        let half = self.fresh(34, |low, width| Hint::Bits {
            of,
            low: low.saturating_add(1),
            width,
        })?;
        let odd = sum.clone().and_times(&half, -2);
        let odd = odd.ok_or_else(|| self.wide(64))?;
        self.range(&odd, 1, None)?;
        let by = of;
        for (&weight, &y) in weights.iter().zip(ys) {
            let scale = 1_i64.checked_shl(op.bits.into()).unwrap_or(0);
            let above = half.clone().and(weight, scale);
            let of = self.hint_row(&above);
            let remainder = self.fresh(34, |low, width| Hint::Remainder { of, by, low, width })?;
            let less = sum.clone().and(ONE, -1).and_times(&remainder, -1);
            let less = less.ok_or_else(|| self.wide(64))?;
            self.range(&less, 34, None)?;
            self.range(&Expr::slot(y), u32::from(op.bits).saturating_add(1), None)?;
            let product = above.and_times(&remainder, -1);
            let product = product.ok_or_else(|| self.wide(64))?;
            self.gate(&Expr::slot(y), &sum, &product);
        }
        Ok(())
    }

    /// The weight of a distance from the largest: `exp[min(distance, n − 1)]`. The distance is not negative, or nothing fits.
    fn weight(&mut self, op: &Softmax, distance: Expr) -> Built<u32> {
        let interval = self.interval(op.x)?;
        let farthest = interval.max.saturating_sub(interval.min);
        let entries = self.model.param(op.exp).map(|view| view.shape().cells());
        let entries = entries.and_then(|n| i64::try_from(n).ok()).unwrap_or(1);
        let last = entries.saturating_sub(1);
        let to = usize::try_from(farthest.min(last)).unwrap_or(0);
        let (key, table) = self.function(op.exp.0, 0, to)?;
        let mut entry = distance;
        if farthest > last {
            let of = self.hint_row(&entry);
            let least = self.aux(Hint::AtMost { of, limit: last })?;
            let beyond = entry.and(least, -1);
            let bits = count(last.into(), farthest.into()).ok_or_else(|| self.wide(64))?;
            self.range(&beyond, bits_of(bits), None)?;
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
}
