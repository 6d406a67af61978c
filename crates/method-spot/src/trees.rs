//! From evidence to opened bytes: every tree shown under its root, every root under the claim.
//!
//! ```text
//! section roots ─list─▶ trace root ─salt─▶ the claim's trace        weights root ─card─▶ ModelId        runs, bytes, chaining values ─▶ each root
//! ```
//!
//! Soundness: two openings of one root that differ in a byte are a collision of BLAKE3. It deliberately does not know what the bytes are for.

use credence_base::wire::{WireError, Writer};
use credence_base::{Digest, TraceRoot, domain};
use credence_commit::{Opening, OpeningError, opening, tree};

use crate::evidence::{Evidence, TreeEvidence};
use crate::layout::{Layout, Tree};
use crate::pack::{PackError, pack, unpack};
use crate::source::{Opened, OpenedError, Runs};

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
    /// Runs that are none.
    #[error("the opened ranges of {tree:?} are refused")]
    Runs {
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
        source: OpeningError,
    },
    /// An opening that cannot be written.
    #[error("the opening cannot be written")]
    Wire(#[from] WireError),
}

/// The trace root over the sections' roots in evidence, with the lengths that the layout gives.
///
/// # Errors
/// [`TreesError::Sections`] unless exactly the sections with content are there.
pub(crate) fn trace_root(
    layout: &Layout<'_>,
    trees: &[TreeEvidence],
) -> Result<TraceRoot, TreesError> {
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
pub(crate) fn open(
    layout: &Layout<'_>,
    weights_root: &Digest,
    evidence: &Evidence,
) -> Result<Opened, TreesError> {
    let mut opened = Opened::new();
    let mut total = 0_u64;
    for part in &evidence.trees {
        let tree = part.tree;
        let len = layout.len(tree);
        if len == 0 {
            return Err(TreesError::Sections);
        }
        if part.runs.is_empty() {
            let idle = part.packed.is_empty() && part.siblings.is_empty();
            if idle && tree != Tree::Weights {
                continue;
            }
            return Err(TreesError::Empty(tree));
        }
        let runs = Runs::new(part.runs.clone(), len)
            .map_err(|source| TreesError::Runs { tree, source })?;
        let ranges = runs.byte_ranges(len);
        let bytes = ranges
            .iter()
            .map(|range| range.end.saturating_sub(range.start));
        let bytes = bytes.fold(0, u64::saturating_add);
        total = total.saturating_add(bytes);
        if total > OPENED_BYTES_MAX {
            return Err(TreesError::TooLong { got: total });
        }
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        let content =
            unpack(&part.packed, size).map_err(|source| TreesError::Pack { tree, source })?;
        let shown = as_opening(&content, &part.siblings)?;
        let root = part.root.as_ref().unwrap_or(weights_root);
        opening::verify(domain_of(tree), root, len, &ranges, &shown)
            .map_err(|source| TreesError::Opening { tree, source })?;
        opened
            .insert(tree, len, &runs, content)
            .map_err(|source| TreesError::Runs { tree, source })?;
    }
    Ok(opened)
}

fn as_opening(content: &[u8], siblings: &[[u8; 32]]) -> Result<Opening, TreesError> {
    let mut writer = Writer::new();
    writer.bytes(content)?.count(siblings.len())?;
    for sibling in siblings {
        writer.raw(sibling);
    }
    Ok(Opening::decode(&writer.finish(), content.len())?)
}

/// The root of a tree's whole content.
#[must_use]
pub fn root_of(tree: Tree, content: &[u8]) -> Digest {
    tree::root(domain_of(tree), content)
}

/// Opens chunks of a tree's whole content, as evidence holds it, with the root of a section. Takes one hash over the content.
///
/// # Errors
/// [`TreesError`] if the runs are not within the content.
pub fn show(
    tree: Tree,
    (content, root): (&[u8], Digest),
    runs: &Runs,
) -> Result<TreeEvidence, TreesError> {
    let len = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let (mut packed, mut siblings) = (Vec::new(), Vec::new());
    if !runs.chunks().is_empty() {
        let opening = opening::open(domain_of(tree), content, &runs.byte_ranges(len))
            .map_err(|source| TreesError::Opening { tree, source })?;
        let bytes = opening.encode()?;
        let mut reader = credence_base::wire::Reader::new(&bytes);
        packed = pack(reader.bytes(bytes.len())?);
        for _ in 0..reader.count(bytes.len(), 32)? {
            siblings.push(reader.array()?);
        }
    }
    Ok(TreeEvidence {
        tree,
        root: tree.kind().map(|_| root),
        runs: runs.chunks().to_vec(),
        packed,
        siblings,
    })
}
