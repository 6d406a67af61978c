//! A 32-byte digest and its one text form, 64 lower-case hexadecimal digits.
//!
//! A bare [`Digest`] says nothing about what was hashed; the typed ids of this crate do, and most code should take
//! one of those.

use core::fmt;
use core::str::FromStr;

/// Why a text is not 32 bytes of lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// The text has the wrong length.
    #[error("expected {expected} hexadecimal digits, got {got} bytes")]
    Length {
        /// Digits expected.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// A byte is not one of `0-9a-f`.
    #[error("expected a lower-case hexadecimal digit at byte {at}, got byte {got:#04x}")]
    Digit {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        got: u8,
    },
}

/// 32 bytes of a cryptographic hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes 32 bytes as a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(HexError::Length {
                expected: 64,
                got: digits.len(),
            });
        }
        let mut out = [0u8; 32];
        let pairs = digits.chunks_exact(2).enumerate();
        for (slot, (index, pair)) in out.iter_mut().zip(pairs) {
            let at = index.saturating_mul(2);
            let mut value = 0u8;
            for (step, digit) in pair.iter().enumerate() {
                let nibble = nibble(*digit).ok_or(HexError::Digit {
                    at: at.saturating_add(step),
                    got: *digit,
                })?;
                value = (value << 4) | nibble;
            }
            *slot = value;
        }
        Ok(Self(out))
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let digest =
            Digest::from_bytes(core::array::from_fn(|i| u8::try_from(i * 7 % 256).unwrap()));
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(hex::encode(digest.as_bytes()), digest.to_string());
    }

    #[test]
    fn only_the_one_form_is_read() {
        let good = "0123456789abcdef".repeat(4);
        let cases: [(String, HexError); 5] = [
            (
                String::new(),
                HexError::Length {
                    expected: 64,
                    got: 0,
                },
            ),
            (
                good[1..].to_owned(),
                HexError::Length {
                    expected: 64,
                    got: 63,
                },
            ),
            (
                format!("{good}\n"),
                HexError::Length {
                    expected: 64,
                    got: 65,
                },
            ),
            (good.to_uppercase(), HexError::Digit { at: 10, got: b'A' }),
            (
                good.replacen("01", "0x", 1),
                HexError::Digit { at: 1, got: b'x' },
            ),
        ];
        assert!(good.parse::<Digest>().is_ok());
        for (text, expected) in cases {
            assert_eq!(text.parse::<Digest>(), Err(expected), "{text}");
        }
    }
}
