//! Tiles: the files in which a log serves its tree (`tlog-tiles`, "Merkle Tree").
//!
//! A tile holds 1 to 256 consecutive hashes of one level; level `L` of the tiles is level `8·L` of the tree. Its path is
//! `tile/<L>/<N>[.p/<W>]`, with `N` in groups of three digits and `W` the width of a partial tile.
//!
//! It deliberately holds no entries: those are in bundles of the same shape ([`crate::entry`]).

use core::fmt;

use crate::SIZE_MAX;
use crate::hash::{Hash, fold};
use crate::text::decimal;

/// Hashes of a full tile.
pub const WIDTH: u16 = 256;

/// The highest level that a log of [`SIZE_MAX`] entries has: `2^63` is `256^7 · 128`.
pub const LEVEL_MAX: u8 = 7;

/// Levels of the tree in one level of the tiles.
const HEIGHT: u32 = 8;

/// Why a tile, or its name, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// No log has a tile of this level, index and width.
    #[error("no log has a tile of level {level}, index {index} and width {width}")]
    Coordinates {
        /// Level asked for.
        level: u8,
        /// Index asked for.
        index: u64,
        /// Width asked for.
        width: u16,
    },
    /// The text is not a tile's path.
    #[error("expected a path of the form `tile/<L>/<N>[.p/<W>]`")]
    Path,
    /// The bytes are not as many as the tile's hashes have.
    #[error("a tile of width {width} has {expected} bytes, got {got}")]
    Len {
        /// The tile's width.
        width: u16,
        /// Bytes of that many hashes.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
}

/// Which tile: level, index within the level, and width.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    /// The tile of `level` (0 to 7), `index` and `width` (1 to 256).
    ///
    /// # Errors
    /// [`TileError::Coordinates`] when no log of at most [`SIZE_MAX`] entries has it.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        let refused = TileError::Coordinates {
            level,
            index,
            width,
        };
        let fits = level <= LEVEL_MAX
            && (1..=WIDTH).contains(&width)
            && index
                .checked_mul(u64::from(WIDTH))
                .and_then(|first| first.checked_add(u64::from(width)))
                .is_some_and(|end| end <= hashes_at(level, SIZE_MAX));
        if fits {
            Ok(Self {
                level,
                index,
                width,
            })
        } else {
            Err(refused)
        }
    }

    /// The tile of a tree of `size` entries at this place, full or partial; `None` when the tree does not reach it.
    #[must_use]
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let first = index.checked_mul(u64::from(WIDTH))?;
        let left = hashes_at(level, size)
            .checked_sub(first)
            .filter(|left| *left > 0)?;
        let width = u16::try_from(left).map_or(WIDTH, |left| left.min(WIDTH));
        Self::new(level, index, width).ok()
    }

    /// The tile that holds what a tree of `size` entries has of `node`, and where it starts in it.
    pub(crate) fn of_node(node: Node, size: u64) -> Option<(Self, usize)> {
        let level = node.level.checked_div(HEIGHT)?;
        let within = node.level.checked_rem(HEIGHT)?;
        let first = node.index.checked_mul(1u64.checked_shl(within)?)?;
        let width = u64::from(WIDTH);
        let tile = Self::in_tree(u8::try_from(level).ok()?, first.checked_div(width)?, size)?;
        let at = usize::try_from(first.checked_rem(width)?).ok()?;
        Some((tile, at))
    }

    /// The level, 0 for leaves.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The index within the level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes it has, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it has all of its 256 hashes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// The full tile at the same place, which takes the place of a partial one.
    #[must_use]
    pub const fn full(&self) -> Self {
        Self {
            width: WIDTH,
            ..*self
        }
    }

    /// Its path below the log's prefix.
    #[must_use]
    pub fn path(&self) -> String {
        let place = place_path(self.index, self.width);
        format!("tile/{}/{place}", self.level)
    }

    /// Reads a path, of which there is one spelling.
    ///
    /// # Errors
    /// [`TileError`] when it is no tile's path.
    pub fn from_path(path: &str) -> Result<Self, TileError> {
        let (level, place) = path
            .strip_prefix("tile/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(TileError::Path)?;
        let level = decimal(level, u64::from(LEVEL_MAX))
            .and_then(|level| u8::try_from(level).ok())
            .ok_or(TileError::Path)?;
        let (index, width) = place_from_path(place).ok_or(TileError::Path)?;
        Self::new(level, index, width)
    }

    /// The tiles that a tree of `new` entries has and one of `old` has not: what an append must write. Lowest level
    /// first, left to right; it names one tile for about every 255 entries added.
    pub fn added(old: u64, new: u64) -> impl Iterator<Item = Self> {
        (0..=LEVEL_MAX).flat_map(move |level| {
            let (before, after) = (hashes_at(level, old), hashes_at(level, new));
            let range = if after > before {
                before / 256..after.div_ceil(256)
            } else {
                0..0
            };
            range.filter_map(move |index| Self::in_tree(level, index, new))
        })
    }

    /// The tiles along the right edge of a tree of `size` entries that are partial: what one who goes on appending must
    /// read first. Lowest level first, at most 8.
    #[must_use]
    pub fn right_edge(size: u64) -> Vec<Self> {
        (0..=LEVEL_MAX)
            .filter_map(|level| {
                let hashes = hashes_at(level, size);
                Self::in_tree(level, hashes / 256, size)
            })
            .collect()
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl fmt::Debug for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TileId({self})")
    }
}

