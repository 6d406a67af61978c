//! Sentencepiece-style tokens (GGUF's `llama`): characters joined by the score of what they make, bytes for what is left.
//!
//! Equal to llama.cpp's tokeniser of that kind. Scores are compared as the numbers they are, from their bits, with no float operation.

use crate::error::TextError;
use crate::merge::{Join, Symbol, merge};
use crate::vocab::{SPACE_MARK, Vocab};

#[derive(Debug)]
pub(crate) struct Spm {
    /// By id: 0 for the highest score.
    ranks: Vec<u32>,
    add_space_prefix: bool,
}

/// A number that is lower the higher the score is; `None` when the bits are not those of a finite number.
fn rank(bits: u32) -> Option<u32> {
    const SIGN: u32 = 1 << 31;
    const INFINITE: u32 = 0x7f80_0000;
    let magnitude = bits & !SIGN;
    if magnitude >= INFINITE {
        return None;
    }
    // Minus zero has magnitude zero, and so the rank of zero.
    Some(if bits == magnitude {
        SIGN - magnitude
    } else {
        SIGN + magnitude
    })
}

impl Spm {
    pub(crate) fn new(
        vocab: &Vocab,
        scores: &[u32],
        add_space_prefix: bool,
    ) -> Result<Self, TextError> {
        if scores.len() != vocab.len() {
            return Err(TextError::PerToken {
                what: "scores",
                expected: vocab.len(),
                got: scores.len(),
            });
        }
        let ranks = scores.iter().enumerate();
        let ranks = ranks.map(|(id, &bits)| rank(bits).ok_or(TextError::Score { id }));
        Ok(Self {
            ranks: ranks.collect::<Result<_, _>>()?,
            add_space_prefix,
        })
    }

    /// Whether a text at the beginning, or after a special token, is given a space.
    pub(crate) const fn adds_space_prefix(&self) -> bool {
        self.add_space_prefix
    }

    pub(crate) fn tokenise(
        &self,
        vocab: &Vocab,
        text: &str,
        after_special: bool,
        ids: &mut Vec<u32>,
    ) {
        let mut marked = String::with_capacity(text.len() + SPACE_MARK.len());
        if self.add_space_prefix && after_special {
            marked.push_str(SPACE_MARK);
        }
        marked.push_str(&text.replace(' ', SPACE_MARK));
        let mut symbols = Vec::with_capacity(marked.len());
        let mut start = 0;
        for c in marked.chars() {
            let len = match c.len_utf8() {
                1 => 1,
                2 => 2,
                3 => 3,
                _ => 4,
            };
            symbols.push(Symbol {
                start,
                len,
                id: vocab.id(c.encode_utf8(&mut [0; 4])),
            });
            start += len;
        }
        let join = |a: Symbol, b: Symbol| {
            let id = vocab.id(piece(&marked, a.start, a.len + b.len)?)?;
            let rank = *self.ranks.get(usize::try_from(id).ok()?)?;
            Some(Join { rank, id })
        };
        for symbol in merge(symbols, join) {
            match symbol.id {
                Some(id) => ids.push(id),
                None => {
                    let bytes = piece(&marked, symbol.start, symbol.len).unwrap_or_default();
                    ids.extend(bytes.bytes().filter_map(|byte| vocab.byte_id(byte)));
                }
            }
        }
    }
}

fn piece(text: &str, start: u32, len: u32) -> Option<&str> {
    let start = usize::try_from(start).ok()?;
    text.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_order_as_scores_do() {
        let falling = [f32::MAX, 3.5, 1.0, 1e-40, 0.0, -1e-40, -1.0, -3.5, f32::MIN];
        let ranks: Vec<u32> = falling.iter().map(|x| rank(x.to_bits()).unwrap()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b));
        assert_eq!(rank((-0.0_f32).to_bits()), rank(0));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(rank(bad.to_bits()), None);
        }
    }
}
