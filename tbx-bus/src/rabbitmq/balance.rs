//! Shares the partitions of a group out among its consumers.
//!
//! At each partition every consumer has a seat, and the broker serves the one that came first. So the first process has them all, and keeps them.
//! But each can know how many they are, and whoever has more than its share leaves the partitions that it
//! got last, once everything that it held of them is settled, and takes a seat behind the others. Until everyone has at most a share, each
//! partition that is left goes on to the next in line; then nothing moves any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::names;
use super::supervisor::Link;
use crate::Group;

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
    group: Group,
    balance: Arc<Balance>,
    left: CancellationToken,
    closed: CancellationToken,
) {
    let partitions = group.partitions() as usize;
    let mut roll = None;
    loop {
        let counted = async {
            if roll.is_none() {
                roll = Some(Roll::sign(&link, group.name()).await?);
            }
            match &roll {
                // One is never too much.
                Some(roll) if balance.active().len() > 1 => roll.count().await.map(Some),
                _ => Ok(None),
            }
        };
        let counted = tokio::select! {
            () = left.cancelled() => return,
            () = closed.cancelled() => return,
            () = link.lost().cancelled() => return,
            counted = counted => counted,
        };
        match counted {
            Ok(Some(consumers)) => balance.keep(partitions.div_ceil(consumers.max(1))),
            Ok(None) => {}
            Err(error) => {
                // Everyone goes on with what it has.
                tracing::debug!(group = group.name(), %error, "the consumers of the group cannot be counted");
                roll = None;
            }
        }
        let pause = LOOK_EVERY.mul_f64(0.5 + fastrand::f64());
        tokio::select! {
            () = left.cancelled() => return,
            () = closed.cancelled() => return,
            () = link.lost().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A queue without messages that every consumer of a group consumes, so that there is something that tells how many they are: of a queue with a
/// single active consumer the broker counts only that one.
struct Roll {
    name: ShortString,
    channel: Channel,
    _signed: lapin::Consumer,
}

/// Nobody misses it.
const ROLL_KEPT_MILLIS: i64 = 3_600_000;

impl Roll {
    async fn sign(link: &Link, group: &str) -> lapin::Result<Self> {
        let name = names::short(&names::members(group));
        let channel = link.connection().create_channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(ROLL_KEPT_MILLIS));
        channel.queue_declare(name.clone(), QueueDeclareOptions::durable(), arguments).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let signed = channel
            .basic_consume(name.clone(), ShortString::default(), options, FieldTable::default())
            .await?;
        Ok(Self { name, channel, _signed: signed })
    }

    async fn count(&self) -> lapin::Result<usize> {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let told = self.channel.queue_declare(self.name.clone(), passive, FieldTable::default()).await?;
        Ok(told.consumer_count() as usize)
    }
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
