//! What was sent and is not confirmed yet, and what its publishers are told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};
use tokio::time::Instant;

use super::outbox::{Handed, Outgoing};
use super::state::{Counters, count};
use super::suspects::Suspects;
use super::verdict::{Confirmed, Judge, Verdict};
use super::window::Window;
use super::{RabbitOptions, error};
use crate::publisher::ReceiptSender;
use crate::time::from_now;
use crate::{BusErrorKind, MessageId};

/// The messages in doubt, as many as the window has room for.
pub(super) struct Unconfirmed {
    size: usize,
    timeout: Duration,
    counters: Arc<Counters>,
    window: Window<Sent>,
    judge: Judge<Sent>,
    /// When each sent message must be confirmed, in the order sent.
    due: VecDeque<(Instant, usize, u64)>,
    next_serial: u64,
    /// Slots whose publisher was told already. The broker may yet answer for them.
    abandoned: usize,
    suspects: Suspects,
    /// Those for which the channel ended before the broker answered, and how it ended.
    doubted: Vec<Sent>,
    end: Option<lapin::Error>,
}

/// One message in the window.
#[derive(Debug)]
pub(super) struct Sent {
    /// `None` once its publisher was told that no confirmation came.
    answer: Option<ReceiptSender>,
    id: MessageId,
    serial: u64,
}

/// A message, and what lapin says about it.
type Answered = (Sent, lapin::Result<Confirmation>);

impl Unconfirmed {
    pub(super) fn new(options: &RabbitOptions, counters: Arc<Counters>) -> Self {
        Self {
            size: options.confirm_window,
            timeout: options.confirm_timeout,
            counters,
            window: Window::new(options.confirm_window),
            judge: Judge::new(),
            due: VecDeque::new(),
            next_serial: 0,
            abandoned: 0,
            suspects: Suspects::default(),
            doubted: Vec::new(),
            end: None,
        }
    }

    /// Whether the next message may be sent now.
    pub(super) fn has_room_for(&self, id: &MessageId) -> bool {
        self.window.room() > 0 && (self.window.is_empty() || self.suspects.lets_join(id))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Whether the next message waits, to be alone, for nothing but answers that came too late for everybody. A fresh channel has none of them.
    pub(super) fn waits_in_vain(&self, id: &MessageId) -> bool {
        self.abandoned > 0 && self.abandoned == self.window.len() && !self.suspects.lets_join(id)
    }

    /// Whether the broker has left so much unanswered that the connection is of no use.
    pub(super) fn is_hopeless(&self) -> bool {
        self.abandoned * 2 > self.size
    }

    /// When the first that is not confirmed by then is given up.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, ..)| *due)
    }

    /// Waits until at least one is answered for; goes to [`settle`](Self::settle).
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Answered>> {
        self.window.poll_settled(cx)
    }

    /// Sends a message, for which there is room.
    pub(super) fn send(&mut self, channel: &Arc<Channel>, handed: Handed) {
        let Handed { outgoing, answer, deadline: _ } = handed;
        let Outgoing { exchange: _, name, routing_key, mandatory, properties, body, id } = outgoing;
        let channel = Arc::clone(channel);
        let options = BasicPublishOptions { mandatory, immediate: false };
        // Not before the window polls it is anything sent: then lapin numbers the message and queues its frames in one go.
        let confirming =
            async move { channel.basic_publish(name, routing_key, options, &body, properties).await?.await };
        let serial = self.next_serial;
        self.next_serial += 1;
        self.suspects.sent(&id);
        let sent = Sent { answer: Some(answer), id, serial };
        if self.due.len() >= 2 * self.size {
            // Most of them are settled long since.
            let window = &mut self.window;
            self.due.retain(|(_, index, serial)| {
                window.get_mut(*index).is_some_and(|sent| sent.serial == *serial)
            });
        }
        if let Ok(index) = self.window.send(sent, Box::pin(confirming)) {
            self.due.push_back((from_now(self.timeout), index, serial));
            self.counters.unconfirmed.store(self.window.len(), Ordering::Relaxed);
        }
    }

    /// Answers for what the broker answered. Whether the channel still works.
    pub(super) fn settle(&mut self, batch: Vec<Answered>) -> bool {
        let mut works = true;
        let (mut confirmed, mut on_refusals) = (Vec::with_capacity(batch.len()), Vec::new());
        for (sent, outcome) in batch {
            if sent.answer.is_none() {
                self.abandoned = self.abandoned.saturating_sub(1);
            }
            if outcome.is_ok() {
                self.suspects.clear(&sent.id);
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
                    self.doubted.push(sent);
                    if self.end.as_ref().is_none_or(|end| !error::is_refusal(end)) {
                        self.end = Some(error);
                    }
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

    /// Tells the publishers of what was not confirmed in time. The slots stay: a return of another may yet ride on a late confirmation.
    pub(super) fn abandon_late(&mut self) {
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

    /// Nobody will answer for what was sent. If the broker refused one of them, that is the one that was alone, or they will be. Whether it is known.
    pub(super) fn doubt_all(&mut self, context: &str) -> bool {
        let end = self.end.take();
        let mut doubted = std::mem::take(&mut self.doubted);
        doubted.extend(self.window.take_all());
        let context = match &end {
            Some(end) => format!("{context}: {}", error::told(end)),
            None => context.to_owned(),
        };
        let refusal = end.filter(error::is_refusal);
        if refusal.is_some() {
            self.suspects.add(doubted.iter().map(|sent| sent.id.clone()));
        }
        let is_known = refusal.is_some() && doubted.len() == 1;
        if !doubted.is_empty() {
            tracing::warn!(why = context, in_doubt = doubted.len(), is_known, "messages are not confirmed");
        }
        for sent in doubted {
            match &refusal {
                Some(refusal) if is_known => {
                    count(&self.counters.refused);
                    let (kind, context) = error::of_refusal(refusal, &sent.id);
                    fail(sent, kind, &context);
                }
                _ => fail(sent, BusErrorKind::Disconnected, &context),
            }
        }
        for sent in self.judge.take_open() {
            fail(sent, BusErrorKind::Disconnected, &context);
        }
        self.due.clear();
        self.abandoned = 0;
        self.counters.unconfirmed.store(0, Ordering::Relaxed);
        is_known
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
