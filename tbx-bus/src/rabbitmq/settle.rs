//! The consumer's end: taking deliveries and settling them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::shelf::{Item, Shelf};
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

/// The deliveries of one consumer of a group.
#[derive(Debug)]
pub(super) struct GroupSource {
    pub(super) group: Arc<str>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) closed: CancellationToken,
    /// Dropped, it tells the task that the consumer leaves.
    pub(super) _leave: DropGuard,
}

#[async_trait]
impl DeliverySource for GroupSource {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        match self.shelf.take().await {
            Ok(item) => {
                let (message, attempt, redelivered) =
                    (Arc::clone(&item.message), item.attempt, item.redelivered);
                let loan = Loan {
                    item: Some(item),
                    commands: self.commands.clone(),
                    closed: self.closed.clone(),
                    group: Arc::clone(&self.group),
                };
                Ok(Some(Delivery::new(
                    message,
                    Arc::clone(&self.group),
                    attempt,
                    redelivered,
                    Box::new(loan),
                )))
            }
            Err(ended) => ended.answer(&self.group),
        }
    }
}

#[derive(Debug)]
struct Loan {
    /// `None` once it was handed back.
    item: Option<Item>,
    commands: mpsc::Sender<Command>,
    closed: CancellationToken,
    group: Arc<str>,
}

impl Loan {
    /// Hands it back. There is room: each delivery is handed back once, and no more are lent than the prefetch, which is the capacity.
    fn hand_back(&mut self, outcome: Option<Outcome>, answer: Option<oneshot::Sender<Result<(), BusError>>>) {
        if let Some(item) = self.item.take() {
            // Without its task the channel is gone, and the broker has the message again.
            let _ = self.commands.try_send(Command { item, outcome, answer });
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
