//! A log's folder behind a server, as `tlog-tiles` says: tiles for ever, the checkpoint never from a cache.
//!
//! ```text
//! path ─LogFile::from_path─▶ checkpoint, tile or bundle? ─▶ file ─signed by the log; in the newest checkpoint's tree?─▶ answer
//!                                                           └ 500, nobody keeps it     everything else: 404, whatever stands in the folder
//! ```
//!
//! What is said to be for ever is kept for ever by caches, so a file that was cut or changed must not leave with these words. Each is
//! held against the tree of the newest checkpoint, whose signature is checked: a full tile and all above it by their hashes, a partial tile as
//! the beginning of the checked one at its place. What no checkpoint covers yet is not there yet.
//!
//! It deliberately writes nothing: whoever reads the log checks it from the root.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use credence_log::entry;
use credence_log::{SignedCheckpoint, Tile, TileId, VerifierKey};
use credence_witness::listen::text;

use crate::source::{LogFile, LogSource};
use crate::tree::{Checked, Tree, TreeError, head, index_of, join};

/// What never changes may be kept for a year, which is what caches take at most.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The paths of a log below `/`.
pub fn router(source: Arc<dyn LogSource>, log: VerifierKey) -> Router {
    let served = Served {
        source,
        log,
        checked: Mutex::default(),
    };
    Router::new()
        .route("/{*path}", get(answer))
        .fallback(|| async { nothing() })
        .with_state(Arc::new(served))
}

async fn answer(State(served): State<Arc<Served>>, uri: Uri) -> Response {
    let wanted = uri.path().strip_prefix('/').and_then(LogFile::from_path);
    let Some(wanted) = wanted else {
        return nothing();
    };
    match tokio::task::spawn_blocking(move || served.read(wanted)).await {
        Ok(Ok(Found::File(bytes))) => {
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
        Ok(Ok(Found::Nothing)) => nothing(),
        Ok(Err(error)) => {
            let (path, cause) = (wanted.path(), credence_witness::server::chain_of(&error));
            if matches!(error, TreeError::Source(_)) {
                tracing::warn!(cause, "a file of the log cannot be read");
                let words = format!("`{path}`, or what shows that it is right, cannot be read\n");
                return text(StatusCode::INTERNAL_SERVER_ERROR, words);
            }
            tracing::error!(
                cause,
                "`{path}` is damaged, or what covers it is; restore it"
            );
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("`{path}`, or what shows that it is right, is damaged here\n"),
            )
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the server failed\n"),
    }
}

/// A log, and what was checked of it.
struct Served {
    source: Arc<dyn LogSource>,
    log: VerifierKey,
    /// Whoever works with it has taken it; who finds none begins anew.
    checked: Mutex<Option<Checked>>,
}

/// What becomes of a request.
enum Found {
    /// The file, which is what it must be.
    File(Vec<u8>),
    /// There is none, or no checkpoint covers it yet.
    Nothing,
}

impl Served {
    fn read(&self, wanted: LogFile) -> Result<Found, TreeError> {
        let Some(bytes) = self.source.read(wanted)? else {
            return Ok(Found::Nothing);
        };
        match wanted {
            LogFile::Checkpoint => {
                SignedCheckpoint::parse(&bytes)?.verify(&self.log)?;
            }
            LogFile::Tile(id) => {
                let path = id.path();
                let got = match Tile::decode(id, &bytes) {
                    Ok(tile) => tile,
                    Err(source) => return Err(TreeError::Tile { path, source }),
                };
                let Some(checked) = self.tile(id)? else {
                    return Ok(Found::Nothing);
                };
                // A partial tile of an earlier size is the beginning of the one that was checked, or of the full one.
                if !checked.hashes().starts_with(got.hashes()) {
                    return Err(TreeError::TileHash {
                        path,
                        expected: join(checked.hashes()),
                        got: join(got.hashes()),
                    });
                }
            }
            LogFile::Entries(id) => {
                let path = id.path();
                let entries = match entry::decode(id, &bytes) {
                    Ok(entries) => entries,
                    Err(source) => return Err(TreeError::Entries { path, source }),
                };
                let Some(checked) = self.tile(id.tile())? else {
                    return Ok(Found::Nothing);
                };
                let leaves = entry::leaves(&entries);
                let mut pairs = leaves.iter().zip(checked.hashes());
                if let Some(at) = pairs.position(|(leaf, hash)| leaf != hash) {
                    let index = index_of(id.tile().index(), at);
                    return Err(TreeError::Entry { index, path });
                }
            }
        }
        Ok(Found::File(bytes))
    }

    /// The tile at a place as the newest checkpoint's tree has it, if that is as wide as what was asked for.
    fn tile(&self, id: TileId) -> Result<Option<Tile>, TreeError> {
        let covers = |size| {
            TileId::in_tree(id.level(), id.index(), size)
                .is_some_and(|now| now.width() >= id.width())
        };
        let known = self
            .checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut tree = match known {
            Some(checked) if covers(checked.size()) => checked.tree(&*self.source),
            Some(_) | None => {
                let newest = match head(&*self.source, &self.log) {
                    Err(TreeError::Missing { .. }) => return Ok(None),
                    newest => newest?,
                };
                if !covers(newest.unverified().size()) {
                    return Ok(None);
                }
                Tree::open(&*self.source, newest.unverified())?
            }
        };
        let tile = tree.tile(id.level(), id.index())?.clone();
        let mut kept = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(tree.into_checked());
        Ok(Some(tile))
    }
}

fn nothing() -> Response {
    text(StatusCode::NOT_FOUND, "nothing is at this path\n")
}
