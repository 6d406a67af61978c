//! Normalisations and softmaxes that exporters have taken apart.
//!
//! ```text
//! d = x − mean(x);  d / √(mean(d²) + ε)          d · (1/√(mean(d²) + ε))
//! (x − mean(x)) · (γ / √(max(0, mean(x²) − mean(x)²) + ε))          exp(x − max(x)) / Σ exp(x − max(x))
//! ```
//!
//! What stands between a sum and its reader (scalings, roots, quotients) is taken together as one formula, and its values at several points decide whether it is
//! `κ/√(v + ε)`: how the exporter has written it does not matter.

use super::{Simplifier, formula_of};
use crate::builder::GraphError;
use crate::formula::{Combination, Elementary, Formula};
use crate::graph::{AffineOp, GraphOp, ValueId};
use crate::number::from_len;

/// Where formulas are compared.
const POINTS: [f64; 6] = [0.0, 0.25, 1.0, 7.0, 100.0, 10_000.0];

/// A value that repeats a smaller one along an axis: `formula(source)`, times gains along that axis.
struct Spread {
    source: ValueId,
    /// The axis of repetition; none if there is none.
    axis: Option<usize>,
    formula: Formula,
    gains: Option<AffineOp>,
}

/// A sum or maximum along an axis.
struct Reduced {
    x: ValueId,
    axis: usize,
}

/// `κ/√(v + ε)`.
struct Root {
    kappa: f64,
    epsilon: f64,
}

impl Simplifier {
    /// Walks back through steps on each element alike, changes of shape that keep the order of elements, and one repetition.
    fn spread(&self, value: ValueId) -> Spread {
        let mut spread = Spread {
            source: value,
            axis: None,
            formula: Formula::x(),
            gains: None,
        };
        loop {
            let next = match self.op(spread.source) {
                Some(GraphOp::Unary { x, function }) => {
                    spread.formula = formula_of(function).then(&spread.formula);
                    *x
                }
                Some(GraphOp::Clip { x, min, max }) => {
                    let clip = Formula::x().clipped(*min, *max);
                    spread.formula = clip.then(&spread.formula);
                    *x
                }
                Some(GraphOp::Affine(op)) if op.scale.len() == 1 => {
                    let scaled = Formula::x().scaled(op.scale[0], op.shift[0]);
                    spread.formula = scaled.then(&spread.formula);
                    op.x
                }
                Some(GraphOp::Affine(op))
                    if spread.formula.steps() == 0
                        && spread.axis.is_none()
                        && spread.gains.is_none()
                        && op.shift.iter().all(|&shift| shift == 0.0) =>
                {
                    spread.gains = Some(op.clone());
                    op.x
                }
                Some(GraphOp::Reshape { x, .. }) => *x,
                Some(GraphOp::Expand { x, shape }) if spread.axis.is_none() => {
                    let from = self.shape(*x);
                    let mut grown = (0..shape.len()).filter(|&k| from[k] != shape[k]);
                    let (Some(axis), None) = (grown.next(), grown.next()) else {
                        return spread;
                    };
                    spread.axis = Some(axis);
                    *x
                }
                _ => return spread,
            };
            spread.source = next;
        }
    }

    /// What a sum (or maximum) is along which axis of.
    fn reduced(&self, value: ValueId, max: bool) -> Option<Reduced> {
        let x = match self.op(value)? {
            GraphOp::Sum { x } if !max => *x,
            GraphOp::Max { x } if max => *x,
            _ => return None,
        };
        let last = self.shape(x).len().checked_sub(1)?;
        if let Some(GraphOp::Transpose { x: y, order }) = self.op(x) {
            let axis = *order.last()?;
            let others = (0..=last).filter(|&k| k != axis);
            let only_moved = others.eq(order[..last].iter().copied());
            if only_moved {
                return Some(Reduced { x: *y, axis });
            }
        }
        Some(Reduced { x, axis: last })
    }

