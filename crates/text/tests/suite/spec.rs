//! The canonical document: golden bytes, every wrong field, and bytes that are not it.

use crate::common::{bpe, hi, spm};
use credence_text::{
    SPECIAL_BYTES_MAX, SpecialIds, TEMPLATE_BYTES_MAX, TOKEN_BYTES_MAX, Text, TextError, TextSpec,
};
use proptest::prelude::*;

/// Takes one change to a sound specification, and whether the error is the one that names it.
fn refused(mut spec: TextSpec, change: impl Fn(&mut TextSpec), right: fn(&TextError) -> bool) {
    assert!(Text::new(&spec).is_ok());
    change(&mut spec);
    let error = Text::new(&spec).unwrap_err();
    assert!(right(&error), "{error:?}");
}

fn small() -> TextSpec {
    TextSpec {
        tokens: vec!["a".to_owned(), "é\n\"".to_owned()],
        types: vec![1, 3],
        merges: Some(vec![]),
        special: SpecialIds::default(),
        add_bos: false,
        ends: vec![1],
        ..bpe()
    }
}

#[test]
fn canonical_bytes_are_these() {
    let golden = r#"{"add_bos":false,"add_eos":false,"add_space_prefix":false,"ends":[1],"kind":"bpe","merges":[],"pre":"gpt-2","special":{},"tokens":["a","é\n\""],"types":[1,3],"version":1}"#;
    assert_eq!(small().to_bytes().unwrap(), golden.as_bytes());
    assert_eq!(TextSpec::from_bytes(golden.as_bytes()).unwrap(), small());
    for spec in [bpe(), spm()] {
        let bytes = spec.to_bytes().unwrap();
        assert_eq!(TextSpec::from_bytes(&bytes).unwrap(), spec);
    }
}

