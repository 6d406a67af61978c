//! From what a model file says of its tokenizer to the specification that a program carries.
//!
//! ```text
//! TextSource (GGUF's fields, as they are) ─defaults of the kind─▶ TextSpec ─complete─▶ TextSpec ─check─▶ canonical bytes, Text
//! ```
//!
//! Defaults are llama.cpp's, so that ids are those it gives. What it decides by tables of its own that are not in the file (classifiers, fill-in
//! roles, kinds other than byte-level BPE and sentencepiece BPE) is refused or left out; nothing is guessed.

use credence_text::{SPEC_VERSION, SpecialIds, Text, TextError, TextSpec};

use super::graph_text::TextSource;

/// The type of a token that has none said: normal.
const NORMAL: u8 = 1;
/// Those of tokens that no text holds.
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
/// Pre-tokenisers whose models begin a text with a token unless the file says otherwise (llama.cpp: `llama_vocab::impl::load`).
const BEGIN_BY_DEFAULT: [&str; 5] = ["llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral"];

/// Why a tokenizer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TextSpecError {
    /// A kind that this version does not have.
    #[error("the model's tokenizer is `{got}`; this version has `gpt2` and `llama`")]
    Kind {
        /// What the file says.
        got: String,
    },
    /// A field without which the kind cannot tokenise.
    #[error("the model's `{kind}` tokenizer has no {what}: the file is incomplete")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A setting that changes text in a way this version does not.
    #[error("the model's tokenizer asks for {what}, which this version does not do")]
    Unsupported {
        /// What it asks for.
        what: &'static str,
    },
    /// A token's type that does not exist.
    #[error("token {id} has the type {got}; types are 1 to 6")]
    TokenType {
        /// The token.
        id: usize,
        /// Its type.
        got: i32,
    },
    /// The specification is refused by what tokenises.
    #[error("the model's tokenizer or chat template is refused")]
    Text(#[from] TextError),
}

/// A tokenizer and template, checked, and the canonical bytes that a program carries.
#[derive(Debug)]
pub struct TextImport {
    /// Canonical bytes of the specification.
    pub bytes: Vec<u8>,
    /// The same, ready for use.
    pub text: Text,
    /// What was left out, one sentence each, for people.
    pub notes: Vec<String>,
}

/// Makes the specification of a model's text.
///
/// # Errors
/// [`TextSpecError`], naming the field.
pub fn import_text(source: &TextSource) -> Result<TextImport, TextSpecError> {
    let (mut spec, mut notes) = (text_spec(source)?, Vec::new());
    let text = match Text::new(&spec) {
        Ok(text) => text,
        // A template that nobody can render is worth less than none; the model completes text all the same.
        Err(refused) if spec.chat_template.is_some() => {
            spec.chat_template = None;
            let text = Text::new(&spec)?;
            notes.push(format!("the chat template is left out: {refused}"));
            text
        }
        Err(refused) => return Err(refused.into()),
    };
    let bytes = spec.to_bytes()?;
    Ok(TextImport { bytes, text, notes })
}

/// What tokenises for a model whose program carries these bytes.
///
/// # Errors
/// [`TextSpecError::Text`] if they are refused.
pub fn pinned_text(bytes: &[u8]) -> Result<Text, TextSpecError> {
    Ok(Text::new(&TextSpec::from_bytes(bytes)?)?)
}

/// A WordPiece tokenizer, as its model's files have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordPieceSource {
    /// The pieces by id, `##` in front of those inside a word.
    pub tokens: Vec<String>,
    /// Ids of tokens that no text holds.
    pub controls: Vec<u32>,
    /// Put before a text.
    pub begin: u32,
    /// Put behind it.
    pub end: u32,
    /// Stands for words that have no pieces.
    pub unknown: u32,
    /// Fills up.
    pub padding: Option<u32>,
    /// Whether letters are made small and accents taken off.
    pub uncased: bool,
}

