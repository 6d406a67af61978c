//! The listener: accepts until told to stop, then lets requests that are under way finish.
//!
//! ```text
//! stop ─▶ no new connection ─▶ what is under way goes on ─grace─▶ answers in words end where they are, with receipts ─▶ a moment to say so ─▶ end
//! ```

use std::future::Future;
use std::io::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::http::{Limits, router};
use crate::paced::Paced;
use crate::service::Service;

/// How long requests under way may go on after the signal to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(pub Duration);

/// How long receipts of answers that were cut off may take.
const KEEPING_MAX: Duration = Duration::from_secs(5);
/// How long it may take until their clients have been told.
const TELLING_MAX: Duration = Duration::from_millis(500);
/// How long to wait when the system has no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Serves until `stop` completes and the requests that were under way then have been answered, or `grace` is over. Answers of language models that go on longer
/// are then ended where they are, each with its receipt.
///
/// # Errors
/// None at present: a connection that cannot be accepted is waited for.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    limits: Limits,
    grace: Grace,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let app = router(Arc::clone(&service), limits);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let mut stop = core::pin::pin!(stop);
    loop {
        let socket = tokio::select! {
            () = &mut stop => break,
            socket = accept(&listener, &room) => socket,
        };
        let (socket, place) = socket;
        let connection = connect(socket, &app, limits);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(cause = crate::chain_of(&error), "a connection broke off");
            }
            drop(place);
        });
    }
    drop(listener);
    let mut finished = core::pin::pin!(graceful.shutdown());
    if tokio::time::timeout(grace.0, &mut finished).await.is_ok() {
        return kept(&service).await;
    }
    let seconds = grace.0.as_secs();
    tracing::warn!("requests were still under way {seconds} s after the signal to stop");
    service.wind_down();
    kept(&service).await?;
    // Whoever is not told by then is not told.
    drop(tokio::time::timeout(TELLING_MAX, finished).await);
    Ok(())
}

/// Waits for receipts: a client that has left does not make its answer's receipt optional.
async fn kept(service: &Service) -> Result<(), Error> {
    if tokio::time::timeout(KEEPING_MAX, service.quiet())
        .await
        .is_err()
    {
        tracing::error!("receipts of answers that had ended were not all kept in time");
    }
    Ok(())
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, Option<Place>) {
    // The semaphore is never closed.
    let place = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return (socket, place),
            Err(error) => {
                tracing::warn!(cause = crate::chain_of(&error), "no connection is accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}

/// One connection. A head that does not come in time ends it, and an answer that is not taken.
fn connect(
    socket: TcpStream,
    app: &Router,
    limits: Limits,
) -> http1::Connection<TokioIo<Paced>, TowerToHyperService<Router>> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(cause = crate::chain_of(&error), "small chunks may wait");
    }
    let service = TowerToHyperService::new(app.clone());
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time_max)
        .serve_connection(
            TokioIo::new(Paced::new(socket, limits.write_time_max)),
            service,
        )
}

/// Completes at the first SIGINT or SIGTERM.
///
/// # Errors
/// When the system takes no handler for the signals.
pub fn shutdown_signal() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    {
        Ok(async {
            // Without a handler there is no signal to wait for.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
