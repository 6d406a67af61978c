//! The operators that are imported: one table, one function each.

mod elementwise;
mod labels;
mod layers;
mod shapes;
mod trees;
mod windows;

use tract_onnx::pb::NodeProto;

use crate::attributes::node_name;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// Adds what a node means; returns what its outputs stand for, in their order.
pub(crate) type Operator = fn(&mut Translator, &Node<'_>) -> Result<Vec<Slot>, OnnxError>;

const ONNX: &str = "ai.onnx";
const ML: &str = "ai.onnx.ml";

/// Domain, name, function. Sorted by domain and name.
const OPERATORS: &[(&str, &str, Operator)] = &[
    (ONNX, "Add", elementwise::add),
    (ONNX, "ArgMax", labels::arg_max),
    (ONNX, "AveragePool", windows::average_pool),
    (ONNX, "BatchNormalization", layers::batch_normalization),
    (ONNX, "Cast", shapes::cast),
    (ONNX, "Clip", elementwise::clip),
    (ONNX, "Concat", shapes::concat),
    (ONNX, "Constant", shapes::constant),
    (ONNX, "Conv", windows::conv),
    (ONNX, "Div", elementwise::div),
    (ONNX, "Dropout", shapes::dropout),
    (ONNX, "Flatten", shapes::flatten),
    (ONNX, "Gemm", layers::gemm),
    (ONNX, "GlobalAveragePool", windows::global_average_pool),
    (ONNX, "GlobalMaxPool", windows::global_max_pool),
    (ONNX, "Identity", shapes::identity),
    (ONNX, "LeakyRelu", elementwise::leaky_relu),
    (ONNX, "MatMul", layers::mat_mul),
    (ONNX, "MaxPool", windows::max_pool),
    (ONNX, "Mul", elementwise::mul),
    (ONNX, "Relu", elementwise::relu),
    (ONNX, "Reshape", shapes::reshape),
    (ONNX, "Sigmoid", elementwise::sigmoid),
    (ONNX, "Softmax", labels::softmax),
    (ONNX, "Squeeze", shapes::squeeze),
    (ONNX, "Sub", elementwise::sub),
    (ONNX, "Tanh", elementwise::tanh),
    (ONNX, "Transpose", shapes::transpose),
    (ONNX, "Unsqueeze", shapes::unsqueeze),
    (ML, "ArrayFeatureExtractor", labels::array_feature_extractor),
    (ML, "LinearClassifier", labels::linear_classifier),
    (ML, "LinearRegressor", labels::linear_regressor),
    (ML, "Normalizer", labels::normalizer),
    (ML, "Scaler", layers::scaler),
    (ML, "TreeEnsembleClassifier", trees::classifier),
    (ML, "TreeEnsembleRegressor", trees::regressor),
    (ML, "ZipMap", labels::zip_map),
];

/// The name of a domain: ONNX's own has two.
pub(crate) fn domain(domain: &str) -> &str {
    if domain.is_empty() { ONNX } else { domain }
}

fn qualified(domain: &str, name: &str) -> String {
    if domain == ONNX {
        name.to_owned()
    } else {
        format!("{domain}.{name}")
    }
}

/// All operators' names.
pub(crate) fn names() -> Vec<String> {
    let names = OPERATORS.iter();
    names
        .map(|(domain, name, _)| qualified(domain, name))
        .collect()
}

/// The function of a node's operator.
pub(crate) fn find(node: &NodeProto) -> Result<Operator, OnnxError> {
    let wanted = domain(&node.domain);
    let found = OPERATORS
        .iter()
        .find(|(domain, name, _)| *domain == wanted && *name == node.op_type);
    found
        .map(|&(_, _, operator)| operator)
        .ok_or_else(|| OnnxError::Operator {
            node: node_name(node),
            op: qualified(wanted, &node.op_type),
            supported: names().join(", "),
        })
}

/// One value as a node's only result.
pub(crate) fn one(value: credence_import::ValueId) -> Vec<Slot> {
    vec![Slot::Value(value)]
}
