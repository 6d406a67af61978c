//! Sums of 16-bit products for attention: queries against a tile of keys, and weights against blocks of values.
//!
//! Keys and values stand in pairs, 16 lanes of two cells in a register (`cache`), so that one instruction multiplies and adds both. Sums of keys fit
//! 32 bits by a model's bounds; sums of values are spread to 64 bits as often as their bounds ask. Each kernel has a safe twin in portable code.

use crate::Isa;

/// Lanes of a register.
pub(crate) const LANES: usize = 16;
/// Most heads that share what is loaded.
pub(crate) const HEADS: usize = 4;
/// Blocks of values that share the weights that are loaded.
const BLOCKS: usize = 4;

/// Pairs of cells of 16 lanes.
pub(crate) type Pairs = [i16; 2 * LANES];

/// `out[h][lane] = Σ_d q[h][d]·k[lane][d]` for up to [`HEADS`] queries of `2·keys.len()` cells each, the last filled up with a 0 if their number is odd.
pub(crate) fn dots(isa: Isa, queries: &[i16], keys: &[Pairs], out: &mut [[i32; LANES]]) {
    debug_assert_eq!(queries.len(), 2 * keys.len() * out.len());
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512Vnni && queries.len() == 2 * keys.len() * out.len() {
        return vnni::dots(queries, keys, out);
    }
    let _ = isa;
    for (query, out) in queries.chunks_exact(2 * keys.len()).zip(out) {
        *out = [0; LANES];
        for (pair, keys) in query.as_chunks::<2>().0.iter().zip(keys) {
            add_pair(*pair, keys, out);
        }
    }
}

#[inline(always)]
fn add_pair(pair: [i16; 2], cells: &Pairs, sums: &mut [i32; LANES]) {
    let (a, b) = (i32::from(pair[0]), i32::from(pair[1]));
    for (sum, cell) in sums.iter_mut().zip(cells.as_chunks::<2>().0) {
        let both = (i32::from(cell[0]) * a).wrapping_add(i32::from(cell[1]) * b);
        *sum = sum.wrapping_add(both);
    }
}

/// What [`means`] sums.
pub(crate) struct Weighted<'a> {
    /// Pairs of weights: of each head one row.
    pub(crate) weights: &'a [Vec<[i16; 2]>],
    /// Pairs of values, as many as weights: of each block one row.
    pub(crate) values: &'a [&'a [Pairs]],
    /// Pairs whose sum fits 32 bits.
    pub(crate) pairs: usize,
}

/// `out[h·blocks + b][lane] = Σ_t weight[h][t]·v[b][t][lane]`.
pub(crate) fn weighted(isa: Isa, sum: &Weighted<'_>, out: &mut [[i64; LANES]]) {
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512Vnni {
        return vnni::weighted(sum, out);
    }
    let _ = isa;
    portable(sum, out);
}

