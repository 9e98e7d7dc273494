//! Settling a delivery of a group.

use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryBus;
use super::group::{Doomed, GroupQueue};
use crate::delivery::Settle;
use crate::{BusError, BusErrorKind, DeadLetter, Outcome};

/// How long a message rests when the sink did not take its letter.
const SINK_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Loan {
    pub(super) bus: MemoryBus,
    pub(super) group: Arc<str>,
    pub(super) tag: u64,
    pub(super) generation: u64,
    pub(super) open: bool,
}

impl Loan {
    /// Runs `act` on the group's queue unless the connection was cut since the delivery.
    fn with_queue<T>(&self, act: impl FnOnce(&mut GroupQueue) -> Option<T>) -> Result<T, BusError> {
        let mut state = self.bus.lock();
        let current = state.generation == self.generation;
        let found = if current { state.groups.get_mut(&self.group).and_then(act) } else { None };
        drop(state);
        self.bus.changed();
        found.ok_or_else(|| BusError::new(BusErrorKind::Disconnected, "settling a delivery from before the cut"))
    }

    /// Buries letters whose receipt was dropped after they were attached to it.
    async fn bury_left_over(&self, letters: Vec<DeadLetter>) {
        for letter in letters {
            if let Err(error) = self.bus.sink().bury(letter.clone()).await {
                tracing::warn!(error, message = %letter.message.id(), "dead letter not stored yet");
                let mut state = self.bus.lock();
                if let Some(queue) = state.groups.get_mut(&self.group) {
                    queue.doom(Doomed { letter, publication: None });
                }
            }
        }
    }

    async fn give_up(&self, letter: DeadLetter) -> Result<(), BusError> {
        let publication =
            self.with_queue(|queue| queue.lent(self.tag).map(|item| Arc::clone(&item.publication)))?;
        if let Err(letter) = publication.attach(letter)
            && let Err(error) = self.bus.sink().bury(letter).await
        {
            self.with_queue(|queue| {
                let item = queue.reclaim(self.tag)?;
                queue.give_back(item, Some(SINK_PAUSE));
                Some(())
            })?;
            return Err(BusError::new(BusErrorKind::DeadLetterSink, self.group.as_ref()).with_source(error));
        }
        self.finish().await
    }

    async fn finish(&self) -> Result<(), BusError> {
        let left_over =
            self.with_queue(|queue| queue.reclaim(self.tag).map(|item| item.publication.settled()))?;
        self.bury_left_over(left_over).await;
        Ok(())
    }
}

#[async_trait]
impl Settle for Loan {
    async fn settle(mut self: Box<Self>, outcome: Outcome) -> Result<(), BusError> {
        let result = match outcome {
            Outcome::Ack => self.finish().await,
            Outcome::Retry { delay } => self.with_queue(|queue| {
                let item = queue.reclaim(self.tag)?;
                queue.give_back(item, Some(delay));
                Some(())
            }),
            Outcome::Release => self.with_queue(|queue| {
                let item = queue.reclaim(self.tag)?;
                queue.release(item);
                Some(())
            }),
            Outcome::DeadLetter { reason, attempts } => {
                let message =
                    self.with_queue(|queue| queue.lent(self.tag).map(|item| Arc::clone(&item.message)));
                match message {
                    Ok(message) => {
                        let letter = DeadLetter::new(message, Arc::clone(&self.group), attempts, reason);
                        self.give_up(letter).await
                    }
                    Err(error) => Err(error),
                }
            }
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
            let _ = self.with_queue(|queue| {
                let item = queue.reclaim(self.tag)?;
                queue.give_back(item, None);
                Some(())
            });
        }
    }
}
