//! A store and its relay.

use std::sync::Arc;

use tbx_bus::Publisher;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::order::mixed;
use super::process::{CHANNEL, DEADLINE, Process};
use super::publisher::Recorder;
use super::{OutboxHarness, OutboxProcess};
use crate::outbox::{OutboxStore, Relay, Route};

/// A process with its relay.
pub(super) struct Relaying {
    pub(super) process: Box<dyn OutboxProcess>,
    pub(super) store: Arc<dyn OutboxStore>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Relaying {
    pub(super) async fn begin(harness: &dyn OutboxHarness, bus: &Recorder) -> Self {
        let (process, stop) = (harness.process().await, CancellationToken::new());
        let store = process.store();
        let route = Route::new(CHANNEL, Arc::new(bus.clone())).with_window(16);
        let task = tokio::spawn(Relay::new(Arc::clone(&store), [route]).run(stop.clone()));
        Self { process, store, stop, task }
    }

    pub(super) async fn await_nothing_undone(&self) {
        let nothing = async {
            while !self.store.stats().await.is_ok_and(|stats| stats.pending + stats.handed == 0) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, nothing).await.expect("everything settled in time");
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("an end in time").unwrap();
    }

    pub(super) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// The purpose of it all.
pub async fn a_relay_publishes_everything_in_the_order_of_its_keys(harness: impl OutboxHarness) {
    let bus = Recorder::default();
    let relaying = Relaying::begin(&harness, &bus).await;
    let sent = mixed(200);
    for part in sent.chunks(9) {
        relaying.process.append(CHANNEL, part, true).await;
    }
    bus.await_all(&sent).await;
    relaying.await_nothing_undone().await;
    bus.assert_order(&sent);
    assert_eq!(bus.published().len(), sent.len(), "nothing twice");
    assert!(!bus.overlapped());
    relaying.stop().await;
}

/// What the bus confirmed and the store did not note is published again, and nothing is lost.
pub async fn a_crash_between_confirmation_and_settlement_repeats_and_loses_nothing(
    harness: impl OutboxHarness,
) {
    let bus = Recorder::default();
    let sent = mixed(20);
    let process = Process::fresh(&harness).await;
    process.append(&sent).await;
    for entry in process.claim().await {
        bus.publish(entry.message).await.unwrap().accepted().await.unwrap();
    }
    let confirmed = bus.published().len();
    process.crash().await;
    let relaying = Relaying::begin(&harness, &bus).await;
    bus.await_all(&sent).await;
    relaying.await_nothing_undone().await;
    bus.assert_order(&sent);
    assert_eq!(bus.published().len(), sent.len() + confirmed, "what was confirmed, and no more, comes twice");
    relaying.stop().await;
}

/// Ended at any moment, again and again.
pub async fn whatever_a_crash_interrupts_is_published_by_the_next_process(harness: impl OutboxHarness) {
    let bus = Recorder::default();
    let sent = mixed(120);
    for part in sent.chunks(40) {
        let relaying = Relaying::begin(&harness, &bus).await;
        relaying.process.append(CHANNEL, part, true).await;
        bus.await_all(&part[..3]).await;
        relaying.crash().await;
    }
    let relaying = Relaying::begin(&harness, &bus).await;
    bus.await_all(&sent).await;
    relaying.await_nothing_undone().await;
    bus.assert_order(&sent);
    relaying.stop().await;
}
