//! Tree ensembles of scikit-learn and the boosting libraries.
//!
//! Where the specification is silent about classifiers of two classes with one score, onnxruntime's reading is taken
//! (`core/providers/cpu/ml/tree_ensemble_aggregator.h`): with weights of no sign the score is the probability of the second class, with
//! weights of both signs and LOGISTIC its log-odds. Its other readings of that case are refused by name.

use std::collections::BTreeMap;

use credence_import::{Comparison, Function, GraphOp, Tree, TreeEnsemble, TreeNode, ValueId};

use super::labels::{class_labels, label, post_transform};
use super::one;
use crate::attributes::Attributes;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// Attributes that both operators have.
const NODES: [&str; 11] = [
    "base_values",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "post_transform",
];

/// What a leaf adds: tree, node, output, weight.
struct Weights<'a> {
    trees: &'a [i64],
    nodes: &'a [i64],
    outputs: &'a [i64],
    weights: &'a [f32],
}

/// Labels and scores.
pub(crate) fn classifier(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let mut known = NODES.to_vec();
    known.extend([
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "classlabels_int64s",
        "classlabels_strings",
    ]);
    let attributes = node.attributes(&known)?;
    let x = t.real(node, 0, node.value(0)?)?;
    let labels = class_labels(&attributes, "classlabels_int64s", "classlabels_strings")?;
    let weights = weights(&attributes, "class")?;
    let trees = trees(&attributes, &weights)?;
    let single = labels.len() == 2 && weights.outputs.iter().all(|&output| output == 0);
    if single {
        return binary(t, node, &attributes, x, (trees, labels));
    }
    let base = base(&attributes, labels.len())?;
    let sums = ensemble(t, node, x, trees, base)?;
    let label = label(t, node, sums, labels)?;
    let scores = post_transform(t, node, &attributes, sums)?;
    Ok(vec![Slot::Value(label), Slot::Value(scores)])
}

/// Two classes and one score s: the trees give both columns.
fn binary(
    t: &mut Translator,
    node: &Node<'_>,
    attributes: &Attributes<'_>,
    x: ValueId,
    (mut trees, labels): (Vec<Tree>, Vec<i64>),
) -> Result<Vec<Slot>, OnnxError> {
    let start = base(attributes, 1)?[0];
    let transform = attributes.string("post_transform")?.unwrap_or("NONE");
    let mut signed = false;
    for tree_node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
        if let TreeNode::Leaf { weights } = tree_node {
            signed |= weights.iter().any(|&(_, w)| w < 0.0);
            // s in the second column, −s in the first.
            *weights = weights
                .iter()
                .flat_map(|&(_, w)| [(0, -w), (1, w)])
                .collect();
        }
    }
    let (first, logistic) = match (signed, transform) {
        // Probabilities: [1 − s, s].
        (false, "NONE") => (1.0 - start, false),
        // Log-odds: [σ(−s), σ(s)].
        (true, "LOGISTIC") => (-start, true),
        (_, other) => {
            return Err(attributes.error(
                "post_transform",
                "NONE for one score with weights of no sign, LOGISTIC with weights of both signs",
                other,
            ));
        }
    };
    let sums = ensemble(t, node, x, trees, vec![first, start])?;
    let label = label(t, node, sums, labels)?;
    let scores = if logistic {
        let function = Function::Sigmoid;
        t.push(node, GraphOp::Unary { x: sums, function })?
    } else {
        sums
    };
    Ok(vec![Slot::Value(label), Slot::Value(scores)])
}

