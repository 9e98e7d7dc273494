//! The one task that publishes: it owns the channel, and with it the order of the messages.
//!
//! One task, because lapin takes the number of a message and queues its frames under two locks: two tasks on one channel can swap them.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outbox::{Handed, Outbox, too_late};
use super::state::Counters;
use super::supervisor::{Link, Links};
use super::unconfirmed::Unconfirmed;
use super::{Exchange, RabbitOptions, declare};
use crate::time::from_now;
use crate::{BusError, BusErrorKind};

/// How long what was handed over may take to be confirmed when the bus is closed.
const DRAIN: Duration = Duration::from_secs(5);

pub(super) struct PublisherTask {
    options: Arc<RabbitOptions>,
    links: Links,
    counters: Arc<Counters>,
    closing: CancellationToken,
    receiver: mpsc::Receiver<Handed>,
    waiting: VecDeque<Handed>,
    unconfirmed: Unconfirmed,
}

/// Why a channel is served no longer.
enum Ended {
    ChannelLost,
    /// A fresh one is better.
    Outworn,
    LinkLost,
    Drained,
}

impl PublisherTask {
    pub(super) fn new(
        options: Arc<RabbitOptions>,
        links: Links,
        counters: Arc<Counters>,
        closing: CancellationToken,
    ) -> (Self, Outbox) {
        let (outbox, receiver) = Outbox::new(options.publish_timeout, links.clone(), closing.clone());
        let unconfirmed = Unconfirmed::new(&options, Arc::clone(&counters));
        let task =
            Self { options, links, counters, closing, receiver, waiting: VecDeque::new(), unconfirmed };
        (task, outbox)
    }

    /// Runs until the bus is closed and what was handed over before is answered.
    pub(super) async fn run(mut self) {
        let closing = self.closing.clone();
        let drained = async {
            closing.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            () = self.publish() => {}
            () = drained => {}
        }
        self.unconfirmed.doubt_all("the bus was closed before the message was confirmed");
        self.receiver.close();
        while let Ok(handed) = self.receiver.try_recv() {
            self.waiting.push_back(handed);
        }
        for handed in std::mem::take(&mut self.waiting) {
            handed.answer.fail(BusErrorKind::Closed, "the bus was closed before the message was sent");
        }
    }

    async fn publish(&mut self) {
        loop {
            let Some(link) = self.wait_for_link().await else { return };
            let mut declared = HashSet::new();
            let mut lost = 0;
            loop {
                let confirmed = self.counters.confirmed.load(Ordering::Relaxed);
                let Some(channel) = self.meanwhile(&link, open(&link)).await else { break };
                let ended = match channel {
                    Ok(channel) => self.serve(&link, channel, &mut declared).await,
                    Err(error) => {
                        tracing::warn!(%error, "no channel to publish on");
                        Ended::ChannelLost
                    }
                };
                match ended {
                    Ended::Drained => return,
                    Ended::LinkLost => break,
                    Ended::Outworn => {
                        self.unconfirmed.doubt_all("the broker does not confirm messages");
                    }
                    Ended::ChannelLost => {
                        // Over a message that it does not take, or over an exchange that was deleted.
                        declared.clear();
                        if self.unconfirmed.doubt_all("the broker closed the channel") {
                            // It is well, and the one at fault is known.
                            lost = 0;
                            continue;
                        }
                        let was_of_use = self.counters.confirmed.load(Ordering::Relaxed) > confirmed;
                        lost = if was_of_use { 1 } else { lost + 1 };
                        let pause = tokio::time::sleep(self.options.backoff.delay(lost));
                        if self.meanwhile(&link, pause).await.is_none() {
                            break;
                        }
                    }
                }
            }
            self.unconfirmed.doubt_all("the connection was lost before the message was confirmed");
        }
    }

    /// Waits for a connection; `None` when the bus is closed. What waits too long is told so.
    async fn wait_for_link(&mut self) -> Option<Arc<Link>> {
        let closing = self.closing.clone();
        loop {
            if self.receiver.is_closed() && self.receiver.is_empty() && self.waiting.is_empty() {
                return None;
            }
            self.count_waiting();
            let until =
                self.waiting.front().map_or_else(|| from_now(Duration::MAX), |handed| handed.deadline);
            let links = self.links.clone();
            let mut inbox = Vec::new();
            tokio::select! {
                biased;
                link = links.get(from_now(Duration::MAX), "publishing") => match link {
                    Ok(link) => return Some(link),
                    Err(error) if error.kind() == BusErrorKind::Closed => return None,
                    Err(_) => {}
                },
                () = tokio::time::sleep_until(until) => self.refuse_late(None),
                () = closing.cancelled(), if self.waiting.is_empty() && self.receiver.is_empty() => return None,
                received = self.receiver.recv_many(&mut inbox, 1), if self.waiting.is_empty() => {
                    if received == 0 {
                        return None;
                    }
                    self.waiting.append(&mut inbox.into());
                }
            }
        }
    }

