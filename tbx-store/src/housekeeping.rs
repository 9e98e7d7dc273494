//! How long what is done is kept, in every backend.

use std::time::Duration;

/// How long what is done is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Published messages; 10 minutes unless set. For looking at, no more, and only on SQLite: PostgreSQL deletes a message once it is done.
    pub outbox: Duration,
    /// Handled messages; 7 days unless set. Must exceed the longest time after which a message may come again.
    pub inbox: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { outbox: Duration::from_secs(600), inbox: Duration::from_secs(7 * 24 * 3600) }
    }
}
