//! The time, as an argument: whoever runs a server hands in a clock, and tests hand in theirs.
//!
//! It deliberately does not say that the clock is right. A time of 0 stands for none, and nothing is cosigned at it.

use std::sync::Arc;
use std::time::SystemTime;

/// Seconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's clock; 0 when it stands before 1970.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    })
}
