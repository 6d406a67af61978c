//! A part over HTTP: from where an earlier attempt ended, as far as the pinned length.
//!
//! ```text
//! part of n bytes ─▶ GET, Range: bytes=n- ─┬─ 206 from n ─▶ appended
//!                                          ├─ 200 ────────▶ written anew: the server knows no ranges
//!                                          └─ 416 ────────▶ part removed, asked once more without a range
//! ```
//!
//! What is deliberately absent: trust in what comes (the caller takes the digest), passwords and tokens, retries.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;

use super::{Attempt, FetchSink, FetchStage, SourceError};
use crate::catalogue::is_address;

/// Longest wait for a connection, and for the beginning of an answer.
const WAIT: Duration = Duration::from_secs(30);
/// Bytes that are written, and told, at once.
const PIECE_BYTES: usize = 1 << 18;

/// Brings the part to its full length. A source that sends nothing for `idle` has failed.
pub(super) fn fetch(
    attempt: &Attempt<'_>,
    (url, idle): (&str, Duration),
    tell: &mut FetchSink<'_>,
) -> Result<(), SourceError> {
    if !is_address(url) {
        return Err(SourceError::Address {
            url: url.to_owned(),
        });
    }
    let fail = |source| SourceError::Write {
        path: attempt.part.clone(),
        source,
    };
    let mut part = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&attempt.part)
        .map_err(fail)?;
    let have = part.metadata().map_err(fail)?.len();
    if have == attempt.entry.size_bytes {
        return Ok(());
    }
    let from = if have > attempt.entry.size_bytes {
        0
    } else {
        have
    };
    let mut response = ask(url, from)?;
    let mut from = match (response.status().as_u16(), from) {
        (206, from) if from > 0 => {
            if begins_at(&response) != Some(from) {
                return Err(SourceError::Range);
            }
            from
        }
        (200, _) => 0,
        (416, 1..) => {
            response = ask(url, 0)?;
            match response.status().as_u16() {
                200 => 0,
                status => return Err(SourceError::Status { status }),
            }
        }
        (status, _) => return Err(SourceError::Status { status }),
    };
    part.set_len(from).map_err(fail)?;
    part.seek(SeekFrom::Start(from)).map_err(fail)?;
    let reader = response.into_body().into_reader();
    from = copy(attempt, (reader, idle), (&mut part, from), tell)?;
    part.sync_all().map_err(fail)?;
    if from < attempt.entry.size_bytes {
        return Err(SourceError::Interrupted {
            expected: attempt.entry.size_bytes,
            got: from,
            source: None,
        });
    }
    Ok(())
}

/// Copies until the pinned length is reached or nothing more comes; how far it came. A byte more than pinned is refused, and so is a source that sends nothing for `idle`: its bytes are
/// read on a thread of their own, which is left behind then and ends with its connection.
fn copy(
    attempt: &Attempt<'_>,
    (reader, idle): (impl Read + Send + 'static, Duration),
    (part, mut done): (&mut File, u64),
    tell: &mut FetchSink<'_>,
) -> Result<u64, SourceError> {
    let of = attempt.entry.size_bytes;
    let (send, pieces) = sync_channel(1);
    let broken = |source, got| SourceError::Interrupted {
        expected: of,
        got,
        source: Some(source),
    };
    let spawned = thread::Builder::new().spawn(move || read_all(reader, &send));
    spawned.map_err(|source| broken(source, done))?;
    loop {
        tell(FetchStage::Bytes { done, of });
        let piece: Vec<u8> = match pieces.recv_timeout(idle) {
            Ok(piece) => piece.map_err(|source| broken(source, done))?,
            Err(RecvTimeoutError::Disconnected) => return Ok(done),
            Err(RecvTimeoutError::Timeout) => {
                let what = format!("nothing came for {} s", idle.as_secs());
                return Err(broken(io::Error::new(ErrorKind::TimedOut, what), done));
            }
        };
        let after = done.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if after > of {
            return Err(SourceError::Size {
                expected: of,
                got: after,
            });
        }
        part.write_all(&piece)
            .map_err(|source| SourceError::Write {
                path: attempt.part.clone(),
                source,
            })?;
        done = after;
    }
}

/// Sends what is read, piece by piece, until it ends or nobody wants more.
fn read_all(mut reader: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match reader.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => Ok(piece.get(..count).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        if to.send(read).is_err() || failed {
            return;
        }
    }
}

fn ask(url: &str, from: u64) -> Result<Response<ureq::Body>, SourceError> {
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(WAIT))
        .timeout_recv_response(Some(WAIT))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(url);
    if from > 0 {
        request = request.header("range", format!("bytes={from}-"));
    }
    let answer = request.call();
    answer.map_err(|error| SourceError::Connection(Box::new(error)))
}

/// Where the answer's bytes begin in the whole: `Content-Range: bytes 5-9/10`.
fn begins_at(response: &Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    let (first, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}
