//! Text to ids and back, with vocabularies small enough to follow by hand.

use crate::common::{bpe, hi, spm};
use credence_text::{Context, Detokeniser, Show, Special, TEXT_BYTES_MAX, Text, TextError};
use proptest::prelude::*;

fn ids(text: &Text, words: &str, special: Special) -> Vec<u32> {
    text.tokenise(words, special, Context::Continue).unwrap()
}

#[test]
fn byte_level_ids_by_hand() {
    let text = Text::new(&bpe()).unwrap();
    let cases: [(&str, &[u32]); 8] = [
        ("", &[]),
        ("the", &[257]),
        (" the in", &[258, 32, 259]),
        ("    ", &[261]),
        ("\n", &[10]),
        ("12's", &[264, 265]),
        ("é", &[0xc3, 0xa9]),
        ("😀", &[263, 0x80]),
    ];
    for (words, expected) in cases {
        assert_eq!(ids(&text, words, Special::Plain), expected, "{words:?}");
    }
}

#[test]
fn special_tokens_parsed_and_plain() {
    let text = Text::new(&bpe()).unwrap();
    let words = "in<|end|>[tool]in";
    assert_eq!(ids(&text, words, Special::Parse), [259, 266, 268, 259]);
    let plain = ids(&text, words, Special::Plain);
    assert_eq!(plain.iter().filter(|&&id| id > 265).count(), 1);
    assert_eq!(plain.first(), Some(&259));
    assert!(!plain.contains(&266) && plain.contains(&268));
    assert!(text.is_hidden(266) && !text.is_hidden(268) && !text.is_hidden(9999));
    for ids in [plain, ids(&text, words, Special::Parse)] {
        let back = text.detokenise(&ids, Show::Specials, Context::Begin);
        assert_eq!(back.unwrap(), words);
    }
    let shown = |show| text.detokenise(&[267, 259, 266], show, Context::Begin);
    assert_eq!(shown(Show::Words).unwrap(), "in");
    assert_eq!(shown(Show::Specials).unwrap(), "<|begin|>in<|end|>");
}

#[test]
fn the_models_own_tokens_stand_at_the_beginning_alone() {
    let spec = bpe();
    let text = Text::new(&spec).unwrap();
    assert_eq!(text.begin_id(), Some(267));
    let begin = |text: &Text| text.tokenise("in", Special::Plain, Context::Begin).unwrap();
    assert_eq!(begin(&text), [267, 259]);
    assert_eq!(ids(&text, "in", Special::Plain), [259]);
    let mut spec = spec;
    (spec.add_bos, spec.add_eos) = (false, true);
    let text = Text::new(&spec).unwrap();
    assert_eq!((begin(&text), text.begin_id()), (vec![259, 266], None));
    assert!(text.is_end(266) && !text.is_end(267));
}

#[test]
fn a_prompt_begins_with_one_first_token_and_has_no_last_one() {
    let mut spec = bpe();
    spec.add_eos = true;
    let text = Text::new(&spec).unwrap();
    assert_eq!(text.tokenise_prompt("in").unwrap(), [267, 259]);
    assert_eq!(text.tokenise_prompt("<|begin|>in").unwrap(), [267, 259]);
    spec.add_bos = false;
    let text = Text::new(&spec).unwrap();
    assert_eq!(text.tokenise_prompt("in").unwrap(), [259]);
}

#[test]
fn sentencepiece_ids_by_hand() {
    let text = Text::new(&spm()).unwrap();
    let byte = |byte: u32| byte + 3;
    let cases: [(&str, Vec<u32>); 5] = [
        ("", vec![]),
        ("the", vec![265]),
        ("e the", vec![259, 262, 265]),
        ("é\n", vec![259, 266, byte(10)]),
        ("ü", vec![259, byte(0xc3), byte(0xbc)]),
    ];
    for (words, expected) in cases {
        assert_eq!(ids(&text, words, Special::Plain), expected, "{words:?}");
    }
    // A space is put after a special token as well.
    assert_eq!(ids(&text, "</s>the", Special::Parse), [2, 265]);
    let spec = credence_text::TextSpec {
        add_space_prefix: false,
        ..spm()
    };
    assert_eq!(
        ids(&Text::new(&spec).unwrap(), "the", Special::Plain),
        [264]
    );
}

#[test]
fn equal_scores_join_the_leftmost_and_higher_ones_first() {
    let mut spec = spm();
    spec.add_space_prefix = false;
    spec.tokens.extend(["tt", "ht"].map(str::to_owned));
    spec.types.extend([1, 1]);
    let check = |tt: f32, ht: f32, expected: &[&str]| {
        let mut spec = spec.clone();
        let scores = spec.scores.as_mut().unwrap();
        scores.extend([tt.to_bits(), ht.to_bits()]);
        let text = Text::new(&spec).unwrap();
        let pieces: Vec<String> = ids(&text, "htt", Special::Plain)
            .into_iter()
            .map(|id| String::from_utf8(text.token_bytes(id).unwrap().to_vec()).unwrap())
            .collect();
        assert_eq!(pieces, expected);
    };
    check(0.0, -0.0, &["ht", "t"]);
    check(-1.0, -2.0, &["h", "tt"]);
    check(-2.0, -1.0, &["ht", "t"]);
}

