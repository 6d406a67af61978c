//! A log's folder behind a server, as `tlog-tiles` says: tiles for ever, the checkpoint never from a cache.
//!
//! ```text
//! path ─LogFile::from_path─▶ checkpoint, tile or bundle? ─▶ file        everything else: 404, whatever stands in the folder
//! ```
//!
//! It deliberately writes nothing and trusts the folder: whoever reads the log checks it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use credence_witness::listen::text;

use crate::source::{LogFile, LogSource};

/// What never changes may be kept for a year, which is what caches take at most.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The paths of a log below `/`.
pub fn router(source: Arc<dyn LogSource>) -> Router {
    Router::new()
        .route("/{*path}", get(answer))
        .fallback(|| async { nothing() })
        .with_state(source)
}

async fn answer(State(source): State<Arc<dyn LogSource>>, uri: Uri) -> Response {
    let wanted = uri.path().strip_prefix('/').and_then(LogFile::from_path);
    let Some(wanted) = wanted else {
        return nothing();
    };
    match tokio::task::spawn_blocking(move || source.read(wanted)).await {
        Ok(Ok(Some(bytes))) => {
            let (media_type, keep) = match wanted {
                LogFile::Checkpoint => ("text/plain; charset=utf-8", "no-store"),
                LogFile::Tile(_) | LogFile::Entries(_) => ("application/octet-stream", FOR_EVER),
            };
            let headers = [
                ("content-type", media_type),
                ("cache-control", keep),
                ("x-content-type-options", "nosniff"),
                ("access-control-allow-origin", "*"),
            ];
            (StatusCode::OK, headers, bytes).into_response()
        }
        // What is not there yet may come: nobody keeps that it was not.
        Ok(Ok(None)) => nothing(),
        Ok(Err(error)) => {
            tracing::warn!(
                cause = credence_witness::server::chain_of(&error),
                "a file of the log cannot be read"
            );
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the file cannot be read\n",
            )
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the server failed\n"),
    }
}

fn nothing() -> Response {
    text(StatusCode::NOT_FOUND, "nothing is at this path\n")
}
