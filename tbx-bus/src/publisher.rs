//! Publishing, and the receipt that tells what became of a message.

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::{BusError, BusErrorKind, Capabilities, DeadLetter, Message};

/// Takes messages for the groups and broadcasts whose patterns match.
///
/// # Contract
///
/// - *All or nothing:* an error of kind [`QueueFull`](BusErrorKind::QueueFull), [`Unroutable`](BusErrorKind::Unroutable),
///   [`TooLarge`](BusErrorKind::TooLarge) or [`Blocked`](BusErrorKind::Blocked) means that no group has the message. After
///   [`Disconnected`](BusErrorKind::Disconnected) or [`ConfirmLost`](BusErrorKind::ConfirmLost) it is unknown: repeat it with the same id.
/// - *Order:* two messages of one key, the second published after the first was accepted, reach every group in that order.
/// - *Concurrency:* any number of tasks may publish at once; clones and references share one bus.
/// - *At least once:* a message that was accepted is delivered to each matching durable group until it is settled there.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// What this bus can do; constant over its life.
    fn capabilities(&self) -> Capabilities;

    /// Hands a message to the bus and returns the receipt for it, without waiting for consumers.
    ///
    /// # Errors
    ///
    /// See the contract above; [`BusError::is_retryable`] says whether a repetition can succeed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready leaves the message either published whole or not at all.
    async fn publish(&self, message: Message) -> Result<Receipt, BusError>;
}

/// What became of one published message. It has two moments: *accepted*, the bus has it, and *finished*, every durable group
/// that it was routed to has acknowledged or dead-lettered it.
///
/// Dropping a receipt changes nothing for the message; dead letters then go to the sink of the bus.
#[derive(Debug)]
#[must_use = "a published message is not known to be accepted before its receipt says so"]
pub struct Receipt {
    accepted: oneshot::Receiver<Result<(), BusError>>,
    finished: oneshot::Receiver<Result<Finished, BusError>>,
}

impl Receipt {
    /// A receipt and the end that a backend resolves it by.
    pub fn channel() -> (ReceiptSender, Self) {
        let (accept, accepted) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        (ReceiptSender { accept: Some(accept), finish: Some(finish) }, Self { accepted, finished })
    }

    /// Waits until the bus has the message, positively confirmed and not returned.
    ///
    /// # Errors
    ///
    /// When the bus refused it or its answer was lost.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the receipt; the message is unaffected.
    pub async fn accepted(self) -> Result<Accepted, BusError> {
        match self.accepted.await {
            Ok(outcome) => outcome.map(|()| Accepted(())),
            Err(_) => Err(vanished()),
        }
    }

    /// Waits until every durable group is done with the message. The holder of the result answers for the
    /// [dead letters](Finished::dead_letters) in it: they are not in the sink of the bus.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](BusErrorKind::Unsupported) on a bus whose capabilities do not report it; else as [`accepted`](Self::accepted).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the receipt; the message is unaffected, later dead letters go to the sink.
    pub async fn finished(self) -> Result<Finished, BusError> {
        match self.finished.await {
            Ok(outcome) => outcome,
            Err(_) => Err(vanished()),
        }
    }
}

fn vanished() -> BusError {
    BusError::new(BusErrorKind::Disconnected, "the bus ended before it answered for the message")
}

/// Proof that a bus accepted a message. Only a positive confirmation makes one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted(());

/// Proof that every durable group is done with a message.
#[derive(Debug)]
#[must_use = "it may hold dead letters, which are nowhere else"]
pub struct Finished {
    dead_letters: Vec<DeadLetter>,
}

impl Finished {
    /// The groups that gave the message up, and why. Usually empty.
    #[must_use]
    pub fn into_dead_letters(self) -> Vec<DeadLetter> {
        self.dead_letters
    }
}

/// The backend's end of a [`Receipt`]. Dropped without an answer, it resolves as [`Disconnected`](BusErrorKind::Disconnected).
#[derive(Debug)]
pub struct ReceiptSender {
    accept: Option<oneshot::Sender<Result<(), BusError>>>,
    finish: Option<oneshot::Sender<Result<Finished, BusError>>>,
}

impl ReceiptSender {
    /// Whether somebody still waits for, or can ask for, the finished moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.finish.as_ref().is_some_and(|finish| !finish.is_closed())
    }

    /// The bus has the message.
    pub fn accept(&mut self) {
        if let Some(accept) = self.accept.take() {
            // A receipt that was dropped asked for no answer.
            let _ = accept.send(Ok(()));
        }
    }

    /// Every durable group is done.
    ///
    /// # Errors
    ///
    /// Gives the dead letters back when nobody holds the receipt: they belong to the sink then.
    pub fn finish(mut self, dead_letters: Vec<DeadLetter>) -> Result<(), Vec<DeadLetter>> {
        match self.finish.take() {
            Some(finish) => finish
                .send(Ok(Finished { dead_letters }))
                .map_err(|refused| refused.map(Finished::into_dead_letters).unwrap_or_default()),
            None => Err(dead_letters),
        }
    }

    /// The message cannot be answered for.
    pub fn fail(mut self, kind: BusErrorKind, context: &str) {
        if let Some(accept) = self.accept.take() {
            let _ = accept.send(Err(BusError::new(kind, context)));
        }
        if let Some(finish) = self.finish.take() {
            let _ = finish.send(Err(BusError::new(kind, context)));
        }
    }
}
