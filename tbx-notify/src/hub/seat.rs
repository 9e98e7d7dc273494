//! A reader's place in one feed.

use std::sync::Arc;

use super::feed::{Feed, NextInFeed, WakeCell};
use crate::Entry;

/// A reader's place in one feed, and how much of it the reader has seen.
#[derive(Debug)]
pub(super) struct Seat {
    feed: Arc<Feed>,
    place: usize,
    /// How many bytes had gone through the feed before what the reader looked at last.
    seen: u64,
}

impl Seat {
    pub(super) fn take(feed: Arc<Feed>, cell: Arc<WakeCell>) -> Self {
        let (seen, place) = (feed.bytes(), feed.join(cell));
        Self { feed, place, seen }
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Leaves the feed. Tells whether nobody is left.
    pub(super) fn leave(&self) -> bool {
        self.feed.leave(self.place)
    }

    pub(super) fn next_after(&mut self, offset: u64, head: u64) -> NextInFeed {
        let next = self.feed.next_after(offset, head);
        if let NextInFeed::Entry(_, before) | NextInFeed::Nothing(before) = next {
            self.seen = before;
        }
        next
    }

    pub(super) fn complete_after(&self) -> u64 {
        self.feed.complete_after()
    }

    /// How many bytes went through the feed since the reader looked into it.
    pub(super) fn behind(&self) -> u64 {
        self.feed.bytes().saturating_sub(self.seen)
    }

    /// Counts an entry that the reader had from the history.
    pub(super) fn note(&mut self, entry: &Entry) {
        if self.feed.pattern.matches(entry.notification().topic()) {
            self.seen += entry.size() as u64;
        }
    }

    /// Counts anew from here.
    pub(super) fn forget_lag(&mut self) {
        self.seen = self.feed.bytes();
    }
}
