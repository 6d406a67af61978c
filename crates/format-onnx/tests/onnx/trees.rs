//! Tree ensembles against sums worked out by hand.

use credence_import::{Elements, Tensor, Tensors, evaluate};

use crate::support::build::{File, floats, int, ints, string, strings};
use crate::support::{chain, fidelity, import_with, parse};

/// Two trees over two features. The first: `x0 <mode> 1.5` leads to leaf 2 if it holds, else to leaf 1. The second:
/// `x1 ≤ −0.5` leads to leaf 1, else to leaf 2.
fn nodes(mode: &str) -> Vec<tract_onnx::pb::AttributeProto> {
    vec![
        ints("nodes_treeids", &[0, 0, 0, 1, 1, 1]),
        ints("nodes_nodeids", &[0, 1, 2, 0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0, 1, 0, 0]),
        floats("nodes_values", &[1.5, 0.0, 0.0, -0.5, 0.0, 0.0]),
        strings(
            "nodes_modes",
            &[mode, "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        ),
        ints("nodes_truenodeids", &[2, 0, 0, 1, 0, 0]),
        ints("nodes_falsenodeids", &[1, 0, 0, 2, 0, 0]),
    ]
}

fn rows() -> Tensors {
    let x = vec![1.5, -0.5, 1.5, 0.0, 1.25, -0.5, 3.0, f32::MAX];
    let x = Tensor::new("x", vec![4, 2], Elements::Fp32(x)).unwrap();
    Tensors::new(vec![x]).unwrap()
}

/// Evaluates a file on [`rows`], requires the exact program to agree to 10⁻⁶, and returns the real output and the labels if there are.
fn run(file: &File) -> (Vec<f32>, Option<Vec<i64>>) {
    let onnx = parse(&file.bytes());
    let outputs = evaluate(onnx.graph(), &rows()).unwrap();
    let imported = import_with(&onnx, None);
    let (fidelity, _) = fidelity(&onnx, imported, &rows());
    for output in &fidelity.outputs {
        if let Some(errors) = output.errors {
            assert!(errors.max <= 1e-4, "{output:?}");
        }
        if let Some(top_1) = output.top_1 {
            assert_eq!(top_1.same, top_1.of, "{output:?}");
        }
    }
    let mut result = (Vec::new(), None);
    for output in outputs.iter() {
        match output.elements() {
            Elements::Fp32(all) => result.0 = all.clone(),
            Elements::Int64(all) => result.1 = Some(all.clone()),
            Elements::Int32(_) => {}
        }
    }
    result
}

fn regressor(mode: &str, more: &[tract_onnx::pb::AttributeProto]) -> File {
    let mut attributes = nodes(mode);
    attributes.extend([
        ints("target_treeids", &[0, 0, 1, 1]),
        ints("target_nodeids", &[1, 2, 1, 2]),
        ints("target_ids", &[0, 0, 0, 0]),
        floats("target_weights", &[1.0, 2.0, 10.0, 20.0]),
        int("n_targets", 1),
    ]);
    attributes.extend_from_slice(more);
    let mut file = File::new(13);
    file.input("x", &[2]).output("y", &[1]);
    file.node("TreeEnsembleRegressor", "x", "y", &attributes);
    file
}

#[test]
fn every_comparison_decides_as_it_says() {
    // Rows have x0 = 1.5, 1.5, 1.25, 3 and x1 ≤ −0.5 in rows 0 and 2.
    let cases = [
        ("BRANCH_LEQ", [12.0, 22.0, 12.0, 21.0]),
        ("BRANCH_LT", [11.0, 21.0, 12.0, 21.0]),
        ("BRANCH_GTE", [12.0, 22.0, 11.0, 22.0]),
        ("BRANCH_GT", [11.0, 21.0, 11.0, 22.0]),
    ];
    for (mode, expected) in cases {
        assert_eq!(run(&regressor(mode, &[])).0, expected, "{mode}");
    }
    let average = [
        string("aggregate_function", "AVERAGE"),
        floats("base_values", &[100.0]),
    ];
    let expected = [106.0, 111.0, 106.0, 110.5];
    assert_eq!(run(&regressor("BRANCH_LEQ", &average)).0, expected);
}

fn classifier(
    labels: &[i64],
    ids: [i64; 4],
    weights: [f32; 4],
    more: &[tract_onnx::pb::AttributeProto],
) -> File {
    let mut attributes = nodes("BRANCH_LEQ");
    attributes.extend([
        ints("class_treeids", &[0, 0, 1, 1]),
        ints("class_nodeids", &[1, 2, 1, 2]),
        ints("class_ids", &ids),
        floats("class_weights", &weights),
        ints("classlabels_int64s", labels),
    ]);
    attributes.extend_from_slice(more);
    let classes = i64::try_from(labels.len()).unwrap();
    let mut file = File::new(13);
    file.input("x", &[2])
        .labels("label")
        .output("scores", &[classes]);
    file.node("TreeEnsembleClassifier", "x", "label scores", &attributes);
    file
}

#[test]
fn three_classes_and_a_tie() {
    // Leaves: tree 0 adds to class 0 or 1, tree 1 to class 2 or 0.
    let file = classifier(&[7, 3, 5], [0, 1, 2, 0], [0.5, 0.25, 0.25, 0.5], &[]);
    let (scores, labels) = run(&file);
    let expected = [
        [0.0, 0.25, 0.25],
        [0.5, 0.25, 0.0],
        [0.0, 0.25, 0.25],
        [1.0, 0.0, 0.0],
    ];
    assert_eq!(scores, expected.concat());
    assert_eq!(labels, Some(vec![3, 7, 3, 7]), "a tie goes to the first");
}

#[test]
fn one_score_for_two_classes_is_a_probability_or_log_odds() {
    let probability = classifier(&[4, 9], [0; 4], [0.125, 0.25, 0.125, 0.5], &[]);
    let (scores, labels) = run(&probability);
    // s = 0.375, 0.75, 0.375, 0.625.
    assert_eq!(
        scores,
        [0.625, 0.375, 0.25, 0.75, 0.625, 0.375, 0.375, 0.625]
    );
    assert_eq!(labels, Some(vec![4, 9, 4, 9]));
    let logistic = [
        string("post_transform", "LOGISTIC"),
        floats("base_values", &[0.5]),
    ];
    let odds = classifier(&[4, 9], [0; 4], [-1.0, 1.0, -2.0, 2.0], &logistic);
    let (scores, labels) = run(&odds);
    // s = −0.5, 3.5, −0.5, 1.5.
    for (row, s) in [-0.5_f32, 3.5, -0.5, 1.5].into_iter().enumerate() {
        let p = 1.0 / (1.0 + (-s).exp());
        assert!((scores[2 * row + 1] - p).abs() < 1e-6, "row {row}");
        assert!((scores[2 * row] - (1.0 - p)).abs() < 1e-6, "row {row}");
    }
    assert_eq!(labels, Some(vec![4, 9, 4, 9]));
}

#[test]
fn softmax_over_sums() {
    let softmax = [string("post_transform", "SOFTMAX")];
    let file = classifier(&[0, 1, 2], [0, 1, 2, 0], [0.5, 1.0, 2.0, 3.0], &softmax);
    let (scores, _) = run(&file);
    let row: f32 = scores[..3].iter().sum();
    assert!((row - 1.0).abs() < 1e-6);
    assert!((scores[2] - 2f32.exp() / (1.0 + 1f32.exp() + 2f32.exp())).abs() < 1e-6);
}

/// More trees than one relation may read, each of one split.
#[test]
fn thousands_of_trees_are_summed_in_groups() {
    let trees: i64 = 2_345;
    let per_tree = |values: &dyn Fn(i64) -> [i64; 3]| {
        let all: Vec<i64> = (0..trees).flat_map(values).collect();
        all
    };
    let modes: Vec<&str> = (0..trees)
        .flat_map(|_| ["BRANCH_LEQ", "LEAF", "LEAF"])
        .collect();
    let pairs = |of: &dyn Fn(i64) -> [i64; 2]| -> Vec<i64> { (0..trees).flat_map(of).collect() };
    let count = usize::try_from(trees).unwrap();
    let attributes = [
        ints("nodes_treeids", &per_tree(&|t| [t; 3])),
        ints("nodes_nodeids", &per_tree(&|_| [0, 1, 2])),
        ints("nodes_featureids", &per_tree(&|t| [t % 2, 0, 0])),
        floats("nodes_values", &[1.5, 0.0, 0.0].repeat(count)),
        strings("nodes_modes", &modes),
        ints("nodes_truenodeids", &per_tree(&|_| [1, 0, 0])),
        ints("nodes_falsenodeids", &per_tree(&|_| [2, 0, 0])),
        ints("target_treeids", &pairs(&|t| [t; 2])),
        ints("target_nodeids", &pairs(&|_| [1, 2])),
        ints("target_ids", &pairs(&|_| [0, 0])),
        floats("target_weights", &[0.0, 1.0].repeat(count)),
        int("n_targets", 1),
        floats("base_values", &[0.5]),
    ];
    let mut file = File::new(13);
    file.input("x", &[2]).output("y", &[1]);
    file.node("TreeEnsembleRegressor", "x", "y", &attributes);
    // Odd trees see x1, of which there are 1,172; only the last row is above 1.5 in either.
    assert_eq!(run(&file).0, [0.5, 0.5, 0.5, 2345.5]);
}

#[test]
fn what_has_no_agreed_meaning_is_refused_by_name() {
    let refused = |file: &File| {
        let error = credence_format_onnx::Onnx::parse(&file.bytes(), crate::support::LIMITS);
        chain(&error.unwrap_err())
    };
    let both = refused(&classifier(&[0, 1], [0; 4], [-1.0, 1.0, 1.0, 1.0], &[]));
    assert!(both.contains("post_transform"), "{both}");
    let probit = [string("post_transform", "PROBIT")];
    let probit = refused(&classifier(&[0, 1, 2], [0, 1, 2, 0], [1.0; 4], &probit));
    assert!(probit.contains("PROBIT"), "{probit}");
    for (mode, more, expected) in [
        ("BRANCH_EQ", vec![], "BRANCH_EQ"),
        (
            "BRANCH_LEQ",
            vec![string("aggregate_function", "MIN")],
            "MIN",
        ),
        (
            "BRANCH_LEQ",
            vec![floats("base_values", &[1.0, 2.0])],
            "base_values",
        ),
    ] {
        let text = refused(&regressor(mode, &more));
        assert!(text.contains(expected), "{text}");
    }
}
