//! A calendar date, and Python's `strftime` for it.
//!
//! Only what a date determines: a format that asks for hours, zones or a locale's own form has no answer here.

use core::fmt::Write as _;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
/// Characters of a format, at most.
const FORMAT_BYTES_MAX: usize = 256;

/// A date of the Gregorian calendar, of the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Date {
    /// Reads `YYYY-MM-DD`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let shape = text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        if text.len() != 10 || !shape {
            return None;
        }
        let part = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
        let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
        let right =
            year >= 1 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        right.then_some(Self { year, month, day })
    }

    fn day_of_year(self) -> u32 {
        let before: u32 = (1..self.month).map(|month| days_of(self.year, month)).sum();
        before + self.day
    }

    /// 0 for Sunday.
    fn weekday(self) -> u32 {
        let years = self.year - 1;
        (years * 365 + years / 4 - years / 100 + years / 400 + self.day_of_year()) % 7
    }

    /// What Python's `strftime` gives in the C locale; `None` when it needs more than a date.
    pub(crate) fn format(self, format: &str) -> Option<String> {
        if format.len() > FORMAT_BYTES_MAX {
            return None;
        }
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let mut code = chars.next()?;
            let plain = code == '-';
            if plain {
                code = chars.next()?;
            }
            self.write(&mut text, code, plain)?;
        }
        Some(text)
    }

    fn write(self, text: &mut String, code: char, plain: bool) -> Option<()> {
        let name = |names: &[&'static str], at: u32| {
            let name = *names.get(usize::try_from(at).ok()?)?;
            Some(name)
        };
        let (number, width) = match code {
            'd' => (self.day, 2),
            'm' => (self.month, 2),
            'y' => (self.year % 100, 2),
            'Y' => (self.year, 1),
            'j' => (self.day_of_year(), 3),
            'w' => (self.weekday(), 1),
            _ if plain => return None,
            'B' => return text.write_str(name(&MONTHS, self.month - 1)?).ok(),
            'b' | 'h' => {
                return text
                    .write_str(name(&MONTHS, self.month - 1)?.get(..3)?)
                    .ok();
            }
            'A' => return text.write_str(name(&DAYS, self.weekday())?).ok(),
            'a' => return text.write_str(name(&DAYS, self.weekday())?.get(..3)?).ok(),
            'e' => return write!(text, "{:2}", self.day).ok(),
            'F' => return text.write_str(&self.format("%Y-%m-%d")?).ok(),
            'D' => return text.write_str(&self.format("%m/%d/%y")?).ok(),
            '%' => return text.write_char('%').ok(),
            _ => return None,
        };
        let width = if plain { 1 } else { width };
        write!(text, "{number:0width$}").ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_python_does() {
        let date = Date::parse("2024-02-29").unwrap();
        let cases = [
            ("%d %b %Y", "29 Feb 2024"),
            ("%A, %B %-d, %Y", "Thursday, February 29, 2024"),
            (
                "%a %e %y %j %-m %m %F %D %%",
                "Thu 29 24 060 2 02 2024-02-29 02/29/24 %",
            ),
        ];
        for (format, expected) in cases {
            assert_eq!(date.format(format).as_deref(), Some(expected), "{format}");
        }
        for format in ["%H:%M", "%", "%-", "%-B", "%Z"] {
            assert_eq!(date.format(format), None, "{format}");
        }
    }

    #[test]
    fn weekdays_are_right() {
        for (date, day) in [
            ("1970-01-01", "Thursday"),
            ("2000-02-29", "Tuesday"),
            ("2026-11-21", "Saturday"),
            ("1900-03-01", "Thursday"),
        ] {
            assert_eq!(Date::parse(date).unwrap().format("%A").unwrap(), day);
        }
    }

    #[test]
    fn only_dates_are_read() {
        for text in [
            "",
            "2024-2-29",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "0000-01-01",
            "2024-01-32",
            "+024-01-01",
            "2024-01-01 ",
            "2024/01/01",
            "２０２４-01-01",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }
}
