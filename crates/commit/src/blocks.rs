//! Openings by blocks: as [`opening`](crate::opening), but of a chunk only what stands from the first wanted block on.
//!
//! A chunk is hashed block after block of 64 bytes, each taking the chaining value of those before (BLAKE3 paper, section 2.4). So whoever knows the value before a
//! block needs that block and those behind it, and not those before it. Single values in large contents are opened in half the bytes.
//!
//! ```text
//! Runs: (first block, number of chunks) each, ascending ─walk─▶ bytes from each first block to the end of its last chunk, and chaining values:
//!                                         beside the paths, and inside a chunk before its first opened block, in the order of the walk
//! ```
//!
//! Soundness: two openings of one root with different bytes at one offset give a collision of BLAKE3's compression function, whose inputs are chaining value,
//! block, counter, length and flags: on the way from the first block that differs to the root, there is a call with equal results and different inputs. A
//! chaining value inside a chunk shows nothing of the bytes before it. The total length and the runs must come from what the verifier knows or checks.
//!
//! The walk over whole opened chunks is the library's; only a chunk that is opened from within is hashed here, by the paper's compression function in plain code.

use core::ops::Range;

use blake3::hazmat::{
    ChainingValue, ContextKey, HasherExt as _, Mode, hash_derive_key_context, left_subtree_len,
    merge_subtrees_non_root, merge_subtrees_root,
};
use credence_base::{Digest, Domain};

use crate::opening::CONTENT_LEN_MAX;
use crate::tree::CHUNK_LEN;

mod compress;

use compress::{Chunk, chain};

/// Bytes of a block.
pub const BLOCK_LEN: u64 = 64;

/// Blocks of a chunk.
const BLOCKS: u64 = CHUNK_LEN / BLOCK_LEN;

/// Chunks opened one after another: the first from one of its blocks on, the others whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The first block, counted through the whole content.
    pub first: u64,
    /// How many chunks the run touches, at least 1.
    pub chunks: u64,
}

impl Run {
    const fn first_chunk(self) -> u64 {
        self.first >> BLOCKS.trailing_zeros()
    }

    /// The chunk behind the last.
    const fn end_chunk(self) -> u64 {
        self.first_chunk().saturating_add(self.chunks)
    }

    /// The first block's number in its chunk.
    const fn inner(self) -> u64 {
        self.first & BLOCKS.wrapping_sub(1)
    }

    /// Its bytes in a content of `len`.
    fn bytes(self, len: u64) -> Range<u64> {
        let start = self.first.saturating_mul(BLOCK_LEN);
        start..self.end_chunk().saturating_mul(CHUNK_LEN).min(len)
    }
}

/// What is opened: runs in the one form that there is for given first blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(Vec<Run>);

/// Why runs or an opening are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// The content is longer than can be opened, or empty.
    #[error("expected a content of 1 to {CONTENT_LEN_MAX} bytes, got {got}")]
    Length {
        /// Its bytes.
        got: u64,
    },
    /// No run at all.
    #[error("expected at least one run")]
    NoRun,
    /// A run has no chunk, overlaps the one before, or should have been joined with it.
    #[error("runs ascend and are as long as can be; the one from block {first} does not")]
    Order {
        /// Its first block.
        first: u64,
    },
    /// A run ends behind the content.
    #[error(
        "expected runs within {total_len} bytes, got one from block {first} with {chunks} chunks"
    )]
    End {
        /// Bytes of the content.
        total_len: u64,
        /// Its first block.
        first: u64,
        /// Its chunks.
        chunks: u64,
    },
    /// Too few bytes of content.
    #[error("the opening has too few bytes of content")]
    ShortContent,
    /// Too few chaining values.
    #[error("the opening has too few chaining values")]
    ShortValues,
    /// More than the walk takes.
    #[error("the opening has {content} bytes and {values} chaining values too many")]
    Surplus {
        /// Bytes left.
        content: usize,
        /// Chaining values left.
        values: usize,
    },
    /// It leads to another root.
    #[error("expected root {expected}, got {got}")]
    Root {
        /// The root that was committed to.
        expected: Digest,
        /// The root that the opening leads to.
        got: Digest,
    },
}

impl Runs {
    /// Checks runs of a content of `total_len` bytes.
    ///
    /// # Errors
    /// [`BlocksError`].
    pub fn new(runs: Vec<Run>, total_len: u64) -> Result<Self, BlocksError> {
        let chunks = total_len.div_ceil(CHUNK_LEN);
        let mut last: Option<Run> = None;
        for &run in &runs {
            let first = run.first;
            let (begins, joined) = last.map_or((0, false), |last| {
                let touches = last.end_chunk() == run.first_chunk();
                (last.end_chunk(), touches && run.inner() == 0)
            });
            if run.chunks == 0 || run.first_chunk() < begins || joined {
                return Err(BlocksError::Order { first });
            }
            let bytes = run.bytes(total_len);
            if run.end_chunk() > chunks || bytes.start >= bytes.end {
                return Err(BlocksError::End {
                    total_len,
                    first,
                    chunks: run.chunks,
                });
            }
            last = Some(run);
        }
        Ok(Self(runs))
    }

