//! How much the API takes at once.

use std::time::Duration;

/// Limits on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// The most bytes of all bodies that are being read or worked on; whoever comes then is answered `429`.
    pub bodies_bytes_max: u32,
    /// The most inferences of tensor models at once; one more is answered `429`.
    pub concurrent_max: usize,
    /// The most connections; one more waits until another ends.
    pub connections_max: usize,
    /// The longest that a request's head may take.
    pub head_time_max: Duration,
    /// The longest that a request may take, body and all. An answer in words takes as long as it takes: this bounds its body alone.
    pub request_time_max: Duration,
    /// The longest that a client may leave what is sent to it untaken; and in that time it takes at least 16 KiB, if there is so much.
    pub write_time_max: Duration,
}

impl Limits {
    /// 16 MiB each, 256 MiB together, 32 inferences, 4,096 connections, 10 s for a head, one minute, 30 s to take what is sent.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            body_bytes_max: 16 * 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            concurrent_max: 32,
            connections_max: 4096,
            head_time_max: Duration::from_secs(10),
            request_time_max: Duration::from_secs(60),
            write_time_max: Duration::from_secs(30),
        }
    }
}
