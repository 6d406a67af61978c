//! A checked vocabulary: token texts, their types, the bytes each stands for, and which text is which token.
//!
//! The texts of byte-level BPE are in GPT-2's alphabet, in which each byte is one printable character; those of sentencepiece are
//! plain, with `▁` for a space and `<0x0A>` for a byte. What a token stands for in output is worked out once, here.
//!
//! It deliberately knows nothing of merging or of special ids.

use std::collections::HashMap;

use crate::error::TextError;
use crate::spec::{SPECIAL_BYTES_MAX, TOKEN_BYTES_MAX, TOKENS_MAX};
use crate::wordpiece::INSIDE;

/// The character that stands for a space in sentencepiece vocabularies.
pub(crate) const SPACE_MARK: &str = "\u{2581}";

/// What a token is for, as in GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenType {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl TokenType {
    fn of(id: usize, number: u8) -> Result<Self, TextError> {
        Ok(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            got => return Err(TextError::TokenType { id, got }),
        })
    }

    /// Whether output leaves the token out unless asked for it.
    pub(crate) const fn is_hidden(self) -> bool {
        matches!(self, Self::Unknown | Self::Control)
    }

    /// Whether the token's text is looked for in a text before anything else is done to it.
    pub(crate) const fn is_special(self) -> bool {
        self.is_hidden() || matches!(self, Self::UserDefined)
    }
}

/// The two ways in which token texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Byte-level BPE.
    Bpe,
    /// Sentencepiece.
    Spm,
    /// WordPiece.
    WordPiece,
}

#[derive(Debug)]
struct Token {
    kind: TokenType,
    /// The bytes it stands for in output.
    bytes: Box<[u8]>,
}

/// A checked vocabulary.
#[derive(Debug)]
pub(crate) struct Vocab {
    tokens: Vec<Token>,
    /// Never iterated: its order is not fixed.
    ids: HashMap<Box<str>, u32>,
    /// The token of each byte.
    byte_ids: Vec<Option<u32>>,
    text_len_max: usize,
}

impl Vocab {
    pub(crate) fn new(kind: Kind, texts: &[String], types: &[u8]) -> Result<Self, TextError> {
        check_counts(texts, types)?;
        let alphabet = Alphabet::new();
        let mut vocab = Self {
            tokens: Vec::with_capacity(texts.len()),
            ids: HashMap::with_capacity(texts.len()),
            byte_ids: Vec::new(),
            text_len_max: texts.iter().map(String::len).max().unwrap_or(0),
        };
        for (id, (text, &number)) in texts.iter().zip(types).enumerate() {
            let token_type = TokenType::of(id, number)?;
            check_text(id, text, token_type)?;
            let short = u32::try_from(id).map_err(|_| TextError::NoTokens)?;
            if let Some(first) = vocab.ids.insert(text.as_str().into(), short) {
                return Err(TextError::DuplicateToken { first, second: id });
            }
            let bytes = output_bytes(kind, &alphabet, text, token_type)
                .ok_or(TextError::ByteToken { id })?;
            vocab.tokens.push(Token {
                kind: token_type,
                bytes: bytes.into(),
            });
        }
        vocab.byte_ids = (0..=u8::MAX)
            .map(|byte| vocab.id_of_byte(kind, &alphabet, byte))
            .collect();
        if kind == Kind::Spm {
            let missing = vocab.missing_bytes();
            if let Some(&byte) = missing.first() {
                return Err(TextError::ByteAbsent { byte });
            }
        }
        Ok(vocab)
    }

