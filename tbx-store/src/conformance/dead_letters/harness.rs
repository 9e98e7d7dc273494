//! What a backend's author writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use tbx_bus::{DeadLetter, DeadLetterSink, Message, Reason, ReasonKind, Topic};

use crate::StoreError;
use crate::dead_letter::{FiledLetter, Replayed, StoredDeadLetter};
use crate::outbox::{OutboxEntry, OutboxStore};

/// Tables without dead letters, and the outbox beside them.
#[async_trait]
pub trait DeadLettersHarness: Send + Sync {
    /// The outbox. Nobody relays from it; who calls it runs [`OutboxStore::attend`] meanwhile.
    fn store(&self) -> Arc<dyn OutboxStore>;

    /// Appends a message in a transaction, commits it and wakes the relay.
    async fn append(&self, channel: &str, message: &Message);

    /// Where the dead letters of a channel go.
    fn sink(&self, channel: &str) -> Arc<dyn DeadLetterSink>;

    /// Up to `limit` letters of a channel with a number above `after`, oldest first.
    async fn of_channel(&self, channel: &str, after: i64, limit: u32) -> Vec<StoredDeadLetter>;

    /// Up to `limit` letters of all channels with a number above `after`, oldest first.
    async fn list(&self, after: i64, limit: u32) -> Vec<FiledLetter>;

    /// The letter with this number.
    async fn find(&self, id: i64) -> Option<FiledLetter>;

    /// Puts the message of a letter back into the outbox.
    async fn replay(&self, id: i64) -> Result<Replayed, StoreError>;

    /// Takes a letter away for good.
    async fn discard(&self, id: i64) -> bool;

    /// Makes every stored letter unreadable: headers that are none, and the bytes `ff 00` as body.
    async fn damage(&self);
}

pub(super) const DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn message(topic: &str, key: Option<&str>) -> Message {
    let message = Message::new(Topic::new(topic).unwrap(), "Happened", "{}");
    match key {
        Some(key) => message.with_key(key).unwrap(),
        None => message,
    }
}

pub(super) fn letter(message: &Message, group: &str) -> DeadLetter {
    let reason = Reason::new(ReasonKind::Rejected, "no \0 use");
    DeadLetter::new(message.clone().into(), group.into(), 5, reason)
}

/// Gives a message up as a group of its channel; the number of the letter.
pub(super) async fn give_up(
    harness: &impl DeadLettersHarness,
    channel: &str,
    group: &str,
    message: &Message,
) -> i64 {
    harness.sink(channel).bury(letter(message, group)).await.unwrap();
    let letters = harness.of_channel(channel, 0, 100).await;
    let ours = letters.iter().rfind(|letter| letter.message_id == message.id().as_str());
    ours.expect("the letter is stored").id
}

/// Claims from the outbox until there is something.
pub(super) async fn await_claim(store: &dyn OutboxStore, channel: &str) -> Vec<OutboxEntry> {
    let something = async {
        loop {
            let claimed = store.settle_and_claim(&[], &[(channel, 100)], Utc::now()).await;
            match claimed {
                Ok(claimed) if !claimed.is_empty() => return claimed,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, something).await.expect("messages in time")
}
