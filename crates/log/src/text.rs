//! The few text forms that C2SP's formats share: lines, decimal numbers, base64.
//!
//! Each has one spelling, so that reading and writing again gives the same bytes.
//!
//! It deliberately knows no format: which line stands where is the business of each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A number in decimal digits with no leading zero, at most `max`.
pub(crate) fn decimal(text: &str, max: u64) -> Option<u64> {
    let digits = text.as_bytes();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let leading = digits.len() > 1 && digits.first() == Some(&b'0');
    if !plain || leading || digits.len() > 20 {
        return None;
    }
    text.parse().ok().filter(|value| *value <= max)
}

/// Base64 with padding, in its one spelling.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Base64 with padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Splits off the first line; `None` when there is no newline.
pub(crate) fn line(text: &str) -> Option<(&str, &str)> {
    text.split_once('\n')
}

/// Whether a note may not hold the character: ASCII controls but the newline (`signed-note`, "Format").
pub(crate) const fn is_banned(c: char) -> bool {
    c < ' ' && c != '\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        let cases = [
            ("0", Some(0)),
            ("10", Some(10)),
            ("11", None),
            ("", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1_0", None),
            ("٣", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decimal(text, 10), expected, "{text}");
        }
        assert_eq!(decimal("18446744073709551615", u64::MAX), Some(u64::MAX));
        assert_eq!(decimal("18446744073709551616", u64::MAX), None);
    }
}