    fn id_of_byte(&self, kind: Kind, alphabet: &Alphabet, byte: u8) -> Option<u32> {
        match kind {
            Kind::WordPiece => None,
            Kind::Bpe => self.id(alphabet.encode(&[byte]).as_str()),
            Kind::Spm => self.id(&format!("<0x{byte:02X}>")).or_else(|| {
                let plain = char::from(byte).to_string();
                byte.is_ascii().then(|| self.id(&plain))?
            }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token with this text.
    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        if text.len() > self.text_len_max {
            return None;
        }
        self.ids.get(text).copied()
    }

    /// The token of one byte, where there is one.
    pub(crate) fn byte_id(&self, byte: u8) -> Option<u32> {
        self.byte_ids.get(usize::from(byte)).copied().flatten()
    }

    /// The bytes that UTF-8 uses and that are no token.
    pub(crate) fn missing_bytes(&self) -> Vec<u8> {
        (0..=u8::MAX)
            .filter(|byte| !matches!(byte, 0xc0 | 0xc1 | 0xf5..))
            .filter(|&byte| self.byte_id(byte).is_none())
            .collect()
    }

    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.token(id).map(|token| &*token.bytes)
    }

    pub(crate) fn token_type(&self, id: u32) -> Option<TokenType> {
        self.token(id).map(|token| token.kind)
    }

    fn token(&self, id: u32) -> Option<&Token> {
        self.tokens.get(usize::try_from(id).ok()?)
    }
}

fn check_counts(texts: &[String], types: &[u8]) -> Result<(), TextError> {
    if texts.is_empty() {
        return Err(TextError::NoTokens);
    }
    if texts.len() > TOKENS_MAX {
        return Err(TextError::TooMany {
            what: "tokens",
            max: TOKENS_MAX,
            got: texts.len(),
        });
    }
    if types.len() != texts.len() {
        return Err(TextError::PerToken {
            what: "types",
            expected: texts.len(),
            got: types.len(),
        });
    }
    Ok(())
}

fn check_text(id: usize, text: &str, token_type: TokenType) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::EmptyToken { id });
    }
    let (what, max) = if token_type.is_special() {
        ("a special token's text", SPECIAL_BYTES_MAX)
    } else {
        ("a token's text", TOKEN_BYTES_MAX)
    };
    if text.len() > max {
        return Err(TextError::TooLong {
            what,
            max,
            got: text.len(),
        });
    }
    Ok(())
}

/// What a token stands for in output; `None` when it is of type byte and names none.
fn output_bytes(
    kind: Kind,
    alphabet: &Alphabet,
    text: &str,
    token_type: TokenType,
) -> Option<Vec<u8>> {
    match token_type {
        TokenType::Unused => Some(Vec::new()),
        TokenType::Byte => named_byte(text).map(|byte| vec![byte]),
        TokenType::Normal if kind == Kind::Spm => Some(text.replace(SPACE_MARK, " ").into_bytes()),
        TokenType::Normal if kind == Kind::WordPiece => Some(match text.strip_prefix(INSIDE) {
            Some(inside) => inside.as_bytes().to_vec(),
            None => format!(" {text}").into_bytes(),
        }),
        // A normal token with a character outside the alphabet stands for its own text, as in Hugging Face's decoder.
        TokenType::Normal => Some(
            alphabet
                .decode(text)
                .unwrap_or_else(|| text.as_bytes().to_vec()),
        ),
        TokenType::Unknown | TokenType::Control | TokenType::UserDefined => {
            Some(text.as_bytes().to_vec())
        }
    }
}

/// The byte that a text such as `<0x0A>` names.
fn named_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let upper = |c: u8| c.is_ascii_digit() || (b'A'..=b'F').contains(&c);
    if digits.len() != 2 || !digits.bytes().all(upper) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// GPT-2's alphabet: each byte as one printable character (`bytes_to_unicode` in its published encoder).
#[derive(Debug)]
pub(crate) struct Alphabet {
    chars: Vec<char>,
    bytes: HashMap<char, u8>,
}

impl Alphabet {
    pub(crate) fn new() -> Self {
        let mut spare = (256..).filter_map(char::from_u32);
        let chars: Vec<char> = (0..=u8::MAX)
            .filter_map(|byte| match byte {
                b'!'..=b'~' | 0xa1..=0xac | 0xae.. => Some(char::from(byte)),
                _ => spare.next(),
            })
            .collect();
        let bytes = chars.iter().copied().zip(0..=u8::MAX).collect();
        Self { chars, bytes }
    }

    /// The bytes in the alphabet.
    pub(crate) fn encode(&self, bytes: &[u8]) -> String {
        let chars = bytes.iter().map(|&byte| self.chars.get(usize::from(byte)));
        chars.flatten().collect()
    }

    /// The bytes that a text in the alphabet stands for; `None` when a character is outside it.
    pub(crate) fn decode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|c| self.bytes.get(&c).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_gpt2s() {
        let alphabet = Alphabet::new();
        assert_eq!(alphabet.encode(b" \n\x00\x7f\xad!~\xff"), "ĠĊĀġŃ!~ÿ");
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let text = alphabet.encode(&all);
        assert_eq!(text.chars().count(), 256);
        assert_eq!(alphabet.decode(&text).unwrap(), all);
        assert_eq!(alphabet.decode("a b"), None);
    }

    #[test]
    fn bytes_are_named_in_one_way() {
        assert_eq!(named_byte("<0x0A>"), Some(10));
        for other in [
            "<0x0a>", "<0xA>", "<0x+A>", "<0x00A>", "0x0A", "<0xé>", "<0x>",
        ] {
            assert_eq!(named_byte(other), None, "{other}");
        }
    }
}
