//! Interval arithmetic over a program with its weights: no value can leave its type, whatever the input.
//!
//! The rules are those of `docs/spec/arithmetic.md`, section 8. They are upper bounds, worked out per row for matrix products (from the
//! weights' signs) and per node else. A program that does not pass is refused, never wrapped.

mod language;
mod tensor;

use credence_exact::{
    ACCUMULATOR_LIMIT, Add, Conv, GatherSum, Linear, Op, ParamId, Rescale, RescaleError, Shift,
    Softmax, Table, TreeLeaves, clamp, rescale,
};

use crate::Interval;
use crate::forest;
use crate::params::{ParamBytes, ParamView};
use crate::program::Program;
use crate::spec::{Encode, NodeSpec, OutputSpec};

/// A bound that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// A node's cells could leave the node's type.
    #[error(
        "node `{node}` may hold {min}..={max}, which its type does not: use smaller weights or scales"
    )]
    Value {
        /// The node.
        node: String,
        /// Smallest possible value.
        min: i64,
        /// Largest possible value.
        max: i64,
    },
    /// An accumulator could reach 2³¹.
    #[error(
        "an accumulator of node `{node}` may reach {magnitude}, the limit is 2^31: split the sum or use smaller weights"
    )]
    Accumulator {
        /// The node.
        node: String,
        /// Largest possible magnitude.
        magnitude: i128,
    },
    /// A rescaled sum could reach 2⁶².
    #[error("node `{node}` rescales outside its range")]
    Rescale {
        /// The node.
        node: String,
        /// The sum.
        #[source]
        source: RescaleError,
    },
    /// A sum that is divided, or whose root is taken, could reach 2⁶².
    #[error(
        "a sum of node `{node}` may reach {magnitude}, the limit is 2^62: use smaller weights or scales"
    )]
    Sum {
        /// The node.
        node: String,
        /// Largest possible magnitude.
        magnitude: i128,
    },
    /// A value could be outside the table or list it selects from.
    #[error("node `{node}` selects entry {min}..={max} of {what}, which has {length}")]
    Selection {
        /// The selecting node or output.
        node: String,
        /// What it selects from.
        what: &'static str,
        /// Smallest possible index.
        min: i64,
        /// Largest possible index.
        max: i64,
        /// Number of entries.
        length: usize,
    },
    /// A parameter breaks what its op asks of it.
    #[error("node `{node}`: {what} may not be {got}")]
    Parameter {
        /// The node.
        node: String,
        /// Which entry.
        what: &'static str,
        /// Its value.
        got: i64,
    },
}

struct Bounder<'a> {
    program: &'a Program,
    params: &'a [ParamBytes],
    known: Vec<Interval>,
    node: &'a NodeSpec,
}

/// The bounds of every node, in order.
///
/// # Errors
/// [`BoundsError`], naming the first node that does not fit.
pub(crate) fn bounds(
    program: &Program,
    params: &[ParamBytes],
) -> Result<Vec<Interval>, BoundsError> {
    let mut known = Vec::with_capacity(program.spec().nodes.len());
    for node in &program.spec().nodes {
        let bounder = Bounder {
            program,
            params,
            known,
            node,
        };
        let interval = bounder.node_bounds()?;
        let (min, max) = node.dtype.range();
        if interval.min < min || interval.max > max {
            return Err(BoundsError::Value {
                node: node.name.clone(),
                min: interval.min,
                max: interval.max,
            });
        }
        known = bounder.known;
        known.push(interval);
    }
    for output in &program.spec().outputs {
        check_output(output, &known)?;
    }
    Ok(known)
}

fn check_output(output: &OutputSpec, known: &[Interval]) -> Result<(), BoundsError> {
    let crate::Decode::Lookup { values } = &output.decode else {
        return Ok(());
    };
    let interval = usize::try_from(output.node.0)
        .ok()
        .and_then(|at| known.get(at))
        .copied();
    let interval = interval.unwrap_or(Interval {
        min: i64::MIN,
        max: i64::MAX,
    });
    selects(&output.name, "its lookup", interval, values.len())
}

fn selects(
    node: &str,
    what: &'static str,
    interval: Interval,
    length: usize,
) -> Result<(), BoundsError> {
    let inside = interval.min >= 0 && usize::try_from(interval.max).is_ok_and(|max| max < length);
    let Interval { min, max } = interval;
    if inside {
        Ok(())
    } else {
        Err(BoundsError::Selection {
            node: node.to_owned(),
            what,
            min,
            max,
            length,
        })
    }
}

