//! What the hub keeps in memory: every feed, and the order in which their entries are forgotten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tbx_bus::TopicPattern;

use super::feed::Feed;
use super::limits::HubOptions;
use super::pattern_tree::PatternTree;
use crate::Entry;

/// About what a place in a feed takes.
const PLACE: usize = 32;

/// The feeds of all patterns, and the latest entries in order.
#[derive(Debug)]
pub(super) struct Window {
    feeds: PatternTree<Arc<Feed>>,
    /// The entries that some feed holds, with the feeds that do.
    held: VecDeque<(Arc<Entry>, Vec<Arc<Feed>>)>,
    bytes: usize,
    /// Everything up to here is in the feeds. Readers load it before they look into their feeds, and take nothing beyond it.
    head: Arc<AtomicU64>,
    max_entries: usize,
    max_bytes: usize,
}

impl Window {
    pub(super) fn new(head: Arc<AtomicU64>, options: &HubOptions) -> Self {
        Self {
            feeds: PatternTree::default(),
            held: VecDeque::new(),
            bytes: 0,
            head,
            max_entries: options.window_entries,
            max_bytes: options.window_bytes,
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Gives an entry to the feeds that match, and forgets the oldest that no longer fit.
    ///
    /// The head moves when every feed has the entry, and the readers are woken after that: a reader of several patterns never takes an entry while
    /// an older one is still on its way into another of its feeds.
    pub(super) fn push(&mut self, entry: &Arc<Entry>) {
        let head = self.head();
        if entry.offset() <= head {
            return;
        }
        if entry.offset() > head + 1 {
            // Offsets have no holes: what lies between was trimmed before it was read here.
            self.skip_to(entry.offset() - 1);
        }
        let mut matching: Vec<Arc<Feed>> = Vec::new();
        self.feeds.matching(entry.notification().topic(), &mut |feed| matching.push(Arc::clone(feed)));
        for feed in &matching {
            feed.push(entry);
        }
        self.head.store(entry.offset(), Ordering::Release);
        for feed in &matching {
            feed.wake_all();
        }
        if matching.is_empty() {
            return;
        }
        self.bytes += charge(entry, &matching);
        self.held.push_back((Arc::clone(entry), matching));
        while self.held.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((oldest, feeds)) = self.held.pop_front() else { break };
            self.bytes -= charge(&oldest, &feeds);
            for feed in feeds {
                feed.forget(oldest.offset());
            }
        }
    }

    /// Goes on behind `offset`: what lies before it was trimmed unseen, and readers who wanted it are told by the history.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.held.clear();
        self.bytes = 0;
        self.feeds.each(&mut |feed| feed.skip_to(offset));
        self.head.store(offset, Ordering::Release);
        self.feeds.each(&mut |feed| feed.wake_all());
    }

    /// The feed of `pattern`; a new one knows what comes from now on.
    pub(super) fn feed(&mut self, pattern: &TopicPattern) -> Arc<Feed> {
        let head = self.head();
        Arc::clone(self.feeds.get_or_insert_with(pattern, || Arc::new(Feed::new(pattern.clone(), head))))
    }

    /// All feeds.
    pub(super) fn feeds(&self) -> Vec<Arc<Feed>> {
        let mut feeds = Vec::new();
        self.feeds.each(&mut |feed| feeds.push(Arc::clone(feed)));
        feeds
    }

    pub(super) fn remove(&mut self, pattern: &TopicPattern) {
        self.feeds.remove(pattern);
    }
}

/// What an entry costs: itself, and a place in each feed that has it. Clients choose how many patterns match.
fn charge(entry: &Entry, feeds: &[Arc<Feed>]) -> usize {
    entry.size() + feeds.len() * PLACE
}
