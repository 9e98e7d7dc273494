//! One client from `connected` to its close.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tbx_bus::TopicPattern;
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

use super::close::CloseCode;
use super::command::{Command, Mistake};
use super::encode;
use super::pace::{Meter, Pace};
use super::replay::{Replay, Step};
use super::socket::{Message, Received, SocketError, WebSocket};
use super::subscriptions::Subscriptions;
use crate::access::Grant;
use crate::hub::{Fallback, Gap, Next, Reader, Start};
use crate::{Entry, MAX_PATTERNS, Position, TopicSet};

/// How long a write may make no progress.
const STALL: Duration = Duration::from_secs(10);
/// How long a message may be under way, however many pieces it comes in.
const MESSAGE: Duration = Duration::from_secs(10);
/// How many pings may go unanswered.
const UNANSWERED: u32 = 3;
/// How many frames are heard before others have their turn.
const FRAMES: usize = 64;
/// How soon a replay is looked at again that has caught up with the hub, while the client is ahead of it.
const AGAIN: Duration = Duration::from_millis(50);

/// What a session begins with.
pub(super) struct Beginning {
    pub(super) reader: Reader,
    pub(super) grant: Grant,
    pub(super) keep_alive: Duration,
    pub(super) pace: Pace,
    /// The newest offset when the client came: up to it, all is a replay.
    pub(super) newest: u64,
}

/// One client.
pub(super) struct Session {
    socket: WebSocket,
    reader: Reader,
    subscriptions: Subscriptions,
    grant: Grant,
    /// Entries up to here were there before the client asked for them.
    replay_through: u64,
    replay: Option<Replay>,
    /// A subscription from a position that is still being looked for. Nothing more is heard meanwhile.
    sought: Option<Sought>,
    meter: Meter,
    keep_alive: Duration,
    silent_since: Instant,
    /// Pings since the client was last heard of, and when the last was sent.
    pings: u32,
    pinged: Instant,
    timer: Pin<Box<Sleep>>,
    stall: Option<Stall>,
}

/// What a client has asked for from a position on, and who looks for it.
struct Sought {
    topics: Vec<TopicPattern>,
    reader: Reader,
}

/// A write that waits.
struct Stall {
    written: u64,
    deadline: Pin<Box<Sleep>>,
}

/// How a session ends.
enum End {
    /// The client is gone, or its connection is.
    Gone,
    /// Both have said goodbye.
    Parted,
    /// The client is told why.
    Close(CloseCode, &'static str),
}

impl Session {
    pub(super) fn new(mut socket: WebSocket, beginning: Beginning) -> Self {
        let Beginning { reader, grant, keep_alive, pace, newest } = beginning;
        let position = reader.position();
        socket.send(encode::connected(&Uuid::now_v7().to_string(), position));
        let now = Instant::now();
        let mut session = Self {
            socket,
            subscriptions: Subscriptions::new(reader.topics(), position.offset),
            reader,
            grant,
            replay_through: newest,
            replay: None,
            sought: None,
            meter: Meter::new(pace),
            keep_alive,
            silent_since: now,
            pings: 0,
            pinged: now,
            timer: Box::pin(tokio::time::sleep_until(now)),
            stall: None,
        };
        let due = session.due();
        session.timer.as_mut().reset(due);
        session
    }

