//! Canonical bytes of parameters: golden, both ways, and under attack.

use credence_base::wire::WireError;

use super::*;

fn full() -> Settings {
    Settings {
        temperature: 700_000,
        top_p: 900_000,
        top_k: 40,
        min_p: 50_000,
        frequency_penalty: -2,
        presence_penalty: 2_000_000,
        logit_bias: vec![(0, -100_000_000), (1_048_575, 5)],
        max_tokens: 256,
        stop: vec!["\n\n".into(), "é".into()],
        seed: Some([0xab; 32]),
        grammar: None,
    }
}

fn with_grammar() -> Settings {
    Settings {
        grammar: Some(GrammarText {
            kind: 2,
            text: "[{}]".into(),
        }),
        ..full()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes() {
    let neutral = concat!(
        "02", "40420f00", "40420f00", "00000000", "00000000", "00000000", "00000000", "10000000",
        "00", "00000000", "00000000"
    );
    assert_eq!(hex(&checked(settings()).encode()), neutral);
    let expected = [
        "02",
        "60ae0a00",
        "a0bb0d00",
        "28000000",
        "50c30000",
        "feffffff",
        "80841e00",
        "00010000",
        "01",
        &"ab".repeat(32),
        "02000000",
        "00000000",
        "001f0afa",
        "ffff0f00",
        "05000000",
        "02000000",
        "02000000",
        "0a0a",
        "02000000",
        "c3a9",
    ];
    assert_eq!(hex(&checked(full()).encode()), expected.concat());
    // With a grammar: the same under the next version, then its kind and text.
    let grammar = [&expected[1..].concat(), "02", "04000000", "5b7b7d5d"].concat();
    assert_eq!(
        hex(&checked(with_grammar()).encode()),
        format!("03{grammar}")
    );
    for settings in [settings(), full(), with_grammar()] {
        let parameters = checked(settings);
        assert_eq!(Parameters::decode(&parameters.encode()), Ok(parameters));
    }
}

#[test]
fn a_seed_can_be_set_and_taken_away() {
    let without = checked(full()).with_seed(None);
    assert_eq!(without.settings().seed, None);
    assert_eq!(without.with_seed(Some([0xab; 32])), checked(full()));
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let bytes = checked(with_grammar()).encode();
    for length in 0..bytes.len() {
        let refused = matches!(
            Parameters::decode(&bytes[..length]),
            Err(ParametersDecodeError::Wire(WireError::Truncated { .. }))
        );
        assert!(refused, "{length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(
        Parameters::decode(&longer),
        Err(ParametersDecodeError::Wire(WireError::Trailing { got: 1 }))
    );
}

#[test]
fn every_flipped_bit_is_refused_or_says_something_else() {
    let bytes = checked(with_grammar()).encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Parameters::decode(&flipped) {
            assert_eq!(other.encode(), flipped);
            assert_ne!(other, checked(with_grammar()));
        }
    }
}

#[test]
fn what_is_not_canonical_is_refused() {
    let bytes = checked(settings()).encode();
    let with = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        Parameters::decode(&bytes).unwrap_err()
    };
    assert_eq!(
        with(0, &[1]),
        ParametersDecodeError::Version {
            expected: 2,
            got: 1
        }
    );
    assert_eq!(
        with(29, &[2]),
        ParametersDecodeError::Wire(WireError::Tag { got: 2 })
    );
    assert_eq!(
        with(30, &1025_u32.to_le_bytes()),
        ParametersDecodeError::Wire(WireError::TooLong {
            max: 1024,
            got: 1025
        })
    );
    assert_eq!(
        with(34, &17_u32.to_le_bytes()),
        ParametersDecodeError::Wire(WireError::TooLong { max: 16, got: 17 })
    );
    // A count that the bytes left cannot hold allocates nothing.
    assert_eq!(
        with(30, &1024_u32.to_le_bytes()),
        ParametersDecodeError::Wire(WireError::Truncated {
            expected: 8192,
            got: 4
        })
    );
    let range = |name, max, got| {
        ParametersDecodeError::Value(ParametersError::Range {
            name,
            min: 0,
            max,
            got,
        })
    };
    assert_eq!(
        with(1, &2_000_001_u32.to_le_bytes()),
        range("temperature", 2_000_000, 2_000_001)
    );
    let mut stop = checked(Settings {
        stop: vec!["a".into()],
        ..settings()
    })
    .encode();
    *stop.last_mut().unwrap() = 0xff;
    assert_eq!(
        Parameters::decode(&stop),
        Err(ParametersDecodeError::Wire(WireError::Utf8))
    );
}

proptest! {
    #[test]
    fn decoding_never_panics_and_never_takes_two_spellings(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let bytes = if version { [&[2][..], &bytes].concat() } else { bytes };
        if let Ok(parameters) = Parameters::decode(&bytes) {
            prop_assert_eq!(parameters.encode(), bytes);
        }
    }

    #[test]
    fn settings_survive_a_round_trip(settings in any_settings(), stop in prop::collection::vec("\\PC{1,60}", 0..17), seed in any::<Option<[u8; 32]>>(), max_tokens in 1_u32..) {
        let parameters = checked(Settings { stop, seed, max_tokens, ..settings });
        prop_assert_eq!(Parameters::decode(&parameters.encode()), Ok(parameters));
    }
}

#[test]
fn a_grammar_has_a_kind_and_a_length() {
    let grammar = |kind: u8, text: &str| {
        let text = text.to_owned();
        Parameters::new(Settings {
            grammar: Some(GrammarText { kind, text }),
            ..settings()
        })
    };
    for kind in [0, 3, 255] {
        let refused = ParametersError::GrammarKind { got: kind };
        assert_eq!(grammar(kind, "{}"), Err(refused));
    }
    assert!(grammar(1, &"x".repeat(1 << 16)).is_ok());
    for length in [0, (1 << 16) + 1] {
        let refused = ParametersError::GrammarBytes {
            max: 1 << 16,
            got: length,
        };
        assert_eq!(grammar(1, &"x".repeat(length)), Err(refused));
    }
    // Version 3 is for those with a grammar alone.
    let mut bytes = checked(settings()).encode();
    bytes[0] = 3;
    assert!(matches!(
        Parameters::decode(&bytes),
        Err(ParametersDecodeError::Wire(WireError::Truncated { .. }))
    ));
}
