//! The portable kernel, and the safe twin of the others: it takes every layout.

use super::{Form, Job, Rescaling};
use crate::cells::{Cell, index};
use credence_exact::Dtype;

/// Most lanes and most weights per lane of any layout.
pub(crate) const LANES_MAX: usize = 16;

/// Computes a job.
pub(crate) fn run(job: &mut Job<'_>) {
    for row in 0..job.starts.len() {
        let start = job.starts.get(row);
        for block in job.blocks.clone() {
            let sums = match job.packed.layout().group {
                4 => block_sums::<4>(job, start, block),
                _ => block_sums::<2>(job, start, block),
            };
            store(job, row, block, &sums);
        }
    }
}

/// The sums of one row of x with one block of outputs.
fn block_sums<const GROUP: usize>(job: &Job<'_>, start: usize, block: usize) -> [i32; LANES_MAX] {
    let (packed, layout) = (job.packed, job.packed.layout());
    let mut sums = [0_i32; LANES_MAX];
    let sums_used = &mut sums[..layout.lanes];
    sums_used.copy_from_slice(&packed.bias()[block * layout.lanes..][..layout.lanes]);
    let block_weights = layout.lanes * GROUP * packed.groups();
    let weights = &packed.weights()[block * block_weights..][..block_weights];
    let rows = weights.chunks_exact(layout.lanes * GROUP);
    for (offset, weights) in packed.offsets().iter().zip(rows) {
        let x = &job.x[start + index(*offset)..][..layout.group_bytes()];
        let x: [i32; GROUP] = core::array::from_fn(|k| match layout.form {
            Form::Plain => i8::from_le_bytes([x[k]]).into(),
            Form::Biased => x[k].into(),
            Form::Wide => i16::from_le_bytes([x[2 * k], x[2 * k + 1]]).into(),
        });
        for (sum, weights) in sums_used.iter_mut().zip(weights.chunks_exact(GROUP)) {
            for (x, weight) in x.iter().zip(weights) {
                *sum = sum.wrapping_add(x * i32::from(*weight));
            }
        }
    }
    sums
}

/// Stores the lanes of a block that are outputs, and their sums if somebody watches.
pub(crate) fn store(job: &mut Job<'_>, row: usize, block: usize, sums: &[i32; LANES_MAX]) {
    let (packed, lanes) = (job.packed, job.packed.layout().lanes);
    let first = block * lanes;
    let count = lanes.min(packed.outputs() - first);
    let column = first - job.blocks.start * lanes;
    if let Some(watched) = &mut job.sums {
        watched.cells[row * watched.stride + column..][..count].copy_from_slice(&sums[..count]);
    }
    let width = packed.output_bytes();
    let y = &mut job.y[row * job.y_stride + column * width..][..count * width];
    for (lane, place) in y.chunks_exact_mut(width).enumerate() {
        let value = match packed.rescaling() {
            Some(Rescaling {
                multipliers,
                rounding,
            }) => rounding.round(i64::from(sums[lane]) * i64::from(multipliers[first + lane])),
            None => sums[lane],
        };
        match packed.dtype() {
            Dtype::I8 => place.copy_from_slice(&i8::low(value).to_le_bytes()),
            Dtype::I16 => place.copy_from_slice(&i16::low(value).to_le_bytes()),
            Dtype::I32 => place.copy_from_slice(&value.to_le_bytes()),
        }
    }
}
