//! Where relations read bytes: [`Opened`] holds what was shown under roots, [`Recorder`] holds everything and notes what was read.
//!
//! ```text
//! all bytes ─▶ Recorder ─relations read─▶ Runs: the chunks touched ─▶ openings ─▶ Opened ─relations read─▶ nothing missing, nothing unread
//! ```
//!
//! What is opened is exactly what is read, in whole chunks: so there is one opening for given cells. It deliberately knows no hash.

use core::ops::Range;

use credence_commit::tree::CHUNK_LEN;

use crate::layout::Tree;

/// Gives bytes of trees.
pub trait Source {
    /// The `len` bytes of a tree from `start` on, all within one chunk of 1,024. None if it does not hold them.
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]>;
}

/// Ascending chunks of a tree, as ranges `first..end` with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<Range<u64>>);

/// Ranges that are no runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenedError {
    /// A range is empty or touches the one before, or they do not ascend.
    #[error("opened chunks ascend in ranges with gaps between them; {first}..{end} does not")]
    Order {
        /// The first chunk.
        first: u64,
        /// The chunk behind the last.
        end: u64,
    },
    /// A range ends behind the tree.
    #[error("chunks up to {end} are opened, but the tree has {chunks}")]
    End {
        /// The chunk behind the last.
        end: u64,
        /// Chunks of the tree.
        chunks: u64,
    },
    /// The bytes are not those of the ranges.
    #[error("the opened ranges have {expected} bytes, got {got}")]
    Bytes {
        /// Of the ranges.
        expected: u64,
        /// Given.
        got: u64,
    },
}

impl Runs {
    /// Checks ranges of chunks of a tree of `len` bytes.
    ///
    /// # Errors
    /// [`OpenedError`].
    pub fn new(ranges: Vec<Range<u64>>, len: u64) -> Result<Self, OpenedError> {
        let chunks = len.div_ceil(CHUNK_LEN);
        let mut least = 0;
        for range in &ranges {
            let Range { start: first, end } = *range;
            if first < least || first >= end {
                return Err(OpenedError::Order { first, end });
            }
            if end > chunks {
                return Err(OpenedError::End { end, chunks });
            }
            least = end.saturating_add(1);
        }
        Ok(Self(ranges))
    }

    /// Merges chunks, in any order.
    #[must_use]
    pub fn of_chunks(mut chunks: Vec<u64>) -> Self {
        chunks.sort_unstable();
        let mut runs: Vec<Range<u64>> = Vec::new();
        for chunk in chunks {
            match runs.last_mut() {
                Some(last) if chunk <= last.end => last.end = last.end.max(chunk.saturating_add(1)),
                Some(_) | None => runs.push(chunk..chunk.saturating_add(1)),
            }
        }
        Self(runs)
    }

    /// The ranges of chunks.
    #[must_use]
    pub fn chunks(&self) -> &[Range<u64>] {
        &self.0
    }

    /// The ranges in bytes of a tree of `len` bytes.
    #[must_use]
    pub fn byte_ranges(&self, len: u64) -> Vec<Range<u64>> {
        let one = |range: &Range<u64>| {
            let start = range.start.saturating_mul(CHUNK_LEN);
            start..range.end.saturating_mul(CHUNK_LEN).min(len)
        };
        self.0.iter().map(one).collect()
    }
}

/// What of one tree is opened.
#[derive(Clone, Debug, Default)]
struct OpenedTree {
    /// Ranges in bytes, and where each stands in `content`.
    runs: Vec<(Range<u64>, usize)>,
    content: Vec<u8>,
    /// For each chunk of the content whether it was read.
    touched: Vec<bool>,
    /// The run that was read last.
    last: usize,
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
    /// [`OpenedError::Bytes`] if there are more or fewer.
    pub fn insert(
        &mut self,
        tree: Tree,
        len: u64,
        runs: &Runs,
        content: Vec<u8>,
    ) -> Result<(), OpenedError> {
        let mut placed = Vec::with_capacity(runs.0.len());
        let mut before = 0_u64;
        for range in runs.byte_ranges(len) {
            let bytes = range.end.saturating_sub(range.start);
            placed.push((range, usize::try_from(before).unwrap_or(usize::MAX)));
            before = before.saturating_add(bytes);
        }
        let got = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if got != before {
            return Err(OpenedError::Bytes {
                expected: before,
                got,
            });
        }
        let chunks = usize::try_from(before.div_ceil(CHUNK_LEN)).unwrap_or(0);
        if let Some(slot) = self.trees.get_mut(tree.index()) {
            *slot = OpenedTree {
                runs: placed,
                content,
                touched: vec![false; chunks],
                last: 0,
            };
        }
        Ok(())
    }

    /// A tree of which something is opened that was never read.
    #[must_use]
    pub fn unread(&self) -> Option<Tree> {
        let all = Tree::ALL.into_iter().zip(&self.trees);
        let mut idle = all.filter(|(_, tree)| tree.touched.iter().any(|&touched| !touched));
        idle.next().map(|(tree, _)| tree)
    }
}

impl OpenedTree {
    /// The run in which a byte stands.
    fn run(&mut self, start: u64) -> Option<&(Range<u64>, usize)> {
        let same = self.runs.get(self.last);
        if !same.is_some_and(|(range, _)| range.contains(&start)) {
            let behind = self.runs.partition_point(|(range, _)| range.end <= start);
            self.last = behind;
        }
        self.runs.get(self.last)
    }
}

impl Source for Opened {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let tree = self.trees.get_mut(tree.index())?;
        let (range, before) = tree.run(start)?;
        let within = usize::try_from(start.checked_sub(range.start)?).ok()?;
        let first = before.checked_add(within)?;
        let end = first.checked_add(len)?;
        if range.end < start.checked_add(u64::try_from(len).ok()?)? {
            return None;
        }
        // Every run but a tree's last has whole chunks, so chunks of the content are chunks of the tree.
        *tree.touched.get_mut(first.checked_shr(10)?)? = true;
        tree.content.get(first..end)
    }
}

/// All bytes of a run's trees. Notes every chunk that is read.
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

    /// The chunks of a tree that were read.
    #[must_use]
    pub fn runs(&self, tree: Tree) -> Runs {
        let chunks = self.touched.get(tree.index());
        Runs::of_chunks(chunks.cloned().unwrap_or_default())
    }
}

impl Source for Recorder<'_> {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let all = self.trees.get(tree.index())?;
        let first = usize::try_from(start).ok()?;
        let bytes = all.get(first..first.checked_add(len)?)?;
        let touched = self.touched.get_mut(tree.index())?;
        let chunk = start.checked_div(CHUNK_LEN)?;
        if touched.last() != Some(&chunk) {
            touched.push(chunk);
        }
        Some(bytes)
    }
}
