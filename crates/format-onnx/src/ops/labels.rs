//! From scores to answers: softmax, argmax, labels, and the linear models of scikit-learn.

use credence_import::{Elementary, Formula, Function, GraphOp, Kind, LinearOp, ValueId};

use super::one;
use super::shapes::axis_behind_batch;
use crate::attributes::Attributes;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// Brings an axis to the end, applies `op` along it, and gives back the order that puts it where it was.
fn along(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    axis: usize,
) -> Result<(ValueId, Vec<usize>), OnnxError> {
    let rank = t.shape(x).len();
    let mut order: Vec<usize> = (0..rank).filter(|&k| k != axis).collect();
    order.push(axis);
    let identity = axis + 1 == rank;
    let moved = if identity {
        x
    } else {
        let order = order.clone();
        t.push(node, GraphOp::Transpose { x, order })?
    };
    let mut inverse = vec![0; rank];
    for (at, &axis) in order.iter().enumerate() {
        inverse[axis] = at;
    }
    Ok((moved, inverse))
}

/// What a softmax is taken of: rows along a last axis, and how the result is put back.
struct Rows {
    rows: ValueId,
    /// The order that puts the axis where it was, if it has been moved.
    inverse: Option<Vec<usize>>,
    shape: Vec<usize>,
}

/// The operand as rows along an axis; before version 13 along all axes from it on, as one.
fn rows_of(t: &mut Translator, node: &Node<'_>) -> Result<Rows, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["axis"])?;
    let x = t.real(node, 0, node.value(0)?)?;
    let shape = t.shape(x);
    let default = if node.opset < 13 { 1 } else { -1 };
    let axis = attributes.int_or("axis", default)?;
    let at = axis_behind_batch(axis, shape.len() + 1)
        .ok_or_else(|| attributes.error("axis", "one behind the batch", axis.to_string()))?;
    if node.opset < 13 {
        let mut joined = shape[..at - 1].to_vec();
        joined.push(shape[at - 1..].iter().product());
        let rows = t.reshape(node, x, joined)?;
        let inverse = None;
        return Ok(Rows {
            rows,
            inverse,
            shape,
        });
    }
    let (rows, inverse) = along(t, node, x, at - 1)?;
    let inverse = (rows != x).then_some(inverse);
    Ok(Rows {
        rows,
        inverse,
        shape,
    })
}

impl Rows {
    fn back(self, t: &mut Translator, node: &Node<'_>, y: ValueId) -> Result<ValueId, OnnxError> {
        match self.inverse {
            Some(order) => t.push(node, GraphOp::Transpose { x: y, order }),
            None => t.reshape(node, y, self.shape),
        }
    }
}

/// Normalised exponentials along an axis.
pub(crate) fn softmax(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let rows = rows_of(t, node)?;
    let y = t.push(node, GraphOp::Softmax { x: rows.rows })?;
    let y = rows.back(t, node, y)?;
    Ok(one(y))
}

/// Logarithms of normalised exponentials: `x − max x + ln(max p)`, since the largest p is never small and all others may be.
pub(crate) fn log_softmax(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    let rows = rows_of(t, node)?;
    let x = rows.rows;
    let p = t.push(node, GraphOp::Softmax { x })?;
    let largest = t.push(node, GraphOp::Max { x: p })?;
    let log = Formula::x().apply(Elementary::Log);
    let log = super::functions::formula(t, node, largest, log)?;
    let most = t.push(node, GraphOp::Max { x })?;
    let less = GraphOp::Add {
        a: log,
        b: most,
        subtract: true,
    };
    let less = t.push(node, less)?;
    let less = over_rows(t, node, less, x)?;
    let sum = GraphOp::Add {
        a: x,
        b: less,
        subtract: false,
    };
    let y = t.push(node, sum)?;
    let y = rows.back(t, node, y)?;
    Ok(one(y))
}

/// A number for each row, once for every element of the row of `x`.
fn over_rows(
    t: &mut Translator,
    node: &Node<'_>,
    each: ValueId,
    x: ValueId,
) -> Result<ValueId, OnnxError> {
    let shape = t.shape(x);
    let mut single = t.shape(each);
    single.push(1);
    let each = t.reshape(node, each, single)?;
    t.expand(node, each, shape)
}

