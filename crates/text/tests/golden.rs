//! The same ids as llama.cpp and the same renderings as jinja2, from files that `tests/python/make_text_golden.py` writes.
//!
//! The vocabulary is SmolLM2-135M-Instruct's (Apache-2.0), and a small sentencepiece one that the script makes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what differs by failing"
)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use credence_text::{Context, Conversation, Show, Special, Text, TextError, TextSpec};
use serde_json::Value;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(path.join(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&file(name)).unwrap()
}

fn smollm2() -> TextSpec {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file("smollm2-spec.zip"))).unwrap();
    let mut bytes = Vec::new();
    archive
        .by_name("spec.json")
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    let mut spec = TextSpec::from_bytes(&bytes).unwrap();
    assert_eq!(spec.to_bytes().unwrap(), bytes);
    spec.complete();
    spec
}

fn strings(value: &Value) -> Vec<&str> {
    let values = value.as_array().unwrap();
    values.iter().map(|text| text.as_str().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<u32> {
    let values = value.as_array().unwrap().iter();
    let values = values.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap());
    values.collect()
}

/// Compares the ids of all texts and names every one that differs.
fn check(text: &Text, texts: &[&str], expected: &Value, special: Special, context: Context) {
    let expected = expected.as_array().unwrap();
    assert_eq!(texts.len(), expected.len());
    let mut wrong = Vec::new();
    for (&words, ids) in texts.iter().zip(expected) {
        let got = text.tokenise(words, special, context).unwrap();
        if got != numbers(ids) {
            wrong.push((words, got, numbers(ids)));
        }
    }
    assert!(wrong.is_empty(), "{} differ: {wrong:?}", wrong.len());
}

#[test]
fn ids_are_those_of_llama_cpp() {
    let golden = json("smollm2.json");
    let texts = strings(&golden["texts"]);
    assert!(texts.len() >= 200);
    let text = Text::new(&smollm2()).unwrap();
    check(
        &text,
        &texts,
        &golden["parse"],
        Special::Parse,
        Context::Begin,
    );
    check(
        &text,
        &texts,
        &golden["plain"],
        Special::Plain,
        Context::Begin,
    );
}

#[test]
fn ids_of_the_other_pre_tokenisers_are_those_of_llama_cpp() {
    let golden = json("smollm2.json");
    let texts = strings(&golden["texts"]);
    let families = golden["families"].as_object().unwrap();
    assert!(families.len() >= 6);
    for (pre, expected) in families {
        let spec = TextSpec {
            pre: Some(pre.clone()),
            ..smollm2()
        };
        let text = Text::new(&spec).unwrap();
        check(&text, &texts, expected, Special::Plain, Context::Continue);
    }
}

#[test]
fn a_pre_tokeniser_of_another_family_differs() {
    let golden = json("smollm2.json");
    let text = Text::new(&smollm2()).unwrap();
    let other = strings(&golden["texts"])
        .into_iter()
        .zip(golden["families"]["llama-bpe"].as_array().unwrap())
        .filter(|(words, ids)| {
            let got = text.tokenise(words, Special::Plain, Context::Continue);
            got.unwrap() != numbers(ids)
        });
    assert!(other.count() > 5);
}

#[test]
fn ids_of_sentencepiece_are_those_of_llama_cpp() {
    let golden = json("spm.json");
    let spec: TextSpec = serde_json::from_value(golden["spec"].clone()).unwrap();
    let text = Text::new(&spec).unwrap();
    let texts = strings(&golden["texts"]);
    for (key, special, context) in [
        ("parse_begin", Special::Parse, Context::Begin),
        ("plain_begin", Special::Plain, Context::Begin),
        ("parse", Special::Parse, Context::Continue),
    ] {
        check(&text, &texts, &golden[key], special, context);
    }
    for (id, piece) in (0..).zip(strings(&golden["pieces"])) {
        assert_eq!(hex::encode(text.token_bytes(id).unwrap()), piece, "{id}");
    }
    // After a special token in the text a space is added too, and cannot be told from one that was there.
    for words in texts.into_iter().filter(|words| !words.contains("<tool")) {
        let ids = text
            .tokenise(words, Special::Plain, Context::Begin)
            .unwrap();
        let back = text.detokenise(&ids, Show::Words, Context::Begin).unwrap();
        assert_eq!(back, words.replace('\u{2581}', " "));
    }
}

#[test]
fn pieces_and_ends_are_those_of_llama_cpp() {
    let golden = json("smollm2.json");
    let text = Text::new(&smollm2()).unwrap();
    for (id, piece) in golden["pieces"].as_object().unwrap() {
        let id: u32 = id.parse().unwrap();
        let bytes = text.token_bytes(id).unwrap();
        assert_eq!(hex::encode(bytes), piece.as_str().unwrap(), "{id}");
    }
    assert_eq!(text.ends(), numbers(&golden["ends"]));
    assert!(text.is_end(2) && !text.is_end(5));
    assert_eq!((text.vocab_len(), text.begin_id()), (49152, None));

    let golden = json("spm.json");
    let mut spec: TextSpec = serde_json::from_value(golden["spec"].clone()).unwrap();
    spec.complete();
    assert_eq!(spec.ends, numbers(&golden["ends"]));
}

#[test]
fn texts_come_back_but_for_bytes_the_vocabulary_lacks() {
    let golden = json("smollm2.json");
    let text = Text::new(&smollm2()).unwrap();
    let missing = text.missing_bytes();
    assert_eq!(missing, [0x04, 0x06, 0x13, 0x14, 0x16, 0x1d, 0xf1, 0xf2]);
    for words in strings(&golden["texts"]) {
        let ids = text
            .tokenise(words, Special::Parse, Context::Begin)
            .unwrap();
        let back = text.detokenise(&ids, Show::Specials, Context::Begin);
        let sayable = words.bytes().all(|byte| !missing.contains(&byte));
        assert_eq!(back.unwrap() == words, sayable, "{words:?}");
    }
}

fn conversation(value: &Value) -> Conversation {
    Conversation {
        messages: value["messages"].as_array().unwrap().clone(),
        tools: None,
        add_generation_prompt: value["add_generation_prompt"].as_bool().unwrap(),
        date: None,
        extra: BTreeMap::new(),
    }
}

fn check_rendering(rendered: Result<String, TextError>, expected: &Value, template: &str) {
    match (rendered, expected["raised"].as_str()) {
        (Ok(text), None) => assert_eq!(text, expected["text"].as_str().unwrap(), "{template}"),
        (Err(TextError::TemplateRaised { message }), Some(raised)) => assert_eq!(message, raised),
        (rendered, _) => panic!("{rendered:?} for {expected}: {template}"),
    }
}

#[test]
fn the_models_template_renders_as_in_jinja2() {
    let golden = json("smollm2.json");
    let text = Text::new(&smollm2()).unwrap();
    for case in golden["conversations"].as_array().unwrap() {
        let rendered = text.render(&conversation(&case["conversation"]));
        check_rendering(rendered, &case["rendered"], "SmolLM2");
    }
}

#[test]
fn constructs_of_other_templates_render_as_in_jinja2() {
    let golden = json("smollm2.json");
    for case in golden["templates"].as_array().unwrap() {
        let template = case["template"].as_str().unwrap();
        let spec = TextSpec {
            tokens: vec!["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            types: vec![3; 3],
            merges: Some(Vec::new()),
            ends: Vec::new(),
            chat_template: Some(template.to_owned()),
            ..smollm2()
        };
        let text = Text::new(&spec).unwrap();
        let conversations = golden["conversations"].as_array().unwrap().iter();
        for (case, expected) in conversations.zip(case["rendered"].as_array().unwrap()) {
            let rendered = text.render(&conversation(&case["conversation"]));
            check_rendering(rendered, expected, template);
        }
    }
}
