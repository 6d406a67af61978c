//! Seconds since 1970 as a date in UTC and back, and the system's clock.

use std::time::{Duration, SystemTime};

use crate::error::CliError;

/// The last second of the year 9999, after which dates have other forms.
const LAST_UNIX_S: u64 = 253_402_300_799;

/// The time now, in seconds since 1970-01-01 UTC.
pub(crate) fn now_unix_s() -> Result<u64, CliError> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|e| CliError::ours("the system's clock is set before 1970", e))
}

/// A time in the form of RFC 3339, in UTC. Times after the year 9999 are given as seconds.
pub(crate) fn rfc3339(unix_s: u64) -> String {
    if unix_s > LAST_UNIX_S {
        return format!("{unix_s} s after 1970");
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// A time that a person gave, in seconds since 1970-01-01 UTC: `2027-01-31T12:00:00Z`, `2027-01-31` for its first second, or the seconds themselves.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    if let Ok(unix_s) = text.parse() {
        return Ok(unix_s);
    }
    let whole = if text.len() == "2027-01-31".len() {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    let time = humantime::parse_rfc3339(&whole)
        .map_err(|e| format!("{e}; a time is as in `2027-01-31T12:00:00Z` or `2027-01-31`"))?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| "it is before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_there_and_back() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_234_567_890, "2009-02-13T23:31:30Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (unix_s, text) in cases {
            assert_eq!(rfc3339(unix_s), text);
            assert_eq!(parse(text), Ok(unix_s));
            assert_eq!(parse(&unix_s.to_string()), Ok(unix_s));
        }
        assert_eq!(rfc3339(253_402_300_800), "253402300800 s after 1970");
        assert_eq!(parse("2000-02-29"), Ok(951_782_400));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "soon",
            "-1",
            "2001-02-29",
            "2000-13-01",
            "1969-12-31",
            "2000-02-29 12:00:00",
            "2000-02-29T12:00:00+01:00",
            "18446744073709551616",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
