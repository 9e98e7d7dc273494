//! A process with somebody to attend to its store.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tbx_bus::{Message, MessageId, Topic};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{OutboxHarness, OutboxProcess};
use crate::outbox::{OutboxEntry, OutboxStats, OutboxStore, Settlement};

pub(super) const DEADLINE: Duration = Duration::from_secs(30);
pub(super) const CHANNEL: &str = "c";

/// A process whose store is attended to, as by a relay, and driven by the test.
pub(super) struct Process {
    inner: Box<dyn OutboxProcess>,
    pub(super) store: Arc<dyn OutboxStore>,
    stop: CancellationToken,
    attending: JoinHandle<()>,
}

impl Process {
    /// Begins, and tells what was left behind.
    pub(super) async fn begin(harness: &dyn OutboxHarness) -> (Self, Vec<OutboxEntry>) {
        let process = Self::on(harness.process().await, &[CHANNEL, "d"]);
        // A busy machine may not renew a short lease in time; it is taken again.
        let held = async {
            loop {
                match process.store.left_behind(100).await {
                    Ok(left) => return left,
                    Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_millis(10)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let left = tokio::time::timeout(DEADLINE, held).await.expect("a lease in time");
        (process, left)
    }

    /// Begins where nothing was left.
    pub(super) async fn fresh(harness: &dyn OutboxHarness) -> Self {
        let (process, left) = Self::begin(harness).await;
        assert!(left.is_empty(), "{left:?}");
        process
    }

    fn on(inner: Box<dyn OutboxProcess>, counted: &'static [&'static str]) -> Self {
        let (store, stop) = (inner.store(), CancellationToken::new());
        let attended = (Arc::clone(&store), stop.clone());
        let attending = tokio::spawn(async move { attended.0.attend(counted, attended.1).await });
        Self { inner, store, stop, attending }
    }

    /// Ends without a word.
    pub(super) async fn crash(self) {
        self.attending.abort();
        let _ = self.attending.await;
    }

    /// Nobody attends any more, as in a process that is paused, but it goes on.
    pub(super) async fn pause(&mut self) {
        self.attending.abort();
        let _ = (&mut self.attending).await;
    }

    /// Stops in good order.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.attending).await.expect("an end in time").unwrap();
    }

    pub(super) async fn append(&self, messages: &[Message]) {
        self.inner.append(CHANNEL, messages, true).await;
    }

    pub(super) async fn append_to(&self, channel: &str, messages: &[Message], commit: bool) {
        self.inner.append(channel, messages, commit).await;
    }

    pub(super) async fn claim(&self) -> Vec<OutboxEntry> {
        self.claim_at(Utc::now()).await
    }

    pub(super) async fn claim_at(&self, now: DateTime<Utc>) -> Vec<OutboxEntry> {
        self.store.settle_and_claim(&[], &[(CHANNEL, 100)], now).await.unwrap()
    }

    /// Claims until there is something.
    pub(super) async fn await_claim(&self) -> Vec<OutboxEntry> {
        let something = async {
            loop {
                self.take_over().await;
                let claimed = self.store.settle_and_claim(&[], &[(CHANNEL, 100)], Utc::now()).await;
                match claimed {
                    Ok(claimed) if !claimed.is_empty() => return claimed,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, something).await.expect("messages in time")
    }

    /// As the relay does when it is told of messages left behind by others; here they are given back.
    async fn take_over(&self) {
        if self.store.tidings().left_behind {
            let left = self.store.left_behind(100).await.unwrap();
            let back =
                left.into_iter().map(|entry| Settlement::Later { entry, at: Utc::now(), counts: true });
            self.settle(back.collect()).await;
        }
    }

    pub(super) async fn settle(&self, settlements: Vec<Settlement>) {
        self.store.settle_and_claim(&settlements, &[], Utc::now()).await.unwrap();
    }

    pub(super) async fn stats(&self) -> OutboxStats {
        self.store.stats().await.unwrap()
    }
}

pub(super) fn done(entry: OutboxEntry) -> Settlement {
    Settlement::Done { entry, dead_letters: Vec::new() }
}

pub(super) fn message(key: Option<&str>) -> Message {
    let message = Message::new(Topic::new("a.b").unwrap(), "Happened", r#"{"x":1}"#);
    match key {
        Some(key) => message.with_key(key).unwrap(),
        None => message,
    }
}

pub(super) fn ids(entries: &[OutboxEntry]) -> Vec<&MessageId> {
    entries.iter().map(|entry| entry.message.id()).collect()
}
