//! One client from `connected` to its close.

use std::collections::VecDeque;
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
use super::socket::{BACKLOG, Message, SocketError, WebSocket};
use super::subscriptions::Subscriptions;
use crate::access::Grant;
use crate::hub::{From as GoOn, Next, Reader, Start};
use crate::{Entry, MAX_PATTERNS, Position, TopicSet};

/// How long a write may make no progress.
const STALL: Duration = Duration::from_secs(10);
/// How many keep-alives may go unanswered.
const UNANSWERED: u32 = 3;
/// How many replays may wait for each other.
const MAX_REPLAYS: usize = 8;

/// What a session begins with.
pub(super) struct Beginning {
    pub(super) reader: Reader,
    pub(super) grant: Grant,
    pub(super) keep_alive: Duration,
    pub(super) pace: Pace,
    /// The head when the client came: what lies before it is a replay.
    pub(super) head: u64,
}

/// One client.
pub(super) struct Session {
    socket: WebSocket,
    reader: Reader,
    subscriptions: Subscriptions,
    grant: Grant,
    /// Entries up to here were there before the client asked for them.
    replay_through: u64,
    replays: VecDeque<Replay>,
    meter: Meter,
    keep_alive: Duration,
    silent_since: Instant,
    timer: Pin<Box<Sleep>>,
    stall: Option<Stall>,
}

/// Catching up with topics that were added with a position. The rest waits for it, so that nothing is overtaken.
struct Replay {
    reader: Reader,
    /// What the client had before.
    before: Subscriptions,
    /// The place that the rest waits at.
    through: u64,
}

