//! The listener: accepts until told to stop, then lets requests that are under way finish.

use std::future::Future;
use std::io::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::http::{Limits, router};
use crate::service::Service;

/// How long requests under way may go on after the signal to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(pub Duration);

/// Serves until `stop` completes and the requests that were under way then have been answered, or `grace` is over.
///
/// # Errors
/// What the listener reports.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    limits: Limits,
    grace: Grace,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, router(service, limits)).with_graceful_shutdown(async {
        stop.await;
        if stopping.send(()).is_err() {
            tracing::debug!("the server ended before the signal to stop");
        }
    });
    let overdue = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(grace.0).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = server => ended,
        () = overdue => {
            tracing::warn!("requests were still under way {} s after the signal to stop", grace.0.as_secs());
            Ok(())
        }
    }
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
