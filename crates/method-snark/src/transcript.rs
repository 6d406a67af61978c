//! Fiat–Shamir: what prover and verifier have said so far, and the challenges that follow from it.
//!
//! ```text
//! state ‖ items ──BLAKE3, derive-key mode──▶ 32 bytes of next state ‖ the challenge's bytes
//! item = u8 kind ‖ u32 length of label ‖ label ‖ u64 length ‖ bytes
//! ```
//!
//! Every item says its kind, its label and its length, so that no two sequences of items give the same bytes. A challenge depends on everything that was absorbed before it. A challenge
//! in K is three numbers of 128 bits modulo p: no element is more likely than `(1 + 2^-64)^3` times `1/|K|`. An index is the low bits of 64. It deliberately knows no protocol: what must be
//! absorbed, and when, is the caller's to do. Specified in `docs/spec/snark-pcs.md`, section 2.

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use credence_base::{Digest, domain};

use crate::extension::K;
use crate::field::F;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Protocol,
    Bytes,
    Number,
    Base,
    Extension,
    Challenge,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Protocol => 0,
            Self::Bytes => 1,
            Self::Number => 2,
            Self::Base => 3,
            Self::Extension => 4,
            Self::Challenge => 5,
        }
    }
}

/// What has been said so far.
#[derive(Debug, Clone)]
pub struct Transcript {
    key: ContextKey,
    hasher: blake3::Hasher,
}

impl Transcript {
    /// Starts the transcript of a protocol by its name.
    #[must_use]
    pub fn new(protocol: &str) -> Self {
        let key = hash_derive_key_context(domain::TRANSCRIPT.as_str());
        let hasher = blake3::Hasher::new_from_context_key(&key);
        let mut transcript = Self { key, hasher };
        transcript.head(Kind::Protocol, protocol, 0);
        transcript
    }

    fn head(&mut self, kind: Kind, label: &str, len: usize) {
        let label_len = u32::try_from(label.len()).unwrap_or(u32::MAX);
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.hasher.update(&[kind.byte()]);
        self.hasher.update(&label_len.to_le_bytes());
        self.hasher.update(label.as_bytes());
        self.hasher.update(&len.to_le_bytes());
    }

    /// Absorbs bytes.
    pub fn absorb_bytes(&mut self, label: &str, bytes: &[u8]) {
        self.head(Kind::Bytes, label, bytes.len());
        self.hasher.update(bytes);
    }

    /// Absorbs a digest.
    pub fn absorb_digest(&mut self, label: &str, digest: &Digest) {
        self.absorb_bytes(label, digest.as_bytes());
    }

    /// Absorbs a number.
    pub fn absorb_u64(&mut self, label: &str, number: u64) {
        self.head(Kind::Number, label, 8);
        self.hasher.update(&number.to_le_bytes());
    }

    /// Absorbs elements of F and how many they are.
    pub fn absorb_fs(&mut self, label: &str, elements: &[F]) {
        self.head(Kind::Base, label, elements.len());
        for element in elements {
            self.hasher.update(&element.to_bytes());
        }
    }

    /// Absorbs elements of K and how many they are.
    pub fn absorb_ks(&mut self, label: &str, elements: &[K]) {
        self.head(Kind::Extension, label, elements.len());
        for element in elements {
            self.hasher.update(&element.to_bytes());
        }
    }

    /// Absorbs one element of K.
    pub fn absorb_k(&mut self, label: &str, element: K) {
        self.absorb_ks(label, &[element]);
    }

    /// The next challenge's bytes: `len` of them, and all that follows depends on them.
    fn squeeze(&mut self, label: &str, len: usize) -> blake3::OutputReader {
        self.head(Kind::Challenge, label, len);
        let mut output = self.hasher.finalize_xof();
        let mut state = [0; 32];
        output.fill(&mut state);
        self.hasher = blake3::Hasher::new_from_context_key(&self.key);
        self.hasher.update(&state);
        output
    }

    /// A challenge in K.
    pub fn challenge_k(&mut self, label: &str) -> K {
        let mut output = self.squeeze(label, 48);
        next_k(&mut output)
    }

    /// `count` challenges in K. `count` must come from what the verifier knows.
    pub fn challenge_ks(&mut self, label: &str, count: usize) -> Vec<K> {
        let mut output = self.squeeze(label, count.saturating_mul(48));
        (0..count).map(|_| next_k(&mut output)).collect()
    }

