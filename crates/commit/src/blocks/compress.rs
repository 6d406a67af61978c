//! BLAKE3's compression function (BLAKE3 paper, sections 2.2 and 2.4), in plain code, for chunks that are hashed from within.
//!
//! The library hashes whole chunks alone. Tests hold this against it. It deliberately hashes nothing but the blocks of one chunk in derive-key mode.

use core::ops::Range;

use blake3::hazmat::ChainingValue;

use crate::tree::CHUNK_LEN;

const IV: [u32; 4] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a];

const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 1 << 1;
const ROOT: u32 = 1 << 3;
const DERIVE_KEY_MATERIAL: u32 = 1 << 6;

/// A chunk of a content.
pub(super) struct Chunk {
    /// Where it stands.
    pub(super) bytes: Range<u64>,
    /// Whether it is all of the content.
    pub(super) is_root: bool,
}

/// The chaining value after `bytes`, which stand in the chunk from block `first` on, `before` being the one before them.
pub(super) fn chain(
    before: &ChainingValue,
    chunk: &Chunk,
    first: u64,
    bytes: &[u8],
) -> ChainingValue {
    let counter = chunk.bytes.start.checked_div(CHUNK_LEN).unwrap_or(0);
    let size = chunk.bytes.end.saturating_sub(chunk.bytes.start);
    let last = size.div_ceil(64).saturating_sub(1);
    let mut value = words(before);
    for (number, block) in (first..).zip(bytes.chunks(64)) {
        let mut flags = DERIVE_KEY_MATERIAL;
        if number == 0 {
            flags |= CHUNK_START;
        }
        if number == last {
            flags |= CHUNK_END;
            if chunk.is_root {
                flags |= ROOT;
            }
        }
        value = compress(&value, block, counter, flags);
    }
    let mut out = ChainingValue::default();
    for (slot, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(value) {
        *slot = word.to_le_bytes();
    }
    out
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    let (whole, rest) = bytes.as_chunks::<4>();
    let mut slots = words.iter_mut();
    for (bytes, slot) in whole.iter().zip(&mut slots) {
        *slot = u32::from_le_bytes(*bytes);
    }
    if let Some(slot) = slots.next().filter(|_| !rest.is_empty()) {
        let mut filled = [0; 4];
        for (to, from) in filled.iter_mut().zip(rest) {
            *to = *from;
        }
        *slot = u32::from_le_bytes(filled);
    }
    words
}

const fn mix(v: [u32; 4], x: u32, y: u32) -> [u32; 4] {
    let [a, b, c, d] = v;
    let a = a.wrapping_add(b).wrapping_add(x);
    let d = (d ^ a).rotate_right(16);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_right(12);
    let a = a.wrapping_add(b).wrapping_add(y);
    let d = (d ^ a).rotate_right(8);
    let c = c.wrapping_add(d);
    let b = (b ^ c).rotate_right(7);
    [a, b, c, d]
}

fn compress(value: &[u32; 8], block: &[u8], counter: u64, flags: u32) -> [u32; 8] {
    let [c0, c1, c2, c3, c4, c5, c6, c7] = *value;
    let [i0, i1, i2, i3] = IV;
    let len = u32::try_from(block.len()).unwrap_or(64);
    let (low, high) = (
        u32::try_from(counter & u64::from(u32::MAX)).unwrap_or(0),
        u32::try_from(counter >> 32_u32).unwrap_or(0),
    );
    // Columns of the state: word i, i + 4, i + 8, i + 12.
    let mut columns = [
        [c0, c4, i0, low],
        [c1, c5, i1, high],
        [c2, c6, i2, len],
        [c3, c7, i3, flags],
    ];
    let mut m: [u32; 16] = words(block);
    for round in 0..7 {
        if round > 0 {
            m = [
                m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13], m[1], m[11], m[12], m[5], m[9],
                m[14], m[15], m[8],
            ];
        }
        let [p, q, r, s] = columns;
        let p = mix(p, m[0], m[1]);
        let q = mix(q, m[2], m[3]);
        let r = mix(r, m[4], m[5]);
        let s = mix(s, m[6], m[7]);
        let a = mix([p[0], q[1], r[2], s[3]], m[8], m[9]);
        let b = mix([q[0], r[1], s[2], p[3]], m[10], m[11]);
        let c = mix([r[0], s[1], p[2], q[3]], m[12], m[13]);
        let d = mix([s[0], p[1], q[2], r[3]], m[14], m[15]);
        columns = [
            [a[0], d[1], c[2], b[3]],
            [b[0], a[1], d[2], c[3]],
            [c[0], b[1], a[2], d[3]],
            [d[0], c[1], b[2], a[3]],
        ];
    }
    let [p, q, r, s] = columns;
    [
        p[0] ^ p[2],
        q[0] ^ q[2],
        r[0] ^ r[2],
        s[0] ^ s[2],
        p[1] ^ p[3],
        q[1] ^ q[3],
        r[1] ^ r[3],
        s[1] ^ s[3],
    ]
}
