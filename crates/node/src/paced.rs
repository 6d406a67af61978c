//! A socket whose other side must take what is sent: a client that stops reading gives its place back.
//!
//! From the first write that has to wait until all is sent, each span of [`crate::http::Limits::write_time_max`] must see at least [`TAKEN_MIN`] bytes taken, so that a trickle of reads
//! holds nothing for long either. What is not to be sent yet has no time.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Bytes that are taken in one span, at least.
const TAKEN_MIN: usize = 16 * 1024;

/// A paced socket.
pub(crate) struct Paced {
    socket: TcpStream,
    time_max: Duration,
    /// The end of the span, while something waits to be taken.
    end: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since the span began.
    taken: usize,
}

impl Paced {
    pub(crate) const fn new(socket: TcpStream, time_max: Duration) -> Self {
        Self {
            socket,
            time_max,
            end: None,
            taken: 0,
        }
    }

    fn pace(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(taken)) = &done {
            self.taken = self.taken.saturating_add(*taken);
        }
        let time_max = self.time_max;
        let end = match (&mut self.end, &done) {
            (Some(end), _) => end,
            (none, Poll::Pending) => {
                self.taken = 0;
                none.insert(Box::pin(tokio::time::sleep(time_max)))
            }
            (None, Poll::Ready(_)) => return done,
        };
        while end.as_mut().poll(cx).is_ready() {
            if self.taken < TAKEN_MIN {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.taken = 0;
            end.set(tokio::time::sleep(time_max));
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
        self.end = None;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
