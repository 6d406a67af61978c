//! Convolution without packing, its lanes along the outputs: for one input channel per output channel, and for geometries whose
//! padded copy or packed weights would be out of proportion to the model.

use core::ops::Range;

use super::{Axis, Place, Position, Rounding};
use crate::cells::Cells;

/// Outputs whose sums are in registers at once; a multiple of what registers hold.
const AT_ONCE: usize = 32;

/// A convolution.
pub(crate) struct DirectConv {
    pub(crate) x: Place,
    /// Where results go: of the rounding if there is one, else the sums.
    pub(crate) y: Place,
    /// Vertical, horizontal.
    pub(crate) axes: [Axis; 2],
    /// Channels of x.
    pub(crate) channels: usize,
    /// Channels of x that one output reads.
    pub(crate) depth: usize,
    /// `[KH, KW, depth, O]`, O filled up to whole [`AT_ONCE`].
    pub(crate) weights: Vec<i8>,
    /// Filled up as the weights.
    pub(crate) bias: Vec<i32>,
    pub(crate) outputs: usize,
    /// Multipliers, filled up as the weights, and how their products are rounded.
    pub(crate) rescaling: Option<(Vec<i32>, Rounding)>,
}

/// Entries filled up by 0 to whole [`AT_ONCE`].
pub(crate) fn fill_up(entries: &[i32]) -> Vec<i32> {
    let mut filled = entries.to_vec();
    filled.resize(entries.len().next_multiple_of(AT_ONCE), 0);
    filled
}

/// Weights `[O, rest]` as `[rest, O]`, O filled up.
pub(crate) fn turn(weights: &[i8], outputs: usize) -> Vec<i8> {
    let row = weights.len() / outputs;
    let filled = outputs.next_multiple_of(AT_ONCE);
    let mut turned = vec![0; row * filled];
    for (k, entries) in turned.chunks_exact_mut(filled).enumerate() {
        for (output, entry) in entries.iter_mut().enumerate().take(outputs) {
            *entry = weights[output * row + k];
        }
    }
    turned
}

impl DirectConv {
    /// Multiply-adds of one position.
    pub(crate) fn work(&self) -> usize {
        self.y.cells * self.weights.len() / self.bias.len()
    }

    #[inline(always)]
    pub(crate) fn run(&self, at: &mut Position<'_>) {
        let (mut y, others, mut watched) = at.write_watched(self.y);
        // A checked program has 8-bit operands here.
        let Cells::I8(x) = others.read(self.x) else {
            return;
        };
        let [vertical, horizontal] = &self.axes;
        for i in 0..vertical.windows {
            for j in 0..horizontal.windows {
                for first in (0..self.outputs).step_by(AT_ONCE) {
                    let mut sums = [0; AT_ONCE];
                    sums.copy_from_slice(&self.bias[first..][..AT_ONCE]);
                    self.window(x, (i, j), first, &mut sums);
                    let at = (i * horizontal.windows + j) * self.outputs + first;
                    let len = AT_ONCE.min(self.outputs - first);
                    if let (Some((multipliers, rounding)), sums) = (&self.rescaling, &mut sums) {
                        if let Some(watched) = &mut watched {
                            watched[at..][..len].copy_from_slice(&sums[..len]);
                        }
                        for (sum, m) in sums.iter_mut().zip(&multipliers[first..][..AT_ONCE]) {
                            *sum = rounding.round(i64::from(*sum) * i64::from(*m));
                        }
                    }
                    y.narrow(at, &sums[..len]);
                }
            }
        }
    }

    /// Adds what the window's cells give to the outputs from `first` on.
    #[inline(always)]
    fn window(&self, x: &[i8], (i, j): (usize, usize), first: usize, sums: &mut [i32; AT_ONCE]) {
        let [vertical, horizontal] = &self.axes;
        let (rows, top) = vertical.inside(i);
        let (columns, left) = horizontal.inside(j);
        let covered = Covered {
            rows: rows.clone(),
            columns: columns.clone(),
            first: (top * horizontal.length + left) * self.channels,
        };
        // One channel of x for each output, and as many as are summed at once.
        if self.depth == 1 && self.channels == self.outputs && first + AT_ONCE <= self.outputs {
            *sums = self.channel_by_channel(x, &covered, first, *sums);
            return;
        }
        for u in rows {
            for v in columns.clone() {
                let weights = &self.weights[self.tap(u, v) * self.bias.len() + first..];
                let x = &x[self.pixel(&covered, u, v)..][..self.channels];
                self.any_channels(x, weights, first, sums);
            }
        }
    }

    /// The first entry of a cell of the window, in rows of weights.
    #[inline(always)]
    fn tap(&self, u: usize, v: usize) -> usize {
        (u * self.axes[1].kernel + v) * self.depth
    }

    /// Where the pixel that a cell of the window covers begins.
    #[inline(always)]
    fn pixel(&self, covered: &Covered, u: usize, v: usize) -> usize {
        let [vertical, horizontal] = &self.axes;
        let row = (u - covered.rows.start) * vertical.dilation * horizontal.length;
        let column = (v - covered.columns.start) * horizontal.dilation;
        covered.first + (row + column) * self.channels
    }

    /// Channel c of x meets output c alone. The sums are a value of their own, so that they stay in registers.
    #[inline(always)]
    fn channel_by_channel(
        &self,
        x: &[i8],
        covered: &Covered,
        first: usize,
        mut sums: [i32; AT_ONCE],
    ) -> [i32; AT_ONCE] {
        for u in covered.rows.clone() {
            for v in covered.columns.clone() {
                let weights = &self.weights[self.tap(u, v) * self.bias.len() + first..];
                let x = &x[self.pixel(covered, u, v) + first..];
                let (Some(&x), Some(&weights)) = (x.first_chunk(), weights.first_chunk()) else {
                    return sums;
                };
                sums = multiply_add(sums, x, weights);
            }
        }
        sums
    }

    /// Adds what one pixel gives to the outputs from `first` on, whatever channels they read; `weights` begins with the pixel's first.
    #[inline(always)]
    fn any_channels(&self, x: &[i8], weights: &[i8], first: usize, sums: &mut [i32; AT_ONCE]) {
        let per_group = self.outputs * self.depth / self.channels;
        let used = AT_ONCE.min(self.outputs - first);
        for (c, weights) in weights.chunks(self.bias.len()).enumerate().take(self.depth) {
            for ((sum, w), output) in sums.iter_mut().zip(weights).zip(first..first + used) {
                let x = x[output / per_group * self.depth + c];
                *sum = sum.wrapping_add(i32::from(*w) * i32::from(x));
            }
        }
    }
}

/// What of a window lies inside x: which of its cells, and where the first one's pixel begins.
struct Covered {
    rows: Range<usize>,
    columns: Range<usize>,
    first: usize,
}

#[inline(always)]
fn multiply_add(
    mut sums: [i32; AT_ONCE],
    x: [i8; AT_ONCE],
    weights: [i8; AT_ONCE],
) -> [i32; AT_ONCE] {
    for ((sum, x), w) in sums.iter_mut().zip(&x).zip(&weights) {
        // Both fit 16 bits and so does their product: one multiplication of 16-bit lanes.
        *sum = sum.wrapping_add((i16::from(*w) * i16::from(*x)).into());
    }
    sums
}
