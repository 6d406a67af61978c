//! `tokenizer.json`: BERT's WordPiece, and nothing else that the format has.

use std::collections::BTreeMap;

use credence_import::language::{TextImport, WordPieceSource, import_wordpiece};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{SafetensorsError, shown};
use crate::folder::{TOKENIZER_FILE, json};

/// What is read of it; truncation, padding and the decoder change no id of a text's.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<Typed>,
    post_processor: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    clean_text: Option<bool>,
    #[serde(default)]
    handle_chinese_chars: Option<bool>,
    #[serde(default)]
    strip_accents: Option<bool>,
    #[serde(default)]
    lowercase: Option<bool>,
}

#[derive(Deserialize)]
struct Model {
    /// Old files leave it out.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    max_input_chars_per_word: Option<u64>,
    vocab: BTreeMap<String, u32>,
}

fn unsupported(what: &'static str, got: &str, known: &'static str) -> SafetensorsError {
    SafetensorsError::Unsupported {
        file: TOKENIZER_FILE,
        what,
        got: shown(got),
        known,
    }
}

fn same(
    what: &'static str,
    got: Option<&str>,
    expected: &'static str,
) -> Result<(), SafetensorsError> {
    if got == Some(expected) {
        return Ok(());
    }
    Err(unsupported(what, got.unwrap_or("nothing"), expected))
}

/// The text specification, and how many pieces it has.
pub(crate) fn read(bytes: &[u8]) -> Result<(TextImport, usize), SafetensorsError> {
    let wire: Wire = json(TOKENIZER_FILE, bytes)?;
    let model = &wire.model;
    same(
        "the model",
        model.kind.as_deref().or(Some("WordPiece")),
        "WordPiece",
    )?;
    let prefix = model.continuing_subword_prefix.as_deref();
    same("the prefix of pieces inside a word", prefix, "##")?;
    let longest = model.max_input_chars_per_word.unwrap_or(100).to_string();
    same("a longest word of characters", Some(&longest), "100")?;
    let splits = wire.pre_tokenizer.as_ref().map(|typed| typed.kind.as_str());
    same("the pre-tokenizer", splits, "BertPreTokenizer")?;
    let uncased = uncased(wire.normalizer.as_ref())?;
    let id = |name: &str| {
        let found = model.vocab.get(name).copied();
        let name = shown(name);
        found.ok_or(SafetensorsError::NoToken { name })
    };
    let unknown = id(model.unk_token.as_deref().unwrap_or("[UNK]"))?;
    let [begin, end] = around(wire.post_processor.as_ref())?;
    let (begin, end) = (id(&begin)?, id(&end)?);
    let mut controls = vec![begin, end];
    for added in &wire.added_tokens {
        if id(&added.content)? != added.id || !added.special {
            let known = "special tokens of the vocabulary alone";
            return Err(unsupported("the added token", &added.content, known));
        }
        controls.push(added.id);
    }
    let source = WordPieceSource {
        tokens: tokens(&model.vocab)?,
        controls,
        begin,
        end,
        unknown,
        padding: model.vocab.get("[PAD]").copied(),
        uncased,
    };
    Ok((import_wordpiece(&source)?, source.tokens.len()))
}

/// Whether letters are made small, by a normaliser that does all the rest.
fn uncased(normalizer: Option<&Normalizer>) -> Result<bool, SafetensorsError> {
    let kind = normalizer.map(|normalizer| normalizer.kind.as_str());
    same("the normaliser", kind, "BertNormalizer")?;
    let Some(normalizer) = normalizer else {
        return Ok(false);
    };
    let lowercase = normalizer.lowercase.unwrap_or(true);
    let settings = [
        ("clean_text", normalizer.clean_text.unwrap_or(true), true),
        (
            "handle_chinese_chars",
            normalizer.handle_chinese_chars.unwrap_or(true),
            true,
        ),
        (
            "strip_accents",
            normalizer.strip_accents.unwrap_or(lowercase),
            lowercase,
        ),
    ];
    match settings.into_iter().find(|(_, got, known)| got != known) {
        None => Ok(lowercase),
        Some((what, got, _)) => {
            let known = "clean texts, ideographs set apart, and accents taken off where letters are made small";
            Err(unsupported(what, &got.to_string(), known))
        }
    }
}

/// The texts of the tokens around a text.
fn around(processor: Option<&Value>) -> Result<[String; 2], SafetensorsError> {
    let known = "one token before a text and one behind it";
    let shown_kind = |value: &Value| value.get("type").map_or_else(String::new, Value::to_string);
    let processor = processor.ok_or_else(|| unsupported("the processor", "nothing", known))?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let pair = match processor.get("type").and_then(Value::as_str) {
        Some("BertProcessing") => {
            let first = |name: &str| text(processor.get(name).and_then(|pair| pair.get(0)));
            first("cls").zip(first("sep"))
        }
        Some("TemplateProcessing") => {
            let single = processor.get("single").and_then(Value::as_array);
            let special =
                |part: &Value| text(part.get("SpecialToken").and_then(|token| token.get("id")));
            match single.map(Vec::as_slice) {
                Some([before, sequence, behind]) if sequence.get("Sequence").is_some() => {
                    special(before).zip(special(behind))
                }
                _ => None,
            }
        }
        _ => None,
    };
    let pair = pair.map(|(before, behind)| [before, behind]);
    pair.ok_or_else(|| unsupported("the processor", &shown_kind(processor), known))
}

/// Pieces by id: 0, 1, 2 and so on.
fn tokens(vocab: &BTreeMap<String, u32>) -> Result<Vec<String>, SafetensorsError> {
    let mut tokens = vec![None; vocab.len()];
    for (text, &id) in vocab {
        if let Some(slot) = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id)) {
            *slot = Some(text.clone());
        }
    }
    let got = tokens.len();
    let named = tokens.into_iter().enumerate();
    let named =
        named.map(|(missing, text)| text.ok_or(SafetensorsError::Vocabulary { got, missing }));
    named.collect()
}
