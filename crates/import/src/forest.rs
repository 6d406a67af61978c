//! Decision trees as the ops `tree_leaves` and `gather_sum`: exact comparisons of integers, and sums of leaves in fixed point.

use std::collections::VecDeque;

use credence_exact::border::order_key;
use credence_exact::{Add, Dtype, GatherSum, Multiplier, NodeId, Op, Shift, TreeLeaves};

use crate::emit::{Emitter, i32_bytes};
use crate::ensemble::{Comparison, Tree, TreeEnsemble, TreeNode};
use crate::error::LowerError;
use crate::number::{dim32, exponent_above, pow2, round_to};
use crate::reach::largest_sum;

/// Most trees whose leaves one sum reads: a relation's 2,048 values, two for each tree and some to spare.
const GROUP_TREES: usize = 1000;
/// Largest magnitude of an integer that a tree may read: what FP32, in which formats define comparisons, holds exactly.
pub(crate) const INTEGER_MAX: i32 = 1 << 24;

/// How the features have become integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    /// By the map that keeps the order of FP32.
    OrderKeys,
    /// They are integers outside.
    Integers,
}

/// The exponent of the scale of an ensemble's sums: the finest at which any sum, and the bound computed for it, is below 2³⁰.
pub(crate) fn leaf_scale(ensemble: &TreeEnsemble) -> i32 {
    let mut largest_leaf = 0.0_f64;
    for node in ensemble.trees().iter().flat_map(|tree| &tree.nodes) {
        if let TreeNode::Leaf { weights } = node {
            let sum = weights.iter().fold(0.0, |sum, (_, w)| sum + w.abs());
            largest_leaf = largest_leaf.max(sum);
        }
    }
    let trees = f64::from(dim32(ensemble.trees().len()));
    let base = ensemble
        .base()
        .iter()
        .fold(0.0, |most, b| b.abs().max(most));
    let bound = f64::max(largest_leaf * trees + base, largest_sum(ensemble));
    if bound < pow2(-60) {
        return -90;
    }
    // One more than needed, for the half that rounding adds to each leaf.
    (exponent_above(bound) + 1 - 30).max(-90)
}

/// One group of trees as parameters.
#[derive(Debug, Default, PartialEq)]
struct Flat {
    /// `(feature, threshold, left, right)`.
    nodes: Vec<[i32; 4]>,
    roots: Vec<i32>,
    /// One row of outputs for each leaf.
    leaves: Vec<Vec<f64>>,
    depth: u32,
}

/// `x ≤ result` for integers x if and only if the comparison holds for what they stand for.
fn threshold_key(threshold: f32, comparison: Comparison, features: Features) -> i32 {
    let strict = i64::from(comparison == Comparison::Less);
    let key = match features {
        // Finite, as every threshold of a checked ensemble.
        Features::OrderKeys => order_key(threshold.to_bits()).unwrap_or(0) - strict,
        Features::Integers => {
            let (low, high) = (-INTEGER_MAX - 2, INTEGER_MAX + 2);
            let threshold = f64::from(threshold);
            i64::from(match comparison {
                Comparison::LessOrEqual => round_to(threshold.floor(), low, high),
                Comparison::Less => round_to(threshold.ceil(), low, high) - 1,
            })
        }
    };
    i32::try_from(key).unwrap_or(i32::MIN)
}