/// The products of an interval with a factor ≥ 0 or < 0, summed by the caller.
fn times(x: Interval, factor: i128) -> (i128, i128) {
    let ends = (i128::from(x.min) * factor, i128::from(x.max) * factor);
    (ends.0.min(ends.1), ends.0.max(ends.1))
}

/// Lanes of [`sums`], and how often each may be added to: 255·128 fits 16 bits.
const LANES: usize = 32;
const ADDS_MAX: usize = 255;

/// The sum of a row's positive 8-bit weights and that of its negative ones. In lanes of 16 bits, which compilers turn into vectors.
fn sums(row: &[u8]) -> (i64, i64) {
    let (mut positive, mut negative) = (0_i64, 0_i64);
    for run in row.chunks(LANES * ADDS_MAX) {
        let (mut above, mut below) = ([0_i16; LANES], [0_i16; LANES]);
        let groups = run.chunks_exact(LANES);
        for &byte in groups.remainder() {
            let w = i64::from(i8::from_le_bytes([byte]));
            positive += w.max(0);
            negative += w.min(0);
        }
        for group in groups {
            for ((above, below), &byte) in above.iter_mut().zip(&mut below).zip(group) {
                let w = i16::from(i8::from_le_bytes([byte]));
                *above += w.max(0);
                *below += w.min(0);
            }
        }
        positive += above.into_iter().map(i64::from).sum::<i64>();
        negative += below.into_iter().map(i64::from).sum::<i64>();
    }
    (positive, negative)
}

fn hull(a: Interval, b: Interval) -> Interval {
    Interval {
        min: a.min.min(b.min),
        max: a.max.max(b.max),
    }
}