    fn is_square_of(&self, value: ValueId, x: ValueId) -> bool {
        let Some(GraphOp::Unary { x: of, function }) = self.op(value) else {
            return false;
        };
        *of == x && formula_of(function).agrees(&[-3.0, -0.5, 0.0, 2.0, 9.0], |x| x * x)
    }

    /// What a value is the sum of, scaled by the formula, if it is that of x along an axis.
    fn mean_of(&self, spread: &Spread, x: ValueId, axis: usize, power: i32) -> bool {
        let Some(reduced) = self.reduced(spread.source, false) else {
            return false;
        };
        let count = from_len(self.shape(x).get(axis).copied().unwrap_or(1));
        let of = match power {
            1 => reduced.x == x,
            _ => self.is_square_of(reduced.x, x),
        };
        of && reduced.axis == axis && spread.formula.agrees(&POINTS, |sum| sum / count)
    }

    /// `x` and whether it is centred, if `d` is x less its mean along the axis, or x itself.
    fn centred(&self, d: ValueId, axis: usize) -> (ValueId, bool) {
        if let Some(GraphOp::Add {
            a,
            b,
            subtract: true,
        }) = self.op(d)
        {
            let mean = self.spread(*b);
            let along = mean.axis == Some(axis) && mean.gains.is_none();
            if along && self.mean_of(&mean, *a, axis, 1) {
                return (*a, true);
            }
        }
        (d, false)
    }

    /// `d·r`, or `d/r`, if that is a normalisation of what d comes from.
    pub(super) fn normalisation(
        &mut self,
        name: &str,
        d: ValueId,
        r: ValueId,
        divide: bool,
    ) -> Result<Option<ValueId>, GraphError> {
        let spread = self.spread(r);
        let Some(axis) = spread.axis else {
            return Ok(None);
        };
        // Gains stand in the numerator.
        if divide && spread.gains.is_some() {
            return Ok(None);
        }
        if spread
            .gains
            .as_ref()
            .is_some_and(|gains| gains.axis != axis)
        {
            return Ok(None);
        }
        let (x, centred) = self.centred(d, axis);
        let factor = if divide {
            Formula::constant(1.0).with(Combination::Divide, &spread.formula)
        } else {
            spread.formula.clone()
        };
        let count = from_len(self.shape(d)[axis]);
        let Some(root) = self.root(&spread, (d, x, axis), &factor, count) else {
            return Ok(None);
        };
        self.normalised(name, x, (axis, centred), &root, spread.gains)
            .map(Some)
    }

    /// The root that a formula is of the variance of x, if its source is the sum of squares of d, or a difference of two means.
    fn root(
        &self,
        spread: &Spread,
        (d, x, axis): (ValueId, ValueId, usize),
        factor: &Formula,
        count: f64,
    ) -> Option<Root> {
        if let Some(reduced) = self.reduced(spread.source, false) {
            let squares = reduced.axis == axis && self.is_square_of(reduced.x, d);
            return squares.then(|| root_of(factor, count)).flatten();
        }
        let GraphOp::Add {
            a,
            b,
            subtract: true,
        } = self.op(spread.source)?
        else {
            return None;
        };
        let (squares, mean) = (self.spread(*a), self.spread(*b));
        let plain = |spread: &Spread| spread.axis.is_none() && spread.gains.is_none();
        let squared = self.reduced(mean.source, false);
        let squared = squared.is_some_and(|reduced| reduced.x == x && reduced.axis == axis)
            && mean
                .formula
                .agrees(&POINTS, |sum| (sum / count) * (sum / count));
        let sound = x != d
            && plain(&squares)
            && plain(&mean)
            && squared
            && self.mean_of(&squares, x, axis, 2);
        sound.then(|| root_of(factor, 1.0)).flatten()
    }

