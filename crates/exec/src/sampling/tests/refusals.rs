//! Every error of parameters, steps and reports, each beside its twin that passes.

use super::*;

fn refused(change: impl FnOnce(&mut Settings)) -> ParametersError {
    let mut settings = settings();
    change(&mut settings);
    Parameters::new(settings).unwrap_err()
}

fn passes(change: impl FnOnce(&mut Settings)) {
    let mut settings = settings();
    change(&mut settings);
    checked(settings);
}

#[test]
fn numbers_have_ranges() {
    let range = |name, min, max, got| ParametersError::Range {
        name,
        min,
        max,
        got,
    };
    assert_eq!(
        refused(|s| s.temperature = 2_000_001),
        range("temperature", 0, 2_000_000, 2_000_001)
    );
    assert_eq!(refused(|s| s.top_p = 0), range("top_p", 1, 1_000_000, 0));
    assert_eq!(
        refused(|s| s.top_p = 1_000_001),
        range("top_p", 1, 1_000_000, 1_000_001)
    );
    assert_eq!(
        refused(|s| s.top_k = (1 << 20) + 1),
        range("top_k", 0, 1 << 20, (1 << 20) + 1)
    );
    assert_eq!(
        refused(|s| s.min_p = 1_000_001),
        range("min_p", 0, 1_000_000, 1_000_001)
    );
    assert_eq!(
        refused(|s| s.max_tokens = 0),
        range("max_tokens", 1, u32::MAX.into(), 0)
    );
    for got in [-2_000_001, 2_000_001, i32::MIN] {
        let expected = |name| range(name, -2_000_000, 2_000_000, got.into());
        assert_eq!(
            refused(|s| s.frequency_penalty = got),
            expected("frequency_penalty")
        );
        assert_eq!(
            refused(|s| s.presence_penalty = got),
            expected("presence_penalty")
        );
    }
    for got in [-100_000_001, 100_000_001] {
        let expected = range("logit_bias", -100_000_000, 100_000_000, got.into());
        assert_eq!(refused(|s| s.logit_bias = vec![(0, got)]), expected);
    }
    let expected = range("id of logit_bias", 0, (1 << 20) - 1, 1 << 20);
    assert_eq!(refused(|s| s.logit_bias = vec![(1 << 20, 0)]), expected);
    passes(|s| (s.temperature, s.top_p, s.top_k, s.min_p) = (2_000_000, 1, 1 << 20, 1_000_000));
    passes(|s| {
        (s.frequency_penalty, s.presence_penalty, s.max_tokens) = (-2_000_000, 2_000_000, u32::MAX)
    });
    passes(|s| s.logit_bias = vec![(0, -100_000_000), ((1 << 20) - 1, 100_000_000)]);
}

#[test]
fn lists_have_limits_and_an_order() {
    let order = |after, got| ParametersError::BiasOrder { after, got };
    assert_eq!(
        refused(|s| s.logit_bias = vec![(3, 1), (3, 1)]),
        order(3, 3)
    );
    assert_eq!(
        refused(|s| s.logit_bias = vec![(3, 1), (4, 0), (2, 1)]),
        order(4, 2)
    );
    let biases = |count| (0..count).map(|id| (id, 1)).collect();
    assert_eq!(
        refused(|s| s.logit_bias = biases(1025)),
        ParametersError::Biases {
            max: 1024,
            got: 1025
        }
    );
    passes(|s| s.logit_bias = biases(1024));
    let stops = |count| vec!["a".to_owned(); count];
    assert_eq!(
        refused(|s| s.stop = stops(17)),
        ParametersError::Stops { max: 16, got: 17 }
    );
    passes(|s| s.stop = stops(16));
    let bytes = |index, got| ParametersError::StopBytes {
        max: 256,
        index,
        got,
    };
    assert_eq!(
        refused(|s| s.stop = vec!["a".into(), String::new()]),
        bytes(1, 0)
    );
    assert_eq!(refused(|s| s.stop = vec!["a".repeat(257)]), bytes(0, 257));
    passes(|s| s.stop = vec!["a".repeat(256)]);
}

#[test]
fn a_step_fits_its_vocabulary() {
    let none = Counts::new();
    let plain_error =
        |logits: &[i32]| both(&checked(settings()), &plain(logits, &none, 0)).unwrap_err();
    let vocabulary = |got| SamplingError::Vocabulary {
        max: VOCABULARY_MAX,
        got,
    };
    assert_eq!(plain_error(&[]), vocabulary(0));
    assert_eq!(
        plain_error(&vec![0; VOCABULARY_MAX + 1]),
        vocabulary(VOCABULARY_MAX + 1)
    );
    let logits = [0; 65];
    let biased = |id| {
        checked(Settings {
            logit_bias: vec![(id, 1)],
            ..settings()
        })
    };
    let step = plain(&logits, &none, 0);
    assert_eq!(
        both(&biased(65), &step),
        Err(SamplingError::BiasId {
            expected: 65,
            got: 65
        })
    );
    assert!(both(&biased(64), &step).is_ok());
    let counted = |id| {
        both(
            &checked(settings()),
            &plain(&logits, &[id].into_iter().collect(), 0),
        )
    };
    assert_eq!(
        counted(65),
        Err(SamplingError::CountId {
            expected: 65,
            got: 65
        })
    );
    assert_eq!(
        counted(u32::MAX),
        Err(SamplingError::CountId {
            expected: 65,
            got: u32::MAX
        })
    );
    assert!(counted(64).is_ok());
}

#[test]
fn a_mask_fits_its_vocabulary() {
    let (none, logits) = (Counts::new(), [0; 65]);
    for temperature in [0, 1_000_000] {
        let parameters = checked(Settings {
            temperature,
            ..settings()
        });
        let masked = |words: &[u64]| {
            both(
                &parameters,
                &Step {
                    allowed: Some(Allowed(words)),
                    ..plain(&logits, &none, 0)
                },
            )
        };
        let length = |got| Err(SamplingError::MaskLength { expected: 2, got });
        assert_eq!(masked(&[u64::MAX]), length(1));
        assert_eq!(masked(&[u64::MAX, 1, 0]), length(3));
        assert_eq!(
            masked(&[0, 3]),
            Err(SamplingError::MaskTail { expected: 65 })
        );
        assert_eq!(masked(&[0, 1]), Ok(64));
        assert_eq!(masked(&[0, 0]), Err(SamplingError::NothingAllowed));
    }
}

#[test]
fn a_report_fits_its_vocabulary() {
    assert_eq!(
        logprobs(&[], 0, 0),
        Err(SamplingError::Vocabulary {
            max: VOCABULARY_MAX,
            got: 0
        })
    );
    assert_eq!(
        logprobs(&[0, 0], 2, 0),
        Err(SamplingError::ReportId {
            expected: 2,
            got: 2
        })
    );
    assert_eq!(
        logprobs(&[0, 0], 1, 21),
        Err(SamplingError::Report { max: 20, got: 21 })
    );
    assert!(logprobs(&[0, 0], 1, 20).is_ok());
}

#[test]
fn messages_name_the_thing_and_the_remedy() {
    let message = SamplingError::MaskLength {
        expected: 2,
        got: 1,
    }
    .to_string();
    assert_eq!(
        message,
        "a bitmap of allowed tokens has 2 words here, but 1 were given: make it for this vocabulary"
    );
    let message = ParametersError::BiasOrder { after: 4, got: 2 }.to_string();
    assert_eq!(
        message,
        "`logit_bias` ascends by id, each id once, but 2 follows 4: sort it and merge doubles"
    );
}
