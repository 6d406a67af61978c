//! Decimal digits to millionths, exactly.
//!
//! `0.7` is 700,000 millionths and nothing near it: no binary fraction is ever made. Digits beyond the sixth are rounded, half to even.

/// Why digits are no number of millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a JSON number.
    #[error("expected a number")]
    Form,
    /// Too large for any parameter.
    #[error("expected a number of less than a billion")]
    Large,
}

/// Decimal digits of the largest whole part, in millionths.
const DIGITS_MAX: i64 = 15;

/// The number that a JSON number's text stands for, in millionths.
///
/// # Errors
/// [`NumberError`] when it is no number, or 10⁹ or more in magnitude.
pub fn millionths(text: &str) -> Result<i64, NumberError> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(NumberError::Form),
        None => (mantissa, ""),
    };
    let digits = [whole, fraction].concat();
    if whole.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NumberError::Form);
    }
    let shift = exponent.map_or(Ok(0), read_exponent)?;
    let leading = digits.bytes().take_while(|&digit| digit == b'0').count();
    let significant = digits.get(leading..).unwrap_or_default();
    if significant.is_empty() {
        return Ok(0);
    }
    let len = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / 4);
    // How many of the significant digits stand before the point, once it is moved to millionths.
    let kept = len(whole.len()) - len(leading) + shift + 6;
    if kept > DIGITS_MAX {
        return Err(NumberError::Large);
    }
    let magnitude = rounded(significant, kept);
    Ok(if negative { -magnitude } else { magnitude })
}

/// An exponent; one beyond all use is cut to where it still is.
fn read_exponent(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(digits), _) => (true, digits),
        (None, Some(digits)) => (false, digits),
        (None, None) => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NumberError::Form);
    }
    let far = 1 << 40;
    let size = digits.parse::<i64>().unwrap_or(far).min(far);
    Ok(if negative { -size } else { size })
}

/// The first `kept` digits (at most 15) as a number, rounded by those behind, half to even.
fn rounded(digits: &str, kept: i64) -> i64 {
    let mut number = 0;
    for at in 0..kept.max(0) {
        let digit = usize::try_from(at)
            .ok()
            .and_then(|at| digits.as_bytes().get(at));
        number = number * 10 + digit.map_or(0, |digit| i64::from(digit - b'0'));
    }
    let behind = match usize::try_from(kept) {
        Ok(kept) => digits.get(kept..).unwrap_or_default(),
        // A zero stands between the point and the first of them.
        Err(_) => "",
    };
    let half = match behind.as_bytes().split_first() {
        None => core::cmp::Ordering::Less,
        Some((first, more)) => first
            .cmp(&b'5')
            .then_with(|| more.iter().any(|&digit| digit != b'0').cmp(&false)),
    };
    let up = match half {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => number % 2 == 1,
        core::cmp::Ordering::Greater => true,
    };
    number + i64::from(up)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_read_as_they_stand() {
        let cases = [
            ("0.7", 700_000),
            ("1", 1_000_000),
            ("0", 0),
            ("-0.0", 0),
            ("2.0", 2_000_000),
            ("-1.5", -1_500_000),
            ("1e-6", 1),
            ("1E+1", 10_000_000),
            ("0.1e1", 1_000_000),
            ("12.34e-1", 1_234_000),
            ("0.0000005", 0),
            ("0.0000015", 2),
            ("0.0000025", 2),
            ("0.00000250000000000000000000000001", 3),
            ("0.0000004999999", 0),
            ("0.0000005000001", 1),
            ("0.99999949", 999_999),
            ("0.9999995", 1_000_000),
            ("0.1000000000000000055511151231257827", 100_000),
            ("1e-999999999999999999999", 0),
            ("0e999999999999999999999", 0),
            ("999999999.9", 999_999_999_900_000),
            ("-100", -100_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(millionths(text), Ok(expected), "{text}");
        }
        for text in ["1e9", "1000000000", "9e99999999999999999999", "-1e300"] {
            assert_eq!(millionths(text), Err(NumberError::Large), "{text}");
        }
        for text in [
            "", "-", ".5", "1.", "1e", "1e+", "0x1", "NaN", "1.2.3", "\"1\"", "１", "1 ",
        ] {
            assert_eq!(millionths(text), Err(NumberError::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn six_decimals_lose_nothing(number in -2_000_000_000_i64..2_000_000_000) {
            let sign = if number < 0 { "-" } else { "" };
            let size = number.unsigned_abs();
            let text = format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000);
            prop_assert_eq!(millionths(&text), Ok(number));
            prop_assert_eq!(millionths(&format!("{number}e-6")), Ok(number));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE]{0,40}") {
            if let (Ok(got), Ok(float)) = (millionths(&text), text.parse::<f64>()) {
                let near = (got as f64 - float * 1e6).abs() <= 0.51 + float.abs() * 1e-9;
                prop_assert!(near, "{} {} {}", text, got, float);
            }
        }
    }
}
