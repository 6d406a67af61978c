//! A log's folder behind a server, as `tlog-tiles` says: tiles for ever, the checkpoint never from a cache.
//!
//! ```text
//! path ─LogFile::from_path─▶ checkpoint, tile or bundle? ─▶ file ─as long as it must be, and what the tile above says?─▶ answer
//!                                                           └ 500, nobody keeps it     everything else: 404, whatever stands in the folder
//! ```
//!
//! What is said to be for ever is kept for ever by caches, so a file that was cut or changed must not leave with these words. Of a
//! partial tile only the length is looked at: nothing but the checkpoint of its size covers it.
//!
//! It deliberately writes nothing: whoever reads the log checks it from the root.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use credence_log::entry;
use credence_log::tile::WIDTH;
use credence_log::{Hash, SignedCheckpoint, Tile, TileId};
use credence_witness::listen::text;

use crate::source::{LogFile, LogSource, SourceError, read_or_fuller};
use crate::tree::join;

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
    match tokio::task::spawn_blocking(move || read(&*source, wanted)).await {
        Ok(Ok(Some((_, false)))) => {
            let path = wanted.path();
            tracing::error!("`{path}` is damaged, or the tile that covers it is; restore it");
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("`{path}` is damaged here\n"),
            )
        }
        Ok(Ok(Some((bytes, true)))) => {
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

/// A file, and whether it may be what it must be.
fn read(source: &dyn LogSource, wanted: LogFile) -> Result<Option<(Vec<u8>, bool)>, SourceError> {
    let Some(bytes) = source.read(wanted)? else {
        return Ok(None);
    };
    let fits = match wanted {
        LogFile::Checkpoint => SignedCheckpoint::parse(&bytes).is_ok(),
        LogFile::Tile(id) => match Tile::decode(id, &bytes) {
            Ok(tile) => above(source, &tile)?.is_none_or(|hash| hash == join(tile.hashes())),
            Err(_) => false,
        },
        LogFile::Entries(id) => match entry::decode(id, &bytes) {
            Ok(entries) => {
                let tile = read_or_fuller(source, LogFile::Tile(id.tile()))?;
                tile.is_none_or(|tile| {
                    let hashes = Tile::decode(id.tile(), &tile);
                    hashes.is_ok_and(|tile| tile.hashes() == entry::leaves(&entries))
                })
            }
            Err(_) => false,
        },
    };
    Ok(Some((bytes, fits)))
}

/// The hash that the tile above has of a full tile, where the newest checkpoint covers both.
fn above(source: &dyn LogSource, tile: &Tile) -> Result<Option<Hash>, SourceError> {
    let id = tile.id();
    if !id.is_full() {
        return Ok(None);
    }
    let newest = source.read(LogFile::Checkpoint)?;
    let Some(newest) = newest.and_then(|bytes| SignedCheckpoint::parse(&bytes).ok()) else {
        return Ok(None);
    };
    let (width, size) = (u64::from(WIDTH), newest.unverified().size());
    let Some(parent) = TileId::in_tree(id.level().saturating_add(1), id.index() / width, size)
    else {
        return Ok(None);
    };
    let Some(bytes) = read_or_fuller(source, LogFile::Tile(parent))? else {
        return Ok(None);
    };
    let place = usize::try_from(id.index() % width).unwrap_or(usize::MAX);
    let parent = Tile::decode(parent, &bytes).ok();
    Ok(parent.and_then(|parent| parent.hashes().get(place).copied()))
}

fn nothing() -> Response {
    text(StatusCode::NOT_FOUND, "nothing is at this path\n")
}
