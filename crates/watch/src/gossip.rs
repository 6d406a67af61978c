//! What two vantage points tell one another: the last checkpoint that each has seen of a log.
//!
//! ```text
//! GET <peer's prefix>/<SHA-256 of the origin, hex>/checkpoint     another monitor's, or a witness's, which has the same paths
//! <peer's folder>/<SHA-256 of the origin, hex>                    a copy of its state folder, where there is no network
//! ```
//!
//! It deliberately authenticates no peer: what it says counts only as far as the log signed it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use credence_log::note::NOTE_LEN_MAX;
use credence_store::file;
use credence_witness::fetch::{Bounds, Fetcher, Prefix};
use credence_witness::listen::text;
use credence_witness::server::chain_of;
use credence_witness::state::origin_name;

/// The longest that a peer may take to answer.
const PEER_TIME_MAX: Duration = Duration::from_secs(10);

/// Where a peer is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerPlace {
    /// A monitor, or a witness, at this prefix.
    Http(Prefix),
    /// A copy of a monitor's or a witness's state folder.
    Folder(PathBuf),
}

/// Another vantage point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it is called here.
    pub name: String,
    /// Where it is asked.
    pub place: PeerPlace,
}

impl Peer {
    /// What it has seen of the log of this origin: `None` when it knows nothing of it.
    ///
    /// # Errors
    /// Why it said nothing usable, in words.
    pub fn ask(&self, origin: &str, fetcher: &Fetcher) -> Result<Option<Vec<u8>>, String> {
        let name = origin_name(origin);
        match &self.place {
            PeerPlace::Http(prefix) => {
                let bounds = Bounds {
                    len_max: NOTE_LEN_MAX,
                    time_max: PEER_TIME_MAX,
                };
                let reply = fetcher.get(&prefix.join(&format!("{name}/checkpoint")), bounds);
                match reply.map(|reply| (reply.status, reply.body)) {
                    Ok((200, body)) => Ok(Some(body)),
                    Ok((404, _)) => Ok(None),
                    Ok((status, _)) => Err(format!("it answered {status}")),
                    Err(error) => Err(chain_of(&error)),
                }
            }
            PeerPlace::Folder(folder) => {
                let len_max = u64::try_from(NOTE_LEN_MAX).unwrap_or(u64::MAX);
                match file::read(&folder.join(name), len_max) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.is_absent() => Ok(None),
                    Err(error) => Err(chain_of(&error)),
                }
            }
        }
    }
}

/// What we have seen, for peers to ask for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<BTreeMap<String, String>>>);

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells peers this checkpoint from now on.
    pub fn tell(&self, origin: &str, checkpoint: String) {
        if let Ok(mut seen) = self.0.lock() {
            seen.insert(origin_name(origin), checkpoint);
        }
    }

    fn of(&self, name: &str) -> Option<String> {
        self.0.lock().ok()?.get(name).cloned()
    }

    /// The paths that peers ask.
    pub fn router(self) -> Router {
        Router::new()
            .route("/{name}/checkpoint", get(answer))
            .fallback(|| async { text(StatusCode::NOT_FOUND, "nothing is at this path\n") })
            .with_state(self)
    }
}

async fn answer(State(seen): State<Seen>, Path(name): Path<String>) -> Response {
    match seen.of(&name) {
        Some(checkpoint) => text(StatusCode::OK, checkpoint),
        None => text(StatusCode::NOT_FOUND, "nothing was seen of this log\n"),
    }
}
