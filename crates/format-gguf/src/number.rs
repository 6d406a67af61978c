//! Floats from their bytes. Halves are widened by hand: every half is a float, so this is exact.

/// A little-endian IEEE half.
pub(crate) fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        0 => {
            // Zero or subnormal: fraction · 2^-24.
            let size = f32::from(bits & 0x3ff) * f32::from_bits((127 - 24) << 23);
            f32::from_bits(size.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 127 - 15) << 23) | (fraction << 13)),
    }
}

/// A little-endian bfloat16.
pub(crate) fn brain(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// A count as a float: exact up to 2^24, which is more than a model has of anything.
pub(crate) fn from_count(count: usize) -> f32 {
    let high = u16::try_from(count >> 12).unwrap_or(u16::MAX);
    let low = u16::try_from(count & 0xfff).unwrap_or(u16::MAX);
    f32::from(high) * 4096.0 + f32::from(low)
}

/// The nearest single; what overflows becomes an infinity, which the graph refuses by name.
#[expect(
    clippy::cast_possible_truncation,
    reason = "settings are singles from here on"
)]
pub(crate) const fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_every_kind() {
        let cases = [
            (0x0000, 0.0_f32),
            (0x8000, -0.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x83ff, -1023.0 * 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
            (0x3c00, 1.0),
            (0xc100, -2.5),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, expected) in cases {
            let got = half(u16::to_le_bytes(bits));
            assert_eq!(got.to_bits(), expected.to_bits(), "{bits:#06x}");
        }
        assert!(half(u16::to_le_bytes(0x7e00)).is_nan());
        assert_eq!(brain(u16::to_le_bytes(0x3fc0)), 1.5);
        for (count, expected) in [
            (0, 0.0),
            (4095, 4095.0),
            (4096, 4096.0),
            (1 << 24, 16_777_216.0),
        ] {
            assert_eq!(from_count(count), expected);
        }
    }
}
