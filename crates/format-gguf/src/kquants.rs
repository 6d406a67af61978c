//! From blocks of 256 to floats: Q4_K, Q5_K, Q6_K, as ggml lays them out.

use crate::number::half;

/// Six-bit scale and minimum of part `part` (0 to 7) of a block: the first four parts have theirs in the low six bits of bytes 0–3 and 4–7; the others have
/// four bits each in bytes 8–11, and two more above those of the first four.
fn scale_and_minimum(packed: &[u8; 12], part: usize) -> (f32, f32) {
    let (scale, minimum) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let low = packed[part + 4];
        (
            (low & 15) | (packed[part - 4] >> 6 << 4),
            (low >> 4) | (packed[part] >> 6 << 4),
        )
    };
    (f32::from(scale), f32::from(minimum))
}

/// What Q4_K and Q5_K share: d, the minimum's d, packed scales; then in each quarter of 64 elements the low nibbles of 32 bytes, then their high nibbles.
fn quarters(
    head: &[u8; 16],
    quants: &[u8; 128],
    out: &mut [f32; 256],
    above: impl Fn(usize, usize) -> u8,
) {
    let [d0, d1, m0, m1, packed @ ..] = head;
    let (d, dmin) = (half([*d0, *d1]), half([*m0, *m1]));
    for (part, cells) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = scale_and_minimum(packed, part);
        let (scale, minimum) = (d * scale, dmin * minimum);
        let bytes = &quants[part / 2 * 32..][..32];
        for (at, (cell, &byte)) in cells.iter_mut().zip(bytes).enumerate() {
            let nibble = if part % 2 == 0 { byte & 15 } else { byte >> 4 };
            *cell = scale * f32::from(nibble | above(part, at)) - minimum;
        }
    }
}

/// 4.5 bits an element.
pub(crate) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    if let (Some(head), Some(quants)) = (block.first_chunk(), block.last_chunk()) {
        quarters(head, quants, out, |_, _| 0);
    }
}

/// 5.5 bits an element: bit `part` of byte `at` of the 32 after the head is the fifth bit.
pub(crate) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    if let (Some(head), Some(quants)) = (block.first_chunk(), block.last_chunk()) {
        let high = &block[16..48];
        quarters(head, quants, out, |part, at| (high[at] >> part & 1) << 4);
    }
}

/// 6.5625 bits an element: in each half of 128, two nibbles of 64 bytes and four pairs of bits of 32 bytes; a signed scale for every 16.
pub(crate) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = d.first_chunk().map_or(f32::NAN, |&d| half(d));
    for (part, cells) in out.chunks_exact_mut(32).enumerate() {
        // Eight parts of 32: four to a half; in a half, parts 0 and 2 share their bytes, as do 1 and 3.
        let (side, quarter) = (part / 4, part % 4);
        let nibbles = &low[side * 64 + quarter % 2 * 32..][..32];
        let pairs = &high[side * 32..][..32];
        for (at, (cell, (&nibble, &pair))) in
            cells.iter_mut().zip(nibbles.iter().zip(pairs)).enumerate()
        {
            let nibble = if quarter < 2 {
                nibble & 15
            } else {
                nibble >> 4
            };
            let quant = f32::from(nibble | (pair >> (2 * quarter) & 3) << 4) - 32.0;
            let scale = f32::from(scales[part * 2 + at / 16].cast_signed());
            *cell = d * scale * quant;
        }
    }
}
