//! The tree over a codeword: leaves are symbols, inner nodes pairs; several leaves are shown by one pruned set of siblings.
//!
//! ```text
//! leaf = H(snark-leaf, bytes)      node = H(snark-node, left ‖ right)      2^d leaves, depth d known to the verifier
//! ```
//!
//! Siblings come level by level from the leaves up, in each level from left to right, and only those that do not follow from what is shown. Leaf and node have domains of their own and the depth is
//! fixed, so a node is never taken for a leaf.

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use credence_base::{Digest, domain};

use crate::reader::{ReadError, Reader};

/// The hashes of leaves and nodes.
#[derive(Debug, Clone)]
pub struct TreeHash {
    leaf: ContextKey,
    node: ContextKey,
}

impl Default for TreeHash {
    fn default() -> Self {
        Self {
            leaf: hash_derive_key_context(domain::SNARK_LEAF.as_str()),
            node: hash_derive_key_context(domain::SNARK_NODE.as_str()),
        }
    }
}

impl TreeHash {
    /// The digest of a leaf.
    #[must_use]
    pub fn leaf(&self, bytes: &[u8]) -> Digest {
        digest(&self.leaf, &[bytes])
    }

    /// The digest of two nodes' parent.
    #[must_use]
    pub fn node(&self, left: &Digest, right: &Digest) -> Digest {
        digest(&self.node, &[left.as_bytes(), right.as_bytes()])
    }

    /// The root of the tree of `2^log_leaves` leaves in which these stand, with the siblings that `reader` has. `None` if no leaf is given.
    ///
    /// The leaves must be given by rising number, each once.
    ///
    /// # Errors
    /// [`ReadError`] if there are too few siblings.
    pub fn root(
        &self,
        log_leaves: u32,
        leaves: Vec<(u64, Digest)>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Digest>, ReadError> {
        let mut level = leaves;
        for _ in 0..log_leaves {
            let mut above = Vec::with_capacity(level.len());
            let mut nodes = level.into_iter().peekable();
            while let Some((index, digest)) = nodes.next() {
                let parent = if index & 1 == 1 {
                    self.node(&reader.digest()?, &digest)
                } else {
                    let sibling = nodes.next_if(|(next, _)| *next == index | 1);
                    let right = match sibling {
                        Some((_, sibling)) => sibling,
                        None => reader.digest()?,
                    };
                    self.node(&digest, &right)
                };
                above.push((index >> 1, parent));
            }
            level = above;
        }
        Ok(level.first().map(|(_, root)| *root))
    }
}

fn digest(key: &ContextKey, parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new_from_context_key(key);
    for part in parts {
        hasher.update(part);
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_and_nodes_have_their_domains() {
        let hash = TreeHash::default();
        let pair = [[1; 32], [2; 32]].concat();
        let (left, right) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let leaf = blake3::derive_key("credence/snark-leaf/v1", &pair);
        let node = blake3::derive_key("credence/snark-node/v1", &pair);
        assert_eq!(*hash.leaf(&pair).as_bytes(), leaf);
        assert_eq!(*hash.node(&left, &right).as_bytes(), node);
    }

    #[test]
    fn every_set_of_leaves_leads_to_the_root_and_no_other_leaf_does() {
        let hash = TreeHash::default();
        let leaves: Vec<Digest> = (0..8u8).map(|i| hash.leaf(&[i])).collect();
        let mut levels = vec![leaves.clone()];
        while levels.last().unwrap().len() > 1 {
            let below = levels.last().unwrap();
            let above = below.chunks(2).map(|pair| hash.node(&pair[0], &pair[1]));
            levels.push(above.collect());
        }
        let root = levels.last().unwrap()[0];
        for set in 1..256u64 {
            let chosen: Vec<u64> = (0..8).filter(|i| set >> i & 1 == 1).collect();
            let mut siblings = Vec::new();
            let mut known = chosen.clone();
            for level in &levels[..3] {
                for index in &known {
                    if !known.contains(&(index ^ 1)) {
                        let at = usize::try_from(index ^ 1).unwrap();
                        siblings.extend(level[at].as_bytes());
                    }
                }
                known = known.iter().map(|index| index >> 1).collect();
                known.dedup();
            }
            let shown = |wrong: Option<usize>| -> Vec<(u64, Digest)> {
                let leaf = |(at, index): (usize, &u64)| {
                    let number = u8::try_from(*index).unwrap();
                    let byte = if wrong == Some(at) { 99 } else { number };
                    (*index, hash.leaf(&[byte]))
                };
                chosen.iter().enumerate().map(leaf).collect()
            };
            let mut reader = Reader::new(&siblings);
            assert_eq!(hash.root(3, shown(None), &mut reader), Ok(Some(root)));
            assert_eq!(reader.remaining(), 0, "{set:b}");
            for wrong in 0..chosen.len() {
                let got = hash.root(3, shown(Some(wrong)), &mut Reader::new(&siblings));
                assert_ne!(got, Ok(Some(root)), "{set:b} {wrong}");
            }
            if let Some(short) = siblings.len().checked_sub(1) {
                let mut reader = Reader::new(&siblings[..short]);
                assert!(hash.root(3, shown(None), &mut reader).is_err());
            }
        }
        assert_eq!(hash.root(3, Vec::new(), &mut Reader::new(&[])), Ok(None));
    }
}
