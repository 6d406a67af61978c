//! The referee's server: paths to the docket, and what bounds them.
//!
//! ```text
//! GET  /v1/referee                         its key, its time, its turn
//! POST /v1/disputes                        a filing ─▶ notice
//! GET  /v1/disputes?pass                   the disputes under way to which the pass's key is a party
//! GET  /v1/disputes/{id}                   notice
//! GET  /v1/disputes/{id}/filing?pass       what was filed, without the card
//! GET  /v1/disputes/{id}/entries?from=&pass
//! POST /v1/disputes/{id}/messages          a message ─▶ notice
//! GET  /v1/disputes/{id}/verdict[?pass]    the signed verdict; with the dispute, for a party
//! ```
//!
//! Bounds: connections, heads and requests in time (`credence_witness::listen`); messages by what their dispute awaits, which is looked up before they are read; bodies up to 64 KiB each as many as there are connections, longer ones 128 MiB together;
//! four requests at once are worked on. So whoever floods the server costs it some 200 MB, and messages of usual length still come through.
//!
//! It deliberately has no TLS and no login: messages, filings and passes are signed, and a proxy keeps transcripts from being overheard.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use credence_base::{Digest, PublicKey, SigningKey};
use credence_dispute::Party;
use credence_receipt::BUNDLE_MEDIA_TYPE;
use credence_witness::server::chain_of;
use credence_witness::{Clock, Limits, listen};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::docket::{Docket, Rules};
use crate::error::CourtError;
use crate::filing::{FILING_BYTES_MAX, Filing};
use crate::notice::{Notice, NoticesJson, Standing, word};
use crate::pass::{Pass, PassQuery};

/// Bodies up to this many bytes take no room of others.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Bytes of all longer bodies together.
const BODIES_BYTES_MAX: usize = 128 << 20;
/// Requests that are worked on at once.
const WORK_MAX: usize = 4;
/// From one look at the clock to the next.
const TICK: Duration = Duration::from_millis(500);
/// Looks at the clock from one beat to the next.
const TICKS_PER_BEAT: u32 = 10;

/// Why a referee's server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The records cannot be opened.
    #[error("the referee's records cannot be opened")]
    Docket(#[from] CourtError),
    /// The address cannot be listened at.
    #[error("`{address}` cannot be listened at")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What happened, for whoever runs the referee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CourtEvent {
    /// The server listens.
    Listening {
        /// Where.
        url: String,
        /// The key with which verdicts are signed, in hexadecimal.
        referee: String,
    },
    /// A dispute was filed.
    Filed {
        /// Its id.
        dispute: String,
        /// The operator's key, in hexadecimal.
        operator: String,
        /// The challenger's key, in hexadecimal.
        challenger: String,
    },
    /// A message counted.
    Said {
        /// The dispute.
        dispute: String,
        /// Entries by now.
        entries: u32,
    },
    /// A dispute ended, and its verdict is signed.
    Ended {
        /// The dispute.
        dispute: String,
        /// `operator`, `challenger` or `nobody`.
        loser: String,
        /// Why.
        reason: String,
    },
    /// Something failed here; it is tried again.
    Failed {
        /// What, in words.
        what: String,
    },
}

/// Where events go. It must not block for long.
pub type CourtSink = Arc<dyn Fn(CourtEvent) + Send + Sync>;

