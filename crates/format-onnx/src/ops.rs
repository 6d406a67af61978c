//! The operators that are imported: one table, one function each.

mod elementwise;
mod fold;
mod functions;
mod grown;
mod labels;
mod layers;
mod parts;
mod quantised;
mod recurrent;
mod reduce;
mod shapes;
mod sizes;
mod transposed;
mod trees;
mod truths;
mod windows;

use tract_onnx::pb::NodeProto;

use crate::attributes::node_name;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

pub(crate) use self::fold::real;
pub(crate) use self::quantised::{as_codes, moved_codes};

/// Adds what a node means; returns what its outputs stand for, in their order.
pub(crate) type Operator = fn(&mut Translator, &Node<'_>) -> Result<Vec<Slot>, OnnxError>;

const ONNX: &str = "ai.onnx";
const ML: &str = "ai.onnx.ml";
/// What onnxruntime's quantiser writes beside ONNX's own.
const ORT: &str = "com.microsoft";

/// Domain, name, function. Sorted by domain and name.
const OPERATORS: &[(&str, &str, Operator)] = &[
    (ONNX, "Abs", functions::abs),
    (ONNX, "Add", elementwise::add),
    (ONNX, "And", truths::and),
    (ONNX, "ArgMax", labels::arg_max),
    (ONNX, "AveragePool", windows::average_pool),
    (ONNX, "BatchNormalization", layers::batch_normalization),
    (ONNX, "Cast", shapes::cast),
    (ONNX, "Ceil", functions::ceil),
    (ONNX, "Clip", functions::clip),
    (ONNX, "Concat", shapes::concat),
    (ONNX, "Constant", shapes::constant),
    (ONNX, "ConstantOfShape", sizes::constant_of_shape),
    (ONNX, "Conv", windows::conv),
    (ONNX, "ConvInteger", quantised::conv_integer),
    (ONNX, "ConvTranspose", transposed::conv_transpose),
    (ONNX, "Cos", functions::cos),
    (ONNX, "DequantizeLinear", quantised::dequantize),
    (ONNX, "Div", elementwise::div),
    (ONNX, "Dropout", shapes::dropout),
    (ONNX, "Elu", functions::elu),
    (ONNX, "Equal", truths::equal),
    (ONNX, "Erf", functions::erf),
    (ONNX, "Exp", functions::exp),
    (ONNX, "Expand", grown::expand),
    (ONNX, "Flatten", shapes::flatten),
    (ONNX, "Floor", functions::floor),
    (ONNX, "GRU", recurrent::gru),
    (ONNX, "Gather", parts::gather),
    (ONNX, "GatherElements", parts::gather_elements),
    (ONNX, "Gelu", functions::gelu),
    (ONNX, "Gemm", layers::gemm),
    (ONNX, "GlobalAveragePool", windows::global_average_pool),
    (ONNX, "GlobalMaxPool", windows::global_max_pool),
    (ONNX, "Greater", truths::greater),
    (ONNX, "GreaterOrEqual", truths::greater_or_equal),
    (ONNX, "HardSigmoid", functions::hard_sigmoid),
    (ONNX, "HardSwish", functions::hard_swish),
    (ONNX, "Identity", shapes::identity),
    (
        ONNX,
        "InstanceNormalization",
        reduce::instance_normalization,
    ),
    (ONNX, "LSTM", recurrent::lstm),
    (ONNX, "LayerNormalization", reduce::layer_normalization),
    (ONNX, "LeakyRelu", functions::leaky_relu),
    (ONNX, "Less", truths::less),
    (ONNX, "LessOrEqual", truths::less_or_equal),
    (ONNX, "Log", functions::log),
    (ONNX, "LogSoftmax", labels::log_softmax),
    (ONNX, "MatMul", layers::mat_mul),
    (ONNX, "MatMulInteger", quantised::mat_mul_integer),
    (ONNX, "Max", elementwise::max),
    (ONNX, "MaxPool", windows::max_pool),
    (ONNX, "Min", elementwise::min),
    (ONNX, "Mish", functions::mish),
    (ONNX, "Mul", elementwise::mul),
    (ONNX, "Neg", functions::neg),
    (ONNX, "Not", truths::not),
    (ONNX, "Or", truths::or),
    (ONNX, "PRelu", functions::p_relu),
    (ONNX, "Pad", grown::pad),
    (ONNX, "Pow", elementwise::pow),
    (ONNX, "QLinearConv", quantised::conv),
    (ONNX, "QLinearMatMul", quantised::mat_mul),
    (ONNX, "QuantizeLinear", quantised::quantize),
    (ONNX, "Range", sizes::range),
    (ONNX, "Reciprocal", functions::reciprocal),
    (ONNX, "ReduceL1", reduce::l1),
    (ONNX, "ReduceL2", reduce::l2),
    (ONNX, "ReduceMax", reduce::max),
    (ONNX, "ReduceMean", reduce::mean),
    (ONNX, "ReduceMin", reduce::min),
    (ONNX, "ReduceSum", reduce::sum),
    (ONNX, "ReduceSumSquare", reduce::sum_square),
    (ONNX, "Relu", functions::relu),
    (ONNX, "Reshape", shapes::reshape),
    (ONNX, "Resize", grown::resize),
    (ONNX, "Selu", functions::selu),
    (ONNX, "Shape", sizes::shape),
    (ONNX, "Sigmoid", functions::sigmoid),
    (ONNX, "Sign", functions::sign),
    (ONNX, "Sin", functions::sin),
    (ONNX, "Slice", parts::slice),
    (ONNX, "Softmax", labels::softmax),
    (ONNX, "Softplus", functions::softplus),
    (ONNX, "Softsign", functions::softsign),
    (ONNX, "Split", parts::split),
    (ONNX, "Sqrt", functions::sqrt),
    (ONNX, "Squeeze", shapes::squeeze),
    (ONNX, "Sub", elementwise::sub),
    (ONNX, "Tanh", functions::tanh),
    (ONNX, "Tile", grown::tile),
    (ONNX, "Transpose", shapes::transpose),
    (ONNX, "Unsqueeze", shapes::unsqueeze),
    (ONNX, "Upsample", grown::resize),
    (ONNX, "Where", grown::select),
    (ONNX, "Xor", truths::xor),
    (ML, "ArrayFeatureExtractor", labels::array_feature_extractor),
    (ML, "LinearClassifier", labels::linear_classifier),
    (ML, "LinearRegressor", labels::linear_regressor),
    (ML, "Normalizer", labels::normalizer),
    (ML, "Scaler", layers::scaler),
    (ML, "TreeEnsembleClassifier", trees::classifier),
    (ML, "TreeEnsembleRegressor", trees::regressor),
    (ML, "ZipMap", labels::zip_map),
    (ORT, "QGemm", quantised::gemm),
    (ORT, "QLinearAdd", quantised::add),
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
    if (wanted, node.op_type.as_str()) == (ONNX, "DynamicQuantizeLinear") {
        return Err(OnnxError::Unsupported {
            what: "node",
            name: node_name(node),
            feature: "`DynamicQuantizeLinear`, whose scales follow from each input,".to_owned(),
            remedy: "import the float model, or quantise it statically (`onnxruntime.quantization.quantize_static`)",
        });
    }
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
