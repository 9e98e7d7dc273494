//! The durable history in Redis, which several notifiers share.
//!
//! ```text
//! append ── one script ──► entries  <offset>-0 → id topic event body time     a stream
//!                          ids      id → offset                               a hash
//!                          state    epoch newest oldest …                     a hash
//!                          trimmed  topic → offset                            a sorted set
//!                             │
//!                             └── XREAD ──► tail of each notifier ──► its index and hub
//! ```
//!
//! Every change is one script, so it happens whole and at one moment, whoever makes it. A notifier follows the stream on a connection of its own
//! and keeps the topic of each offset; bodies are read from Redis when a reader wants old ones.

mod address;
mod eras;
mod error;
mod facts;
mod head;
mod link;
mod log;
mod open;
mod options;
mod reader;
mod scripts;
mod shared;
mod standing;
mod tail;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use redis::Value;
use tbx_bus::Topic;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::facts::{ClockSkew, RedisFacts};
pub use self::head::RedisHead;
pub use self::link::RedisState;
pub use self::options::RedisHistoryOptions;

use self::link::Link;
use self::scripts::{Scripts, Stored};
use self::shared::{Clock, Shared};
use self::tail::{Opened, STATE};
use super::contract::{Appended, Bounds, History, HistoryError, Matching};
use crate::{Entry, Notification, Position, TopicSet};

/// How often an append is begun again because the epoch has changed, or because what it appended is lost.
const ATTEMPTS: usize = 5;
/// How long an append waits until this process has read it, too.
const VISIBLE: Duration = Duration::from_secs(5);
/// How often a read is repeated because trimming got in between.
const MAX_LOOKS: usize = 100;

/// A history in Redis 6.2 or later, shared by all notifiers that name the same server, database and prefix: an append by one reaches the readers of
/// all, in one order, and a position of one is good on any other.
///
/// An append is answered after Redis has answered, and this process has read it back. That is as durable as Redis is: with `appendonly yes` and
/// `appendfsync always`, it is on the disk. [`RedisFacts`] tells how a server is set up. When this process does not get to read the entry within 5 s,
/// the append fails: nobody would know of the entry if it were lost before anybody has read it. Appended again, it is found.
///
/// When Redis has lost entries (a restart without a file, a failover to a replica that lagged, a flush), the history goes on in a new epoch, above
/// every offset that a notifier has shown. Readers go on; those that may have missed something are told of a gap with the reason
/// [`Unknown`](crate::hub::GapReason::Unknown), and so is a client that comes back with a position of the old epoch. What Redis has lost before any
/// notifier that is still running has read it cannot be noticed.
///
/// A lost connection is made again for as long as it takes; meanwhile readers wait, and appends fail after a moment.
/// [`state`](Self::state) tells whether there is one.
pub struct RedisHistory {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the tasks also when nobody closes the history.
    _stop_when_dropped: DropGuard,
}

impl RedisHistory {
    /// Connects, begins the history when there is none, and learns what it holds.
    ///
    /// # Errors
    ///
    /// Says what to do when the server cannot be reached, does not let this process in, is too old, is a replica, or evicts keys.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves a whole history.
    pub async fn open(options: RedisHistoryOptions) -> Result<Self, HistoryError> {
        Self::open_at(options, None).await
    }

    /// As [`open`](Self::open), with the time from `clock` rather than from the server, for tests.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_with_clock(
        options: RedisHistoryOptions,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, HistoryError> {
        Self::open_at(options, Some(Box::new(clock))).await
    }

    async fn open_at(options: RedisHistoryOptions, clock: Option<Clock>) -> Result<Self, HistoryError> {
        let scripts = Scripts::new(options.keys()?, options.retention());
        let link = Link::new(options.client()?);
        let mut first = Opened::connect(&link, &scripts).await?;
        let log = open::load(&scripts, &mut first.commands).await?;
        let shared = Arc::new(Shared::new(link, scripts, clock, log));
        shared.catch_up(&mut first.tail).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(tail::follow(Arc::clone(&shared), Some(first), stop.clone()));
        tasks.spawn(tail::keep_trimming(Arc::clone(&shared), stop.clone()));
        tasks.close();
        // Connected from the start, as the first session is.
        let mut state = shared.link.state();
        let connected = state.wait_for(|state| *state == RedisState::Connected);
        let _ = tokio::time::timeout(VISIBLE, connected).await;
        Ok(Self { shared, tasks, stop: stop.clone(), _stop_when_dropped: stop.drop_guard() })
    }

