//! Turns token ids back into text, as they come.
//!
//! A token may end in the middle of a character. What is not yet a whole character is held back, three bytes at most, and given out with the
//! token that completes it. Bytes that can be no character become U+FFFD, by the same rule as Rust's `from_utf8_lossy`; so the chunks
//! always concatenate to what the whole would decode to at once.

use crate::error::TextError;
use crate::text::{Context, Text};

/// What becomes of control and unknown tokens in output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Their text is given.
    Specials,
    /// They are left out.
    Words,
}

/// Decodes token ids one by one.
#[derive(Debug)]
pub struct Detokeniser<'a> {
    text: &'a Text,
    show: Show,
    /// Whether the next word's leading space is the tokeniser's own and not the text's.
    strip: bool,
    held: Vec<u8>,
}

impl<'a> Detokeniser<'a> {
    /// For the ids of a whole text ([`Context::Begin`]: the space that a sentencepiece tokeniser puts before it is taken off), or for ids that
    /// go on from others, such as what a model generates ([`Context::Continue`]).
    #[must_use]
    pub fn new(text: &'a Text, show: Show, context: Context) -> Self {
        Self {
            text,
            show,
            strip: context == Context::Begin && text.adds_space_prefix(),
            held: Vec::new(),
        }
    }

    /// The text that is complete with this token; it may be empty.
    ///
    /// # Errors
    /// [`TextError::IdRange`] when there is no such token. Nothing has changed then.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        let bytes = self.text.token_bytes(id).ok_or(TextError::IdRange {
            what: "token id",
            got: id,
            size: self.text.vocab_len(),
        })?;
        let hidden = self.text.is_hidden(id);
        if hidden && self.show == Show::Words {
            return Ok(String::new());
        }
        let own_space = self.strip && !hidden;
        if own_space {
            self.strip = false;
        }
        let bytes = bytes
            .strip_prefix(b" ")
            .filter(|_| own_space)
            .unwrap_or(bytes);
        self.held.extend_from_slice(bytes);
        Ok(self.take_whole())
    }

    /// What is left at the end: U+FFFD for a character that was never completed, else nothing.
    #[must_use]
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.held).into_owned()
    }

    /// Takes from what is held all that no later byte can change.
    fn take_whole(&mut self) -> String {
        let mut whole = String::new();
        let mut rest = Vec::new();
        let mut chunks = self.held.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            whole.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let may_grow = chunks.peek().is_none()
                && core::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if may_grow {
                rest = invalid.to_vec();
            } else if !invalid.is_empty() {
                whole.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.held = rest;
        whole
    }
}

impl Text {
    /// The text of ids that are whole in themselves, as [`Detokeniser`] gives it.
    ///
    /// # Errors
    /// [`TextError::IdRange`] when one of them is no token.
    pub fn detokenise(
        &self,
        ids: &[u32],
        show: Show,
        context: Context,
    ) -> Result<String, TextError> {
        let mut detokeniser = Detokeniser::new(self, show, context);
        let mut text = String::new();
        for &id in ids {
            text.push_str(&detokeniser.push(id)?);
        }
        text.push_str(&detokeniser.finish());
        Ok(text)
    }
}
