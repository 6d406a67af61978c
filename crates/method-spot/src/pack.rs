//! Opened bytes in evidence: lines of sixteen 32-bit integers, each line in as few bits as its largest takes.
//!
//! ```text
//! line = u8 width w (0 ..= 32) ‖ 2·w bytes: sixteen integers of w bits, two's complement, the first in the lowest bits      rest below 64 bytes: as it is
//! ```
//!
//! Residual streams and logits use some 20 of their 32 bits. The width is the least that holds all sixteen, so there is one form. What is not 32-bit integers
//! costs one byte in 64 more. It deliberately keeps no state from line to line.

/// Bytes of a line.
const LINE: usize = 64;

/// Why packed bytes are not the form of any bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Fewer bytes than the lines take.
    #[error("the packed bytes end in the middle of a line")]
    Short,
    /// More bytes than the lines take.
    #[error("{got} packed bytes are left over")]
    Surplus {
        /// Bytes left.
        got: usize,
    },
    /// A width that is not the least.
    #[error("a packed line has a width of {got} bits, which is not the least that holds it")]
    Width {
        /// The width.
        got: u8,
    },
}

/// Bits that a value takes in two's complement, 0 for 0.
fn width_of(value: i32) -> u32 {
    let magnitude = if value < 0 { !value } else { value };
    if value == 0 {
        0
    } else {
        33_u32.saturating_sub(magnitude.leading_zeros())
    }
}

/// Packs bytes.
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len());
    let (lines, rest) = bytes.as_chunks::<LINE>();
    for line in lines {
        let (cells, _) = line.as_chunks::<4>();
        let values = cells.iter().map(|cell| i32::from_le_bytes(*cell));
        let width = values.clone().map(width_of).max().unwrap_or(0);
        packed.push(u8::try_from(width).unwrap_or(32));
        let (mut held, mut bits) = (0_u64, 0_u32);
        let mask = 1_u64
            .checked_shl(width)
            .map_or(u64::MAX, |top| top.saturating_sub(1));
        for value in values {
            held |= (u64::from(value.cast_unsigned()) & mask) << bits;
            bits = bits.saturating_add(width);
            while bits >= 8 {
                let [low, ..] = held.to_le_bytes();
                packed.push(low);
                held >>= 8_u32;
                bits = bits.saturating_sub(8);
            }
        }
    }
    packed.extend_from_slice(rest);
    packed
}

/// Unpacks exactly `len` bytes.
///
/// # Errors
/// [`PackError`] if the packed bytes are not the one form of as many bytes.
pub fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>, PackError> {
    let mut left = packed;
    let lines = len.checked_div(LINE).unwrap_or(0);
    // Each line takes a byte, so what is allocated is at most 64 times what is there.
    if lines > packed.len() {
        return Err(PackError::Short);
    }
    let mut bytes = Vec::with_capacity(len);
    for _ in 0..lines {
        let (&width, rest) = left.split_first().ok_or(PackError::Short)?;
        if width > 32 {
            return Err(PackError::Width { got: width });
        }
        let size = usize::from(width).saturating_mul(2);
        let (line, rest) = rest.split_at_checked(size).ok_or(PackError::Short)?;
        left = rest;
        unpack_line(line, width, &mut bytes)?;
    }
    let rest = len.checked_rem(LINE).unwrap_or(0);
    let (tail, surplus) = left.split_at_checked(rest).ok_or(PackError::Short)?;
    if !surplus.is_empty() {
        return Err(PackError::Surplus { got: surplus.len() });
    }
    bytes.extend_from_slice(tail);
    Ok(bytes)
}

fn unpack_line(line: &[u8], width: u8, bytes: &mut Vec<u8>) -> Result<(), PackError> {
    if width == 32 {
        let (cells, _) = line.as_chunks::<4>();
        let wide = |cell: &[u8; 4]| width_of(i32::from_le_bytes(*cell)) == 32;
        if !cells.iter().any(wide) {
            return Err(PackError::Width { got: width });
        }
        bytes.extend_from_slice(line);
        return Ok(());
    }
    let wanted = u32::from(width);
    let shift = 32_u32.saturating_sub(wanted);
    let (mut held, mut bits, mut widest) = (0_u64, 0_u32, 0_u32);
    // A line has 2·width bytes.
    let (words, _) = line.as_chunks::<2>();
    let mut next = words.iter();
    for _ in 0..16 {
        while bits < wanted {
            let word = next.next().ok_or(PackError::Short)?;
            held |= u64::from(u16::from_le_bytes(*word)) << bits;
            bits = bits.saturating_add(16);
        }
        let [a, b, c, d, ..] = held.to_le_bytes();
        let low = i32::from_le_bytes([a, b, c, d]);
        // Up to the sign bit and down again: what stands above the width goes away.
        let value = low.checked_shl(shift).unwrap_or(0);
        let value = value.checked_shr(shift).unwrap_or(0);
        held = held.checked_shr(wanted).unwrap_or(0);
        bits = bits.saturating_sub(wanted);
        widest = widest.max(width_of(value));
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    if widest == wanted {
        Ok(())
    } else {
        Err(PackError::Width { got: width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: [i32; 16]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn spread(mut value: impl FnMut(i32) -> i32) -> Vec<u8> {
        line(core::array::from_fn(|at| value(i32::try_from(at).unwrap())))
    }

    #[test]
    fn golden_lines() {
        assert_eq!(pack(&[0; 64]), [0]);
        assert_eq!(pack(&spread(|_| -1)), [1, 0xff, 0xff]);
        assert_eq!(pack(&spread(|at| at % 2)), [2, 0x44, 0x44, 0x44, 0x44]);
        assert_eq!(pack(&[7; 5]), [7; 5]);
        assert_eq!(pack(&spread(|_| i32::MIN)).len(), 65);
    }

    #[test]
    fn what_is_packed_comes_back_and_in_one_form() {
        let mut all = Vec::new();
        for width in 0..32_u32 {
            let bytes = spread(|at| (at - 8).wrapping_mul(1 << width));
            all.extend_from_slice(&bytes);
            let packed = pack(&bytes);
            assert_eq!(unpack(&packed, 64).unwrap(), bytes);
            for len in 0..packed.len() {
                assert!(unpack(&packed[..len], 64).is_err());
            }
        }
        all.extend_from_slice(b"the rest of it");
        let packed = pack(&all);
        assert_eq!(unpack(&packed, all.len()).unwrap(), all);
        let longer = [packed.as_slice(), &[0]].concat();
        assert_eq!(
            unpack(&longer, all.len()),
            Err(PackError::Surplus { got: 1 })
        );
        // Whatever is accepted is packed again to the same bytes.
        for at in 0..packed.len() {
            let mut other = packed.clone();
            other[at] ^= 1 << (at % 8);
            if let Ok(bytes) = unpack(&other, all.len()) {
                assert_eq!(pack(&bytes), other, "{at}");
            }
        }
    }

    #[test]
    fn a_width_that_is_not_the_least_is_refused() {
        assert_eq!(unpack(&[1, 0, 0], 64), Err(PackError::Width { got: 1 }));
        assert_eq!(unpack(&[33], 64), Err(PackError::Width { got: 33 }));
        assert_eq!(unpack(&[0], 1 << 40), Err(PackError::Short));
    }
}
