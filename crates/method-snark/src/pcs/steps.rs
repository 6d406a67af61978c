//! What prover and verifier say in the same words: absorbing, challenges, positions, work.
//!
//! Each function absorbs what its challenge must depend on, and then draws; so both sides draw the same. It deliberately neither writes nor reads a proof.

use blake3::hazmat::{HasherExt as _, hash_derive_key_context};
use credence_base::{Digest, domain};

use crate::extension::K;
use crate::field::F;
use crate::pcs::commitment::Commitment;
use crate::pcs::params::{Params, Round, WORK_BITS};
use crate::transcript::Transcript;

/// Absorbs the statement. The challenge joins the claimed value with the commitment's sample.
pub fn begin(
    params: &Params,
    commitment: &Commitment,
    point: &[K],
    value: K,
    transcript: &mut Transcript,
) -> K {
    transcript.absorb_bytes("protocol", b"polynomial opening");
    commitment.absorb(params, transcript);
    transcript.absorb_ks("point", point);
    transcript.absorb_k("value", value);
    // Error: the list's size / |K|.
    transcript.challenge_k("join statement")
}

/// Absorbs the next oracle's root and draws its sample point.
pub fn sample_point(root: &Digest, transcript: &mut Transcript) -> K {
    transcript.absorb_digest("oracle", root);
    // Two polynomials of one list agree here with a chance of at most 2^m / |K|.
    transcript.challenge_k("sample")
}

/// Absorbs the value at the sample point.
pub fn sampled(value: K, transcript: &mut Transcript) {
    transcript.absorb_k("sampled", value);
}

/// Absorbs the last polynomial's values.
pub fn last(values: &[K], transcript: &mut Transcript) {
    transcript.absorb_ks("last polynomial", values);
}

/// What a round's work is done on.
pub fn work_seed(transcript: &mut Transcript) -> [u8; 32] {
    transcript.challenge_bytes("work")
}

/// What is hashed for a nonce: one block.
#[must_use]
pub fn work_block(seed: &[u8; 32], nonce: u64) -> [u8; 64] {
    let mut block = [0; 64];
    if let Some((head, rest)) = block.split_first_chunk_mut() {
        *head = *seed;
        if let Some(slot) = rest.first_chunk_mut() {
            *slot = nonce.to_le_bytes();
        }
    }
    block
}

/// Whether a hash of [`work_block`] is good enough: the low [`WORK_BITS`] bits of its first eight bytes are 0.
#[must_use]
pub fn is_work(hash: &[u8]) -> bool {
    let Some(head) = hash.first_chunk() else {
        return false;
    };
    u64::from_le_bytes(*head).trailing_zeros() >= WORK_BITS
}

/// Whether `nonce` is work on `seed`: one in 2^16 is.
#[must_use]
pub fn has_worked(seed: &[u8; 32], nonce: u64) -> bool {
    let key = hash_derive_key_context(domain::SNARK_WORK.as_str());
    let mut hasher = blake3::Hasher::new_from_context_key(&key);
    hasher.update(&work_block(seed, nonce));
    is_work(hasher.finalize().as_bytes())
}

/// Absorbs the nonce and draws the leaves to be opened: by rising number, each once.
pub fn queries(round: &Round, nonce: u64, transcript: &mut Transcript) -> Vec<u64> {
    transcript.absorb_u64("nonce", nonce);
    let count = usize::try_from(round.queries).unwrap_or(usize::MAX);
    // A word that agrees with no codeword on a share α of the leaves passes with a chance of at most α^count.
    let mut indices = transcript.challenge_indices("queries", count, round.log_leaves());
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// Absorbs the opened leaves. The challenge joins what they say with the claim so far.
pub fn join(leaves: &[u8], transcript: &mut Transcript) -> K {
    transcript.absorb_bytes("leaves", leaves);
    // Error: the list's size · (queries + 1) / |K|.
    transcript.challenge_k("join queries")
}

/// The point of F at which leaf number `index` has the values of the interleaved polynomials: the root of unity of order `2^log_leaves` to the power of the index's bits in reverse.
#[must_use]
pub fn leaf_point(log_leaves: u32, index: u64) -> F {
    let shift = 64u32.saturating_sub(log_leaves);
    let exponent = index.reverse_bits().checked_shr(shift).unwrap_or(0);
    F::root_of_unity(log_leaves).unwrap_or(F::ONE).pow(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_leaves_are_all_roots_of_unity_in_reversed_order() {
        let root = F::root_of_unity(3).unwrap();
        let got: Vec<F> = (0..8).map(|index| leaf_point(3, index)).collect();
        let expected = [0, 4, 2, 6, 1, 5, 3, 7].map(|exponent| root.pow(exponent));
        assert_eq!(got, expected);
        assert_eq!(leaf_point(0, 0), F::ONE);
    }

    #[test]
    fn one_nonce_in_many_is_work() {
        let seed = [7; 32];
        let first = (0..).find(|nonce| has_worked(&seed, *nonce)).unwrap();
        assert!(first > 100, "{first}");
        assert!(!has_worked(&[8; 32], first));
        assert!(!is_work(&[0; 7]));
        assert!(is_work(&[0; 32]));
        assert!(!is_work(&[0, 128, 0, 0, 0, 0, 0, 0]));
        assert!(is_work(&[0, 0, 1, 0, 0, 0, 0, 0]));
    }
}
