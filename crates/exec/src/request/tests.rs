//! Requests that do not fit: one error each, the same from both engines, naming the input.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exact::{Dtype, Input, NodeId, Op};
use credence_model::{BorderType, BorderValueError, Encode, InputSpec, NodeSpec, ProgramSpec};

use super::*;
use crate::{Engine, Isa, Options, reference};

/// Two inputs, of which the first is shown.
fn model() -> Arc<Model> {
    let input = |name: &str, dtype, shape: &[u32], encode| InputSpec {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
        encode,
    };
    let node = |index: u32, dtype, cut| NodeSpec {
        name: format!("node-{index}"),
        op: Op::Input(Input { index }),
        dtype,
        cut,
    };
    let encode = Encode::Quantise {
        multiplier: 1,
        shift: 0,
        min: -128,
        max: 127,
    };
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: vec![
            input("image", BorderType::Fp32, &[2, 3], encode),
            input(
                "ids",
                BorderType::Int64,
                &[1],
                Encode::Integer { min: 0, max: 9 },
            ),
        ],
        params: Vec::new(),
        nodes: vec![node(0, Dtype::I8, true), node(1, Dtype::I8, false)],
        outputs: vec![OutputSpec {
            name: "out".to_owned(),
            node: NodeId(0),
            decode: Decode::Integer {},
        }],
        language: None,
    };
    Arc::new(Model::new(spec, Vec::new()).unwrap())
}

fn tensor(name: &str, shape: &[u64], elements: Elements) -> Tensor {
    Tensor::new(name, shape.to_vec(), elements).unwrap()
}

fn image(batch: u64, elements: Vec<f32>) -> Tensor {
    tensor("image", &[batch, 2, 3], Elements::Fp32(elements))
}

fn ids(elements: Vec<i64>) -> Tensor {
    let batch = u64::try_from(elements.len()).unwrap();
    tensor("ids", &[batch, 1], Elements::Int64(elements))
}

fn zeros(batch: u64) -> Tensor {
    image(batch, vec![0.0; usize::try_from(batch * 6).unwrap()])
}

fn check(tensors: Vec<Tensor>, expected: &str) -> RunError {
    let inputs = Tensors::new(tensors).unwrap();
    let error = reference::run(&model(), &inputs).unwrap_err();
    for isa in Isa::available() {
        let options = Options {
            threads: NonZeroUsize::MIN,
            isa,
        };
        let engine = Engine::new(model(), options).unwrap();
        assert_eq!(engine.run(&inputs).unwrap_err(), error);
        assert_eq!(
            engine.run_observed(&inputs, &mut |_, _, _| ()).unwrap_err(),
            error
        );
    }
    assert_eq!(error.to_string(), expected);
    error
}

#[test]
fn names_types_shapes_and_batches() {
    check(
        vec![zeros(1)],
        "input `ids` is missing: the model takes [\"image\", \"ids\"]",
    );
    check(
        vec![
            zeros(1),
            ids(vec![1]),
            tensor("x", &[1], Elements::Int32(vec![1])),
        ],
        "`x` is not an input: the model takes [\"image\", \"ids\"]",
    );
    check(
        vec![
            tensor("image", &[1, 2, 3], Elements::Int32(vec![0; 6])),
            ids(vec![1]),
        ],
        "input `image` takes Fp32, but is Int32: convert its elements",
    );
    for (shape, cells) in [(&[1, 3, 2][..], 6), (&[6], 6), (&[1, 2, 3, 1], 6), (&[], 1)] {
        check(
            vec![
                tensor("image", shape, Elements::Fp32(vec![0.0; cells])),
                ids(vec![1]),
            ],
            &format!(
                "input `image` takes a batch of shape [2, 3], but has shape {shape:?}: the first axis is the batch"
            ),
        );
    }
    check(
        vec![zeros(2), ids(vec![1])],
        "input `ids` has a batch of 1, but the first input has 2",
    );
    check(
        vec![zeros(0), ids(vec![])],
        "the batch is empty: send at least one item",
    );
    let order = Tensors::new(vec![ids(vec![4]), zeros(1)]).unwrap();
    assert!(
        reference::run(&model(), &order).is_ok(),
        "the order of tensors is free"
    );
}

#[test]
fn the_first_element_without_an_integer_is_named() {
    for (at, value) in [(0, f32::NAN), (7, f32::INFINITY), (11, f32::NEG_INFINITY)] {
        let mut elements = vec![1.0; 12];
        elements[at] = value;
        elements[11] = f32::NAN;
        let error = check(
            vec![image(2, elements), ids(vec![1, 2])],
            "input `image` cannot be encoded",
        );
        let source = BorderValueError::NotFinite { index: at };
        let name = "image".to_owned();
        assert_eq!(error, RunError::Value { name, source });
    }
    // Nothing reads this input, but it is part of the request.
    let error = check(
        vec![zeros(2), ids(vec![9, 10])],
        "input `ids` cannot be encoded",
    );
    let RunError::Value { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        source.to_string(),
        "element 1 is 10; the input takes 0 to 9"
    );
}

#[test]
fn a_batch_whose_trace_would_be_too_large_is_refused() {
    let max = TRACE_BYTES_MAX / model().program().trace_layout().block_bytes();
    let program = model();
    let batch = u64::try_from(max).unwrap();
    assert_eq!(positions(program.program(), batch), Ok(max));
    assert_eq!(
        positions(program.program(), batch + 1),
        Err(RunError::TooLarge {
            got: batch + 1,
            max: batch
        })
    );
}

#[test]
fn an_instruction_set_that_the_machine_lacks_is_refused() {
    for isa in Isa::ALL {
        let options = Options {
            threads: NonZeroUsize::MIN,
            isa,
        };
        assert_eq!(
            Engine::new(model(), options).is_ok(),
            isa.is_available(),
            "{isa}"
        );
    }
}