/// Index of the largest element along an axis, the first of equals.
pub(crate) fn arg_max(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["axis", "keepdims", "select_last_index"])?;
    attributes.only("select_last_index", 0)?;
    let x = t.real(node, 0, node.value(0)?)?;
    let shape = t.shape(x);
    let axis = attributes.int_or("axis", 0)?;
    let at = axis_behind_batch(axis, shape.len() + 1)
        .ok_or_else(|| attributes.error("axis", "one behind the batch", axis.to_string()))?;
    let (moved, _) = along(t, node, x, at - 1)?;
    let y = t.push(node, GraphOp::ArgMax { x: moved })?;
    if attributes.int_or("keepdims", 1)? == 0 {
        return Ok(one(y));
    }
    let mut kept = shape;
    kept[at - 1] = 1;
    Ok(one(t.reshape(node, y, kept)?))
}

/// Labels by index: `X[.., Y]` for a constant X.
pub(crate) fn array_feature_extractor(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(2)?;
    node.attributes(&[])?;
    let x = node.value(1)?;
    if t.builder.kind(x) != Kind::Index {
        return Err(node.operand_error(1, "the result of an ArgMax", "real numbers"));
    }
    let constant = node.constant(0)?;
    let values = constant.and_then(|constant| constant.ints());
    match (values, constant) {
        (Some(values), Some(constant))
            if constant.shape.iter().filter(|&&d| d != 1).count() <= 1 =>
        {
            let values = values.to_vec();
            Ok(one(t.push(node, GraphOp::Lookup { x, values })?))
        }
        (_, Some(constant)) => {
            Err(node.operand_error(0, "a list of integer labels", constant.describe()))
        }
        (_, None) => Err(node.operand_error(0, "given", "absent")),
    }
}

/// A list of maps from label to score is the tensor of scores, its columns in the order of the labels.
pub(crate) fn zip_map(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["classlabels_int64s", "classlabels_strings"])?;
    let labels = match attributes.ints("classlabels_int64s")? {
        Some(labels) => format!("{labels:?}"),
        None => {
            let labels = attributes.strings("classlabels_strings")?.iter();
            let labels: Vec<_> = labels.map(|label| String::from_utf8_lossy(label)).collect();
            format!("{labels:?}")
        }
    };
    t.notes.push(format!(
        "`{}` is given as a tensor whose columns belong to the labels {labels}, not as a list of maps",
        node.proto.output.first().map_or("", |name| name.as_str())
    ));
    Ok(one(node.value(0)?))
}

/// Integer labels of a classifier, `classes` of them.
pub(crate) fn class_labels(
    attributes: &Attributes<'_>,
    ints: &str,
    strings: &str,
) -> Result<Vec<i64>, OnnxError> {
    if !attributes.strings(strings)?.is_empty() {
        return Err(attributes.error(
            strings,
            "absent: train with integer labels and name them outside",
            "present",
        ));
    }
    match attributes.ints(ints)? {
        Some(labels) if !labels.is_empty() => Ok(labels.to_vec()),
        _ => Err(attributes.error(ints, "a list of labels", "absent")),
    }
}

/// Applies a classifier's or regressor's last step to all scores at once.
pub(crate) fn post_transform(
    t: &mut Translator,
    node: &Node<'_>,
    attributes: &Attributes<'_>,
    scores: ValueId,
) -> Result<ValueId, OnnxError> {
    match attributes.string("post_transform")?.unwrap_or("NONE") {
        "NONE" => Ok(scores),
        "SOFTMAX" => t.push(node, GraphOp::Softmax { x: scores }),
        "LOGISTIC" => t.push(
            node,
            GraphOp::Unary {
                x: scores,
                function: Function::Sigmoid,
            },
        ),
        other => Err(attributes.error("post_transform", "NONE, SOFTMAX or LOGISTIC", other)),
    }
}

/// The label of the largest score.
pub(crate) fn label(
    t: &mut Translator,
    node: &Node<'_>,
    scores: ValueId,
    labels: Vec<i64>,
) -> Result<ValueId, OnnxError> {
    let x = t.push(node, GraphOp::ArgMax { x: scores })?;
    t.push(node, GraphOp::Lookup { x, values: labels })
}

