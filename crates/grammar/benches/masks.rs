//! How long a mask takes, and how long it takes to compile a schema: over as many tokens as real vocabularies have.
#![expect(clippy::unwrap_used, reason = "a benchmark stops where a call fails")]

use std::hint::black_box;

use credence_grammar::{Grammar, Vocabulary};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

/// Tokens as a byte-level tokeniser has them: all bytes, then words of two to nine letters, half of them behind a space.
fn words(len: usize) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = (0..=255_u8).map(|byte| vec![byte]).collect();
    let mut state = 1_u64;
    while words.len() < len {
        let mut word = Vec::new();
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut bits = state;
        if bits.is_multiple_of(2) {
            word.push(b' ');
        }
        for _ in 0..2 + (bits >> 60) % 8 {
            bits = bits.rotate_right(7);
            word.push(b'a' + u8::try_from(bits % 26).unwrap());
        }
        words.push(word);
    }
    words.push(Vec::new());
    words
}

fn masks(criterion: &mut Criterion) {
    let schema = json!({
        "type": "object",
        "properties": {"age": {"type": "integer"}, "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["name", "age", "tags"],
        "additionalProperties": false,
    });
    let grammar = Grammar::schema(&schema.to_string()).unwrap();
    for len in [49_152, 151_936] {
        let words = words(len);
        let end = u32::try_from(words.len()).unwrap() - 1;
        let shown = || words.iter().map(|word| Some(word.as_slice()));
        let vocabulary = Vocabulary::new(shown(), &[end]).unwrap();
        criterion.bench_function(&format!("grammar::vocabulary/tokens={len}"), |bencher| {
            bencher.iter(|| Vocabulary::new(shown(), &[end]).unwrap());
        });
        criterion.bench_function(&format!("grammar::constrain/tokens={len}"), |bencher| {
            bencher.iter(|| vocabulary.constrain(black_box(&grammar)).unwrap());
        });
        let answer = br#"{"age": 41, "name": "the quick brown fox", "tags": ["a", "bc"]}"#;
        criterion.bench_function(
            &format!("grammar::answer/tokens={len}/steps={}", answer.len()),
            |bencher| {
                bencher.iter(|| {
                    let mut constraint = vocabulary.constrain(&grammar).unwrap();
                    for &byte in answer {
                        black_box(constraint.allowed().unwrap());
                        constraint.take(u32::from(byte)).unwrap();
                    }
                });
            },
        );
    }
}

/// The most that one mask can cost: as many moves as there may be, in many strings at once that are near their ends, and then the refusal.
fn limits(criterion: &mut Criterion) {
    let ends = (36..42).flat_map(|max| (0..35).map(move |min| (min, max)));
    let strings: Vec<_> = ends
        .map(|(min, max)| json!({"type": "string", "minLength": min, "maxLength": max}))
        .collect();
    let grammar = Grammar::schema(&json!({"anyOf": strings}).to_string()).unwrap();
    let words = words(49_152);
    let end = u32::try_from(words.len()).unwrap() - 1;
    let shown = words.iter().map(|word| Some(word.as_slice()));
    let vocabulary = Vocabulary::new(shown, &[end]).unwrap();
    let mut begun = vocabulary.constrain(&grammar).unwrap();
    begun.take(u32::from(b'"')).unwrap();
    // Near the end no token fits whatever it is, so all are tried.
    for _ in 0..33 {
        begun.take(u32::from(b'x')).unwrap();
    }
    assert!(begun.clone().allowed().is_err(), "that is too much work");
    criterion.bench_function("grammar::mask/moves=limit", |bencher| {
        bencher.iter(|| black_box(begun.clone().allowed().is_err()));
    });
    criterion.bench_function("grammar::take/threads=200", |bencher| {
        bencher.iter(|| begun.clone().take(black_box(u32::from(b'x'))).is_ok());
    });
    criterion.bench_function("grammar::clone/threads=200", |bencher| {
        bencher.iter(|| black_box(begun.clone()));
    });
}

criterion_group!(benches, masks, limits);
criterion_main!(benches);
