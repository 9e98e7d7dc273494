//! Publishing, and the receipt that tells what became of a message.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::{BusError, BusErrorKind, Capabilities, DeadLetter, Message};

/// Takes messages for the groups and broadcasts whose patterns match.
///
/// # Contract
///
/// - *All or nothing:* an error of kind [`Unroutable`](BusErrorKind::Unroutable), [`TooLarge`](BusErrorKind::TooLarge) or
///   [`Blocked`](BusErrorKind::Blocked) means that no group has the message. After [`Disconnected`](BusErrorKind::Disconnected) or
///   [`ConfirmLost`](BusErrorKind::ConfirmLost) it is unknown: repeat it with the same id. After [`QueueFull`](BusErrorKind::QueueFull) no
///   group has it either where the bus refuses a message whole; where a broker asks each queue by itself, those with room have it, and
///   get it again with the repetition.
/// - *Order:* two messages of one key, the second published after the first was accepted, reach every group in that order.
/// - *Concurrency:* any number of tasks may publish at once; clones and references share one bus.
/// - *At least once:* a message that was accepted is delivered to each matching durable group until it is settled there.
/// - *One group alone:* a message that is [only for](Message::only_for) one group reaches that group, whatever its patterns, and no other group
///   and no listener. Without that group it is unroutable, even where others are dropped.
/// - *Listeners count as takers:* a message that only a broadcast hears is not unroutable. It is taken, and since no group has it to be
///   done with, it is *finished* as soon as it is accepted, whether or not the listener reads it.
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
/// that it was routed to has acknowledged or dead-lettered it. Routed to none, it is finished at once.
///
/// Dropping a receipt changes nothing for the message; dead letters that it did not hand out go to the sink of the bus.
#[derive(Debug)]
#[must_use = "a published message is not known to be accepted before its receipt says so"]
pub struct Receipt {
    accepted: oneshot::Receiver<Result<(), BusError>>,
    finished: oneshot::Receiver<Result<Unread, BusError>>,
}

impl Receipt {
    /// A receipt and the end that a backend resolves it by.
    pub fn channel() -> (ReceiptSender, Self) {
        let (accept, accepted) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        (
            ReceiptSender { accept: Some(accept), finish: Some(finish), give_back: None },
            Self { accepted, finished },
        )
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
    /// [dead letters](Finished::into_dead_letters) in it: they are not in the sink of the bus.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](BusErrorKind::Unsupported) on a bus whose capabilities do not report it,
    /// [`Disconnected`](BusErrorKind::Disconnected) when the connection was lost or the bus closed before; else as
    /// [`accepted`](Self::accepted).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the receipt; the message is unaffected, dead letters that were not read go to the sink.
    pub async fn finished(self) -> Result<Finished, BusError> {
        match self.finished.await {
            Ok(outcome) => outcome.map(|mut unread| Finished { dead_letters: unread.take() }),
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
pub struct ReceiptSender {
    accept: Option<oneshot::Sender<Result<(), BusError>>>,
    finish: Option<oneshot::Sender<Result<Unread, BusError>>>,
    give_back: Option<GiveBack>,
}

type GiveBack = Box<dyn FnOnce(Vec<DeadLetter>) + Send>;

/// The finished moment on its way to whoever holds the receipt. A receipt may be dropped after it was answered and before the answer
/// is read; its dead letters must not go down with it.
struct Unread {
    dead_letters: Vec<DeadLetter>,
    give_back: Option<GiveBack>,
}

impl Unread {
    fn take(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead_letters)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let dead_letters = self.take();
        if let Some(give_back) = self.give_back.take()
            && !dead_letters.is_empty()
        {
            give_back(dead_letters);
        }
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").field("dead_letters", &self.dead_letters).finish_non_exhaustive()
    }
}

impl ReceiptSender {
    /// Whether somebody still waits for, or can ask for, the finished moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.finish.as_ref().is_some_and(|finish| !finish.is_closed())
    }

    /// What to do with dead letters that were handed to the receipt and never read, because it was dropped: they belong to the sink.
    ///
    /// It runs where the receipt is dropped: in any task, and within [`finish`](Self::finish) too, which wakes whoever waits. So it must
    /// not wait, and a lock that it takes must be one that no code of the backend holds while it calls `finish` or drops a receipt.
    #[must_use]
    pub fn with_give_back(mut self, give_back: impl FnOnce(Vec<DeadLetter>) + Send + 'static) -> Self {
        self.give_back = Some(Box::new(give_back));
        self
    }

    /// The bus has the message.
    pub fn accept(&mut self) {
        if let Some(accept) = self.accept.take() {
            // A receipt that was dropped asked for no answer.
            let _ = accept.send(Ok(()));
        }
    }

    /// The bus never tells when every group is done: whoever asks is answered with [`Unsupported`](BusErrorKind::Unsupported) at once.
    pub fn refuse_finished(&mut self) {
        if let Some(finish) = self.finish.take() {
            let context = "the bus does not tell when every group is done";
            let _ = finish.send(Err(BusError::new(BusErrorKind::Unsupported, context)));
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
                .send(Ok(Unread { dead_letters, give_back: self.give_back.take() }))
                .map_err(|refused| refused.map(|mut unread| unread.take()).unwrap_or_default()),
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

impl fmt::Debug for ReceiptSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptSender").field("is_held", &self.is_held()).finish_non_exhaustive()
    }
}
