//! A delivery: a message lent to a consumer, to be settled once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{BusError, Message, Reason};

/// One message lent to one consumer. It is spent once: [`ack`](Self::ack), [`retry`](Self::retry),
/// [`dead_letter`](Self::dead_letter) or [`release`](Self::release). Dropped unsettled, as by a panic, it returns to its group at
/// once and counts as a failed attempt.
///
/// When settling fails, the message is or will be back in its group and is delivered again: whoever handles it must bear a repetition.
#[must_use = "dropping a delivery returns it to its group as a failed attempt"]
pub struct Delivery {
    message: Arc<Message>,
    group: Arc<str>,
    attempt: u32,
    redelivered: bool,
    missed: u64,
    settle: Option<Box<dyn Settle>>,
}

impl Delivery {
    /// A delivery, as a backend makes it; `attempt` starts at 1.
    pub fn new(
        message: Arc<Message>,
        group: Arc<str>,
        attempt: u32,
        redelivered: bool,
        settle: Box<dyn Settle>,
    ) -> Self {
        let redelivered = redelivered || message.is_replayed();
        Self { message, group, attempt, redelivered, missed: 0, settle: Some(settle) }
    }

    /// Says that a broadcast lost `missed` messages before this one.
    pub fn with_missed(mut self, missed: u64) -> Self {
        self.missed = missed;
        self
    }

    /// The message; shared, not copied.
    #[must_use]
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// The group it was delivered to; empty for a broadcast.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        &self.group
    }

    /// Which delivery of this message to the group it is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the group may have seen it before; true of every [replay](Message::is_replayed).
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// How many messages a broadcast dropped before this one because the listener was slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The group is done with the message.
    ///
    /// # Errors
    ///
    /// When the connection was lost meanwhile: the message is delivered again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the message settled or returned.
    pub async fn ack(self) -> Result<(), BusError> {
        self.settle(Outcome::Ack).await
    }

    /// Deliver it again after `delay`; counts as an attempt. Others of its key may overtake it. At the delivery limit of its group it is
    /// dead-lettered instead.
    ///
    /// The delay may be anything up to [`Duration::MAX`], said by those who mean "for ever": a backend shortens it to the longest that it
    /// can keep, and neither panics nor delivers at once.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack); [`Unsupported`](crate::BusErrorKind::Unsupported) on a broadcast.
    ///
    /// # Cancel safety
    ///
    /// As [`ack`](Self::ack).
    pub async fn retry(self, delay: Duration) -> Result<(), BusError> {
        self.settle(Outcome::Retry { delay }).await
    }

    /// Give it up, for `reason`, after `attempts` tries. Returns when the letter is with the holder of the receipt or in the sink.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack), and when the sink cannot store it: the message is back in its group.
    /// [`Unsupported`](crate::BusErrorKind::Unsupported) on a broadcast.
    ///
    /// # Cancel safety
    ///
    /// As [`ack`](Self::ack).
    pub async fn dead_letter(self, reason: Reason, attempts: u32) -> Result<(), BusError> {
        self.settle(Outcome::DeadLetter { reason, attempts }).await
    }

    /// Give it back untouched: it was not started, so no attempt is counted.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack).
    ///
    /// # Cancel safety
    ///
    /// As [`ack`](Self::ack).
    pub async fn release(self) -> Result<(), BusError> {
        self.settle(Outcome::Release).await
    }

    async fn settle(mut self, outcome: Outcome) -> Result<(), BusError> {
        match self.settle.take() {
            Some(settle) => settle.settle(outcome).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.message)
            .field("group", &self.group)
            .field("attempt", &self.attempt)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}

/// The backend's end of a [`Delivery`]. Dropped without a call to `settle`, it must return the message to its group as a failed attempt.
///
/// An [`Outcome`] that a backend does not know, because a later version added it, is answered as
/// [`Unsupported`](crate::BusErrorKind::Unsupported), and the message returns in the same way: nothing is lost to it.
#[async_trait]
pub trait Settle: Send + Sync {
    /// Carries out `outcome`.
    ///
    /// # Errors
    ///
    /// See the methods of [`Delivery`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the message settled or returned.
    async fn settle(self: Box<Self>, outcome: Outcome) -> Result<(), BusError>;
}

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Done.
    Ack,
    /// Again, not before `delay` has passed.
    Retry {
        /// How long to wait: anything up to [`Duration::MAX`], so add it to no instant before it is bounded.
        delay: Duration,
    },
    /// Given up.
    DeadLetter {
        /// Why.
        reason: Reason,
        /// How often it was tried, by the count of whoever gives it up.
        attempts: u32,
    },
    /// Returned unstarted.
    Release,
}
