//! WordPiece as BERT's: words cut into the longest pieces of the vocabulary, from the left.
//!
//! ```text
//! text ─clean, set ideographs apart, take accents off, lower-case─▶ words and signs ─longest piece first─▶ ids
//! ```
//!
//! Equal to Hugging Face's `BertNormalizer`, `BertPreTokenizer` and `WordPiece` with prefix `##` and words of at most 100 characters. It deliberately
//! looks for no special token in a text: what a stranger wrote is words.

use crate::classes::{is_dropped, is_ideograph, is_letter, is_number, is_sign, without_accents};
use crate::error::{TextError, shown};
use crate::vocab::Vocab;

/// What a piece inside a word begins with.
pub(crate) const INSIDE: &str = "##";
/// Characters of a word, at most; a longer one is unknown.
const WORD_CHARS_MAX: usize = 100;
/// The ways of reading a text.
const KNOWN: [(&str, bool); 2] = [("bert-cased", false), ("bert-uncased", true)];

/// WordPiece, with what its model does to a text first.
#[derive(Debug)]
pub(crate) struct WordPiece {
    /// Whether accents are taken off and letters made small.
    uncased: bool,
    unknown: u32,
}

impl WordPiece {
    pub(crate) fn new(pre: &str, unknown: Option<u32>) -> Result<Self, TextError> {
        let found = KNOWN.iter().find(|(name, _)| *name == pre);
        let &(_, uncased) = found.ok_or_else(|| TextError::Pre {
            got: shown(pre),
            known: KNOWN.map(|(name, _)| name).join(", "),
        })?;
        let unknown = unknown.ok_or(TextError::NoSpecial {
            flag: "kind: wordpiece",
            id: "unk",
        })?;
        Ok(Self { uncased, unknown })
    }

    pub(crate) fn tokenise(&self, vocab: &Vocab, text: &str, ids: &mut Vec<u32>) {
        let text = self.read(text);
        for part in text.split_whitespace() {
            let mut rest = part;
            while let Some(first) = rest.chars().next() {
                let end = if is_sign(first) {
                    first.len_utf8()
                } else {
                    rest.find(is_sign).unwrap_or(rest.len())
                };
                let (word, behind) = rest.split_at(end);
                self.word(vocab, word, ids);
                rest = behind;
            }
        }
    }

    /// The text as its words are looked up.
    fn read(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        for c in text.chars().filter(|&c| !is_dropped(c)) {
            let alone = is_ideograph(c);
            if c.is_whitespace() {
                plain.push(' ');
                continue;
            }
            if alone {
                plain.push(' ');
            }
            if self.uncased {
                without_accents(c, &mut plain);
            } else {
                plain.push(c);
            }
            if alone {
                plain.push(' ');
            }
        }
        if !self.uncased {
            return plain;
        }
        let mut small = String::with_capacity(plain.len());
        for c in plain.chars() {
            // Of characters that Unicode gives a class later, what is small may change: they stay as they are.
            if is_letter(c) || is_number(c) || is_circled(c) {
                small.extend(c.to_lowercase());
            } else {
                small.push(c);
            }
        }
        small
    }

    /// The pieces of one word, or the unknown token.
    fn word(&self, vocab: &Vocab, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        if word.chars().count() > WORD_CHARS_MAX {
            ids.push(self.unknown);
            return;
        }
        let (mut rest, mut piece) = (word, String::new());
        while !rest.is_empty() {
            let prefix = if rest.len() == word.len() { "" } else { INSIDE };
            let found = rest.char_indices().rev().find_map(|(at, c)| {
                let (head, tail) = rest.split_at(at + c.len_utf8());
                piece.clear();
                piece.push_str(prefix);
                piece.push_str(head);
                vocab.id(&piece).map(|id| (id, tail))
            });
            let Some((id, tail)) = found else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = tail;
        }
    }
}

/// Circled letters, which have small ones though they are symbols.
const fn is_circled(c: char) -> bool {
    matches!(c, '\u{24b6}'..='\u{24cf}')
}
