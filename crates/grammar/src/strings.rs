//! The inside of a JSON string, byte by byte: whole characters of UTF-8, and escapes.

/// Where in a character a string stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Between two characters.
    Between,
    /// Behind a backslash.
    Escape,
    /// Behind `\u` and so many digits; `surrogate` if the first is `d`, so that the second must be below 8.
    Hex { digits: u8, surrogate: bool },
    /// Within a character of UTF-8: how many bytes follow, and which may come next.
    Within { left: u8, low: u8, high: u8 },
}

/// What a byte is to a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The string ends.
    Closed,
    /// It goes on; `true` if a character began.
    On(Part, bool),
}

/// What follows a byte. `escapes` says whether any may come.
pub(crate) fn step(part: Part, byte: u8, escapes: bool) -> Option<Moved> {
    let within = |left, low, high| Some(Moved::On(Part::Within { left, low, high }, true));
    match part {
        Part::Between => match byte {
            b'"' => Some(Moved::Closed),
            b'\\' if escapes => Some(Moved::On(Part::Escape, true)),
            b'\\' | 0..0x20 => None,
            0x20..0x80 => Some(Moved::On(Part::Between, true)),
            0xc2..=0xdf => within(1, 0x80, 0xbf),
            0xe0 => within(2, 0xa0, 0xbf),
            0xe1..=0xec | 0xee | 0xef => within(2, 0x80, 0xbf),
            0xed => within(2, 0x80, 0x9f),
            0xf0 => within(3, 0x90, 0xbf),
            0xf1..=0xf3 => within(3, 0x80, 0xbf),
            0xf4 => within(3, 0x80, 0x8f),
            0x80..0xc2 | 0xf5.. => None,
        },
        Part::Escape => match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                Some(Moved::On(Part::Between, false))
            }
            b'u' => Some(Moved::On(
                Part::Hex {
                    digits: 0,
                    surrogate: false,
                },
                false,
            )),
            _ => None,
        },
        Part::Hex { digits, surrogate } => {
            let low = matches!(byte, b'0'..=b'7');
            if !byte.is_ascii_hexdigit() || (digits == 1 && surrogate && !low) {
                return None;
            }
            let next = if digits == 3 {
                Part::Between
            } else {
                Part::Hex {
                    digits: digits + 1,
                    surrogate: digits == 0 && matches!(byte, b'd' | b'D'),
                }
            };
            Some(Moved::On(next, false))
        }
        Part::Within { left, low, high } => {
            if !(low..=high).contains(&byte) {
                return None;
            }
            let next = if left == 1 {
                Part::Between
            } else {
                Part::Within {
                    left: left - 1,
                    low: 0x80,
                    high: 0xbf,
                }
            };
            Some(Moved::On(next, false))
        }
    }
}

/// Characters of a token that is nothing but whole characters, none of them a quote, a backslash or a control character.
pub(crate) fn plain(token: &[u8]) -> Option<usize> {
    let text = core::str::from_utf8(token).ok()?;
    let special = |c: char| c == '"' || c == '\\' || c < ' ';
    (!text.is_empty() && !text.chars().any(special)).then(|| text.chars().count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether the inside of a string is taken, up to its closing quote.
    fn takes(bytes: &[u8]) -> bool {
        let mut part = Part::Between;
        for (at, &byte) in bytes.iter().enumerate() {
            match step(part, byte, true) {
                Some(Moved::On(next, _)) => part = next,
                Some(Moved::Closed) => return at + 1 == bytes.len(),
                None => return false,
            }
        }
        false
    }

    fn parses(inside: &[u8]) -> bool {
        let text = [b"\"", inside].concat();
        serde_json::from_slice::<String>(&text).is_ok()
    }

    #[test]
    fn strings_are_those_that_json_has_but_for_surrogates() {
        let cases: [&[u8]; 14] = [
            b"\"",
            b"abc\"",
            b"\\n\\\"\\u00fC\"",
            "ü€𝄞\"".as_bytes(),
            b"\\x\"",
            b"\\u12g4\"",
            b"\n\"",
            b"\xc3\"",
            b"\xed\xa0\x80\"",
            b"\xf4\x90\x80\x80\"",
            b"\xc0\x80\"",
            b"\xe0\x80\x80\"",
            b"\\ud7ff\\ue000\"",
            b"\\ud800\"",
        ];
        for case in cases {
            assert_eq!(takes(case), parses(case), "{case:x?}");
        }
        // A pair of surrogates is JSON, and is not allowed: the character itself is.
        assert!(parses(b"\\ud834\\udd1e\"") && !takes(b"\\ud834\\udd1e\""));
    }

    proptest! {
        #[test]
        fn what_is_taken_parses(bytes in prop::collection::vec(prop::sample::select(vec![b'a', b'"', b'\\', b'u', b'd', b'8', b'0', 0xc3, 0xbc, 0xed, 0xa0, 0x9f, 0xe2, 0x82, 0xac, 0xf0, 0x90, b'n', 0x1f]), 0..12)) {
            let inside = [bytes.as_slice(), b"\""].concat();
            if takes(&inside) {
                prop_assert!(parses(&inside), "{:x?}", inside);
            } else if !bytes.contains(&b'"') && parses(&inside) {
                prop_assert!(bytes.windows(3).any(|w| w[..2] == *b"\\u" && (w[2] == b'd')), "{:x?}", inside);
            }
        }
    }
}