/// A tile with its hashes. Holding one shows nothing until a root was computed from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    id: TileId,
    hashes: Vec<Hash>,
}

impl Tile {
    /// A tile of these hashes, `None` when they are not as many as the tile is wide.
    pub(crate) fn from_hashes(id: TileId, hashes: Vec<Hash>) -> Option<Self> {
        (hashes.len() == usize::from(id.width)).then_some(Self { id, hashes })
    }

    /// Reads a tile's bytes.
    ///
    /// # Errors
    /// [`TileError::Len`] when they are not 32 for each hash.
    pub fn decode(id: TileId, bytes: &[u8]) -> Result<Self, TileError> {
        let expected = usize::from(id.width).saturating_mul(Hash::LEN);
        let got = bytes.len();
        let (chunks, rest) = bytes.as_chunks();
        if expected != got || !rest.is_empty() {
            return Err(TileError::Len {
                width: id.width,
                expected,
                got,
            });
        }
        let hashes = chunks.iter().copied().map(Hash::from_bytes).collect();
        Ok(Self { id, hashes })
    }

    /// Its bytes: the hashes one after the other.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.hashes
            .iter()
            .flat_map(|hash| *hash.as_bytes())
            .collect()
    }

    /// Which tile it is.
    #[must_use]
    pub const fn id(&self) -> TileId {
        self.id
    }

    /// Its hashes.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The hash over `2^height` of its hashes, from the `at`-th.
    pub(crate) fn subtree(&self, at: usize, height: u32) -> Option<Hash> {
        let count = 1usize.checked_shl(height)?;
        let hashes = self.hashes.get(at..at.checked_add(count)?)?;
        fold(hashes.to_vec())
    }
}

/// A node of the tree: the root of the complete subtree over `2^level` entries, the `index`-th of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    pub(crate) level: u32,
    pub(crate) index: u64,
}

impl Node {
    /// The level, 0 for leaves.
    #[must_use]
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// The index within the level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Its height within the tile that holds it.
    pub(crate) const fn height_in_tile(self) -> u32 {
        self.level % HEIGHT
    }
}

/// How many hashes a tree of `size` entries has at a level of the tiles.
fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level).saturating_mul(HEIGHT))
        .unwrap_or(0)
}

/// `<N>[.p/<W>]`: the index in groups of three digits, all but the last behind an `x`.
pub(crate) fn place_path(index: u64, width: u16) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let mut path = groups.join("/");
    if width != WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Reads what [`place_path`] writes, and nothing else.
pub(crate) fn place_from_path(path: &str) -> Option<(u64, u16)> {
    let (groups, width) = match path.split_once(".p/") {
        None => (path, WIDTH),
        Some((groups, width)) => {
            let width = decimal(width, u64::from(WIDTH).saturating_sub(1))?;
            (
                groups,
                u16::try_from(width).ok().filter(|width| *width > 0)?,
            )
        }
    };
    let mut index = 0u64;
    for group in groups.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let value = digits.parse::<u64>().ok()?;
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    // One spelling: an `x` missing, too many or before a group of noughts shows here.
    (place_path(index, width) == path).then_some((index, width))
}