/// Sums or means.
pub(crate) fn regressor(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let mut known = NODES.to_vec();
    known.extend([
        "aggregate_function",
        "n_targets",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
    ]);
    let attributes = node.attributes(&known)?;
    let x = t.real(node, 0, node.value(0)?)?;
    let targets = attributes.int_or("n_targets", 1)?;
    let targets = usize::try_from(targets)
        .ok()
        .filter(|n| (1..=1 << 16).contains(n))
        .ok_or_else(|| attributes.error("n_targets", "1 to 65,536", targets.to_string()))?;
    let weights = weights(&attributes, "target")?;
    let mut trees = trees(&attributes, &weights)?;
    let divisor = match attributes.string("aggregate_function")?.unwrap_or("SUM") {
        "SUM" => 1.0,
        "AVERAGE" => f64::from(u32::try_from(trees.len()).unwrap_or(u32::MAX)),
        other => return Err(attributes.error("aggregate_function", "SUM or AVERAGE", other)),
    };
    for tree_node in trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
        if let TreeNode::Leaf { weights } = tree_node {
            weights.iter_mut().for_each(|(_, w)| *w /= divisor);
        }
    }
    if !matches!(attributes.string("post_transform")?, None | Some("NONE")) {
        return Err(attributes.error("post_transform", "NONE", "another"));
    }
    let base = base(&attributes, targets)?;
    Ok(one(ensemble(t, node, x, trees, base)?))
}

fn ensemble(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    trees: Vec<Tree>,
    base: Vec<f64>,
) -> Result<ValueId, OnnxError> {
    let ensemble = TreeEnsemble::new(trees, base).map_err(|source| OnnxError::Trees {
        node: node.name.clone(),
        source,
    })?;
    t.push(node, GraphOp::Trees { x, ensemble })
}

fn base(attributes: &Attributes<'_>, outputs: usize) -> Result<Vec<f64>, OnnxError> {
    let values = attributes.floats("base_values")?;
    match values.len() {
        0 => Ok(vec![0.0; outputs]),
        n if n == outputs => Ok(values.iter().map(|&v| f64::from(v)).collect()),
        n => Err(attributes.error(
            "base_values",
            format!("of no or {outputs} elements"),
            format!("of {n}"),
        )),
    }
}

fn weights<'a>(attributes: &Attributes<'a>, prefix: &str) -> Result<Weights<'a>, OnnxError> {
    let ints = |name: &str| {
        let name = format!("{prefix}_{name}");
        Ok::<_, OnnxError>(attributes.ints(&name)?.unwrap_or_default())
    };
    let weights = Weights {
        trees: ints("treeids")?,
        nodes: ints("nodeids")?,
        outputs: ints("ids")?,
        weights: attributes.floats(&format!("{prefix}_weights"))?,
    };
    let count = weights.weights.len();
    for (name, got) in [
        ("treeids", weights.trees.len()),
        ("nodeids", weights.nodes.len()),
        ("ids", weights.outputs.len()),
    ] {
        if got != count {
            let expected = format!("of {count} elements, as the weights");
            return Err(attributes.error(
                &format!("{prefix}_{name}"),
                expected,
                format!("of {got}"),
            ));
        }
    }
    Ok(weights)
}

/// One row of the nodes' attributes.
struct Row<'a> {
    node: i64,
    feature: i64,
    value: f32,
    mode: &'a [u8],
    yes: i64,
    no: i64,
}