    /// Opens each chunk of which a block is wanted from the first of them on. Blocks may come in any order.
    #[must_use]
    pub fn of_blocks(mut blocks: Vec<u64>) -> Self {
        blocks.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
        for first in blocks {
            let next = Run { first, chunks: 1 };
            match runs.last_mut() {
                Some(last) if next.first_chunk() < last.end_chunk() => {}
                Some(last) if next.first_chunk() == last.end_chunk() && next.inner() == 0 => {
                    last.chunks = last.chunks.saturating_add(1);
                }
                Some(_) | None => runs.push(next),
            }
        }
        Self(runs)
    }

    /// The runs, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[Run] {
        &self.0
    }

    /// Whether nothing is opened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The opened bytes of a content of `total_len`, as ascending ranges.
    #[must_use]
    pub fn byte_ranges(&self, total_len: u64) -> Vec<Range<u64>> {
        self.0.iter().map(|run| run.bytes(total_len)).collect()
    }

    /// The first run that ends behind a chunk.
    fn behind(&self, chunk: u64) -> Option<Run> {
        let at = self.0.partition_point(|run| run.end_chunk() <= chunk);
        self.0.get(at).copied()
    }
}

/// An opening's parts: the bytes of the runs one after another, and the chaining values in the order of the walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Bytes.
    pub content: Vec<u8>,
    /// Chaining values.
    pub values: Vec<[u8; 32]>,
}

/// Opens runs of a whole content. Takes one hash over the content.
///
/// # Errors
/// [`BlocksError`] if the runs are none or not within the content.
pub fn open(domain: Domain, content: &[u8], runs: &Runs) -> Result<Parts, BlocksError> {
    let total_len = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let tree = Tree::new(domain, total_len, runs)?;
    let mut prover = Prover {
        key: tree.key,
        all: content,
        parts: Parts::default(),
    };
    tree.root(&mut prover)?;
    Ok(prover.parts)
}

/// Checks that `content` and `values` are the opening of `runs` of the content of `total_len` bytes whose root is `root`. The bytes of each run are then
/// [`Runs::byte_ranges`], one after another.
///
/// # Errors
/// [`BlocksError`] if they are not.
pub fn verify(
    domain: Domain,
    root: &Digest,
    total_len: u64,
    runs: &Runs,
    (content, values): (&[u8], &[[u8; 32]]),
) -> Result<(), BlocksError> {
    let tree = Tree::new(domain, total_len, runs)?;
    let mut left = Verifier { content, values };
    let got = tree.root(&mut left)?;
    if !left.content.is_empty() || !left.values.is_empty() {
        return Err(BlocksError::Surplus {
            content: left.content.len(),
            values: left.values.len(),
        });
    }
    if got == *root {
        Ok(())
    } else {
        Err(BlocksError::Root {
            expected: *root,
            got,
        })
    }
}

/// What of a node is opened.
enum Share {
    /// All of it.
    All,
    /// One chunk, from this block of it on.
    From(u64),
    Some,
    Nothing,
}

/// Gives what the walk asks for, in its order.
trait Source<'a> {
    /// Opened bytes.
    fn bytes(&mut self, range: &Range<u64>) -> Result<&'a [u8], BlocksError>;
    /// The chaining value of a node of which nothing is opened.
    fn beside(&mut self, node: &Range<u64>) -> Result<ChainingValue, BlocksError>;
    /// The chaining value inside a chunk, behind so many of its blocks.
    fn inside(&mut self, chunk: &Chunk, blocks: u64) -> Result<ChainingValue, BlocksError>;
}

struct Tree<'r> {
    key: ContextKey,
    total_len: u64,
    runs: &'r Runs,
}

const fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

impl<'r> Tree<'r> {
    fn new(domain: Domain, total_len: u64, runs: &'r Runs) -> Result<Self, BlocksError> {
        if !(1..=CONTENT_LEN_MAX).contains(&total_len) {
            return Err(BlocksError::Length { got: total_len });
        }
        // Whoever opens may have made them without knowing the length.
        Runs::new(runs.0.clone(), total_len)?;
        if runs.is_empty() {
            return Err(BlocksError::NoRun);
        }
        Ok(Self {
            key: hash_derive_key_context(domain.as_str()),
            total_len,
            runs,
        })
    }

    fn share(&self, node: &Range<u64>) -> Share {
        let (first, end) = (
            node.start.checked_div(CHUNK_LEN).unwrap_or(0),
            node.end.div_ceil(CHUNK_LEN),
        );
        let Some(run) = self
            .runs
            .behind(first)
            .filter(|run| run.first_chunk() < end)
        else {
            return Share::Nothing;
        };
        let whole_from = run.first_chunk().saturating_add(u64::from(run.inner() > 0));
        if whole_from <= first && end <= run.end_chunk() {
            Share::All
        } else if len(node) <= CHUNK_LEN {
            Share::From(run.inner())
        } else {
            Share::Some
        }
    }

