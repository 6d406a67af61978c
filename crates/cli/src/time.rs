//! Seconds since 1970 to a date in UTC, and the system's clock.

use std::time::SystemTime;

use crate::error::CliError;

/// The time now, in seconds since 1970-01-01 UTC.
pub(crate) fn now_unix_s() -> Result<u64, CliError> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|e| CliError::ours("the system's clock is set before 1970", e))
}

/// A time in the form of RFC 3339, in UTC. Times after the year 9999 are given as seconds.
pub(crate) fn rfc3339(unix_s: u64) -> String {
    const DAY_S: u64 = 86_400;
    const LAST_UNIX_S: u64 = 253_402_300_799;
    if unix_s > LAST_UNIX_S {
        return format!("{unix_s} s after 1970");
    }
    let (days, s) = (unix_s / DAY_S, unix_s % DAY_S);
    let (year, month, day) = civil(days);
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

/// Year, month and day of a count of days since 1970-01-01.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`, for dates that are not before 1970: years
/// begin in March, so that the leap day comes last.
const fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_234_567_890, "2009-02-13T23:31:30Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800 s after 1970"),
        ];
        for (unix_s, text) in cases {
            assert_eq!(rfc3339(unix_s), text);
        }
    }
}
