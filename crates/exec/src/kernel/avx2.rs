//! The kernel for AVX2.
//!
//! `vpmaddwd` multiplies pairs of i16 and adds each pair into 32 bits: exact for products of bytes. (`vpmaddubsw`, which takes
//! bytes, saturates at 16 bits and is not used.) x comes as i16; weights stay bytes in memory, where they are the larger
//! part, and are widened as they are loaded. A tile has M rows and N blocks of 8 outputs.

#![expect(
    unsafe_code,
    reason = "vector loads and stores by pointer, inside bounds that `Job::run` has checked"
)]

use core::arch::x86_64::*;

use credence_exact::Dtype;

use super::{Job, Rescaling};
use crate::cells::{Cell, index};

const LANES: usize = 8;

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

#[target_feature(enable = "avx2")]
unsafe fn all<const WATCHED: bool>(job: &mut Job<'_>) {
    let rows = job.starts.len();
    let (mut block, end) = (job.blocks.start, job.blocks.end);
    while block < end {
        let wide = if rows < 4 { 4 } else { 2 };
        let blocks = if end - block >= wide { wide } else { 1 };
        let mut row = 0;
        while row < rows {
            // SAFETY: rows and blocks stay within the job's.
            unsafe {
                row += match (blocks, rows - row) {
                    (4, 2..) => tile::<2, 4, WATCHED>(job, row, block),
                    (4, _) => tile::<1, 4, WATCHED>(job, row, block),
                    (2, 4..) => tile::<4, 2, WATCHED>(job, row, block),
                    (2, 2..) => tile::<2, 2, WATCHED>(job, row, block),
                    (2, _) => tile::<1, 2, WATCHED>(job, row, block),
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
#[target_feature(enable = "avx2")]
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
            .add((block + n) * groups * LANES * 2)
    });
    let mut sums = [[_mm256_setzero_si256(); N]; M];
    for n in 0..N {
        // SAFETY: as above.
        let bias = unsafe { _mm256_loadu_si256(bias.add(n * LANES).cast()) };
        for row in &mut sums {
            row[n] = bias;
        }
    }
    for (group, &offset) in offsets.iter().enumerate() {
        // SAFETY: `group` is one of the block's groups of 16 weights.
        let weights: [__m256i; N] = core::array::from_fn(|n| unsafe {
            _mm256_cvtepi8_epi16(_mm_loadu_si128(weights[n].add(group * LANES * 2).cast()))
        });
        for m in 0..M {
            // SAFETY: a start plus `Packed::reach` is within x, and reach covers every offset plus these four bytes.
            let two = unsafe { x[m].add(index(offset)).cast::<i32>().read_unaligned() };
            let two = _mm256_set1_epi32(two);
            for n in 0..N {
                sums[m][n] = _mm256_add_epi32(sums[m][n], _mm256_madd_epi16(two, weights[n]));
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
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn finish<const WATCHED: bool>(job: &mut Job<'_>, row: usize, block: usize, sums: __m256i) {
    let packed = job.packed;
    let count = (packed.outputs() - block * LANES).min(LANES);
    let column = (block - job.blocks.start) * LANES;
    if WATCHED && let Some(watched) = &mut job.sums {
        let cells = &mut watched.cells[row * watched.stride + column..][..count];
        cells.copy_from_slice(&lanes(sums)[..count]);
    }
    let values = match packed.rescaling() {
        None => sums,
        // SAFETY: multipliers are filled up to whole blocks.
        Some(rescaling) => unsafe { rescale(rescaling, block, sums) },
    };
    let width = packed.output_bytes();
    let y = &mut job.y[row * job.y_stride + column * width..][..count * width];
    // What fits its type keeps its value under a saturating pack.
    let halves = _mm_packs_epi32(
        _mm256_castsi256_si128(values),
        _mm256_extracti128_si256::<1>(values),
    );
    // SAFETY: y holds `count` results of `width` bytes; a whole block is stored only where count is one.
    unsafe {
        match packed.dtype() {
            Dtype::I8 if count == LANES => {
                _mm_storel_epi64(y.as_mut_ptr().cast(), _mm_packs_epi16(halves, halves));
            }
            Dtype::I16 if count == LANES => _mm_storeu_si128(y.as_mut_ptr().cast(), halves),
            Dtype::I32 if count == LANES => _mm256_storeu_si256(y.as_mut_ptr().cast(), values),
            dtype => store_some(dtype, &lanes(values)[..count], y),
        }
    }
}

/// Stores part of a block.
#[cold]
fn store_some(dtype: Dtype, values: &[i32], y: &mut [u8]) {
    for (place, &value) in y.chunks_exact_mut(dtype.width()).zip(values) {
        match dtype {
            Dtype::I8 => place.copy_from_slice(&i8::low(value).to_le_bytes()),
            Dtype::I16 => place.copy_from_slice(&i16::low(value).to_le_bytes()),
            Dtype::I32 => place.copy_from_slice(&value.to_le_bytes()),
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn lanes(values: __m256i) -> [i32; LANES] {
    let mut lanes = [0; LANES];
    // SAFETY: the array has as many bytes as the register.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), values) };
    lanes
}

/// Rounds eight sums.
///
/// # Safety
/// There are multipliers for the whole block.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn rescale(rescaling: &Rescaling, block: usize, sums: __m256i) -> __m256i {
    // SAFETY: the caller's.
    let multipliers =
        unsafe { _mm256_loadu_si256(rescaling.multipliers.as_ptr().add(block * LANES).cast()) };
    // AVX2 has no arithmetic shift of 64 bits. Sums are below 2^62 in magnitude, so with 2^63 added they are positive as unsigned
    // numbers, a logical shift rounds them down, and 2^63 / 2^shift is taken off again.
    let half = _mm256_set1_epi64x(rescaling.half().wrapping_add(i64::MIN));
    let offset = _mm256_set1_epi64x(1 << (63 - rescaling.shift));
    let shift = _mm_cvtsi32_si128(i32::from(rescaling.shift));
    let min = _mm256_set1_epi64x(rescaling.min.into());
    let max = _mm256_set1_epi64x(rescaling.max.into());
    let round = |products| {
        let shifted = _mm256_srl_epi64(_mm256_add_epi64(products, half), shift);
        let shifted = _mm256_sub_epi64(shifted, offset);
        let shifted = _mm256_blendv_epi8(shifted, min, _mm256_cmpgt_epi64(min, shifted));
        _mm256_blendv_epi8(shifted, max, _mm256_cmpgt_epi64(shifted, max))
    };
    let even = round(_mm256_mul_epi32(sums, multipliers));
    let odd = round(_mm256_mul_epi32(
        _mm256_srli_epi64::<32>(sums),
        _mm256_srli_epi64::<32>(multipliers),
    ));
    _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd))
}