    /// `count` indices below `2^log_len` (at most 2^63), each drawn by itself: two may be equal. `count` must come from what the verifier knows.
    pub fn challenge_indices(&mut self, label: &str, count: usize, log_len: u32) -> Vec<u64> {
        let mut output = self.squeeze(label, count.saturating_mul(8));
        let mask = 1u64.checked_shl(log_len).unwrap_or(1 << 63).wrapping_sub(1);
        (0..count)
            .map(|_| {
                let mut bytes = [0; 8];
                output.fill(&mut bytes);
                u64::from_le_bytes(bytes) & mask
            })
            .collect()
    }

    /// A challenge of 32 bytes.
    pub fn challenge_bytes(&mut self, label: &str) -> [u8; 32] {
        let mut output = self.squeeze(label, 32);
        let mut bytes = [0; 32];
        output.fill(&mut bytes);
        bytes
    }
}

fn next_k(output: &mut blake3::OutputReader) -> K {
    K::new(core::array::from_fn(|_| {
        let (mut low, mut high) = ([0; 8], [0; 8]);
        output.fill(&mut low);
        output.fill(&mut high);
        F::from_wide(u64::from_le_bytes(low), u64::from_le_bytes(high))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a transcript gives after `say`.
    fn after(say: impl FnOnce(&mut Transcript)) -> [u8; 32] {
        let mut transcript = Transcript::new("test");
        say(&mut transcript);
        transcript.challenge_bytes("end")
    }

    #[test]
    fn everything_that_is_said_counts() {
        let said = [
            after(|_| ()),
            after(|t| t.absorb_bytes("a", b"xy")),
            after(|t| t.absorb_bytes("ax", b"y")),
            after(|t| t.absorb_bytes("b", b"xy")),
            after(|t| {
                t.absorb_bytes("a", b"x");
                t.absorb_bytes("a", b"y");
            }),
            after(|t| {
                t.absorb_bytes("a", b"y");
                t.absorb_bytes("a", b"x");
            }),
            after(|t| t.absorb_bytes("a", b"")),
            after(|t| t.absorb_bytes("a", &[1, 0, 0, 0, 0, 0, 0, 0])),
            after(|t| t.absorb_u64("a", 1)),
            after(|t| t.absorb_fs("a", &[F::ONE])),
            after(|t| t.absorb_fs("a", &[F::ONE, F::ZERO, F::ZERO])),
            after(|t| t.absorb_k("a", K::ONE)),
            after(|t| t.absorb_ks("a", &[])),
            after(|t| {
                t.challenge_k("a");
            }),
            after(|t| {
                t.challenge_ks("a", 2);
            }),
            after(|t| {
                t.challenge_indices("a", 1, 3);
            }),
            Transcript::new("another").challenge_bytes("end"),
            Transcript::new("test").challenge_bytes("other end"),
        ];
        for (i, a) in said.iter().enumerate() {
            for (j, b) in said.iter().enumerate() {
                assert_eq!(i == j, a == b, "{i} {j}");
            }
        }
    }

    #[test]
    fn later_challenges_depend_on_earlier_words() {
        let run = |word: &[u8]| {
            let mut transcript = Transcript::new("test");
            transcript.absorb_bytes("word", word);
            transcript.challenge_k("first");
            transcript.absorb_u64("same", 1);
            transcript.challenge_k("second")
        };
        assert_ne!(run(b"a"), run(b"b"));
    }

    /// The bytes that are hashed, written out.
    #[test]
    fn golden_challenge() {
        let mut said = vec![0, 4, 0, 0, 0];
        said.extend(b"test");
        said.extend([0; 8]);
        said.extend([5, 3, 0, 0, 0]);
        said.extend(b"end");
        said.extend(32u64.to_le_bytes());
        let mut expected = [0; 64];
        blake3::Hasher::new_derive_key("credence/transcript/v1")
            .update(&said)
            .finalize_xof()
            .fill(&mut expected);
        assert_eq!(after(|_| ()), expected[32..]);
    }

    #[test]
    fn indices_stay_below_their_bound() {
        let mut transcript = Transcript::new("test");
        for log_len in [0, 1, 5, 30, 63] {
            let indices = transcript.challenge_indices("i", 100, log_len);
            assert_eq!(indices.len(), 100);
            assert!(indices.iter().all(|index| *index < 1 << log_len));
        }
        let many = transcript.challenge_indices("i", 200, 2);
        assert!((0..4).all(|index| many.contains(&index)));
    }
}
