//! From blocks to floats: plain types and blocks of 32. Layouts are ggml's; arithmetic is f32, a product and then a sum, each rounded.

use crate::kind::TensorKind;
use crate::kquants;
use crate::number::{brain, half};

/// Makes the floats of whole blocks. Fills as much of `out` as `bytes` holds; whoever calls has matched their lengths.
pub(crate) fn dequantise(kind: TensorKind, bytes: &[u8], out: &mut [f32]) {
    match kind {
        TensorKind::F32 => singles(bytes, out, f32::from_le_bytes),
        TensorKind::F16 => singles(bytes, out, half),
        TensorKind::Bf16 => singles(bytes, out, brain),
        TensorKind::Q8_0 => blocks(bytes, out, q8_0),
        TensorKind::Q4_0 => blocks(bytes, out, q4_0),
        TensorKind::Q4_1 => blocks(bytes, out, q4_1),
        TensorKind::Q5_0 => blocks(bytes, out, q5_0),
        TensorKind::Q5_1 => blocks(bytes, out, q5_1),
        TensorKind::Q4K => blocks(bytes, out, kquants::q4_k),
        TensorKind::Q5K => blocks(bytes, out, kquants::q5_k),
        TensorKind::Q6K => blocks(bytes, out, kquants::q6_k),
    }
}

fn singles<const N: usize>(bytes: &[u8], out: &mut [f32], make: impl Fn([u8; N]) -> f32) {
    let (words, _) = bytes.as_chunks::<N>();
    for (cell, &word) in out.iter_mut().zip(words) {
        *cell = make(word);
    }
}

fn blocks<const BYTES: usize, const CELLS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    make: impl Fn(&[u8; BYTES], &mut [f32; CELLS]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (cells, _) = out.as_chunks_mut::<CELLS>();
    for (block, cells) in blocks.iter().zip(cells) {
        make(block, cells);
    }
}

fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let [d0, d1, quants @ ..] = block;
    let d = half([*d0, *d1]);
    for (cell, quant) in out.iter_mut().zip(quants) {
        *cell = f32::from(quant.cast_signed()) * d;
    }
}

/// Low nibbles are the first half of a block, high nibbles the second.
fn nibbles(quants: &[u8], out: &mut [f32; 32], make: impl Fn(usize, u8) -> f32) {
    let (low, high) = out.split_at_mut(16);
    for (at, ((low, high), &quant)) in low.iter_mut().zip(high).zip(quants).enumerate() {
        *low = make(at, quant & 15);
        *high = make(at + 16, quant >> 4);
    }
}

fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let [d0, d1, quants @ ..] = block;
    let d = half([*d0, *d1]);
    nibbles(quants, out, |_, quant| (f32::from(quant) - 8.0) * d);
}

fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let [d0, d1, m0, m1, quants @ ..] = block;
    let (d, m) = (half([*d0, *d1]), half([*m0, *m1]));
    nibbles(quants, out, |_, quant| f32::from(quant) * d + m);
}

/// The fifth bit of element `at`, in its place.
const fn fifth(bits: u32, at: usize) -> u8 {
    if bits >> at & 1 == 1 { 16 } else { 0 }
}

fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let [d0, d1, h0, h1, h2, h3, quants @ ..] = block;
    let d = half([*d0, *d1]);
    let bits = u32::from_le_bytes([*h0, *h1, *h2, *h3]);
    nibbles(quants, out, |at, quant| {
        (f32::from(quant | fifth(bits, at)) - 16.0) * d
    });
}

fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let [d0, d1, m0, m1, h0, h1, h2, h3, quants @ ..] = block;
    let (d, m) = (half([*d0, *d1]), half([*m0, *m1]));
    let bits = u32::from_le_bytes([*h0, *h1, *h2, *h3]);
    nibbles(quants, out, |at, quant| {
        f32::from(quant | fifth(bits, at)) * d + m
    });
}
