//! What the relay needs from a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tbx_bus::{DeadLetter, Reason};
use tokio_util::sync::CancellationToken;

use super::OutboxEntry;
use crate::StoreError;

/// The outbox as its relay sees it. Appending is not here: that happens inside the caller's own transaction and belongs to each backend.
///
/// # Contract
///
/// - One relay works on a store value and its clones at a time. Whether other values may work on the same tables, in this or another process, is the
///   backend's to say; where they may, no message is with two of them unless one was taken for dead.
/// - Every call is one transaction: it happens whole or not at all.
/// - A message is claimed only when no older message of its channel and key is unsettled.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Does what the store needs done beside the relay, such as keeping a lease, until `stop` is cancelled; then gives back what it holds. The relay
    /// runs it from before its first call until after its last.
    ///
    /// `counted` are the channels whose messages are handled within this process. Any of those may end it, so their attempts must be counted before
    /// they are handed over; elsewhere a store may spare itself that.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives nothing back, as in a crash.
    async fn attend(&self, counted: &[&str], stop: CancellationToken) {
        let _ = counted;
        stop.cancelled().await;
    }

    /// What became of the store's hold on messages since this was last asked.
    fn tidings(&self) -> Tidings {
        Tidings::default()
    }

    /// Messages that were handed over and never settled, oldest first: called before anything is claimed, and again whenever
    /// [`tidings`](Self::tidings) say so. They stay handed over.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn left_behind(&self, limit: usize) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Counts one more attempt at a message that is already handed over.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it counted or not.
    async fn charge(&self, id: i64) -> Result<(), StoreError>;

    /// Settles what is finished and claims, for each channel, up to so many messages that are due at `now`, oldest first. A claimed message is
    /// handed over, with the attempt counted. Where something is settled, what this store was not told of may be left for a moment, after which
    /// [`appended`](Self::appended) ends; a call that settles nothing always looks.
    ///
    /// # Errors
    ///
    /// When the database fails; nothing is settled or claimed then.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have claimed: do not drop it before it is ready unless the process ends.
    async fn settle_and_claim(
        &self,
        settlements: &[Settlement],
        wanted: &[(&str, usize)],
        now: DateTime<Utc>,
    ) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Waits until something was appended and committed; may wake too often.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a wake-up that comes while nobody waits is kept.
    async fn appended(&self);

    /// Deletes up to `limit` messages that were done before `before`. Never touches what is not done.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves them deleted or not.
    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError>;

    /// How much there is.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn stats(&self) -> Result<OutboxStats, StoreError>;
}

/// What became of a message that was handed over.
#[derive(Debug)]
#[non_exhaustive]
pub enum Settlement {
    /// The bus answers for it now. Its dead letters are stored in the same transaction.
    Done {
        /// The message.
        entry: OutboxEntry,
        /// The groups that gave it up.
        dead_letters: Vec<DeadLetter>,
    },
    /// Publish it again, not before `at`.
    Later {
        /// The message.
        entry: OutboxEntry,
        /// When.
        at: DateTime<Utc>,
        /// Whether the attempt counts against the message. It does not when the bus was at fault.
        counts: bool,
    },
    /// It will never be published: store it as a dead letter and let its key go on.
    GivenUp {
        /// The message.
        entry: OutboxEntry,
        /// Why.
        reason: Reason,
    },
}

impl Settlement {
    /// The message.
    #[must_use]
    pub fn entry(&self) -> &OutboxEntry {
        match self {
            Self::Done { entry, .. } | Self::Later { entry, .. } | Self::GivenUp { entry, .. } => entry,
        }
    }
}

/// What became of a store's hold on messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tidings {
    /// Messages that are handed over and not this relay's any more, because another has taken over: forget them.
    pub lost: Vec<i64>,
    /// Messages of others were taken over that may have ended their process: see [`OutboxStore::left_behind`].
    pub left_behind: bool,
}

/// How much is in the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Waiting to be handed over, those behind an older one of their key included. A backend may estimate large numbers.
    pub pending: u64,
    /// Handed over by this process and not settled.
    pub handed: u64,
    /// Stored dead letters.
    pub dead: u64,
    /// When the oldest unsettled message was appended.
    pub oldest: Option<DateTime<Utc>>,
}
