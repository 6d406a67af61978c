//! A model's tokens as a tree: made once for a model, used by all of its constrained answers.

use std::sync::Arc;

use crate::constraint::Constraint;
use crate::error::GrammarError;
use crate::grammar::Grammar;
use crate::strings::plain;
use crate::trie::Trie;

/// Tokens in a word of a bitmap.
pub(crate) const WORD_BITS: usize = 64;

/// A vocabulary, ready to be constrained.
#[derive(Clone, Debug)]
pub struct Vocabulary(pub(crate) Arc<Tokens>);

/// What is made of a vocabulary.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// The bytes of each token; none for one that may not come.
    words: Vec<Box<[u8]>>,
    /// Tokens that end an answer, as a bitmap.
    pub(crate) ends: Vec<u64>,
    /// All tokens.
    pub(crate) all: Trie,
    /// All but the plain ones.
    pub(crate) special: Trie,
    /// Tokens of whole characters that may stand anywhere in a string, as a bitmap, and the most characters of one.
    pub(crate) plain: Vec<u64>,
    pub(crate) plain_chars_max: usize,
}

/// Sets a token's bit.
pub(crate) fn set(bitmap: &mut [u64], token: u32) {
    if let Ok(token) = usize::try_from(token)
        && let Some(word) = bitmap.get_mut(token / WORD_BITS)
    {
        *word |= 1 << (token % WORD_BITS);
    }
}

/// Whether a token's bit is set.
pub(crate) fn has(bitmap: &[u64], token: u32) -> bool {
    let bit = |token: usize| Some((bitmap.get(token / WORD_BITS)? >> (token % WORD_BITS)) & 1 == 1);
    usize::try_from(token).ok().and_then(bit) == Some(true)
}

impl Vocabulary {
    /// One item for each token, in the order of ids: the bytes that it adds to the answer's text, or none if it adds no text and must not come. `ends` are the tokens that end an answer;
    /// their bytes do not matter.
    ///
    /// # Errors
    /// [`GrammarError::Vocabulary`] if no token ends an answer.
    pub fn new<'a>(
        tokens: impl Iterator<Item = Option<&'a [u8]>>,
        ends: &[u32],
    ) -> Result<Self, GrammarError> {
        let words: Vec<Box<[u8]>> = tokens
            .map(|bytes| bytes.unwrap_or_default().into())
            .collect();
        let mut ending = vec![0; words.len().div_ceil(WORD_BITS)];
        let len = u32::try_from(words.len()).unwrap_or(u32::MAX);
        for &end in ends.iter().filter(|&&end| end < len) {
            set(&mut ending, end);
        }
        if ending.iter().all(|&word| word == 0) {
            return Err(GrammarError::Vocabulary);
        }
        let mut unmarked = vec![0; ending.len()];
        let (mut all, mut special, mut plain_chars_max) = (Vec::new(), Vec::new(), 0);
        for (token, word) in (0_u32..).zip(&words) {
            if word.is_empty() || has(&ending, token) {
                continue;
            }
            all.push((&**word, token));
            match plain(word) {
                Some(chars) => {
                    set(&mut unmarked, token);
                    plain_chars_max = plain_chars_max.max(chars);
                }
                None => special.push((&**word, token)),
            }
        }
        Ok(Self(Arc::new(Tokens {
            all: Trie::new(all),
            special: Trie::new(special),
            ends: ending,
            plain: unmarked,
            plain_chars_max,
            words,
        })))
    }

    /// What follows the grammar of one answer, before its first token.
    ///
    /// # Errors
    /// [`GrammarError::NoToken`] or [`GrammarError::Work`] if no first token can be found.
    pub fn constrain(&self, grammar: &Grammar) -> Result<Constraint, GrammarError> {
        let mut constraint = Constraint::new(Arc::clone(&self.0), grammar.clone());
        constraint.allowed()?;
        Ok(constraint)
    }
}

impl Tokens {
    pub(crate) fn bytes(&self, token: u32) -> Option<&[u8]> {
        let word = self.words.get(usize::try_from(token).ok()?)?;
        (!word.is_empty() && !has(&self.ends, token)).then_some(word)
    }
}
