//! The memory bus under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::conformance::{Harness, Terms};
use tbx_bus::{DeadLetter, DeadLetterSink, MemoryBus, MemoryDeadLetters, Publisher, Subscriber};

const QUEUE_CAPACITY: usize = 1_000;
const BLOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A memory bus whose sink can be broken.
pub(crate) struct MemoryHarness {
    pub(crate) bus: MemoryBus,
    pub(crate) sink: Arc<BreakableSink>,
}

impl MemoryHarness {
    pub(crate) fn new() -> Self {
        let sink = Arc::new(BreakableSink::default());
        let bus = MemoryBus::builder()
            .with_queue_capacity(QUEUE_CAPACITY)
            .with_block_timeout(BLOCK_TIMEOUT)
            .with_dead_letters(Arc::<BreakableSink>::clone(&sink))
            .build();
        Self { bus, sink }
    }
}

#[async_trait]
impl Harness for MemoryHarness {
    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.bus.clone())
    }

    fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::new(self.bus.clone())
    }

    fn terms(&self) -> Terms {
        Terms::standard().with_queue_capacity(QUEUE_CAPACITY).with_block_timeout(BLOCK_TIMEOUT)
    }

    async fn dead_letters(&self, group: &str) -> Vec<DeadLetter> {
        self.sink.kept.letters().into_iter().filter(|letter| letter.group.as_ref() == group).collect()
    }

    async fn break_sink(&self) {
        self.sink.broken.store(true, Ordering::SeqCst);
    }

    async fn mend_sink(&self) {
        self.sink.broken.store(false, Ordering::SeqCst);
    }

    async fn cut(&self) {
        self.bus.faults().cut();
    }

    async fn block(&self) {
        self.bus.faults().block();
    }

    async fn unblock(&self) {
        self.bus.faults().unblock();
    }

    async fn lose_next_confirm(&self) {
        self.bus.faults().lose_confirms(1);
    }

    async fn duplicate_next(&self) {
        self.bus.faults().duplicate(1);
    }

    async fn close(&self) {
        self.bus.close();
    }
}

/// Keeps letters, slowly or not at all when told so.
#[derive(Default)]
pub(crate) struct BreakableSink {
    pub(crate) kept: MemoryDeadLetters,
    pub(crate) broken: AtomicBool,
    /// Storing takes a second, in which a caller can give up waiting.
    pub(crate) slow: AtomicBool,
}

#[async_trait]
impl DeadLetterSink for BreakableSink {
    async fn bury(&self, letter: DeadLetter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err("the disk is full".into());
        }
        self.kept.bury(letter).await
    }
}
