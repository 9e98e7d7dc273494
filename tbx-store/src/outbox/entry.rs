//! One stored message.

use std::sync::Arc;

use tbx_bus::Message;

/// A message in the outbox, as the relay holds it.
#[derive(Debug, Clone)]
pub struct OutboxEntry {
    /// Grows in the order of commits.
    pub id: i64,
    /// Which bus it goes to.
    pub channel: Arc<str>,
    /// What to publish.
    pub message: Message,
    /// How often it was handed over, this time included.
    pub attempts: u32,
}

impl OutboxEntry {
    /// Whose letter it becomes when it is given up: that of the one group it is for, or, where no group has had it to the end, of the channel itself.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn addressee(&self) -> &str {
        self.message.only_for().unwrap_or_default()
    }
}
