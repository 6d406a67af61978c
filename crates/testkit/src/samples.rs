//! Small honest values from which mutations start.

use credence_base::domain;
use credence_commit::opening;
use credence_exact::{Dtype, Input, Linear, NodeId, Op, ParamId, Rescale, Shift};
use credence_model::{
    BorderType, Decode, Elements, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec,
    ProgramSpec, Tensor, Tensors,
};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};

/// The golden bundle of version 1.
pub const BUNDLE: &[u8] = include_bytes!("../../receipt/tests/fixtures/bundle_v1.json");

/// The same with a member `log`, which nothing but a policy that names logs reads.
pub const LOGGED_BUNDLE: &[u8] = include_bytes!("../../../vectors/receipt/bundle-logged.json");

/// Statements of the kinds that are neither an inference nor about a key, as signed.
///
/// # Panics
/// If the vectors cannot be read, which the receipt crate's own tests show first.
#[must_use]
pub fn other_statements() -> Vec<Vec<u8>> {
    let text = include_str!("../../../vectors/receipt/statements.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap().iter();
    let others = cases.filter(|case| case["kind"] != "inference");
    others
        .map(|case| case["statement"].as_str().unwrap().as_bytes().to_vec())
        .collect()
}

/// The golden bundle, decoded.
///
/// # Panics
/// If the fixture cannot be read, which the receipt crate's own tests show first.
#[must_use]
pub fn bundle() -> Bundle {
    Bundle::decode(BUNDLE, BUNDLE_LEN_MAX).unwrap()
}

/// A request of two tensors.
///
/// # Panics
/// Never: the tensors are right.
#[must_use]
pub fn tensors() -> Tensors {
    let x = Tensor::new(
        "x",
        vec![2, 4],
        Elements::Fp32((0..8_i8).map(f32::from).collect()),
    )
    .unwrap();
    let ids = Tensor::new("ids", vec![1], Elements::Int64(vec![-3])).unwrap();
    Tensors::new(vec![x, ids]).unwrap()
}

/// One linear layer from 4 cells to 2, and its tensors.
///
/// # Panics
/// Never: the numbers are in range.
#[must_use]
pub fn program() -> (ProgramSpec, Vec<Vec<u8>>) {
    let param = |name: &str, dtype, shape: &[u32]| ParamSpec {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    };
    let node = |name: &str, op, dtype, cut| NodeSpec {
        name: name.into(),
        op,
        dtype,
        cut,
    };
    let encode = Encode::Quantise {
        multiplier: 16,
        shift: 0,
        min: -127,
        max: 127,
    };
    let linear = Linear {
        x: NodeId(0),
        weight: ParamId(0),
        bias: None,
    };
    let shift = Shift::try_from(20).unwrap();
    let rescale = Rescale {
        x: NodeId(1),
        multiplier: ParamId(1),
        shift,
        min: -127,
        max: 127,
    };
    let spec = ProgramSpec {
        profile: "exact-1".into(),
        inputs: vec![InputSpec {
            name: "x".into(),
            dtype: BorderType::Fp32,
            shape: vec![4],
            encode,
        }],
        params: vec![param("w", Dtype::I8, &[2, 4]), param("m", Dtype::I32, &[1])],
        nodes: vec![
            node("in", Op::Input(Input { index: 0 }), Dtype::I8, true),
            node("dot", Op::Linear(linear), Dtype::I32, false),
            node("out", Op::Rescale(rescale), Dtype::I8, true),
        ],
        outputs: vec![OutputSpec {
            name: "y".into(),
            node: NodeId(2),
            decode: Decode::Scale {
                multiplier: 1,
                shift: 7,
            },
        }],
        language: None,
    };
    (
        spec,
        vec![
            vec![1, 2, 3, 4, 255, 254, 253, 252],
            4096_i32.to_le_bytes().to_vec(),
        ],
    )
}

/// The file of [`program`]'s model.
///
/// # Panics
/// Never: the model is right.
#[must_use]
pub fn model_file() -> Vec<u8> {
    let (spec, params) = program();
    let provenance = [("importer".to_owned(), "sample".to_owned())].into();
    Model::new(spec, params)
        .unwrap()
        .to_safetensors(&provenance)
        .unwrap()
}

/// The content that [`opening`] is of.
#[must_use]
pub fn opened_content() -> Vec<u8> {
    (0..5000_u32)
        .flat_map(u32::to_le_bytes)
        .take(5000)
        .collect()
}

/// The ranges that [`opening`] shows.
pub const OPENED_RANGES: [core::ops::Range<u64>; 2] = [10..20, 3000..4100];

/// An opening of two ranges.
///
/// # Panics
/// Never: the ranges lie in the content.
#[must_use]
pub fn opening() -> Vec<u8> {
    opening::open(domain::OUTPUT, &opened_content(), &OPENED_RANGES)
        .unwrap()
        .encode()
        .unwrap()
}
