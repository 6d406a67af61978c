//! From evidence to opened bytes: every tree shown under its root, every root under the claim.
//!
//! ```text
//! section roots ─list─▶ trace root ─salt─▶ the claim's trace        weights root ─card─▶ ModelId        runs, bytes, chaining values ─▶ each root
//! ```
//!
//! Soundness: two openings of one root that differ in a byte are a collision of BLAKE3. It deliberately does not know what the bytes are for.

use credence_base::wire::{WireError, Writer};
use credence_base::{Digest, TraceRoot, domain};
use credence_commit::blocks::{self, BlocksError, Runs};
use credence_commit::tree;

use crate::evidence::TreeEvidence;
use crate::layout::{Layout, Tree};
use crate::pack::{PackError, pack, unpack};
use crate::source::{Opened, OpenedError};

/// Most bytes that evidence opens.
const OPENED_BYTES_MAX: u64 = 256 << 20;

/// Why evidence shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreesError {
    /// A section with content is not listed, or one without content is.
    #[error("the evidence does not list exactly the sections that the run has")]
    Sections,
    /// The sections' roots are not those of the claim.
    #[error(
        "the sections of the evidence are not those that the claim commits to: is it of another run?"
    )]
    TraceRoot,
    /// A tree is opened although nothing of it is, or the other way round.
    #[error("{0:?} is opened, but no chunk of it")]
    Empty(Tree),
    /// Too much is opened.
    #[error("at most {OPENED_BYTES_MAX} bytes are opened, got {got}")]
    TooLong {
        /// Bytes of the runs.
        got: u64,
    },
    /// Bytes that are not those of the runs.
    #[error("the opened bytes of {tree:?} are refused")]
    Bytes {
        /// Of which tree.
        tree: Tree,
        /// Why.
        #[source]
        source: OpenedError,
    },
    /// Bytes that are not packed as they must be.
    #[error("the opened bytes of {tree:?} cannot be unpacked")]
    Pack {
        /// Of which tree.
        tree: Tree,
        /// Why.
        #[source]
        source: PackError,
    },
    /// The opening does not lead to the root.
    #[error("the opened bytes of {tree:?} are not those under its root")]
    Opening {
        /// Of which tree.
        tree: Tree,
        /// Why.
        #[source]
        source: BlocksError,
    },
    /// An opening that cannot be written.
    #[error("the opening cannot be written")]
    Wire(#[from] WireError),
}

/// The trace root over the sections' roots in evidence, with the lengths that the layout gives.
///
/// # Errors
/// [`TreesError::Sections`] unless exactly the sections with content are there.
pub fn trace_root(layout: &Layout<'_>, trees: &[TreeEvidence]) -> Result<TraceRoot, TreesError> {
    let sections = layout.sections();
    let mut list = Writer::new();
    list.count(sections.len())?;
    for &section in sections {
        let (kind, len) = (section.kind().unwrap_or(0), layout.len(section));
        let found = trees.iter().find(|tree| tree.tree == section);
        let root = match (found.and_then(|tree| tree.root), len) {
            (None, 0) => tree::root(domain::TRACE_SECTION, &[]),
            (Some(root), 1..) => root,
            (Some(_), 0) | (None, _) => return Err(TreesError::Sections),
        };
        list.u8(kind).u64(len).digest(&root);
    }
    Ok(TraceRoot::from_digest(tree::root(
        domain::TRACE_ROOT,
        &list.finish(),
    )))
}

const fn domain_of(tree: Tree) -> credence_base::Domain {
    match tree {
        Tree::Weights => domain::WEIGHTS,
        Tree::Positions | Tree::Keys | Tree::Values | Tree::Sampled => domain::TRACE_SECTION,
    }
}

/// Shows every tree of evidence under its root: the weights' is given, a section's its own, which [`trace_root`] must have led to the claim.
///
/// # Errors
/// [`TreesError`].
pub fn open_trees(
    layout: &Layout<'_>,
    weights_root: &Digest,
    trees: &[TreeEvidence],
) -> Result<Opened, TreesError> {
    let mut opened = Opened::new();
    let mut total = 0_u64;
    for part in trees {
        let tree = part.tree;
        let len = layout.len(tree);
        if len == 0 {
            return Err(TreesError::Sections);
        }
        if part.runs.is_empty() {
            let idle = part.packed.is_empty() && part.values.is_empty();
            if idle && tree != Tree::Weights {
                continue;
            }
            return Err(TreesError::Empty(tree));
        }
        let refused = |source| TreesError::Opening { tree, source };
        let runs = Runs::new(part.runs.clone(), len).map_err(refused)?;
        let ranges = runs.byte_ranges(len);
        let sizes = ranges
            .iter()
            .map(|range| range.end.saturating_sub(range.start));
        let bytes = sizes.fold(0, u64::saturating_add);
        total = total.saturating_add(bytes);
        if total > OPENED_BYTES_MAX {
            return Err(TreesError::TooLong { got: total });
        }
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        let content =
            unpack(&part.packed, size).map_err(|source| TreesError::Pack { tree, source })?;
        let root = part.root.as_ref().unwrap_or(weights_root);
        let shown = (content.as_slice(), part.values.as_slice());
        blocks::verify(domain_of(tree), root, len, &runs, shown).map_err(refused)?;
        opened
            .insert(tree, len, &runs, content)
            .map_err(|source| TreesError::Bytes { tree, source })?;
    }
    Ok(opened)
}

/// The root of a tree's whole content.
#[must_use]
pub fn root_of(tree: Tree, content: &[u8]) -> Digest {
    tree::root(domain_of(tree), content)
}

/// Opens parts of a tree's whole content, as evidence holds it, with the root of a section. Takes one hash over the content.
///
/// # Errors
/// [`TreesError`] if the runs are not within the content.
pub fn show(
    tree: Tree,
    (content, root): (&[u8], Digest),
    runs: &Runs,
) -> Result<TreeEvidence, TreesError> {
    let parts = if runs.is_empty() {
        blocks::Parts::default()
    } else {
        let opened = blocks::open(domain_of(tree), content, runs);
        opened.map_err(|source| TreesError::Opening { tree, source })?
    };
    Ok(TreeEvidence {
        tree,
        root: tree.kind().map(|_| root),
        runs: runs.as_slice().to_vec(),
        packed: pack(&parts.content),
        values: parts.values,
    })
}
