//! Bounds of a hub.

use tbx_bus::TopicPattern;
use thiserror::Error;

use super::slow::{SlowPolicy, SlowRules};

/// How much a hub holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// How many readers there may be at once; 15,000 unless set.
    pub max_readers: usize,
    /// How many of the latest entries stay in memory; 4,096 unless set. A reader further behind reads from the history.
    pub window_entries: usize,
    /// How many bytes they may have together; 8 MiB unless set.
    pub window_bytes: usize,
    /// How many bytes a reader that was up to date may fall behind before its [`SlowPolicy`] holds; 8 MiB unless set. It costs no memory:
    /// what is not in memory is read from the history.
    pub max_behind: u64,
    pub(super) slow: SlowRules,
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

    /// How many bytes a reader may fall behind.
    #[must_use]
    pub fn with_max_behind(mut self, bytes: u64) -> Self {
        self.max_behind = bytes;
        self
    }

    /// What happens to a reader that is too slow for topics of this pattern. The first pattern that matches holds.
    #[must_use]
    pub fn with_slow_policy(mut self, pattern: TopicPattern, policy: SlowPolicy) -> Self {
        self.slow.add(pattern, policy);
        self
    }
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            max_readers: 15_000,
            window_entries: 4_096,
            window_bytes: 8 << 20,
            max_behind: 8 << 20,
            slow: SlowRules::default(),
        }
    }
}

/// The hub takes no more readers now: it is full, or it is closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the hub takes no more readers now")]
pub struct HubFull;
