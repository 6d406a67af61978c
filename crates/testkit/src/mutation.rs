//! Seeded edits of honest bytes, for tests that throw what is almost right at a decoder.

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose mutations, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, or 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }
}

/// One to four edits: flip, overwrite, insert, delete, double a run, cut, or write an extreme integer.
#[must_use]
pub fn mutate(seed: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=choices.below(4) {
        let at = choices.below(bytes.len());
        let end = (at + 1 + choices.below(16)).min(bytes.len());
        match choices.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << choices.below(8),
            1 if !bytes.is_empty() => bytes[at] = choices.byte(),
            2 => bytes.insert(at, choices.byte()),
            3 => drop(bytes.drain(at.min(end)..end)),
            4 => {
                let run = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, run);
            }
            5 => bytes.truncate(at),
            _ => {
                let extreme = [[0xff; 8], [0; 8], i64::MAX.to_le_bytes()][choices.below(3)];
                for (slot, byte) in bytes[at.min(end)..end].iter_mut().zip(extreme) {
                    *slot = byte;
                }
            }
        }
    }
    bytes
}
