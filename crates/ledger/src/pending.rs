//! An answer that comes when a digest is durably in the log.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::driver::Published;

/// A digest is in the log, and the checkpoint that covers it is durable.
#[derive(Debug, Clone)]
pub struct Sequenced {
    /// Its position: the first, if it was there before.
    pub position: u64,
    /// A published checkpoint that covers it.
    pub published: Arc<Published>,
}

/// The log stopped before it knew. The digest may be in the log or not; append it again, which is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log stopped before it knew whether the digest is in it; append it again")]
pub struct Unsure;

pub(crate) type Answer = oneshot::Sender<Result<Sequenced, Unsure>>;

/// Waits for a digest to be in the log: a future, or [`Pending::wait`] on a thread that may block.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Sequenced, Unsure>>);

impl Pending {
    pub(crate) fn new() -> (Answer, Self) {
        let (tell, hear) = oneshot::channel();
        (tell, Self(hear))
    }

    /// Blocks this thread until the answer comes. Not for a thread that runs futures.
    ///
    /// # Errors
    /// [`Unsure`].
    pub fn wait(self) -> Result<Sequenced, Unsure> {
        self.0.blocking_recv().unwrap_or(Err(Unsure))
    }

    /// The answer, if it has come.
    pub fn try_wait(&mut self) -> Option<Result<Sequenced, Unsure>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Unsure)),
        }
    }
}

impl Future for Pending {
    type Output = Result<Sequenced, Unsure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(Unsure)))
    }
}
