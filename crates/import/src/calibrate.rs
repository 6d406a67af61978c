//! What values a graph takes on a calibration set, and the scale that each is stored at.
//!
//! Positions are evaluated in parallel, but all that is kept of them are largest magnitudes and counts in bins whose edges are powers
//! of two apart: merging them is commutative, so that the result does not depend on how the work was shared out.

mod channels;

use credence_model::Tensors;
use rayon::prelude::*;

use crate::evaluate::{EvaluateError, Evaluator};
use crate::graph::{Graph, ValueId};
use crate::number::{exponent_over, floor_index, from_count, from_len, pow2};
use crate::positions::Positions;

use self::channels::Sums;

pub(crate) use self::channels::Channel;

/// Bins of a histogram. Its range is between one and two times the largest magnitude.
const BINS: usize = 2048;

/// Which part of a value's range its scale covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clipping {
    /// All of it: nothing of the calibration set saturates.
    Largest,
    /// 99.99 % of the elements.
    Percentile,
    /// As much as gives the least squared error, saturation included.
    LeastError,
}

impl Clipping {
    /// Its name, as in a model's provenance.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Largest => "largest",
            Self::Percentile => "percentile",
            Self::LeastError => "least-error",
        }
    }
}

/// Magnitudes of the elements of one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    max: f64,
    /// The least element, 0 if none is negative.
    least: f64,
    /// The bins cover `0 .. 2^exponent`.
    exponent: i32,
    bins: Vec<u64>,
    zeros: u64,
}

impl Histogram {
    const fn new() -> Self {
        Self {
            max: 0.0,
            least: 0.0,
            exponent: i32::MIN,
            bins: Vec::new(),
            zeros: 0,
        }
    }

    fn add(&mut self, x: f64) {
        self.least = self.least.min(x);
        let x = x.abs();
        if x < f64::MIN_POSITIVE {
            self.zeros += 1;
            return;
        }
        if x > self.max {
            self.max = x;
            self.widen(exponent_over(x));
        }
        let at = floor_index(x * (from_len(BINS) * pow2(-self.exponent)), BINS - 1);
        self.bins[at] += 1;
    }

    /// Makes the bins cover `0 .. 2^exponent` at least, folding neighbours together: the bins that result are the same whatever the order.
    fn widen(&mut self, exponent: i32) {
        if self.bins.is_empty() {
            self.bins = vec![0; BINS];
            self.exponent = exponent;
        }
        while self.exponent < exponent {
            for at in 0..BINS / 2 {
                self.bins[at] = self.bins[2 * at] + self.bins[2 * at + 1];
            }
            self.bins[BINS / 2..].fill(0);
            self.exponent += 1;
            if self.bins.iter().all(|&count| count == 0) {
                self.exponent = exponent;
            }
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.zeros += other.zeros;
        self.least = self.least.min(other.least);
        if other.bins.is_empty() {
            return;
        }
        let exponent = if self.bins.is_empty() {
            other.exponent
        } else {
            self.exponent.max(other.exponent)
        };
        self.widen(exponent);
        other.widen(exponent);
        for (bin, more) in self.bins.iter_mut().zip(other.bins) {
            *bin += more;
        }
        self.max = self.max.max(other.max);
    }

    /// Bins that hold something, as pairs (middle, count).
    fn filled(&self) -> impl Iterator<Item = (f64, f64)> {
        let width = pow2(self.exponent) / from_len(BINS);
        let filled = self
            .bins
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        filled.map(move |(at, &count)| ((from_len(at) + 0.5) * width, from_count(count)))
    }

    /// The largest magnitude that a symmetric scale of `levels` steps should reach.
    fn reach(&self, clipping: Clipping, levels: f64) -> f64 {
        match clipping {
            Clipping::Largest => self.max,
            Clipping::Percentile => self.percentile(),
            Clipping::LeastError => self.least_error(levels),
        }
    }

    /// What rounding to steps of this size up to a reach adds, as a share of the signal: squared errors over squares; 0 of nothing.
    fn noise(&self, step: f64, reach: f64) -> f64 {
        let (mut error, mut signal) = (0.0, 0.0);
        for (x, count) in self.filled() {
            let over = (x - reach).max(0.0);
            error += count * (over * over + step * step / 12.0);
            signal += count * x * x;
        }
        if signal > 0.0 { error / signal } else { 0.0 }
    }

    fn percentile(&self) -> f64 {
        let total = self.zeros + self.bins.iter().sum::<u64>();
        let allowed = total / 10_000;
        let mut above = 0;
        for (at, &count) in self.bins.iter().enumerate().rev() {
            above += count;
            if above > allowed {
                let edge = from_len(at + 1) * pow2(self.exponent) / from_len(BINS);
                return edge.min(self.max);
            }
        }
        self.max
    }

    /// Tries the largest magnitude and 48 smaller reaches down to a quarter of it; the largest of the best wins. Inside the
    /// reach an element errs by a twelfth of a squared step on average, outside by its distance from it.
    fn least_error(&self, levels: f64) -> f64 {
        let filled: Vec<(f64, f64)> = self.filled().collect();
        let (mut best, mut least) = (self.max, f64::INFINITY);
        for k in 0..=48_u32 {
            let reach = self.max * (1.0 - f64::from(k) / 64.0);
            let step = reach / levels;
            let error = filled.iter().fold(0.0, |sum, &(x, count)| {
                let over = (x - reach).max(0.0);
                sum + count * (over * over + step * step / 12.0)
            });
            if error < least {
                (best, least) = (reach, error);
            }
        }
        best
    }
}

/// What one feature, an element of an input of one axis, was on the calibration set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Feature {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

impl Feature {
    /// Largest magnitude.
    pub(crate) fn largest(self) -> f64 {
        self.max.abs().max(self.min.abs())
    }
}

/// What was observed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Observed {
    histograms: Vec<Histogram>,
    /// Of values that products read; empty for others.
    channels: Vec<Vec<Channel>>,
    features: Vec<Option<Vec<Feature>>>,
    /// For each input the largest e such that all its elements are multiples of 2^e; none if all are 0.
    grains: Vec<Option<i32>>,
}