    fn normalised(
        &mut self,
        name: &str,
        x: ValueId,
        (axis, centred): (usize, bool),
        root: &Root,
        gains: Option<AffineOp>,
    ) -> Result<ValueId, GraphError> {
        let last = self.shape(x).len() - 1;
        let mut order: Vec<usize> = (0..=last).filter(|&k| k != axis).collect();
        order.push(axis);
        let mut back = vec![0; order.len()];
        for (at, &from) in order.iter().enumerate() {
            back[from] = at;
        }
        let mut value = x;
        if axis != last {
            value = self.push(name, GraphOp::Transpose { x: value, order })?;
        }
        let op = GraphOp::Normalise {
            x: value,
            epsilon: root.epsilon,
            centred,
        };
        value = self.push(name, op)?;
        if axis != last {
            let order = back;
            value = self.push(name, GraphOp::Transpose { x: value, order })?;
        }
        if (root.kappa - 1.0).abs() > 1e-6 {
            let op = AffineOp {
                x: value,
                axis: 0,
                scale: vec![root.kappa],
                shift: vec![0.0],
            };
            value = self.push(name, GraphOp::Affine(op))?;
        }
        match gains {
            Some(gains) => self.push(name, GraphOp::Affine(AffineOp { x: value, ..gains })),
            None => Ok(value),
        }
    }

    /// `e/Σe` for exponentials e.
    pub(super) fn softmax(
        &mut self,
        name: &str,
        e: ValueId,
        sum: ValueId,
    ) -> Result<Option<ValueId>, GraphError> {
        let spread = self.spread(sum);
        let points = [0.0, 0.5, 3.0, 900.0];
        let plain = spread.gains.is_none() && spread.formula.agrees(&points, |x| x);
        let (Some(axis), Some(reduced)) = (spread.axis, self.reduced(spread.source, false)) else {
            return Ok(None);
        };
        let Some(GraphOp::Unary { x: z, function }) = self.op(e) else {
            return Ok(None);
        };
        let exp = Formula::x().apply(Elementary::Exp);
        let powers = formula_of(function).agrees(&[-9.0, -1.0, 0.0, 0.5], |x| exp.of(x));
        let last = self.shape(e).len() - 1;
        if !plain || !powers || reduced.x != e || reduced.axis != axis || axis != last {
            return Ok(None);
        }
        let x = self.less_maximum(*z, axis);
        self.push(name, GraphOp::Softmax { x }).map(Some)
    }

    /// What a value is less its maximum of: a softmax sees no difference.
    fn less_maximum(&self, z: ValueId, axis: usize) -> ValueId {
        if let Some(GraphOp::Add {
            a,
            b,
            subtract: true,
        }) = self.op(z)
        {
            let spread = self.spread(*b);
            let same = spread.gains.is_none()
                && spread.axis == Some(axis)
                && spread.formula.agrees(&[-1e6, -2.0, 0.0, 5.0, 1e6], |x| x);
            let reduced = self.reduced(spread.source, true);
            if same && reduced.is_some_and(|r| r.x == *a && r.axis == axis) {
                return *a;
            }
        }
        z
    }
}

/// `κ` and `ε` if the formula of a sum of `count` squares is `κ/√(sum/count + ε)`.
fn root_of(formula: &Formula, count: f64) -> Option<Root> {
    // 1/f² is affine in the sum: its slope is 1/(κ²·count).
    let inverse = |sum: f64| {
        let value = formula.of(sum);
        1.0 / (value * value)
    };
    let offset = inverse(0.0);
    let slope = (inverse(10_000.0) - offset) / 10_000.0;
    let sound = slope > 0.0 && slope.is_finite() && offset >= 0.0 && formula.of(1.0) > 0.0;
    let fits = POINTS.iter().all(|&sum| {
        let expected = slope * sum + offset;
        (inverse(sum) - expected).abs() <= 1e-5 * expected
    });
    let square = 1.0 / (slope * count);
    (sound && fits).then(|| Root {
        kappa: square.sqrt(),
        epsilon: offset * square,
    })
}
