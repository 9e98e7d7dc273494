//! What a backend's author brings.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Capabilities, DeadLetter, Publisher, Subscriber};

/// One bus under test, with the means to look into its sink and to make it misbehave.
///
/// Each test gets a harness of its own, and nothing of another test may show through it: a bus, a virtual host or a prefix per harness.
/// The faults are only called by the tests of the claim that they belong to.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A publisher on the bus.
    fn publisher(&self) -> Arc<dyn Publisher>;

    /// A subscriber on the same bus.
    fn subscriber(&self) -> Arc<dyn Subscriber>;

    /// What the bus says that it can do.
    fn capabilities(&self) -> Capabilities {
        self.publisher().capabilities()
    }

    /// How the bus under test was set up.
    fn terms(&self) -> Terms {
        Terms::standard()
    }

    /// What lies in the sink of the bus for `group`, oldest first.
    async fn dead_letters(&self, group: &str) -> Vec<DeadLetter>;

    /// Makes the sink refuse letters until [`mend_sink`](Self::mend_sink). Claim `sink_failure`.
    async fn break_sink(&self) {
        not_provided("break_sink");
    }

    /// Makes the sink take letters again. Claim `sink_failure`.
    async fn mend_sink(&self) {
        not_provided("mend_sink");
    }

    /// Cuts every connection once; new ones succeed. Returns when the bus has noticed. Claim `cut`.
    async fn cut(&self) {
        not_provided("cut");
    }

    /// Lets publishers wait until [`unblock`](Self::unblock). Claim `block`.
    async fn block(&self) {
        not_provided("block");
    }

    /// Lets publishers go on. Claim `block`.
    async fn unblock(&self) {
        not_provided("unblock");
    }

    /// Loses the confirmation of the next message, not the message. Claim `lost_confirm`.
    async fn lose_next_confirm(&self) {
        not_provided("lose_next_confirm");
    }

    /// Delivers the next published message twice. Claim `duplicate`.
    async fn duplicate_next(&self) {
        not_provided("duplicate_next");
    }

    /// Ends the bus in an orderly way. Claim `close`.
    async fn close(&self) {
        not_provided("close");
    }

    /// Clears up after a test that passed.
    async fn tear_down(&self) {}
}

fn not_provided(fault: &str) -> ! {
    panic!("the harness makes a claim that needs `Harness::{fault}`, and does not implement it")
}

/// How a bus under test was set up, and how patient its tests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Terms {
    /// The largest body that the bus takes, in bytes; at least 1 MiB.
    pub max_body: usize,
    /// How many messages a group holds, with `strict_limit` the lent and put off ones included; at least 1,000.
    pub queue_capacity: usize,
    /// How long a blocked publisher waits before it fails.
    pub block_timeout: Duration,
    /// How long to wait for what must happen. A test that passes never waits this long.
    pub patience: Duration,
    /// How long to watch for what must not happen. A test that passes waits this long.
    pub silence: Duration,
    /// How much later than asked a retry may come.
    pub tolerance: Duration,
}

impl Terms {
    /// The defaults of [`MemoryBus`](crate::MemoryBus); 30 s of patience, 200 ms of silence, 2 s of tolerance.
    pub const fn standard() -> Self {
        Self {
            max_body: 1 << 20,
            queue_capacity: 10_000,
            block_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            silence: Duration::from_millis(200),
            tolerance: Duration::from_secs(2),
        }
    }

    /// Sets the largest body.
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the capacity of each group; the tests of `queue_limit` fill one.
    pub const fn with_queue_capacity(mut self, messages: usize) -> Self {
        self.queue_capacity = messages;
        self
    }

    /// Sets how long a blocked publisher waits; the tests of `block` wait it out.
    pub const fn with_block_timeout(mut self, timeout: Duration) -> Self {
        self.block_timeout = timeout;
        self
    }

    /// Sets how long to wait for what must happen.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how long to watch for what must not happen. Longer finds more and costs every run.
    pub const fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets how much later than asked a retry may come.
    pub const fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }
}
