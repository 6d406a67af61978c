//! The witness's server: `add-checkpoint`, and its records for whoever monitors.
//!
//! ```text
//! POST <prefix>/add-checkpoint ─bounded body─▶ parse ─▶ one origin at a time:
//!     record ─Witness::answer─▶ 200? ─▶ the new record is durable ─▶ the cosignature leaves
//!                                └ not durable ─▶ 503, and the record is read and kept again before the next answer
//! GET  <prefix>/<SHA-256 of the origin, hex>/checkpoint ─▶ the last record: the checkpoint with our cosignature
//! ```
//!
//! A checkpoint of the size last cosigned but another root is two truths of one log: refused, and reported as [`Evidence`].
//!
//! A cosignature says that at its time the log was no larger as far as the witness knew. So a clock that has gone back behind the last
//! cosignature gets no new one, until it has caught up.
//!
//! It deliberately takes no word of the client's for anything, and has no way to set a record back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use credence_log::checkpoint::CheckpointError;
use credence_log::witness::{REQUEST_LEN_MAX, SIZE_MEDIA_TYPE, WitnessError};
use credence_log::{AddCheckpoint, Answer, Record, Signer, VerifierKey, Witness, cosignature};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::listen::{Limits, text};
use crate::state::{Notes, StateError, origin_name};

/// Why a witness cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessServerError {
    /// The keys do not fit.
    #[error("the witness cannot be set up")]
    Witness(#[from] WitnessError),
    /// The state cannot be read.
    #[error("the witness's state cannot be read")]
    State(#[from] StateError),
    /// A record is damaged.
    #[error(
        "the record of log `{origin}` is no checkpoint: restore it, never remove it, since a witness that forgets breaks its word"
    )]
    Damaged {
        /// The log.
        origin: String,
        /// In what.
        #[source]
        source: CheckpointError,
    },
    /// A record is another log's.
    #[error("the record of log `{expected}` is one of `{got}`")]
    OtherLog {
        /// The log.
        expected: String,
        /// The record's.
        got: String,
    },
}

/// What happened, for whoever runs the witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WitnessEvent {
    /// A checkpoint was cosigned, and its record is durable.
    Cosigned {
        /// The log.
        origin: String,
        /// Its size.
        size: u64,
    },
    /// A request was refused.
    Refused {
        /// The log that it named, if it could be read.
        origin: Option<String>,
        /// The status of the answer.
        status: u16,
    },
    /// A log signed two checkpoints that cannot both be true.
    SplitView {
        /// The log.
        origin: String,
        /// The size at which it did.
        size: u64,
        /// The text of the evidence, to publish.
        evidence: String,
    },
    /// The record could not be made durable, so nothing was cosigned.
    NotDurable {
        /// The log.
        origin: String,
        /// Why, in words.
        reason: String,
    },
}

/// Where events go. It must not block for long.
pub type WitnessSink = Arc<dyn Fn(WitnessEvent) + Send + Sync>;

/// What is known of one log's record.
enum Slot {
    Known(Option<Record>),
    /// A write failed: what is stored must be read, and kept once more, before anything is answered.
    Unsure,
}

/// A witness with its state.
pub struct WitnessServer {
    witness: Witness,
    notes: Arc<dyn Notes>,
    slots: BTreeMap<String, Arc<Mutex<Slot>>>,
    /// From the names in paths to origins.
    names: BTreeMap<String, String>,
    clock: Clock,
    sink: WitnessSink,
    places: Semaphore,
}

impl WitnessServer {
    /// A witness of `logs`, whose records are in `notes`, all of which are read now, and kept once more: that a record can be read
    /// does not say that it is durable.
    ///
    /// # Errors
    /// [`WitnessServerError`] when a key is of the wrong type or a record cannot be read: a witness that has forgotten must not
    /// start.
    pub fn open(
        signer: Signer,
        logs: Vec<VerifierKey>,
        notes: Arc<dyn Notes>,
        clock: Clock,
        sink: WitnessSink,
    ) -> Result<Self, WitnessServerError> {
        let origins: Vec<String> = logs
            .iter()
            .map(|log| log.name().as_str().to_owned())
            .collect();
        let witness = Witness::new(signer, logs)?;
        let mut slots = BTreeMap::new();
        let mut names = BTreeMap::new();
        for origin in origins {
            let record = load(&*notes, &origin)?;
            names.insert(origin_name(&origin), origin.clone());
            slots.insert(origin, Arc::new(Mutex::new(Slot::Known(record))));
        }
        Ok(Self {
            witness,
            notes,
            slots,
            names,
            clock,
            sink,
            places: Semaphore::new(Limits::usual().concurrent_max),
        })
    }

