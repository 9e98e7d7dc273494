//! The history in memory: the reference semantics.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use tbx_bus::{MessageId, Topic};
use tokio::sync::watch;

use super::contract::{Appended, Bounds, History, HistoryError, Matching, Retention};
use super::index::TopicIndex;
use crate::{Entry, Epoch, Notification, Position, TopicSet};

/// A history that ends with its process.
pub struct MemoryHistory {
    epoch: Epoch,
    retention: Retention,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Everything that changes; held for single steps.
    log: Mutex<Log>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<(SystemTime, Arc<Entry>)>,
    index: TopicIndex,
    ids: HashMap<MessageId, u64>,
    newest: u64,
}

impl MemoryHistory {
    /// An empty history.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        Self {
            epoch: Epoch::generate(),
            retention,
            clock: Arc::new(SystemTime::now),
            log: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// Takes the time from `clock`, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryHistory {
    fn default() -> Self {
        Self::new(Retention::default())
    }
}

impl Log {
    fn oldest(&self) -> u64 {
        self.entries.front().map_or(self.newest + 1, |(_, entry)| entry.offset())
    }

    fn get(&self, offset: u64) -> Option<&Arc<Entry>> {
        // Offsets are without holes, so the place follows from the number.
        let index = usize::try_from(offset.checked_sub(self.oldest())?).ok()?;
        self.entries.get(index).map(|(_, entry)| entry)
    }

    fn trim(&mut self, retention: &Retention, now: SystemTime) {
        while let Some((appended, oldest)) = self.entries.front() {
            let too_many = self.entries.len() as u64 > retention.max_count;
            let too_old = now.duration_since(*appended).is_ok_and(|age| age > retention.max_age);
            if !too_many && !too_old {
                break;
            }
            self.index.trim(oldest.notification().topic(), oldest.offset());
            self.ids.remove(oldest.notification().id());
            self.entries.pop_front();
        }
        self.index.bound();
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn append(&self, notification: Notification) -> Result<Appended, HistoryError> {
        let now = (self.clock)();
        let mut log = self.lock();
        if let Some(offset) = log.ids.get(notification.id()) {
            return Ok(Appended { position: Position::new(self.epoch, *offset), is_new: false });
        }
        let offset = log.newest + 1;
        let position = Position::new(self.epoch, offset);
        log.newest = offset;
        log.ids.insert(notification.id().clone(), offset);
        log.index.add(notification.topic(), offset);
        log.entries.push_back((now, Arc::new(Entry::new(position, notification))));
        log.trim(&self.retention, now);
        drop(log);
        self.newest.send_if_modified(|newest| {
            let grows = offset > *newest;
            *newest = offset.max(*newest);
            grows
        });
        Ok(Appended { position, is_new: true })
    }

    fn bounds(&self) -> Bounds {
        let log = self.lock();
        Bounds { epoch: self.epoch, oldest: log.oldest(), newest: log.newest }
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn position_at(&self, offset: u64) -> Position {
        Position::new(self.epoch, offset)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, HistoryError> {
        let log = self.lock();
        let start = usize::try_from((after + 1).saturating_sub(log.oldest())).unwrap_or(usize::MAX);
        Ok(log.entries.iter().skip(start).take(limit).map(|(_, entry)| Arc::clone(entry)).collect())
    }

    async fn read_matching(
        &self,
        topics: &TopicSet,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Matching, HistoryError> {
        let log = self.lock();
        let offsets = log.index.find(topics, after, through, limit);
        let entries = offsets.into_iter().filter_map(|offset| log.get(offset).cloned()).collect();
        Ok(Matching { entries, some_trimmed: log.index.has_trimmed(topics, after) })
    }

    fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        let now = (self.clock)();
        let mut log = self.lock();
        log.trim(&self.retention, now);
        log.index.has_trimmed(topics, after)
    }

    fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.lock().index.newest_of(topic)
    }

    async fn check(&self) -> Result<(), HistoryError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHistory").field("bounds", &self.bounds()).finish_non_exhaustive()
    }
}
