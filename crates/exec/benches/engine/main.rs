//! What a run costs, by model, batch and instruction set, and what of it is hashing.
//!
//! `engine::run` is the request's check, the run and the answer; `engine::root` the hash of its trace alone.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to report"
)]

mod shapes;
mod shipped;

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Engine, Isa, Options};
use credence_model::{Elements, Model, Tensor, Tensors};
use criterion::{Criterion, criterion_group, criterion_main};

fn request(model: &Model, batch: u64) -> Tensors {
    let input = &model.program().spec().inputs[0];
    let shape: Vec<u64> = [batch]
        .into_iter()
        .chain(input.shape.iter().map(|&dim| dim.into()))
        .collect();
    let cells: u64 = shape.iter().product();
    let pixels = (0..cells).map(|at| f32::from(u8::try_from(at * 7 % 17).unwrap()));
    let tensor = Tensor::new(input.name.as_str(), shape, Elements::Fp32(pixels.collect())).unwrap();
    Tensors::new(vec![tensor]).unwrap()
}

fn engine(model: &Arc<Model>, isa: Isa, threads: usize) -> Engine {
    let threads = NonZeroUsize::new(threads).unwrap();
    Engine::new(Arc::clone(model), Options { threads, isa }).unwrap()
}

fn runs(criterion: &mut Criterion) {
    let models = [
        ("digits-cnn", shipped::digits_cnn(), [1, 64]),
        ("digits-mlp", shipped::digits_mlp(), [1, 64]),
        ("forest", shipped::forest(), [1, 64]),
        ("wide-mlp", shapes::wide_mlp(), [1, 64]),
        ("square", shapes::square(), [1, 8]),
        ("wide-conv", shapes::wide_conv(), [1, 8]),
        ("depthwise", shapes::depthwise(), [1, 8]),
    ];
    for (name, model, batches) in models {
        let model = Arc::new(model);
        for batch in batches {
            let inputs = request(&model, batch);
            for isa in Isa::available() {
                let engine = engine(&model, isa, 1);
                criterion.bench_function(
                    &format!("engine::run/model={name},batch={batch},isa={isa}"),
                    |bencher| {
                        bencher.iter(|| engine.run(black_box(&inputs)).unwrap());
                    },
                );
            }
            let execution = engine(&model, Isa::detect(), 1).run(&inputs).unwrap();
            criterion.bench_function(
                &format!("engine::root/model={name},batch={batch}"),
                |bencher| {
                    bencher.iter(|| black_box(&execution.trace).root());
                },
            );
        }
    }
}

fn threads(criterion: &mut Criterion) {
    let models = [
        ("digits-cnn", shipped::digits_cnn(), 256),
        ("wide-mlp", shapes::wide_mlp(), 1),
        ("wide-mlp", shapes::wide_mlp(), 64),
        ("wide-conv", shapes::wide_conv(), 1),
    ];
    for (name, model, batch) in models {
        let model = Arc::new(model);
        let inputs = request(&model, batch);
        for threads in [1, 2] {
            let engine = engine(&model, Isa::detect(), threads);
            criterion.bench_function(
                &format!("engine::run/model={name},batch={batch},threads={threads}"),
                |bencher| bencher.iter(|| engine.run(black_box(&inputs)).unwrap()),
            );
        }
    }
}

criterion_group!(benches, runs, threads);
criterion_main!(benches);