impl Bounder<'_> {
    fn node_bounds(&self) -> Result<Interval, BoundsError> {
        match &self.node.op {
            Op::Input(op) => Ok(self.input(op.index)),
            Op::Linear(op) => self.linear(op),
            Op::Conv(op) => self.conv(op),
            Op::Rescale(op) => self.rescale(op),
            Op::Add(op) => self.add(op),
            Op::Table(op) => self.table(op),
            Op::MaxPool(op) => Ok(self.of(op.x)),
            Op::SumPool(op) => {
                let cells: i128 = op.window.kernel.into_iter().map(i128::from).product();
                let x = hull(self.of(op.x), Interval { min: 0, max: 0 });
                let (min, max) = times(x, cells);
                self.accumulator(min, max)
            }
            Op::Reindex(op) => Ok(self.of(op.x)),
            Op::Concat(op) => {
                let all = op.xs.iter().map(|&x| self.of(x)).reduce(hull);
                Ok(all.unwrap_or(Interval { min: 0, max: 0 }))
            }
            Op::Softmax(op) => self.softmax(op),
            Op::ArgMax(op) => {
                let length = self
                    .program
                    .shape(op.x)
                    .map_or(1, credence_exact::Shape::last);
                Ok(Interval {
                    min: 0,
                    max: i64::try_from(length).unwrap_or(i64::MAX) - 1,
                })
            }
            Op::TreeLeaves(op) => self.tree_leaves(op),
            Op::GatherSum(op) => self.gather_sum(op),
            Op::Token(_) => Ok(self.token()),
            Op::Position(_) => Ok(self.position()),
            Op::Embed(op) => self.embed(op),
            Op::MaxAbs(op) => Ok(self.max_abs(op.x)),
            Op::Quantise(op) => self.quantise(op),
            Op::RmsRatio(op) => self.rms_ratio(op),
            Op::Mul(op) => self.mul(op),
            Op::Rope(op) => self.rope(op),
            Op::Scores(op) => self.scores(op),
            Op::Attend(op) => self.attend(op),
            Op::Hadamard(op) => self.hadamard(op),
            Op::Gather(op) => self.gather(op),
            Op::MatMul(op) => self.mat_mul(op),
            Op::Divide(op) => self.divide(op),
        }
    }

    fn of(&self, node: credence_exact::NodeId) -> Interval {
        let known = usize::try_from(node.0)
            .ok()
            .and_then(|at| self.known.get(at));
        known.copied().unwrap_or(Interval {
            min: i64::MIN,
            max: i64::MAX,
        })
    }

    /// A parameter, which a checked program has.
    fn param(&self, param: ParamId) -> Option<ParamView<'_>> {
        let at = usize::try_from(param.0).ok()?;
        let spec = self.program.spec().params.get(at)?;
        Some(ParamView::new(
            spec.dtype,
            self.program.param_shape(param)?,
            self.params.get(at)?,
        ))
    }

    fn values(&self, param: ParamId) -> Vec<i64> {
        self.param(param)
            .map(|view| view.values().collect())
            .unwrap_or_default()
    }

    fn parameter(&self, what: &'static str, got: i64) -> BoundsError {
        BoundsError::Parameter {
            node: self.node.name.clone(),
            what,
            got,
        }
    }

    fn accumulator(&self, min: i128, max: i128) -> Result<Interval, BoundsError> {
        let magnitude = min.abs().max(max.abs());
        if magnitude >= i128::from(ACCUMULATOR_LIMIT) {
            return Err(BoundsError::Accumulator {
                node: self.node.name.clone(),
                magnitude,
            });
        }
        let narrow = |n: i128| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(Interval {
            min: narrow(min),
            max: narrow(max),
        })
    }

    fn input(&self, index: u32) -> Interval {
        let encode = usize::try_from(index)
            .ok()
            .and_then(|at| self.program.spec().inputs.get(at))
            .map(|i| &i.encode);
        let (min, max) = match encode {
            Some(Encode::Quantise { min, max, .. } | Encode::Integer { min, max }) => (*min, *max),
            Some(Encode::OrderKey {}) | None => (-i32::MAX, i32::MAX),
        };
        Interval {
            min: min.into(),
            max: max.into(),
        }
    }

    /// `bias[r] + Σ w·x` over all rows, for every x in the interval: positive weights with one end, negative with the other.
    fn rows(
        &self,
        x: Interval,
        weight: ParamId,
        bias: Option<ParamId>,
    ) -> Result<Interval, BoundsError> {
        let Some(view) = self.param(weight) else {
            return Err(self.parameter("an absent weight", 0));
        };
        let rows = view.shape().dims().first().copied().unwrap_or(1);
        let row_bytes = (view.bytes().len() / rows).max(1);
        let bias = bias.map(|bias| self.values(bias));
        let (mut low, mut high) = (i128::MAX, i128::MIN);
        for (r, row) in view.bytes().chunks_exact(row_bytes).enumerate() {
            let (positive, negative) = sums(row);
            let bias = i128::from(bias.as_ref().and_then(|b| b.get(r)).copied().unwrap_or(0));
            let (up, down) = (times(x, positive.into()), times(x, negative.into()));
            low = low.min(bias + up.0 + down.0);
            high = high.max(bias + up.1 + down.1);
        }
        self.accumulator(low, high)
    }

    fn linear(&self, op: &Linear) -> Result<Interval, BoundsError> {
        self.rows(self.of(op.x), op.weight, op.bias)
    }

    /// As [`Self::linear`]; where the window leaves x, cells count as 0, so 0 is one of the values.
    fn conv(&self, op: &Conv) -> Result<Interval, BoundsError> {
        let x = self.of(op.x);
        let padded = op.window.pad.iter().any(|&pad| pad > 0);
        self.rows(
            if padded {
                hull(x, Interval { min: 0, max: 0 })
            } else {
                x
            },
            op.weight,
            op.bias,
        )
    }

    fn rounded(&self, sum: i128, shift: Shift) -> Result<i64, BoundsError> {
        // Products of a value with a multiplier are below 2^62 each, so a sum of two is an i64.
        let sum = i64::try_from(sum).map_err(|_| RescaleError::Sum { got: sum });
        let rounded = sum.and_then(|sum| rescale(sum, shift));
        rounded.map_err(|source| BoundsError::Rescale {
            node: self.node.name.clone(),
            source,
        })
    }

    fn rescaled(
        &self,
        sums: [i128; 2],
        shift: Shift,
        clamps: (i32, i32),
    ) -> Result<Interval, BoundsError> {
        Ok(Interval {
            min: clamp(self.rounded(sums[0], shift)?, clamps.0, clamps.1),
            max: clamp(self.rounded(sums[1], shift)?, clamps.0, clamps.1),
        })
    }

    fn rescale(&self, op: &Rescale) -> Result<Interval, BoundsError> {
        let multipliers = self.values(op.multiplier);
        if let Some(&got) = multipliers.iter().find(|&&m| m < 0) {
            return Err(self.parameter("a multiplier", got));
        }
        let least = multipliers.iter().copied().min().unwrap_or(0);
        let most = multipliers.iter().copied().max().unwrap_or(0);
        let (a, b) = (
            times(self.of(op.x), least.into()),
            times(self.of(op.x), most.into()),
        );
        self.rescaled([a.0.min(b.0), a.1.max(b.1)], op.shift, (op.min, op.max))
    }

    fn add(&self, op: &Add) -> Result<Interval, BoundsError> {
        let sign = if op.negate_b { -1 } else { 1 };
        let a = times(self.of(op.a), op.a_multiplier.get().into());
        let b = times(self.of(op.b), i128::from(sign * op.b_multiplier.get()));
        self.rescaled([a.0 + b.0, a.1 + b.1], op.shift, (op.min, op.max))
    }

    fn table(&self, op: &Table) -> Result<Interval, BoundsError> {
        let entries = self.values(op.table);
        let x = self.of(op.x);
        let base = i64::from(op.base);
        let entry = Interval {
            min: x.min.saturating_sub(base),
            max: x.max.saturating_sub(base),
        };
        selects(&self.node.name, "its table", entry, entries.len())?;
        let range =
            usize::try_from(entry.min).unwrap_or(0)..=usize::try_from(entry.max).unwrap_or(0);
        let reached = entries.get(range).unwrap_or_default();
        Ok(Interval {
            min: reached.iter().copied().min().unwrap_or(0),
            max: reached.iter().copied().max().unwrap_or(0),
        })
    }

    fn softmax(&self, op: &Softmax) -> Result<Interval, BoundsError> {
        let exp = self.values(op.exp);
        if let Some(&got) = exp.iter().find(|&&e| !(0..=1 << 24).contains(&e)) {
            return Err(self.parameter("an entry of exp", got));
        }
        match exp.first() {
            Some(&first) if first > 0 => Ok(Interval {
                min: 0,
                max: 1 << op.bits,
            }),
            _ => Err(self.parameter("the first entry of exp", 0)),
        }
    }

    fn tree_leaves(&self, op: &TreeLeaves) -> Result<Interval, BoundsError> {
        let features = self
            .program
            .shape(op.x)
            .map_or(0, credence_exact::Shape::cells);
        let last = forest::check(
            &self.values(op.nodes),
            &self.values(op.roots),
            features,
            op.depth,
        );
        let max = last.map_err(|bad| self.parameter(bad.what, bad.got))?;
        Ok(Interval { min: 0, max })
    }

    /// Every term between the smallest and the largest entry of its column.
    fn gather_sum(&self, op: &GatherSum) -> Result<Interval, BoundsError> {
        let Some(view) = self.param(op.table) else {
            return Err(self.parameter("an absent table", 0));
        };
        let (width, rows) = (
            view.shape().last(),
            view.shape().dims().first().copied().unwrap_or(0),
        );
        selects(&self.node.name, "its table", self.of(op.x), rows)?;
        let terms = self
            .program
            .shape(op.x)
            .map_or(0, credence_exact::Shape::cells);
        let terms = i128::try_from(terms).unwrap_or(i128::MAX);
        let mut columns = vec![(i64::MAX, i64::MIN); width];
        for (at, value) in view.values().enumerate() {
            if let Some(column) = columns.get_mut(at % width) {
                *column = (column.0.min(value), column.1.max(value));
            }
        }
        let bias = op.bias.map(|bias| self.values(bias)).unwrap_or_default();
        let (mut low, mut high) = (i128::MAX, i128::MIN);
        for (k, (least, most)) in columns.into_iter().enumerate() {
            let bias = i128::from(bias.get(k).copied().unwrap_or(0));
            low = low.min(bias + terms * i128::from(least));
            high = high.max(bias + terms * i128::from(most));
        }
        self.accumulator(low, high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(row: &[u8]) -> (i64, i64) {
        let values = row.iter().map(|&b| i64::from(i8::from_le_bytes([b])));
        values.fold((0, 0), |(p, n), w| (p + w.max(0), n + w.min(0)))
    }

    #[test]
    fn sums_of_the_largest_weights_do_not_wrap() {
        for byte in [0x80, 0x7f, 0xff] {
            for len in [0, 1, 31, 32, 33, 32 * 255, 32 * 255 + 1, 40_000] {
                let row = vec![byte; len];
                assert_eq!(sums(&row), plain(&row), "{len} times {byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn sums_are_those_of_one_weight_after_the_other(row in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            prop_assert_eq!(sums(&row), plain(&row));
        }
    }
}
