//! The socket of one connection: counted while it lives, closed when its reader stalls.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A stream that carries its slot and its place in the count of open sockets.
///
/// Both belong to the socket and not to the task that serves it: after an upgrade the task ends, and the
/// socket lives on elsewhere.
pub(super) struct Socket {
    stream: TcpStream,
    stall: WriteStall,
    _slot: OwnedSemaphorePermit,
    _counted: TaskTrackerToken,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        write_timeout: Duration,
        slot: OwnedSemaphorePermit,
        counted: TaskTrackerToken,
    ) -> Self {
        let stall = WriteStall { limit: write_timeout, waiting: None };
        Self { stream, stall, _slot: slot, _counted: counted }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.stall.guard(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.stall.guard(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Turns a write that waits too long into an error. The timer exists only while a write waits, so that an
/// idle connection pays nothing for it.
struct WriteStall {
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl WriteStall {
    fn guard(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let deadline = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_moves_on_starts_the_wait_anew() {
        let mut stall = WriteStall { limit: Duration::from_secs(10), waiting: None };
        for _ in 0..3 {
            let waited =
                tokio::time::timeout(Duration::from_secs(9), poll_fn(|cx| stall.guard(cx, Poll::Pending)));
            assert!(waited.await.is_err(), "nine of ten seconds");
            let moved = poll_fn(|cx| stall.guard(cx, Poll::Ready(Ok(1)))).await;
            assert_eq!(moved.unwrap(), 1);
        }
        let stalled = poll_fn(|cx| stall.guard(cx, Poll::Pending)).await;
        assert_eq!(stalled.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
