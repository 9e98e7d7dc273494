//! The body of a stream: pulls from its reader when the socket takes more, so it holds nothing while it waits.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

use super::encode;
use crate::hub::{Next, Reader};

/// The most bytes joined into one write.
const COALESCE: usize = 64 << 10;

/// The body of an answer of [`SseService`](super::SseService).
pub struct SseBody(State);

enum State {
    /// What is left to say before the end.
    Ending(Option<Bytes>),
    Streaming(Box<Stream>),
}

struct Stream {
    reader: Reader,
    greeting: Option<Bytes>,
    keep_alive: Duration,
    silent_since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl SseBody {
    pub(super) fn stream(reader: Reader, keep_alive: Duration) -> Self {
        let greeting = encode::connected(&Uuid::now_v7().to_string(), reader.position());
        let silent_since = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(silent_since + keep_alive));
        Self(State::Streaming(Box::new(Stream {
            reader,
            greeting: Some(greeting),
            keep_alive,
            silent_since,
            timer,
        })))
    }

    /// Tells the client to come back, spread over 1 to 10 s so that not all come at once.
    pub(super) fn come_back() -> Self {
        Self(State::Ending(Some(encode::retry(fastrand::u64(1_000..=10_000)))))
    }

    pub(super) fn problem(status: StatusCode, title: &str, detail: &str) -> Self {
        let problem = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{},"detail":{}}}"#,
            status.as_u16(),
            encode::json_string(detail)
        );
        Self(State::Ending(Some(problem.into())))
    }

    pub(super) fn empty() -> Self {
        Self(State::Ending(None))
    }
}

impl Stream {
    /// The next bytes; `None` when the hub closes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        let mut joined = Joined::default();
        while joined.len() < COALESCE {
            match self.reader.poll_next(cx) {
                Poll::Ready(Next::Entry(entry)) => joined.push(entry.sse().clone()),
                Poll::Ready(Next::Gap(gap)) => joined.push(encode::gap(&gap)),
                Poll::Ready(_) if joined.len() == 0 => return Poll::Ready(None),
                // Said first what there is; the end comes with the next call.
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        if let Some(bytes) = joined.into_bytes() {
            self.silent_since = Instant::now();
            return Poll::Ready(Some(bytes));
        }
        self.poll_keep_alive(cx).map(Some)
    }

    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let due = self.silent_since + self.keep_alive;
            let now = Instant::now();
            if now < due {
                // The timer is moved only when it fires, not with every event.
                self.timer.as_mut().reset(due);
                continue;
            }
            self.silent_since = now;
            self.timer.as_mut().reset(now + self.keep_alive);
            return Poll::Ready(encode::checkpoint(self.reader.checkpoint()));
        }
    }
}

/// Bytes to write at once; a single piece is shared, not copied.
#[derive(Default)]
struct Joined {
    first: Option<Bytes>,
    all: BytesMut,
}

impl Joined {
    fn push(&mut self, piece: Bytes) {
        match self.first.take() {
            None if self.all.is_empty() => self.first = Some(piece),
            None => self.all.extend_from_slice(&piece),
            Some(first) => {
                self.all.extend_from_slice(&first);
                self.all.extend_from_slice(&piece);
            }
        }
    }

    fn len(&self) -> usize {
        self.first.as_ref().map_or(self.all.len(), Bytes::len)
    }

    fn into_bytes(self) -> Option<Bytes> {
        self.first.or_else(|| (!self.all.is_empty()).then(|| self.all.freeze()))
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
