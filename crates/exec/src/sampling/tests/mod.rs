//! The fast sampler against the reference over random steps, and the exact parts each against its definition.

mod codec;
mod draws;
mod refusals;
mod rules;
mod vectors;

use proptest::prelude::*;

use super::weights::{Scale, WEIGHT_ONE};
use super::*;

const SEED: [u8; 32] = [7; 32];

fn settings() -> Settings {
    Settings::neutral(16)
}

fn checked(settings: Settings) -> Parameters {
    Parameters::new(settings).unwrap()
}

fn place(step: u32) -> Place {
    Place {
        seed: SEED,
        choice: 0,
        step,
    }
}

/// A step without history or constraint.
fn plain<'a>(logits: &'a [i32], counts: &'a Counts, step: u32) -> Step<'a> {
    Step {
        logits,
        counts,
        allowed: None,
        place: place(step),
    }
}

/// The token of both samplers, which must agree, also on the block values.
fn both(parameters: &Parameters, step: &Step<'_>) -> Result<u32, SamplingError> {
    let mut sampler = Sampler::new();
    let fast = sampler.sample(parameters, step);
    let slow = reference::sample(parameters, step);
    if let Ok(observed) = &slow {
        let level = observed.tree.get(1).or(observed.tree.first());
        let level = level.filter(|_| observed.tree.len() > 1 || observed.tree[0].len() == 1);
        assert_eq!(sampler.block_sums(), level.map_or(&[][..], Vec::as_slice));
        let largest = |block: &[Option<i64>]| block.iter().copied().flatten().max();
        let maxima: Vec<Option<i64>> = observed.adjusted.chunks(BLOCK).map(largest).collect();
        let own = sampler.block_maxima().iter();
        let own: Vec<Option<i64>> = own
            .map(|&max| (max != i32::MIN).then_some(max.into()))
            .collect();
        assert_eq!(own, maxima);
    }
    assert_eq!(fast, slow.map(|observed| observed.token));
    fast
}

fn token(settings: Settings, logits: &[i32], step: u32) -> u32 {
    both(&checked(settings), &plain(logits, &Counts::new(), step)).unwrap()
}

/// Logits of several kinds: close together with ties, spread as a model's, anywhere, at the ends.
fn logits() -> impl Strategy<Value = Vec<i32>> {
    let length = prop_oneof![1_usize..6, 250_usize..262, 500_usize..1500];
    let cell = prop_oneof![
        Just((-3_i32, 3_i32)),
        Just((-5000, 5000)),
        Just((-900_000, 900_000)),
        Just((-2_000_000, 700_000)),
        Just((i32::MIN, i32::MAX)),
        Just((i32::MIN, i32::MIN + 2)),
        Just((i32::MAX - 1, i32::MAX)),
    ];
    (length, cell).prop_flat_map(|(length, (min, max))| prop::collection::vec(min..=max, length))
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let temperature = prop_oneof![
        Just(0_u32),
        Just(1),
        Just(2),
        Just(1_000_000),
        Just(2_000_000),
        1_u32..2_000_000
    ];
    let top_p = prop_oneof![
        Just(1_000_000_u32),
        Just(1),
        Just(999_999),
        1_u32..1_000_000
    ];
    let top_k = prop_oneof![Just(0_u32), Just(1), Just(1 << 20), 1_u32..400];
    let min_p = prop_oneof![Just(0_u32), Just(1_000_000), 0_u32..200_000];
    let penalty = || {
        prop_oneof![
            Just(0_i32),
            Just(2_000_000),
            Just(-2_000_000),
            -2_000_000_i32..2_000_000
        ]
    };
    let biases = prop::collection::btree_map(0_u32..1500, -100_000_000_i32..=100_000_000, 0..9);
    let numbers = (temperature, top_p, top_k, min_p, penalty(), penalty());
    (numbers, biases).prop_map(
        |((temperature, top_p, top_k, min_p, frequency_penalty, presence_penalty), biases)| {
            Settings {
                temperature,
                top_p,
                top_k,
                min_p,
                frequency_penalty,
                presence_penalty,
                logit_bias: biases.into_iter().collect(),
                ..settings()
            }
        },
    )
}

