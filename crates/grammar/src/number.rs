//! Numbers, digit by digit: which may come so that the number can still be in its range.
//!
//! A number has at most 15 digits, so that a double holds it without a change of order; an exponent, which only a number without bounds may have, at most two more. Bounds are
//! fixed-point, in units of 10⁻¹⁵.

/// Most digits of a number, before and behind the point together.
const DIGITS_MAX: u32 = 15;
/// Most digits of an exponent.
const EXPONENT_DIGITS_MAX: u8 = 2;
/// One, in units of bounds.
const ONE: i128 = 1_000_000_000_000_000;

/// What numbers fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) integer: bool,
    /// The least and the greatest, in units of 10⁻¹⁵.
    pub(crate) min: Option<i128>,
    pub(crate) max: Option<i128>,
}

/// How far a number has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Digits {
    /// Nothing, or a minus sign.
    Sign { negative: bool },
    /// Digits before the point, and behind it if there is one.
    Places {
        negative: bool,
        whole: u32,
        behind: Option<u32>,
        value: i128,
    },
    /// An exponent: whether its sign may still come, and its digits.
    Exponent { sign: bool, digits: u8 },
}

/// A decimal number in units of 10⁻¹⁵; none if it has more digits behind the point. What is beyond every number that can be written is cut to there.
pub(crate) fn bound(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, behind].concat();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let value: i128 = digits.get(..digits.len().min(30))?.parse().ok()?;
    let cut = i32::try_from(digits.len().saturating_sub(30)).ok()?;
    let behind = i32::try_from(behind.len()).ok()?;
    // value · 10^power units.
    let power = exponent
        .saturating_add(15)
        .saturating_sub(behind)
        .saturating_add(cut);
    let beyond = 2 * ONE * ONE;
    let value = if power >= 0 {
        let factor = u32::try_from(power)
            .ok()
            .and_then(|p| 10_i128.checked_pow(p));
        let product = factor.and_then(|factor| value.checked_mul(factor));
        product.unwrap_or(beyond).min(beyond)
    } else {
        let divisor = 10_i128.checked_pow(power.unsigned_abs())?;
        if value % divisor != 0 || cut > 0 {
            return None;
        }
        value / divisor
    };
    Some(if negative { -value } else { value })
}

fn ten(power: u32) -> i128 {
    10_i128.checked_pow(power).unwrap_or(i128::MAX)
}

impl Range {
    pub(crate) const fn any() -> Self {
        Self {
            integer: false,
            min: None,
            max: None,
        }
    }

