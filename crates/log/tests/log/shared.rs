//! Trees, keys and numbers that look random, for all tests.

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::hash::Hash;
use credence_log::proof::TileSet;
use credence_log::{Algorithm, Edge, KeyName, Signer};

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
