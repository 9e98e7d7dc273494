//! What the connections are doing, for health checks and metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// What the connection to the broker is doing. Two connections are behind it, one that publishes and one that consumes; it tells the worse of
/// the two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// Not connected; why not, after the first try.
    Connecting(Option<String>),
    /// Connected.
    Running,
    /// Connected, but the broker takes no messages now, as it says why.
    Blocked(String),
    /// Closed for good.
    Closed,
}

impl LinkState {
    /// Whether messages can be published and consumed.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self == Self::Running
    }

    fn badness(&self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Blocked(_) => 1,
            Self::Connecting(_) => 2,
            Self::Closed => 3,
        }
    }
}

/// Which of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Publishing,
    Consuming,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Publishing => "publishing",
            Self::Consuming => "consuming",
        }
    }
}

/// The states of both, and the worse of them.
#[derive(Debug)]
pub(super) struct States {
    each: [watch::Sender<LinkState>; 2],
    worse: watch::Sender<LinkState>,
    /// Held while one is told, so that the last worse one told is the true one.
    telling: Mutex<()>,
}

impl States {
    pub(super) fn new() -> Self {
        let connecting = || watch::Sender::new(LinkState::Connecting(None));
        Self { each: [connecting(), connecting()], worse: connecting(), telling: Mutex::new(()) }
    }

    pub(super) fn set(&self, role: Role, state: LinkState) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        self.each[role as usize].send_replace(state);
        let [one, other] = [self.each[0].borrow().clone(), self.each[1].borrow().clone()];
        let worse = if one.badness() >= other.badness() { one } else { other };
        self.worse.send_if_modified(|told| std::mem::replace(told, worse.clone()) != worse);
    }

    pub(super) fn watch(&self) -> watch::Receiver<LinkState> {
        self.worse.subscribe()
    }

    pub(super) fn watch_one(&self, role: Role) -> watch::Receiver<LinkState> {
        self.each[role as usize].subscribe()
    }
}

/// What happened so far, for metrics. Counters only grow; gauges are the present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RabbitStats {
    /// Gauge: messages that wait to be sent.
    pub waiting: usize,
    /// Gauge: messages that were sent and are not confirmed yet.
    pub unconfirmed: usize,
    /// Gauge: consumers and listeners.
    pub consumers: usize,
    /// Messages that the broker confirmed.
    pub confirmed: u64,
    /// Messages that the broker gave back because nobody takes their topic.
    pub returned: u64,
    /// Messages that the broker refused, because a queue is full or by its rules.
    pub refused: u64,
    /// Messages whose confirmation did not come in time.
    pub unanswered: u64,
    /// Connections made, the first two included.
    pub connected: u64,
    /// Connections lost.
    pub disconnected: u64,
    /// Messages that were given up to the dead letters here.
    pub dead_lettered: u64,
    /// Messages that were put off for a retry here.
    pub put_off: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) waiting: AtomicUsize,
    pub(super) unconfirmed: AtomicUsize,
    pub(super) consumers: AtomicUsize,
    pub(super) confirmed: AtomicU64,
    pub(super) returned: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) disconnected: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) put_off: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> RabbitStats {
        RabbitStats {
            waiting: self.waiting.load(Ordering::Relaxed),
            unconfirmed: self.unconfirmed.load(Ordering::Relaxed),
            consumers: self.consumers.load(Ordering::Relaxed),
            confirmed: self.confirmed.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            unanswered: self.unanswered.load(Ordering::Relaxed),
            connected: self.connected.load(Ordering::Relaxed),
            disconnected: self.disconnected.load(Ordering::Relaxed),
            dead_lettered: self.dead_lettered.load(Ordering::Relaxed),
            put_off: self.put_off.load(Ordering::Relaxed),
        }
    }
}

/// One consumer, counted as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<Counters>);

impl Counted {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.consumers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.consumers.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
