//! What one token costs after its logits: greedy, and with every truncation, over vocabularies of the models in use.
//!
//! Logits are bell-shaped as a language model's are, or all equal, the worst case for a selection.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to report"
)]

use std::hint::black_box;

use credence_exec::sampling::{Counts, Parameters, Place, Sampler, Settings, Step, logprobs};
use criterion::{Criterion, criterion_group, criterion_main};

/// Sums of twelve uniform numbers: about 2.2 nats of deviation, the maximum some 9 above the mean.
fn bell(vocabulary: usize) -> Vec<i32> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i32::try_from(state >> 47).unwrap() - (1 << 16)
    };
    (0..vocabulary)
        .map(|_| (0..12).map(|_| uniform()).sum::<i32>())
        .collect()
}

/// Parameters by name: nothing drawn, nothing truncated, each truncation alone, all of them.
fn parameters() -> Vec<(&'static str, Parameters)> {
    let warm = Settings {
        temperature: 800_000,
        ..Settings::neutral(1)
    };
    let settings = [
        (
            "greedy",
            Settings {
                temperature: 0,
                ..warm.clone()
            },
        ),
        ("temperature", warm.clone()),
        (
            "top_p",
            Settings {
                top_p: 900_000,
                ..warm.clone()
            },
        ),
        (
            "top_k",
            Settings {
                top_k: 40,
                ..warm.clone()
            },
        ),
        (
            "all",
            Settings {
                top_k: 1000,
                top_p: 950_000,
                min_p: 10_000,
                ..warm
            },
        ),
    ];
    settings
        .map(|(name, settings)| (name, Parameters::new(settings).unwrap()))
        .to_vec()
}

fn steps(criterion: &mut Criterion) {
    let counts: Counts = (0..500).map(|token| token * 7).collect();
    for (shape, logits) in [
        ("bell", bell(49_152)),
        ("equal", vec![0; 49_152]),
        ("bell", bell(151_936)),
    ] {
        let end = format!("logits={shape}/tokens={}", logits.len());
        for (name, parameters) in parameters() {
            let (mut sampler, mut number) = (Sampler::new(), 0);
            criterion.bench_function(&format!("sampling::{name}/{end}"), |bencher| {
                bencher.iter(|| {
                    number += 1;
                    let place = Place {
                        seed: [7; 32],
                        choice: 0,
                        step: number,
                    };
                    let step = Step {
                        logits: &logits,
                        counts: &counts,
                        allowed: None,
                        place,
                    };
                    sampler.sample(black_box(&parameters), &step).unwrap()
                });
            });
        }
        criterion.bench_function(&format!("sampling::logprobs/{end}"), |bencher| {
            bencher.iter(|| logprobs(black_box(&logits), 1, 20).unwrap());
        });
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
