//! Sizes beyond which no circuit is built: what keeps prover and verifier within their memory.

/// The field's modulus: 2⁶⁴ − 2³² + 1.
pub const MODULUS: i128 = 0xffff_ffff_0000_0001;

/// Most positions of a proved run.
pub const POSITIONS_MAX: usize = 1 << 20;

/// The widest limb that a range is cut into, in bits.
pub const LIMB_BITS_MAX: u32 = 16;

/// The narrowest.
pub(super) const LIMB_BITS_MIN: u32 = 4;

/// Most leaves of the lookup argument, and most committed values, as a power of two.
pub const LEAVES_LOG_MAX: u32 = 27;

/// Most slots of one position, and most terms of any list of rows.
pub(super) const SLOTS_MAX: usize = 1 << 27;

/// Most cells of all windows of a pool together: each is a term of 16 bytes.
pub(super) const WINDOW_CELLS_MAX: usize = 1 << 24;

/// Lookups into a listed table are shown if the table has more rows than this many times the lookups.
pub(super) const SHOWN_RATIO: u64 = 4;

/// A table is never shown if that is more bytes than this in a proof, whatever its length.
pub(super) const SHOWN_LOOKUPS_MAX: u64 = 1 << 14;

/// Most scores of one node over all positions: each is looked up some ten times, and is refused before any column is made.
pub(super) const SCORES_MAX: usize = 1 << 24;
