//! The task that keeps the channel of one consumer at one queue: it receives, and carries out what the consumer decides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery as Incoming;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions, BasicRejectOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::balance::Balance;
use super::mail::{Mail, Original};
use super::seat::Seat;
use super::settle::Command;
use super::shelf::{Ended, Item, Shelf};
use super::state::{Counted, Counters, count};
use super::supervisor::Link;
use super::{encode, error, retry};
use crate::{BusError, BusErrorKind, Group, Outcome, Reason, ReasonKind};

pub(super) struct Keeper {
    pub(super) link: Arc<Link>,
    pub(super) seat: Seat,
    pub(super) queue: String,
    /// The number of the queue in its group.
    pub(super) partition: usize,
    pub(super) balance: Arc<Balance>,
    pub(super) group: Group,
    pub(super) shelf: Arc<Shelf>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) mail: Mail,
    pub(super) counters: Arc<Counters>,
    /// Shared by the keepers of one consumer.
    pub(super) _counted: Arc<Counted>,
    /// Cancelled when the consumer leaves.
    pub(super) left: CancellationToken,
    /// Cancelled when the bus is closed.
    pub(super) closed: CancellationToken,
    pub(super) phase: Phase,
    pub(super) handover: Handover,
    pub(super) sending: JoinSet<Sent>,
    /// Failed, and rejected a moment later.
    pub(super) failed: VecDeque<(Instant, Item)>,
}

/// How long a failed delivery stays before it is rejected. A delivery is dropped when its handler is, and often the consumer leaves in the same
/// breath; rejected at once it would come back to the one that is leaving, and count once more.
const BREATH: Duration = Duration::from_millis(10);

/// How long a handover may wait for what is lent. All keys of the partition wait with it.
const HANDOVER: Duration = Duration::from_secs(10);
/// How long a partition stays that could not be handed over in time.
const STAYS: Duration = Duration::from_secs(60);

/// When to stop with something that is not to last.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Waiting for what is lent.
    until: Option<Instant>,
    /// Keeping the partition after waiting in vain.
    not_before: Option<Instant>,
}

/// How far a consumer is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Consuming,
    /// It takes nothing more, and stays until what it holds is settled. In a group with a single active consumer the broker still thinks it
    /// active: nobody may take over before.
    Leaving,
    /// The same for one of several partitions, which another consumer of the group is to have: it takes a seat again, behind the others.
    HandingOver,
}

/// Why a channel is kept no longer.
enum Done {
    HandedOver,
    Ended(Ended),
}

/// What the broker does with a message that was not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejected {
    /// It returns to its queue.
    ForNow,
    /// It goes to the dead letters.
    ForGood,
}

/// A message that was sent elsewhere, or not; then the original is acknowledged, or returned.
pub(super) struct Sent {
    tag: u64,
    item: Option<Item>,
    outcome: Result<Original, BusError>,
    answer: Option<oneshot::Sender<Result<(), BusError>>>,
}

