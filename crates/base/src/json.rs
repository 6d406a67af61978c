//! Canonical JSON (RFC 8785), and the few value forms that wire types use in it.
//!
//! [`from_canonical`] parses, writes the value again and compares: whatever is reordered, doubled, spaced, escaped or
//! spelt in another way is refused, and nothing may stand before or after the value. Wire types must also say
//! `deny_unknown_fields`, for serde to refuse what it does not know.
//!
//! Integers that may pass 2^53 are [`U64String`], since RFC 8785 numbers are doubles. Nesting is bounded by
//! `serde_json` (128) and, in practice, by the wire types, none of which is recursive.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::digest::Digest;

/// Why bytes are not the canonical JSON of a value.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than the caller allows.
    #[error("expected at most {max} bytes of JSON, got {got}")]
    TooLong {
        /// The limit.
        max: usize,
        /// Bytes given.
        got: usize,
    },
    /// Not JSON, or not of the expected type.
    #[error("the JSON does not have the expected form")]
    Form(#[source] serde_json::Error),
    /// Another spelling of the value than the canonical one.
    #[error("the JSON is not in canonical form (RFC 8785): it first differs at byte {at}")]
    NotCanonical {
        /// Offset of the first byte that differs.
        at: usize,
    },
    /// The value has no canonical JSON.
    #[error("the value cannot be written as canonical JSON")]
    Encode(#[source] serde_json::Error),
}

/// Writes `value` as canonical JSON.
///
/// # Errors
/// [`JsonError::Encode`] when the type has no JSON form, such as a map with keys that are not text.
pub fn to_canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    serde_json_canonicalizer::to_vec(value).map_err(JsonError::Encode)
}

/// Reads a value from its canonical JSON, of at most `len_max` bytes.
///
/// # Errors
/// [`JsonError`] when the bytes are too many, not of the type's form, or not its canonical spelling.
pub fn from_canonical<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    len_max: usize,
) -> Result<T, JsonError> {
    if bytes.len() > len_max {
        return Err(JsonError::TooLong {
            max: len_max,
            got: bytes.len(),
        });
    }
    let value: T = serde_json::from_slice(bytes).map_err(JsonError::Form)?;
    let canonical = to_canonical(&value)?;
    if canonical != bytes {
        let same = canonical
            .iter()
            .zip(bytes)
            .take_while(|(a, b)| a == b)
            .count();
        return Err(JsonError::NotCanonical { at: same });
    }
    Ok(value)
}

/// Reads a value from JSON in any spelling, of at most `len_max` bytes.
///
/// Only for looking at bytes that [`from_canonical`] reads afterwards, or that no digest or signature covers.
///
/// # Errors
/// [`JsonError`] when the bytes are too many or not of the type's form.
pub fn from_any<T: DeserializeOwned>(bytes: &[u8], len_max: usize) -> Result<T, JsonError> {
    check_len(bytes, len_max)?;
    serde_json::from_slice(bytes).map_err(JsonError::Form)
}

const fn check_len(bytes: &[u8], len_max: usize) -> Result<(), JsonError> {
    if bytes.len() > len_max {
        return Err(JsonError::TooLong {
            max: len_max,
            got: bytes.len(),
        });
    }
    Ok(())
}

/// A 64-bit integer, in JSON a string of decimal digits with no sign and no leading zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct U64String(pub u64);

impl Serialize for U64String {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for U64String {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a 64-bit integer as decimal digits", |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let plain = digits && (text == "0" || !text.starts_with('0'));
            text.parse().ok().filter(|_| plain).map(Self)
        })
    }
}

/// 32 bytes, in JSON 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex32(pub [u8; 32]);

impl Serialize for Hex32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Digest::from_bytes(self.0))
    }
}

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "64 lower-case hexadecimal digits", |text| {
            text.parse::<Digest>().ok().map(|d| Self(*d.as_bytes()))
        })
    }
}

/// Bytes, in JSON base64 of the standard alphabet with padding (RFC 4648, section 4), canonical.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "base64 with padding", |text| {
            STANDARD.decode(text).ok().map(Self)
        })
    }
}

/// Reads a string without copying it first and hands it to `read`.
fn text<'de, D, T, F>(deserializer: D, expected: &'static str, read: F) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: Fn(&str) -> Option<T>,
{
    struct Text<F> {
        expected: &'static str,
        read: F,
    }

    impl<T, F: Fn(&str) -> Option<T>> Visitor<'_> for Text<F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            // The text itself is not repeated in the error: it may be megabytes of someone's prompt.
            (self.read)(text)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Other("other text"), &self))
        }
    }

    deserializer.deserialize_str(Text { expected, read })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        b: U64String,
        a: Hex32,
        c: Base64,
        #[serde(skip_serializing_if = "Option::is_none")]
        d: Option<String>,
    }

    fn sample() -> Sample {
        Sample {
            b: U64String(u64::MAX),
            a: Hex32([1; 32]),
            c: Base64(vec![0xfb, 0xff]),
            d: None,
        }
    }

    fn canonical() -> String {
        format!(
            r#"{{"a":"{}","b":"18446744073709551615","c":"+/8="}}"#,
            "01".repeat(32)
        )
    }

    #[test]
    fn writes_rfc_8785_and_reads_it_back() {
        assert_eq!(
            String::from_utf8(to_canonical(&sample()).unwrap()).unwrap(),
            canonical()
        );
        assert_eq!(
            from_canonical::<Sample>(canonical().as_bytes(), 1024).unwrap(),
            sample()
        );
    }

    #[test]
    fn any_other_spelling_is_refused() {
        let good = canonical();
        let cases = [
            ("trailing newline", format!("{good}\n")),
            ("leading space", format!(" {good}")),
            ("inner space", good.replace(':', ": ")),
            ("unknown field", good.replacen('{', r#"{"0":1,"#, 1)),
            ("doubled field", good.replacen('{', r#"{"b":"1","#, 1)),
            (
                "null for absent",
                good.replace(r#""+/8=""#, r#""+/8=","d":null"#),
            ),
            ("escaped letter", good.replacen("\"a\"", "\"\\u0061\"", 1)),
            (
                "number for string",
                good.replace("\"18446744073709551615\"", "1"),
            ),
            ("leading zero", good.replace("18446744073709551615", "01")),
            ("plus sign", good.replace("18446744073709551615", "+1")),
            (
                "over 64 bits",
                good.replace("18446744073709551615", "18446744073709551616"),
            ),
            ("empty integer", good.replace("18446744073709551615", "")),
            ("no padding", good.replace("+/8=", "+/8")),
            ("url alphabet", good.replace("+/8=", "-_8=")),
            ("loose bits", good.replace("+/8=", "+/9=")),
            ("upper-case digits", good.replacen("01", "0A", 1)),
            ("other order", {
                let (a, rest) = good[1..].split_once(',').unwrap();
                format!("{{{},{a}}}", rest.trim_end_matches('}'))
            }),
        ];
        for (name, text) in cases {
            assert_ne!(text, good, "{name}");
            assert!(
                from_canonical::<Sample>(text.as_bytes(), 1024).is_err(),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn length_is_limited_and_truncation_refused() {
        let good = canonical();
        assert!(matches!(
            from_canonical::<Sample>(good.as_bytes(), good.len() - 1),
            Err(JsonError::TooLong { .. })
        ));
        for len in 0..good.len() {
            assert!(from_canonical::<Sample>(&good.as_bytes()[..len], 1024).is_err());
        }
    }
}
