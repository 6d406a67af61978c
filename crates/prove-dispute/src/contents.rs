//! All bytes of a run's trees, and which of them a check reads.
//!
//! It deliberately keeps no tree of hashes: a node's value is hashed from its bytes when it is asked for, which over a whole descent is one pass and a fifteenth.

use credence_base::Domain;
use credence_base::domain::{TRACE_SECTION, WEIGHTS};
use credence_commit::blocks::{self, BLOCK_LEN, Runs};
use credence_commit::node::{Node, Nodes};
use credence_dispute::TreeOpening;
use credence_method_spot::{Source, Tree};

use crate::player::PlayError;

/// The weights and the trace's sections, in the order of [`Tree::ALL`].
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    trees: [&'a [u8]; 5],
    touched: [Vec<u64>; 5],
}

const fn domain(tree: Tree) -> Domain {
    match tree {
        Tree::Weights => WEIGHTS,
        Tree::Positions | Tree::Keys | Tree::Values | Tree::Sampled => TRACE_SECTION,
    }
}

impl<'a> Contents<'a> {
    /// Of all trees; empty ones for sections that there are not.
    #[must_use]
    pub fn new(weights: &'a [u8], sections: &'a [Vec<u8>; 4]) -> Self {
        let [positions, keys, values, sampled] = sections;
        Self {
            trees: [weights, positions, keys, values, sampled],
            touched: Default::default(),
        }
    }

    /// The bytes below a node of a section. None if it ends before them.
    #[must_use]
    pub fn below(&self, section: Tree, node: &Node) -> Option<&'a [u8]> {
        let start = usize::try_from(node.range().start).ok()?;
        let end = usize::try_from(node.range().end).ok()?;
        self.trees.get(section.index())?.get(start..end)
    }

    /// The value of a node of a section.
    #[must_use]
    pub fn value(&self, section: Tree, node: &Node) -> Option<[u8; 32]> {
        let nodes = Nodes::new(TRACE_SECTION);
        nodes.value(node, self.below(section, node)?)
    }

    /// Opens all that was read. Takes one hash over each tree that was.
    ///
    /// # Errors
    /// [`PlayError::Open`] if it is not there.
    pub fn open(&self) -> Result<Vec<TreeOpening>, PlayError> {
        let mut trees = Vec::new();
        for ((tree, content), touched) in Tree::ALL.into_iter().zip(self.trees).zip(&self.touched) {
            let runs = Runs::of_blocks(touched.clone());
            if runs.is_empty() {
                continue;
            }
            let parts = blocks::open(domain(tree), content, &runs)
                .map_err(|source| PlayError::Open { tree, source })?;
            trees.push(TreeOpening {
                tree,
                runs: runs.as_slice().to_vec(),
                parts,
            });
        }
        Ok(trees)
    }
}

impl Source for Contents<'_> {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let first = usize::try_from(start).ok()?;
        let content = *self.trees.get(tree.index())?;
        let bytes = content.get(first..first.checked_add(len)?)?;
        let touched = self.touched.get_mut(tree.index())?;
        let block = start / BLOCK_LEN;
        if touched.last() != Some(&block) {
            touched.push(block);
        }
        Some(bytes)
    }
}