    /// Whether there is a connection, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RedisState> {
        self.shared.link.state()
    }

    /// Stops following and closes the connections. Later appends fail.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it ending by itself.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.shared.link.closed();
    }

    /// Waits until this process has read up to `offset`.
    async fn follow_to(&self, offset: u64) -> Result<(), HistoryError> {
        let mut newest = self.shared.newest.subscribe();
        let following = newest.wait_for(|newest| *newest >= offset);
        tokio::select! {
            _ = following => Ok(()),
            () = self.stop.cancelled() => Err(HistoryError::new("it is closed")),
            () = tokio::time::sleep(VISIBLE) => {
                Err(HistoryError::new("it is stored, and could not be read back in time"))
            }
        }
    }
}

#[async_trait]
impl History for RedisHistory {
    async fn append(&self, notification: Notification) -> Result<Appended, HistoryError> {
        let shared = &self.shared;
        let mut appended_at = None;
        for _ in 0..ATTEMPTS {
            let mut session = shared.link.wait().await?;
            let seen = shared.lock().bounds();
            let stored = shared
                .scripts
                .append(session.connection.clone(), &notification, (seen.epoch, seen.newest), shared.now())
                .await
                .map_err(|error| session.failed("appending", &error))?;
            let offset = match stored {
                Stored::Moved => {
                    shared.reconcile(&mut session.connection).await?;
                    continue;
                }
                Stored::Known { offset } => offset,
                Stored::New { offset } => {
                    appended_at = Some(offset);
                    offset
                }
            };
            self.follow_to(offset).await?;
            let log = shared.lock();
            if log.vouches_for(offset, notification.id(), seen) {
                return Ok(Appended { position: log.position(offset), is_new: appended_at == Some(offset) });
            }
        }
        Err(HistoryError::new("its epoch changes, or what it takes is lost, over and over"))
    }

    fn bounds(&self) -> Bounds {
        self.shared.lock().bounds()
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.subscribe()
    }

    fn position_at(&self, offset: u64) -> Position {
        self.shared.lock().position(offset)
    }

    async fn reaches(&self, position: Position) -> Result<bool, HistoryError> {
        let mut session = self.shared.link.wait().await?;
        let answer: Value = redis::cmd("HMGET")
            .arg(&self.shared.scripts.keys().meta)
            .arg(&STATE)
            .query_async(&mut session.connection)
            .await
            .map_err(|error| session.failed("asking how far it is", &error))?;
        let Some((epoch, newest, ..)) = scripts::state(answer)? else { return Ok(false) };
        if epoch != position.epoch || newest < position.offset {
            return Ok(false);
        }
        if epoch != self.bounds().epoch {
            // Another notifier has begun an epoch, and this one has not noticed yet.
            self.shared.reconcile(&mut session.connection).await?;
        }
        Ok(epoch == self.bounds().epoch)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, HistoryError> {
        let (found, newest) = {
            let log = self.shared.lock();
            (log.recent.after(after, limit), log.bounds().newest)
        };
        match found {
            Some(entries) => Ok(entries),
            None => reader::range(&self.shared, after, newest, limit).await,
        }
    }

    async fn read_matching(
        &self,
        topics: &TopicSet,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Matching, HistoryError> {
        for _ in 0..MAX_LOOKS {
            let (offsets, some_trimmed, entries) = {
                let log = self.shared.lock();
                let offsets = log.index.find(topics, after, through, limit);
                let entries = log.in_memory(&offsets);
                (offsets, log.has_trimmed(topics, after), entries)
            };
            let entries = match entries {
                Some(entries) => entries,
                None => reader::at(&self.shared, &offsets).await?,
            };
            if entries.len() == offsets.len() {
                return Ok(Matching { entries, some_trimmed });
            }
            // Some have gone since the index was asked, which it knows by now. Handing out the rest now would hide the gap.
            tokio::task::yield_now().await;
        }
        Err(HistoryError::new("entries that it should hold are missing from redis"))
    }

    fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        self.shared.lock().has_trimmed(topics, after)
    }

    fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.shared.lock().index.newest_of(topic)
    }

    async fn check(&self) -> Result<(), HistoryError> {
        let mut session = self.shared.link.wait().await?;
        let answer: Result<Value, _> = redis::cmd("PING").query_async(&mut session.connection).await;
        answer.map(drop).map_err(|error| session.failed("asking whether it is there", &error))
    }
}

impl fmt::Debug for RedisHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisHistory").field("bounds", &self.bounds()).finish_non_exhaustive()
    }
}
