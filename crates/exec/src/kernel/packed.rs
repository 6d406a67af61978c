//! Weights of matrix products in the order in which kernels read them, made once when a model is planned.
//!
//! Outputs are taken in *blocks* of as many as a register has 32-bit lanes; along the sum, weights come in *groups* that one
//! multiply-add instruction takes per lane. So one group of x, broadcast to all lanes, meets one register of weights:
//!
//! ```text
//! weights[block][group][lane][within the group]        x[start of the row + offsets[group] ..][within the group]
//! ```
//!
//! The sum over k may run in several *runs* that are contiguous in x (a row of a convolution's window, say). Each run is
//! filled up to whole groups by weights of 0, so whatever x holds behind it does not count.

use core::ops::Range;

use credence_exact::Dtype;

use super::rounding::Rounding;
use crate::Isa;
use crate::buffer::Buffer;
use crate::cells::low32;

/// How x is stored for a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// i8.
    Plain,
    /// u8 of x + 128, for an instruction that takes one operand unsigned; the bias makes up for it.
    Biased,
    /// i16.
    Wide,
}

impl Form {
    /// Bytes of one x.
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::Plain | Self::Biased => 1,
            Self::Wide => 2,
        }
    }

    /// The byte that stands for a 0 of x, in each of its bytes.
    pub(crate) const fn zero(self) -> u8 {
        match self {
            Self::Plain | Self::Wide => 0,
            Self::Biased => 0x80,
        }
    }

    /// Writes x in this form, one after another from the start of `out`.
    #[inline(always)]
    pub(crate) fn fill(self, x: &[i8], out: &mut [u8]) {
        match self {
            Self::Plain => {
                let x: &[u8] = bytemuck::cast_slice(x);
                out[..x.len()].copy_from_slice(x);
            }
            Self::Biased => {
                let x: &[u8] = bytemuck::cast_slice(x);
                for (out, x) in out.iter_mut().zip(x) {
                    *out = x ^ 0x80;
                }
            }
            Self::Wide => {
                for (out, x) in out.chunks_exact_mut(2).zip(x) {
                    out.copy_from_slice(&i16::from(*x).to_le_bytes());
                }
            }
        }
    }
}

/// What a kernel's instructions take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Outputs in a block.
    pub(crate) lanes: usize,
    /// Weights per lane and instruction.
    pub(crate) group: usize,
    /// Form of x.
    pub(crate) form: Form,
}

impl Layout {
    pub(crate) const fn of(isa: Isa) -> Self {
        let (lanes, group, form) = match isa {
            Isa::Scalar => (16, 4, Form::Plain),
            Isa::Avx2 => (8, 2, Form::Wide),
            Isa::Avx512Vnni => (16, 4, Form::Biased),
            Isa::Neon => (8, 2, Form::Plain),
        };
        Self { lanes, group, form }
    }

    /// Bytes of one group of x.
    pub(crate) const fn group_bytes(self) -> usize {
        self.group * self.form.width()
    }
}

/// The rounding behind sums, with a multiplier for each output.
#[derive(Clone, Debug)]
pub(crate) struct Rescaling {
    pub(crate) multipliers: Vec<i32>,
    pub(crate) rounding: Rounding,
}

impl Rescaling {
    /// Whether rounded sums fit 32 bits before the clamp: if no multiplier is above 2^shift, none is larger than its sum.
    fn fits_32_bits(&self) -> bool {
        let one = 1_i64 << self.rounding.shift;
        self.multipliers.iter().all(|&m| i64::from(m) <= one)
    }

    /// That of some of the outputs.
    pub(crate) fn part(&self, outputs: Range<usize>) -> Self {
        Self {
            multipliers: self.multipliers[outputs].to_vec(),
            rounding: self.rounding,
        }
    }
}

/// Cells of x that are contiguous and the weights that meet them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First cell, counted from the start of the row of x.
    pub(crate) x: usize,
    /// First weight, counted from the start of the row of weights.
    pub(crate) weight: usize,
    /// Number of cells.
    pub(crate) len: usize,
}

/// A matrix of weights, ready for one instruction set.
pub(crate) struct Packed {
    layout: Layout,
    isa: Isa,
    outputs: usize,
    weights: Buffer,
    /// For each output of each block; makes up for [`Form::Biased`].
    bias: Vec<i32>,
    /// For each group the byte of the row of x where it begins.
    offsets: Vec<u32>,
    /// Bytes that a row of x must have.
    reach: usize,
    rescaling: Option<Rescaling>,
    rounded_fits: bool,
    dtype: Dtype,
}

