//! Finds the texts of special tokens in a text.
//!
//! Special tokens are taken longest first, and each where it stands first in what the longer ones left. That is the order of
//! llama.cpp's `tokenizer_st_partition`; among tokens of one length the lower id goes first, where it leaves the order open. To make the work
//! independent of how many special tokens there are, texts of one length are looked up together, and only at places that begin
//! like one of them.
//!
//! It deliberately knows no rule about stripping white space around a special token: GGUF does not carry one.

use core::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Text that has no special token in it.
    Text(&'a str),
    /// A special token.
    Token(u32),
}

/// The special tokens, by length.
#[derive(Debug, Default)]
pub(crate) struct Specials {
    /// Longest first.
    by_len: BTreeMap<Reverse<usize>, HashMap<Box<[u8]>, u32>>,
    /// The first two bytes of each, or the only one and 0.
    beginnings: HashSet<[u8; 2]>,
}

impl Specials {
    pub(crate) fn new<'a>(tokens: impl IntoIterator<Item = (u32, &'a str)>) -> Self {
        let mut specials = Self::default();
        for (id, text) in tokens {
            let bytes = text.as_bytes();
            if let [first, rest @ ..] = bytes {
                let second = rest.first().copied().unwrap_or(0);
                specials.beginnings.insert([*first, second]);
                let texts = specials.by_len.entry(Reverse(bytes.len())).or_default();
                texts.insert(bytes.into(), id);
            }
        }
        specials
    }

    /// The parts of `text`, in order; none is empty.
    pub(crate) fn split<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let places = self.places(text.as_bytes());
        let mut taken: BTreeMap<usize, (usize, u32)> = BTreeMap::new();
        for (Reverse(len), texts) in &self.by_len {
            let mut found: Vec<(u32, usize)> = places
                .iter()
                .filter_map(|&at| {
                    let piece = text.as_bytes().get(at..at.checked_add(*len)?)?;
                    texts.get(piece).map(|&id| (id, at))
                })
                .collect();
            found.sort_unstable();
            for (id, at) in found {
                let end = at + len;
                let free = taken
                    .range(..end)
                    .next_back()
                    .is_none_or(|(_, &(before, _))| before <= at);
                if free {
                    taken.insert(at, (end, id));
                }
            }
        }
        parts(text, &taken)
    }

    /// Where a special token may begin.
    fn places(&self, text: &[u8]) -> Vec<usize> {
        if self.beginnings.is_empty() {
            return Vec::new();
        }
        let next = text.iter().skip(1).copied().chain([0]);
        let pairs = text.iter().copied().zip(next).enumerate();
        pairs
            .filter(|&(_, (a, b))| {
                self.beginnings.contains(&[a, b]) || self.beginnings.contains(&[a, 0])
            })
            .map(|(at, _)| at)
            .collect()
    }
}

fn parts<'a>(text: &'a str, taken: &BTreeMap<usize, (usize, u32)>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let plain = |from: usize, to: usize, parts: &mut Vec<Part<'a>>| {
        // The text of a token is valid UTF-8, so both ends are at characters.
        if let Some(between) = text.get(from..to).filter(|between| !between.is_empty()) {
            parts.push(Part::Text(between));
        }
    };
    for (&at, &(end, id)) in taken {
        plain(start, at, &mut parts);
        parts.push(Part::Token(id));
        start = end;
    }
    plain(start, text.len(), &mut parts);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, as it is told: each token in turn splits every stretch of text that is left.
    fn plain<'a>(tokens: &[(u32, &str)], text: &'a str) -> Vec<Part<'a>> {
        let mut tokens = tokens.to_vec();
        tokens.sort_by_key(|&(id, text)| (Reverse(text.len()), id));
        let mut parts = vec![Part::Text(text)];
        for (id, token) in tokens {
            parts = parts
                .into_iter()
                .flat_map(|part| match part {
                    Part::Token(_) => vec![part],
                    Part::Text(text) => {
                        let mut split = Vec::new();
                        for (index, piece) in text.split(token).enumerate() {
                            if index > 0 {
                                split.push(Part::Token(id));
                            }
                            split.push(Part::Text(piece));
                        }
                        split
                    }
                })
                .collect();
        }
        parts.retain(|part| *part != Part::Text(""));
        parts
    }

    #[test]
    fn the_longest_goes_first_even_if_it_stands_later() {
        let specials = Specials::new([(0, "<a>"), (1, "b<a>c"), (2, "x"), (3, "é")]);
        assert_eq!(
            specials.split("<a>b<a>cxé."),
            [
                Part::Token(0),
                Part::Token(1),
                Part::Token(2),
                Part::Token(3),
                Part::Text(".")
            ]
        );
        assert_eq!(specials.split(""), []);
        assert_eq!(Specials::default().split("<a>"), [Part::Text("<a>")]);
    }

    proptest! {
        #[test]
        fn it_splits_as_the_plain_way_does(
            tokens in prop::collection::hash_set("[ab<é]{1,4}", 0..8),
            text in "[ab<é]{0,40}",
        ) {
            let tokens: Vec<(u32, &str)> = (0..).zip(tokens.iter().map(String::as_str)).collect();
            let specials = Specials::new(tokens.iter().copied());
            prop_assert_eq!(specials.split(&text), plain(&tokens, &text));
        }
    }
}