/// Makes the specification of an encoder's text.
///
/// # Errors
/// [`TextSpecError::Text`], naming what does not fit.
pub fn import_wordpiece(source: &WordPieceSource) -> Result<TextImport, TextSpecError> {
    let pre = if source.uncased {
        "bert-uncased"
    } else {
        "bert-cased"
    };
    let mut types = vec![NORMAL; source.tokens.len()];
    let special = source.controls.iter().map(|&id| (id, CONTROL));
    for (id, kind) in special.chain([(source.unknown, UNKNOWN)]) {
        let slot = usize::try_from(id).ok().and_then(|id| types.get_mut(id));
        if let Some(slot) = slot {
            *slot = kind;
        }
    }
    let spec = TextSpec {
        version: SPEC_VERSION,
        kind: "wordpiece".to_owned(),
        pre: Some(pre.to_owned()),
        tokens: source.tokens.clone(),
        types,
        merges: None,
        scores: None,
        special: SpecialIds {
            bos: Some(source.begin),
            eos: Some(source.end),
            unk: Some(source.unknown),
            pad: source.padding,
            ..SpecialIds::default()
        },
        add_bos: true,
        add_eos: true,
        add_space_prefix: false,
        ends: Vec::new(),
        chat_template: None,
    };
    let text = Text::new(&spec)?;
    let bytes = spec.to_bytes()?;
    let notes = Vec::new();
    Ok(TextImport { bytes, text, notes })
}

fn text_spec(source: &TextSource) -> Result<TextSpec, TextSpecError> {
    let kind = match source.model.as_str() {
        "gpt2" => "bpe",
        "llama" => "spm",
        got => {
            let got = got.chars().take(64).collect();
            return Err(TextSpecError::Kind { got });
        }
    };
    let is_bpe = kind == "bpe";
    if source.add_separator == Some(true) {
        let what = "separators between texts";
        return Err(TextSpecError::Unsupported { what });
    }
    if source.remove_extra_whitespace == Some(true) && !is_bpe {
        let what = "the removal of extra white space";
        return Err(TextSpecError::Unsupported { what });
    }
    let missing = |what| TextSpecError::Missing { kind, what };
    let (pre, merges, scores) = if is_bpe {
        // A file without a name is of the time when there was one way only.
        let pre = source.pre.clone().unwrap_or_else(|| "default".to_owned());
        let merges = Some(source.merges.clone()).filter(|merges| !merges.is_empty());
        let merges = merges.ok_or_else(|| missing("merges"))?;
        (Some(pre), Some(merges), None)
    } else {
        let scores = Some(&source.scores).filter(|scores| !scores.is_empty());
        let scores = scores.ok_or_else(|| missing("scores"))?;
        let bits = scores.iter().map(|score| score.to_bits()).collect();
        (None, None, Some(bits))
    };
    let begin = |pre: &String| BEGIN_BY_DEFAULT.contains(&pre.as_str());
    let begins = pre.as_ref().is_none_or(begin);
    let special = special_ids(source, is_bpe);
    let mut spec = TextSpec {
        version: SPEC_VERSION,
        kind: kind.to_owned(),
        tokens: source.tokens.clone(),
        types: types(source)?,
        special,
        add_bos: source.add_begin.unwrap_or(begins && special.bos.is_some()),
        add_eos: source.add_end.unwrap_or(false),
        add_space_prefix: !is_bpe && source.add_space_prefix.unwrap_or(true),
        ends: Vec::new(),
        chat_template: source.chat_template.clone(),
        pre,
        merges,
        scores,
    };
    spec.complete();
    Ok(spec)
}

fn types(source: &TextSource) -> Result<Vec<u8>, TextSpecError> {
    if source.types.is_empty() {
        return Ok(vec![NORMAL; source.tokens.len()]);
    }
    let all = source.types.iter().enumerate();
    let checked = all.map(|(id, &got)| {
        let narrow = u8::try_from(got).ok();
        let known = narrow.filter(|kind| (1..=6).contains(kind));
        known.ok_or(TextSpecError::TokenType { id, got })
    });
    checked.collect()
}