    const fn is_free(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    /// Whether no number fits.
    pub(crate) fn is_empty(&self) -> bool {
        ![false, true].into_iter().any(|negative| {
            let signs = Digits::Sign { negative };
            (b'0'..=b'9').any(|byte| self.step(signs, byte).is_some())
        })
    }

    /// What follows a byte, if a number can come of it.
    pub(crate) fn step(&self, digits: Digits, byte: u8) -> Option<Digits> {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'));
        let next = match digits {
            Digits::Sign { negative: false } if byte == b'-' => {
                let next = Digits::Sign { negative: true };
                return (b'0'..=b'9')
                    .any(|byte| self.step(next, byte).is_some())
                    .then_some(next);
            }
            Digits::Sign { negative } => {
                let value = digit.filter(|digit| !negative || !self.integer || *digit > 0)?;
                Digits::Places {
                    negative,
                    whole: 1,
                    behind: None,
                    value,
                }
            }
            Digits::Places {
                negative,
                whole,
                behind,
                value,
            } => match (byte, digit, behind) {
                (_, Some(digit), _) => {
                    let leads = behind.is_none() && value == 0;
                    let used = whole.saturating_add(behind.unwrap_or(0));
                    if leads || used >= DIGITS_MAX {
                        return None;
                    }
                    Digits::Places {
                        negative,
                        whole: whole + u32::from(behind.is_none()),
                        behind: behind.map(|behind| behind + 1),
                        value: value * 10 + digit,
                    }
                }
                (b'.', _, None) if !self.integer && whole < DIGITS_MAX => Digits::Places {
                    negative,
                    whole,
                    behind: Some(0),
                    value,
                },
                (b'e' | b'E', _, behind)
                    if !self.integer && self.is_free() && behind != Some(0) =>
                {
                    Digits::Exponent {
                        sign: true,
                        digits: 0,
                    }
                }
                _ => return None,
            },
            Digits::Exponent { sign, digits } => match (byte, digit) {
                (b'+' | b'-', _) if sign => Digits::Exponent {
                    sign: false,
                    digits,
                },
                (_, Some(_)) if digits < EXPONENT_DIGITS_MAX => Digits::Exponent {
                    sign: false,
                    digits: digits + 1,
                },
                _ => return None,
            },
        };
        self.can_fit(next).then_some(next)
    }

    /// Whether the number may end here.
    pub(crate) fn is_whole(&self, digits: Digits) -> bool {
        match digits {
            Digits::Sign { .. } => false,
            Digits::Exponent { digits, .. } => digits > 0,
            Digits::Places {
                negative,
                behind,
                value,
                ..
            } => {
                let behind_places = behind.unwrap_or(0);
                let unit = ten(DIGITS_MAX.saturating_sub(behind_places));
                let (min, max) = self.mirrored(negative);
                behind != Some(0) && (min..=max).contains(&value.saturating_mul(unit))
            }
        }
    }

    /// The bounds on the number without its sign.
    fn mirrored(&self, negative: bool) -> (i128, i128) {
        let (min, max) = if negative {
            (self.max.map(|max| -max), self.min.map(|min| -min))
        } else {
            (self.min, self.max)
        };
        (min.unwrap_or(0).max(0), max.unwrap_or(i128::MAX))
    }

    /// Whether some number that begins so is in the range.
    fn can_fit(&self, digits: Digits) -> bool {
        let Digits::Places {
            negative,
            whole,
            behind,
            value,
        } = digits
        else {
            return true;
        };
        let (min, max) = self.mirrored(negative);
        let left = DIGITS_MAX.saturating_sub(whole.saturating_add(behind.unwrap_or(0)));
        // A grid point of `low, low + step, …, high` that is in the range.
        let reaches = |low: i128, high: i128, step: i128| {
            let from = low.max(min);
            let up = from.saturating_add(step - 1) / step * step;
            up <= high.min(max)
        };
        match behind {
            Some(behind) => {
                let unit = ten(DIGITS_MAX.saturating_sub(behind));
                let step = ten(DIGITS_MAX.saturating_sub(behind.saturating_add(left)));
                reaches(value * unit, (value + 1) * unit - step, step)
            }
            None => {
                let more = if value == 0 { 0 } else { left };
                (0..=more).any(|more| {
                    let places = if self.integer { 0 } else { left - more };
                    let step = ten(DIGITS_MAX - places);
                    let low = value * ten(more) * ONE;
                    let high = (value + 1) * ten(more) * ONE - step;
                    reaches(low, high, step)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(range: Range, text: &str) -> bool {
        let mut digits = Digits::Sign { negative: false };
        for byte in text.bytes() {
            match range.step(digits, byte) {
                Some(next) => digits = next,
                None => return false,
            }
        }
        range.is_whole(digits)
    }

    fn range(integer: bool, min: &str, max: &str) -> Range {
        Range {
            integer,
            min: bound(min),
            max: bound(max),
        }
    }

    #[test]
    fn bounds_are_read_exactly() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("1", Some(ONE)),
            ("-2.5", Some(-5 * ONE / 2)),
            ("1e-15", Some(1)),
            ("1e-16", None),
            ("0.1", Some(ONE / 10)),
            ("1.5e3", Some(1500 * ONE)),
            ("1e300", Some(2 * ONE * ONE)),
            ("-1e300", Some(-2 * ONE * ONE)),
            ("18446744073709551615", Some(2 * ONE * ONE)),
            ("1e-2000000000", None),
        ] {
            assert_eq!(bound(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_that_fit_and_that_do_not() {
        for (text, free, whole, seven) in [
            ("0", true, true, true),
            ("-0", true, false, false),
            ("01", false, false, false),
            ("7", true, true, true),
            ("8", true, true, false),
            ("-7", true, true, true),
            ("-12", true, true, false),
            ("1.", false, false, false),
            ("1.5", true, false, false),
            ("1e5", true, false, false),
            ("-1.25E-07", true, false, false),
            ("1e123", false, false, false),
            ("123456789012345", true, true, false),
            ("1234567890123456", false, false, false),
            ("0.1234567890123456", false, false, false),
            ("-", false, false, false),
            ("", false, false, false),
        ] {
            let integer = Range {
                integer: true,
                ..Range::any()
            };
            assert_eq!(takes(Range::any(), text), free, "{text}");
            assert_eq!(takes(integer, text), whole, "{text}");
            assert_eq!(takes(range(true, "-7", "7"), text), seven, "{text}");
        }
        assert!(takes(range(false, "0.5", "0.75"), "0.5"));
        assert!(!takes(range(false, "0.5", "0.75"), "0.4"));
        assert!(takes(range(false, "-0.75", "-0.5"), "-0.6"));
        assert!(range(true, "3", "2").is_empty());
        assert!(range(true, "0.1", "0.9").is_empty());
        assert!(!range(false, "0.1", "0.9").is_empty());
        assert!(range(true, "1e15", "1e16").is_empty());
        assert!(!range(true, "-5", "-5").is_empty());
    }

    proptest! {
        /// A prefix is let pass if and only if some number with it fits: no walk gets stuck, and none leaves the range.
        #[test]
        fn no_prefix_is_a_trap(integer: bool, a in -3000_i64..3000, len in 0_i64..50, draws in prop::collection::vec(0..12_usize, 1..20)) {
            let range = Range { integer, min: Some(i128::from(a) * ONE / 10), max: Some(i128::from(a + len) * ONE / 10) };
            let mut digits = Digits::Sign { negative: false };
            let mut text = String::new();
            if range.is_empty() {
                return Ok(());
            }
            for draw in draws {
                let bytes = b"0123456789.-";
                let ways: Vec<u8> = bytes.iter().copied().filter(|&byte| range.step(digits, byte).is_some()).collect();
                if ways.is_empty() {
                    break;
                }
                let byte = ways[draw % ways.len()];
                text.push(char::from(byte));
                digits = range.step(digits, byte).unwrap();
            }
            // From anywhere, the number can be brought to an end.
            for _ in 0..40 {
                if range.is_whole(digits) {
                    break;
                }
                let byte = b"0987654321.".iter().copied().find(|&byte| range.step(digits, byte).is_some());
                let byte = byte.unwrap();
                text.push(char::from(byte));
                digits = range.step(digits, byte).unwrap();
            }
            prop_assert!(range.is_whole(digits), "{}", text);
            let value: f64 = text.parse().unwrap();
            prop_assert!(value * 10.0 >= a as f64 - 1e-9 && value * 10.0 <= (a + len) as f64 + 1e-9, "{}", text);
        }
    }
}