fn linear_model(
    t: &mut Translator,
    node: &Node<'_>,
    attributes: &Attributes<'_>,
    rows: usize,
) -> Result<ValueId, OnnxError> {
    let x = t.real(node, 0, node.value(0)?)?;
    t.push(
        node,
        GraphOp::Linear(LinearOp {
            x,
            rows,
            weight: attributes.floats("coefficients")?.to_vec(),
            bias: attributes.floats("intercepts")?.to_vec(),
            steps: Vec::new(),
        }),
    )
}

/// Label and scores of a linear classifier with a row for each class.
pub(crate) fn linear_classifier(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let known = [
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "intercepts",
        "multi_class",
        "post_transform",
    ];
    let attributes = node.attributes(&known)?;
    let labels = class_labels(&attributes, "classlabels_ints", "classlabels_strings")?;
    let rows = attributes.floats("intercepts")?.len();
    if rows != labels.len() {
        return Err(attributes.error(
            "intercepts",
            format!("one for each of {} labels", labels.len()),
            format!("{rows}"),
        ));
    }
    let raw = linear_model(t, node, &attributes, rows)?;
    let label = label(t, node, raw, labels)?;
    let scores = post_transform(t, node, &attributes, raw)?;
    // Of two classes alone: of more, halves may be opposite as well, and their sum is not one.
    if rows == 2
        && opposite(attributes.floats("coefficients")?)
        && opposite(attributes.floats("intercepts")?)
        && attributes.string("post_transform")? == Some("LOGISTIC")
    {
        // σ(−s) + σ(s) = 1.
        t.note_sum_of_one(scores);
    }
    Ok(vec![Slot::Value(label), Slot::Value(scores)])
}

/// Whether the second half is the first with its signs turned.
fn opposite(all: &[f32]) -> bool {
    let (first, second) = all.split_at(all.len() / 2);
    first.len() == second.len() && first.iter().zip(second).all(|(a, b)| *a == -*b)
}

/// A linear regressor.
pub(crate) fn linear_regressor(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes =
        node.attributes(&["coefficients", "intercepts", "post_transform", "targets"])?;
    let targets = attributes.int_or("targets", 1)?;
    let rows = usize::try_from(targets)
        .map_err(|_| attributes.error("targets", "positive", targets.to_string()))?;
    let raw = linear_model(t, node, &attributes, rows)?;
    Ok(one(post_transform(t, node, &attributes, raw)?))
}

/// Division of each row by a norm: the sum of magnitudes (nothing, for what sums to one), the root of the sum of squares, or the largest element.
///
/// Rows of zeros, which onnxruntime leaves as they are, give zeros. A largest element that is not positive divides by its magnitude and turns the sign,
/// as onnxruntime has it, but one of zero gives zeros.
pub(crate) fn normalizer(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let attributes = node.attributes(&["norm"])?;
    let x = t.real(node, 0, node.value(0)?)?;
    let Some(&count) = t.shape(x).last() else {
        return Err(node.operand_error(0, "[batch, C]", "[batch]"));
    };
    let apply = |t: &mut Translator, x: ValueId, function: Elementary| {
        super::functions::formula(t, node, x, Formula::x().apply(function))
    };
    let (a, norm) = match attributes.string("norm")?.unwrap_or("MAX") {
        "L1" if t.sums_to_one(x) => return Ok(one(x)),
        "L1" => {
            let sizes = apply(t, x, Elementary::Abs)?;
            (x, t.push(node, GraphOp::Sum { x: sizes })?)
        }
        "L2" => {
            let op = GraphOp::Normalise {
                x,
                epsilon: 0.0,
                centred: false,
            };
            let y = t.push(node, op)?;
            let count = super::fold::real(i64::try_from(count).unwrap_or(i64::MAX));
            let factor = 1.0 / count.sqrt();
            return Ok(one(super::elementwise::scaled(t, node, y, (factor, 0.0))?));
        }
        "MAX" => {
            let most = t.push(node, GraphOp::Max { x })?;
            let sign = apply(t, most, Elementary::Sign)?;
            let sign = over_rows(t, node, sign, x)?;
            let a = t.push(node, GraphOp::Mul { a: x, b: sign })?;
            (a, apply(t, most, Elementary::Abs)?)
        }
        other => return Err(attributes.error("norm", "MAX, L1 or L2", other)),
    };
    let b = over_rows(t, node, norm, x)?;
    Ok(one(t.push(node, GraphOp::Div { a, b })?))
}
