//! One request over HTTP, bounded in time and in bytes whatever the other side does.
//!
//! The time holds for everything from the first look-up of the name to the last byte of the body, so a server that sends one byte
//! at a time gains nothing by it. Redirections are not followed: an address that was configured is the one that is asked.
//!
//! It deliberately trusts nothing that comes, and retries nothing.

use std::io::Read as _;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Response, Uri};

/// Longest head of an answer, in bytes.
const HEAD_LEN_MAX: usize = 16 * 1024;
/// Idle connections are closed after this time, before usual servers do so.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Why nothing usable came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection failed, broke off or took too long.
    #[error("`{url}` gave no answer in time")]
    Connection {
        /// What was asked.
        url: String,
        /// What the client said.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The body broke off or took too long.
    #[error("the answer of `{url}` broke off")]
    Body {
        /// What was asked.
        url: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The body is longer than is read.
    #[error("the answer of `{url}` has more than {max} bytes")]
    TooLong {
        /// What was asked.
        url: String,
        /// The limit in bytes.
        max: usize,
    },
}

/// Why a text is not an address to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an address: expected `http://` or `https://`, a host and a path, with no query, fragment or user"
)]
pub struct PrefixError {
    /// The text.
    pub text: String,
}

/// The prefix of a server's paths, such as `https://log.example/receipts`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(String);

impl Prefix {
    /// Takes `text` as a prefix; slashes at its end are dropped.
    ///
    /// # Errors
    /// [`PrefixError`] when it is none.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let refused = || PrefixError {
            text: text.to_owned(),
        };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        if !scheme || !host || text.contains(['?', '#', '@']) {
            return Err(refused());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of `path`, which begins without a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

impl core::fmt::Display for Prefix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body, within the limit.
    pub body: Vec<u8>,
}

/// How much of an answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The longest body, in bytes.
    pub len_max: usize,
    /// The longest time for everything.
    pub time_max: Duration,
}

/// A client that keeps connections for a moment.
#[derive(Debug, Clone)]
pub struct Fetcher(Agent);

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetcher {
    /// A client with no connections yet.
    #[must_use]
    pub fn new() -> Self {
        Self::named("credence")
    }

    /// A client that calls itself so in the header `user-agent`.
    #[must_use]
    pub fn named(user_agent: &str) -> Self {
        Self(
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_response_header_size(HEAD_LEN_MAX)
                .max_idle_age(IDLE_MAX)
                .user_agent(user_agent)
                .build()
                .into(),
        )
    }

    /// Asks for `url`.
    ///
    /// # Errors
    /// [`FetchError`] when no whole answer within the bounds came. Any status is an answer.
    pub fn get(&self, url: &str, bounds: Bounds) -> Result<Reply, FetchError> {
        let request = self
            .0
            .get(url)
            .config()
            .timeout_global(Some(bounds.time_max))
            .build();
        read(url, request.call(), bounds)
    }

    /// Sends `body` to `url`.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub fn post(&self, url: &str, body: &str, bounds: Bounds) -> Result<Reply, FetchError> {
        let request = self
            .0
            .post(url)
            .header("content-type", "text/plain; charset=utf-8")
            .config()
            .timeout_global(Some(bounds.time_max))
            .build();
        read(url, request.send(body), bounds)
    }
}

impl Fetcher {
    /// Sends `body`, of a media type, to `url`, and gives a header of the answer beside it, if it is there and text.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub fn post_for(
        &self,
        url: &str,
        (media_type, body): (&str, &str),
        header: &str,
        bounds: Bounds,
    ) -> Result<(Reply, Option<String>), FetchError> {
        let request = self
            .0
            .post(url)
            .header("content-type", media_type)
            .config()
            .timeout_global(Some(bounds.time_max))
            .build();
        let answer = request.send(body);
        let named = answer.as_ref().ok().and_then(|answer| {
            let value = answer.headers().get(header)?;
            value.to_str().ok().map(str::to_owned)
        });
        Ok((read(url, answer, bounds)?, named))
    }

    /// Sends bytes of a media type to `url`.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub fn post_bytes(
        &self,
        url: &str,
        media_type: &str,
        body: &[u8],
        bounds: Bounds,
    ) -> Result<Reply, FetchError> {
        let request = self
            .0
            .post(url)
            .header("content-type", media_type)
            .config()
            .timeout_global(Some(bounds.time_max))
            .build();
        read(url, request.send(body), bounds)
    }
}

fn read(
    url: &str,
    answer: Result<Response<ureq::Body>, ureq::Error>,
    bounds: Bounds,
) -> Result<Reply, FetchError> {
    let mut answer = answer.map_err(|source| FetchError::Connection {
        url: url.to_owned(),
        source: Box::new(source),
    })?;
    let status = answer.status().as_u16();
    let one_more = u64::try_from(bounds.len_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut body = Vec::new();
    answer
        .body_mut()
        .as_reader()
        .take(one_more)
        .read_to_end(&mut body)
        .map_err(|source| FetchError::Body {
            url: url.to_owned(),
            source,
        })?;
    if body.len() > bounds.len_max {
        return Err(FetchError::TooLong {
            url: url.to_owned(),
            max: bounds.len_max,
        });
    }
    Ok(Reply { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_plain_addresses() {
        for (text, expected) in [
            ("http://a", Some("http://a")),
            ("https://a:1/b/c//", Some("https://a:1/b/c")),
            ("http://[::1]:80/x", Some("http://[::1]:80/x")),
            ("ftp://a", None),
            ("a/b", None),
            ("/a", None),
            ("http://", None),
            ("http://u@a", None),
            ("http://a?x", None),
            ("http://a#x", None),
            ("http://a b", None),
            ("", None),
        ] {
            let got = Prefix::new(text).ok();
            assert_eq!(got.as_ref().map(Prefix::as_str), expected, "{text}");
        }
    }
}
