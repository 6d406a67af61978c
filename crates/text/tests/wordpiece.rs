//! The same ids as Hugging Face's `tokenizers` for BERT's WordPiece, from a file that `tests/python/make_wordpiece_golden.py` writes; and what is refused.
#![expect(clippy::unwrap_used, reason = "a test says what differs by failing")]

use credence_text::{Context, SPEC_VERSION, Show, Special, SpecialIds, Text, TextError, TextSpec};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_slice(include_bytes!("golden/wordpiece.json")).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn spec(pre: &str) -> TextSpec {
    let tokens = strings(&golden()["tokens"]);
    let types = (0..tokens.len()).map(|id| match id {
        0 | 2..=4 => 3,
        1 => 2,
        _ => 1,
    });
    TextSpec {
        version: SPEC_VERSION,
        kind: "wordpiece".to_owned(),
        pre: Some(pre.to_owned()),
        types: types.collect(),
        tokens,
        merges: None,
        scores: None,
        special: SpecialIds {
            bos: Some(2),
            eos: Some(3),
            unk: Some(1),
            pad: Some(0),
            ..SpecialIds::default()
        },
        add_bos: true,
        add_eos: true,
        add_space_prefix: false,
        ends: Vec::new(),
        chat_template: None,
    }
}

#[test]
fn ids_are_those_of_hugging_face() {
    let golden = golden();
    let texts = strings(&golden["texts"]);
    assert!(texts.len() >= 300);
    for pre in ["bert-cased", "bert-uncased"] {
        let text = Text::new(&spec(pre)).unwrap();
        let mut wrong = Vec::new();
        for (words, expected) in texts.iter().zip(golden["ids"][pre].as_array().unwrap()) {
            let got = text
                .tokenise(words, Special::Plain, Context::Continue)
                .unwrap();
            let expected: Vec<u64> = expected
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u64().unwrap())
                .collect();
            if !got
                .iter()
                .map(|&id| u64::from(id))
                .eq(expected.iter().copied())
            {
                wrong.push((words, got, expected));
            }
        }
        assert!(wrong.is_empty(), "{pre}: {} differ: {wrong:?}", wrong.len());
    }
}

#[test]
fn a_text_stands_between_its_tokens() {
    let text = Text::new(&spec("bert-uncased")).unwrap();
    let whole = text
        .tokenise("The embeddings", Special::Plain, Context::Begin)
        .unwrap();
    assert_eq!((whole.first(), whole.last()), (Some(&2), Some(&3)));
    let back = text
        .detokenise(&whole, Show::Words, Context::Begin)
        .unwrap();
    assert_eq!(back, " the embeddings");
    // What a stranger wrote is no special token; what a template wrote is.
    let plain = text
        .tokenise("[CLS]", Special::Plain, Context::Continue)
        .unwrap();
    assert!(plain.len() > 1 && !plain.contains(&2));
    let parsed = text.tokenise("[CLS]", Special::Parse, Context::Continue);
    assert_eq!(parsed.unwrap(), [2]);
}

#[test]
fn what_the_kind_needs_and_must_not_have() {
    let refused = |change: fn(&mut TextSpec)| {
        let mut spec = spec("bert-cased");
        change(&mut spec);
        Text::new(&spec).unwrap_err()
    };
    let fields = |error: TextError| {
        matches!(
            error,
            TextError::Fields {
                kind: "wordpiece",
                ..
            }
        )
    };
    assert!(fields(refused(|s| s.pre = None)));
    assert!(fields(refused(|s| s.merges = Some(Vec::new()))));
    assert!(fields(refused(|s| s.scores = Some(Vec::new()))));
    assert!(fields(refused(|s| s.add_space_prefix = true)));
    let pre = refused(|s| s.pre = Some("gpt-2".to_owned()));
    assert!(matches!(pre, TextError::Pre { .. }));
    let unknown = refused(|s| s.special.unk = None);
    assert!(matches!(unknown, TextError::NoSpecial { id: "unk", .. }));
    let bytes = spec("bert-cased").to_bytes().unwrap();
    assert_eq!(TextSpec::from_bytes(&bytes).unwrap(), spec("bert-cased"));
}

proptest! {
    #[test]
    fn any_text_has_ids_of_the_vocabulary(words in ".{0,200}") {
        for pre in ["bert-cased", "bert-uncased"] {
            let text = Text::new(&spec(pre)).unwrap();
            let ids = text.tokenise(&words, Special::Plain, Context::Begin).unwrap();
            let size = u32::try_from(text.vocab_len()).unwrap();
            prop_assert!(ids.iter().all(|&id| id < size));
            prop_assert!(ids.len() <= words.len() * 4 + 2);
        }
    }
}
