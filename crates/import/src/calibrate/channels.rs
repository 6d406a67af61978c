//! What each channel of a product's operand is on the calibration set: its mean, its mean square, its largest magnitude.
//!
//! Positions come in any order, so sums are of integers: each position's means in steps of 2^−40. Channels are the first axis of an image, the last of anything else.

use crate::graph::{Graph, GraphOp, ValueId};
use crate::number::{from_len, pow2};
use crate::producer::feed;

/// Steps of the means of positions.
const STEP_BITS: i32 = 40;
/// Largest mean of a position that is counted in full: 2^40 positions of it fit the sum.
const MEAN_MAX: f64 = 1_152_921_504_606_846_976.0;

/// One channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Channel {
    pub(crate) mean: f64,
    /// Mean of squares.
    pub(crate) power: f64,
    /// Largest magnitude.
    pub(crate) largest: f64,
}

/// Sums over positions for one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    means: Vec<i128>,
    powers: Vec<i128>,
    largest: Vec<f64>,
}

/// For each value, whether it is read by a product.
pub(super) fn read_by_products(graph: &Graph) -> Vec<bool> {
    let mut read = vec![false; graph.nodes().len()];
    for value in graph.values() {
        if let GraphOp::Linear(_) | GraphOp::Conv(_) = graph.node(value).op() {
            read[feed(graph, value).0.0] = true;
        }
    }
    read
}

/// The number of channels of a value, and how many elements lie side by side in one.
fn layout(graph: &Graph, value: ValueId) -> (usize, usize) {
    match *graph.node(value).shape() {
        [channels, height, width] => (channels, height * width),
        [.., channels] => (channels, 1),
        [] => (1, 1),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "no conversion from f64 to i128 is infallible; the number is clamped to 2^100 first"
)]
fn steps(x: f64) -> i128 {
    (x.clamp(-MEAN_MAX, MEAN_MAX) * pow2(STEP_BITS)).round() as i128
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the nearest f64 of a sum is what is wanted, the same on every target"
)]
fn mean(sum: i128, count: f64) -> f64 {
    (sum as f64) / count * pow2(-STEP_BITS)
}

impl Sums {
    /// Adds one position.
    pub(super) fn add(&mut self, graph: &Graph, value: ValueId, elements: &[f64]) {
        let (channels, inner) = layout(graph, value);
        let mut all = vec![(0.0, 0.0, 0.0_f64); channels];
        for (run, part) in elements.chunks_exact(inner).enumerate() {
            let (sum, squares, largest) = &mut all[run % channels];
            for &x in part {
                *sum += x;
                *squares += x * x;
                *largest = largest.max(x.abs());
            }
        }
        let count = from_len(elements.len() / channels.max(1));
        self.merge(Self {
            means: all.iter().map(|c| steps(c.0 / count)).collect(),
            powers: all.iter().map(|c| steps(c.1 / count)).collect(),
            largest: all.iter().map(|c| c.2).collect(),
        });
    }

    /// Adds what others have summed.
    pub(super) fn merge(&mut self, other: Self) {
        if self.means.is_empty() {
            *self = other;
            return;
        }
        let add = |own: &mut Vec<i128>, more: Vec<i128>| {
            own.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        };
        if !other.means.is_empty() {
            add(&mut self.means, other.means);
            add(&mut self.powers, other.powers);
            let pairs = self.largest.iter_mut().zip(other.largest);
            pairs.for_each(|(own, more)| *own = own.max(more));
        }
    }

    /// The channels, over this many positions.
    pub(super) fn finish(self, positions: usize) -> Vec<Channel> {
        let count = from_len(positions);
        let sums = self.means.into_iter().zip(self.powers).zip(self.largest);
        sums.map(|((sum, power), largest)| Channel {
            mean: mean(sum, count),
            power: mean(power, count),
            largest,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::GraphBuilder;
    use credence_model::BorderType;

    #[test]
    fn channels_are_the_first_axis_of_an_image_and_sums_do_not_depend_on_order() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", BorderType::Fp32, vec![2, 1, 2]).unwrap();
        builder.output("y", x).unwrap();
        let graph = builder.finish().unwrap();
        let positions = [[1.0, 3.0, -8.0, 0.1], [2.0, 0.3, 0.7, 1e-3]];
        let sums = |order: [usize; 2]| {
            let mut all = Sums::default();
            for at in order {
                all.add(&graph, x, &positions[at]);
            }
            all.finish(2)
        };
        let [first, second] = sums([0, 1])[..] else {
            panic!("two channels")
        };
        assert_eq!(sums([1, 0]), [first, second]);
        assert!((first.mean - 6.3 / 4.0).abs() < 1e-9, "{first:?}");
        assert!((first.power - 14.09 / 4.0).abs() < 1e-9, "{first:?}");
        assert_eq!((first.largest, second.largest), (3.0, 8.0));
    }
}
