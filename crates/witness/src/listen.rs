//! The listener: accepts a bounded number of connections until told to stop, then lets requests under way finish.
//!
//! ```text
//! place for a connection? ─▶ accept ─▶ head in time? ─▶ request in time? ─▶ answer, taken in time?     and an end to every connection
//! stop ─▶ no new connection ─▶ what is under way ─grace─▶ end
//! ```
//!
//! It deliberately speaks plain HTTP/1.1: TLS is a proxy's business, and everything that is served here is signed.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// How long to wait when the system has no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// How much a server takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most connections; one more waits until another ends.
    pub connections_max: usize,
    /// The most requests that are being answered at once, after their bodies have come; one more is answered `503`.
    pub concurrent_max: usize,
    /// The longest that a request's head may take.
    pub head_time_max: Duration,
    /// The longest that a request may take, body and all.
    pub request_time_max: Duration,
    /// The longest that a client may take to read what is being sent.
    pub write_time_max: Duration,
    /// The longest that a connection lasts, whatever it does: a place is nobody's for ever.
    pub connection_time_max: Duration,
    /// How long requests under way may go on after the signal to stop.
    pub grace: Duration,
}

impl Limits {
    /// 512 connections, 64 requests, 10 s for a head, 20 s for a request, 20 s to read an answer, 5 minutes for a connection, 5 s of grace.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            connections_max: 512,
            concurrent_max: 64,
            head_time_max: Duration::from_secs(10),
            request_time_max: Duration::from_secs(20),
            write_time_max: Duration::from_secs(20),
            connection_time_max: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves `app` until `stop` completes and what was under way then has been answered, or the grace is over.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) {
    let app = app
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            limits.request_time_max,
            timed,
        ));
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let mut stop = core::pin::pin!(stop);
    loop {
        let (socket, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &room) => accepted,
        };
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "small answers may wait");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time_max)
            .serve_connection(
                TokioIo::new(Paced::new(socket, limits.write_time_max)),
                TowerToHyperService::new(app.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            match tokio::time::timeout(limits.connection_time_max, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection broke off"),
                Err(_) => tracing::debug!("a connection lasted too long"),
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still under way when the grace was over");
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return (socket, place),
            Err(error) => {
                tracing::warn!(%error, "no connection is accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}

/// A socket whose other side must read what is sent: from the first write that has to wait until all is sent there is one deadline, which
/// no trickle of reads moves.
struct Paced {
    socket: TcpStream,
    time_max: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    const fn new(socket: TcpStream, time_max: Duration) -> Self {
        Self {
            socket,
            time_max,
            deadline: None,
        }
    }

    fn pace<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let time_max = self.time_max;
        let deadline = match (&mut self.deadline, &done) {
            (Some(deadline), _) => deadline,
            (none, Poll::Pending) => none.insert(Box::pin(tokio::time::sleep(time_max))),
            (None, Poll::Ready(_)) => return done,
        };
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.pace(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.pace(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Is called when there is nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.deadline = None;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

async fn timed(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    }
}

/// An answer of plain text that nobody keeps.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<String>) -> Response {
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ];
    (status, headers, body.into()).into_response()
}
