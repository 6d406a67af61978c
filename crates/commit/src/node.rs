//! Single nodes of a tree: what a dispute walks down from a root to one chunk.
//!
//! ```text
//! Node::root(len) ─below(levels)─▶ nodes, left to right ─value(bytes)─▶ chaining values ─join─▶ the value of the node above
//! ```
//!
//! The shape follows from the content's length alone. Soundness: a parent's value, or the root, is BLAKE3's compression of its children's, so two lists of values
//! that join to one are a collision. It deliberately does not know who sent a value.

use core::ops::Range;

use blake3::hazmat::{
    ChainingValue, ContextKey, HasherExt as _, Mode, hash_derive_key_context, left_subtree_len,
    merge_subtrees_non_root, merge_subtrees_root,
};
use credence_base::Domain;

use crate::opening::CONTENT_LEN_MAX;
use crate::tree::CHUNK_LEN;

/// Most levels that are stepped down at once: 256 nodes.
pub const LEVELS_MAX: u8 = 8;

/// One node: the bytes below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    range: Range<u64>,
    is_root: bool,
}

impl Node {
    /// The root of a content of `len` bytes; none unless `1 ≤ len ≤ 2^62`.
    #[must_use]
    pub fn root(len: u64) -> Option<Self> {
        let fits = (1..=CONTENT_LEN_MAX).contains(&len);
        fits.then_some(Self {
            range: 0..len,
            is_root: true,
        })
    }

    /// The bytes below it.
    #[must_use]
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Whether it is one chunk, so that nothing but bytes is below it.
    #[must_use]
    pub const fn is_chunk(&self) -> bool {
        self.range.end.saturating_sub(self.range.start) <= CHUNK_LEN
    }

    /// The two nodes below; none below a chunk.
    fn halves(&self) -> Option<[Self; 2]> {
        if self.is_chunk() {
            return None;
        }
        let Range { start, end } = self.range;
        let middle = start.saturating_add(left_subtree_len(end.saturating_sub(start)));
        let half = |range| Self {
            range,
            is_root: false,
        };
        Some([half(start..middle), half(middle..end)])
    }

    /// The nodes `levels` below it (at most [`LEVELS_MAX`]), left to right; a chunk that is reached before stands for itself.
    #[must_use]
    pub fn below(&self, levels: u8) -> Vec<Self> {
        let mut nodes = vec![self.clone()];
        for _ in 0..levels.min(LEVELS_MAX) {
            let mut next = Vec::with_capacity(nodes.len().saturating_mul(2));
            for node in nodes {
                match node.halves() {
                    Some(halves) => next.extend(halves),
                    None => next.push(node),
                }
            }
            nodes = next;
        }
        nodes
    }
}

/// Computes values of nodes for one purpose.
pub struct Nodes(ContextKey);

impl core::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Nodes")
    }
}

impl Nodes {
    /// For the purpose `domain`.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self(hash_derive_key_context(domain.as_str()))
    }

    /// The value of the node below which exactly `bytes` stand; for the root of a content, its root. None if `bytes` are more or fewer.
    #[must_use]
    pub fn value(&self, node: &Node, bytes: &[u8]) -> Option<[u8; 32]> {
        let Range { start, end } = node.range;
        if u64::try_from(bytes.len()).ok() != end.checked_sub(start) {
            return None;
        }
        let mut hasher = blake3::Hasher::new_from_context_key(&self.0);
        if node.is_root {
            return Some(*hasher.update(bytes).finalize().as_bytes());
        }
        let value = hasher
            .set_input_offset(start)
            .update(bytes)
            .finalize_non_root();
        Some(value)
    }

    /// The value of `node` from those of [`Node::below`]. None if there are more or fewer values than nodes.
    #[must_use]
    pub fn join(&self, node: &Node, levels: u8, values: &[[u8; 32]]) -> Option<[u8; 32]> {
        let mut left = values.iter();
        let value = self.walk(node, levels.min(LEVELS_MAX), &mut left)?;
        left.next().is_none().then_some(value)
    }

    /// Recurses at most [`LEVELS_MAX`] deep.
    fn walk<'v>(
        &self,
        node: &Node,
        levels: u8,
        values: &mut impl Iterator<Item = &'v ChainingValue>,
    ) -> Option<ChainingValue> {
        let Some(below) = levels.checked_sub(1) else {
            return values.next().copied();
        };
        let Some([left, right]) = node.halves() else {
            return values.next().copied();
        };
        let left = self.walk(&left, below, values)?;
        let right = self.walk(&right, below, values)?;
        let mode = Mode::DeriveKeyMaterial(&self.0);
        Some(if node.is_root {
            *merge_subtrees_root(&left, &right, mode).as_bytes()
        } else {
            merge_subtrees_non_root(&left, &right, mode)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;
    use credence_base::domain;

    fn content(len: usize) -> Vec<u8> {
        (0..len)
            .map(|at| u8::try_from((at * 37 + at / 250) % 256).unwrap())
            .collect()
    }

    fn part<'a>(all: &'a [u8], node: &Node) -> &'a [u8] {
        let Range { start, end } = node.range().clone();
        &all[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]
    }

    #[test]
    fn every_descent_joins_to_the_librarys_root() {
        let nodes = Nodes::new(domain::TRACE_SECTION);
        for len in [
            1_usize, 1023, 1024, 1025, 2048, 2049, 5000, 16_384, 17_001, 70_000,
        ] {
            let all = content(len);
            for levels in 1..=5 {
                let mut queue = vec![Node::root(u64::try_from(len).unwrap()).unwrap()];
                let root = nodes.value(&queue[0], &all).unwrap();
                assert_eq!(&root, tree::root(domain::TRACE_SECTION, &all).as_bytes());
                while let Some(node) = queue.pop() {
                    let below = node.below(levels);
                    let values: Vec<_> = below
                        .iter()
                        .map(|node| nodes.value(node, part(&all, node)).unwrap())
                        .collect();
                    let own = nodes.value(&node, part(&all, &node));
                    assert_eq!(nodes.join(&node, levels, &values), own, "{len} {node:?}");
                    queue.extend(below.into_iter().filter(|node| !node.is_chunk()));
                }
            }
        }
    }

    #[test]
    fn other_values_and_other_numbers_of_them_do_not_join() {
        let nodes = Nodes::new(domain::TRACE_SECTION);
        let all = content(9000);
        let root = Node::root(9000).unwrap();
        let below = root.below(4);
        assert_eq!(below.len(), 9);
        let values: Vec<_> = below
            .iter()
            .map(|node| nodes.value(node, part(&all, node)).unwrap())
            .collect();
        let own = nodes.join(&root, 4, &values).unwrap();
        for at in 0..values.len() {
            let mut other = values.clone();
            other[at][at % 32] ^= 1;
            assert_ne!(nodes.join(&root, 4, &other), Some(own));
        }
        assert_eq!(nodes.join(&root, 4, &values[1..]), None);
        assert_eq!(
            nodes.join(&root, 4, &[values.clone(), vec![[0; 32]]].concat()),
            None
        );
        assert_eq!(nodes.value(&root, &all[1..]), None);
        assert_eq!(Node::root(0), None);
        assert_eq!(Node::root(CONTENT_LEN_MAX + 1), None);
        assert_eq!(Node::root(CONTENT_LEN_MAX).unwrap().below(255).len(), 256);
    }
}
