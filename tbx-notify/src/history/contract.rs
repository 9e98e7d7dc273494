//! The contract.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::Topic;
use thiserror::Error;
use tokio::sync::watch;

use crate::{Entry, Epoch, Notification, Position, TopicSet};

/// An append-only log of notifications, trimmed at its old end.
///
/// # Contract
///
/// - *Once:* a notification whose id the history still knows is not appended again; its first position is returned.
/// - *Order:* offsets grow by the order of appends and start at 1. What was visible stays where it is until it is trimmed.
/// - *Durable:* a durable history answers an append after it is stored, and keeps epoch and offsets over a restart. One that lost
///   entries or starts anew has a new epoch. When that happens while it is open, its offsets go on above every offset it has shown, so that who
///   reads goes on, and [`position_at`](Self::position_at) tells which offset belongs to which epoch.
/// - *Trimmed from the old end only,* and remembered by topic, so that a reader is told of a gap when it missed something and only then.
/// - Any number of tasks may append and read at once.
#[async_trait]
pub trait History: Send + Sync {
    /// Appends a notification and answers once it is stored.
    ///
    /// # Errors
    ///
    /// When it cannot be stored now. Whether it was is unknown: append it again, with the same id.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it appended or not.
    async fn append(&self, notification: Notification) -> Result<Appended, HistoryError>;

    /// What the history holds now.
    fn bounds(&self) -> Bounds;

    /// The newest offset, now and from now on.
    fn newest(&self) -> watch::Receiver<u64>;

    /// The position of an offset: with the present epoch, unless the history had another one when it got there.
    fn position_at(&self, offset: u64) -> Position {
        Position::new(self.bounds().epoch, offset)
    }

    /// Whether a position that lies beyond [`bounds`](Self::bounds), or is of another epoch, is one of this history all the same. A history that
    /// several processes share may be further than this process has seen, and asks where it is stored. Any other answers `false`, at once.
    ///
    /// # Errors
    ///
    /// When it cannot be found out now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn reaches(&self, position: Position) -> Result<bool, HistoryError> {
        let _ = position;
        Ok(false)
    }

    /// Up to `limit` entries after the offset `after`, whatever their topic, oldest first.
    ///
    /// # Errors
    ///
    /// When stored entries cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, HistoryError>;

    /// Up to `limit` entries after the offset `after` and up to `through` that `topics` want, oldest first, and whether some of them are gone. Reads no
    /// entry of other topics.
    ///
    /// # Errors
    ///
    /// When stored entries cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn read_matching(
        &self,
        topics: &TopicSet,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Matching, HistoryError>;

    /// Whether an entry after the offset `after` that `topics` want was trimmed. A history that has to forget which topics it trimmed long ago answers
    /// `true` for any place from as far back.
    fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool;

    /// The offset of the newest entry of `topic` that is kept.
    fn newest_of(&self, topic: &Topic) -> Option<u64>;

    /// Whether the history can be read and appended to, for health checks.
    ///
    /// # Errors
    ///
    /// Says why not.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn check(&self) -> Result<(), HistoryError>;
}

/// The answer to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the notification stands.
    pub position: Position,
    /// Whether it was appended now; `false` when it was there already.
    pub is_new: bool,
}

/// The answer to a matching read, as of one moment.
#[derive(Debug, Clone)]
pub struct Matching {
    /// The entries.
    pub entries: Vec<Arc<Entry>>,
    /// Whether others like them were trimmed, which a complete answer would have.
    pub some_trimmed: bool,
}

/// What a history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Which life of the history it is.
    pub epoch: Epoch,
    /// The offset of the oldest entry kept; one more than `newest` when there is none.
    pub oldest: u64,
    /// The offset of the newest entry; 0 before the first.
    pub newest: u64,
}

impl Bounds {
    /// The place after the newest entry.
    #[must_use]
    pub fn head(&self) -> Position {
        Position::new(self.epoch, self.newest)
    }

    /// The place before the oldest entry kept.
    #[must_use]
    pub fn tail(&self) -> Position {
        Position::new(self.epoch, self.oldest.saturating_sub(1))
    }
}

/// How much is kept. What exceeds either bound is trimmed, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many entries; 100,000 unless set. Each costs its body on disk and about 40 bytes of memory in a durable history, each
    /// topic about 200 bytes; of topics of which nothing is kept the latest 10,000 are remembered.
    pub max_count: u64,
    /// For so long; 24 hours unless set.
    pub max_age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_count: 100_000, max_age: Duration::from_secs(24 * 3600) }
    }
}

/// The history failed.
#[derive(Debug, Error)]
#[error("the history failed: {context}")]
pub struct HistoryError {
    context: String,
    lasting: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HistoryError {
    /// An error; `context` says what was being done, as a lowercase fragment.
    #[must_use]
    pub fn new(context: impl Into<String>) -> Self {
        Self { context: context.into(), lasting: false, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says that no repetition helps until somebody has done something about it.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !self.lasting
    }
}
