//! What a receipt costs: making, signing, encoding and opening one.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]

use std::hint::black_box;

use credence_claim::{Claim, ClaimFields, Commitments};
use credence_receipt::{Bundle, Envelope, Inference, Statement, sign};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod support;

fn benches(c: &mut Criterion) {
    let key = support::key();
    let operator = key.public_key();
    let (salts, roots, plain) = (
        support::salts(),
        support::roots(),
        support::plain_claim_fields(),
    );
    c.bench_function("receipt::make_and_sign", |b| {
        b.iter(|| {
            let Commitments {
                input,
                params,
                output,
                trace,
            } = Commitments::new(&operator, black_box(&salts), black_box(&roots));
            let fields = ClaimFields {
                input,
                params,
                output,
                trace,
                ..plain.clone()
            };
            let claim = Claim::new(fields).unwrap();
            let time_unix_s = support::TIME_UNIX_S;
            let statement = Statement::Inference(Inference {
                claim,
                operator,
                time_unix_s,
            });
            sign(&statement, &key).unwrap().digest()
        });
    });
    let envelope = support::bundle().receipt().clone();
    c.bench_function("receipt::open", |b| {
        b.iter(|| black_box(&envelope).open().unwrap())
    });
    let bytes = envelope.encode();
    c.bench_function("receipt::decode", |b| {
        b.iter(|| Envelope::decode(black_box(&bytes), bytes.len()).unwrap());
    });
    let mut openings = support::openings();
    openings.input.as_mut().unwrap().content = vec![7; 1 << 20];
    let bundle = Bundle::new(envelope, openings, Vec::new()).unwrap();
    let bytes = bundle.encode().unwrap();
    c.bench_function("bundle::encode/input=1MiB", |b| {
        b.iter(|| black_box(&bundle).encode().unwrap())
    });
    c.bench_function("bundle::decode/input=1MiB", |b| {
        b.iter(|| Bundle::decode(black_box(&bytes), bytes.len()).unwrap());
    });
}

criterion_group!(group, benches);
criterion_main!(group);
