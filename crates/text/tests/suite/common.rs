//! Two vocabularies small enough to read, for the tests beside it.

use std::collections::BTreeMap;

use credence_text::{Conversation, SPEC_VERSION, SpecialIds, TextSpec};
use serde_json::{Value, json};

/// GPT-2's byte alphabet, written out by its published rule.
pub(crate) fn alphabet() -> Vec<String> {
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut spare = 256..;
    (0..256)
        .map(|byte| {
            if printable(&byte) {
                byte
            } else {
                spare.next().unwrap()
            }
        })
        .map(|code| char::from_u32(code).unwrap().to_string())
        .collect()
}

/// Bytes 0–255 as ids 0–255, some merges from 256 on, then `<|end|>` (control), `<|begin|>` (control) and `[tool]` (user defined).
pub(crate) fn bpe() -> TextSpec {
    let merges = [
        "t h",
        "th e",
        "Ġ the",
        "i n",
        "Ġ Ġ",
        "ĠĠ ĠĠ",
        "ð Ł",
        "ðŁ ĺ",
        "1 2",
        "' s",
    ];
    let mut tokens = alphabet();
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let specials = ["<|end|>", "<|begin|>", "[tool]"];
    tokens.extend(specials.map(str::to_owned));
    let mut types = vec![1; tokens.len()];
    let last = types.len() - 3;
    types[last..].copy_from_slice(&[3, 3, 4]);
    TextSpec {
        version: SPEC_VERSION,
        kind: "bpe".to_owned(),
        pre: Some("gpt-2".to_owned()),
        tokens,
        types,
        merges: Some(merges.map(str::to_owned).to_vec()),
        scores: None,
        special: SpecialIds {
            bos: Some(267),
            eos: Some(266),
            ..SpecialIds::default()
        },
        add_bos: true,
        add_eos: false,
        add_space_prefix: false,
        ends: vec![266],
        chat_template: None,
    }
}

/// `<unk>`, `<s>`, `</s>`, bytes 0–255 as ids 3–258, then words with scores.
pub(crate) fn spm() -> TextSpec {
    let words = [
        ("▁", -1.0),
        ("t", -2.0),
        ("h", -2.0),
        ("e", -2.0),
        ("th", -0.5),
        ("the", -0.25),
        ("▁the", -0.75),
        ("é", -3.0),
    ];
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(words.map(|(word, _)| word.to_owned()));
    let mut types = vec![2, 3, 3];
    types.extend([6; 256]);
    types.extend([1; 8]);
    let mut scores = vec![0; 259];
    scores.extend(words.map(|(_, score): (_, f32)| score.to_bits()));
    TextSpec {
        kind: "spm".to_owned(),
        pre: None,
        tokens,
        types,
        merges: None,
        scores: Some(scores),
        special: SpecialIds {
            bos: Some(1),
            eos: Some(2),
            unk: Some(0),
            ..SpecialIds::default()
        },
        add_space_prefix: true,
        ends: vec![2],
        ..bpe()
    }
}

/// A user who says `Hi`, and the assistant's turn to come.
pub(crate) fn hi() -> Conversation {
    Conversation {
        messages: vec![json!({"role": "user", "content": "Hi"})],
        tools: None,
        add_generation_prompt: true,
        date: None,
        extra: BTreeMap::<String, Value>::new(),
    }
}
