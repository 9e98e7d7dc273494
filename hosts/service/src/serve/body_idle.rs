//! A request body must keep coming.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// The header timeout ends with the head; without this a client could hold a slot with a body it never sends.
pub(super) const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Fails when its reader has waited too long for the next frame. Only waiting counts: a server that is slow to
/// read is not the client's fault.
pub(super) struct BodyIdle<B> {
    body: B,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> BodyIdle<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self { body, limit, waiting: None }
    }
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for BodyIdle<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.waiting = None;
            return frame;
        }
        let limit = self.limit;
        let deadline = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the body does not come"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_an_error() {
        let silent = StreamBody::new(futures_util::stream::pending::<io::Result<Frame<Bytes>>>());
        let read = BodyIdle::new(silent, Duration::from_secs(30)).collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
