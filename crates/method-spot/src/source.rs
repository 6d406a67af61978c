//! Where relations read bytes: [`Opened`] holds what was shown under roots, [`Recorder`] holds everything and notes what was read.
//!
//! ```text
//! all bytes ─▶ Recorder ─relations read─▶ Runs: from the first block read of each chunk on ─▶ openings ─▶ Opened ─relations read─▶ nothing missing, nothing unread
//! ```
//!
//! Of each chunk that is read, what is opened begins with the first block that is read: so there is one opening for given cells. It deliberately knows no hash.

use core::ops::Range;

use credence_commit::blocks::{BLOCK_LEN, Runs};
use credence_commit::tree::CHUNK_LEN;

use crate::layout::Tree;

/// Gives bytes of trees.
pub trait Source {
    /// The `len` bytes of a tree from `start` on, all within one chunk of 1,024. None if it does not hold them.
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]>;
}

/// The bytes are not those of the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the opened runs have {expected} bytes, got {got}")]
pub struct OpenedError {
    /// Of the runs.
    pub expected: u64,
    /// Given.
    pub got: u64,
}

/// A run in its place.
#[derive(Clone, Debug)]
struct Placed {
    bytes: Range<u64>,
    /// Bytes of the content before it.
    before: usize,
    /// Its first chunk, and chunks of the runs before it.
    first_chunk: u64,
    chunks_before: u64,
}

/// What of a chunk is opened, and what was read.
#[derive(Clone, Copy, Debug)]
struct Touched {
    opened_from: u64,
    read_from: u64,
}

/// What of one tree is opened.
#[derive(Clone, Debug, Default)]
struct OpenedTree {
    runs: Vec<Placed>,
    content: Vec<u8>,
    chunks: Vec<Touched>,
    /// The run that was read last.
    last: usize,
    /// What is opened of the chunk that was read last, where it stands in `content`, and its number.
    near: Range<u64>,
    near_at: usize,
    near_chunk: usize,
}

/// Bytes that were shown under their roots.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    trees: [OpenedTree; 5],
}

impl Opened {
    /// Nothing opened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was shown of a tree of `len` bytes: the bytes of the runs, one after another. That they were shown is for the caller to know.
    ///
    /// # Errors
    /// [`OpenedError`] if there are more or fewer.
    pub fn insert(
        &mut self,
        tree: Tree,
        len: u64,
        runs: &Runs,
        content: Vec<u8>,
    ) -> Result<(), OpenedError> {
        let (mut placed, mut chunks) = (Vec::new(), Vec::new());
        let (mut before, mut chunks_before) = (0_u64, 0_u64);
        for (run, bytes) in runs.as_slice().iter().zip(runs.byte_ranges(len)) {
            let first_chunk = bytes.start.checked_div(CHUNK_LEN).unwrap_or(0);
            let end_chunk = bytes.end.div_ceil(CHUNK_LEN);
            for chunk in first_chunk..end_chunk {
                let start = chunk.saturating_mul(CHUNK_LEN).checked_div(BLOCK_LEN);
                chunks.push(Touched {
                    opened_from: start.unwrap_or(0).max(run.first),
                    read_from: u64::MAX,
                });
            }
            let size = bytes.end.saturating_sub(bytes.start);
            placed.push(Placed {
                bytes,
                before: usize::try_from(before).unwrap_or(usize::MAX),
                first_chunk,
                chunks_before,
            });
            before = before.saturating_add(size);
            let count = end_chunk.saturating_sub(first_chunk);
            chunks_before = chunks_before.saturating_add(count);
        }
        let got = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if got != before {
            return Err(OpenedError {
                expected: before,
                got,
            });
        }
        if let Some(slot) = self.trees.get_mut(tree.index()) {
            *slot = OpenedTree {
                runs: placed,
                content,
                chunks,
                ..OpenedTree::default()
            };
        }
        Ok(())
    }

    /// A tree of which more is opened than was read.
    #[must_use]
    pub fn unread(&self) -> Option<Tree> {
        let all = Tree::ALL.into_iter().zip(&self.trees);
        let idle = |chunk: &Touched| chunk.opened_from != chunk.read_from;
        let mut idle = all.filter(|(_, tree)| tree.chunks.iter().any(idle));
        idle.next().map(|(tree, _)| tree)
    }
}

impl OpenedTree {
    /// The run in which a byte stands, or one that ends behind it.
    fn run(&mut self, start: u64) -> Option<&Placed> {
        let same = self.runs.get(self.last);
        if !same.is_some_and(|run| run.bytes.contains(&start)) {
            self.last = self.runs.partition_point(|run| run.bytes.end <= start);
        }
        self.runs.get(self.last)
    }

    /// Goes to the chunk in which a byte stands, if it is opened.
    fn approach(&mut self, start: u64) -> Option<()> {
        let run = self.run(start)?;
        let chunk = start.checked_div(CHUNK_LEN)?;
        let number = chunk.checked_sub(run.first_chunk)?;
        let number = usize::try_from(number.checked_add(run.chunks_before)?).ok()?;
        let begins = chunk.checked_mul(CHUNK_LEN)?;
        let ends = begins.checked_add(CHUNK_LEN)?.min(run.bytes.end);
        let near = begins.max(run.bytes.start)..ends;
        let within = near.start.checked_sub(run.bytes.start)?;
        let at = run.before.checked_add(usize::try_from(within).ok()?)?;
        if !near.contains(&start) {
            return None;
        }
        (self.near, self.near_at, self.near_chunk) = (near, at, number);
        Some(())
    }
}

impl Source for Opened {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let tree = self.trees.get_mut(tree.index())?;
        if !tree.near.contains(&start) {
            tree.approach(start)?;
        }
        let within = start.checked_sub(tree.near.start)?;
        let first = tree.near_at.checked_add(usize::try_from(within).ok()?)?;
        if tree.near.end < start.checked_add(u64::try_from(len).ok()?)? {
            return None;
        }
        let touched = tree.chunks.get_mut(tree.near_chunk)?;
        touched.read_from = touched.read_from.min(start.checked_div(BLOCK_LEN)?);
        tree.content.get(first..first.checked_add(len)?)
    }
}

/// All bytes of a run's trees. Notes every block that is read.
#[derive(Clone, Debug)]
pub struct Recorder<'a> {
    trees: [&'a [u8]; 5],
    touched: [Vec<u64>; 5],
}

impl<'a> Recorder<'a> {
    /// Of the contents of all trees, in the order of [`Tree::ALL`]; empty ones for those that there are not.
    #[must_use]
    pub fn new(trees: [&'a [u8]; 5]) -> Self {
        Self {
            trees,
            touched: Default::default(),
        }
    }

    /// What is to be opened of a tree so that all that was read can be read.
    #[must_use]
    pub fn runs(&self, tree: Tree) -> Runs {
        let blocks = self.touched.get(tree.index());
        Runs::of_blocks(blocks.cloned().unwrap_or_default())
    }
}

impl Source for Recorder<'_> {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let all = self.trees.get(tree.index())?;
        let first = usize::try_from(start).ok()?;
        let bytes = all.get(first..first.checked_add(len)?)?;
        let touched = self.touched.get_mut(tree.index())?;
        let block = start.checked_div(BLOCK_LEN)?;
        if touched.last() != Some(&block) {
            touched.push(block);
        }
        Some(bytes)
    }
}
