//! Decision trees, checked: every path ends in a leaf, every feature and output exists, every number is finite.

/// When a split sends a sample to its `yes` child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `x[feature] ≤ threshold`.
    LessOrEqual,
    /// `x[feature] < threshold`.
    Less,
}

/// A node of a tree; children are indices into the tree's nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeNode {
    /// A comparison.
    Split {
        /// Index of the feature that is compared.
        feature: usize,
        /// With what.
        threshold: f32,
        /// How.
        comparison: Comparison,
        /// Next node if it holds.
        yes: usize,
        /// Next node if it does not.
        no: usize,
    },
    /// A leaf: what it adds to which outputs. An output may be named more than once.
    Leaf {
        /// Pairs (output, weight).
        weights: Vec<(usize, f64)>,
    },
}

/// One tree; node 0 is its root.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The nodes, in any order but for the root.
    pub nodes: Vec<TreeNode>,
}

/// Why trees are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnsembleError {
    /// There is no tree, or no output.
    #[error("the ensemble has {trees} trees and {outputs} outputs; it needs one of each at least")]
    Empty {
        /// Number of trees.
        trees: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// A child that does not exist, is the root, or is the child of two nodes.
    #[error("tree {tree}: node {node} leads to node {child}, which is absent or reached twice")]
    Child {
        /// The tree.
        tree: usize,
        /// The node.
        node: usize,
        /// The child it names.
        child: usize,
    },
    /// A node that no path from the root reaches.
    #[error("tree {tree}: node {node} is not reached from the root")]
    Unreached {
        /// The tree.
        tree: usize,
        /// The node.
        node: usize,
    },
    /// A path with too many comparisons.
    #[error("tree {tree} is {got} comparisons deep; at most {max} are allowed")]
    Depth {
        /// The tree.
        tree: usize,
        /// Its depth.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A leaf adds to an output that does not exist.
    #[error("tree {tree}: a leaf adds to output {got}, but there are {outputs}")]
    Output {
        /// The tree.
        tree: usize,
        /// The output it names.
        got: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// NaN or an infinity.
    #[error("tree {tree}: {what} is not a finite number")]
    NotFinite {
        /// The tree.
        tree: usize,
        /// Which number.
        what: &'static str,
    },
}

/// Deepest tree, as the op `tree_leaves` has it.
const DEPTH_MAX: usize = 255;

/// Trees whose leaves are summed: `y[k] = base[k] + Σ` over trees of what the leaf reached adds to output k.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeEnsemble {
    trees: Vec<Tree>,
    base: Vec<f64>,
}

impl TreeEnsemble {
    /// Checks trees and the values that sums begin with, one for each output.
    ///
    /// # Errors
    /// [`EnsembleError`], naming the tree.
    pub fn new(trees: Vec<Tree>, base: Vec<f64>) -> Result<Self, EnsembleError> {
        if trees.is_empty() || base.is_empty() {
            return Err(EnsembleError::Empty {
                trees: trees.len(),
                outputs: base.len(),
            });
        }
        for (tree, nodes) in trees.iter().enumerate() {
            check_paths(tree, &nodes.nodes)?;
            check_numbers(tree, &nodes.nodes, base.len())?;
        }
        if base.iter().any(|x| !x.is_finite()) {
            return Err(EnsembleError::NotFinite {
                tree: 0,
                what: "a base value",
            });
        }
        Ok(Self { trees, base })
    }

    /// The trees.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// What each output's sum begins with; their number is that of the outputs.
    #[must_use]
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// One more than the largest feature that is compared.
    #[must_use]
    pub fn features(&self) -> usize {
        let nodes = self.trees.iter().flat_map(|tree| &tree.nodes);
        let used = nodes.map(|node| match node {
            TreeNode::Split { feature, .. } => feature.saturating_add(1),
            TreeNode::Leaf { .. } => 0,
        });
        used.max().unwrap_or(0)
    }

    /// The sums for one position, in f64, trees in order.
    pub(crate) fn evaluate(&self, x: &[f64]) -> Vec<f64> {
        let mut sums = self.base.clone();
        for tree in &self.trees {
            let mut at = 0;
            let weights = loop {
                match &tree.nodes[at] {
                    TreeNode::Leaf { weights } => break weights,
                    TreeNode::Split {
                        feature,
                        threshold,
                        comparison,
                        yes,
                        no,
                    } => {
                        let (value, threshold) = (x[*feature], f64::from(*threshold));
                        let holds = match comparison {
                            Comparison::LessOrEqual => value <= threshold,
                            Comparison::Less => value < threshold,
                        };
                        at = if holds { *yes } else { *no };
                    }
                }
            };
            for &(output, weight) in weights {
                sums[output] += weight;
            }
        }
        sums
    }
}

/// Every node but the root is the child of exactly one other, and paths are short.
fn check_paths(tree: usize, nodes: &[TreeNode]) -> Result<(), EnsembleError> {
    let mut depths: Vec<Option<usize>> = vec![None; nodes.len()];
    if let Some(root) = depths.first_mut() {
        *root = Some(0);
    }
    let mut open = vec![0_usize];
    while let Some(node) = open.pop() {
        let Some(TreeNode::Split { yes, no, .. }) = nodes.get(node) else {
            continue;
        };
        let got = depths[node].unwrap_or(0) + 1;
        if got > DEPTH_MAX {
            return Err(EnsembleError::Depth {
                tree,
                got,
                max: DEPTH_MAX,
            });
        }
        for &child in [yes, no] {
            match depths.get_mut(child) {
                Some(slot @ None) => *slot = Some(got),
                _ => return Err(EnsembleError::Child { tree, node, child }),
            }
            open.push(child);
        }
    }
    match depths.iter().position(Option::is_none) {
        Some(node) => Err(EnsembleError::Unreached { tree, node }),
        None if nodes.is_empty() => Err(EnsembleError::Unreached { tree, node: 0 }),
        None => Ok(()),
    }
}

fn check_numbers(tree: usize, nodes: &[TreeNode], outputs: usize) -> Result<(), EnsembleError> {
    for node in nodes {
        match node {
            TreeNode::Split { threshold, .. } if !threshold.is_finite() => {
                return Err(EnsembleError::NotFinite {
                    tree,
                    what: "a threshold",
                });
            }
            TreeNode::Leaf { weights } => {
                for &(got, weight) in weights {
                    if got >= outputs {
                        return Err(EnsembleError::Output { tree, got, outputs });
                    }
                    if !weight.is_finite() {
                        return Err(EnsembleError::NotFinite {
                            tree,
                            what: "a leaf's weight",
                        });
                    }
                }
            }
            TreeNode::Split { .. } => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(yes: usize, no: usize) -> TreeNode {
        TreeNode::Split {
            feature: 1,
            threshold: 0.5,
            comparison: Comparison::Less,
            yes,
            no,
        }
    }

    fn leaf(weight: f64) -> TreeNode {
        TreeNode::Leaf {
            weights: vec![(0, weight)],
        }
    }

    fn ensemble(nodes: Vec<TreeNode>) -> Result<TreeEnsemble, EnsembleError> {
        TreeEnsemble::new(vec![Tree { nodes }], vec![10.0])
    }

    #[test]
    fn sums_and_comparisons() {
        let trees = ensemble(vec![split(2, 1), leaf(1.0), leaf(2.0)]).unwrap();
        assert_eq!(trees.features(), 2);
        for (x, expected) in [(0.4, 12.0), (0.5, 11.0), (0.6, 11.0)] {
            assert_eq!(trees.evaluate(&[9.0, x]), [expected], "{x}");
        }
    }

    #[test]
    fn malformed_trees_are_refused() {
        let child = |node, child| {
            Err(EnsembleError::Child {
                tree: 0,
                node,
                child,
            })
        };
        assert_eq!(ensemble(vec![split(0, 1), leaf(1.0)]), child(0, 0), "cycle");
        assert_eq!(
            ensemble(vec![split(1, 1), leaf(1.0)]),
            child(0, 1),
            "shared"
        );
        assert_eq!(
            ensemble(vec![split(1, 7), leaf(1.0)]),
            child(0, 7),
            "absent"
        );
        let loose = ensemble(vec![leaf(1.0), leaf(1.0)]);
        assert_eq!(loose, Err(EnsembleError::Unreached { tree: 0, node: 1 }));
        assert!(ensemble(vec![]).is_err());
        assert!(ensemble(vec![leaf(f64::NAN)]).is_err());
        let mut deep: Vec<TreeNode> = (0..256).map(|k| split(2 * k + 1, 2 * k + 2)).collect();
        deep = deep
            .into_iter()
            .enumerate()
            .flat_map(|(k, _)| {
                let at = 2 * k;
                if k == 0 {
                    vec![split(1, 2)]
                } else {
                    vec![leaf(0.0), split(at + 1, at + 2)]
                }
            })
            .collect();
        deep.extend([leaf(0.0), leaf(0.0)]);
        assert!(matches!(
            ensemble(deep),
            Err(EnsembleError::Depth { got: 256, .. })
        ));
    }
}
