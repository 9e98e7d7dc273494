//! Settling a delivery of a group.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryBus;
use super::burial::SINK_PAUSE;
use super::group::GroupQueue;
use super::publication::Publication;
use crate::delivery::Settle;
use crate::{BusError, BusErrorKind, DeadLetter, Outcome, Reason};

#[derive(Debug)]
pub(super) struct Loan {
    pub(super) bus: MemoryBus,
    pub(super) group: Arc<str>,
    pub(super) tag: u64,
    pub(super) generation: u64,
    pub(super) open: bool,
}

impl Loan {
    /// Runs `act` on the group's queue unless the connection was cut since the delivery or the bus was closed.
    fn with_queue<T>(&self, act: impl FnOnce(&mut GroupQueue) -> Option<T>) -> Result<T, BusError> {
        let mut state = self.bus.lock();
        let closed = state.closed;
        let current = state.generation == self.generation;
        let found = if current { state.groups.get_mut(&self.group).and_then(act) } else { None };
        drop(state);
        self.bus.changed();
        found.ok_or_else(|| {
            if closed {
                BusError::new(BusErrorKind::Closed, "settling a delivery")
            } else {
                BusError::new(BusErrorKind::Disconnected, "settling a delivery from before the cut")
            }
        })
    }

    /// Ends the loan as a failed attempt.
    fn give_back(&self, delay: Option<Duration>) -> Result<(), BusError> {
        let given_up = self.with_queue(|queue| {
            let item = queue.reclaim(self.tag)?;
            Some(queue.give_back(item, delay))
        })?;
        if let Some(publication) = given_up {
            self.bus.count_settled(&publication);
        }
        Ok(())
    }

    async fn give_up(&self, reason: Reason, attempts: u32) -> Result<(), BusError> {
        // The letter is handed over and the loan ended in one step: a cut in between would leave the letter of a message that comes
        // again.
        let handed_over = self.with_queue(|queue| {
            let item = queue.lent(self.tag)?;
            let letter =
                DeadLetter::new(Arc::clone(&item.message), Arc::clone(&self.group), attempts, reason);
            match item.publication.attach(letter) {
                Ok(()) => queue.reclaim(self.tag).map(|item| Ok(item.publication)),
                Err(letter) => Some(Err(letter)),
            }
        })?;
        match handed_over {
            Ok(publication) => self.conclude(&publication).await,
            Err(letter) => {
                if let Err(error) = self.bus.sink().bury(letter).await {
                    self.give_back(Some(SINK_PAUSE))?;
                    return Err(
                        BusError::new(BusErrorKind::DeadLetterSink, self.group.as_ref()).with_source(error)
                    );
                }
                self.finish().await?;
            }
        }
        Ok(())
    }

    async fn finish(&self) -> Result<(), BusError> {
        let publication = self.with_queue(|queue| queue.reclaim(self.tag).map(|item| item.publication))?;
        self.conclude(&publication).await;
        Ok(())
    }

    async fn conclude(&self, publication: &Publication) {
        for group in self.bus.count_settled(publication) {
            self.bus.bury_all(&group).await;
        }
    }
}

#[async_trait]
impl Settle for Loan {
    async fn settle(mut self: Box<Self>, outcome: Outcome) -> Result<(), BusError> {
        let result = match outcome {
            Outcome::Ack => self.finish().await,
            Outcome::Retry { delay } => self.give_back(Some(delay)),
            Outcome::Release => self.with_queue(|queue| {
                let item = queue.reclaim(self.tag)?;
                queue.release(item);
                Some(())
            }),
            Outcome::DeadLetter { reason, attempts } => self.give_up(reason, attempts).await,
        };
        self.open = false;
        result
    }
}

impl Drop for Loan {
    /// Returns what was not settled: the consumer panicked, was cancelled or forgot.
    fn drop(&mut self) {
        if self.open {
            // An error means that a cut has returned it already.
            let _ = self.give_back(None);
        }
    }
}