impl Observed {
    /// Evaluates the graph on every position of a calibration set.
    pub(crate) fn new(graph: &Graph, calibration: &Tensors) -> Result<Self, EvaluateError> {
        let positions = Positions::new(graph, calibration)?;
        let evaluator = Evaluator::new(graph);
        let read = channels::read_by_products(graph);
        let empty = || vec![(Histogram::new(), Sums::default()); graph.nodes().len()];
        let observed = (0..positions.count())
            .into_par_iter()
            .try_fold(empty, |mut all, index| {
                let values = evaluator.position(index, positions.position(index))?;
                for ((at, (histogram, sums)), value) in all.iter_mut().enumerate().zip(values) {
                    if read[at] {
                        sums.add(graph, ValueId(at), &value);
                    }
                    value.into_iter().for_each(|x| histogram.add(x));
                }
                Ok::<_, EvaluateError>(all)
            })
            .try_reduce(empty, |mut all, more| {
                for ((histogram, sums), (other, more)) in all.iter_mut().zip(more) {
                    histogram.merge(other);
                    sums.merge(more);
                }
                Ok(all)
            })?;
        let (histograms, sums): (Vec<_>, Vec<_>) = observed.into_iter().unzip();
        let finish = |sums: Sums| sums.finish(positions.count());
        Ok(Self {
            histograms,
            channels: sums.into_iter().map(finish).collect(),
            features: features(graph, &positions),
            grains: grains(graph, &positions),
        })
    }

    /// The largest e such that all elements of an input are multiples of `2^e`.
    pub(crate) fn grain(&self, value: ValueId) -> Option<i32> {
        *self.grains.get(value.0)?
    }

    /// The least element of a value, 0 if none is negative.
    pub(crate) fn least(&self, value: ValueId) -> f64 {
        self.histograms[value.0].least
    }

    /// Largest magnitude of a value.
    pub(crate) fn max(&self, value: ValueId) -> f64 {
        self.histograms[value.0].max
    }

    /// The magnitude that a symmetric scale of `levels` steps for this value should reach.
    pub(crate) fn reach(&self, value: ValueId, clipping: Clipping, levels: f64) -> f64 {
        self.histograms[value.0].reach(clipping, levels)
    }

    /// What storing a value in steps of this size up to a reach adds, as a share of its signal.
    pub(crate) fn noise(&self, value: ValueId, step: f64, reach: f64) -> f64 {
        self.histograms[value.0].noise(step, reach)
    }

    /// Channels of a value that a product reads.
    pub(crate) fn channels(&self, value: ValueId) -> &[Channel] {
        self.channels.get(value.0).map_or(&[], Vec::as_slice)
    }

    /// Features of an input of one axis.
    pub(crate) fn features(&self, value: ValueId) -> Option<&[Feature]> {
        self.features.get(value.0)?.as_deref()
    }
}

