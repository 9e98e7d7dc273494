//! Publishing one entry on its channel's bus, and telling what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tbx_bus::{Backoff, BusError, BusErrorKind, Publisher, Reason, ReasonKind, SettlesOn};

use super::{OutboxEntry, Settlement};

/// How long a durable bus may take to accept.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);

/// A channel name and the bus behind it.
#[derive(Clone)]
pub struct Route {
    pub(super) channel: Arc<str>,
    publisher: Arc<dyn Publisher>,
    pub(super) window: usize,
    backoff: Backoff,
}

impl Route {
    /// Messages of `channel` go to `publisher`, at most 256 unsettled at a time.
    #[must_use]
    pub fn new(channel: &str, publisher: Arc<dyn Publisher>) -> Self {
        Self { channel: channel.into(), publisher, window: 256, backoff: Backoff::standard() }
    }

    /// How many messages may be unsettled at a time; at least 1. More hides the latency of the bus and repeats more after a crash.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window.max(1);
        self
    }

    /// How long to wait before publishing again what the bus did not take.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Publishes and waits until the bus answers for the message.
    pub(super) async fn carry(&self, entry: OutboxEntry, failures: u32) -> Carried {
        match self.publish(&entry).await {
            Ok(dead_letters) => Carried::Settled(Settlement::Done { entry, dead_letters }),
            Err(error) if !is_hopeless(&error) => {
                let delay = self.backoff.delay(failures + 1);
                tracing::warn!(
                    channel = %self.channel,
                    message = %entry.message.id(),
                    %error,
                    delay_ms = delay.as_millis() as u64,
                    "not published, trying again"
                );
                Carried::Failed { entry, delay }
            }
            Err(error) => {
                tracing::error!(channel = %self.channel, message = %entry.message.id(), %error, "cannot be published");
                let reason = Reason::new(ReasonKind::Unpublishable, error.to_string());
                Carried::Settled(Settlement::GivenUp { entry, reason })
            }
        }
    }

    async fn publish(&self, entry: &OutboxEntry) -> Result<Vec<tbx_bus::DeadLetter>, BusError> {
        let publishing = self.publisher.publish(entry.message.clone());
        let timed_out = |_| BusError::new(BusErrorKind::Blocked, "no answer in time");
        match self.publisher.capabilities().settles_on {
            SettlesOn::Accepted => {
                let accepted = async { publishing.await?.accepted().await };
                tokio::time::timeout(ACCEPT_TIMEOUT, accepted).await.map_err(timed_out)??;
                Ok(Vec::new())
            }
            // Handlers may take as long as they need; the window bounds how much waits for them.
            _ => {
                let receipt = tokio::time::timeout(ACCEPT_TIMEOUT, publishing).await.map_err(timed_out)??;
                Ok(receipt.finished().await?.into_dead_letters())
            }
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("channel", &self.channel)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Whether no bus of this kind will ever take the message. A bus that was closed or misses a declaration may be back or mended tomorrow.
fn is_hopeless(error: &BusError) -> bool {
    matches!(error.kind(), BusErrorKind::TooLarge | BusErrorKind::Unsupported)
}

/// What came of carrying an entry.
#[derive(Debug)]
pub(super) enum Carried {
    Settled(Settlement),
    /// The bus did not take it; the attempt does not count against the message.
    Failed {
        entry: OutboxEntry,
        delay: Duration,
    },
}

impl Carried {
    pub(super) fn into_settlement(self, now: DateTime<Utc>) -> Settlement {
        match self {
            Self::Settled(settlement) => settlement,
            Self::Failed { entry, delay } => Settlement::Later { entry, at: now + delay, counts: false },
        }
    }

    pub(super) fn id(&self) -> i64 {
        match self {
            Self::Settled(
                Settlement::Done { entry, .. }
                | Settlement::Later { entry, .. }
                | Settlement::GivenUp { entry, .. },
            )
            | Self::Failed { entry, .. } => entry.id,
        }
    }
}
