//! A small language model with a tokeniser and a chat template: what it says is noise, but it says it as a large one would.

use credence_model::Model;
use credence_text::{SpecialIds, TextSpec};

use crate::program_gen::speaking_model;

/// Tokens of the model: every byte, a few pairs, and three special ones.
const PAIRS: [&str; 3] = ["t h", "th e", "Ġ the"];
const SPECIALS: [&str; 3] = ["<|end|>", "<|start|>", "<|stop|>"];
/// Most positions of a run.
pub const SPEAKING_CONTEXT: u32 = 300;

const TEMPLATE: &str = "{% for message in messages %}{{ '<|start|>' + message['role'] + '\\n' + message['content'] + '<|stop|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}";

/// The model; a seed gives the same one on every machine.
///
/// # Panics
/// If its text is refused, which it is not.
#[must_use]
pub fn speaking(seed: u64) -> Model {
    spoken(seed, true, text_spec())
}

/// The same with another chat template.
///
/// # Panics
/// If the template is refused.
#[must_use]
pub fn speaking_by(seed: u64, template: &str) -> Model {
    let text = TextSpec {
        chat_template: Some(template.to_owned()),
        ..text_spec()
    };
    spoken(seed, true, text)
}

/// The same without attention: what it says next hangs on the last token alone, and its runs have neither keys nor values.
///
/// # Panics
/// As [`speaking`].
#[must_use]
pub fn forgetful(seed: u64) -> Model {
    spoken(seed, false, text_spec())
}

#[expect(
    clippy::expect_used,
    reason = "a test cannot go on without its model, and this crate is for tests alone"
)]
fn spoken(seed: u64, attends: bool, text: TextSpec) -> Model {
    let bytes = text.to_bytes().expect("the text of the model is valid");
    let vocabulary = u32::try_from(text.tokens.len()).unwrap_or(u32::MAX);
    speaking_model(seed, (vocabulary, SPEAKING_CONTEXT), &bytes, attends)
}

/// A byte-level tokeniser with a few merges and a template.
#[must_use]
pub fn text_spec() -> TextSpec {
    let mut tokens: Vec<String> = (0..=255).map(|byte| byte_char(byte).to_string()).collect();
    tokens.extend(PAIRS.map(|pair| pair.replace(' ', "")));
    let first = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    tokens.extend(SPECIALS.map(str::to_owned));
    let types = (0_u32..)
        .zip(&tokens)
        .map(|(id, _)| if id < first { 1 } else { 3 });
    TextSpec {
        version: credence_text::SPEC_VERSION,
        kind: "bpe".to_owned(),
        pre: Some("gpt-2".to_owned()),
        types: types.collect(),
        tokens,
        merges: Some(PAIRS.map(str::to_owned).to_vec()),
        scores: None,
        special: SpecialIds {
            bos: Some(first),
            eos: Some(first),
            ..SpecialIds::default()
        },
        add_bos: false,
        add_eos: false,
        add_space_prefix: false,
        ends: vec![first, first + 2],
        chat_template: Some(TEMPLATE.to_owned()),
    }
}

/// The character that stands for a byte in GPT-2's vocabulary (`bytes_to_unicode`): printable ones for themselves, others from U+0100 on.
fn byte_char(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !printable(other)).count();
    let code = u32::try_from(before)
        .ok()
        .and_then(|before| char::from_u32(256 + before));
    code.unwrap_or(' ')
}

/// Positions of a run of the encoder.
pub const EMBEDDING_CONTEXT: u32 = 40;
/// Elements of its embeddings.
pub const EMBEDDING_WIDTH: u32 = 24;

/// A small encoder with a tokeniser of words; a seed gives the same one on every machine.
///
/// # Panics
/// If its text is refused, which it is not.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a test cannot go on without its model, and this crate is for tests alone"
)]
pub fn embedding(seed: u64) -> Model {
    let text = pieces_spec();
    let bytes = text.to_bytes().expect("the text of the model is valid");
    let vocabulary = u32::try_from(text.tokens.len()).unwrap_or(u32::MAX);
    let sizes = (vocabulary, EMBEDDING_CONTEXT, EMBEDDING_WIDTH);
    crate::program_gen::embedding_model(seed, sizes, &bytes)
}

/// A WordPiece tokeniser of letters and a few words.
#[must_use]
pub fn pieces_spec() -> TextSpec {
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let mut tokens: Vec<String> = specials.map(str::to_owned).to_vec();
    tokens.extend(["the", "thing", "##s", "##ing", ".", "!"].map(str::to_owned));
    for letter in 'a'..='z' {
        tokens.push(letter.to_string());
        if letter != 's' {
            tokens.push(format!("##{letter}"));
        }
    }
    let types = (0..tokens.len()).map(|id| match id {
        1 => 2,
        0 | 2 | 3 => 3,
        _ => 1,
    });
    TextSpec {
        version: credence_text::SPEC_VERSION,
        kind: "wordpiece".to_owned(),
        pre: Some("bert-uncased".to_owned()),
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
