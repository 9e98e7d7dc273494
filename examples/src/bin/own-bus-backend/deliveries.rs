//! The subscriber's side: where deliveries come from, and how they are settled.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::{BusError, BusErrorKind, Delivery, DeliverySource, Outcome, Settle};

use crate::bus::PlainBus;
use crate::queue::Lent;

pub(crate) struct GroupConsumer {
    pub(crate) bus: PlainBus,
    pub(crate) group: Arc<str>,
    pub(crate) id: u64,
    pub(crate) prefetch: usize,
}

#[async_trait]
impl DeliverySource for GroupConsumer {
    /// Contract of `DeliverySource`: cancel safe. There is no await between lending and returning.
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let next = self.bus.wait_for(|state| state.lend(&self.group, self.id, self.prefetch)).await;
        Ok(next.map(|lent| {
            let Lent { group, number, message, attempt, redelivered } = lent;
            let loan = Loan { bus: self.bus.clone(), group: Arc::clone(&group), number, is_open: true };
            Delivery::new(message, group, attempt, redelivered, Box::new(loan))
        }))
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.bus.change(|state| state.leave(&self.group, self.id));
    }
}

/// What a delivery is settled with.
struct Loan {
    bus: PlainBus,
    group: Arc<str>,
    number: u64,
    is_open: bool,
}

impl Loan {
    fn end(&mut self, outcome: Outcome) -> Result<(), BusError> {
        self.bus.change(|state| state.settle(&self.group, self.number, outcome))?;
        self.is_open = false;
        Ok(())
    }
}

#[async_trait]
impl Settle for Loan {
    async fn settle(mut self: Box<Self>, outcome: Outcome) -> Result<(), BusError> {
        self.end(outcome)
    }
}

impl Drop for Loan {
    /// Contract of `Settle`: dropped unsettled, as by a panic, the message returns to its group as a failed attempt.
    fn drop(&mut self) {
        if self.is_open {
            // An error means that the bus is closed, and the message with it.
            let _ = self.end(Outcome::Retry { delay: Duration::ZERO });
        }
    }
}

pub(crate) struct Listener {
    pub(crate) bus: PlainBus,
    pub(crate) id: u64,
}

#[async_trait]
impl DeliverySource for Listener {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let next = self.bus.wait_for(|state| state.hear(self.id)).await;
        Ok(next.map(|(message, missed)| {
            Delivery::new(message, "".into(), 1, false, Box::new(Heard)).with_missed(missed)
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.bus.change(|state| state.stop_listening(self.id));
    }
}

/// A broadcast waits for nobody, so there is nothing to settle.
struct Heard;

#[async_trait]
impl Settle for Heard {
    async fn settle(self: Box<Self>, outcome: Outcome) -> Result<(), BusError> {
        match outcome {
            Outcome::Ack | Outcome::Release => Ok(()),
            _ => Err(BusError::new(BusErrorKind::Unsupported, "a broadcast does not come again")),
        }
    }
}
