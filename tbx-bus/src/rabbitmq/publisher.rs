//! The one task that publishes: it owns the channel, the window of unconfirmed messages, and their order.
//!
//! One task, because lapin takes the number of a message and queues its frames under two locks: two tasks on one channel can swap them.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::state::{Counters, count};
use super::supervisor::{Link, Links};
use super::verdict::{Confirmed, Judge, Verdict};
use super::window::Window;
use super::{Exchange, RabbitOptions, declare};
use crate::publisher::ReceiptSender;
use crate::time::from_now;
use crate::{BusError, BusErrorKind, MessageId, Receipt};

/// How many messages wait before those who publish do.
const WAITING: usize = 1_024;

/// How long what was handed over may take to be confirmed when the bus is closed.
const DRAIN: Duration = Duration::from_secs(5);

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

#[derive(Debug)]
struct Handed {
    outgoing: Outgoing,
    answer: ReceiptSender,
    /// It is sent by then or not at all.
    deadline: Instant,
}

impl Outbox {
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
fn too_late(link: Option<&Link>, links: &Links) -> (BusErrorKind, String) {
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

/// One message in the window.
#[derive(Debug)]
struct Sent {
    /// `None` once its publisher was told that no confirmation came.
    answer: Option<ReceiptSender>,
    id: MessageId,
    serial: u64,
}

pub(super) struct PublisherTask {
    options: Arc<RabbitOptions>,
    links: Links,
    counters: Arc<Counters>,
    closing: CancellationToken,
    receiver: mpsc::Receiver<Handed>,
    waiting: VecDeque<Handed>,
    window: Window<Sent>,
    judge: Judge<Sent>,
    /// When each sent message must be confirmed, in the order sent.
    due: VecDeque<(Instant, usize, u64)>,
    next_serial: u64,
    /// Slots whose publisher was told already. The broker may yet answer for them.
    abandoned: usize,
}

/// Why a channel is served no longer.
enum Ended {
    ChannelLost,
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
        let (sender, receiver) = mpsc::channel(WAITING);
        let outbox = Outbox {
            sender,
            timeout: options.publish_timeout,
            links: links.clone(),
            closing: closing.clone(),
        };
        let window = Window::new(options.confirm_window);
        let task = Self {
            options,
            links,
            counters,
            closing,
            receiver,
            waiting: VecDeque::new(),
            window,
            judge: Judge::new(),
            due: VecDeque::new(),
            next_serial: 0,
            abandoned: 0,
        };
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
        self.doubt_all("the bus was closed before the message was confirmed");
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
                    Ended::ChannelLost => {
                        // The broker closes a channel at once with what it answers, or with the exchange that was deleted.
                        self.doubt_all("the broker closed the channel");
                        declared.clear();
                        lost += 1;
                        tokio::time::sleep(self.options.backoff.delay(lost)).await;
                    }
                }
            }
            self.doubt_all("the connection was lost before the message was confirmed");
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
            while self.window.room() > 0 && !link.is_blocked() {
                let Some(handed) = self.waiting.front() else { break };
                match &handed.outgoing.exchange {
                    Some(exchange) if !declared.contains(&exchange.name) => {
                        let exchange = exchange.clone();
                        if !self.declare(link, &exchange, declared).await {
                            return Ended::LinkLost;
                        }
                    }
                    _ => self.send_next(&channel),
                }
            }
            self.count_waiting();
            if !receiving && self.waiting.is_empty() && self.window.is_empty() {
                return Ended::Drained;
            }
            let room = self.options.confirm_window.saturating_sub(self.waiting.len());
            let next_due = self.next_due();
            tokio::select! {
                biased;
                () = link.lost().cancelled() => return Ended::LinkLost,
                batch = poll_fn(|cx| self.window.poll_settled(cx)) => {
                    if !self.settle(batch) {
                        return Ended::ChannelLost;
                    }
                }
                () = tokio::time::sleep_until(next_due) => {
                    self.refuse_late(Some(link));
                    self.abandon_late();
                    if self.abandoned * 2 > self.options.confirm_window {
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

    /// Sends the next message.
    fn send_next(&mut self, channel: &Arc<Channel>) {
        let Some(handed) = self.waiting.pop_front() else { return };
        let Handed { outgoing, answer, deadline: _ } = handed;
        let Outgoing { exchange: _, name, routing_key, mandatory, properties, body, id } = outgoing;
        let channel = Arc::clone(channel);
        let options = BasicPublishOptions { mandatory, immediate: false };
        // Not before the window polls it is anything sent: then lapin numbers the message and queues its frames in one go.
        let confirming =
            async move { channel.basic_publish(name, routing_key, options, &body, properties).await?.await };
        let serial = self.next_serial;
        self.next_serial += 1;
        let sent = Sent { answer: Some(answer), id, serial };
        if let Ok(index) = self.window.send(sent, Box::pin(confirming)) {
            self.due.push_back((from_now(self.options.confirm_timeout), index, serial));
            self.counters.unconfirmed.store(self.window.len(), Ordering::Relaxed);
        }
    }

    /// Answers for what the broker answered. Whether the channel still works.
    fn settle(&mut self, batch: Vec<(Sent, lapin::Result<Confirmation>)>) -> bool {
        let mut works = true;
        let (mut confirmed, mut on_refusals) = (Vec::with_capacity(batch.len()), Vec::new());
        for (sent, outcome) in batch {
            if sent.answer.is_none() {
                self.abandoned = self.abandoned.saturating_sub(1);
            }
            match outcome {
                Ok(Confirmation::Ack(returned)) => {
                    confirmed.push(Confirmed {
                        id: sent.id.clone(),
                        entry: sent,
                        returned: returned.map(id_of),
                    });
                }
                Ok(Confirmation::Nack(returned)) => {
                    on_refusals.push(returned.map(id_of));
                    count(&self.counters.refused);
                    let context =
                        format!("the broker refused message {}; a queue that it goes to is full", sent.id);
                    fail(sent, BusErrorKind::QueueFull, &context);
                }
                Ok(Confirmation::NotRequested) => {
                    works = false;
                    fail(sent, BusErrorKind::Backend, "the channel confirms nothing");
                }
                Err(error) => {
                    works = false;
                    fail(sent, BusErrorKind::Disconnected, &super::error::told(&error));
                }
            }
        }
        for (sent, verdict) in self.judge.judge(confirmed, on_refusals, self.window.len()) {
            match verdict {
                Verdict::Taken => {
                    count(&self.counters.confirmed);
                    if let Some(mut answer) = sent.answer {
                        answer.accept();
                    }
                }
                Verdict::Returned => {
                    count(&self.counters.returned);
                    let context =
                        format!("message {} was returned: no queue is bound for its topic", sent.id);
                    fail(sent, BusErrorKind::Unroutable, &context);
                }
            }
        }
        self.counters.unconfirmed.store(self.window.len(), Ordering::Relaxed);
        works
    }

    fn count_waiting(&self) {
        self.counters.waiting.store(self.waiting.len(), Ordering::Relaxed);
    }

    fn next_due(&self) -> Instant {
        let to_send = self.waiting.front().map(|handed| handed.deadline);
        let to_confirm = self.due.front().map(|(due, ..)| *due);
        to_send.into_iter().chain(to_confirm).min().unwrap_or_else(|| from_now(Duration::MAX))
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

    /// Tells the publishers of what was not confirmed in time. The slots stay: a return of another may yet ride on a late confirmation.
    fn abandon_late(&mut self) {
        let now = Instant::now();
        while self.due.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, index, serial)) = self.due.pop_front() else { return };
            if let Some(sent) = self.window.get_mut(index)
                && sent.serial == serial
                && let Some(answer) = sent.answer.take()
            {
                self.abandoned += 1;
                count(&self.counters.unanswered);
                let context = format!("message {} was not confirmed in time", sent.id);
                answer.fail(BusErrorKind::ConfirmLost, &context);
            }
        }
    }

    /// Nobody will answer for what was sent.
    fn doubt_all(&mut self, context: &str) {
        for sent in self.window.take_all().into_iter().chain(self.judge.take_open()) {
            fail(sent, BusErrorKind::Disconnected, context);
        }
        self.due.clear();
        self.abandoned = 0;
        self.counters.unconfirmed.store(0, Ordering::Relaxed);
    }
}

fn fail(sent: Sent, kind: BusErrorKind, context: &str) {
    if let Some(answer) = sent.answer {
        answer.fail(kind, context);
    }
}

fn id_of(returned: BasicReturnMessage) -> String {
    returned.delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default()
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
