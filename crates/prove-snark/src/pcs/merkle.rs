//! The tree over a codeword, all of it, and the siblings that show leaves.
//!
//! Leaves and nodes are hashed many at a time, by the inner function of the BLAKE3 crate that its own tree is made with: it is public but undocumented. What it gives is compared by tests with what the verifier's plain hashing gives,
//! and a leaf of a size that it is not compiled for is hashed plainly.

use blake3::IncrementCounter;
use blake3::hazmat::hash_derive_key_context;
use blake3::platform::Platform;
use credence_base::{Digest, Domain, domain};
use credence_method_snark::pcs::merkle::TreeHash;
use rayon::prelude::*;

/// Hashes in one go of a thread.
const BATCH: usize = 256;

/// BLAKE3's flags (its specification, section 2.2): first block, last block, root, derive-key material.
const FLAGS: [u8; 4] = [1, 2, 8, 64];

/// All levels of the tree: the leaves' digests first, the root last.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// The tree over leaves of `leaf_bytes` each; their number is a power of two.
    pub(crate) fn new(bytes: &[u8], leaf_bytes: usize) -> Self {
        let mut levels = vec![leaves(bytes, leaf_bytes)];
        let nodes = Many::new(domain::SNARK_NODE);
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = nodes.hash::<64>(below.as_flattened());
            levels.push(above);
        }
        Self { levels }
    }

    /// The root.
    pub(crate) fn root(&self) -> Digest {
        let root = self.levels.last().and_then(|level| level.first());
        Digest::from_bytes(root.copied().unwrap_or_default())
    }

    /// Appends the siblings that show the leaves of rising numbers `indices`, in the order in which the verifier asks for them.
    pub(crate) fn siblings(&self, indices: &[u64], out: &mut Vec<u8>) {
        let mut known = indices.to_vec();
        for level in self.levels.iter().take(self.levels.len() - 1) {
            let mut above = Vec::with_capacity(known.len());
            let mut nodes = known.into_iter().peekable();
            while let Some(index) = nodes.next() {
                let paired = nodes.next_if_eq(&(index | 1)).is_some();
                if !paired || index & 1 == 1 {
                    let sibling = usize::try_from(index ^ 1).unwrap_or(usize::MAX);
                    out.extend(level.get(sibling).copied().unwrap_or_default());
                }
                above.push(index >> 1);
            }
            known = above;
        }
    }
}

fn leaves(bytes: &[u8], leaf_bytes: usize) -> Vec<[u8; 32]> {
    let many = Many::new(domain::SNARK_LEAF);
    match leaf_bytes {
        128 => many.hash::<128>(bytes),
        192 => many.hash::<192>(bytes),
        256 => many.hash::<256>(bytes),
        384 => many.hash::<384>(bytes),
        512 => many.hash::<512>(bytes),
        1024 => many.hash::<1024>(bytes),
        _ => {
            let hash = TreeHash::default();
            let leaves = bytes.par_chunks(leaf_bytes);
            leaves.map(|leaf| *hash.leaf(leaf).as_bytes()).collect()
        }
    }
}

/// Hashes many inputs of one length for one purpose.
#[derive(Debug, Clone)]
pub(crate) struct Many {
    platform: Platform,
    key: [u32; 8],
}

impl Many {
    pub(crate) fn new(domain: Domain) -> Self {
        let bytes = hash_derive_key_context(domain.as_str());
        let (words, _) = bytes.as_chunks();
        let mut key = [0; 8];
        for (slot, word) in key.iter_mut().zip(words) {
            *slot = u32::from_le_bytes(*word);
        }
        Self {
            platform: Platform::detect(),
            key,
        }
    }

    /// The hash of each `LEN` bytes. `LEN` is a multiple of 64, at most 1,024.
    fn hash<const LEN: usize>(&self, bytes: &[u8]) -> Vec<[u8; 32]> {
        let (inputs, _) = bytes.as_chunks::<LEN>();
        let mut hashes = vec![[0; 32]; inputs.len()];
        let batches = hashes.par_chunks_mut(BATCH).zip(inputs.par_chunks(BATCH));
        batches.for_each(|(hashes, inputs)| self.batch(inputs, hashes));
        hashes
    }

    /// The hash of each input, on this thread.
    pub(crate) fn batch<const LEN: usize>(&self, inputs: &[[u8; LEN]], hashes: &mut [[u8; 32]]) {
        let inputs: Vec<&[u8; LEN]> = inputs.iter().collect();
        let [start, end, root, material] = FLAGS;
        self.platform.hash_many(
            &inputs,
            &self.key,
            0,
            IncrementCounter::No,
            material,
            start,
            end | root,
            hashes.as_flattened_mut(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_method_snark::Reader;

    #[test]
    fn many_hashes_are_plain_hashes_and_shown_leaves_lead_to_the_root() {
        let hash = TreeHash::default();
        for leaf_bytes in [64, 128, 192, 256, 384, 512, 1024] {
            for log_leaves in [0u32, 1, 4, 9] {
                let count = 1usize << log_leaves;
                let bytes: Vec<u8> = (0..count * leaf_bytes)
                    .map(|i| u8::try_from(i * i % 251).unwrap())
                    .collect();
                let tree = Tree::new(&bytes, leaf_bytes);
                let plain: Vec<Digest> = bytes
                    .chunks(leaf_bytes)
                    .map(|leaf| hash.leaf(leaf))
                    .collect();
                assert_eq!(tree.levels[0].len(), count);
                for (a, b) in tree.levels[0].iter().zip(&plain) {
                    assert_eq!(a, b.as_bytes());
                }
                for step in [1, 2, 3, 7] {
                    let indices: Vec<u64> = (0..count as u64).step_by(step).collect();
                    let mut siblings = Vec::new();
                    tree.siblings(&indices, &mut siblings);
                    let mut reader = Reader::new(&siblings);
                    let leaves = indices
                        .iter()
                        .map(|i| (*i, plain[usize::try_from(*i).unwrap()]))
                        .collect();
                    let got = hash.root(log_leaves, leaves, &mut reader);
                    assert_eq!(got, Ok(Some(tree.root())));
                    assert_eq!(reader.remaining(), 0);
                }
            }
        }
    }
}