/// A write that waits.
struct Stall {
    queued: usize,
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
        let Beginning { reader, grant, keep_alive, pace, head } = beginning;
        let position = reader.position();
        socket.send(encode::connected(&Uuid::now_v7().to_string(), position));
        let now = Instant::now();
        let mut session = Self {
            socket,
            subscriptions: Subscriptions::new(reader.topics(), position.offset),
            reader,
            grant,
            replay_through: head,
            replays: VecDeque::new(),
            meter: Meter::new(pace),
            keep_alive,
            silent_since: now,
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
        let Self { socket, reader, replays, .. } = self;
        // Its place in the hub is free before the goodbye.
        drop((reader, replays));
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
            match self.socket.poll_recv(cx) {
                Poll::Ready(Ok(Message::Text(text))) => {
                    if let Err(end) = self.hear(&text) {
                        return Poll::Ready(end);
                    }
                    continue;
                }
                Poll::Ready(Ok(Message::Binary(_))) => {
                    return Poll::Ready(End::Close(CloseCode::UNSUPPORTED, "only text is understood here"));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(ended(error)),
                Poll::Pending => {}
            }
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.stall = None,
                Poll::Ready(Err(_)) => return Poll::Ready(End::Gone),
                Poll::Pending => return self.poll_stall(cx),
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

    /// Queues what there is, as much as is written at once.
    fn deliver(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while self.socket.queued() < BACKLOG {
            let next = match self.replays.front_mut() {
                Some(replay) => match replay.poll_next(cx) {
                    Poll::Ready(Some(next)) => next,
                    Poll::Ready(None) => {
                        self.replays.pop_front();
                        continue;
                    }
                    Poll::Pending => return Ok(()),
                },
                None => match self.reader.poll_next(cx) {
                    Poll::Ready(next) => next,
                    Poll::Pending => return Ok(()),
                },
            };
            match next {
                Next::Entry(entry) => self.tell(&entry),
                Next::Gap(gap) => self.socket.send(encode::gap(&gap)),
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

    fn tell(&mut self, entry: &Entry) {
        if !self.grant.allows(entry.notification().topic()) {
            return;
        }
        if !self.replays.is_empty() {
            self.socket.send(encode::notification(entry, true));
        } else if self.subscriptions.want(entry) {
            self.socket.send(match entry.offset() <= self.replay_through {
                true => encode::notification(entry, true),
                false => entry.websocket().clone(),
            });
        }
    }

    fn hear(&mut self, text: &str) -> Result<(), End> {
        if !self.meter.count(Instant::now()) {
            return Err(End::Close(CloseCode::TOO_MANY, "too many messages"));
        }
        let done = Command::read(text).and_then(|command| match command {
            Command::Subscribe { topics, after } => self.subscribe(topics, after),
            Command::Unsubscribe { topics } => self.unsubscribe(&topics),
            Command::Ping => {
                self.socket.send(encode::pong());
                Ok(())
            }
        });
        if let Err(Mistake { code, message }) = done {
            self.socket.send(encode::error(code, &message));
        }
        Ok(())
    }

    fn subscribe(&mut self, topics: Vec<TopicPattern>, after: Option<String>) -> Result<(), Mistake> {
        if let Some(pattern) = topics.iter().find(|pattern| !self.grant.covers(pattern)) {
            let message = format!("the topics of `{pattern}` are not allowed to this client");
            return Err(Mistake::new("topic-not-allowed", message));
        }
        // As near to the head as it goes, so that nothing older than this moment comes as news.
        let here = if self.replays.is_empty() { self.reader.checkpoint() } else { self.reader.position() };
        let mut subscriptions = self.subscriptions.clone();
        subscriptions.add(topics.iter().cloned(), here.offset);
        let too_many = |_| {
            Mistake::new("too-many-topics", format!("at most {MAX_PATTERNS} patterns for each connection"))
        };
        let all = subscriptions.topics().map_err(too_many)?;
        let replay = match after {
            Some(_) if self.replays.len() == MAX_REPLAYS => {
                return Err(Mistake::new(
                    "busy",
                    "too many replays are waiting; ask again when they are done",
                ));
            }
            Some(position) => {
                let new = TopicSet::new(topics.iter().cloned()).map_err(too_many)?;
                let reader = self.reader.beside(new, Start::After { position, otherwise: GoOn::Head });
                // From the position on, not from here.
                subscriptions = self.subscriptions.clone();
                subscriptions.add(topics, reader.position().offset);
                Some(Replay { reader, before: self.subscriptions.clone(), through: here.offset })
            }
            None => None,
        };
        self.replays.extend(replay);
        self.change(subscriptions, all);
        Ok(())
    }

    fn unsubscribe(&mut self, topics: &[TopicPattern]) -> Result<(), Mistake> {
        let mut subscriptions = self.subscriptions.clone();
        subscriptions.remove(topics);
        let left = subscriptions.topics().unwrap_or_else(|_| TopicSet::none());
        self.change(subscriptions, left);
        Ok(())
    }

    fn change(&mut self, subscriptions: Subscriptions, topics: TopicSet) {
        self.subscriptions = subscriptions;
        self.socket.send(encode::subscribed(&topics, self.resume_position()));
        self.reader.change_topics(topics);
    }

    /// Where a client resumes without missing anything. While it catches up with something, that is where the catching up is: some of the rest comes
    /// again then.
    fn resume_position(&self) -> Position {
        let replays = self.replays.iter().map(|replay| replay.reader.position());
        replays.fold(
            self.reader.position(),
            |least, position| if position.offset < least.offset { position } else { least },
        )
    }

    /// When something happens although nothing is published: a keep-alive, or the end of the grant.
    fn due(&self) -> Instant {
        let keep_alive = self.silent_since + self.keep_alive;
        self.grant.expires().map_or(keep_alive, |expires| expires.min(keep_alive))
    }

    /// Sends a sign of life when nothing else was sent for long; ends when the grant does, or when the client gives no sign of life itself.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.grant.expires().is_some_and(|expires| expires <= now) {
                return Poll::Ready(Some(End::Close(
                    CloseCode::UNAUTHORIZED,
                    "the authorization has expired",
                )));
            }
            let is_silent = now >= self.silent_since + self.keep_alive;
            if is_silent {
                if now >= self.socket.last_heard() + self.keep_alive * UNANSWERED {
                    return Poll::Ready(Some(End::Gone));
                }
                self.silent_since = now;
                self.reader.checkpoint();
                self.socket.send(encode::checkpoint(self.resume_position()));
                self.socket.ping();
            }
            // The timer is moved only when it fires, not with every message.
            let due = self.due();
            self.timer.as_mut().reset(due);
            if is_silent {
                return Poll::Ready(None);
            }
        }
    }

    /// Gives a write that makes no progress its time.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let queued = self.socket.queued();
        let stall =
            self.stall.get_or_insert_with(|| Stall { queued, deadline: Box::pin(tokio::time::sleep(STALL)) });
        if stall.queued != queued {
            stall.queued = queued;
            stall.deadline.as_mut().reset(Instant::now() + STALL);
        }
        stall.deadline.as_mut().poll(cx).map(|()| End::Gone)
    }
}

impl Replay {
    /// What comes next; `None` when it has caught up.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        loop {
            return match self.reader.poll_next(cx) {
                Poll::Ready(Next::Entry(entry)) if entry.offset() > self.through => Poll::Ready(None),
                Poll::Ready(Next::Entry(entry)) if self.before.had(&entry) => continue,
                Poll::Ready(next) => Poll::Ready(Some(next)),
                // Reading from the history: its end wakes us. Otherwise it has reached the head, which the rest has not passed.
                Poll::Pending if self.reader.checkpoint().offset >= self.through => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

fn ended(error: SocketError) -> End {
    match error {
        SocketError::Gone => End::Parted,
        SocketError::Io(_) => End::Gone,
        SocketError::Protocol(code) => End::Close(code, "what came breaks the protocol"),
    }
}
