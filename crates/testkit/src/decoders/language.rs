//! Targets of language models: files, tokenisers, and what a claim of an answer commits to.
//!
//! What a template renders is not tried here with templates of a stranger: `credence_text` bounds their steps and not what a step does.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use credence_exec::sampling::{Parameters, Settings};
use credence_format_gguf::{Gguf, Limits, language_graph};
use credence_generate::{Content, Output, Prompt};
use credence_text::{Context, Conversation, Show, Special, Text, TextSpec};
use serde_json::json;

use super::Target;
use crate::speaking::text_spec;

/// A text with words, numbers, spaces, special tokens and characters of every length.
const WORDS: &str = "The the 'll 123 <|end|>\r\n\n  é世\u{1F600}\u{2581} ";

pub(super) const GGUF: Target = Target {
    name: "gguf",
    seeds: || {
        vec![
            include_bytes!("../../../format-gguf/tests/golden/models/llama.gguf").to_vec(),
            include_bytes!("../../../format-gguf/tests/golden/models/gpt2.gguf").to_vec(),
        ]
    },
    run: |bytes| {
        let file = Gguf::parse(Arc::new(bytes.to_vec()), &Limits::MODELS);
        file.is_ok_and(|file| language_graph(&file).is_ok())
    },
};

pub(super) const TEXT_SPEC: Target = Target {
    name: "text_spec",
    seeds: || vec![text_spec().to_bytes().unwrap(), spm().to_bytes().unwrap()],
    run: |bytes| {
        let Ok(spec) = TextSpec::from_bytes(bytes) else {
            return false;
        };
        assert_eq!(spec.to_bytes().unwrap(), bytes);
        let Ok(text) = Text::new(&spec) else {
            return false;
        };
        for special in [Special::Parse, Special::Plain] {
            let ids = text.tokenise(WORDS, special, Context::Begin).unwrap();
            text.detokenise(&ids, Show::Specials, Context::Begin)
                .unwrap();
        }
        true
    },
};

pub(super) const PROMPT: Target = Target {
    name: "prompt",
    seeds: prompts,
    run: |bytes| {
        let Ok(prompt) = Prompt::decode(bytes) else {
            return false;
        };
        assert_eq!(prompt.encode().unwrap(), bytes);
        prompt.check(text()).is_ok()
    },
};

pub(super) const OUTPUT: Target = Target {
    name: "output",
    seeds: || {
        let output = Output::new(WORDS.to_owned(), vec![0, 7, u32::MAX]);
        vec![output.encode().unwrap()]
    },
    run: |bytes| {
        let output = Output::decode(bytes);
        output
            .map(|output| assert_eq!(output.encode().unwrap(), bytes))
            .is_ok()
    },
};

pub(super) const PARAMETERS: Target = Target {
    name: "parameters",
    seeds: || {
        let every = Settings {
            seed: Some([7; 32]),
            top_k: 40,
            frequency_penalty: -1_000_000,
            logit_bias: vec![(3, -5), (4, 100_000_000)],
            stop: vec!["\n\n".to_owned(), "é".to_owned()],
            ..Settings::neutral(9)
        };
        let settings = [Settings::neutral(1), every];
        settings
            .map(|settings| Parameters::new(settings).unwrap().encode())
            .to_vec()
    },
    run: |bytes| {
        let parameters = Parameters::decode(bytes);
        parameters
            .map(|parameters| assert_eq!(parameters.encode(), bytes))
            .is_ok()
    },
};

/// The test kit's tokeniser and template.
fn text() -> &'static Text {
    static TEXT: OnceLock<Text> = OnceLock::new();
    TEXT.get_or_init(|| Text::new(&text_spec()).unwrap())
}

/// One prompt of each kind.
fn prompts() -> Vec<Vec<u8>> {
    let chat = Content::Chat(Conversation {
        messages: vec![json!({"role": "user", "content": WORDS, "weight": 0.5, "count": 1e21})],
        tools: Some(vec![json!({"name": "search", "strict": true})]),
        add_generation_prompt: true,
        date: Some("2026-11-21".to_owned()),
        extra: BTreeMap::from([("mode".to_owned(), json!([null, {"a": -1}]))]),
    });
    let contents = [chat, Content::Text(WORDS.to_owned())];
    let prompts = contents.map(|content| Prompt::new(content, 1, text()).unwrap());
    let tokens = Prompt::tokens(vec![0, 258], 0).unwrap();
    let all = prompts.into_iter().chain([tokens]);
    all.map(|prompt| prompt.encode().unwrap()).collect()
}

/// A sentencepiece tokeniser: every byte by name, a few words with scores.
fn spm() -> TextSpec {
    let mut tokens: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut types = vec![6; 256];
    for (token, kind) in [("<s>", 3), ("\u{2581}t", 1), ("h", 1), ("\u{2581}th", 1)] {
        tokens.push(token.to_owned());
        types.push(kind);
    }
    TextSpec {
        kind: "spm".to_owned(),
        pre: None,
        merges: None,
        scores: Some(vec![0xbf80_0000; tokens.len()]),
        tokens,
        types,
        add_bos: true,
        add_space_prefix: true,
        ends: vec![256],
        special: credence_text::SpecialIds {
            bos: Some(256),
            ..Default::default()
        },
        ..text_spec()
    }
}
