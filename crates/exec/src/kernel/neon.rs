//! The kernel for AArch64's NEON.
//!
//! `smull` multiplies eight pairs of bytes into 16 bits (at most 128², which fits), `sadalp` adds neighbours into 32 bits: two
//! weights of each of four outputs. Rounding is the portable code's. Kept simple on purpose: this file is checked less often than the
//! others, as it runs on another kind of machine.

#![expect(
    unsafe_code,
    reason = "vector loads by pointer, inside bounds that `Job::run` has checked"
)]

use core::arch::aarch64::*;

use super::{Job, scalar};
use crate::cells::index;

const LANES: usize = 8;

/// Computes a job whose bounds have been checked.
pub(crate) fn run(job: &mut Job<'_>) {
    for row in 0..job.starts.len() {
        for block in job.blocks.clone() {
            // SAFETY: the weights were packed for this instruction set, for which `Isa::is_available` held when the
            // engine was made; `Job::run` has checked the bounds; row and block are within the job.
            let sums = unsafe { block_sums(job, row, block) };
            scalar::store(job, row, block, &sums);
        }
    }
}

/// The sums of one row of x with one block of outputs.
///
/// # Safety
/// The job's bounds have been checked, and row and block are within it.
#[target_feature(enable = "neon")]
unsafe fn block_sums(job: &Job<'_>, row: usize, block: usize) -> [i32; scalar::LANES_MAX] {
    let packed = job.packed;
    let weights = packed.weights()[block * packed.groups() * LANES * 2..].as_ptr();
    let bias = packed.bias()[block * LANES..].as_ptr();
    // SAFETY: there are whole blocks of eight biases.
    let (mut low, mut high) = unsafe { (vld1q_s32(bias), vld1q_s32(bias.add(4))) };
    let start = job.starts.get(row);
    for (group, &offset) in packed.offsets().iter().enumerate() {
        let at = start + index(offset);
        let two = i16::from_le_bytes([job.x[at], job.x[at + 1]]);
        let two = vreinterpret_s8_s16(vdup_n_s16(two));
        // SAFETY: the block has 16 weights for each of its groups.
        let (a, b) = unsafe {
            let weights = weights.add(group * LANES * 2);
            (vld1_s8(weights), vld1_s8(weights.add(8)))
        };
        low = vpadalq_s16(low, vmull_s8(two, a));
        high = vpadalq_s16(high, vmull_s8(two, b));
    }
    let mut sums = [0; scalar::LANES_MAX];
    // SAFETY: the array has room for both registers.
    unsafe {
        vst1q_s32(sums.as_mut_ptr(), low);
        vst1q_s32(sums.as_mut_ptr().add(4), high);
    }
    sums
}
