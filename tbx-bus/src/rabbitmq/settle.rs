//! The consumer's end: taking deliveries and settling them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::released::Released;
use super::shelf::{Ended, Item, Shelf};
use crate::delivery::Settle;
use crate::subscriber::DeliverySource;
use crate::{BusError, BusErrorKind, Delivery, Outcome};

/// What the task that keeps the channel is told about a delivery.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) item: Item,
    /// `None` when it was dropped unsettled.
    pub(super) outcome: Option<Outcome>,
    pub(super) answer: Option<oneshot::Sender<Result<(), BusError>>>,
}

/// The deliveries of one consumer of a group, from all its partitions.
#[derive(Debug)]
pub(super) struct GroupSource {
    pub(super) group: Arc<str>,
    pub(super) prefetch: usize,
    pub(super) partitions: Vec<Partition>,
    /// Which partition is the next to be asked first, so that each has its turn.
    pub(super) turn: usize,
    /// Told of every change of a shelf.
    pub(super) wake: Arc<Notify>,
    pub(super) released: Arc<Released>,
    pub(super) closed: CancellationToken,
    /// Dropped, it tells the tasks that the consumer leaves.
    pub(super) _leave: DropGuard,
}

/// What comes from one partition, and who is told what becomes of it.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) shelf: Arc<Shelf>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl GroupSource {
    fn take(&mut self) -> Result<Option<Delivery>, Ended> {
        let lent: usize = self.partitions.iter().map(|partition| partition.shelf.lent()).sum();
        let has_room = lent < self.prefetch;
        for step in 0..self.partitions.len() {
            let index = (self.turn + step) % self.partitions.len();
            let Partition { shelf, commands } = &self.partitions[index];
            if let Some(item) = shelf.take(has_room)? {
                let delivery = self.lend(item, commands.clone());
                self.turn = index + 1;
                return Ok(Some(delivery));
            }
        }
        Ok(None)
    }

    fn lend(&self, item: Item, commands: mpsc::Sender<Command>) -> Delivery {
        let (message, attempt, redelivered) = (Arc::clone(&item.message), item.attempt, item.redelivered);
        let loan = Loan {
            item: Some(item),
            commands,
            released: Arc::clone(&self.released),
            closed: self.closed.clone(),
            group: Arc::clone(&self.group),
        };
        Delivery::new(message, Arc::clone(&self.group), attempt, redelivered, Box::new(loan))
    }
}

#[async_trait]
impl DeliverySource for GroupSource {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        loop {
            let wake = Arc::clone(&self.wake);
            // Enabled before looking, so that what happens in between wakes us.
            let mut woken = std::pin::pin!(wake.notified());
            woken.as_mut().enable();
            match self.take() {
                Ok(Some(delivery)) => return Ok(Some(delivery)),
                Ok(None) => woken.await,
                Err(ended) => return ended.answer(&self.group),
            }
        }
    }
}

#[derive(Debug)]
struct Loan {
    /// `None` once it was handed back.
    item: Option<Item>,
    commands: mpsc::Sender<Command>,
    released: Arc<Released>,
    closed: CancellationToken,
    group: Arc<str>,
}

impl Command {
    /// Notes what went back with its channel before this could be carried out: unstarted, it was no attempt.
    pub(super) fn comes_too_late(&self, group: &Arc<str>, released: &Released) {
        if matches!(self.outcome, Some(Outcome::Release)) {
            released.add(group, self.item.message.id());
        }
    }
}

impl Loan {
    /// Hands it back. There is room: each delivery is handed back once, and no more are lent than the prefetch, which is the capacity.
    fn hand_back(&mut self, outcome: Option<Outcome>, answer: Option<oneshot::Sender<Result<(), BusError>>>) {
        if let Some(item) = self.item.take() {
            // Without its task the channel is gone, and the broker has the message again.
            if let Err(error) = self.commands.try_send(Command { item, outcome, answer }) {
                error.into_inner().comes_too_late(&self.group, &self.released);
            }
        }
    }
}

#[async_trait]
impl Settle for Loan {
    async fn settle(mut self: Box<Self>, outcome: Outcome) -> Result<(), BusError> {
        let (answer, answered) = oneshot::channel();
        self.hand_back(Some(outcome), Some(answer));
        match answered.await {
            Ok(answer) => answer,
            Err(_) if self.closed.is_cancelled() => {
                Err(BusError::new(BusErrorKind::Closed, "settling a delivery"))
            }
            Err(_) => Err(BusError::new(
                BusErrorKind::Disconnected,
                format!("settling a delivery of {} from before the connection was lost", self.group),
            )),
        }
    }
}

impl Drop for Loan {
    /// Returns what was not settled: the consumer panicked, was cancelled or forgot.
    fn drop(&mut self) {
        self.hand_back(None, None);
    }
}
