//! Shows byte ranges of a content against its root, without the rest.
//!
//! Prover and verifier walk the same tree, in which a node is *wanted* when its bytes lie in chunks that a range
//! touches: a node all of whose bytes are wanted gives its bytes, one with none gives its chaining value, any other is
//! split where BLAKE3 splits it (section 2.1). The shape of an opening thus follows from the total length and the
//! ranges, which the verifier knows, and the opening holds nothing but what the walk takes, in its order. Bytes or
//! chaining values left over, or too few, refuse it, so there is one opening of given ranges.
//!
//! Soundness: two openings of one root that differ in a byte at the same offset give a collision of BLAKE3 (128 bits):
//! a chunk's chaining value holds its position, and the root node is flagged, so that no inner node passes for it. The
//! total length is *not* shown unless the last chunk is opened, which is why the verifier must know it.

use core::ops::Range;

use blake3::hazmat::{
    ChainingValue, ContextKey, HasherExt as _, Mode, hash_derive_key_context, left_subtree_len,
    merge_subtrees_non_root, merge_subtrees_root,
};
use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{Digest, Domain};

use crate::tree::CHUNK_LEN;

/// The longest content that can be opened, in bytes.
pub const CONTENT_LEN_MAX: u64 = 1 << 62;

/// Why a range could not be opened, or an opening was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// No range was asked for.
    #[error("expected at least one range")]
    NoRange,
    /// A range is empty, reversed or past the end.
    #[error("expected a non-empty range within {total_len} bytes, got {start}..{end}")]
    Range {
        /// Bytes of the content.
        total_len: u64,
        /// First byte asked for.
        start: u64,
        /// Byte after the last.
        end: u64,
    },
    /// The content is longer than can be opened.
    #[error("expected a content of at most {max} bytes, got {got}")]
    TooLong {
        /// The limit.
        max: u64,
        /// Bytes of the content.
        got: u64,
    },
    /// The opening has too few bytes of content.
    #[error("expected {expected} more bytes of content in the opening, got {got}")]
    ShortContent {
        /// Bytes the walk needed.
        expected: u64,
        /// Bytes left.
        got: usize,
    },
    /// The opening has too few chaining values.
    #[error("the opening has too few chaining values")]
    ShortSiblings,
    /// The opening has more than the walk takes.
    #[error("the opening has {content} bytes and {siblings} chaining values too many")]
    Surplus {
        /// Bytes left.
        content: usize,
        /// Chaining values left.
        siblings: usize,
    },
    /// The opening leads to another root.
    #[error("expected root {expected}, got {got}")]
    Root {
        /// The root that was committed to.
        expected: Digest,
        /// The root that the opening leads to.
        got: Digest,
    },
}

/// The bytes and chaining values that show some ranges of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    content: Vec<u8>,
    siblings: Vec<ChainingValue>,
}

impl Opening {
    /// Its canonical bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when it has 2^32 bytes of content or more.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.bytes(&self.content)?.count(self.siblings.len())?;
        for sibling in &self.siblings {
            writer.raw(sibling);
        }
        Ok(writer.finish())
    }

    /// Reads an opening with at most `content_len_max` bytes of content. It shows nothing until [`verify`] took it.
    ///
    /// # Errors
    /// [`WireError`] when the bytes are not exactly one opening, or it is over the limit.
    pub fn decode(bytes: &[u8], content_len_max: usize) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let content = reader.bytes(content_len_max)?.to_vec();
        let count = reader.count(reader.remaining(), 32)?;
        let mut siblings = Vec::with_capacity(count);
        for _ in 0..count {
            siblings.push(reader.array()?);
        }
        reader.finish()?;
        Ok(Self { content, siblings })
    }

    /// Its size in bytes of content and of chaining values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.content
            .len()
            .saturating_add(self.siblings.len().saturating_mul(32))
    }
}

/// One range of a content, shown to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedRange<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> OpenedRange<'a> {
    /// Where in the content it starts, in bytes.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Opens `ranges` of `content`, which may overlap and come in any order.