impl Keeper {
    /// Runs until the consumer has left, the channel is lost or the bus is closed.
    pub(super) async fn run(mut self) {
        let link = Arc::clone(&self.link);
        let ended = loop {
            // Whatever it waits for: when lapin cannot go on, a call of its may have no answer ever.
            let kept = tokio::select! {
                biased;
                () = link.lost().cancelled() => Ok(Done::Ended(self.lost())),
                kept = self.keep() => kept,
            };
            match kept {
                Ok(Done::HandedOver) => {
                    self.stand_up().await;
                    if let Err(ended) = self.sit_down_again().await {
                        break ended;
                    }
                }
                Ok(Done::Ended(ended)) => break ended,
                Err(error) => break Ended::Lost(error::told(&error)),
            }
        };
        self.return_untaken();
        self.shelf.end(ended);
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command.comes_too_late(&self.group.name, &self.mail.released);
        }
        // Whoever still waits for an answer learns from its absence.
        self.stand_up().await;
    }

    /// What nobody took goes back with the channel, and the broker counts that as a delivery.
    fn return_untaken(&self) {
        for item in self.shelf.clear() {
            self.mail.released.add(&self.group.name, item.message.id());
        }
    }

    async fn stand_up(&mut self) {
        self.return_untaken();
        if self.seat.channel.status().connected() {
            let closing = self.seat.channel.close(200, "left".into());
            tokio::select! {
                _ = closing => {}
                () = self.link.lost().cancelled() => {}
            }
        }
        // So does what was on its way meanwhile.
        while let Some(Some(Ok(mut incoming))) = self.seat.stream.next().now_or_never() {
            if let Ok(message) = encode::decode(&mut incoming).message {
                self.mail.released.add(&self.group.name, message.id());
            }
        }
    }

    async fn sit_down_again(&mut self) -> Result<(), Ended> {
        let seat = tokio::select! {
            biased;
            () = self.closed.cancelled() => return Err(Ended::Closed),
            () = self.left.cancelled() => return Err(Ended::Closed),
            () = self.link.lost().cancelled() => return Err(self.lost()),
            seat = Seat::take(&self.link, &self.group, &self.queue) => seat,
        };
        self.seat = seat.map_err(|error| Ended::Lost(error.context().to_owned()))?;
        // They have returned with the channel.
        self.failed.clear();
        self.phase = Phase::Consuming;
        self.shelf.set_shut(false);
        Ok(())
    }

    fn lost(&self) -> Ended {
        // With the last handle both end at once.
        if self.closed.is_cancelled() {
            return Ended::Closed;
        }
        Ended::Lost(self.link.disconnected("consuming").context().to_owned())
    }

    async fn keep(&mut self) -> lapin::Result<Done> {
        let (closed, left) = (self.closed.clone(), self.left.clone());
        let (balance, partition) = (Arc::clone(&self.balance), self.partition);
        let mut receiving = true;
        loop {
            let is_idle = self.shelf.lent() == 0 && self.sending.is_empty();
            match self.phase {
                Phase::Leaving if is_idle => return Ok(Done::Ended(Ended::Closed)),
                Phase::HandingOver if is_idle => return Ok(Done::HandedOver),
                _ => {}
            }
            let careful_until =
                self.seat.careful_until.max(self.seat.careful_until.and(self.handover.not_before));
            let next_failed = self.failed.front().map_or_else(Instant::now, |(due, _)| *due);
            tokio::select! {
                biased;
                () = closed.cancelled() => return Ok(Done::Ended(Ended::Closed)),
                Some(sent) = self.sending.join_next() => {
                    if let Ok(sent) = sent {
                        self.conclude(sent).await?;
                    }
                }
                Some(command) = self.commands.recv() => self.carry_out(command).await?,
                () = left.cancelled(), if self.phase == Phase::Consuming => {
                    self.phase = Phase::Leaving;
                    if self.group.is_single_active() {
                        // They return with the channel.
                        self.failed.clear();
                    }
                    if !self.group.is_single_active() {
                        receiving = false;
                        self.leave().await?;
                    }
                }
                () = tokio::time::sleep_until(self.handover.until.unwrap_or_else(Instant::now)), if self.phase == Phase::HandingOver => {
                    // A handler that takes its time, or waits for better times, must not hold up the other keys.
                    self.phase = Phase::Consuming;
                    self.handover.not_before = Some(Instant::now() + STAYS);
                    self.shelf.set_shut(false);
                }
                () = balance.handing_over(partition), if self.phase == Phase::Consuming => {
                    balance.leaves(partition);
                    self.hand_over();
                }
                () = tokio::time::sleep_until(careful_until.unwrap_or_else(Instant::now)), if careful_until.is_some() && self.phase == Phase::Consuming => {
                    // To take the same seat again, with room for more.
                    self.hand_over();
                }
                () = tokio::time::sleep_until(next_failed), if !self.failed.is_empty() && self.phase != Phase::HandingOver => {
                    self.reject_failed().await?;
                }
                incoming = self.seat.stream.next(), if receiving => match incoming {
                    Some(Ok(incoming)) => self.receive(incoming).await?,
                    Some(Err(error)) => return Ok(Done::Ended(Ended::Lost(error::told(&error)))),
                    None => {
                        let why = "the broker ended the subscription: the queue is gone";
                        return Ok(Done::Ended(Ended::Lost(why.to_owned())));
                    }
                },
            }
        }
    }

    fn hand_over(&mut self) {
        self.phase = Phase::HandingOver;
        self.handover.until = Some(Instant::now() + HANDOVER);
        self.shelf.set_shut(true);
    }

    async fn receive(&mut self, mut incoming: Incoming) -> lapin::Result<()> {
        let tag = incoming.delivery_tag;
        if self.phase == Phase::Consuming && self.handover.not_before.is_none_or(|due| due <= Instant::now())
        {
            self.balance.serves(self.partition);
        }
        let decoded = encode::decode(&mut incoming);
        let message = match decoded.message {
            Ok(message) => message,
            Err(unreadable) => {
                let detail = unreadable.detail();
                tracing::warn!(
                    group = self.group.name(),
                    detail,
                    "a message that cannot be read goes to the dead letters"
                );
                count(&self.counters.dead_lettered);
                let (mail, link) = (self.mail.clone(), Arc::clone(&self.link));
                self.sending.spawn(async move {
                    let original = mail.insist_unreadable(&link, &incoming, &detail).await;
                    Sent { tag, item: None, outcome: Ok(original), answer: None }
                });
                return Ok(());
            }
        };
        // The broker's wildcards know nothing of private words, so it may send more than is wanted.
        if !decoded.sent_to_group && !self.group.wants(message.topic()) {
            return self.ack(tag).await;
        }
        let unstarted = self.mail.released.count(&self.group.name, message.id());
        let before = decoded.put_off_after.saturating_add(decoded.taken_back.saturating_sub(unstarted));
        let item = Item {
            tag,
            message: Arc::new(message),
            attempt: before.saturating_add(1),
            redelivered: incoming.redelivered || decoded.put_off_after > 0 || decoded.taken_back > 0,
            slot: decoded.slot,
        };
        if item.attempt > self.group.delivery_limit() {
            self.give_up(item, before);
        } else {
            self.shelf.put(item);
        }
        Ok(())
    }

    async fn carry_out(&mut self, command: Command) -> lapin::Result<()> {
        let Command { item, outcome, answer } = command;
        self.shelf.returned();
        match outcome {
            Some(Outcome::Ack) => {
                self.ack(item.tag).await?;
                self.mail.released.forget(&self.group.name, item.message.id());
                tell(answer, Ok(()));
            }
            Some(Outcome::Release) => {
                self.release(item).await?;
                tell(answer, Ok(()));
            }
            Some(Outcome::Retry { delay })
                if !delay.is_zero() && item.attempt < self.group.delivery_limit() =>
            {
                count(&self.counters.put_off);
                let (mail, link, tag) = (self.mail.clone(), Arc::clone(&self.link), item.tag);
                let millis = retry::rung(delay);
                self.sending.spawn(async move {
                    let outcome = mail.put_off(&link, &item, millis).await.map(|()| Original::Superfluous);
                    Sent { tag, item: Some(item), outcome, answer }
                });
            }
            Some(Outcome::DeadLetter { reason, attempts }) => {
                count(&self.counters.dead_lettered);
                let (mail, link, tag) = (self.mail.clone(), Arc::clone(&self.link), item.tag);
                self.sending.spawn(async move {
                    let outcome = if mail.group.is_single_active() {
                        // Given back it would be overtaken by the next of its key, so the lane waits for as long as it takes.
                        Ok(mail.insist(&link, &item, &reason, attempts).await)
                    } else {
                        mail.bury(&link, &item, &reason, attempts).await.map_err(|error| {
                            BusError::new(BusErrorKind::DeadLetterSink, mail.group.name()).with_source(error)
                        })
                    };
                    Sent { tag, item: Some(item), outcome, answer }
                });
            }
            Some(Outcome::Retry { .. }) | None => {
                self.fail(item).await?;
                tell(answer, Ok(()));
            }
        }
        Ok(())
    }

    /// Gives a message back unstarted. While the consumer stays, it keeps it for its own next `take`: only so the broker counts nothing.
    async fn release(&mut self, mut item: Item) -> lapin::Result<()> {
        if self.phase == Phase::Consuming || self.group.is_single_active() {
            item.redelivered = true;
            self.shelf.put(item);
            return Ok(());
        }
        self.mail.released.add(&self.group.name, item.message.id());
        self.nack(item.tag).await
    }

    /// Returns a message as a failed attempt, or gives it up when that was the last.
    async fn fail(&mut self, item: Item) -> lapin::Result<()> {
        if item.attempt >= self.group.delivery_limit() {
            let attempts = item.attempt;
            self.give_up(item, attempts);
            return Ok(());
        }
        match self.phase {
            // During a handover it stays: rejected, it would come straight back to us. It returns with the channel, in its place among the others.
            Phase::Consuming | Phase::HandingOver => self.failed.push_back((Instant::now() + BREATH, item)),
            Phase::Leaving if self.group.is_single_active() => {}
            Phase::Leaving => self.reject(item.tag, Rejected::ForNow).await?,
        }
        Ok(())
    }

    async fn reject_failed(&mut self) -> lapin::Result<()> {
        while let Some((due, item)) = self.failed.pop_front() {
            if due > Instant::now() {
                self.failed.push_front((due, item));
                break;
            }
            self.reject(item.tag, Rejected::ForNow).await?;
        }
        Ok(())
    }

    /// Gives a message up that was delivered as often as its group allows.
    fn give_up(&mut self, item: Item, attempts: u32) {
        count(&self.counters.dead_lettered);
        let (mail, link, tag) = (self.mail.clone(), Arc::clone(&self.link), item.tag);
        self.sending.spawn(async move {
            let reason =
                Reason::new(ReasonKind::DeliveryLimit, "returned unsettled as often as the group allows");
            let original = mail.insist(&link, &item, &reason, attempts).await;
            Sent { tag, item: Some(item), outcome: Ok(original), answer: None }
        });
    }

    /// The copy is where it should be, so the original is done with; or it is not, and the original returns.
    async fn conclude(&mut self, sent: Sent) -> lapin::Result<()> {
        let Sent { tag, item, outcome, answer } = sent;
        match outcome {
            Ok(original) => {
                match original {
                    Original::Superfluous => self.ack(tag).await?,
                    Original::ForTheBroker => self.reject(tag, Rejected::ForGood).await?,
                }
                if let Some(item) = &item {
                    self.mail.released.forget(&self.group.name, item.message.id());
                }
                tell(answer, Ok(()));
            }
            Err(error) => {
                tracing::warn!(group = self.group.name(), %error, "a message could not be moved and returns to its group");
                if let Some(item) = item {
                    self.fail(item).await?;
                }
                tell(answer, Err(error));
            }
        }
        Ok(())
    }

    /// Leaves the group, and returns what nobody took.
    async fn leave(&mut self) -> lapin::Result<()> {
        self.seat.channel.basic_cancel(self.seat.stream.tag(), BasicCancelOptions::default()).await?;
        // The stream ends after the last that was on its way.
        while let Some(Ok(incoming)) = self.seat.stream.next().await {
            self.receive(incoming).await?;
        }
        for (_, item) in std::mem::take(&mut self.failed) {
            self.reject(item.tag, Rejected::ForNow).await?;
        }
        let untaken = self.shelf.clear();
        // All of them first: what is not returned one by one returns with the channel.
        for item in &untaken {
            self.mail.released.add(&self.group.name, item.message.id());
        }
        for item in untaken {
            self.nack(item.tag).await?;
        }
        Ok(())
    }

    async fn ack(&self, tag: u64) -> lapin::Result<()> {
        self.seat.channel.basic_ack(tag, BasicAckOptions { multiple: false }).await
    }

    async fn reject(&self, tag: u64, rejected: Rejected) -> lapin::Result<()> {
        let requeue = rejected == Rejected::ForNow;
        self.seat.channel.basic_reject(tag, BasicRejectOptions { requeue }).await
    }

    /// From 4.3 on the broker counts a rejection as a failed delivery, and this not.
    async fn nack(&self, tag: u64) -> lapin::Result<()> {
        self.seat.channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }).await
    }
}

fn tell(answer: Option<oneshot::Sender<Result<(), BusError>>>, outcome: Result<(), BusError>) {
    if let Some(answer) = answer {
        // Whoever stopped waiting does not need to know.
        let _ = answer.send(outcome);
    }
}