    fn root<'a>(&self, source: &mut impl Source<'a>) -> Result<Digest, BlocksError> {
        let node = 0..self.total_len;
        let bytes = match self.share(&node) {
            Share::All => {
                let hash = self.hasher().update(source.bytes(&node)?).finalize();
                *hash.as_bytes()
            }
            Share::From(block) => self.chunk(&node, block, source)?,
            Share::Some | Share::Nothing => {
                let (left, right) = halves(&node);
                let left = self.walk(&left, source)?;
                let right = self.walk(&right, source)?;
                let mode = Mode::DeriveKeyMaterial(&self.key);
                *merge_subtrees_root(&left, &right, mode).as_bytes()
            }
        };
        Ok(Digest::from_bytes(bytes))
    }

    /// The chaining value of a node. Recurses at most 52 deep, as a content has at most 2^52 chunks.
    fn walk<'a>(
        &self,
        node: &Range<u64>,
        source: &mut impl Source<'a>,
    ) -> Result<ChainingValue, BlocksError> {
        match self.share(node) {
            Share::All => Ok(self
                .hasher()
                .set_input_offset(node.start)
                .update(source.bytes(node)?)
                .finalize_non_root()),
            Share::Nothing => source.beside(node),
            Share::From(block) => self.chunk(node, block, source),
            Share::Some => {
                let (left, right) = halves(node);
                let left = self.walk(&left, source)?;
                let right = self.walk(&right, source)?;
                let mode = Mode::DeriveKeyMaterial(&self.key);
                Ok(merge_subtrees_non_root(&left, &right, mode))
            }
        }
    }

    /// The chaining value of a chunk that is opened from within.
    fn chunk<'a>(
        &self,
        node: &Range<u64>,
        block: u64,
        source: &mut impl Source<'a>,
    ) -> Result<ChainingValue, BlocksError> {
        let chunk = Chunk {
            bytes: node.clone(),
            is_root: len(node) == self.total_len,
        };
        let before = source.inside(&chunk, block)?;
        let skipped = block.saturating_mul(BLOCK_LEN);
        let rest = node.start.saturating_add(skipped)..node.end;
        Ok(chain(&before, &chunk, block, source.bytes(&rest)?))
    }

    fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_from_context_key(&self.key)
    }
}

/// Splits a node of more than one chunk where BLAKE3 does.
fn halves(node: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = node.start.saturating_add(left_subtree_len(len(node)));
    (node.start..middle, middle..node.end)
}

fn within<'a>(all: &'a [u8], range: &Range<u64>) -> Result<&'a [u8], BlocksError> {
    let start = usize::try_from(range.start).map_err(|_| BlocksError::ShortContent)?;
    let end = usize::try_from(range.end).map_err(|_| BlocksError::ShortContent)?;
    all.get(start..end).ok_or(BlocksError::ShortContent)
}

struct Prover<'a> {
    key: ContextKey,
    all: &'a [u8],
    parts: Parts,
}

impl<'a> Source<'a> for Prover<'a> {
    fn bytes(&mut self, range: &Range<u64>) -> Result<&'a [u8], BlocksError> {
        let bytes = within(self.all, range)?;
        self.parts.content.extend_from_slice(bytes);
        Ok(bytes)
    }

    fn beside(&mut self, node: &Range<u64>) -> Result<ChainingValue, BlocksError> {
        let value = blake3::Hasher::new_from_context_key(&self.key)
            .set_input_offset(node.start)
            .update(within(self.all, node)?)
            .finalize_non_root();
        self.parts.values.push(value);
        Ok(value)
    }

    fn inside(&mut self, chunk: &Chunk, blocks: u64) -> Result<ChainingValue, BlocksError> {
        let start = chunk.bytes.start;
        let end = start.saturating_add(blocks.saturating_mul(BLOCK_LEN));
        let value = chain(&self.key, chunk, 0, within(self.all, &(start..end))?);
        self.parts.values.push(value);
        Ok(value)
    }
}

struct Verifier<'a> {
    content: &'a [u8],
    values: &'a [ChainingValue],
}

impl Verifier<'_> {
    fn value(&mut self) -> Result<ChainingValue, BlocksError> {
        let (first, rest) = self.values.split_first().ok_or(BlocksError::ShortValues)?;
        self.values = rest;
        Ok(*first)
    }
}

impl<'a> Source<'a> for Verifier<'a> {
    fn bytes(&mut self, range: &Range<u64>) -> Result<&'a [u8], BlocksError> {
        let wanted = usize::try_from(len(range)).map_err(|_| BlocksError::ShortContent)?;
        let split = self.content.split_at_checked(wanted);
        let (bytes, rest) = split.ok_or(BlocksError::ShortContent)?;
        self.content = rest;
        Ok(bytes)
    }

    fn beside(&mut self, _node: &Range<u64>) -> Result<ChainingValue, BlocksError> {
        self.value()
    }

    fn inside(&mut self, _chunk: &Chunk, _blocks: u64) -> Result<ChainingValue, BlocksError> {
        self.value()
    }
}

#[cfg(test)]
mod tests;