impl Flat {
    /// Appends a tree, breadth first: children stand behind their parents.
    fn push(&mut self, tree: &Tree, outputs: usize, features: Features) {
        let mut open = VecDeque::from([(0_usize, 0_u32, None::<(usize, usize)>)]);
        while let Some((at, depth, parent)) = open.pop_front() {
            let reference = match &tree.nodes[at] {
                TreeNode::Leaf { weights } => {
                    let mut row = vec![0.0; outputs];
                    for &(output, weight) in weights {
                        row[output] += weight;
                    }
                    self.leaves.push(row);
                    -index(self.leaves.len())
                }
                TreeNode::Split {
                    feature,
                    threshold,
                    comparison,
                    yes,
                    no,
                } => {
                    let own = self.nodes.len();
                    let key = threshold_key(*threshold, *comparison, features);
                    self.nodes.push([index(*feature), key, 0, 0]);
                    self.depth = self.depth.max(depth + 1);
                    open.push_back((*yes, depth + 1, Some((own, 2))));
                    open.push_back((*no, depth + 1, Some((own, 3))));
                    index(own)
                }
            };
            match parent {
                Some((node, slot)) => self.nodes[node][slot] = reference,
                None => self.roots.push(reference),
            }
        }
    }
}

/// An index as a parameter holds it. A file with more than 2³¹ tree nodes is far above every size limit.
fn index(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

/// Emits an ensemble that reads the cells of `x`, of shape `[F]`; the sums are at the scale that [`leaf_scale`] gives.
pub(crate) fn emit(
    emitter: &mut Emitter,
    name: &str,
    x: NodeId,
    ensemble: &TreeEnsemble,
    features: Features,
) -> Result<NodeId, LowerError> {
    let mut sum: Option<NodeId> = None;
    for (group, trees) in ensemble.trees().chunks(GROUP_TREES).enumerate() {
        // The base values are part of the first group's sum.
        let base = if group == 0 { ensemble.base() } else { &[] };
        let part = emit_group(
            emitter,
            name,
            x,
            &Group {
                trees,
                base,
                ensemble,
                features,
            },
        )?;
        sum = Some(match sum {
            None => part,
            Some(sum) => add(emitter, name, sum, part, ensemble.base().len())?,
        });
    }
    // A checked ensemble has a tree.
    sum.ok_or(LowerError::Size)
}

struct Group<'a> {
    trees: &'a [Tree],
    base: &'a [f64],
    ensemble: &'a TreeEnsemble,
    features: Features,
}

fn emit_group(
    emitter: &mut Emitter,
    name: &str,
    x: NodeId,
    group: &Group<'_>,
) -> Result<NodeId, LowerError> {
    let outputs = group.ensemble.base().len();
    let unit = pow2(-leaf_scale(group.ensemble));
    let integer = |w: &f64| round_to(w * unit, -(1 << 30), 1 << 30);
    let mut flat = Flat::default();
    for tree in group.trees {
        flat.push(tree, outputs, group.features);
    }
    if flat.nodes.is_empty() {
        // Every tree is one leaf; the parameter needs a row all the same, which no root leads to.
        flat.nodes.push([0, 0, -1, -1]);
    }
    let entries: Vec<i32> = flat.nodes.concat();
    let nodes = emitter.param(
        &format!("{name}.nodes"),
        Dtype::I32,
        &[flat.nodes.len(), 4],
        i32_bytes(&entries),
    )?;
    let roots = emitter.vector(&format!("{name}.roots"), &flat.roots)?;
    let leaves: Vec<i32> = flat.leaves.iter().flatten().map(integer).collect();
    let table = emitter.param(
        &format!("{name}.leaf-values"),
        Dtype::I32,
        &[flat.leaves.len(), outputs],
        i32_bytes(&leaves),
    )?;
    let bias = if group.base.iter().any(|&base| base != 0.0) {
        let base: Vec<i32> = group.base.iter().map(integer).collect();
        Some(emitter.vector(&format!("{name}.base"), &base)?)
    } else {
        None
    };
    let op = Op::TreeLeaves(TreeLeaves {
        x,
        nodes,
        roots,
        depth: flat.depth.max(1),
    });
    let last = i64::try_from(flat.leaves.len()).unwrap_or(i64::MAX) - 1;
    let dtype = Dtype::narrowest(0, last).unwrap_or(Dtype::I32);
    let reached = emitter.node(&format!("{name}.leaves"), op, dtype, &[flat.roots.len()])?;
    let op = Op::GatherSum(GatherSum {
        x: reached,
        table,
        bias,
    });
    emitter.node(&format!("{name}.sum"), op, Dtype::I32, &[outputs])
}

