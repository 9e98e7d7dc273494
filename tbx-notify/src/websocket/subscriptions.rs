//! What one connection wants, and from where on.

use tbx_bus::TopicPattern;

use crate::topics::InvalidTopicSet;
use crate::{Entry, TopicSet};

/// The patterns of a connection, each with the offset that it begins after.
#[derive(Debug, Default, Clone)]
pub(super) struct Subscriptions {
    all: Vec<(TopicPattern, u64)>,
    /// No pattern begins later: beyond it, every entry of the patterns is wanted.
    latest_start: u64,
}

impl Subscriptions {
    pub(super) fn new(topics: &TopicSet, after: u64) -> Self {
        let mut new = Self::default();
        new.add(topics.patterns().iter().cloned(), after);
        new
    }

    /// Adds patterns. One that is there begins where it did, or earlier.
    pub(super) fn add(&mut self, patterns: impl IntoIterator<Item = TopicPattern>, after: u64) {
        for pattern in patterns {
            match self.all.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, begins)) => *begins = after.min(*begins),
                None => self.all.push((pattern, after)),
            }
        }
        self.latest_start = self.all.iter().map(|(_, begins)| *begins).max().unwrap_or_default();
    }

    pub(super) fn remove(&mut self, patterns: &[TopicPattern]) {
        self.all.retain(|(pattern, _)| !patterns.contains(pattern));
    }

    /// Whether an entry of one of the patterns lies where it is wanted.
    pub(super) fn want(&self, entry: &Entry) -> bool {
        let (offset, topic) = (entry.offset(), entry.notification().topic());
        let begun = |(pattern, begins): &(TopicPattern, u64)| *begins < offset && pattern.matches(topic);
        self.latest_start < offset || self.all.iter().any(begun)
    }

    /// Each pattern with the offset that it begins after, where that lies before `through`.
    pub(super) fn stretches(&self, through: u64) -> impl Iterator<Item = (TopicPattern, u64)> {
        self.all.iter().filter(move |(_, begins)| *begins < through).cloned()
    }

    pub(super) fn topics(&self) -> Result<TopicSet, InvalidTopicSet> {
        if self.all.is_empty() {
            return Ok(TopicSet::none());
        }
        TopicSet::new(self.all.iter().map(|(pattern, _)| pattern.clone()))
    }
}
