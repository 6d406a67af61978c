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

use super::{Job, Rounding};
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
    let fits = job.packed.rounded_fits();
    let rounder = job
        .packed
        .rescaling()
        .map(|all| Rounder::new(all.rounding, fits));
    let (mut block, end) = (job.blocks.start, job.blocks.end);
    while block < end {
        let wide = if rows < 4 { 4 } else { 2 };
        let blocks = if end - block >= wide { wide } else { 1 };
        let mut row = 0;
        while row < rows {
            // SAFETY: rows and blocks stay within the job's.
            unsafe {
                row += match (blocks, rows - row) {
                    (4, 2..) => tile::<2, 4, WATCHED>(job, (row, block), rounder),
                    (4, _) => tile::<1, 4, WATCHED>(job, (row, block), rounder),
                    (2, 4..) => tile::<4, 2, WATCHED>(job, (row, block), rounder),
                    (2, 2..) => tile::<2, 2, WATCHED>(job, (row, block), rounder),
                    (2, _) => tile::<1, 2, WATCHED>(job, (row, block), rounder),
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
#[target_feature(enable = "avx2")]
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
    for n in 0..N {
        let sums = sums.map(|row| row[n]);
        // SAFETY: the caller's.
        unsafe { finish::<M, WATCHED>(job, (row, block + n), sums, rounder) };
    }
    M
}

/// Rounds and stores one block of M rows.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn finish<const M: usize, const WATCHED: bool>(
    job: &mut Job<'_>,
    (row, block): (usize, usize),
    sums: [__m256i; M],
    rounder: Option<Rounder>,
) {
    let packed = job.packed;
    let count = (packed.outputs() - block * LANES).min(LANES);
    let column = (block - job.blocks.start) * LANES;
    if WATCHED && let Some(watched) = &mut job.sums {
        for (m, sums) in sums.into_iter().enumerate() {
            let cells = &mut watched.cells[(row + m) * watched.stride + column..][..count];
            cells.copy_from_slice(&lanes(sums)[..count]);
        }
    }
    let mut values = sums;
    if let (Some(rounder), Some(rescaling)) = (rounder, packed.rescaling()) {
        let multipliers = rescaling.multipliers[block * LANES..].as_ptr();
        // SAFETY: multipliers are filled up to whole blocks.
        let multipliers = unsafe { _mm256_loadu_si256(multipliers.cast()) };
        for values in &mut values {
            *values = rounder.round(*values, multipliers);
        }
    }
    let width = packed.output_bytes();
    for (m, values) in values.into_iter().enumerate() {
        let first = (row + m) * job.y_stride + column * width;
        store(packed.dtype(), values, &mut job.y[first..][..count * width]);
    }
}

/// Stores as many lanes as `y` takes.
#[target_feature(enable = "avx2")]
#[inline]
fn store(dtype: Dtype, values: __m256i, y: &mut [u8]) {
    // What fits its type keeps its value under a saturating pack.
    let halves = _mm_packs_epi32(
        _mm256_castsi256_si128(values),
        _mm256_extracti128_si256::<1>(values),
    );
    let place = y.as_mut_ptr();
    // SAFETY: a whole block is stored only where y has exactly its bytes.
    unsafe {
        match dtype {
            Dtype::I8 if y.len() == LANES => {
                _mm_storel_epi64(place.cast(), _mm_packs_epi16(halves, halves));
            }
            Dtype::I16 if y.len() == 2 * LANES => _mm_storeu_si128(place.cast(), halves),
            Dtype::I32 if y.len() == 4 * LANES => _mm256_storeu_si256(place.cast(), values),
            dtype => store_some(dtype, &lanes(values), y),
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

/// What rounds sums, in registers.
///
/// AVX2 has no arithmetic shift of 64 bits. Sums are below 2⁶² in magnitude, so with 2⁶³ added they are positive as unsigned numbers,
/// a logical shift rounds them down, and 2⁶³ / 2^shift is taken off again.
#[derive(Clone, Copy)]
struct Rounder {
    /// With 2⁶³ in it.
    half: __m256i,
    shift: __m128i,
    offset: __m256i,
    /// Ends of the clamp in 32 bits and in 64.
    ends: [__m256i; 2],
    wide_ends: [__m256i; 2],
    fits: bool,
}

impl Rounder {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(rounding: Rounding, fits: bool) -> Self {
        let ends = [rounding.min, rounding.max];
        Self {
            half: _mm256_set1_epi64x(rounding.half().wrapping_add(i64::MIN)),
            shift: _mm_cvtsi32_si128(i32::from(rounding.shift)),
            offset: _mm256_set1_epi64x(1 << (63 - rounding.shift)),
            ends: [_mm256_set1_epi32(ends[0]), _mm256_set1_epi32(ends[1])],
            wide_ends: [
                _mm256_set1_epi64x(ends[0].into()),
                _mm256_set1_epi64x(ends[1].into()),
            ],
            fits,
        }
    }

    /// Rounds and clamps eight sums.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn round(self, sums: __m256i, multipliers: __m256i) -> __m256i {
        let round = |sums, multipliers| {
            // The product of the low halves of each 64 bits.
            let product = _mm256_mul_epi32(sums, multipliers);
            let shifted = _mm256_srl_epi64(_mm256_add_epi64(product, self.half), self.shift);
            let rounded = _mm256_sub_epi64(shifted, self.offset);
            if self.fits {
                return rounded;
            }
            let [min, max] = self.wide_ends;
            let rounded = _mm256_blendv_epi8(rounded, min, _mm256_cmpgt_epi64(min, rounded));
            _mm256_blendv_epi8(rounded, max, _mm256_cmpgt_epi64(rounded, max))
        };
        let high = |values| _mm256_srli_epi64::<32>(values);
        let even = round(sums, multipliers);
        let odd = round(high(sums), high(multipliers));
        let all = _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd));
        let [min, max] = self.ends;
        _mm256_min_epi32(_mm256_max_epi32(all, min), max)
    }
}
