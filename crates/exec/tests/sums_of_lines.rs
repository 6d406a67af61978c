//! Sums over one axis of neighbours, which have a loop of their own, equal the reference at every edge.
use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exact::{Dtype, Input, NodeId, Op, SumPool, Window};
use credence_exec::{Engine, Isa, Options, reference};
use credence_model::{
    BorderType, Decode, Elements, Encode, InputSpec, Model, NodeSpec, OutputSpec, ProgramSpec,
    Tensor, Tensors,
};

/// A program of one sum over an input `[length, 1, 1]`, or nothing if the window does not fit.
fn model(length: u32, window: Window) -> Option<Arc<Model>> {
    let node = |name: &str, op, dtype| NodeSpec {
        name: name.to_owned(),
        op,
        dtype,
        cut: true,
    };
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: vec![InputSpec {
            name: "x".to_owned(),
            dtype: BorderType::Int32,
            shape: vec![length, 1, 1],
            encode: Encode::Integer {
                min: -100_000,
                max: 99_000,
            },
        }],
        params: Vec::new(),
        nodes: vec![
            node("x", Op::Input(Input { index: 0 }), Dtype::I32),
            node(
                "sum",
                Op::SumPool(SumPool {
                    x: NodeId(0),
                    window,
                }),
                Dtype::I32,
            ),
        ],
        outputs: vec![OutputSpec {
            name: "y".to_owned(),
            node: NodeId(1),
            decode: Decode::Integer {},
        }],
        language: None,
    };
    Model::new(spec, Vec::new()).ok().map(Arc::new)
}

#[test]
fn the_sums_are_the_references() {
    let mut checked = 0;
    for length in [1, 2, 63, 64, 65, 384, 700] {
        for kernel in [1, 3, 64, 384, 700] {
            for (stride, pad, side, dilation) in [
                (1, 0, 0, 1),
                (5, 2, 0, 1),
                (3, 1, 1, 1),
                (1, 0, 0, 2),
                (9, 70, 0, 1),
            ] {
                let window = Window {
                    kernel: [kernel, 1],
                    stride: [stride, 2],
                    pad: [pad, side, pad, 0],
                    dilation: [dilation, 1],
                };
                let Some(model) = model(length, window) else {
                    continue;
                };
                let cells = (0..2 * length).map(|n| i32::try_from(n * 7919 % 199_000).unwrap());
                let elements = Elements::Int32(cells.map(|n| n - 100_000).collect());
                let shape = vec![2, length.into(), 1, 1];
                let input = Tensors::new(vec![Tensor::new("x", shape, elements).unwrap()]).unwrap();
                let expected = reference::run(&model, &input).unwrap().execution;
                for isa in Isa::available() {
                    let threads = NonZeroUsize::MIN;
                    let engine = Engine::new(Arc::clone(&model), Options { threads, isa }).unwrap();
                    let got = engine.run(&input).unwrap();
                    assert_eq!(got.outputs, expected.outputs, "{length}, {window:?}, {isa}");
                    assert_eq!(got.trace.root(), expected.trace.root());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "{checked}");
}
