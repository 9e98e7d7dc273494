//! Shares the partitions of a group out among its consumers.
//!
//! At each partition every consumer has a seat, and the broker serves the one that came first. So the first process has them all, and keeps them.
//! The broker tells how many consumers a queue has: that is how many there are. Whoever has more than its share leaves the partitions that it
//! got last, once everything that it held of them is settled, and takes a seat behind the others. Until everyone has at most a share, each
//! partition that is left goes on to the next in line; then nothing moves any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::names;
use super::supervisor::Link;

/// How often a consumer looks, give or take half of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What one consumer has of the partitions of its group.
#[derive(Debug)]
pub(super) struct Balance {
    /// The numbers of those from which something came, in that order. Held for single steps.
    active: Mutex<Vec<usize>>,
    /// For each partition, told to hand it over.
    hand_over: Vec<Notify>,
}

impl Balance {
    pub(super) fn new(partitions: usize) -> Self {
        Self { active: Mutex::default(), hand_over: (0..partitions).map(|_| Notify::new()).collect() }
    }

    /// Something came from a partition: the broker serves us.
    pub(super) fn serves(&self, partition: usize) {
        let mut active = self.active();
        if !active.contains(&partition) {
            active.push(partition);
        }
    }

    /// The seat at a partition is given up.
    pub(super) fn leaves(&self, partition: usize) {
        self.active().retain(|other| *other != partition);
    }

    /// Waits until a partition is to be handed over.
    pub(super) async fn handing_over(&self, partition: usize) {
        match self.hand_over.get(partition) {
            Some(told) => told.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Gives up the partitions got last, as far as they are more than `share`.
    fn keep(&self, share: usize) {
        let mut active = self.active();
        while active.len() > share
            && let Some(last) = active.pop()
        {
            if let Some(told) = self.hand_over.get(last) {
                told.notify_one();
            }
        }
    }

    fn active(&self) -> MutexGuard<'_, Vec<usize>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the balance of one consumer with the others, until it leaves or the connection is lost.
pub(super) async fn keep(
    link: Arc<Link>,
    queues: Vec<String>,
    balance: Arc<Balance>,
    left: CancellationToken,
    closed: CancellationToken,
) {
    loop {
        let pause = LOOK_EVERY.mul_f64(0.5 + fastrand::f64());
        tokio::select! {
            () = left.cancelled() => return,
            () = closed.cancelled() => return,
            () = link.lost().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let (some, count) = {
            let active = balance.active();
            (active.first().copied(), active.len())
        };
        // One is never too much.
        let Some(queue) = some.filter(|_| count > 1).and_then(|some| queues.get(some)) else { continue };
        let consumers = tokio::select! {
            () = link.lost().cancelled() => return,
            consumers = consumers(&link, queue) => consumers,
        };
        // A queue that is gone ends the consumer by itself.
        if let Ok(consumers) = consumers {
            balance.keep(queues.len().div_ceil(consumers.max(1)));
        }
    }
}

async fn consumers(link: &Link, queue: &str) -> lapin::Result<usize> {
    let channel = link.connection().create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let told = channel.queue_declare(names::short(queue), passive, FieldTable::default()).await?;
    channel.close(200, "counted".into()).await?;
    Ok(told.consumer_count() as usize)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_is_more_than_the_share_is_handed_over_the_latest_first() {
        let balance = Balance::new(4);
        for partition in [2, 0, 3, 0] {
            balance.serves(partition);
        }
        balance.keep(2);
        let told: Vec<bool> =
            (0..4).map(|partition| balance.handing_over(partition).now_or_never().is_some()).collect();
        assert_eq!(told, [false, false, false, true]);
        balance.keep(2);
        assert!((0..4).all(|partition| balance.handing_over(partition).now_or_never().is_none()));
    }
}
