//! What a backend's author writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::{Message, MessageId};

use crate::dead_letter::StoredDeadLetter;
use crate::outbox::OutboxStore;

/// Tables of their own for one test.
#[async_trait]
pub trait OutboxHarness: Send + Sync {
    /// A process that has just begun, with these tables. What an earlier one was doing, it does no more, unless the backend claims `relays`.
    async fn process(&self) -> Box<dyn OutboxProcess>;

    /// The dead letters of a channel, oldest first.
    async fn dead_letters(&self, channel: &str) -> Vec<StoredDeadLetter>;

    /// Makes a stored message unreadable.
    async fn damage(&self, id: &MessageId);

    /// After how long a process that is gone is taken over from. Only for `relays`.
    fn lease(&self) -> Duration {
        Duration::ZERO
    }
}

/// One process.
#[async_trait]
pub trait OutboxProcess: Send + Sync {
    /// Its outbox, as its relay sees it.
    fn store(&self) -> Arc<dyn OutboxStore>;

    /// Appends messages in one transaction, and commits it and wakes the relay, or rolls it back.
    async fn append(&self, channel: &str, messages: &[Message], commit: bool);
}
