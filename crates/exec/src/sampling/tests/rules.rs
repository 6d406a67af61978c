//! Cases by hand for each rule of the specification, section 3, in its order.

use super::super::logprob::log_of_weights;
use super::*;

/// A logit of whole nats.
const NAT: i32 = 1 << 16;

fn greedy(settings: Settings, logits: &[i32], counts: &[u32]) -> u32 {
    let counts: Counts = counts.iter().copied().collect();
    let parameters = checked(Settings {
        temperature: 0,
        ..settings
    });
    both(&parameters, &plain(logits, &counts, 0)).unwrap()
}

/// The tokens that 400 draws give.
fn drawn(settings: &Settings, logits: &[i32]) -> Vec<u32> {
    let draw = |step| token(settings.clone(), logits, step);
    let tokens: std::collections::BTreeSet<u32> = (0..400).map(draw).collect();
    tokens.into_iter().collect()
}

#[test]
fn ties_go_to_the_lowest_id() {
    assert_eq!(greedy(settings(), &[1, 5, 5, 2], &[]), 1);
    assert_eq!(greedy(settings(), &[i32::MIN; 700], &[]), 0);
    let mut logits = vec![0; 700];
    (logits[300], logits[600]) = (1, 1);
    assert_eq!(greedy(settings(), &logits, &[]), 300);
}

#[test]
fn the_clamp_makes_the_two_lowest_logits_equal() {
    assert_eq!(greedy(settings(), &[i32::MIN, i32::MIN + 1], &[]), 0);
    assert_eq!(greedy(settings(), &[i32::MIN, i32::MIN + 2], &[]), 1);
}

#[test]
fn bias_is_rounded_half_up_once_and_saturates() {
    // 8 millionths are 0.524 of a unit, 7 are 0.459.
    let bias = |bias| Settings {
        logit_bias: vec![(1, bias)],
        ..settings()
    };
    assert_eq!(greedy(bias(8), &[0, 0], &[]), 1);
    assert_eq!(greedy(bias(7), &[0, 0], &[]), 0);
    assert_eq!(greedy(bias(-7), &[-1, 0], &[]), 1);
    assert_eq!(greedy(bias(-8), &[-1, 0], &[]), 0);
    assert_eq!(greedy(bias(100_000_000), &[i32::MAX, i32::MAX - 9], &[]), 0);
    assert_eq!(greedy(bias(100_000_000), &[100 * NAT - 1, 0], &[]), 1);
    assert_eq!(greedy(bias(-100_000_000), &[-100 * NAT + 1, 0], &[]), 0);
}

#[test]
fn penalties_count_generated_tokens() {
    let frequency = Settings {
        frequency_penalty: 500_000,
        ..settings()
    };
    assert_eq!(greedy(frequency.clone(), &[0, NAT], &[]), 1);
    assert_eq!(greedy(frequency.clone(), &[1, NAT], &[1, 1]), 0);
    assert_eq!(greedy(frequency, &[1, NAT], &[1]), 1);
    let presence = Settings {
        presence_penalty: 1_000_000,
        ..settings()
    };
    assert_eq!(greedy(presence.clone(), &[1, NAT], &[1]), 0);
    assert_eq!(greedy(presence, &[-1, NAT], &[1, 1, 1]), 1);
    // Negative penalties raise; bias and penalty are added before they are rounded.
    let both = Settings {
        presence_penalty: -4,
        logit_bias: vec![(1, 4)],
        ..settings()
    };
    assert_eq!(greedy(both.clone(), &[0, 0], &[1]), 1);
    assert_eq!(greedy(both, &[0, 0], &[]), 0);
    let most = Settings {
        frequency_penalty: 2_000_000,
        ..settings()
    };
    let counts: Counts = [0, 0, 0].into_iter().collect();
    assert_eq!((counts.get(0), counts.get(1)), (3, 0));
    assert_eq!(greedy(most, &[6 * NAT, 1], &[0, 0, 0]), 1);
}

#[test]
fn a_mask_comes_after_bias_and_before_the_maximum() {
    let parameters = checked(Settings {
        temperature: 0,
        logit_bias: vec![(0, 100_000_000)],
        ..settings()
    });
    let counts = Counts::new();
    for (bits, expected) in [
        (0b110, Ok(2)),
        (0b001, Ok(0)),
        (0b010, Ok(1)),
        (0, Err(SamplingError::NothingAllowed)),
    ] {
        let step = Step {
            allowed: Some(Allowed(&[bits])),
            ..plain(&[9, 1, 2], &counts, 0)
        };
        assert_eq!(both(&parameters, &step), expected);
    }
    // A forbidden token has no weight, even where it cannot be told from the others by its logit.
    let warm = checked(Settings {
        temperature: 2_000_000,
        ..settings()
    });
    for step in 0..50 {
        let step = Step {
            allowed: Some(Allowed(&[0b101])),
            ..plain(&[i32::MIN; 3], &counts, step)
        };
        assert_ne!(both(&warm, &step), Ok(1));
    }
}

#[test]
fn temperature_sharpens_and_flattens() {
    let at = |temperature| {
        drawn(
            &Settings {
                temperature,
                ..settings()
            },
            &[0, 2 * NAT],
        )
    };
    assert_eq!(at(100_000), [1]);
    assert_eq!(at(2_000_000), [0, 1]);
    assert_eq!(
        drawn(
            &Settings {
                temperature: 1,
                ..settings()
            },
            &[-1, 0, -1]
        ),
        [1]
    );
    assert_eq!(
        drawn(
            &Settings {
                temperature: 1,
                ..settings()
            },
            &[0, 0, -1]
        ),
        [0, 1]
    );
}

