//! Units of what a block keeps in 16 bits: powers of two, found by running the integer program itself on a text.
//!
//! Calibrating with integers rather than floats makes the units, and so the `ModelId`, the same on every target. The first program has coarse
//! units; where a value reaches the end of its range it is made coarser still and run again; then each unit is as fine as leaves the margin.

/// Fraction bits of the stream.
pub(super) const STREAM_BITS: i32 = 13;

/// Fraction bits of one block's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Queries.
    pub q: i32,
    /// Keys.
    pub k: i32,
    /// Values.
    pub v: i32,
    /// What goes through the activation.
    pub gate: i32,
    /// The other factor.
    pub up: i32,
    /// The hidden layer.
    pub product: i32,
}

/// The first program's.
pub(super) const COARSE: Units = Units {
    q: 5,
    k: 5,
    v: 5,
    gate: 8,
    up: 8,
    product: 8,
};

/// What a value may grow by, on other texts, before it saturates: three halves.
const MARGIN: (i64, i64) = (3, 2);
/// Finest and coarsest unit.
const BITS: (i32, i32) = (0, 14);

/// The unit for a value whose largest magnitude was `max` of at most `limit` in units of 2^−bits; `None` if it was clamped and has to be measured
/// again, in the coarser unit given.
pub(super) fn refine(bits: i32, max: i64, limit: i64) -> Result<i32, i32> {
    if max >= limit && bits > BITS.0 {
        return Err((bits - 3).max(BITS.0));
    }
    let mut finer = bits;
    // Coarser first: a margin may be missing.
    while finer > BITS.0 && max * MARGIN.0 > (limit * MARGIN.1) << (bits - finer).max(0) {
        finer -= 1;
    }
    while finer < BITS.1
        && finer >= bits
        && (max * MARGIN.0) << (finer + 1 - bits) <= limit * MARGIN.1
    {
        finer += 1;
    }
    Ok(finer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_leave_the_margin_and_no_more() {
        assert_eq!(refine(5, 4095, 4095), Err(2));
        assert_eq!(refine(1, 4095, 4095), Err(0));
        assert_eq!(refine(5, 4000, 4095), Ok(4));
        assert_eq!(refine(5, 2730, 4095), Ok(5));
        assert_eq!(refine(5, 1300, 4095), Ok(6));
        assert_eq!(refine(5, 10, 4095), Ok(13));
        assert_eq!(refine(5, 0, 4095), Ok(14));
        assert_eq!(refine(0, 4095, 4095), Ok(0));
    }
}
