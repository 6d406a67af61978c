//! Bytes that a party shows under roots, and what of them was read.
//!
//! ```text
//! TreeOpening: runs, bytes, chaining values ──roots──▶ Opened ──relations read──▶ nothing unread; the places read of the trace
//! ```
//!
//! Soundness: that of `commit::blocks`. It deliberately does not know what the bytes are for.

use std::collections::BTreeSet;

use core::ops::Range;

use credence_base::Digest;
use credence_base::domain::{TRACE_SECTION, WEIGHTS};
use credence_base::wire::{Reader, WireError, Writer};
use credence_commit::blocks::{self, BLOCK_LEN, BlocksError, Parts, Run, Runs};
use credence_commit::tree::CHUNK_LEN;
use credence_method_spot::{Layout, Source, Tree};

/// What a party opens of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeOpening {
    /// Which tree.
    pub tree: Tree,
    /// What of it.
    pub runs: Vec<Run>,
    /// The bytes of the runs, and chaining values.
    pub parts: Parts,
}

/// Why an opening shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A tree that the run does not have.
    #[error("{0:?} is opened, which the run does not have")]
    NoTree(Tree),
    /// Runs or bytes that do not lead to the root.
    #[error("the opened bytes of {tree:?} are not those under its root")]
    Blocks {
        /// Of which tree.
        tree: Tree,
        /// Why.
        #[source]
        source: BlocksError,
    },
}

impl TreeOpening {
    pub(crate) fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        writer.u8(u8::try_from(self.tree.index()).unwrap_or(u8::MAX));
        writer.count(self.runs.len())?;
        for run in &self.runs {
            writer.u64(run.first).u64(run.chunks);
        }
        writer
            .bytes(&self.parts.content)?
            .count(self.parts.values.len())?;
        for value in &self.parts.values {
            writer.raw(value);
        }
        Ok(())
    }

    /// The caller has a limit on all bytes.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let got = reader.u8()?;
        let tree = Tree::ALL.get(usize::from(got)).copied();
        let tree = tree.ok_or(WireError::Tag { got })?;
        let count = reader.count(reader.remaining(), 16)?;
        let mut runs = Vec::with_capacity(count);
        for _ in 0..count {
            runs.push(Run {
                first: reader.u64()?,
                chunks: reader.u64()?,
            });
        }
        let content = reader.bytes(reader.remaining())?.to_vec();
        let count = reader.count(reader.remaining(), 32)?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(reader.array()?);
        }
        Ok(Self {
            tree,
            runs,
            parts: Parts { content, values },
        })
    }
}

/// A value of the trace that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadPlace {
    /// The section.
    pub tree: Tree,
    /// The value's first byte.
    pub start: u64,
    /// Its bytes, 0 behind the last.
    pub raw: [u8; 4],
}

#[derive(Debug, Default)]
struct OpenedTree {
    /// Ranges in bytes, and where each stands in `content`.
    ranges: Vec<(Range<u64>, usize)>,
    runs: Vec<Run>,
    content: Vec<u8>,
    /// Blocks that were read.
    touched: BTreeSet<u64>,
}

/// Bytes shown under their roots.
#[derive(Debug, Default)]
pub struct Opened {
    trees: [OpenedTree; 5],
    places: BTreeSet<ReadPlace>,
}

impl Opened {
    /// Checks openings against the roots of all trees, in the order of [`Tree::ALL`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(
        layout: &Layout<'_>,
        roots: &[Digest; 5],
        openings: &[TreeOpening],
    ) -> Result<Self, OpenError> {
        let mut opened = Self::default();
        for opening in openings {
            let tree = opening.tree;
            let len = layout.len(tree);
            let root = roots.get(tree.index()).filter(|_| len > 0);
            let root = root.ok_or(OpenError::NoTree(tree))?;
            let no = |source| OpenError::Blocks { tree, source };
            let runs = Runs::new(opening.runs.clone(), len).map_err(no)?;
            let domain = if tree == Tree::Weights {
                WEIGHTS
            } else {
                TRACE_SECTION
            };
            let Parts { content, values } = &opening.parts;
            blocks::verify(domain, root, len, &runs, (content, values)).map_err(no)?;
            let mut ranges = Vec::with_capacity(opening.runs.len());
            let mut before = 0_usize;
            for range in runs.byte_ranges(len) {
                let bytes = range.end.saturating_sub(range.start);
                ranges.push((range, before));
                before = before.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            if let Some(slot) = opened.trees.get_mut(tree.index()) {
                *slot = OpenedTree {
                    ranges,
                    runs: opening.runs.clone(),
                    content: content.clone(),
                    touched: BTreeSet::new(),
                };
            }
        }
        Ok(opened)
    }

    /// Whether every run begins where something was read, and something of each of its chunks was: nothing more is opened than is needed.
    #[must_use]
    pub fn is_all_read(&self) -> bool {
        self.trees.iter().all(|tree| {
            let blocks = CHUNK_LEN.checked_div(BLOCK_LEN).unwrap_or(1);
            tree.runs.iter().all(|run| {
                let chunk = run.first.checked_div(blocks).unwrap_or(0);
                let chunks = chunk..chunk.saturating_add(run.chunks);
                let read = |chunk: u64| {
                    let first = chunk.saturating_mul(blocks);
                    let end = first.saturating_add(blocks);
                    tree.touched.range(first..end).next().is_some()
                };
                tree.touched.contains(&run.first) && chunks.into_iter().all(read)
            })
        })
    }

    /// All places of the trace that were read, ascending.
    #[must_use]
    pub fn places(&self) -> Vec<ReadPlace> {
        self.places.iter().copied().collect()
    }
}

impl Source for Opened {
    fn bytes(&mut self, tree: Tree, start: u64, len: usize) -> Option<&[u8]> {
        let own = self.trees.get_mut(tree.index())?;
        let at = own.ranges.partition_point(|(range, _)| range.end <= start);
        let (range, before) = own.ranges.get(at)?;
        let within = usize::try_from(start.checked_sub(range.start)?).ok()?;
        if range.end < start.checked_add(u64::try_from(len).ok()?)? {
            return None;
        }
        let first = before.checked_add(within)?;
        own.touched.insert(start.checked_div(BLOCK_LEN)?);
        let bytes = own.content.get(first..first.checked_add(len)?)?;
        if tree != Tree::Weights {
            let mut raw = [0; 4];
            for (slot, byte) in raw.iter_mut().zip(bytes) {
                *slot = *byte;
            }
            self.places.insert(ReadPlace { tree, start, raw });
        }
        Some(bytes)
    }
}
