//! Sends messages of a group elsewhere: to its dead letters, and to its ladder of retries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::message::Delivery as Incoming;
use tokio::time::Instant;

use super::declare::QueueSpec;
use super::outbox::{Outbox, Outgoing};
use super::released::Released;
use super::shelf::Item;
use super::supervisor::Link;
use super::{Exchange, declare, error, letter};
use crate::{Backoff, BusError, BusErrorKind, Group, Reason, ReasonKind};

/// A rung that was declared so recently is there; it is kept for much longer.
const RUNG_FRESH: Duration = Duration::from_secs(3600);

/// What is to become of a message that was to be sent elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Original {
    /// A copy is there.
    Superfluous,
    /// Its headers are too large for a copy. The broker has what it takes to move it to the dead letters.
    ForTheBroker,
}

/// The rungs that this process has declared, by name, and when.
pub(super) type Rungs = Mutex<HashMap<String, Instant>>;

#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) group: Group,
    pub(super) exchange: Exchange,
    pub(super) outbox: Outbox,
    pub(super) released: Arc<Released>,
    pub(super) rungs: Arc<Rungs>,
}

impl Mail {
    fn letter(&self, item: &Item, reason: &Reason, attempts: u32) -> Result<Outgoing, BusError> {
        letter::letter(item, self.group.name(), self.exchange.name(), reason, attempts)
    }

    /// Puts a message among the dead letters; their queue is made anew if somebody deleted it.
    pub(super) async fn bury(
        &self,
        link: &Link,
        item: &Item,
        reason: &Reason,
        attempts: u32,
    ) -> Result<Original, BusError> {
        let letter = match self.letter(item, reason, attempts) {
            Ok(letter) => letter,
            Err(error) => return Ok(self.leave_to_the_broker(item.message.id().as_str(), reason, &error)),
        };
        match self.send(letter.clone()).await {
            Err(error) if error.kind() == BusErrorKind::Unroutable => {
                self.declare_dead_letters(link).await?;
                self.send(letter).await?;
            }
            sent => sent?,
        }
        Ok(Original::Superfluous)
    }

    /// As [`bury`](Self::bury) when nobody waits for it, for as long as it takes. Meanwhile the original is not settled, so nothing is lost when this ends.
    pub(super) async fn insist(&self, link: &Link, item: &Item, reason: &Reason, attempts: u32) -> Original {
        match self.letter(item, reason, attempts) {
            Ok(letter) => self.deliver(link, letter, reason).await,
            Err(error) => self.leave_to_the_broker(item.message.id().as_str(), reason, &error),
        }
    }

    /// The same for what cannot be read.
    pub(super) async fn insist_unreadable(&self, link: &Link, incoming: &Incoming, detail: &str) -> Original {
        match letter::unreadable(incoming, self.group.name(), self.exchange.name(), detail) {
            Ok(letter) => self.deliver(link, letter, &Reason::new(ReasonKind::Unreadable, detail)).await,
            Err(error) => {
                let id = incoming.properties.message_id().as_ref().map_or("", |id| id.as_str());
                self.leave_to_the_broker(id, &Reason::new(ReasonKind::Unreadable, detail), &error)
            }
        }
    }

    async fn deliver(&self, link: &Link, letter: Outgoing, reason: &Reason) -> Original {
        use BusErrorKind::{Forbidden, Unsupported};
        let (backoff, mut failures) = (Backoff::standard(), 0);
        loop {
            let Err(error) = self.send(letter.clone()).await else { return Original::Superfluous };
            if matches!(error.kind(), Forbidden | Unsupported) {
                // It would be refused again. The broker itself may move what we may not.
                return self.leave_to_the_broker(letter.id.as_str(), reason, &error);
            }
            tracing::warn!(group = self.group.name(), %error, "dead letter not stored yet");
            if error.kind() == BusErrorKind::Unroutable
                && let Err(error) = self.declare_dead_letters(link).await
            {
                tracing::warn!(group = self.group.name(), %error, "the place of the dead letters cannot be declared");
            }
            failures += 1;
            tokio::time::sleep(backoff.delay(failures)).await;
        }
    }

    /// The broker's letter does not say why, so the log does.
    fn leave_to_the_broker(&self, message_id: &str, reason: &Reason, error: &BusError) -> Original {
        tracing::warn!(
            group = self.group.name(),
            message_id,
            reason = reason.kind.as_str(),
            detail = reason.detail,
            %error,
            "the broker itself moves a message to the dead letters"
        );
        Original::ForTheBroker
    }

    /// Puts a message on a rung of the ladder.
    pub(super) async fn put_off(&self, link: &Link, item: &Item, millis: u64) -> Result<(), BusError> {
        let rung = QueueSpec::rung(&self.group, millis);
        let is_fresh = self.rungs().get(&rung.name).is_some_and(|declared| declared.elapsed() < RUNG_FRESH);
        if !is_fresh {
            self.declare_rung(link, &rung).await?;
        }
        let resting = letter::put_off(item, &rung.name)?;
        match self.send(resting.clone()).await {
            Err(error) if error.kind() == BusErrorKind::Unroutable => {
                self.declare_rung(link, &rung).await?;
                self.send(resting).await
            }
            sent => sent,
        }
    }

    async fn declare_rung(&self, link: &Link, rung: &QueueSpec) -> Result<(), BusError> {
        let channel = link
            .connection()
            .create_channel()
            .await
            .map_err(|error| error::of_channel(error, "declaring a rung of the ladder"))?;
        rung.declare(&channel).await?;
        self.rungs().insert(rung.name.clone(), Instant::now());
        Ok(())
    }

    async fn declare_dead_letters(&self, link: &Link) -> Result<(), BusError> {
        let channel = link
            .connection()
            .create_channel()
            .await
            .map_err(|error| error::of_channel(error, "declaring the place of the dead letters"))?;
        declare::dead_letters(&channel, &self.group).await
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(), BusError> {
        self.outbox.send(outgoing).await?.accepted().await.map(|_| ())
    }

    fn rungs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.rungs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