#[test]
fn tails_beyond_22_nats_are_never_drawn() {
    let weight = |distance| Scale::new(1_000_000).weight(distance);
    assert_eq!(weight(0), WEIGHT_ONE);
    assert_eq!(weight(65_536), 395_007_542);
    assert_eq!(
        (weight(21 << 16), weight(22 << 16), weight(u32::MAX)),
        (1, 0, 0)
    );
    // Temperature 2 halves the distance, rounding up from one half.
    assert_eq!(Scale::new(2_000_000).weight(131_071), 395_007_542);
    assert!(Scale::new(2_000_000).weight(131_070) > 395_007_542);
}

#[test]
fn weights_are_within_one_and_a_half_units_of_the_true_ones() {
    let scale = Scale::new(1_000_000);
    for distance in (0_u32..1_500_000).step_by(7) {
        let expected = (-f64::from(distance) / 65_536.0).exp() * f64::from(WEIGHT_ONE);
        let got = f64::from(scale.weight(distance));
        assert!(
            (got - expected).abs() <= 1.5,
            "{distance}: {got} against {expected}"
        );
    }
}

#[test]
fn top_k_keeps_the_first_in_order() {
    let top_k = |top_k, logits: &[i32]| {
        drawn(
            &Settings {
                top_k,
                temperature: 2_000_000,
                ..settings()
            },
            logits,
        )
    };
    assert_eq!(top_k(1, &[3, 5, 5]), [1]);
    assert_eq!(top_k(2, &[3, 5, 5, 5]), [1, 2]);
    assert_eq!(top_k(3, &[3, 5, 4]), [0, 1, 2]);
    assert_eq!(top_k(1 << 20, &[3, 5, 4]), [0, 1, 2]);
    assert_eq!(top_k(2, &[0, -30 * NAT, -90 * NAT]), [0]);
}

#[test]
fn top_p_keeps_the_shortest_prefix_that_reaches_it() {
    let top_p = |top_p, logits: &[i32]| {
        drawn(
            &Settings {
                top_p,
                ..settings()
            },
            logits,
        )
    };
    assert_eq!(top_p(250_000, &[0, 0, 0, 0]), [0]);
    assert_eq!(top_p(250_001, &[0, 0, 0, 0]), [0, 1]);
    assert_eq!(top_p(1, &[0, 1, 0]), [1]);
    assert_eq!(top_p(999_999, &[0, 0, 0]), [0, 1, 2]);
    // e/(e+1) is 0.731.
    assert_eq!(top_p(731_000, &[0, NAT]), [1]);
    assert_eq!(top_p(732_000, &[0, NAT]), [0, 1]);
}

#[test]
fn top_p_is_of_what_top_k_left() {
    // Of four equals top_k keeps two; half of these is one, while half of all would be two.
    let both = Settings {
        top_k: 2,
        top_p: 500_000,
        ..settings()
    };
    assert_eq!(drawn(&both, &[0, 0, 0, 0]), [0]);
    // min_p compares with the largest weight, whatever the others have left.
    let min_p = |min_p, logits: &[i32]| {
        drawn(
            &Settings {
                min_p,
                ..settings()
            },
            logits,
        )
    };
    assert_eq!(min_p(1_000_000, &[0, 0, -1]), [0, 1]);
    assert_eq!(min_p(367_000, &[0, -NAT]), [0, 1]);
    assert_eq!(min_p(368_000, &[0, -NAT]), [0]);
}

#[test]
fn the_largest_vocabulary_fits() {
    let logits = vec![i32::MAX; VOCABULARY_MAX];
    let counts = Counts::new();
    for top_p in [1_000_000, 500_000] {
        let parameters = checked(Settings {
            top_p,
            ..settings()
        });
        let token = both(&parameters, &plain(&logits, &counts, 3)).unwrap();
        assert!(top_p == 1_000_000 || token < 1 << 19);
    }
    let report = logprobs(&logits, 5, 1).unwrap();
    // ln 2²⁰ is 13.862944 nat.
    assert_eq!((report.chosen.value, report.top[0].token), (-908_522, 0));
}

#[test]
fn logarithms_of_sums() {
    assert_eq!(log_of_weights(1 << 30), 0);
    assert_eq!(log_of_weights(1 << 31), 45_426);
    assert_eq!(log_of_weights(3 << 30), 71_999);
    assert_eq!(log_of_weights(1 << 50), 908_522);
    assert_eq!(log_of_weights((1 << 31) - 1), 45_426);
}

#[test]
fn a_report_by_hand() {
    let report = logprobs(&[0, NAT, 0, i32::MIN], 3, 3).unwrap();
    // ln(1 + 2/e) is 0.551445 nat, 36,139 units.
    let entry = |token, value| Logprob { token, value };
    assert_eq!(
        report.top,
        [entry(1, -36_139), entry(0, -101_675), entry(2, -101_675)]
    );
    assert_eq!(
        report.chosen,
        entry(3, -36_139 - i64::from(NAT) - (1 << 31))
    );
    assert_eq!(logprobs(&[4], 0, 20).unwrap().top, [entry(0, 0)]);
    assert_eq!(logprobs(&[4, 5], 0, 0).unwrap().top, []);
}
