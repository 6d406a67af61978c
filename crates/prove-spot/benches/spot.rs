//! What a spot check costs whoever checks: a small language model's answer, 80 cells.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]

use std::hint::black_box;
use std::sync::Arc;

use credence_claim::Method as _;
use credence_method_spot::{Card, Challenge, Demand, Evidence};
use credence_prove_spot::{Carry, Opener};
use credence_testkit::speaking::speaking;
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/spot/common.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod common;

fn benches(c: &mut Criterion) {
    let model = Arc::new(speaking(3));
    let claimed = common::answer(&model, 30).claim();
    let opener = Opener::new(&model, common::options()).unwrap();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let evidence = rerun.prove(&Challenge::Claim, (80, 1), Carry::Nothing);
    let evidence = evidence.unwrap();
    let card = opener.card(true).unwrap();
    let spot = common::spot(&model, Demand::USUAL, Challenge::Claim);
    c.bench_function("spot::verify/cells=80", |b| {
        b.iter(|| {
            spot.check(&claimed.case(), Some(black_box(&evidence)))
                .unwrap()
        });
    });
    c.bench_function("spot::decode/cells=80", |b| {
        b.iter(|| Evidence::decode(black_box(&evidence)).unwrap());
    });
    c.bench_function("spot::card", |b| {
        b.iter(|| Card::decode(model.id(), black_box(&card)).unwrap());
    });
    c.bench_function("spot::open/cells=80", |b| {
        b.iter(|| {
            rerun
                .prove(black_box(&Challenge::Claim), (80, 1), Carry::Nothing)
                .unwrap()
        });
    });
}

criterion_group!(spot, benches);
criterion_main!(spot);