/// Trees in the order of their ids, each with its root first.
fn trees(attributes: &Attributes<'_>, weights: &Weights<'_>) -> Result<Vec<Tree>, OnnxError> {
    let mut rows: BTreeMap<i64, Vec<Row<'_>>> = BTreeMap::new();
    let ids = attributes.ints("nodes_treeids")?.unwrap_or_default();
    let count = ids.len();
    let sized = |name: &str, got: usize| {
        if got == count {
            Ok(())
        } else {
            let expected = format!("of {count} elements, as nodes_treeids");
            Err(attributes.error(name, expected, format!("of {got}")))
        }
    };
    let ints = |name: &str| {
        let ints = attributes.ints(name)?.unwrap_or_default();
        sized(name, ints.len())?;
        Ok::<_, OnnxError>(ints)
    };
    let (nodes, features) = (ints("nodes_nodeids")?, ints("nodes_featureids")?);
    let (yes, no) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let (values, modes) = (
        attributes.floats("nodes_values")?,
        attributes.strings("nodes_modes")?,
    );
    sized("nodes_values", values.len())?;
    sized("nodes_modes", modes.len())?;
    for at in 0..count {
        rows.entry(ids[at]).or_default().push(Row {
            node: nodes[at],
            feature: features[at],
            value: values[at],
            mode: &modes[at],
            yes: yes[at],
            no: no[at],
        });
    }
    let mut leaves: BTreeMap<(i64, i64), Vec<(usize, f64)>> = BTreeMap::new();
    for at in 0..weights.weights.len() {
        // An output that is no index is far behind the last, and refused with the tree.
        let output = usize::try_from(weights.outputs[at]).unwrap_or(usize::MAX);
        let key = (weights.trees[at], weights.nodes[at]);
        let entry = (output, f64::from(weights.weights[at]));
        leaves.entry(key).or_default().push(entry);
    }
    let trees = rows
        .iter()
        .map(|(&id, rows)| tree(attributes, id, rows, &mut leaves));
    let trees = trees.collect::<Result<Vec<_>, _>>()?;
    match leaves.keys().next() {
        Some((tree, node)) => Err(attributes.error(
            "nodes_modes",
            format!("LEAF for node {node} of tree {tree}, which has weights"),
            "another, or no such node",
        )),
        None => Ok(trees),
    }
}

fn tree(
    attributes: &Attributes<'_>,
    id: i64,
    rows: &[Row<'_>],
    leaves: &mut BTreeMap<(i64, i64), Vec<(usize, f64)>>,
) -> Result<Tree, OnnxError> {
    let mut places: BTreeMap<i64, usize> = BTreeMap::new();
    for row in rows {
        let place = places.len();
        if places.insert(row.node, place).is_some() {
            let got = format!("{} twice in tree {id}", row.node);
            return Err(attributes.error("nodes_nodeids", "distinct in a tree", got));
        }
    }
    let child = |name: &str, node: i64| {
        let place = places.get(&node).copied();
        place.ok_or_else(|| attributes.error(name, format!("nodes of tree {id}"), node.to_string()))
    };
    let mut nodes = Vec::with_capacity(rows.len());
    let mut is_child = vec![false; rows.len()];
    for row in rows {
        let (comparison, swapped) = match row.mode {
            b"BRANCH_LEQ" => (Comparison::LessOrEqual, false),
            b"BRANCH_LT" => (Comparison::Less, false),
            b"BRANCH_GTE" => (Comparison::Less, true),
            b"BRANCH_GT" => (Comparison::LessOrEqual, true),
            b"LEAF" => {
                let weights = leaves.remove(&(id, row.node)).unwrap_or_default();
                nodes.push(TreeNode::Leaf { weights });
                continue;
            }
            other => {
                return Err(attributes.error(
                    "nodes_modes",
                    "BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT or LEAF",
                    String::from_utf8_lossy(other),
                ));
            }
        };
        let feature = usize::try_from(row.feature).map_err(|_| {
            attributes.error("nodes_featureids", "at least 0", row.feature.to_string())
        })?;
        let yes = child("nodes_truenodeids", row.yes)?;
        let no = child("nodes_falsenodeids", row.no)?;
        (is_child[yes], is_child[no]) = (true, true);
        let (yes, no) = if swapped { (no, yes) } else { (yes, no) };
        nodes.push(TreeNode::Split {
            feature,
            threshold: row.value,
            comparison,
            yes,
            no,
        });
    }
    // The root is the node that is nobody's child, and comes first; what has several, or none, is refused as no tree.
    let root = is_child.iter().position(|&is_child| !is_child).unwrap_or(0);
    nodes.swap(0, root);
    let moved = |at: usize| match at {
        0 => root,
        at if at == root => 0,
        at => at,
    };
    for node in &mut nodes {
        if let TreeNode::Split { yes, no, .. } = node {
            (*yes, *no) = (moved(*yes), moved(*no));
        }
    }
    Ok(Tree { nodes })
}
