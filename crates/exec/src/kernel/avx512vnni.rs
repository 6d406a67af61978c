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

use super::{Job, Rounding};
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
    let fits = job.packed.rounded_fits();
    let rounder = job
        .packed
        .rescaling()
        .map(|all| Rounder::new(all.rounding, fits));
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
                    (4, 4..) => tile::<4, 4, WATCHED>(job, (row, block), rounder),
                    (4, 2..) => tile::<2, 4, WATCHED>(job, (row, block), rounder),
                    (4, _) => tile::<1, 4, WATCHED>(job, (row, block), rounder),
                    (2, 8..) => tile::<8, 2, WATCHED>(job, (row, block), rounder),
                    (2, 4..) => tile::<4, 2, WATCHED>(job, (row, block), rounder),
                    (2, 2..) => tile::<2, 2, WATCHED>(job, (row, block), rounder),
                    (2, _) => tile::<1, 2, WATCHED>(job, (row, block), rounder),
                    (_, 8..) => tile::<8, 1, WATCHED>(job, (row, block), rounder),
                    (_, 4..) => tile::<4, 1, WATCHED>(job, (row, block), rounder),
                    (_, 2..) => tile::<2, 1, WATCHED>(job, (row, block), rounder),
                    (_, _) => tile::<1, 1, WATCHED>(job, (row, block), rounder),
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
    (row, block): (usize, usize),
    rounder: Option<Rounder>,
) -> usize {
    let packed = job.packed;
    let (groups, offsets) = (packed.groups(), packed.offsets());
    // SAFETY: a start is within x.
    let x: [*const u8; M] =
        core::array::from_fn(|m| unsafe { job.x.as_ptr().add(job.starts.get(row + m)) });
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
    // The blocks that come next are as far ahead as these are long: fetched while these are computed, by the first rows that meet them.
    let ahead = N * groups * LANES * 4;
    let fetch = M >= 4 && row == 0;
    for (group, &offset) in offsets.iter().enumerate() {
        // SAFETY: `group` is one of the block's groups of 64 weights.
        let weights: [__m512i; N] = core::array::from_fn(|n| unsafe {
            let at = weights[n].add(group * LANES * 4);
            if fetch {
                // A hint, which may lie behind the weights' end: it reads nothing.
                _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(ahead));
            }
            _mm512_loadu_si512(at.cast())
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
    for n in 0..N {
        let sums = sums.map(|row| row[n]);
        // SAFETY: the caller's.
        unsafe { finish::<M, WATCHED>(job, (row, block + n), sums, rounder) };
    }
    M
}

/// What rounds sums, in registers.
#[derive(Clone, Copy)]
struct Rounder {
    half: __m512i,
    shift: __m128i,
    /// Ends of the clamp in 32 bits and in 64.
    ends: [__m512i; 2],
    wide_ends: [__m512i; 2],
    fits: bool,
}

impl Rounder {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(rounding: Rounding, fits: bool) -> Self {
        let ends = [rounding.min, rounding.max];
        Self {
            half: _mm512_set1_epi64(rounding.half()),
            shift: _mm_cvtsi32_si128(i32::from(rounding.shift)),
            ends: [_mm512_set1_epi32(ends[0]), _mm512_set1_epi32(ends[1])],
            wide_ends: [
                _mm512_set1_epi64(ends[0].into()),
                _mm512_set1_epi64(ends[1].into()),
            ],
            fits,
        }
    }

    /// Rounds and clamps 16 sums.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn round(self, sums: __m512i, multipliers: __m512i) -> __m512i {
        let round = |sums, multipliers| {
            // The product of the low halves of each 64 bits.
            let product = _mm512_mul_epi32(sums, multipliers);
            let rounded = _mm512_sra_epi64(_mm512_add_epi64(product, self.half), self.shift);
            if self.fits {
                return rounded;
            }
            let [min, max] = self.wide_ends;
            _mm512_min_epi64(_mm512_max_epi64(rounded, min), max)
        };
        let high = |values| _mm512_srli_epi64::<32>(values);
        let even = round(sums, multipliers);
        let odd = round(high(sums), high(multipliers));
        let all = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd));
        let [min, max] = self.ends;
        _mm512_min_epi32(_mm512_max_epi32(all, min), max)
    }
}

/// Rounds and stores one block of M rows.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
unsafe fn finish<const M: usize, const WATCHED: bool>(
    job: &mut Job<'_>,
    (row, block): (usize, usize),
    sums: [__m512i; M],
    rounder: Option<Rounder>,
) {
    let packed = job.packed;
    let count = (packed.outputs() - block * LANES).min(LANES);
    let lanes: __mmask16 = u16::MAX >> (LANES - count);
    let column = (block - job.blocks.start) * LANES;
    if WATCHED && let Some(watched) = &mut job.sums {
        for (m, sums) in sums.into_iter().enumerate() {
            let first = (row + m) * watched.stride + column;
            // SAFETY: `Job::run` has checked that the last row's last sum is inside; lanes behind it are masked.
            unsafe { _mm512_mask_storeu_epi32(watched.cells.as_mut_ptr().add(first), lanes, sums) };
        }
    }
    let mut values = sums;
    if let (Some(rounder), Some(rescaling)) = (rounder, packed.rescaling()) {
        let multipliers = rescaling.multipliers[block * LANES..].as_ptr();
        // SAFETY: multipliers are filled up to whole blocks.
        let multipliers = unsafe { _mm512_loadu_si512(multipliers.cast()) };
        for values in &mut values {
            *values = rounder.round(*values, multipliers);
        }
    }
    let width = packed.output_bytes();
    for (m, values) in values.into_iter().enumerate() {
        // SAFETY: `Job::run` has checked that the last row's last output is inside; lanes behind it are not stored.
        unsafe {
            let y = job
                .y
                .as_mut_ptr()
                .add((row + m) * job.y_stride + column * width);
            store(packed.dtype(), values, y, lanes);
        }
    }
}

/// Stores the lanes of a mask.
///
/// # Safety
/// From `y` on there is room for every lane of the mask, and for those before it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
unsafe fn store(dtype: Dtype, values: __m512i, y: *mut u8, lanes: __mmask16) {
    // SAFETY: the caller's. A store without a mask is the faster one, and most blocks are whole.
    unsafe {
        match (dtype, lanes) {
            (Dtype::I8, u16::MAX) => _mm_storeu_si128(y.cast(), _mm512_cvtepi32_epi8(values)),
            (Dtype::I8, _) => _mm_mask_storeu_epi8(y.cast(), lanes, _mm512_cvtepi32_epi8(values)),
            (Dtype::I16, _) => {
                _mm256_mask_storeu_epi16(y.cast(), lanes, _mm512_cvtepi32_epi16(values));
            }
            (Dtype::I32, _) => _mm512_mask_storeu_epi32(y.cast(), lanes, values),
        }
    }
}
