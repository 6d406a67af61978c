//! Convolution without packing, its lanes along the outputs: for one input channel per output channel, and for geometries whose
//! padded copy or packed weights would be out of proportion to the model.

use super::{Axis, Place, Position};
use crate::cells::{CHUNK, Cells};

/// A convolution that stores its sums.
pub(crate) struct DirectConv {
    pub(crate) x: Place,
    pub(crate) y: Place,
    /// Vertical, horizontal.
    pub(crate) axes: [Axis; 2],
    /// Channels of x.
    pub(crate) channels: usize,
    /// Channels of x that one output reads.
    pub(crate) depth: usize,
    /// `[KH, KW, depth, O]`.
    pub(crate) weights: Vec<i8>,
    pub(crate) bias: Vec<i32>,
}

impl DirectConv {
    /// Weights `[O, rest]` as `[rest, O]`.
    pub(crate) fn turn(weights: &[i8], outputs: usize) -> Vec<i8> {
        let row = weights.len() / outputs;
        let entry = |k| (0..outputs).map(move |output| weights[output * row + k]);
        (0..row).flat_map(entry).collect()
    }

    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others) = at.write(self.y);
        // A checked program has 8-bit operands here.
        let Cells::I8(x) = others.read(self.x) else {
            return;
        };
        let [vertical, horizontal] = &self.axes;
        let outputs = self.bias.len();
        let mut sums = [0_i32; CHUNK];
        for i in 0..vertical.windows {
            for j in 0..horizontal.windows {
                for first in (0..outputs).step_by(CHUNK) {
                    let sums = &mut sums[..CHUNK.min(outputs - first)];
                    sums.copy_from_slice(&self.bias[first..][..sums.len()]);
                    self.window(x, (i, j), first, sums);
                    y.narrow((i * horizontal.windows + j) * outputs + first, sums);
                }
            }
        }
    }

    /// Adds what the window's cells give to the outputs from `first` on.
    #[inline(always)]
    fn window(&self, x: &[i8], (i, j): (usize, usize), first: usize, sums: &mut [i32]) {
        let [vertical, horizontal] = &self.axes;
        let outputs = self.bias.len();
        let one_to_one = self.depth == 1 && self.channels == outputs;
        let outputs_per_group = outputs * self.depth / self.channels;
        let (rows, top) = vertical.inside(i);
        let (columns, left) = horizontal.inside(j);
        for u in rows.clone() {
            let row = top + (u - rows.start) * vertical.dilation;
            for v in columns.clone() {
                let column = left + (v - columns.start) * horizontal.dilation;
                let pixel =
                    &x[(row * horizontal.length + column) * self.channels..][..self.channels];
                for c in 0..self.depth {
                    let tap = (u * horizontal.kernel + v) * self.depth + c;
                    let weights = &self.weights[tap * outputs + first..][..sums.len()];
                    if one_to_one {
                        for ((sum, w), x) in sums.iter_mut().zip(weights).zip(&pixel[first..]) {
                            *sum = sum.wrapping_add(i32::from(*w) * i32::from(*x));
                        }
                    } else {
                        for ((sum, w), output) in sums.iter_mut().zip(weights).zip(first..) {
                            let x = pixel[output / outputs_per_group * self.depth + c];
                            *sum = sum.wrapping_add(i32::from(*w) * i32::from(x));
                        }
                    }
                }
            }
        }
    }
}