fn portable(sum: &Weighted<'_>, out: &mut [[i64; LANES]]) {
    let cells = sum
        .weights
        .iter()
        .flat_map(|weights| sum.values.iter().map(move |v| (weights, v)));
    for ((weights, values), out) in cells.zip(out) {
        *out = [0; LANES];
        for (weights, values) in weights.chunks(sum.pairs).zip(values.chunks(sum.pairs)) {
            let mut sums = [0; LANES];
            for (pair, values) in weights.iter().zip(values) {
                add_pair(*pair, values, &mut sums);
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out += i64::from(sum);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    //! `vpdpwssd` multiplies two pairs of 16-bit cells and adds both products to a 32-bit lane.

    #![expect(
        unsafe_code,
        reason = "instructions of an instruction set that the engine has found, and loads inside bounds that are checked here"
    )]

    use core::arch::x86_64::*;

    use super::{BLOCKS, HEADS, LANES, Pairs, Weighted};

    pub(super) fn dots(queries: &[i16], keys: &[Pairs], out: &mut [[i32; LANES]]) {
        assert!(queries.len() == 2 * keys.len() * out.len());
        // SAFETY: an engine with this instruction set exists on machines that have it alone; queries are as long as `dots_of` reads.
        unsafe {
            match out.len() {
                1 => dots_of::<1>(queries, keys, out),
                2 => dots_of::<2>(queries, keys, out),
                3 => dots_of::<3>(queries, keys, out),
                4 => dots_of::<4>(queries, keys, out),
                _ => {}
            }
        }
    }

    /// # Safety
    /// The machine has the features; there are H queries of as many pairs as keys have.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn dots_of<const H: usize>(queries: &[i16], keys: &[Pairs], out: &mut [[i32; LANES]]) {
        let mut sums = [_mm512_setzero_si512(); H];
        for (pair, cells) in keys.iter().enumerate() {
            // SAFETY: 64 bytes of cells; two cells of each query at this pair.
            unsafe {
                let cells = _mm512_loadu_si512(cells.as_ptr().cast());
                for (h, sum) in sums.iter_mut().enumerate() {
                    let query = queries.as_ptr().add(2 * (h * keys.len() + pair));
                    let query = _mm512_set1_epi32(query.cast::<i32>().read_unaligned());
                    *sum = _mm512_dpwssd_epi32(*sum, cells, query);
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            // SAFETY: 16 lanes of 32 bits.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sum) };
        }
    }

    pub(super) fn weighted(sum: &Weighted<'_>, out: &mut [[i64; LANES]]) {
        let count = sum.weights.first().map_or(0, Vec::len);
        assert!(sum.weights.iter().all(|weights| weights.len() == count));
        assert!(sum.values.iter().all(|values| values.len() == count));
        assert!(out.len() == sum.weights.len() * sum.values.len() && sum.pairs > 0);
        let blocks = sum.values.len();
        for (number, heads) in sum.weights.chunks(HEADS).enumerate() {
            for first in (0..blocks).step_by(BLOCKS) {
                let values = &sum.values[first..blocks.min(first + BLOCKS)];
                let start = number * HEADS * blocks + first;
                let out = &mut out[start..];
                // SAFETY: an engine with this instruction set exists on machines that have it alone; all rows are equally long.
                unsafe {
                    match (heads.len(), values.len()) {
                        (1, 4) => tile::<1, 4>(heads, values, sum.pairs, (out, blocks)),
                        (2, 4) => tile::<2, 4>(heads, values, sum.pairs, (out, blocks)),
                        (3, 4) => tile::<3, 4>(heads, values, sum.pairs, (out, blocks)),
                        (4, 4) => tile::<4, 4>(heads, values, sum.pairs, (out, blocks)),
                        _ => {
                            for (h, head) in heads.iter().enumerate() {
                                for (b, values) in values.iter().enumerate() {
                                    let (head, values) = ([head.clone()], [*values]);
                                    let out = &mut out[h * blocks + b..];
                                    tile::<1, 1>(&head, &values, sum.pairs, (out, blocks));
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// The machine has the features; there are H rows of weights and B of values, all equally long.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tile<const H: usize, const B: usize>(
        weights: &[Vec<[i16; 2]>],
        values: &[&[Pairs]],
        pairs: usize,
        (out, stride): (&mut [[i64; LANES]], usize),
    ) {
        let count = values[0].len();
        let mut all = [[[0_i64; LANES]; B]; H];
        for first in (0..count).step_by(pairs) {
            let mut sums = [[_mm512_setzero_si512(); B]; H];
            for pair in first..count.min(first + pairs) {
                // SAFETY: every row has this pair.
                unsafe {
                    let cells: [__m512i; B] = core::array::from_fn(|b| {
                        _mm512_loadu_si512(values[b].as_ptr().add(pair).cast())
                    });
                    for h in 0..H {
                        let weight = weights[h].as_ptr().add(pair).cast::<i32>();
                        let weight = _mm512_set1_epi32(weight.read_unaligned());
                        for b in 0..B {
                            sums[h][b] = _mm512_dpwssd_epi32(sums[h][b], cells[b], weight);
                        }
                    }
                }
            }
            for (all, sums) in all.iter_mut().zip(sums) {
                for (all, sum) in all.iter_mut().zip(sums) {
                    let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum));
                    let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(sum));
                    let (first, second) = all.split_at_mut(LANES / 2);
                    // SAFETY: 8 lanes of 64 bits each.
                    unsafe {
                        for (half, sum) in [(first, low), (second, high)] {
                            let before = _mm512_loadu_si512(half.as_ptr().cast());
                            let after = _mm512_add_epi64(before, sum);
                            _mm512_storeu_si512(half.as_mut_ptr().cast(), after);
                        }
                    }
                }
            }
        }
        for (h, all) in all.into_iter().enumerate() {
            for (b, all) in all.into_iter().enumerate() {
                out[h * stride + b] = all;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use credence_testkit::program_gen::Choices;

    use super::*;

    fn cells(choices: &mut Choices, max: i32) -> i16 {
        let any = choices.int(-max, max);
        i16::try_from(if choices.chance(20) {
            any.signum() * max
        } else {
            any
        })
        .unwrap()
    }

    #[test]
    fn every_instruction_set_gives_the_sums() {
        let mut choices = Choices::new(5);
        for round in 0..300 {
            let pick = |choices: &mut Choices, max| usize::try_from(choices.size(1, max)).unwrap();
            let (heads, pairs, blocks) = (
                pick(&mut choices, 4),
                pick(&mut choices, 70),
                pick(&mut choices, 9),
            );
            let keys: Vec<Pairs> = (0..pairs)
                .map(|_| [0; 32].map(|_: i16| cells(&mut choices, 2800)))
                .collect();
            let queries: Vec<i16> = (0..heads * pairs * 2)
                .map(|_| cells(&mut choices, 2800))
                .collect();
            let many = pick(&mut choices, 6);
            let weights: Vec<Vec<[i16; 2]>> = (0..many)
                .map(|_| {
                    (0..pairs)
                        .map(|_| {
                            [
                                cells(&mut choices, 32_767).abs(),
                                cells(&mut choices, 32_767).abs(),
                            ]
                        })
                        .collect()
                })
                .collect();
            let values: Vec<Vec<Pairs>> = (0..blocks)
                .map(|_| {
                    (0..pairs)
                        .map(|_| [0; 32].map(|_: i16| cells(&mut choices, 4095)))
                        .collect()
                })
                .collect();
            let values: Vec<&[Pairs]> = values.iter().map(Vec::as_slice).collect();
            let sum = Weighted {
                weights: &weights,
                values: &values,
                pairs: 8,
            };
            let (mut dot, mut mean) = (vec![[0; LANES]; heads], vec![[0; LANES]; many * blocks]);
            dots(Isa::Scalar, &queries, &keys, &mut dot);
            weighted(Isa::Scalar, &sum, &mut mean);
            let lane = 3;
            let slow: i64 = (0..pairs)
                .map(|t| {
                    i64::from(weights[0][t][0]) * i64::from(values[0][t][2 * lane])
                        + i64::from(weights[0][t][1]) * i64::from(values[0][t][2 * lane + 1])
                })
                .sum();
            assert_eq!(mean[0][lane], slow, "round {round}");
            for isa in Isa::available() {
                let (mut got_dot, mut got_mean) =
                    (vec![[1; LANES]; heads], vec![[1; LANES]; many * blocks]);
                dots(isa, &queries, &keys, &mut got_dot);
                weighted(isa, &sum, &mut got_mean);
                assert_eq!(got_dot, dot, "round {round}, {isa}");
                assert_eq!(got_mean, mean, "round {round}, {isa}");
            }
        }
    }
}
