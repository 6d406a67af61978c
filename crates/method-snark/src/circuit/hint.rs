//! How an honest prover fills slots that no engine computes. No check reads it.
//!
//! It deliberately computes nothing: `prove-snark` does.

use super::Span;

/// How an honest prover fills a slot that no engine computes. `of` and the like are rows of `Circuit::hint_rows`, read as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Bits `low .. low + width` of `⌊of / 2^shift⌋`.
    Bits {
        /// Row.
        of: usize,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// The same of `max(0, ⌊of / 2^shift⌋ − limit)`, or of `max(0, limit − ⌊of / 2^shift⌋)` if `below`.
    Excess {
        /// Row.
        of: usize,
        /// Shift.
        shift: u32,
        /// Limit.
        limit: i64,
        /// Which side of the limit.
        below: bool,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// The product of two rows, in the field.
    Product {
        /// Row.
        a: usize,
        /// Row.
        b: usize,
    },
    /// The row itself: a derived slot's.
    Sum {
        /// Row.
        of: usize,
    },
    /// 1 if the row is positive, else 0.
    Positive {
        /// Row.
        of: usize,
    },
    /// The largest of these slots.
    Max {
        /// Slots.
        of: Span,
    },
    /// The row, or the limit if that is less.
    AtMost {
        /// Row.
        of: usize,
        /// Limit.
        limit: i64,
    },
    /// A component of the row whose first component is `key` in a listed table that begins with `base`.
    Entry {
        /// Row.
        key: usize,
        /// Table.
        table: usize,
        /// Component.
        component: usize,
    },
    /// Bits of the remainder of `of` divided by `by`.
    Remainder {
        /// Row.
        of: usize,
        /// Row.
        by: usize,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// A component of the row of a table of tree steps that is taken from the state `from`: number of the row is `2·state` or one more; see `trees.rs`.
    Branch {
        /// Row that holds the state.
        from: usize,
        /// The features' slots.
        x: Span,
        /// Table.
        table: usize,
        /// Component.
        component: usize,
    },
    /// The feature that a signed number names.
    Feature {
        /// Row that holds the number.
        number: usize,
        /// The features' slots.
        x: Span,
    },
    /// How often a row of an own table is looked up; counted when all else is filled.
    Count,
    /// A row of `Circuit::weighted`.
    Weighted {
        /// Row.
        of: usize,
    },
    /// `⌊of / 2^shift⌋`, clamped.
    Rounded {
        /// Row.
        of: usize,
        /// Shift.
        shift: u32,
        /// Lower end.
        min: i32,
        /// Upper end.
        max: i32,
    },
    /// A cell of a product of two values.
    Pair {
        /// Which.
        pair: usize,
        /// The cell.
        cell: usize,
    },
    /// Bits of how far a quotient, times its divisor, lies beyond the result: above it, or below.
    Beyond {
        /// Row that is divided.
        of: usize,
        /// Row that it is divided by.
        by: usize,
        /// Slot of the result.
        y: u32,
        /// Which side.
        below: bool,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// The slot of the largest magnitude; 1 if all are 0.
    Farthest {
        /// Slots.
        of: Span,
    },
    /// Bits of the integer square root of the row.
    Root {
        /// Row.
        of: usize,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// The largest of these slots of which the column, counted on from this one, is 1.
    Seen {
        /// Slots.
        of: Span,
        /// The first slot's column.
        column: u32,
    },
}