/// `a + b`, exactly: both doubled, then halved.
fn add(
    emitter: &mut Emitter,
    name: &str,
    a: NodeId,
    b: NodeId,
    outputs: usize,
) -> Result<NodeId, LowerError> {
    let twice = || Multiplier::try_from(2).map_err(|_| LowerError::Size);
    let op = Op::Add(Add {
        a,
        b,
        a_multiplier: twice()?,
        b_multiplier: twice()?,
        negate_b: false,
        shift: Shift::try_from(1).map_err(|_| LowerError::Size)?,
        min: -i32::MAX,
        max: i32::MAX,
    });
    emitter.node(&format!("{name}.sum"), op, Dtype::I32, &[outputs])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(feature: usize, threshold: f32, yes: usize, no: usize) -> TreeNode {
        TreeNode::Split {
            feature,
            threshold,
            comparison: Comparison::LessOrEqual,
            yes,
            no,
        }
    }

    fn leaf(weight: f64) -> TreeNode {
        TreeNode::Leaf {
            weights: vec![(0, weight)],
        }
    }

    #[test]
    fn children_stand_behind_their_parents() {
        // Node 3 is the root's child and stands before its own children in no order at all.
        let tree = Tree {
            nodes: vec![
                split(1, 1.0, 4, 3),
                leaf(1.0),
                leaf(2.0),
                split(0, 2.0, 2, 1),
                leaf(3.0),
            ],
        };
        let mut flat = Flat::default();
        flat.push(&tree, 1, Features::Integers);
        flat.push(
            &Tree {
                nodes: vec![leaf(7.0)],
            },
            1,
            Features::Integers,
        );
        assert_eq!(flat.nodes, [[1, 1, -1, 1], [0, 2, -2, -3]]);
        assert_eq!(flat.roots, [0, -4]);
        assert_eq!(flat.leaves.concat(), [3.0, 2.0, 1.0, 7.0]);
        assert_eq!(flat.depth, 2);
    }

    #[test]
    fn thresholds_decide_every_neighbour_as_floats_do() {
        let thresholds = [
            0.0_f32,
            -0.0,
            1.5,
            -1.5,
            3.0,
            -7.0,
            f32::MAX,
            f32::MIN,
            1e-45,
        ];
        for threshold in thresholds {
            for comparison in [Comparison::LessOrEqual, Comparison::Less] {
                let holds = |x: f32| match comparison {
                    Comparison::LessOrEqual => x <= threshold,
                    Comparison::Less => x < threshold,
                };
                let key = i64::from(threshold_key(threshold, comparison, Features::OrderKeys));
                for x in [
                    threshold.next_down(),
                    threshold,
                    threshold.next_up(),
                    0.0,
                    -0.0,
                ] {
                    if x.is_finite() {
                        let got = order_key(x.to_bits()).unwrap() <= key;
                        assert_eq!(got, holds(x), "{x:e} {comparison:?} {threshold:e}");
                    }
                }
                let key = threshold_key(threshold, comparison, Features::Integers);
                for x in [-8_i16, -7, -2, -1, 0, 1, 2, 3, 4] {
                    let got = i32::from(x) <= key;
                    assert_eq!(got, holds(f32::from(x)), "{x} {comparison:?} {threshold:e}");
                }
            }
        }
    }

    #[test]
    fn sums_stay_below_two_to_the_30() {
        for weight in [0.01, 1.0, 1e9, 1e-30, 0.0] {
            let tree = Tree {
                nodes: vec![leaf(weight)],
            };
            let ensemble = TreeEnsemble::new(vec![tree; 100], vec![weight]).unwrap();
            let bound = 101.0 * (weight * pow2(-leaf_scale(&ensemble)) + 0.5);
            assert!(bound < pow2(30), "{weight}: {bound}");
        }
    }
}
