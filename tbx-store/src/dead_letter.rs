//! Dead letters as every backend stores them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tbx_bus::Message;

/// A dead letter with what the store knows of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredDeadLetter {
    /// Its number in the store.
    pub id: i64,
    /// The id of the message.
    pub message_id: String,
    /// The message as it was published; `None` when what is stored of it cannot be read.
    pub message: Option<Message>,
    /// The group that gave it up; empty when none had it.
    pub group: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The kind of reason, as [`ReasonKind::as_str`](tbx_bus::ReasonKind::as_str) writes it.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
}

impl StoredDeadLetter {
    /// The message as it is to come once more: for the group that gave it up, if one did. `None` when it cannot be read.
    #[must_use]
    pub fn message_again(&self) -> Option<Message> {
        let message = self.message.clone()?;
        Some(if self.group.is_empty() { message.replayed() } else { message.replayed_for(&self.group) })
    }
}

/// A dead letter with what is stored of it, also when that cannot be read as a message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FiledLetter {
    /// The channel it was on.
    pub channel: String,
    /// The topic, as stored.
    pub topic: String,
    /// The body, as stored.
    pub body: Bytes,
    /// The letter.
    pub letter: StoredDeadLetter,
}

/// What became of a letter that was to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replayed {
    /// It is in the outbox again, and no longer a dead letter.
    Queued,
    /// There is no such letter.
    Absent,
    /// What is stored of it is no message; it stays a dead letter.
    Unreadable,
    /// Its message is still in the outbox, on its way to its groups; it stays a dead letter.
    UnderWay,
}