#[derive(Clone)]
struct App {
    docket: Arc<Docket>,
    sink: CourtSink,
    bodies: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

/// A refusal with its status and words.
struct Refused(StatusCode, String);

#[derive(Serialize)]
struct ErrorJson {
    error: String,
}

impl From<CourtError> for Refused {
    fn from(error: CourtError) -> Self {
        let status = match &error {
            CourtError::Filing(_)
            | CourtError::Card(_)
            | CourtError::Text
            | CourtError::NoCard
            | CourtError::Referee(_)
            | CourtError::Turn { .. }
            | CourtError::Start { .. } => StatusCode::BAD_REQUEST,
            CourtError::Full { .. }
            | CourtError::KeyFull { .. }
            | CourtError::OperatorFull { .. }
            | CourtError::KeyModels { .. } => StatusCode::TOO_MANY_REQUESTS,
            CourtError::Kept { .. } | CourtError::Models { .. } => StatusCode::INSUFFICIENT_STORAGE,
            CourtError::Unknown(_) | CourtError::Unfinished => StatusCode::NOT_FOUND,
            CourtError::Ignored(_) => StatusCode::CONFLICT,
            CourtError::Room { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            CourtError::Pass => StatusCode::FORBIDDEN,
            CourtError::Damaged { .. }
            | CourtError::Clock
            | CourtError::Store(_)
            | CourtError::Wire(_)
            | CourtError::Sign(_)
            | CourtError::Bundle(_)
            | CourtError::Json(_) => {
                // Paths are nobody else's business.
                tracing::error!(cause = chain_of(&error), "a request failed here");
                let text = "the referee's records cannot be read or written";
                return Self(StatusCode::INTERNAL_SERVER_ERROR, text.to_owned());
            }
        };
        Self(status, chain_of(&error))
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response {
        let headers = [(header::CACHE_CONTROL, "no-store")];
        (self.0, headers, Json(ErrorJson { error: self.1 })).into_response()
    }
}

fn refused(status: StatusCode, text: &str) -> Refused {
    Refused(status, text.to_owned())
}

fn router(app: App) -> Router {
    Router::new()
        .route("/v1/referee", get(about))
        .route("/v1/disputes", get(of_party).post(file))
        .route("/v1/disputes/{id}", get(one))
        .route("/v1/disputes/{id}/entries", get(entries))
        .route("/v1/disputes/{id}/filing", get(filing))
        .route("/v1/disputes/{id}/messages", post(say))
        .route("/v1/disputes/{id}/verdict", get(verdict))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "nothing is at this path") })
        .with_state(app)
}

/// Runs something that blocks, when there is a place for it.
async fn work<R: Send + 'static>(
    app: &App,
    run: impl FnOnce(&App) -> Result<R, CourtError> + Send + 'static,
) -> Result<R, Refused> {
    // The semaphore is never closed; whoever waits too long is ended as any other.
    let permit = Arc::clone(&app.work).acquire_owned().await.ok();
    let own = app.clone();
    let run = move || {
        let _permit = permit;
        run(&own)
    };
    let done = tokio::task::spawn_blocking(run).await;
    let broke = |_| {
        refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request broke off here",
        )
    };
    Ok(done.map_err(broke)??)
}

