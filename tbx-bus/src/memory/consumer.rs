//! A consumer of a group.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::MemoryBus;
use super::group::Take;
use super::settle::Loan;
use crate::subscriber::DeliverySource;
use crate::{BusError, BusErrorKind, Delivery};

#[derive(Debug)]
pub(super) struct GroupConsumer {
    pub(super) bus: MemoryBus,
    pub(super) group: Arc<str>,
    pub(super) id: u64,
    pub(super) generation: u64,
    pub(super) wake: Arc<Notify>,
}

impl GroupConsumer {
    fn take(&self) -> Result<Option<Take>, BusError> {
        let mut state = self.bus.lock();
        let state = &mut *state;
        if state.generation != self.generation {
            return Err(BusError::new(BusErrorKind::Disconnected, self.group.as_ref()));
        }
        if state.closed {
            return Ok(None);
        }
        match state.groups.get_mut(&self.group) {
            Some(queue) => Ok(Some(queue.take(self.id, Instant::now(), &mut state.switches))),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl DeliverySource for GroupConsumer {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        loop {
            // Enabled before looking, so that what happens in between wakes us.
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            match self.take()? {
                None => return Ok(None),
                Some(Take::Item(tag, item)) => {
                    self.bus.changed();
                    let loan = Loan {
                        bus: self.bus.clone(),
                        group: Arc::clone(&self.group),
                        tag,
                        generation: self.generation,
                        open: true,
                    };
                    return Ok(Some(Delivery::new(
                        item.message,
                        Arc::clone(&self.group),
                        item.attempts,
                        item.redelivered,
                        Box::new(loan),
                    )));
                }
                Some(Take::Doomed(doomed)) => self.bus.bury(&self.group, doomed).await,
                Some(Take::Wait(None)) => woken.await,
                Some(Take::Wait(Some(due))) => {
                    // The deadline passing is as good a reason to look again as a wake-up.
                    let _ = tokio::time::timeout_at(due, woken).await;
                }
            }
        }
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        let mut state = self.bus.lock();
        if state.generation == self.generation
            && let Some(queue) = state.groups.get_mut(&self.group)
        {
            queue.leave(self.id);
        }
    }
}
