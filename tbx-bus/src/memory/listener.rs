//! Broadcasts: a queue of its own for each listener, which drops the oldest when it is full.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::MemoryBus;
use crate::delivery::Settle;
use crate::subscriber::DeliverySource;
use crate::{Broadcast, BusError, BusErrorKind, Delivery, Message, Outcome};

#[derive(Debug)]
pub(super) struct ListenerQueue {
    spec: Broadcast,
    waiting: VecDeque<Arc<Message>>,
    missed: u64,
    wake: Arc<Notify>,
}

impl ListenerQueue {
    pub(super) fn new(spec: Broadcast) -> Self {
        Self { spec, waiting: VecDeque::new(), missed: 0, wake: Arc::new(Notify::new()) }
    }

    pub(super) fn wants(&self, message: &Message) -> bool {
        message.only_for().is_none() && self.spec.wants(message.topic())
    }

    pub(super) fn push(&mut self, message: Arc<Message>) {
        if self.waiting.len() >= self.spec.capacity {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.waiting.push_back(message);
        self.wake.notify_waiters();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_waiters();
    }

    pub(super) fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

/// The listener's end.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) bus: MemoryBus,
    pub(super) id: u64,
    pub(super) generation: u64,
    pub(super) wake: Arc<Notify>,
}

#[async_trait]
impl DeliverySource for Listener {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            {
                let mut state = self.bus.lock();
                if state.generation != self.generation {
                    return Err(BusError::new(BusErrorKind::Disconnected, "listening"));
                }
                if state.closed {
                    return Ok(None);
                }
                if let Some(queue) = state.listeners.get_mut(&self.id)
                    && let Some(message) = queue.waiting.pop_front()
                {
                    let missed = std::mem::take(&mut queue.missed);
                    let delivery = Delivery::new(message, "".into(), 1, false, Box::new(NothingToSettle));
                    return Ok(Some(delivery.with_missed(missed)));
                }
            }
            woken.await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.bus.lock().listeners.remove(&self.id);
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