/// A body of at most `max` bytes, and the room that it takes.
async fn body(
    app: &App,
    body: Body,
    max: usize,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refused> {
    let mut body = body;
    let too_long = || refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
    let (mut bytes, mut room): (Vec<u8>, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let broken = |_| refused(StatusCode::BAD_REQUEST, "the body did not arrive whole");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let len = bytes.len().saturating_add(data.len());
        if len > max {
            return Err(too_long());
        }
        let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if len > SMALL_BODY_BYTES && len > held {
            let more = u32::try_from(len.saturating_sub(held)).map_err(|_| too_long())?;
            let more = Arc::clone(&app.bodies).try_acquire_many_owned(more);
            let full = |_| {
                refused(
                    StatusCode::TOO_MANY_REQUESTS,
                    "other requests take all room for bodies; try again",
                )
            };
            let more = more.map_err(full)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, room))
}

fn id_of(text: &str) -> Result<Digest, Refused> {
    let bad = |_| {
        refused(
            StatusCode::NOT_FOUND,
            "a dispute's id is 64 hexadecimal digits",
        )
    };
    text.parse().map_err(bad)
}

fn reader(app: &App, query: &PassQuery, dispute: Option<&Digest>) -> Option<PublicKey> {
    let referee = app.docket.public_key();
    Pass::read(query, (&referee, dispute), app.docket.now())
}

fn json(value: impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

async fn about(State(app): State<App>) -> Response {
    json(app.docket.about().json())
}

async fn file(State(app): State<App>, request: Request) -> Result<Response, Refused> {
    let (bytes, room) = body(&app, request.into_body(), FILING_BYTES_MAX).await?;
    let notice = work(&app, move |app| {
        let _room = room;
        let notice = app.docket.file(&Filing::decode(&bytes)?)?;
        if notice.entries == 0 {
            (app.sink)(CourtEvent::Filed {
                dispute: notice.dispute.to_string(),
                operator: notice.terms.operator.to_string(),
                challenger: notice.terms.challenger.to_string(),
            });
        }
        Ok(notice)
    });
    Ok(json(notice.await?.json()))
}

async fn of_party(
    State(app): State<App>,
    Query(query): Query<PassQuery>,
) -> Result<Response, Refused> {
    let reader = reader(&app, &query, None).ok_or(CourtError::Pass)?;
    let all = work(&app, move |app| Ok(app.docket.of_party(&reader))).await?;
    let disputes = all.iter().map(Notice::json).collect();
    Ok(json(NoticesJson { disputes }))
}

async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Refused> {
    let id = id_of(&id)?;
    let notice = work(&app, move |app| app.docket.notice(&id)).await?;
    Ok(json(notice.json()))
}

async fn entries(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<PassQuery>,
) -> Result<Response, Refused> {
    let id = id_of(&id)?;
    let reader = reader(&app, &query, Some(&id)).ok_or(CourtError::Pass)?;
    let bytes = work(&app, move |app| {
        Ok(app.docket.entries(&id, query.from, &reader)?.encode()?)
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, bytes.await?).into_response())
}

async fn filing(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<PassQuery>,
) -> Result<Response, Refused> {
    let id = id_of(&id)?;
    let reader = reader(&app, &query, Some(&id)).ok_or(CourtError::Pass)?;
    let bytes = work(&app, move |app| {
        Ok(app.docket.filing(&id, &reader)?.encode()?)
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, bytes.await?).into_response())
}

async fn say(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let id = id_of(&id)?;
    // Whoever names no dispute under way, or says more than is asked, is not read.
    let max = work(&app, move |app| app.docket.awaited_bytes_max(&id)).await?;
    let (message, room) = body(&app, request.into_body(), max).await?;
    let notice = work(&app, move |app| {
        let _room = room;
        let notice = app.docket.say(&id, &message)?;
        (app.sink)(match ended(&notice) {
            Some(event) => event,
            None => CourtEvent::Said {
                dispute: id.to_string(),
                entries: notice.entries,
            },
        });
        Ok(notice)
    });
    Ok(json(notice.await?.json()))
}

async fn verdict(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<PassQuery>,
) -> Result<Response, Refused> {
    let id = id_of(&id)?;
    let shown = reader(&app, &query, Some(&id));
    if !query.is_none() && shown.is_none() {
        return Err(CourtError::Pass.into());
    }
    let bytes = work(&app, move |app| {
        Ok(app.docket.verdict(&id, shown.as_ref())?.encode()?)
    });
    let headers = [
        (header::CONTENT_TYPE, BUNDLE_MEDIA_TYPE),
        (header::CACHE_CONTROL, "private"),
    ];
    Ok((headers, bytes.await?).into_response())
}

fn ended(notice: &Notice) -> Option<CourtEvent> {
    let Standing::Over(loser, reason) = notice.standing else {
        return None;
    };
    let loser: Option<Party> = loser;
    Some(CourtEvent::Ended {
        dispute: notice.dispute.to_string(),
        loser: loser.map_or("nobody", word).to_owned(),
        reason: reason.as_str().to_owned(),
    })
}

/// Looks at the clock, and writes down that the referee is there.
fn look(docket: &Docket, sink: &CourtSink, beat: bool) {
    let ended_now = docket.tick().and_then(|ended| {
        if beat {
            docket.beat()?;
            docket.sweep()?;
        }
        Ok(ended)
    });
    match ended_now {
        Ok(notices) => notices
            .iter()
            .filter_map(ended)
            .for_each(|event| sink(event)),
        Err(error) => sink(CourtEvent::Failed {
            what: chain_of(&error),
        }),
    }
}

/// Runs a referee until `stop` completes; what is under way then is answered first.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub async fn serve(
    (folder, address): (PathBuf, SocketAddr),
    (key, rules): (SigningKey, Rules),
    (wall, sink): (Clock, CourtSink),
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let referee = key.public_key().to_string();
    let docket = Arc::new(Docket::open(&folder, key, rules, wall)?);
    let fail = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let url = format!("http://{}", listener.local_addr().map_err(fail)?);
    sink(CourtEvent::Listening { url, referee });
    let app = App {
        docket: Arc::clone(&docket),
        sink: Arc::clone(&sink),
        bodies: Arc::new(Semaphore::new(BODIES_BYTES_MAX)),
        work: Arc::new(Semaphore::new(WORK_MAX)),
    };
    let ticking = async {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut number = 0_u32;
        loop {
            ticks.tick().await;
            number = number.wrapping_add(1);
            let (docket, sink) = (Arc::clone(&docket), Arc::clone(&sink));
            let beat = number.is_multiple_of(TICKS_PER_BEAT);
            let looked = tokio::task::spawn_blocking(move || look(&docket, &sink, beat));
            drop(looked.await);
        }
    };
    tokio::select! {
        () = listen::serve(listener, router(app), Limits::usual(), stop) => {}
        () = ticking => {}
    }
    Ok(docket.beat()?)
}