    /// Awaits something of the broker, and tells those who wait too long meanwhile; `None` when the connection is lost.
    async fn meanwhile<T>(&mut self, link: &Link, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut inbox = Vec::new();
        loop {
            self.count_waiting();
            let until =
                self.waiting.front().map_or_else(|| from_now(Duration::MAX), |handed| handed.deadline);
            tokio::select! {
                biased;
                () = link.lost().cancelled() => return None,
                done = &mut future => return Some(done),
                () = tokio::time::sleep_until(until) => self.refuse_late(Some(link)),
                received = self.receiver.recv_many(&mut inbox, 1), if self.waiting.is_empty() => {
                    if received == 0 {
                        return None;
                    }
                    self.waiting.append(&mut inbox.into());
                    inbox = Vec::new();
                }
            }
        }
    }

    async fn serve(&mut self, link: &Link, channel: Channel, declared: &mut HashSet<Arc<str>>) -> Ended {
        let channel = Arc::new(channel);
        let mut blocked = link.blocked();
        let mut inbox = Vec::new();
        let closing = self.closing.clone();
        let (mut receiving, mut closed) = (true, false);
        loop {
            while let Some(handed) = self.waiting.front()
                && self.unconfirmed.has_room_for(&handed.outgoing.id)
                && !link.is_blocked()
            {
                match &handed.outgoing.exchange {
                    Some(exchange) if !declared.contains(&exchange.name) => {
                        let exchange = exchange.clone();
                        if !self.declare(link, &exchange, declared).await {
                            return Ended::LinkLost;
                        }
                    }
                    _ => {
                        if let Some(handed) = self.waiting.pop_front() {
                            self.unconfirmed.send(&channel, handed);
                        }
                    }
                }
            }
            self.count_waiting();
            if self.waiting.front().is_some_and(|next| self.unconfirmed.waits_in_vain(&next.outgoing.id)) {
                return Ended::Outworn;
            }
            if !receiving && self.waiting.is_empty() && self.unconfirmed.is_empty() {
                return Ended::Drained;
            }
            let room = self.options.confirm_window.saturating_sub(self.waiting.len());
            let to_send = self.waiting.front().map(|handed| handed.deadline);
            let next_due = to_send
                .into_iter()
                .chain(self.unconfirmed.next_due())
                .min()
                .unwrap_or_else(|| from_now(Duration::MAX));
            tokio::select! {
                biased;
                () = link.lost().cancelled() => return Ended::LinkLost,
                batch = poll_fn(|cx| self.unconfirmed.poll_settled(cx)) => {
                    if !self.unconfirmed.settle(batch) {
                        return Ended::ChannelLost;
                    }
                }
                () = tokio::time::sleep_until(next_due) => {
                    self.refuse_late(Some(link));
                    self.unconfirmed.abandon_late();
                    // A broker that is short of memory confirms what it has read once it reads again.
                    if self.unconfirmed.is_hopeless() && !link.is_blocked() {
                        link.give_up("the broker does not confirm messages");
                    }
                }
                changed = blocked.changed() => {
                    if changed.is_err() {
                        return Ended::LinkLost;
                    }
                }
                received = self.receiver.recv_many(&mut inbox, room), if room > 0 && receiving => {
                    receiving = received > 0;
                }
                () = closing.cancelled(), if !closed => {
                    // What was handed over before still comes.
                    self.receiver.close();
                    closed = true;
                }
            }
            self.waiting.extend(inbox.drain(..));
        }
    }

    /// Makes the exchanges exist that the next message is published to, or refuses that message. Whether the connection still works.
    async fn declare(&mut self, link: &Link, exchange: &Exchange, declared: &mut HashSet<Arc<str>>) -> bool {
        match self.meanwhile(link, make_exchanges(link, exchange)).await {
            None => false,
            Some(Ok(())) => {
                declared.insert(Arc::clone(&exchange.name));
                true
            }
            Some(Err(error)) if error.kind() == BusErrorKind::Disconnected => {
                link.give_up(error.context());
                false
            }
            Some(Err(error)) => {
                let is_next = self.waiting.front().is_some_and(|handed| {
                    handed.outgoing.exchange.as_ref().is_some_and(|wanted| wanted.name == exchange.name)
                });
                if is_next && let Some(handed) = self.waiting.pop_front() {
                    handed.answer.fail(error.kind(), error.context());
                }
                true
            }
        }
    }

    fn count_waiting(&self) {
        self.counters.waiting.store(self.waiting.len(), Ordering::Relaxed);
    }

    /// Refuses what waited too long to be sent.
    fn refuse_late(&mut self, link: Option<&Link>) {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|handed| handed.deadline <= now) {
            let Some(handed) = self.waiting.pop_front() else { return };
            let (kind, context) = too_late(link, &self.links);
            handed.answer.fail(kind, &context);
        }
    }
}

async fn open(link: &Link) -> lapin::Result<Channel> {
    let channel = link.connection().create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// On a channel of its own: a refusal closes it, and must not take the messages under way with it.
async fn make_exchanges(link: &Link, exchange: &Exchange) -> Result<(), BusError> {
    let channel = link
        .connection()
        .create_channel()
        .await
        .map_err(|error| super::error::of_channel(error, "declaring"))?;
    declare::exchanges(&channel, exchange).await
}