    /// Serves the client to its end.
    pub(super) async fn run(mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        let Self { socket, reader, replay, .. } = self;
        // Its place in the hub is free before the goodbye.
        drop((reader, replay));
        match end {
            End::Gone => {}
            End::Parted => socket.part().await,
            End::Close(code, reason) => {
                tracing::debug!(code = code.get(), reason, "websocket closed");
                socket.close(code, reason).await;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.has_expired() {
                return Poll::Ready(End::Close(CloseCode::UNAUTHORIZED, "the authorization has expired"));
            }
            if let Err(end) = self.listen(cx) {
                return Poll::Ready(end);
            }
            if self.is_overdue() {
                return Poll::Ready(End::Close(
                    CloseCode::PROTOCOL,
                    "a message did not come to its end in time",
                ));
            }
            let was_full = self.socket.is_full();
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.stall = None,
                Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
                Poll::Pending => {
                    // Expiry holds for those who read slowly, too.
                    ready!(self.poll_stall(cx));
                    return Poll::Ready(End::Gone);
                }
            }
            if was_full {
                // Listening has stopped for want of room, and now there is some.
                continue;
            }
            match self.deliver(cx) {
                Ok(()) if self.socket.queued() > 0 => self.silent_since = Instant::now(),
                Ok(()) => {
                    if let Some(end) = ready!(self.poll_timer(cx)) {
                        return Poll::Ready(end);
                    }
                }
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    fn has_expired(&self) -> bool {
        self.grant.has_expired(Instant::now())
    }

    /// Whether a message has been under way for too long: each holds memory, and somebody may begin many.
    fn is_overdue(&self) -> bool {
        self.socket.partial_since().is_some_and(|since| since + MESSAGE <= Instant::now())
    }

    /// Hears what the client has said. Pings and pongs count as messages do.
    fn listen(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..FRAMES {
            if self.poll_sought(cx).is_pending() {
                return Ok(());
            }
            let received = match self.socket.poll_frame(cx) {
                Poll::Ready(received) => received.map_err(ended)?,
                Poll::Pending => return Ok(()),
            };
            if !self.meter.count(Instant::now()) {
                return Err(End::Close(CloseCode::TOO_MANY, "too many messages"));
            }
            match received {
                Received::Control => {}
                Received::Message(Message::Text(text)) => self.hear(&text),
                Received::Message(Message::Binary(_)) => {
                    return Err(End::Close(CloseCode::UNSUPPORTED, "only text is understood here"));
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Queues what there is, as much as is written at once.
    fn deliver(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while !self.socket.is_full() {
            let next = match &mut self.replay {
                Some(replay) => match replay.poll_next(cx) {
                    Poll::Ready(Step::Entry(entry)) => {
                        if self.grant.allows(entry.notification().topic()) {
                            self.socket.send(encode::notification(&entry, true));
                        }
                        continue;
                    }
                    Poll::Ready(Step::Gap(gap)) => {
                        self.tell_gap(gap);
                        continue;
                    }
                    Poll::Ready(Step::Done) => {
                        self.replay = None;
                        // From here on the client resumes where the rest is.
                        self.socket.send(encode::checkpoint(self.reader.position()));
                        continue;
                    }
                    Poll::Ready(Step::Ended(end)) => end,
                    Poll::Pending => return Ok(()),
                },
                None => match self.reader.poll_next(cx) {
                    Poll::Ready(next) => next,
                    Poll::Pending => return Ok(()),
                },
            };
            match next {
                Next::Entry(entry) => self.tell(&entry),
                Next::Gap(gap) => self.tell_gap(gap),
                Next::TooSlow => {
                    return Err(End::Close(CloseCode::TOO_SLOW, "too far behind: come back and resume"));
                }
                Next::Closing => {
                    return Err(End::Close(CloseCode::RESTART, "the server restarts: come back in a moment"));
                }
            }
        }
        Ok(())
    }

    /// Tells of a gap, with a place to go on after that passes over nothing else.
    fn tell_gap(&mut self, mut gap: Gap) {
        let resume = self.resume_position();
        if resume.offset < gap.resumes_after.offset {
            gap.resumes_after = resume;
        }
        self.socket.send(encode::gap(&gap));
    }

    fn tell(&mut self, entry: &Entry) {
        if !self.grant.allows(entry.notification().topic()) {
            return;
        }
        if self.subscriptions.want(entry) {
            self.socket.send(match entry.offset() <= self.replay_through {
                true => encode::notification(entry, true),
                false => entry.websocket().clone(),
            });
        }
    }

    fn hear(&mut self, text: &str) {
        let done = Command::read(text).and_then(|command| match command {
            Command::Subscribe { topics, after } => self.subscribe(topics, after),
            Command::Unsubscribe { topics } => {
                self.unsubscribe(&topics);
                Ok(())
            }
            Command::Ping => {
                self.socket.send(encode::pong());
                Ok(())
            }
        });
        if let Err(Mistake { code, message }) = done {
            self.socket.send(encode::error(code, &message));
        }
    }

    fn subscribe(&mut self, topics: Vec<TopicPattern>, after: Option<String>) -> Result<(), Mistake> {
        if let Some(pattern) = topics.iter().find(|pattern| !self.grant.covers(pattern)) {
            let message = format!("the topics of `{pattern}` are not allowed to this client");
            return Err(Mistake::new("topic-not-allowed", message));
        }
        let too_many = |_| {
            Mistake::new("too-many-topics", format!("at most {MAX_PATTERNS} patterns for each connection"))
        };
        // As near to the head as it goes, so that little has to be passed over; and nothing older than this moment comes as news.
        if self.replay.is_none() {
            self.reader.checkpoint();
        }
        let mut subscriptions = self.subscriptions.clone();
        subscriptions.add(topics.iter().cloned(), self.reader.newest());
        let all = subscriptions.topics().map_err(too_many)?;
        match after {
            Some(position) => {
                let new = TopicSet::new(topics.iter().cloned()).map_err(too_many)?;
                let start = Start::After { position, otherwise: Fallback::Head };
                self.sought = Some(Sought { topics, reader: self.reader.beside(new, start) });
            }
            None => self.change(subscriptions, all),
        }
        Ok(())
    }

    /// Goes on with a subscription once it is known where it begins.
    fn poll_sought(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sought) = &mut self.sought else { return Poll::Ready(()) };
        ready!(sought.reader.poll_settled(cx));
        if let Some(Sought { topics, reader }) = self.sought.take() {
            self.subscribe_from(&topics, reader);
        }
        Poll::Ready(())
    }

    /// Adds topics from the place of `reader` on, from where it catches up with the rest.
    fn subscribe_from(&mut self, topics: &[TopicPattern], mut reader: Reader) {
        let here = if self.replay.is_none() { self.reader.checkpoint() } else { self.reader.position() };
        let gap = reader.take_first_gap();
        let begins = reader.position().offset;
        let mut subscriptions = self.subscriptions.clone();
        subscriptions.add(topics.iter().cloned(), begins);
        // No more patterns than the connection may have, which were counted.
        let all = subscriptions.topics().unwrap_or_else(|_| TopicSet::none());
        let wanted = Subscriptions::new(reader.topics(), begins);
        self.replay = Some(match self.replay.take() {
            Some(replay) => replay.widen(topics, begins, |topics, after| {
                let position = self.reader.position_at(after).to_string();
                self.reader.beside(topics, Start::After { position, otherwise: Fallback::Head })
            }),
            None => Replay::new(reader, wanted, &self.subscriptions, here),
        });
        self.reader.forgive_lag();
        self.change(subscriptions, all);
        if let Some(gap) = gap {
            self.tell_gap(gap);
        }
    }

    fn unsubscribe(&mut self, topics: &[TopicPattern]) {
        let mut subscriptions = self.subscriptions.clone();
        subscriptions.remove(topics);
        let left = subscriptions.topics().unwrap_or_else(|_| TopicSet::none());
        self.replay = self.replay.take().and_then(|replay| replay.narrow(topics));
        self.change(subscriptions, left);
    }

    fn change(&mut self, subscriptions: Subscriptions, topics: TopicSet) {
        self.subscriptions = subscriptions;
        self.socket.send(encode::subscribed(&topics, self.resume_position()));
        self.reader.change_topics(topics);
    }

    /// Where a client resumes without missing anything. While it catches up with something, that is where the catching up is: some of the rest comes
    /// again then.
    fn resume_position(&self) -> Position {
        let rest = self.reader.position();
        let replay = self.replay.as_ref().map(Replay::position);
        replay.filter(|replay| replay.offset < rest.offset).unwrap_or(rest)
    }

    /// When something happens although nothing is published: a keep-alive, or the end of the grant.
    fn due(&self) -> Instant {
        let mut due = self.silent_since + self.keep_alive;
        if let Some(expires) = self.grant.expires() {
            due = due.min(expires);
        }
        if let Some(since) = self.socket.partial_since() {
            due = due.min(since + MESSAGE);
        }
        if self.replay.is_some() {
            due = due.min(Instant::now() + AGAIN);
        }
        due
    }

    /// Sends a sign of life when nothing else was sent for long; ends when the client gives none itself.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if self.replay.is_some() {
            let due = self.due();
            if due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
            }
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let is_silent = now >= self.silent_since + self.keep_alive;
            if is_silent {
                if self.socket.last_heard() >= self.pinged {
                    self.pings = 0;
                }
                if self.pings == UNANSWERED {
                    return Poll::Ready(Some(End::Gone));
                }
                self.pings += 1;
                self.pinged = now;
                self.silent_since = now;
                self.reader.checkpoint();
                self.socket.send(encode::checkpoint(self.resume_position()));
                self.socket.ping();
            }
            // The timer is moved only when it fires, not with every message.
            let due = self.due();
            self.timer.as_mut().reset(due);
            if is_silent || self.replay.is_some() || self.has_expired() || self.is_overdue() {
                return Poll::Ready(None);
            }
        }
    }

    /// Gives a write that makes no progress its time.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (written, limit) = (self.socket.written(), Instant::now() + STALL);
        let limit = self.grant.expires().map_or(limit, |expires| limit.min(expires));
        let stall = self
            .stall
            .get_or_insert_with(|| Stall { written, deadline: Box::pin(tokio::time::sleep_until(limit)) });
        if stall.written != written {
            stall.written = written;
            stall.deadline.as_mut().reset(limit);
        }
        stall.deadline.as_mut().poll(cx)
    }
}

fn ended(error: SocketError) -> End {
    match error {
        SocketError::Gone => End::Parted,
        SocketError::Io(_) => End::Gone,
        SocketError::Protocol(code) => End::Close(code, "what came breaks the protocol"),
    }
}
