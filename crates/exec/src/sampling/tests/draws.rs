//! Random numbers are ChaCha20's, and draws follow the weights.

use super::super::draw::draw;
use super::super::truncate::Cut;
use super::*;

#[test]
fn numbers_are_those_of_chacha20() {
    // RFC 8439, appendix A.1, vectors 1 and 2: key and nonce of zeros, blocks 0 and 1.
    let zeros = |step| {
        Place {
            seed: [0; 32],
            choice: 0,
            step,
        }
        .number()
        .to_le_bytes()
    };
    assert_eq!(zeros(0), [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    assert_eq!(zeros(1), [0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a]);
    // Vector 4: the second byte of the key 0xff, block 2.
    let mut seed = [0; 32];
    seed[1] = 0xff;
    let number = Place {
        seed,
        choice: 0,
        step: 2,
    }
    .number()
    .to_le_bytes();
    assert_eq!(number, [0x72, 0xd5, 0x4d, 0xfb, 0xf1, 0x2e, 0xc4, 0x4b]);
}

#[test]
fn every_part_of_a_place_counts() {
    let numbers = [
        (0, 0),
        (0, 1),
        (1, 0),
        (0, u32::MAX),
        (u32::MAX, 0),
        (u32::MAX, u32::MAX),
    ];
    let mut seen: Vec<u64> = numbers
        .map(|(choice, step)| {
            Place {
                seed: SEED,
                choice,
                step,
            }
            .number()
        })
        .to_vec();
    seen.push(
        Place {
            seed: [8; 32],
            choice: 0,
            step: 0,
        }
        .number(),
    );
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), numbers.len() + 1);
}

#[test]
fn the_number_falls_where_the_cumulative_sum_passes_it() {
    let weights = [0, 1, 2, 0, 1];
    let quarter = 1_u64 << 62;
    let token = |number| draw(number, &weights, Cut::NONE, &[4]);
    let cases = [
        (0, 1),
        (quarter - 1, 1),
        (quarter, 2),
        (3 * quarter - 1, 2),
        (3 * quarter, 4),
        (u64::MAX, 4),
    ];
    for (number, expected) in cases {
        assert_eq!(token(number), Some(expected), "{number}");
    }
    assert_eq!(draw(0, &[0, 0], Cut::NONE, &[0]), None);
}

/// How often each of `logits` is drawn in `draws` steps.
fn histogram(settings: Settings, logits: &[i32], draws: u32) -> Vec<u32> {
    let (parameters, counts, mut sampler) = (checked(settings), Counts::new(), Sampler::new());
    let mut seen = vec![0_u32; logits.len()];
    for step in 0..draws {
        let token = sampler
            .sample(&parameters, &plain(logits, &counts, step))
            .unwrap();
        seen[usize::try_from(token).unwrap()] += 1;
    }
    seen
}

/// Pearson's statistic against weights.
fn chi_square(seen: &[u32], weights: &[f64]) -> f64 {
    let (draws, sum) = (
        f64::from(seen.iter().sum::<u32>()),
        weights.iter().sum::<f64>(),
    );
    let term = |(&seen, &weight): (&u32, &f64)| {
        let expected = draws * weight / sum;
        (f64::from(seen) - expected).powi(2) / expected
    };
    seen.iter().zip(weights).map(term).sum()
}

#[test]
fn draws_follow_the_weights() {
    // 300 tokens over two blocks, from 0 to 3 nats below the first. The seed is fixed, so this passes always or never; for 299 degrees of freedom
    // a fair sampler exceeds 400 once in ten thousand seeds.
    let logits: Vec<i32> = (0..300).map(|id| -(id * 7919 % 300) * 655).collect();
    for temperature in [500_000, 1_000_000, 1_700_000] {
        let seen = histogram(
            Settings {
                temperature,
                ..settings()
            },
            &logits,
            200_000,
        );
        let exp = |&logit: &i32| (f64::from(logit) / 65_536.0 * 1e6 / f64::from(temperature)).exp();
        let fair: Vec<f64> = logits.iter().map(exp).collect();
        let statistic = chi_square(&seen, &fair);
        assert!(statistic < 400.0, "{temperature}: {statistic}");
        // The failing twin: equal weights are not what was drawn from.
        assert!(chi_square(&seen, &[1.0; 300]) > 1000.0);
    }
}

#[test]
fn truncated_draws_follow_the_weights_that_are_left() {
    let logits: Vec<i32> = (0..300).map(|id| -(id * 7919 % 300) * 655).collect();
    let seen = histogram(
        Settings {
            top_k: 50,
            top_p: 800_000,
            ..settings()
        },
        &logits,
        100_000,
    );
    let parameters = checked(Settings {
        top_k: 50,
        top_p: 800_000,
        ..settings()
    });
    let counts = Counts::new();
    let kept = reference::sample(&parameters, &plain(&logits, &counts, 0))
        .unwrap()
        .kept;
    assert!(kept.len() > 30 && kept.len() < 50);
    let outside = (0..300).filter(|id| !kept.contains(id));
    assert!(outside.map(|id| seen[id]).all(|seen| seen == 0));
    let inside: Vec<u32> = kept.iter().map(|&id| seen[id]).collect();
    let fair: Vec<f64> = kept
        .iter()
        .map(|&id| (f64::from(logits[id]) / 65_536.0).exp())
        .collect();
    // For some 40 degrees of freedom, exceeded once in ten thousand seeds.
    assert!(chi_square(&inside, &fair) < 82.0);
}
