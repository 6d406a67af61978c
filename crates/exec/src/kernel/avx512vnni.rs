//! The kernel for AVX-512 with VNNI (Intel since Ice Lake, AMD since Zen 4).
//!
//! `vpdpbusd` multiplies four *unsigned* bytes with four signed ones and adds the products to a 32-bit lane, without saturation. x is
//! signed, so it comes as x + 128, and the bias is less by 128·Σw: exact modulo 2³². A tile of M rows and N blocks of 16 outputs
//! stays in registers from the bias to the stored result: M·N accumulators, N weights and one x of the 32 registers.

#![expect(
    unsafe_code,
    reason = "vector loads and stores by pointer, inside bounds that `Job::run` has checked"
)]

use core::arch::x86_64::*;

use credence_exact::Dtype;

use super::Job;
use crate::cells::index;

const LANES: usize = 16;

/// Computes a job whose bounds have been checked.
pub(crate) fn run(job: &mut Job<'_>) {
    // SAFETY: the weights were packed for this instruction set, for which `Isa::is_available` held when the engine was
    // made; `Job::run` has checked the bounds that `all` relies on.
    unsafe {
        if job.sums.is_some() {
            all::<true>(job);
        } else {
            all::<false>(job);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn all<const WATCHED: bool>(job: &mut Job<'_>) {
    let rows = job.starts.len();
    let (mut block, end) = (job.blocks.start, job.blocks.end);
    while block < end {
        // Four blocks at a time keep the multipliers busy even on one row; two leave registers for eight rows, which share
        // each load of the weights.
        let wide = if rows < 8 { 4 } else { 2 };
        let blocks = if end - block >= wide { wide } else { 1 };
        let mut row = 0;
        while row < rows {
            // SAFETY: rows and blocks stay within the job's.
            unsafe {
                row += match (blocks, rows - row) {
                    (4, 4..) => tile::<4, 4, WATCHED>(job, row, block),
                    (4, 2..) => tile::<2, 4, WATCHED>(job, row, block),
                    (4, _) => tile::<1, 4, WATCHED>(job, row, block),
                    (2, 8..) => tile::<8, 2, WATCHED>(job, row, block),
                    (2, 4..) => tile::<4, 2, WATCHED>(job, row, block),
                    (2, 2..) => tile::<2, 2, WATCHED>(job, row, block),
                    (2, _) => tile::<1, 2, WATCHED>(job, row, block),
                    (_, 8..) => tile::<8, 1, WATCHED>(job, row, block),
                    (_, 4..) => tile::<4, 1, WATCHED>(job, row, block),
                    (_, 2..) => tile::<2, 1, WATCHED>(job, row, block),
                    (_, _) => tile::<1, 1, WATCHED>(job, row, block),
                };
            }
        }
        block += blocks;
    }
}

/// M rows from `row` on with N blocks from `block` on; returns M.
///
/// # Safety
/// The job's bounds have been checked, and the rows and blocks are within it.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
unsafe fn tile<const M: usize, const N: usize, const WATCHED: bool>(
    job: &mut Job<'_>,
    row: usize,
    block: usize,
) -> usize {
    let packed = job.packed;
    let (groups, offsets) = (packed.groups(), packed.offsets());
    // SAFETY: rows are below `starts.len()`, and a start is within x.
    let x: [*const u8; M] =
        core::array::from_fn(|m| unsafe { job.x.as_ptr().add(*job.starts.get_unchecked(row + m)) });
    // SAFETY: there are whole blocks of biases and of weights.
    let bias = unsafe { packed.bias().as_ptr().add(block * LANES) };
    let weights: [*const i8; N] = core::array::from_fn(|n| unsafe {
        packed
            .weights()
            .as_ptr()
            .add((block + n) * groups * LANES * 4)
    });
    let mut sums = [[_mm512_setzero_si512(); N]; M];
    for n in 0..N {
        // SAFETY: as above.
        let bias = unsafe { _mm512_loadu_si512(bias.add(n * LANES).cast()) };
        for row in &mut sums {
            row[n] = bias;
        }
    }
    for (group, &offset) in offsets.iter().enumerate() {
        // SAFETY: `group` is one of the block's groups of 64 weights.
        let weights: [__m512i; N] = core::array::from_fn(|n| unsafe {
            _mm512_loadu_si512(weights[n].add(group * LANES * 4).cast())
        });
        for m in 0..M {
            // SAFETY: a start plus `Packed::reach` is within x, and reach covers every offset plus these four bytes.
            let four = unsafe { x[m].add(index(offset)).cast::<i32>().read_unaligned() };
            let four = _mm512_set1_epi32(four);
            for n in 0..N {
                sums[m][n] = _mm512_dpbusd_epi32(sums[m][n], four, weights[n]);
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        for (n, sums) in sums.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { finish::<WATCHED>(job, row + m, block + n, sums) };
        }
    }
    M
}

/// Rounds and stores one block of one row.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
unsafe fn finish<const WATCHED: bool>(job: &mut Job<'_>, row: usize, block: usize, sums: __m512i) {
    let packed = job.packed;
    let count = (packed.outputs() - block * LANES).min(LANES);
    let lanes: __mmask16 = u16::MAX >> (LANES - count);
    let column = (block - job.blocks.start) * LANES;
    if WATCHED && let Some(watched) = &mut job.sums {
        let first = row * watched.stride + column;
        // SAFETY: `Job::run` has checked that the last row's last sum is inside; lanes behind it are masked.
        unsafe {
            _mm512_mask_storeu_epi32(watched.cells.as_mut_ptr().add(first), lanes, sums);
        }
    }
    let values = match packed.rescaling() {
        None => sums,
        Some(rescaling) => {
            // SAFETY: multipliers are filled up to whole blocks.
            let multipliers = unsafe {
                _mm512_loadu_si512(rescaling.multipliers.as_ptr().add(block * LANES).cast())
            };
            let half = _mm512_set1_epi64(rescaling.half());
            let shift = _mm_cvtsi32_si128(i32::from(rescaling.shift));
            let min = _mm512_set1_epi64(rescaling.min.into());
            let max = _mm512_set1_epi64(rescaling.max.into());
            let round = |products| {
                let shifted = _mm512_sra_epi64(_mm512_add_epi64(products, half), shift);
                _mm512_min_epi64(_mm512_max_epi64(shifted, min), max)
            };
            // A product takes the low half of each 64-bit lane: first the even outputs, then the odd ones.
            let even = round(_mm512_mul_epi32(sums, multipliers));
            let odd = round(_mm512_mul_epi32(
                _mm512_srli_epi64::<32>(sums),
                _mm512_srli_epi64::<32>(multipliers),
            ));
            _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd))
        }
    };
    // SAFETY: `Job::run` has checked that the last row's last output is inside; lanes behind it are masked.
    unsafe {
        let y = job
            .y
            .as_mut_ptr()
            .add(row * job.y_stride + column * packed.output_bytes());
        match packed.dtype() {
            Dtype::I8 => _mm_mask_storeu_epi8(y.cast(), lanes, _mm512_cvtepi32_epi8(values)),
            Dtype::I16 => _mm256_mask_storeu_epi16(y.cast(), lanes, _mm512_cvtepi32_epi16(values)),
            Dtype::I32 => _mm512_mask_storeu_epi32(y.cast(), lanes, values),
        }
    }
}