#[test]
fn other_spellings_and_truncations_are_refused() {
    let good = String::from_utf8(small().to_bytes().unwrap()).unwrap();
    for len in 0..good.len() {
        assert!(TextSpec::from_bytes(&good.as_bytes()[..len]).is_err());
    }
    for other in [
        good.clone() + " ",
        good.replacen('{', r#"{"a":1,"#, 1),
        good.replace(r#""special":{}"#, r#""special":{"sep":1}"#),
        good.replace(r#""special":{}"#, r#""special":{"bos":null}"#),
        good.replace(r#""pre""#, r#""scores":null,"pre""#),
        good.replace('é', "\\u00e9"),
        good.replace('é', "\\ud800"),
        good.replace("[1,3]", "[1,300]"),
        good.replace("[1,3]", "[1,3.0]"),
        good.replace(r#""ends":[1]"#, r#""ends":[-1]"#),
        good.replace(r#""version":1"#, r#""version":1.5"#),
    ] {
        assert_ne!(other, good);
        let error = TextSpec::from_bytes(other.as_bytes()).unwrap_err();
        assert!(matches!(error, TextError::Json(_)), "{other}");
    }
    // Bytes that are not UTF-8, a surrogate in a token among them.
    let mut bytes = good.clone().into_bytes();
    let at = good.find('é').unwrap();
    bytes.splice(at..at + 2, [0xed, 0xa0, 0x80]);
    assert!(TextSpec::from_bytes(&bytes).is_err());
}

#[test]
fn versions_kinds_and_names_that_are_not_known() {
    refused(
        bpe(),
        |spec| spec.version = 2,
        |e| matches!(e, TextError::Version { got: 2, .. }),
    );
    refused(
        bpe(),
        |spec| spec.kind = "wpm".to_owned(),
        |e| e.to_string().contains("`wpm`"),
    );
    refused(
        bpe(),
        |spec| spec.kind = "x".repeat(9999),
        |e| e.to_string().len() < 400,
    );
    refused(
        bpe(),
        |spec| spec.pre = Some("deepseek-v3".to_owned()),
        |e| {
            let message = e.to_string();
            message.contains("`deepseek-v3`") && message.contains("smollm, ")
        },
    );
}

#[test]
fn fields_of_the_other_kind() {
    let fields = |e: &TextError| matches!(e, TextError::Fields { .. });
    refused(bpe(), |spec| spec.pre = None, fields);
    refused(bpe(), |spec| spec.merges = None, fields);
    refused(bpe(), |spec| spec.scores = Some(vec![0; 269]), fields);
    refused(bpe(), |spec| spec.add_space_prefix = true, fields);
    refused(spm(), |spec| spec.pre = Some("default".to_owned()), fields);
    refused(spm(), |spec| spec.merges = Some(vec![]), fields);
    refused(spm(), |spec| spec.scores = None, fields);
}

#[test]
fn tokens_that_cannot_be() {
    refused(
        small(),
        |spec| spec.tokens.clear(),
        |e| matches!(e, TextError::NoTokens),
    );
    refused(
        bpe(),
        |spec| spec.tokens[7].clear(),
        |e| matches!(e, TextError::EmptyToken { id: 7 }),
    );
    refused(
        bpe(),
        |spec| spec.tokens[8] = "!".to_owned(),
        |e| {
            matches!(
                e,
                TextError::DuplicateToken {
                    first: 8,
                    second: 33
                }
            )
        },
    );
    refused(
        bpe(),
        |spec| spec.types[3] = 0,
        |e| matches!(e, TextError::TokenType { id: 3, got: 0 }),
    );
    refused(
        bpe(),
        |spec| spec.types[3] = 7,
        |e| matches!(e, TextError::TokenType { got: 7, .. }),
    );
    refused(
        bpe(),
        |spec| spec.types[3] = 6,
        |e| matches!(e, TextError::ByteToken { id: 3 }),
    );
    refused(
        bpe(),
        |spec| spec.types.push(1),
        |e| {
            matches!(
                e,
                TextError::PerToken {
                    expected: 269,
                    got: 270,
                    ..
                }
            )
        },
    );
    let long = |e: &TextError| matches!(e, TextError::TooLong { .. });
    refused(
        bpe(),
        |spec| spec.tokens[4] = "x".repeat(TOKEN_BYTES_MAX + 1),
        long,
    );
    refused(
        bpe(),
        |spec| spec.tokens[268] = "x".repeat(SPECIAL_BYTES_MAX + 1),
        long,
    );
}

#[test]
fn merges_that_cannot_be() {
    let merge = |text: &'static str| {
        move |spec: &mut TextSpec| spec.merges.as_mut().unwrap().push(text.to_owned())
    };
    for text in ["", " ", "a", "a ", " a", "a b c", "a  b"] {
        refused(bpe(), merge(text), |e| {
            matches!(e, TextError::MergeForm { index: 10 })
        });
    }
    for text in ["a b", "zz in", "in zz"] {
        refused(bpe(), merge(text), |e| {
            matches!(e, TextError::MergeToken { index: 10 })
        });
    }
    refused(bpe(), merge("t h"), |e| {
        matches!(e, TextError::MergeRepeated { index: 10 })
    });
}

#[test]
fn scores_and_bytes_that_cannot_be() {
    let score = |bits: u32| move |spec: &mut TextSpec| spec.scores.as_mut().unwrap()[5] = bits;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        refused(spm(), score(bad.to_bits()), |e| {
            matches!(e, TextError::Score { id: 5 })
        });
    }
    refused(
        spm(),
        |spec| spec.scores.as_mut().unwrap().truncate(9),
        |e| matches!(e, TextError::PerToken { got: 9, .. }),
    );
    refused(
        spm(),
        |spec| (spec.tokens[13], spec.types[13]) = ("x".to_owned(), 1),
        |e| matches!(e, TextError::ByteAbsent { byte: 10 }),
    );
    refused(
        spm(),
        |spec| spec.tokens[13] = "<0xA>".to_owned(),
        |e| matches!(e, TextError::ByteToken { .. }),
    );
}

#[test]
fn ids_that_cannot_be() {
    let range = |e: &TextError| {
        matches!(
            e,
            TextError::IdRange {
                got: 269,
                size: 269,
                ..
            }
        )
    };
    refused(bpe(), |spec| spec.special.bos = Some(269), range);
    refused(bpe(), |spec| spec.special.pad = Some(269), range);
    refused(bpe(), |spec| spec.ends = vec![266, 269], range);
    refused(
        bpe(),
        |spec| spec.ends = vec![1, 3, 3],
        |e| matches!(e, TextError::EndsOrder { index: 2 }),
    );
    refused(
        bpe(),
        |spec| spec.ends = vec![3, 1],
        |e| matches!(e, TextError::EndsOrder { index: 1 }),
    );
    refused(
        bpe(),
        |spec| spec.special.bos = None,
        |e| e.to_string().contains("`add_bos`"),
    );
    refused(
        bpe(),
        |spec| (spec.add_eos, spec.special.eos) = (true, None),
        |e| e.to_string().contains("`add_eos`"),
    );
}

#[test]
fn templates_that_cannot_be() {
    for bad in [
        "{% for %}",
        "{{",
        "{% include 'a' %}{% endfor %}",
        "{% unknown %}",
    ] {
        refused(
            bpe(),
            |spec| spec.chat_template = Some(bad.to_owned()),
            |e| matches!(e, TextError::TemplateSyntax { line: 1, .. }),
        );
    }
    refused(
        bpe(),
        |spec| spec.chat_template = Some("x".repeat(TEMPLATE_BYTES_MAX + 1)),
        |e| matches!(e, TextError::TooLong { .. }),
    );
    // Brackets nested as deep as fit do not bring the parser down.
    for open in ["(", "[", "{{ (", "{% if a %}", "-", "not "] {
        let mut spec = bpe();
        let source = "{{ ".to_owned() + &open.repeat(TEMPLATE_BYTES_MAX / 16);
        spec.chat_template = Some(source);
        assert!(Text::new(&spec).is_err());
    }
}

#[test]
fn an_importer_completes_what_a_file_leaves_open() {
    let mut spec = small();
    spec.tokens = [
        "",
        "<|im_end|>",
        "<|endoftext|>",
        "<|file_sep|>",
        "<|start|>",
        "x",
        "</s>",
    ]
    .map(str::to_owned)
    .to_vec();
    spec.types = vec![1, 1, 3, 1, 3, 1, 1];
    spec.special.eos = Some(5);
    spec.complete();
    assert_eq!(spec.ends, [1, 2, 3, 5, 6]);
    assert_eq!(spec.types, [1, 3, 3, 3, 4, 1, 3]);
    assert_eq!(
        (spec.tokens[0].as_str(), spec.special.eot),
        ("[EMPTY_0]", Some(1))
    );
    let once = spec.clone();
    spec.complete();
    assert_eq!(spec, once);
    assert!(Text::new(&spec).unwrap().is_end(3));
}

#[test]
fn harmony_does_not_end_at_its_end_and_some_vocabularies_have_a_plain_s() {
    let mut spec = small();
    spec.tokens = ["<|end|>", "<|return|>", "<|call|>", "<|message|>"]
        .map(str::to_owned)
        .to_vec();
    spec.types = vec![3; 4];
    spec.complete();
    assert_eq!(
        (&spec.ends[..], &spec.types[..]),
        (&[1, 2][..], &[4, 3, 3, 4][..])
    );
    spec.tokens = ["</s>", "<|tool_response>", "<eos>", "b"]
        .map(str::to_owned)
        .to_vec();
    spec.special.eot = None;
    spec.complete();
    assert_eq!((&spec.ends[..], spec.types[0]), (&[1, 2][..], 1));
}

proptest! {
    /// Any byte changed: refused, or another specification with those very bytes; and what is accepted works.
    #[test]
    fn changed_bytes_do_no_harm(at in 0_usize..10_000, byte in any::<u8>(), spec in prop::sample::select(vec![bpe(), spm(), small()])) {
        let mut bytes = spec.to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = TextSpec::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes().unwrap(), bytes);
            if let Ok(text) = Text::new(&read) {
                let ids = text.tokenise("the 12's é😀<|end|>", credence_text::Special::Parse, credence_text::Context::Begin);
                let ids = ids.unwrap();
                prop_assert!(text.detokenise(&ids, credence_text::Show::Specials, credence_text::Context::Begin).is_ok());
                prop_assert!(text.render(&hi()).is_err());
            }
        }
    }
}
