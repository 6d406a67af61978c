//! Trees, keys and numbers that look random, for all tests.

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::cosignature::cosign;
use credence_log::hash::Hash;
use credence_log::proof::Plan;
use credence_log::proof::TileSet;
use credence_log::{
    Algorithm, Checkpoint, Clock, Edge, KeyName, LogPolicy, LogProof, SignedCheckpoint, Signer,
};

/// The `at`-th entry.
pub(crate) fn entry(at: u64) -> ReceiptDigest {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&at.to_le_bytes());
    ReceiptDigest::from_bytes(bytes)
}

pub(crate) fn leaf(at: u64) -> Hash {
    Hash::of_receipt(&entry(at))
}

/// RFC 6962, section 2.1, by its own words: slow and plain.
pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_empty_tree(),
        [one] => *one,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(half);
            Hash::of_node(&naive_root(left), &naive_root(right))
        }
    }
}

/// A tree of `size` entries, with all tiles that it was ever published in.
pub(crate) fn tree(size: u64) -> (Edge, TileSet) {
    let (mut edge, mut tiles) = (Edge::new(), TileSet::new());
    for at in 0..size {
        edge.append(leaf(at)).unwrap();
    }
    tiles.extend(edge.take_tiles());
    (edge, tiles)
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

/// The log or witness whose seed is `seed` 32 times.
pub(crate) fn signer(text: &str, algorithm: Algorithm, seed: u8) -> Signer {
    Signer::new(name(text), algorithm, SigningKey::from_seed(&[seed; 32]))
}

pub(crate) fn log_signer() -> Signer {
    signer("log.example/receipts", Algorithm::Ed25519, 1)
}

/// Every way to spoil `bytes` by one flipped bit.
pub(crate) fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}

/// Witness `at`, named `w<at>.example`.
pub(crate) fn witness(at: u8) -> Signer {
    signer(
        &format!("w{at}.example"),
        Algorithm::CosignatureV1,
        100 + at,
    )
}

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const CLOCK: Clock = Clock {
    now_unix_s: NOW,
    skew_max_s: 120,
};

/// The log's checkpoint of the tree of `size` entries.
pub(crate) fn checkpoint(size: u64) -> SignedCheckpoint {
    let log = log_signer();
    Checkpoint::new(log.verifier().name(), size, tree(size).0.root())
        .unwrap()
        .sign(&log)
        .unwrap()
}

/// The same, cosigned by these witnesses at these times.
pub(crate) fn cosigned(size: u64, by: &[(&Signer, u64)]) -> SignedCheckpoint {
    let mut signed = checkpoint(size);
    for (witness, time) in by {
        let line = cosign(&signed, *time, witness).unwrap();
        signed.note_mut().add(line).unwrap();
    }
    signed
}

/// The proof that entry `index` is in that checkpoint's tree.
pub(crate) fn proof(index: u64, signed: SignedCheckpoint) -> LogProof {
    let size = signed.unverified().size();
    let hashes = Plan::inclusion(index, size)
        .unwrap()
        .make(&tree(size).1)
        .unwrap();
    LogProof::new(index, hashes, signed).unwrap()
}

/// Our log, witnesses 1 to `witnesses`, and this quorum.
pub(crate) fn policy(witnesses: u8, quorum: u32) -> LogPolicy {
    let keys = (1..=witnesses).map(|at| witness(at).verifier().clone());
    LogPolicy::new(
        vec![log_signer().verifier().clone()],
        keys.collect(),
        quorum,
    )
    .unwrap()
}
