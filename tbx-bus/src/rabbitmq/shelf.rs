//! What a consumer has received and its [`Deliveries`](crate::Deliveries) have not taken yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{BusError, BusErrorKind, Message};

/// One message that the broker lent us.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Its number on the channel, in the order of delivery.
    pub(super) tag: u64,
    pub(super) message: Arc<Message>,
    pub(super) attempt: u32,
    pub(super) redelivered: bool,
    /// By which it came to its partition.
    pub(super) slot: Option<Box<str>>,
}

/// Why nothing comes any more.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    /// The connection, the channel or the queue is gone.
    Lost(String),
    /// The bus is closed.
    Closed,
}

impl Ended {
    /// What `next` answers.
    pub(super) fn answer<T>(&self, context: &str) -> Result<Option<T>, BusError> {
        match self {
            Self::Lost(why) => Err(BusError::new(BusErrorKind::Disconnected, format!("{context}: {why}"))),
            Self::Closed => Ok(None),
        }
    }
}

/// Between the task that receives from one queue and the one that handles. The broker bounds it by the prefetch.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Held for single steps.
    content: Mutex<Content>,
    /// Of all shelves of one consumer.
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Content {
    ready: BTreeMap<u64, Item>,
    lent: usize,
    shut: bool,
    ended: Option<Ended>,
}

impl Shelf {
    pub(super) fn new(wake: &Arc<Notify>) -> Self {
        Self { content: Mutex::default(), wake: Arc::clone(wake) }
    }

    /// Puts one where it belongs: what was taken and given back stands before what came after it.
    pub(super) fn put(&self, item: Item) {
        self.lock().ready.insert(item.tag, item);
        self.wake.notify_waiters();
    }

    /// Lends the next, if there is one and `has_room` says that it may be lent.
    pub(super) fn take(&self, has_room: bool) -> Result<Option<Item>, Ended> {
        let mut content = self.lock();
        if let Some(ended) = &content.ended {
            return Err(ended.clone());
        }
        if !has_room || content.shut {
            return Ok(None);
        }
        let item = content.ready.pop_first().map(|(_, item)| item);
        content.lent += usize::from(item.is_some());
        Ok(item)
    }

    /// One that was lent is in the hands of the task again.
    pub(super) fn returned(&self) {
        let mut content = self.lock();
        content.lent = content.lent.saturating_sub(1);
        drop(content);
        self.wake.notify_waiters();
    }

    /// Lends nothing more, or again.
    pub(super) fn set_shut(&self, shut: bool) {
        self.lock().shut = shut;
        self.wake.notify_waiters();
    }

    pub(super) fn lent(&self) -> usize {
        self.lock().lent
    }

    /// Takes what nobody has taken, in order.
    pub(super) fn clear(&self) -> Vec<Item> {
        std::mem::take(&mut self.lock().ready).into_values().collect()
    }

    pub(super) fn end(&self, ended: Ended) {
        self.lock().ended.get_or_insert(ended);
        self.wake.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