///
/// Takes one hash over the whole content.
///
/// # Errors
/// [`OpeningError`] when there is no range, or one is empty or not within the content.
pub fn open(
    domain: Domain,
    content: &[u8],
    ranges: &[Range<u64>],
) -> Result<Opening, OpeningError> {
    let total_len = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let wanted = wanted(total_len, ranges)?;
    let tree = Tree {
        key: hash_derive_key_context(domain.as_str()),
        wanted,
    };
    let opening = Opening {
        content: Vec::new(),
        siblings: Vec::new(),
    };
    let mut prover = Prover {
        tree: &tree,
        all: content,
        opening,
    };
    tree.root(total_len, &mut prover)?;
    Ok(prover.opening)
}

/// Checks that `opening` shows `ranges` of the content of `total_len` bytes whose root is `root`, and gives the bytes of
/// each range, in the order of `ranges`.
///
/// `total_len` and `ranges` must come from what the verifier knows, never from the one who opens.
///
/// # Errors
/// [`OpeningError`] when the ranges are not within the content, or the opening is not the one of exactly these ranges
/// under this root.
pub fn verify<'a>(
    domain: Domain,
    root: &Digest,
    total_len: u64,
    ranges: &[Range<u64>],
    opening: &'a Opening,
) -> Result<Vec<OpenedRange<'a>>, OpeningError> {
    let wanted = wanted(total_len, ranges)?;
    let tree = Tree {
        key: hash_derive_key_context(domain.as_str()),
        wanted,
    };
    let mut left = Verifier {
        content: &opening.content,
        siblings: &opening.siblings,
    };
    let got = tree.root(total_len, &mut left)?;
    if !left.content.is_empty() || !left.siblings.is_empty() {
        let (content, siblings) = (left.content.len(), left.siblings.len());
        return Err(OpeningError::Surplus { content, siblings });
    }
    if got != *root {
        return Err(OpeningError::Root {
            expected: *root,
            got,
        });
    }
    ranges
        .iter()
        .map(|range| tree.cut(range, &opening.content))
        .collect()
}

/// The chunks that `ranges` touch, as ascending ranges of bytes with gaps between them.
fn wanted(total_len: u64, ranges: &[Range<u64>]) -> Result<Vec<Range<u64>>, OpeningError> {
    if total_len > CONTENT_LEN_MAX {
        return Err(OpeningError::TooLong {
            max: CONTENT_LEN_MAX,
            got: total_len,
        });
    }
    let mut chunks = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Range { start, end } = *range;
        if start >= end || end > total_len {
            return Err(OpeningError::Range {
                total_len,
                start,
                end,
            });
        }
        let first = start.saturating_sub(start.checked_rem(CHUNK_LEN).unwrap_or(0));
        let last = end
            .checked_next_multiple_of(CHUNK_LEN)
            .unwrap_or(total_len)
            .min(total_len);
        chunks.push(first..last);
    }
    chunks.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(chunks.len());
    for next in chunks {
        match merged.last_mut() {
            Some(last) if next.start <= last.end => last.end = last.end.max(next.end),
            Some(_) | None => merged.push(next),
        }
    }
    if merged.is_empty() {
        Err(OpeningError::NoRange)
    } else {
        Ok(merged)
    }
}

/// What of a node's bytes is wanted.
enum Share {
    All,
    Some,
    Nothing,
}

/// Gives what the walk asks for, in its order.
trait Source<'a> {
    /// The bytes of a wanted node.
    fn bytes(&mut self, node: &Range<u64>) -> Result<&'a [u8], OpeningError>;

    /// The chaining value of a node of which nothing is wanted.
    fn sibling(&mut self, node: &Range<u64>) -> Result<ChainingValue, OpeningError>;
}

struct Tree {
    key: ContextKey,
    wanted: Vec<Range<u64>>,
}

