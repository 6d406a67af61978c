//! How much the API takes at once.

use std::time::Duration;

/// Limits on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// The most inferences at once; one more is answered `429`.
    pub concurrent_max: usize,
    /// The longest that a request may take, body and all.
    pub request_time_max: Duration,
}

impl Limits {
    /// 16 MiB, 32 at once, one minute.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            body_bytes_max: 16 * 1024 * 1024,
            concurrent_max: 32,
            request_time_max: Duration::from_secs(60),
        }
    }
}