    /// The same, answering at most `limits.concurrent_max` requests at once.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self {
            places: Semaphore::new(limits.concurrent_max),
            ..self
        }
    }

    /// The witness's key.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        self.witness.key()
    }

    /// The paths below `prefix`, which is empty or begins with a slash and ends in none.
    pub fn router(self: Arc<Self>, prefix: &str) -> Router {
        Router::new()
            .route(&format!("{prefix}/add-checkpoint"), post(add_checkpoint))
            .route(&format!("{prefix}/{{name}}/checkpoint"), get(last_record))
            .fallback(|| async { text(StatusCode::NOT_FOUND, "nothing is at this path\n") })
            .with_state(self)
    }

    fn tell(&self, event: WitnessEvent) {
        (self.sink)(event);
    }

    /// Answers one request; nobody else answers for its origin meanwhile.
    fn answer(&self, slot: &mut Slot, request: &AddCheckpoint) -> Reply {
        let origin = request.checkpoint.unverified().origin();
        if matches!(slot, Slot::Unsure) {
            match load(&*self.notes, origin) {
                Ok(record) => *slot = Slot::Known(record),
                Err(error) => return self.not_durable(origin, &error),
            }
        }
        let Slot::Known(record) = slot else {
            return Reply::plain(500, "the record is not known");
        };
        let now_unix_s = (self.clock)();
        if record.as_ref().and_then(|record| self.last_time(record)) > Some(now_unix_s) {
            return Reply::plain(503, "the witness's clock has gone back; ask again later");
        }
        let answer = self.witness.answer(record.as_ref(), request, now_unix_s);
        match answer {
            Err(_) => Reply::plain(500, "the witness's clock is not set"),
            Ok(Answer::Cosigned { record: next, body }) => {
                match self.notes.keep(origin, next.encode().as_bytes()) {
                    Ok(()) => {
                        let size = next.checkpoint().unverified().size();
                        *slot = Slot::Known(Some(*next));
                        self.tell(WitnessEvent::Cosigned {
                            origin: origin.to_owned(),
                            size,
                        });
                        Reply {
                            status: 200,
                            media_type: "text/plain; charset=utf-8",
                            body,
                        }
                    }
                    Err(error) => {
                        *slot = Slot::Unsure;
                        self.not_durable(origin, &error)
                    }
                }
            }
            Ok(refused) => self.refuse(record.as_ref(), request, &refused),
        }
    }

    fn refuse(&self, record: Option<&Record>, request: &AddCheckpoint, refused: &Answer) -> Reply {
        let asked = request.checkpoint.unverified();
        let split = record.and_then(|record| {
            let evidence = self.witness.evidence(record, request)?;
            Evidence::of_one_size(evidence.log(), evidence.first(), evidence.second()).ok()
        });
        if let Some(evidence) = split {
            self.tell(WitnessEvent::SplitView {
                origin: asked.origin().to_owned(),
                size: asked.size(),
                evidence: evidence.encode(),
            });
        }
        let reply = match refused {
            Answer::Conflict { size } => Reply::size(*size),
            other => Reply::plain(other.status(), words(other)),
        };
        self.tell(WitnessEvent::Refused {
            origin: Some(asked.origin().to_owned()),
            status: reply.status,
        });
        reply
    }

    /// When we cosigned the record.
    fn last_time(&self, record: &Record) -> Option<u64> {
        let times = cosignature::times(record.checkpoint().note(), self.witness.key()).ok()?;
        times.last().copied()
    }

    fn not_durable(&self, origin: &str, error: &dyn core::error::Error) -> Reply {
        self.tell(WitnessEvent::NotDurable {
            origin: origin.to_owned(),
            reason: chain_of(error),
        });
        Reply::plain(
            503,
            "the witness cannot keep its record; nothing was cosigned",
        )
    }
}

