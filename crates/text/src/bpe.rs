//! Byte-level BPE (GGUF's `gpt2`): words, then merges within each word.
//!
//! Equal to llama.cpp's tokeniser of that kind. In particular a byte that has no token of its own, and that no merge takes
//! up, is left out: some vocabularies lack bytes that their training text never held. [`crate::Text::missing_bytes`] names them.

use std::collections::HashMap;

use crate::error::{TextError, shown};
use crate::merge::{Join, Symbol, merge};
use crate::spec::MERGES_MAX;
use crate::split::{self, Splitter};
use crate::vocab::{Alphabet, Vocab};

#[derive(Debug)]
pub(crate) struct Bpe {
    splitter: Splitter,
    alphabet: Alphabet,
    /// Never iterated: its order is not fixed.
    joins: HashMap<(u32, u32), Join>,
}

impl Bpe {
    pub(crate) fn new(vocab: &Vocab, pre: &str, merges: &[String]) -> Result<Self, TextError> {
        let splitter = Splitter::named(pre).ok_or_else(|| TextError::Pre {
            got: shown(pre),
            known: split::names(),
        })?;
        if merges.len() > MERGES_MAX {
            return Err(TextError::TooMany {
                what: "merges",
                max: MERGES_MAX,
                got: merges.len(),
            });
        }
        let mut joins = HashMap::with_capacity(merges.len());
        for (index, (rank, merge)) in (0_u32..).zip(merges).enumerate() {
            let (left, right) = merge
                .split_once(' ')
                .filter(|(left, right)| !left.is_empty() && !right.is_empty())
                .filter(|(_, right)| !right.contains(' '))
                .ok_or(TextError::MergeForm { index })?;
            let token = |text: &str| vocab.id(text).ok_or(TextError::MergeToken { index });
            let id = token(&format!("{left}{right}"))?;
            let pair = (token(left)?, token(right)?);
            if joins.insert(pair, Join { rank, id }).is_some() {
                return Err(TextError::MergeRepeated { index });
            }
        }
        Ok(Self {
            splitter,
            alphabet: Alphabet::new(),
            joins,
        })
    }

    pub(crate) fn tokenise(&self, vocab: &Vocab, text: &str, ids: &mut Vec<u32>) {
        let mut rest = text.as_bytes();
        for len in self.splitter.words(text) {
            let Some((word, after)) = rest.split_at_checked(len) else {
                return;
            };
            rest = after;
            self.word(vocab, word, ids);
        }
    }

    fn word(&self, vocab: &Vocab, word: &[u8], ids: &mut Vec<u32>) {
        if self.splitter.whole_words
            && let Some(id) = vocab.id(&self.alphabet.encode(word))
        {
            ids.push(id);
            return;
        }
        let symbols = (0..).zip(word).map(|(start, &byte)| Symbol {
            start,
            len: 1,
            id: vocab.byte_id(byte),
        });
        let join = |a: Symbol, b: Symbol| self.joins.get(&(a.id?, b.id?)).copied();
        let merged = merge(symbols.collect(), join);
        ids.extend(merged.into_iter().filter_map(|symbol| symbol.id));
    }
}