/// What [`Packed::new`] packs.
pub(crate) struct Matrix<'a> {
    /// `outputs` rows of equal length.
    pub(crate) weights: &'a [i8],
    /// One for each output, or none.
    pub(crate) bias: Option<&'a [i32]>,
    pub(crate) outputs: usize,
    /// Behind the sum, if it is not stored as it is.
    pub(crate) rescaling: Option<Rescaling>,
    /// Type of what is stored.
    pub(crate) dtype: Dtype,
}

impl Packed {
    /// Packs a matrix. `None` if an offset into x does not fit 32 bits.
    pub(crate) fn new(isa: Isa, matrix: &Matrix<'_>, runs: &[Run]) -> Option<Self> {
        let layout = Layout::of(isa);
        let blocks = matrix.outputs.div_ceil(layout.lanes);
        let row = matrix.weights.len() / matrix.outputs;
        let mut groups = Vec::new();
        let mut offsets = Vec::new();
        for run in runs {
            for at in (0..run.len).step_by(layout.group) {
                groups.push((run.weight + at, layout.group.min(run.len - at)));
                offsets.push(u32::try_from((run.x + at) * layout.form.width()).ok()?);
            }
        }
        let mut weights = Buffer::zeroed(blocks * groups.len() * layout.lanes * layout.group);
        let places = weights.bytes_mut().chunks_exact_mut(layout.group);
        for (at, place) in places.enumerate() {
            let (lane, group) = (at % layout.lanes, at / layout.lanes % groups.len());
            let output = at / layout.lanes / groups.len() * layout.lanes + lane;
            if output < matrix.outputs {
                let (first, len) = groups[group];
                let from = &matrix.weights[output * row + first..][..len];
                place[..len].copy_from_slice(bytemuck::cast_slice(from));
            }
        }
        let reach =
            offsets.iter().copied().max().map_or(0, crate::cells::index) + layout.group_bytes();
        Some(Self {
            layout,
            isa,
            outputs: matrix.outputs,
            weights,
            bias: biases(layout, matrix, blocks),
            offsets,
            reach,
            rounded_fits: matrix
                .rescaling
                .as_ref()
                .is_some_and(Rescaling::fits_32_bits),
            rescaling: matrix
                .rescaling
                .as_ref()
                .map(|r| fill_up(r, blocks * layout.lanes)),
            dtype: matrix.dtype,
        })
    }

    pub(crate) const fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) const fn isa(&self) -> Isa {
        self.isa
    }

    pub(crate) const fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn blocks(&self) -> usize {
        self.bias.len() / self.layout.lanes
    }

    /// Number of groups in a sum.
    pub(crate) fn groups(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    pub(crate) const fn reach(&self) -> usize {
        self.reach
    }

    pub(crate) const fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) const fn rescaling(&self) -> Option<&Rescaling> {
        self.rescaling.as_ref()
    }

    /// Whether rounded sums fit 32 bits before the clamp.
    pub(crate) const fn rounded_fits(&self) -> bool {
        self.rounded_fits
    }

    pub(crate) fn weights(&self) -> &[i8] {
        bytemuck::cast_slice(self.weights.bytes())
    }

    pub(crate) fn bias(&self) -> &[i32] {
        &self.bias
    }

    /// Bytes of one output as it is stored.
    pub(crate) const fn output_bytes(&self) -> usize {
        self.dtype.width()
    }
}

/// Biases filled up to whole blocks, less what [`Form::Biased`] adds to the sum. The kernel's sums are exact modulo 2³², and the
/// true sum is below 2³¹ in magnitude, so nothing is lost if this wraps.
fn biases(layout: Layout, matrix: &Matrix<'_>, blocks: usize) -> Vec<i32> {
    let row = matrix.weights.len() / matrix.outputs;
    let mut biases = vec![0; blocks * layout.lanes];
    for (output, slot) in biases.iter_mut().enumerate().take(matrix.outputs) {
        let bias = matrix.bias.map_or(0, |bias| i64::from(bias[output]));
        let weights = &matrix.weights[output * row..][..row];
        let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
        *slot = low32(match layout.form {
            Form::Plain | Form::Wide => bias,
            Form::Biased => bias - 128 * sum,
        });
    }
    biases
}

fn fill_up(rescaling: &Rescaling, lanes: usize) -> Rescaling {
    let mut filled = rescaling.clone();
    filled.multipliers.resize(lanes, 0);
    filled
}
