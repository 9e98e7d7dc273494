//! What the hub keeps in memory: every feed, and the order in which their entries are forgotten.

use std::collections::VecDeque;
use std::sync::Arc;

use tbx_bus::TopicPattern;

use super::feed::Feed;
use super::limits::HubOptions;
use super::pattern_tree::PatternTree;
use crate::Entry;

/// The feeds of all patterns, and the latest entries in order.
#[derive(Debug)]
pub(super) struct Window {
    feeds: PatternTree<Arc<Feed>>,
    /// The entries that some feed holds, with the feeds that do.
    held: VecDeque<(Arc<Entry>, Vec<Arc<Feed>>)>,
    bytes: usize,
    /// Everything up to here was given to the feeds.
    head: u64,
    max_entries: usize,
    max_bytes: usize,
}

impl Window {
    pub(super) fn new(head: u64, options: &HubOptions) -> Self {
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
        self.head
    }

    /// Gives an entry to the feeds that match, and forgets the oldest that no longer fit.
    pub(super) fn push(&mut self, entry: &Arc<Entry>) {
        if entry.offset() <= self.head {
            return;
        }
        let mut matching: Vec<Arc<Feed>> = Vec::new();
        self.feeds.matching(entry.notification().topic(), &mut |feed| {
            // A pattern with several `#` is found more than once; such patterns are rare and their finds are neighbours.
            if !matching.iter().any(|known| Arc::ptr_eq(known, feed)) {
                matching.push(Arc::clone(feed));
            }
        });
        self.head = entry.offset();
        for feed in &matching {
            feed.push(entry);
        }
        if matching.is_empty() {
            return;
        }
        self.bytes += entry.size();
        self.held.push_back((Arc::clone(entry), matching));
        while self.held.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((oldest, feeds)) = self.held.pop_front() else { break };
            self.bytes -= oldest.size();
            for feed in feeds {
                feed.forget(oldest.offset());
            }
        }
    }

    /// The feed of `pattern`; a new one knows what comes from now on.
    pub(super) fn feed(&mut self, pattern: &TopicPattern) -> Arc<Feed> {
        let head = self.head;
        Arc::clone(self.feeds.get_or_insert_with(pattern, || Arc::new(Feed::new(pattern.clone(), head))))
    }

    pub(super) fn remove(&mut self, pattern: &TopicPattern) {
        self.feeds.remove(pattern);
    }
}