impl Tree {
    fn root<'a>(
        &self,
        total_len: u64,
        source: &mut impl Source<'a>,
    ) -> Result<Digest, OpeningError> {
        let node = 0..total_len;
        let hash = match self.share(&node) {
            Share::All => self.hasher().update(source.bytes(&node)?).finalize(),
            Share::Some | Share::Nothing => {
                let (left, right) = halves(&node);
                let left = self.walk(&left, source)?;
                let right = self.walk(&right, source)?;
                merge_subtrees_root(&left, &right, Mode::DeriveKeyMaterial(&self.key))
            }
        };
        Ok(Digest::from_bytes(*hash.as_bytes()))
    }

    /// The chaining value of a node. Recurses at most 52 deep, as a content has at most 2^52 chunks.
    fn walk<'a>(
        &self,
        node: &Range<u64>,
        source: &mut impl Source<'a>,
    ) -> Result<ChainingValue, OpeningError> {
        match self.share(node) {
            Share::All => Ok(self.subtree(node.start, source.bytes(node)?)),
            Share::Nothing => source.sibling(node),
            Share::Some => {
                let (left, right) = halves(node);
                let left = self.walk(&left, source)?;
                let right = self.walk(&right, source)?;
                Ok(merge_subtrees_non_root(
                    &left,
                    &right,
                    Mode::DeriveKeyMaterial(&self.key),
                ))
            }
        }
    }

    fn share(&self, node: &Range<u64>) -> Share {
        // The first wanted range that ends after the node starts is the only one that can hold all of it.
        let first = self.wanted.partition_point(|range| range.end <= node.start);
        match self.wanted.get(first) {
            Some(range) if range.start <= node.start && node.end <= range.end => Share::All,
            Some(range) if range.start < node.end => Share::Some,
            Some(_) | None => Share::Nothing,
        }
    }

    /// The chaining value of the node that starts at byte `start`, a chunk boundary, and has `bytes`, at least one.
    fn subtree(&self, start: u64, bytes: &[u8]) -> ChainingValue {
        self.hasher()
            .set_input_offset(start)
            .update(bytes)
            .finalize_non_root()
    }

    fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_from_context_key(&self.key)
    }

    /// The bytes of `range` out of the wanted bytes, which stand one after another.
    fn cut<'a>(
        &self,
        range: &Range<u64>,
        content: &'a [u8],
    ) -> Result<OpenedRange<'a>, OpeningError> {
        let mut before = 0u64;
        for wanted in self
            .wanted
            .iter()
            .take_while(|wanted| wanted.start <= range.start)
        {
            if range.end <= wanted.end {
                before = before.saturating_add(range.start.saturating_sub(wanted.start));
                break;
            }
            before = before.saturating_add(len(wanted));
        }
        let bytes = at(content, before, len(range))?;
        Ok(OpenedRange {
            start: range.start,
            bytes,
        })
    }
}

const fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Splits a node of more than one chunk where BLAKE3 does.
fn halves(node: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = node.start.saturating_add(left_subtree_len(len(node)));
    (node.start..middle, middle..node.end)
}

fn at(bytes: &[u8], start: u64, len: u64) -> Result<&[u8], OpeningError> {
    let short = OpeningError::ShortContent {
        expected: len,
        got: bytes.len(),
    };
    let start = usize::try_from(start).map_err(|_| short.clone())?;
    let len = usize::try_from(len).map_err(|_| short.clone())?;
    bytes
        .get(start..)
        .and_then(|rest| rest.get(..len))
        .ok_or(short)
}

struct Prover<'a, 't> {
    tree: &'t Tree,
    all: &'a [u8],
    opening: Opening,
}

impl<'a> Source<'a> for Prover<'a, '_> {
    fn bytes(&mut self, node: &Range<u64>) -> Result<&'a [u8], OpeningError> {
        let bytes = at(self.all, node.start, len(node))?;
        self.opening.content.extend_from_slice(bytes);
        Ok(bytes)
    }

    fn sibling(&mut self, node: &Range<u64>) -> Result<ChainingValue, OpeningError> {
        let value = self
            .tree
            .subtree(node.start, at(self.all, node.start, len(node))?);
        self.opening.siblings.push(value);
        Ok(value)
    }
}

struct Verifier<'a> {
    content: &'a [u8],
    siblings: &'a [ChainingValue],
}

impl<'a> Source<'a> for Verifier<'a> {
    fn bytes(&mut self, node: &Range<u64>) -> Result<&'a [u8], OpeningError> {
        let bytes = at(self.content, 0, len(node))?;
        self.content = self.content.get(bytes.len()..).unwrap_or_default();
        Ok(bytes)
    }

    fn sibling(&mut self, _node: &Range<u64>) -> Result<ChainingValue, OpeningError> {
        let (first, rest) = self
            .siblings
            .split_first()
            .ok_or(OpeningError::ShortSiblings)?;
        self.siblings = rest;
        Ok(*first)
    }
}

#[cfg(test)]
mod tests;