/// A bitmap of the vocabulary from random words; some words are full or empty.
fn bitmap(words: &[u64], vocabulary: usize) -> Vec<u64> {
    let word = |index: usize| match words[index % words.len()] {
        word if word % 5 == 0 => 0,
        word if word % 5 == 1 => u64::MAX,
        word => word,
    };
    let mut bitmap: Vec<u64> = (0..vocabulary.div_ceil(64)).map(word).collect();
    if !vocabulary.is_multiple_of(64) {
        *bitmap.last_mut().unwrap() &= (1 << (vocabulary % 64)) - 1;
    }
    bitmap
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn the_fast_sampler_is_the_reference(
        logits in logits(),
        mut settings in any_settings(),
        tokens in prop::collection::vec(0_u32..1500, 0..40),
        words in prop::option::of(prop::collection::vec(any::<u64>(), 1..6)),
        number in any::<(u32, u32)>(),
        seed in any::<[u8; 32]>(),
    ) {
        let end = u32::try_from(logits.len()).unwrap();
        settings.logit_bias.retain(|&(id, _)| id < end);
        let counts: Counts = tokens.into_iter().filter(|&token| token < end).collect();
        let bits = words.map(|words| bitmap(&words, logits.len()));
        let allowed = bits.as_deref().map(Allowed);
        let place = Place { seed, choice: number.0, step: number.1 };
        let step = Step { logits: &logits, counts: &counts, allowed, place };
        match both(&checked(settings), &step) {
            Ok(token) => prop_assert!(allowed.is_none_or(|allowed| allowed.has(usize::try_from(token).unwrap()))),
            Err(error) => {
                prop_assert_eq!(error, SamplingError::NothingAllowed);
                prop_assert!(bits.unwrap().iter().all(|&word| word == 0));
            }
        }
    }

    #[test]
    fn a_used_sampler_gives_what_a_new_one_gives(first in logits(), second in logits(), a in any_settings(), b in any_settings()) {
        let strip = |settings| checked(Settings { logit_bias: vec![], ..settings });
        let (a, b, counts) = (strip(a), strip(b), Counts::new());
        let mut used = Sampler::new();
        used.sample(&a, &plain(&first, &counts, 0)).unwrap();
        let step = plain(&second, &counts, 1);
        prop_assert_eq!(used.sample(&b, &step), Sampler::new().sample(&b, &step));
    }

    #[test]
    fn scaling_is_one_exact_division(temperature in 1_u32..=2_000_000, distance in any::<u32>(), near in 0_u32..6_000_000) {
        for distance in [distance, near] {
            let t = u64::from(temperature);
            let y = (u64::from(distance) * 1_000_000 + t / 2) / t;
            let y = usize::try_from(y.min(22 << 16)).unwrap();
            let expected = (u64::from(high()[y >> 11]) * u64::from(low()[y & 2047]) + (1 << 29)) >> 30;
            prop_assert_eq!(u64::from(Scale::new(temperature).weight(distance)), expected);
        }
    }

    #[test]
    fn reports_are_sorted_and_sum_to_one(logits in logits(), top in 0_usize..=20) {
        let report = logprobs(&logits, 0, top).unwrap();
        let mut order: Vec<(u32, i32)> = (0_u32..).zip(logits.iter().copied()).collect();
        order.sort_by_key(|&(id, logit)| (std::cmp::Reverse(logit), id));
        let expected: Vec<u32> = order.iter().take(top).map(|&(id, _)| id).collect();
        let tokens: Vec<u32> = report.top.iter().map(|entry| entry.token).collect();
        prop_assert_eq!(tokens, expected);
        prop_assert!(report.top.iter().all(|entry| entry.value <= 0));
        // Against floating point, within the bound of section 8.
        let max = f64::from(*logits.iter().max().unwrap());
        let sum: f64 = logits.iter().map(|&logit| ((f64::from(logit) - max) / 65_536.0).exp()).sum();
        let expected = f64::from(logits[0]) - max - sum.ln() * 65_536.0;
        let length = f64::from(u32::try_from(logits.len()).unwrap());
        let got = report.chosen.value.to_string().parse::<f64>().unwrap();
        prop_assert!((got - expected).abs() <= length / 16_384.0 + 1.0, "{} against {}", got, expected);
    }
}

#[test]
fn the_tables_are_those_of_the_specification() {
    assert_eq!((high().len(), low().len()), (705, 2048));
    assert_eq!((high()[0], low()[0]), (WEIGHT_ONE, WEIGHT_ONE));
    assert_eq!(
        (high()[32], low()[2047], high()[703], high()[704]),
        (395_007_542, 1_040_722_141, 0, 0)
    );
    let falls = |table: &[u32]| table.windows(2).all(|pair| pair[0] >= pair[1]);
    assert!(falls(high()) && falls(low()));
}