fn grains(graph: &Graph, positions: &Positions<'_>) -> Vec<Option<i32>> {
    let mut grains: Vec<Option<i32>> = vec![None; graph.inputs().len()];
    for index in 0..positions.count() {
        for (grain, values) in grains.iter_mut().zip(positions.position(index)) {
            for own in values.into_iter().filter_map(grain_of) {
                *grain = Some(grain.map_or(own, |grain| grain.min(own)));
            }
        }
    }
    grains
}

/// The exponent of the lowest bit of a normal number.
fn grain_of(x: f64) -> Option<i32> {
    let significand = (x.to_bits() & ((1 << 52) - 1)) | (1 << 52);
    let zeros = i32::try_from(significand.trailing_zeros()).unwrap_or(0);
    (x.abs() >= f64::MIN_POSITIVE).then(|| exponent_over(x.abs()) - 1 - 52 + zeros)
}

/// Extremes and sums of one feature.
#[derive(Clone, Copy)]
struct Moments {
    min: f64,
    max: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    const NONE: Self = Self {
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        sum: 0.0,
        squares: 0.0,
    };

    fn add(&mut self, x: f64) {
        self.min = self.min.min(x);
        self.max = self.max.max(x);
        self.sum += x;
        self.squares += x * x;
    }

    fn finish(self, count: f64) -> Feature {
        let mean = self.sum / count;
        Feature {
            min: self.min,
            max: self.max,
            mean,
            variance: (self.squares / count - mean * mean).max(0.0),
        }
    }
}

/// Features of all inputs of one axis, summed in the order of positions.
fn features(graph: &Graph, positions: &Positions<'_>) -> Vec<Option<Vec<Feature>>> {
    let empty = |shape: &Vec<usize>| (shape.len() == 1).then(|| vec![Moments::NONE; shape[0]]);
    let inputs = graph.inputs().iter();
    let mut sums: Vec<Option<Vec<Moments>>> = inputs.map(|input| empty(&input.shape)).collect();
    for index in 0..positions.count() {
        for (sums, values) in sums.iter_mut().zip(positions.position(index)) {
            let sums = sums.iter_mut().flatten();
            sums.zip(values).for_each(|(moments, x)| moments.add(x));
        }
    }
    let count = from_len(positions.count());
    let finish = |sums: Vec<Moments>| sums.into_iter().map(|m| m.finish(count)).collect();
    sums.into_iter().map(|sums| sums.map(finish)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&x| histogram.add(x));
        histogram
    }

    #[test]
    fn one_outlier_in_many_is_clipped_and_a_uniform_range_is_not() {
        let uniform: Vec<f64> = (1..=1000_u32).map(|k| f64::from(k) / 1000.0).collect();
        assert_eq!(histogram(&uniform).reach(Clipping::LeastError, 127.0), 1.0);
        let mut outlier = uniform.repeat(100);
        outlier.push(4.0);
        let reach = histogram(&outlier).reach(Clipping::LeastError, 127.0);
        assert!((2.0..3.0).contains(&reach), "{reach}");
        assert_eq!(histogram(&outlier).reach(Clipping::Largest, 127.0), 4.0);
        let percentile = histogram(&outlier).reach(Clipping::Percentile, 127.0);
        assert!((0.99..1.01).contains(&percentile), "{percentile}");
    }

    #[test]
    fn grains_are_lowest_bits() {
        let cases = [(1.0, 0), (-3.0, 0), (12.0, 2), (0.0625, -4), (1.5, -1)];
        for (x, expected) in cases {
            assert_eq!(grain_of(x), Some(expected), "{x}");
        }
        assert_eq!(grain_of(0.0), None);
    }

    #[test]
    fn nothing_but_zeros_reaches_nowhere() {
        for clipping in [
            Clipping::Largest,
            Clipping::Percentile,
            Clipping::LeastError,
        ] {
            assert_eq!(histogram(&[0.0, -0.0]).reach(clipping, 127.0), 0.0);
        }
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_how_elements_are_shared_out(
            values in proptest::collection::vec((-30_i32..30, 0.5_f64..1.0), 1..60),
            cut in 0_usize..60,
        ) {
            let values: Vec<f64> = values.into_iter().map(|(e, x)| x * pow2(e)).collect();
            let cut = cut.min(values.len());
            let mut parts = histogram(&values[cut..]);
            parts.merge(histogram(&values[..cut]));
            prop_assert_eq!(parts, histogram(&values));
        }
    }
}
