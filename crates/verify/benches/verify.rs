//! What accepting a bundle costs when its receipt stands in a log that three witnesses saw.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]

use std::hint::black_box;

use credence_claim::MethodId;
use credence_receipt::BUNDLE_LEN_MAX;
use credence_verify::{Policy, check_bytes};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/support/log.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod log;
#[path = "../tests/support/mod.rs"]
mod support;

use log::{logged, with_quorum};
use support::{Replay, Seal, TIME_UNIX_S, facts, honest_bundle};

fn benches(c: &mut Criterion) {
    let policy = Policy {
        required: vec![MethodId::SIGNED],
        ..with_quorum(3)
    };
    let bare = Policy {
        log: None,
        ..policy.clone()
    };
    let bundle = logged(honest_bundle(), &[TIME_UNIX_S; 3]);
    let (bytes, facts) = (bundle.encode().unwrap(), facts());
    for (name, policy) in [
        ("verify::check_bytes/log=none", &bare),
        ("verify::check_bytes/log=inclusion+3", &policy),
    ] {
        c.bench_function(name, |b| {
            b.iter(|| {
                check_bytes(
                    black_box(&bytes),
                    BUNDLE_LEN_MAX,
                    policy,
                    &[&Replay, &Seal],
                    &facts,
                )
                .unwrap()
            });
        });
    }
}

criterion_group!(group, benches);
criterion_main!(group);
