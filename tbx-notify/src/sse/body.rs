//! The body of a stream: pulls from its reader when the socket takes more, so it holds nothing while it waits.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

use super::encode;
use super::joined::{COALESCE, Joined};
use crate::access::Grant;
use crate::hub::{Next, Reader};

/// The body of an answer of [`SseService`](super::SseService).
pub struct SseBody(State);

enum State {
    /// What is left to say before the end.
    Ending(Option<Bytes>),
    Streaming(Box<Stream>),
}

struct Stream {
    reader: Reader,
    grant: Grant,
    is_greeted: bool,
    has_ended: bool,
    keep_alive: Duration,
    silent_since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl SseBody {
    pub(super) fn stream(reader: Reader, grant: Grant, keep_alive: Duration) -> Self {
        let silent_since = Instant::now();
        let mut stream = Stream {
            reader,
            grant,
            is_greeted: false,
            has_ended: false,
            keep_alive,
            silent_since,
            timer: Box::pin(tokio::time::sleep_until(silent_since)),
        };
        let due = stream.due();
        stream.timer.as_mut().reset(due);
        Self(State::Streaming(Box::new(stream)))
    }

    /// Tells the client to come back, spread over 1 to 10 s so that not all come at once.
    pub(super) fn come_back() -> Self {
        Self(State::Ending(Some(encode::retry(fastrand::u64(1_000..=10_000)))))
    }

    /// These bytes and no more.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(State::Ending(Some(bytes)))
    }

    pub(super) fn empty() -> Self {
        Self(State::Ending(None))
    }
}

impl Stream {
    /// The next bytes; `None` when the client is to leave and come back.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut joined = Joined::default();
        if !self.is_greeted {
            std::task::ready!(self.reader.poll_settled(cx));
            self.is_greeted = true;
            joined.push(encode::connected(&Uuid::now_v7().to_string(), self.reader.position()));
            // In one write: a client that had the first and not the second would resume behind what it was to learn of.
            if let Some(gap) = self.reader.take_first_gap() {
                joined.push(encode::gap(&gap));
            }
            return Poll::Ready(joined.into_bytes());
        }
        if self.has_ended || self.grant.has_expired(Instant::now()) {
            return Poll::Ready(None);
        }
        while joined.len() < COALESCE {
            match self.reader.poll_next(cx) {
                Poll::Ready(Next::Entry(entry)) => {
                    if self.grant.allows(entry.notification().topic()) {
                        joined.push(entry.sse().clone());
                    }
                }
                Poll::Ready(Next::Gap(gap)) => joined.push(encode::gap(&gap)),
                Poll::Ready(Next::TooSlow | Next::Closing) => {
                    // Said first what there is.
                    self.has_ended = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        if let Some(bytes) = joined.into_bytes() {
            self.silent_since = Instant::now();
            return Poll::Ready(Some(bytes));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.poll_timer(cx)
    }

    /// When something happens although nothing is published: a keep-alive, or the end of the grant.
    fn due(&self) -> Instant {
        let keep_alive = self.silent_since + self.keep_alive;
        self.grant.expires().map_or(keep_alive, |expires| expires.min(keep_alive))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.grant.has_expired(now) {
                self.has_ended = true;
                return Poll::Ready(None);
            }
            if now < self.silent_since + self.keep_alive {
                // The timer is moved only when it fires, not with every event.
                let due = self.due();
                self.timer.as_mut().reset(due);
                continue;
            }
            self.silent_since = now;
            let due = self.due();
            self.timer.as_mut().reset(due);
            return Poll::Ready(Some(encode::checkpoint(self.reader.checkpoint())));
        }
    }
}

impl Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            State::Ending(last) => last.take(),
            State::Streaming(stream) => match std::task::ready!(stream.poll(cx)) {
                Some(bytes) => Some(bytes),
                None => {
                    let Self(State::Ending(last)) = Self::come_back() else { return Poll::Ready(None) };
                    self.0 = State::Ending(None);
                    last
                }
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Ending(None))
    }
}

impl fmt::Debug for SseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Ending(_) => "ending",
            State::Streaming(_) => "streaming",
        };
        f.debug_tuple("SseBody").field(&state).finish()
    }
}
