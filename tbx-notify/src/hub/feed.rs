//! The latest entries of one pattern, and the readers that wait for more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tbx_bus::TopicPattern;

use crate::Entry;

/// Shared by all readers of one pattern.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) pattern: TopicPattern,
    state: Mutex<FeedState>,
}

#[derive(Debug)]
struct FeedState {
    /// Every matching entry after `complete_after`, up to the head of the hub, with the bytes that went through the feed before it.
    entries: VecDeque<(u64, Arc<Entry>)>,
    complete_after: u64,
    /// How many bytes went through.
    bytes: u64,
    readers: Vec<Option<Arc<WakeCell>>>,
    vacant: Vec<usize>,
}

/// What follows a place in a feed.
#[derive(Debug)]
pub(super) enum NextInFeed {
    /// This entry, and the bytes that went through the feed before it.
    Entry(Arc<Entry>, u64),
    /// Nothing yet, and the bytes that went through.
    Nothing(u64),
    /// Some of it is only in the history.
    Forgotten,
}

/// Where a reader leaves its waker, and is told to leave.
#[derive(Debug, Default)]
pub(super) struct WakeCell {
    waker: Mutex<Option<Waker>>,
    leaves: AtomicBool,
}

impl WakeCell {
    /// Tells the reader to leave.
    pub(super) fn dismiss(&self) {
        self.leaves.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.leaves.load(Ordering::Acquire)
    }

    /// Leaves a waker; look for entries after this, not before.
    pub(super) fn register(&self, waker: &Waker) {
        let mut cell = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *cell {
            Some(known) if known.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }

    pub(super) fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Feed {
    /// A feed that knows everything after `complete_after`, which is nothing yet.
    pub(super) fn new(pattern: TopicPattern, complete_after: u64) -> Self {
        let state = FeedState {
            entries: VecDeque::new(),
            complete_after,
            bytes: 0,
            readers: Vec::new(),
            vacant: Vec::new(),
        };
        Self { pattern, state: Mutex::new(state) }
    }

    /// Adds an entry. Readers are woken once every feed has it; see [`wake_all`](Self::wake_all).
    pub(super) fn push(&self, entry: &Arc<Entry>) {
        let mut state = self.lock();
        let before = state.bytes;
        state.entries.push_back((before, Arc::clone(entry)));
        state.bytes += entry.size() as u64;
    }

    /// Nothing is known up to `offset`, because it was trimmed before it got here.
    pub(super) fn skip_to(&self, offset: u64) {
        let mut state = self.lock();
        state.entries.clear();
        state.complete_after = state.complete_after.max(offset);
    }

    /// Forgets entries up to `offset`; who still needs them finds them in the history.
    pub(super) fn forget(&self, offset: u64) {
        let mut state = self.lock();
        while state.entries.front().is_some_and(|(_, oldest)| oldest.offset() <= offset) {
            state.entries.pop_front();
            state.complete_after = state.complete_after.max(offset);
        }
    }

    pub(super) fn complete_after(&self) -> u64 {
        self.lock().complete_after
    }

    /// What follows `offset`, up to the offset `head`. One look under one lock: between two, an entry could be forgotten.
    pub(super) fn next_after(&self, offset: u64, head: u64) -> NextInFeed {
        let state = self.lock();
        if offset < state.complete_after {
            return NextInFeed::Forgotten;
        }
        let index = state.entries.partition_point(|(_, entry)| entry.offset() <= offset);
        match state.entries.get(index) {
            Some((before, entry)) if entry.offset() <= head => NextInFeed::Entry(Arc::clone(entry), *before),
            Some((before, _)) => NextInFeed::Nothing(*before),
            None => NextInFeed::Nothing(state.bytes),
        }
    }

    /// How many bytes went through.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// How many readers there are.
    pub(super) fn readers(&self) -> usize {
        let state = self.lock();
        state.readers.len() - state.vacant.len()
    }

    /// The cells of all readers.
    pub(super) fn cells(&self) -> Vec<Arc<WakeCell>> {
        self.lock().readers.iter().flatten().cloned().collect()
    }

    pub(super) fn join(&self, cell: Arc<WakeCell>) -> usize {
        let mut state = self.lock();
        match state.vacant.pop() {
            Some(place) => {
                state.readers[place] = Some(cell);
                place
            }
            None => {
                state.readers.push(Some(cell));
                state.readers.len() - 1
            }
        }
    }

    /// Leaves. Tells whether nobody is left.
    pub(super) fn leave(&self, place: usize) -> bool {
        let mut state = self.lock();
        if let Some(cell) = state.readers.get_mut(place)
            && cell.take().is_some()
        {
            state.vacant.push(place);
        }
        state.vacant.len() == state.readers.len()
    }

    pub(super) fn wake_all(&self) {
        for reader in self.lock().readers.iter().flatten() {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tbx_bus::{MessageId, Topic};

    use super::*;
    use crate::{Epoch, EventName, Notification, Position};

    fn feed_with(offsets: &[u64]) -> Feed {
        let feed = Feed::new(TopicPattern::everything(), 0);
        for offset in offsets {
            let (topic, event) = (Topic::new("a").unwrap(), EventName::new("Happened").unwrap());
            let notification = Notification::new(MessageId::generate(), topic, event, "{}").unwrap();
            feed.push(&Arc::new(Entry::new(Position::new(Epoch::new(1), *offset), notification)));
        }
        feed
    }

    fn next(feed: &Feed, offset: u64, head: u64) -> Result<Option<u64>, ()> {
        match feed.next_after(offset, head) {
            NextInFeed::Entry(entry, _) => Ok(Some(entry.offset())),
            NextInFeed::Nothing(_) => Ok(None),
            NextInFeed::Forgotten => Err(()),
        }
    }

    /// An older entry may still be on its way into another feed of the same reader.
    #[test]
    fn an_entry_beyond_the_head_is_not_there_yet() {
        let feed = feed_with(&[3, 5]);
        assert_eq!(next(&feed, 0, 2), Ok(None));
        assert_eq!(next(&feed, 0, 4), Ok(Some(3)));
        assert_eq!(next(&feed, 3, 4), Ok(None));
        assert_eq!(next(&feed, 3, 5), Ok(Some(5)));
    }

    #[test]
    fn a_forgotten_entry_is_never_jumped_over() {
        let feed = feed_with(&[3, 5, 6]);
        feed.forget(5);
        assert_eq!(next(&feed, 4, 6), Err(()));
        assert_eq!(next(&feed, 5, 6), Ok(Some(6)));
        feed.skip_to(9);
        assert_eq!(next(&feed, 6, 9), Err(()));
        assert_eq!(next(&feed, 9, 9), Ok(None));
    }

    #[test]
    fn the_bytes_before_an_entry_tell_how_far_behind_a_reader_is() {
        let feed = feed_with(&[3, 5, 6]);
        let before = |offset, head| match feed.next_after(offset, head) {
            NextInFeed::Entry(_, before) | NextInFeed::Nothing(before) => before,
            NextInFeed::Forgotten => panic!("forgotten"),
        };
        let one = feed.bytes() / 3;
        assert_eq!((before(0, 6), before(3, 6), before(5, 5), before(6, 6)), (0, one, 2 * one, 3 * one));
    }
}
