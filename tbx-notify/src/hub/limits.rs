//! Bounds of a hub.

use thiserror::Error;

/// How much a hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// How many readers there may be at once; 15,000 unless set.
    pub max_readers: usize,
    /// How many of the latest entries stay in memory; 4,096 unless set. A reader further behind reads from the history.
    pub window_entries: usize,
    /// How many bytes they may have together; 8 MiB unless set.
    pub window_bytes: usize,
}

impl HubOptions {
    /// How many readers there may be at once.
    #[must_use]
    pub fn with_max_readers(mut self, readers: usize) -> Self {
        self.max_readers = readers;
        self
    }

    /// How much stays in memory.
    #[must_use]
    pub fn with_window(mut self, entries: usize, bytes: usize) -> Self {
        self.window_entries = entries;
        self.window_bytes = bytes;
        self
    }
}

impl Default for HubOptions {
    fn default() -> Self {
        Self { max_readers: 15_000, window_entries: 4_096, window_bytes: 8 << 20 }
    }
}

/// The hub takes no more readers now: it is full, or it is closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the hub takes no more readers now")]
pub struct HubFull;
