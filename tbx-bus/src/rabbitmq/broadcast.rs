//! Listening in: a queue of its own for each listener, gone with its connection.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::shelf::Ended;
use super::state::Counters;
use super::supervisor::Link;
use super::{Exchange, declare, encode, error, names};
use crate::delivery::Settle;
use crate::subscriber::DeliverySource;
use crate::{Broadcast, BusError, BusErrorKind, Delivery, Message, Outcome};

/// How many messages are on their way to us at once.
const PREFETCH: u16 = 512;
/// How many the broker keeps for a listener whose process does not read from its socket; the oldest are dropped.
const KEPT_BY_THE_BROKER: i64 = 100_000;

/// Declares the listener's queue and binds it.
pub(super) async fn open(
    channel: &Channel,
    exchange: &Exchange,
    broadcast: &Broadcast,
) -> Result<lapin::Consumer, BusError> {
    let failed = |error| error::of_channel(error, "listening");
    // Named by us, and anew each time: a queue of the same name may still be held by the connection that was lost.
    let name = format!("{}.listener.{}", exchange.name(), Uuid::new_v4().simple());
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(KEPT_BY_THE_BROKER));
    channel.queue_declare(names::short(&name), options, arguments).await.map_err(failed)?;
    declare::exchanges(channel, exchange).await?;
    declare::bind(channel, &name, exchange, broadcast.patterns(), false).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(failed)?;
    let options = BasicConsumeOptions { exclusive: true, ..Default::default() };
    channel
        .basic_consume(names::short(&name), ShortString::default(), options, FieldTable::default())
        .await
        .map_err(failed)
}

/// What a listener has not taken yet.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    /// Held for single steps.
    content: Mutex<Content>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Content {
    waiting: VecDeque<Arc<Message>>,
    missed: u64,
    ended: Option<Ended>,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, content: Mutex::default(), wake: Notify::new() }
    }

    fn push(&self, message: Message) {
        let mut content = self.lock();
        if content.waiting.len() >= self.capacity {
            content.waiting.pop_front();
            content.missed += 1;
        }
        content.waiting.push_back(Arc::new(message));
        drop(content);
        self.wake.notify_waiters();
    }

    fn end(&self, ended: Ended) {
        self.lock().ended.get_or_insert(ended);
        self.wake.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that moves what comes into the ring.
pub(super) struct Listening {
    pub(super) link: Arc<Link>,
    pub(super) channel: Channel,
    pub(super) stream: lapin::Consumer,
    pub(super) broadcast: Broadcast,
    pub(super) ring: Arc<Ring>,
    pub(super) counters: Arc<Counters>,
    pub(super) left: CancellationToken,
    pub(super) closed: CancellationToken,
}

impl Listening {
    pub(super) async fn run(mut self) {
        self.counters.consumers.fetch_add(1, Ordering::Relaxed);
        let link = Arc::clone(&self.link);
        // Whatever it waits for: when lapin cannot go on, a call of its may have no answer ever.
        let closed = self.closed.clone();
        let ended = tokio::select! {
            biased;
            // With the last handle both end at once.
            () = closed.cancelled() => Ended::Closed,
            () = link.lost().cancelled() => Ended::Lost(link.disconnected("listening").context().to_owned()),
            ended = self.listen() => ended,
        };
        self.ring.end(ended);
        self.counters.consumers.fetch_sub(1, Ordering::Relaxed);
        if self.channel.status().connected() {
            // The queue goes with its consumer.
            let closing = self.channel.close(200, "left".into());
            tokio::select! {
                _ = closing => {}
                () = self.link.lost().cancelled() => {}
            }
        }
    }

    async fn listen(&mut self) -> Ended {
        let mut unacknowledged = 0;
        loop {
            let incoming = tokio::select! {
                biased;
                () = self.left.cancelled() => return Ended::Closed,
                incoming = self.stream.next() => incoming,
            };
            let mut incoming = match incoming {
                Some(Ok(incoming)) => incoming,
                Some(Err(error)) => return Ended::Lost(error::told(&error)),
                None => return Ended::Lost("the broker ended the subscription".to_owned()),
            };
            let tag = incoming.delivery_tag;
            match encode::decode(&mut incoming).message {
                Ok(message) if self.broadcast.wants(message.topic()) => self.ring.push(message),
                Ok(_) => {}
                Err(unreadable) => {
                    tracing::warn!(detail = unreadable.detail(), "a message that cannot be read is left out");
                }
            }
            unacknowledged += 1;
            if unacknowledged >= PREFETCH / 4 {
                unacknowledged = 0;
                if let Err(error) = self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await {
                    return Ended::Lost(error::told(&error));
                }
            }
        }
    }
}

/// The listener's end.
#[derive(Debug)]
pub(super) struct ListenerSource {
    pub(super) ring: Arc<Ring>,
    /// Dropped, it tells the task that the listener leaves.
    pub(super) _leave: DropGuard,
}

#[async_trait]
impl DeliverySource for ListenerSource {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        loop {
            let mut woken = std::pin::pin!(self.ring.wake.notified());
            woken.as_mut().enable();
            {
                let mut content = self.ring.lock();
                if let Some(ended) = &content.ended {
                    return ended.answer("listening");
                }
                if let Some(message) = content.waiting.pop_front() {
                    let missed = std::mem::take(&mut content.missed);
                    let delivery = Delivery::new(message, "".into(), 1, false, Box::new(NothingToSettle));
                    return Ok(Some(delivery.with_missed(missed)));
                }
            }
            woken.await;
        }
    }
}

struct NothingToSettle;

#[async_trait]
impl Settle for NothingToSettle {
    async fn settle(self: Box<Self>, outcome: Outcome) -> Result<(), BusError> {
        match outcome {
            Outcome::Ack | Outcome::Release => Ok(()),
            Outcome::Retry { .. } | Outcome::DeadLetter { .. } => Err(BusError::new(
                BusErrorKind::Unsupported,
                "a broadcast is neither retried nor dead-lettered",
            )),
        }
    }
}
