//! Bodies: read in full, within a limit for each and one for all together.
//!
//! Bytes count as they come, so a client that announces much and sends nothing holds nothing.

use core::future::poll_fn;
use core::pin::Pin;
use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};

use crate::http::router::App;

/// A body, and the room that it takes.
pub(crate) struct Held {
    bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl core::ops::Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body has more than {max} bytes, the most that is taken")]
    TooLong { max: usize },
    #[error("the body did not arrive whole")]
    Broken,
    #[error("other requests take all room for bodies; try again")]
    NoRoom,
    #[error("the request took longer than {max_s} s")]
    Slow { max_s: u64 },
}

impl BodyError {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::NoRoom => StatusCode::TOO_MANY_REQUESTS,
            Self::Slow { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Reads to the end.
pub(crate) async fn read(app: &App, request: Request) -> Result<Held, BodyError> {
    let max = app.limits.body_bytes_max;
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(BodyError::TooLong { max });
    }
    let mut bytes = Vec::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > max.saturating_sub(bytes.len()) {
            return Err(BodyError::TooLong { max });
        }
        let more = u32::try_from(data.len()).map_err(|_| BodyError::TooLong { max })?;
        let more = Arc::clone(&app.bodies).try_acquire_many_owned(more);
        let more = more.map_err(|_: TryAcquireError| BodyError::NoRoom)?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes, _room: room })
}

/// Reads to the end, in the time that a request may take.
pub(crate) async fn read_in_time(app: &App, request: Request) -> Result<Held, BodyError> {
    let limit = app.limits.request_time_max;
    let max_s = limit.as_secs();
    tokio::time::timeout(limit, read(app, request))
        .await
        .map_err(|_| BodyError::Slow { max_s })?
}
