//! A function of one real number as a short straight-line program: what a table is made of when a model's own functions, or a chain of simple steps on one
//! value, are no function with a name here.
//!
//! Evaluated in f64 with exactly rounded operations and the `libm` crate, so that the same formula gives the same table on every target. It knows nothing of ranges:
//! where it has no value (the logarithm of −1) it gives NaN, and whoever makes a table of it says what stands there.

use crate::number::pow2;

/// Most steps of a formula: what is longer stays apart.
pub(crate) const STEPS_MAX: usize = 64;

/// A function of one number with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elementary {
    /// Magnitude.
    Abs,
    /// Gauss's error function.
    Erf,
    /// `e^x`.
    Exp,
    /// The largest integer not above x.
    Floor,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// −1, 0 or 1.
    Sign,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// `1 / (1 + e^−x)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

/// A step that combines two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// `a + b`.
    Add,
    /// `a − b`.
    Subtract,
    /// `a·b`.
    Multiply,
    /// `a/b`.
    Divide,
    /// `a^b`.
    Power,
    /// The smaller.
    Minimum,
    /// The larger.
    Maximum,
    /// 1 if `a = b`, else 0.
    Equal,
    /// 1 if `a < b`, else 0.
    Less,
}

/// A step: what it computes from results before it. Result 0 is x itself, result k that of step k − 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Constant(f64),
    Elementary(Elementary, usize),
    Combination(Combination, usize, usize),
}

/// A function of one number; its value is the result of its last step, x if it has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formula {
    steps: Vec<Step>,
}

/// Builds formulas: operands are formulas of the same x.
impl Formula {
    /// `x`.
    #[must_use]
    pub const fn x() -> Self {
        Self { steps: Vec::new() }
    }

    /// A number, whatever x is.
    #[must_use]
    pub fn constant(value: f64) -> Self {
        Self {
            steps: vec![Step::Constant(value)],
        }
    }

    /// `function(self)`.
    #[must_use]
    pub fn apply(mut self, function: Elementary) -> Self {
        self.steps
            .push(Step::Elementary(function, self.steps.len()));
        self
    }

    /// `self` and `other` combined.
    #[must_use]
    pub fn with(mut self, how: Combination, other: &Self) -> Self {
        let first = self.steps.len();
        let second = self.append(other, 0);
        self.steps.push(Step::Combination(how, first, second));
        self
    }

    /// As [`Self::with`], with a number.
    #[must_use]
    pub fn with_number(self, how: Combination, number: f64) -> Self {
        self.with(how, &Self::constant(number))
    }

    /// `self·scale + shift`.
    #[must_use]
    pub fn scaled(self, scale: f64, shift: f64) -> Self {
        let scaled = if scale.to_bits() == 1.0_f64.to_bits() {
            self
        } else {
            self.with_number(Combination::Multiply, scale)
        };
        if shift == 0.0 {
            scaled
        } else {
            scaled.with_number(Combination::Add, shift)
        }
    }

    /// `min(max(self, low), high)`; infinite ends are none.
    #[must_use]
    pub fn clipped(self, low: f64, high: f64) -> Self {
        let above = if low == f64::NEG_INFINITY {
            self
        } else {
            self.with_number(Combination::Maximum, low)
        };
        if high == f64::INFINITY {
            above
        } else {
            above.with_number(Combination::Minimum, high)
        }
    }

    /// `outer(self(x))`.
    #[must_use]
    pub fn then(mut self, outer: &Self) -> Self {
        let inner = self.steps.len();
        self.append(outer, inner);
        self
    }

    /// Appends another's steps, its x being result `x`; returns where its value stands.
    fn append(&mut self, other: &Self, x: usize) -> usize {
        let before = self.steps.len();
        let moved = |at: usize| if at == 0 { x } else { at + before };
        self.steps
            .extend(other.steps.iter().map(|step| match *step {
                Step::Constant(value) => Step::Constant(value),
                Step::Elementary(function, at) => Step::Elementary(function, moved(at)),
                Step::Combination(how, a, b) => Step::Combination(how, moved(a), moved(b)),
            }));
        moved(other.steps.len())
    }

    /// Number of steps.
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The numbers it holds.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f64> {
        self.steps.iter().filter_map(|step| match step {
            Step::Constant(value) => Some(*value),
            Step::Elementary(..) | Step::Combination(..) => None,
        })
    }

    /// Its value at x.
    #[must_use]
    pub fn of(&self, x: f64) -> f64 {
        let mut results = Vec::with_capacity(self.steps.len() + 1);
        results.push(x);
        for step in &self.steps {
            results.push(match *step {
                Step::Constant(value) => value,
                Step::Elementary(function, at) => function.of(results[at]),
                Step::Combination(how, a, b) => how.of(results[a], results[b]),
            });
        }
        results.last().copied().unwrap_or(x)
    }

    /// Whether it gives these values, to within a hundred-thousandth.
    pub(crate) fn agrees(&self, points: &[f64], with: impl Fn(f64) -> f64) -> bool {
        points.iter().all(|&x| {
            let (own, other) = (self.of(x), with(x));
            (own - other).abs() <= 1e-5 * other.abs().max(pow2(-60))
        })
    }
}

impl Elementary {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Abs => x.abs(),
            Self::Erf => libm::erf(x),
            Self::Exp => libm::exp(x),
            Self::Floor => x.floor(),
            Self::Log => libm::log(x),
            Self::Sqrt => x.sqrt(),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Sin => libm::sin(x),
            Self::Cos => libm::cos(x),
            Self::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Self::Tanh => libm::tanh(x),
        }
    }
}

impl Combination {
    fn of(self, a: f64, b: f64) -> f64 {
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Power => libm::pow(a, b),
            Self::Minimum => a.min(b),
            Self::Maximum => a.max(b),
            Self::Equal => truth(a.total_cmp(&b).is_eq() || (a == 0.0 && b == 0.0)),
            Self::Less => truth(a < b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_compose() {
        use Combination::{Add, Divide, Multiply};
        // x·(clip(x + 3, 0, 6)/6)
        let gate = Formula::x()
            .scaled(1.0, 3.0)
            .clipped(0.0, 6.0)
            .with_number(Divide, 6.0);
        let swish = Formula::x().with(Multiply, &gate);
        for (x, y) in [(-4.0, 0.0), (0.0, 0.0), (4.0, 4.0), (-1.5, -0.375)] {
            assert_eq!(swish.of(x), y, "{x}");
        }
        let doubled = Formula::x().scaled(2.0, 1.0);
        assert_eq!(doubled.clone().then(&swish).of(1.0), swish.of(3.0));
        let sum = doubled.clone().with(Add, &doubled.clone().then(&doubled));
        assert_eq!(sum.of(1.0), 3.0 + 7.0);
        assert_eq!(Formula::x().then(&Formula::x()).of(5.0), 5.0);
        assert!(swish.agrees(&[1.0, 7.0], |x| x * ((x + 3.0).min(6.0) / 6.0)));
    }
}
