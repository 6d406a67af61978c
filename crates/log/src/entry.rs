//! Entry bundles: the files in which a log serves what its leaves are the hashes of (`tlog-tiles`, "Log entries").
//!
//! A bundle holds the entries of one tile of level 0, each behind its length in two bytes, big-endian. Our entry is the
//! 32 bytes of a [`ReceiptDigest`] and nothing else: a version would say nothing that the receipt's own domain string
//! has not said already, and private data never enters a log.
//!
//! It deliberately does not look into the receipt: a log orders digests, whatever they are of.

use credence_base::ReceiptDigest;

use crate::hash::Hash;
use crate::tile::{TileError, TileId, place_from_path, place_path};

/// Bytes of one entry in a bundle: two of length, 32 of digest.
pub const ENTRY_LEN: usize = 34;

/// Why a bundle of entries, or its name, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    /// No log has a bundle of this index and width.
    #[error("no log has such a bundle of entries")]
    Coordinates(#[from] TileError),
    /// The text is not a bundle's path.
    #[error("expected a path of the form `tile/entries/<N>[.p/<W>]`")]
    Path,
    /// The bytes are not as many as the bundle's entries have.
    #[error("a bundle of {width} entries has {expected} bytes, got {got}")]
    Len {
        /// The bundle's width.
        width: u16,
        /// Bytes of that many entries.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// An entry is not 32 bytes long.
    #[error("entry {at} of the bundle has {got} bytes, expected the 32 of a receipt's digest")]
    EntryLen {
        /// Its place in the bundle.
        at: usize,
        /// Its length.
        got: u16,
    },
}

/// Which bundle: it has the entries of the tile of level 0 of the same index and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntriesId(TileId);

impl EntriesId {
    /// The bundle of `index` and `width` (1 to 256).
    ///
    /// # Errors
    /// [`EntriesError::Coordinates`] when no log has it.
    pub fn new(index: u64, width: u16) -> Result<Self, EntriesError> {
        Ok(Self(TileId::new(0, index, width)?))
    }

    /// The bundle of a tree of `size` entries at `index`; `None` when the tree does not reach it.
    #[must_use]
    pub fn in_tree(index: u64, size: u64) -> Option<Self> {
        TileId::in_tree(0, index, size).map(Self)
    }

    /// The bundles that an append from `old` to `new` entries must write, left to right.
    pub fn added(old: u64, new: u64) -> impl Iterator<Item = Self> {
        TileId::added(old, new)
            .take_while(|tile| tile.level() == 0)
            .map(Self)
    }

    /// The tile of the entries' leaves.
    #[must_use]
    pub const fn tile(&self) -> TileId {
        self.0
    }

    /// The full bundle at the same place.
    #[must_use]
    pub const fn full(&self) -> Self {
        Self(self.0.full())
    }

    /// Its path below the log's prefix.
    #[must_use]
    pub fn path(&self) -> String {
        format!(
            "tile/entries/{}",
            place_path(self.0.index(), self.0.width())
        )
    }

    /// Reads a path, of which there is one spelling.
    ///
    /// # Errors
    /// [`EntriesError`] when it is no bundle's path.
    pub fn from_path(path: &str) -> Result<Self, EntriesError> {
        let place = path
            .strip_prefix("tile/entries/")
            .ok_or(EntriesError::Path)?;
        let (index, width) = place_from_path(place).ok_or(EntriesError::Path)?;
        Self::new(index, width)
    }
}

/// Writes a bundle.
#[must_use]
pub fn encode(entries: &[ReceiptDigest]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len().saturating_mul(ENTRY_LEN));
    for entry in entries {
        out.extend_from_slice(&32u16.to_be_bytes());
        out.extend_from_slice(entry.as_bytes());
    }
    out
}

/// Reads a bundle.
///
/// # Errors
/// [`EntriesError`] when the bytes are not exactly the bundle's entries.
pub fn decode(id: EntriesId, bytes: &[u8]) -> Result<Vec<ReceiptDigest>, EntriesError> {
    let width = id.0.width();
    let expected = usize::from(width).saturating_mul(ENTRY_LEN);
    let got = bytes.len();
    let (chunks, rest) = bytes.as_chunks::<ENTRY_LEN>();
    if expected != got || !rest.is_empty() {
        return Err(EntriesError::Len {
            width,
            expected,
            got,
        });
    }
    let mut entries = Vec::with_capacity(chunks.len());
    for (at, [high, low, digest @ ..]) in chunks.iter().enumerate() {
        let got = u16::from_be_bytes([*high, *low]);
        if got != 32 {
            return Err(EntriesError::EntryLen { at, got });
        }
        entries.push(ReceiptDigest::from_bytes(*digest));
    }
    Ok(entries)
}

/// The leaves of a bundle: what its tile of level 0 must hold.
#[must_use]
pub fn leaves(entries: &[ReceiptDigest]) -> Vec<Hash> {
    entries.iter().map(Hash::of_receipt).collect()
}
