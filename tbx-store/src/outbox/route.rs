//! Publishing one entry on its channel's bus, and telling what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tbx_bus::{
    Backoff, BusError, BusErrorKind, Message, Publisher, Reason, ReasonKind, Receipt, SettlesOn, span,
};
use tracing::Instrument as _;

use super::{OutboxEntry, Settlement};

/// How long a bus may take to accept before it is given up. A net beneath those that give up by themselves: longer than they take, which is 30 s to send and
/// 30 s to be confirmed on RabbitMQ unless set, so that their reason is heard, and no copy is published while the first may still be accepted.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(90);

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

    /// Whether messages are handled within this process, where any of them may end it.
    pub(super) fn handles_within(&self) -> bool {
        self.publisher.capabilities().settles_on != SettlesOn::Accepted
    }

    /// Publishes and waits until the bus answers for the message.
    pub(super) async fn carry(&self, entry: OutboxEntry, failures: u32) -> Carried {
        let (message, sending) = span::sending(entry.message.clone(), &self.channel);
        let handed = match self.hand_over(message).instrument(sending.clone()).await {
            Ok(handed) => handed,
            Err(error) => {
                span::failed(&sending, &error);
                return sending.in_scope(|| self.failed(entry, &error, failures));
            }
        };
        // Sent: what consumers take is told by spans of theirs.
        drop(sending);
        match handed {
            Handed::Safe => Carried::Settled(Settlement::Done { entry, dead_letters: Vec::new() }),
            Handed::Pending(receipt) => match receipt.finished().await {
                Ok(finished) => {
                    Carried::Settled(Settlement::Done { entry, dead_letters: finished.into_dead_letters() })
                }
                Err(error) => self.failed(entry, &error, failures),
            },
        }
    }

    async fn hand_over(&self, message: Message) -> Result<Handed, BusError> {
        let publishing = self.publisher.publish(message);
        let timed_out = |_| BusError::new(BusErrorKind::Blocked, "no answer in time");
        match self.publisher.capabilities().settles_on {
            SettlesOn::Accepted => {
                let accepted = async { publishing.await?.accepted().await };
                tokio::time::timeout(ACCEPT_TIMEOUT, accepted).await.map_err(timed_out)??;
                Ok(Handed::Safe)
            }
            // Handlers may take as long as they need; the window bounds how much waits for them.
            _ => {
                let receipt = tokio::time::timeout(ACCEPT_TIMEOUT, publishing).await.map_err(timed_out)??;
                Ok(Handed::Pending(receipt))
            }
        }
    }

    fn failed(&self, entry: OutboxEntry, error: &BusError, failures: u32) -> Carried {
        let message_id = entry.message.id();
        // A replay that nobody is there for is a dead letter again: waiting, it would hold up its key.
        let has_nobody = error.kind() == BusErrorKind::Unroutable && entry.message.only_for().is_some();
        if is_hopeless(error) || has_nobody {
            tracing::error!(channel = %self.channel, %message_id, %error, "cannot be published");
            let reason = Reason::new(ReasonKind::Unpublishable, error.to_string());
            return Carried::Settled(Settlement::GivenUp { entry, reason });
        }
        let delay = self.backoff.delay(failures + 1);
        tracing::warn!(
            channel = %self.channel,
            %message_id,
            %error,
            delay_ms = delay.as_millis() as u64,
            "not published, trying again"
        );
        if is_of_the_message(error) {
            Carried::Refused { entry, delay }
        } else {
            Carried::Unreached { id: entry.id, delay }
        }
    }
}

/// What the bus said when it took a message.
enum Handed {
    /// It answers for it now.
    Safe,
    /// It answers for it when its groups are done.
    Pending(Receipt),
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

/// Whether the bus refused this message, and may take others.
fn is_of_the_message(error: &BusError) -> bool {
    matches!(error.kind(), BusErrorKind::Unroutable | BusErrorKind::Forbidden | BusErrorKind::Declaration)
}

/// What came of carrying an entry.
#[derive(Debug)]
pub(super) enum Carried {
    Settled(Settlement),
    /// The bus does not take this message now; the attempt does not count against it.
    Refused {
        entry: OutboxEntry,
        delay: Duration,
    },
    /// The bus takes nothing now, or did not answer.
    Unreached {
        id: i64,
        delay: Duration,
    },
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tbx_bus::{Capabilities, Topic};
    use tokio::time::Instant;

    use super::*;

    /// A durable bus that says after so long why it did not take the message.
    struct Late(Duration);

    #[async_trait]
    impl Publisher for Late {
        fn capabilities(&self) -> Capabilities {
            Capabilities::durable()
        }

        async fn publish(&self, _: Message) -> Result<Receipt, BusError> {
            let (answer, receipt) = Receipt::channel();
            let late = self.0;
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                answer.fail(BusErrorKind::ConfirmLost, "the reason of the bus");
            });
            Ok(receipt)
        }
    }

    async fn refusal(late: Duration) -> BusError {
        let message = Message::new(Topic::new("a").unwrap(), "X", "");
        let Err(error) = Route::new("c", Arc::new(Late(late))).hand_over(message).await else {
            panic!("taken");
        };
        error
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_gives_up_by_itself_says_why() {
        // To be sent, and to be confirmed.
        let error = refusal(Duration::from_secs(30 + 30)).await;
        assert!(error.to_string().contains("the reason of the bus"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_never_answers_is_given_up() {
        let began = Instant::now();
        let error = refusal(Duration::from_secs(3600)).await;
        assert_eq!(error.kind(), BusErrorKind::Blocked);
        assert_eq!(began.elapsed().as_secs(), ACCEPT_TIMEOUT.as_secs());
    }
}
