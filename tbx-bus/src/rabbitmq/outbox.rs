//! Handing messages over to the task that publishes.

use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::ShortString;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Exchange;
use super::supervisor::{Link, Links};
use crate::publisher::ReceiptSender;
use crate::time::from_now;
use crate::{BusError, BusErrorKind, MessageId, Receipt};

/// How many messages wait before those who publish do.
const WAITING: usize = 1_024;

/// A message ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// `None` is the broker's own exchange, whose routing keys are names of queues.
    pub(super) exchange: Option<Exchange>,
    pub(super) name: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) mandatory: bool,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    pub(super) id: MessageId,
}

/// Hands messages to the task.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Handed>,
    timeout: Duration,
    links: Links,
    closing: CancellationToken,
}

/// A message on its way to the task.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) outgoing: Outgoing,
    pub(super) answer: ReceiptSender,
    /// It is sent by then or not at all.
    pub(super) deadline: Instant,
}

impl Outbox {
    /// An outbox, and what is put into it.
    pub(super) fn new(
        timeout: Duration,
        links: Links,
        closing: CancellationToken,
    ) -> (Self, mpsc::Receiver<Handed>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, timeout, links, closing }, receiver)
    }

    /// Hands a message over. A future that is dropped has handed it over or not.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Receipt, BusError> {
        let deadline = from_now(self.timeout);
        let (mut answer, receipt) = Receipt::channel();
        answer.refuse_finished();
        let closed = || BusError::new(BusErrorKind::Closed, "publishing");
        if self.closing.is_cancelled() {
            return Err(closed());
        }
        let handed = Handed { outgoing, answer, deadline };
        let sent = tokio::select! {
            biased;
            sent = self.sender.send(handed) => sent.map_err(|_| closed()),
            () = self.closing.cancelled() => Err(closed()),
            () = tokio::time::sleep_until(deadline) => {
                let (kind, context) = too_late(self.links.present().as_deref(), &self.links);
                Err(BusError::new(kind, context))
            }
        };
        sent.map(|()| receipt)
    }

    /// How many messages wait to be taken by the task.
    pub(super) fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

/// Why a message could not be sent in time.
pub(super) fn too_late(link: Option<&Link>, links: &Links) -> (BusErrorKind, String) {
    match link {
        Some(link) if link.is_blocked() => {
            let context = "the broker takes no messages; see its alarms for memory and disk";
            (BusErrorKind::Blocked, context.to_owned())
        }
        Some(_) => {
            let context = "more is published than the broker confirms";
            (BusErrorKind::Blocked, context.to_owned())
        }
        None => {
            let context = format!("publishing: not connected to the broker{}", links.why_not());
            (BusErrorKind::Disconnected, context)
        }
    }
}