#[test]
fn a_text_too_long_is_refused() {
    let text = Text::new(&bpe()).unwrap();
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let refused = text.tokenise(&long, Special::Plain, Context::Begin);
    assert!(matches!(refused, Err(TextError::TooLong { .. })));
    let longest = &long[..TEXT_BYTES_MAX];
    assert_eq!(ids(&text, longest, Special::Plain).len(), TEXT_BYTES_MAX);
    // One word in which every pair merges, again and again.
    let spaces = " ".repeat(TEXT_BYTES_MAX);
    assert_eq!(
        ids(&text, &spaces, Special::Plain).len(),
        TEXT_BYTES_MAX / 4
    );
    assert!(matches!(text.render(&hi()), Err(TextError::NoTemplate)));
}

#[test]
fn chunks_hold_back_what_is_not_yet_a_character() {
    let text = Text::new(&bpe()).unwrap();
    let mut chunks = Detokeniser::new(&text, Show::Words, Context::Continue);
    let expected = [
        (0xf0, ""),
        (0x9f, ""),
        (0x98, ""),
        (0x80, "😀"),
        (0xc3, ""),
        (0x41, "\u{fffd}A"),
    ];
    for (id, chunk) in expected {
        assert_eq!(chunks.push(id).unwrap(), chunk);
    }
    assert!(matches!(
        chunks.push(9999),
        Err(TextError::IdRange { got: 9999, .. })
    ));
    assert_eq!(chunks.push(0xe2).unwrap(), "");
    assert_eq!(chunks.finish(), "\u{fffd}");
}

#[test]
fn the_space_before_a_sentencepiece_text_is_its_own() {
    let text = Text::new(&spm()).unwrap();
    let back = |ids: &[u32], context| text.detokenise(ids, Show::Words, context).unwrap();
    assert_eq!(back(&[1, 265, 265], Context::Begin), "the the");
    assert_eq!(back(&[265, 265], Context::Continue), " the the");
    assert_eq!(back(&[259, 265], Context::Begin), " the");
}

#[test]
fn a_vocabulary_that_lacks_a_byte_leaves_it_out_and_says_so() {
    let mut spec = bpe();
    spec.tokens[4] = "nothing".to_owned();
    let text = Text::new(&spec).unwrap();
    assert_eq!(text.missing_bytes(), [4]);
    assert_eq!(ids(&text, "a\u{4}b", Special::Plain), [0x61, 0x62]);
    assert_eq!(Text::new(&bpe()).unwrap().missing_bytes().len(), 0);
}

#[test]
fn every_byte_is_reached() {
    let text = Text::new(&bpe()).unwrap();
    for id in 0..=255_u8 {
        assert_eq!(text.token_bytes(u32::from(id)), Some(&[id][..]));
    }
    assert_eq!(text.token_bytes(269), None);
    let spm = Text::new(&spm()).unwrap();
    for id in 0..=255_u8 {
        assert_eq!(spm.token_bytes(u32::from(id) + 3), Some(&[id][..]));
    }
}

#[test]
fn whole_words_skip_the_merges_where_the_model_says_so() {
    let mut spec = bpe();
    spec.tokens.push("xyz".to_owned());
    spec.types.push(1);
    spec.pre = Some("llama-bpe".to_owned());
    assert_eq!(
        ids(&Text::new(&spec).unwrap(), "xyz", Special::Plain),
        [269]
    );
    spec.pre = Some("dbrx".to_owned());
    let text = Text::new(&spec).unwrap();
    assert_eq!(ids(&text, "xyz", Special::Plain), [0x78, 0x79, 0x7a]);
}

proptest! {
    #[test]
    fn byte_level_texts_come_back(words in any::<String>(), pre in prop::sample::select(vec!["gpt-2", "default", "smollm", "llama3", "qwen2", "qwen35", "falcon"])) {
        let mut spec = bpe();
        spec.pre = Some(pre.to_owned());
        let text = Text::new(&spec).unwrap();
        for special in [Special::Parse, Special::Plain] {
            let ids = ids(&text, &words, special);
            prop_assert!(ids.len() <= words.len());
            let back = text.detokenise(&ids, Show::Specials, Context::Begin).unwrap();
            prop_assert_eq!(&back, &words);
        }
    }

    #[test]
    fn sentencepiece_texts_come_back(words in "[the é\\n\\PC]*") {
        prop_assume!(!words.contains('\u{2581}'));
        let text = Text::new(&spm()).unwrap();
        let ids = text.tokenise(&words, Special::Plain, Context::Begin).unwrap();
        let back = text.detokenise(&ids, Show::Words, Context::Begin).unwrap();
        prop_assert_eq!(back, words);
    }

    /// Whatever a model generates, the chunks are what the whole decodes to.
    #[test]
    fn chunks_are_the_whole(ids in prop::collection::vec(0_u32..266, 0..40)) {
        let text = Text::new(&bpe()).unwrap();
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| text.token_bytes(id).unwrap()).copied().collect();
        let mut chunks = Detokeniser::new(&text, Show::Words, Context::Continue);
        let mut whole = String::new();
        for &id in &ids {
            whole.push_str(&chunks.push(id).unwrap());
        }
        whole.push_str(&chunks.finish());
        prop_assert_eq!(whole, String::from_utf8_lossy(&bytes).into_owned());
    }
}