/// An error and its causes in one line, for events.
#[must_use]
pub fn chain_of(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The answer's parts.
struct Reply {
    status: u16,
    media_type: &'static str,
    body: String,
}

impl Reply {
    fn plain(status: u16, words: &str) -> Self {
        Self {
            status,
            media_type: "text/plain; charset=utf-8",
            body: format!("{words}\n"),
        }
    }

    fn size(size: u64) -> Self {
        Self {
            status: 409,
            media_type: SIZE_MEDIA_TYPE,
            body: format!("{size}\n"),
        }
    }

    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [
            ("content-type", self.media_type),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ];
        (status, headers, self.body).into_response()
    }
}

fn words(answer: &Answer) -> &'static str {
    match answer {
        Answer::BadRequest => "the old size is larger than the checkpoint's",
        Answer::Forbidden => "no accepted key of the log has signed the checkpoint",
        Answer::NotFound => "the witness does not know the log",
        Answer::Unprocessable { .. } => {
            "the proof does not show that the checkpoint continues the last one"
        }
        Answer::Cosigned { .. } | Answer::Conflict { .. } => "",
    }
}

fn load(notes: &dyn Notes, origin: &str) -> Result<Option<Record>, WitnessServerError> {
    let Some(bytes) = notes.load(origin)? else {
        return Ok(None);
    };
    let record = Record::decode(&bytes).map_err(|source| WitnessServerError::Damaged {
        origin: origin.to_owned(),
        source,
    })?;
    let got = record.checkpoint().unverified().origin();
    if got == origin {
        // Whoever wrote it may have ended before it was durable, and what we answer next rests on it.
        notes.keep(origin, &bytes)?;
        Ok(Some(record))
    } else {
        Err(WitnessServerError::OtherLog {
            expected: origin.to_owned(),
            got: got.to_owned(),
        })
    }
}

async fn add_checkpoint(State(server): State<Arc<WitnessServer>>, request: Request) -> Response {
    let refused = |status, words: &str| {
        server.tell(WitnessEvent::Refused {
            origin: None,
            status,
        });
        Reply::plain(status, words).into_response()
    };
    let Ok(bytes) = body(request).await else {
        return refused(413, "the request is too long, or broke off");
    };
    let Ok(_place) = server.places.try_acquire() else {
        return refused(503, "too many requests at once; ask again");
    };
    let Ok(parsed) = AddCheckpoint::parse(&bytes) else {
        return refused(400, "the request is not one of tlog-witness");
    };
    drop(bytes);
    let Some(slot) = server.slots.get(parsed.checkpoint.unverified().origin()) else {
        return refused(404, words(&Answer::NotFound));
    };
    // The guard goes with the work: it ends only once the record is durable, also when the client has left.
    let mut guard: OwnedMutexGuard<Slot> = Arc::clone(slot).lock_owned().await;
    let worker = Arc::clone(&server);
    let answered = tokio::task::spawn_blocking(move || worker.answer(&mut guard, &parsed)).await;
    match answered {
        Ok(reply) => reply.into_response(),
        Err(_) => refused(500, "the witness failed"),
    }
}

async fn body(request: Request) -> Result<Bytes, axum::Error> {
    axum::body::to_bytes(request.into_body(), REQUEST_LEN_MAX).await
}

async fn last_record(
    State(server): State<Arc<WitnessServer>>,
    Path(name): Path<String>,
) -> Response {
    let slot = server
        .names
        .get(&name)
        .and_then(|origin| server.slots.get(origin));
    let Some(slot) = slot else {
        return text(StatusCode::NOT_FOUND, "the witness does not know the log\n");
    };
    match &*slot.lock().await {
        Slot::Known(Some(record)) => text(StatusCode::OK, record.encode()),
        Slot::Known(None) => text(StatusCode::NOT_FOUND, "nothing was cosigned yet\n"),
        Slot::Unsure => text(StatusCode::SERVICE_UNAVAILABLE, "ask again\n"),
    }
}