/// Roles; sentencepiece vocabularies begin with unknown, begin and end where the file does not say so.
fn special_ids(source: &TextSource, is_bpe: bool) -> SpecialIds {
    let count = u32::try_from(source.tokens.len()).unwrap_or(u32::MAX);
    let default = |id: u32| Some(id).filter(|&id| !is_bpe && id < count);
    let given = &source.special;
    SpecialIds {
        bos: given.begin.or_else(|| default(1)),
        eos: given.end.or_else(|| default(2)),
        eot: given.end_of_turn,
        unk: given.unknown.or_else(|| default(0)),
        pad: given.padding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_text::{Context, Special};

    fn bpe() -> TextSource {
        let tokens = ["a", "b", "ab", "<|im_end|>"];
        TextSource {
            model: "gpt2".to_owned(),
            pre: Some("gpt-2".to_owned()),
            tokens: tokens.map(str::to_owned).to_vec(),
            types: vec![1, 1, 1, 3],
            merges: vec!["a b".to_owned()],
            ..TextSource::default()
        }
    }

    #[test]
    fn byte_level_bpe_is_taken_with_its_defaults() {
        let import = import_text(&bpe()).unwrap();
        let spec = TextSpec::from_bytes(&import.bytes).unwrap();
        assert_eq!((spec.kind.as_str(), spec.add_bos), ("bpe", false));
        assert_eq!(
            (spec.special.eot, spec.ends.as_slice()),
            (Some(3), &[3][..])
        );
        let ids = import.text.tokenise("abba", Special::Plain, Context::Begin);
        assert_eq!(ids.unwrap(), [2, 1, 0]);
        assert!(import.notes.is_empty());
    }

    #[test]
    fn sentencepiece_is_taken_with_its_defaults() {
        let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
        tokens.extend((0..=255_u8).map(|byte| format!("<0x{byte:02X}>")));
        tokens.push("\u{2581}".to_owned());
        let mut types = vec![2, 3, 3];
        types.extend([6; 256]);
        types.push(1);
        let source = TextSource {
            model: "llama".to_owned(),
            scores: vec![0.0; tokens.len()],
            tokens,
            types,
            ..TextSource::default()
        };
        let import = import_text(&source).unwrap();
        let spec = TextSpec::from_bytes(&import.bytes).unwrap();
        assert!(spec.add_bos && spec.add_space_prefix && !spec.add_eos);
        assert_eq!((spec.special.bos, spec.special.eos), (Some(1), Some(2)));
        let ids = import.text.tokenise("\n", Special::Plain, Context::Begin);
        assert_eq!(ids.unwrap(), [1, 259, 13]);
    }

    #[test]
    fn what_cannot_be_taken_is_refused_by_name() {
        let refused = |change: fn(&mut TextSource)| {
            let mut source = bpe();
            change(&mut source);
            import_text(&source).unwrap_err()
        };
        let kind = refused(|s| s.model = "bert".to_owned());
        assert!(matches!(kind, TextSpecError::Kind { .. }), "{kind}");
        let merges = refused(|s| s.merges.clear());
        assert!(matches!(merges, TextSpecError::Missing { .. }), "{merges}");
        let scores = refused(|s| s.model = "llama".to_owned());
        assert!(matches!(scores, TextSpecError::Missing { .. }), "{scores}");
        let separator = refused(|s| s.add_separator = Some(true));
        assert!(matches!(separator, TextSpecError::Unsupported { .. }));
        for got in [-1, 0, 7, 300] {
            let mut source = bpe();
            source.types[1] = got;
            let refused = import_text(&source).unwrap_err();
            assert!(matches!(refused, TextSpecError::TokenType { id: 1, .. }));
        }
        let pre = refused(|s| s.pre = Some("unheard-of".to_owned()));
        assert!(matches!(pre, TextSpecError::Text(_)), "{pre}");
    }

    #[test]
    fn a_template_that_cannot_be_read_is_left_out_and_said() {
        let mut source = bpe();
        source.chat_template = Some("{% for %}".to_owned());
        let import = import_text(&source).unwrap();
        assert!(!import.text.has_template());
        assert!(
            import.notes[0].contains("chat template"),
            "{:?}",
            import.notes
        );
        // The failing twin of leaving out too much: nothing else is forgiven.
        source.merges = vec!["a zz".to_owned()];
        assert!(import_text(&source).is_err());
    }
}
