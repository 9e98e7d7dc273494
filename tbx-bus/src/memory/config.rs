//! Settings of the in-memory bus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::MemoryBus;
use crate::{DeadLetterSink, MemoryDeadLetters};

/// What to do with a message that nobody takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unroutable {
    /// Refuse it: for facts that must not be lost because nobody has subscribed yet.
    Refuse,
    /// Take it and forget it: for news that is only of use to those who listen.
    Drop,
}

/// Builds a [`MemoryBus`].
#[derive(Clone)]
#[must_use]
pub struct MemoryBusBuilder {
    pub(super) queue_capacity: usize,
    pub(super) max_body: usize,
    pub(super) block_timeout: Duration,
    pub(super) unroutable: Unroutable,
    pub(super) sink: Arc<dyn DeadLetterSink>,
    pub(super) seed: u64,
}

impl Default for MemoryBusBuilder {
    fn default() -> Self {
        Self {
            queue_capacity: 10_000,
            max_body: 1 << 20,
            block_timeout: Duration::from_secs(30),
            unroutable: Unroutable::Refuse,
            sink: Arc::new(MemoryDeadLetters::default()),
            seed: 0,
        }
    }
}

impl MemoryBusBuilder {
    /// How many unsettled messages one group holds before publishing is refused; 10,000 unless set. Each costs its body and about 300 bytes.
    pub fn with_queue_capacity(mut self, messages: usize) -> Self {
        self.queue_capacity = messages.max(1);
        self
    }

    /// The largest body taken, in bytes; 1 MiB unless set.
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long `publish` waits while the bus is blocked; 30 s unless set.
    pub fn with_block_timeout(mut self, timeout: Duration) -> Self {
        self.block_timeout = timeout;
        self
    }

    /// What to do with a message that nobody takes; refused unless set.
    pub fn with_unroutable(mut self, unroutable: Unroutable) -> Self {
        self.unroutable = unroutable;
        self
    }

    /// Where dead letters go whose receipt nobody holds; the latest 1,000 stay in memory unless set.
    pub fn with_dead_letters(mut self, sink: Arc<dyn DeadLetterSink>) -> Self {
        self.sink = sink;
        self
    }

    /// The seed of the random choices that [`Faults`](super::Faults) make; 0 unless set.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The bus.
    #[must_use]
    pub fn build(self) -> MemoryBus {
        MemoryBus::from_builder(self)
    }
}

impl fmt::Debug for MemoryBusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBusBuilder")
            .field("queue_capacity", &self.queue_capacity)
            .field("max_body", &self.max_body)
            .field("unroutable", &self.unroutable)
            .finish_non_exhaustive()
    }
}
