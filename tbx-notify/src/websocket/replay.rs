//! Catching up with topics that were added with a position, beside the rest.

use std::sync::Arc;
use std::task::{Context, Poll};

use tbx_bus::TopicPattern;

use super::subscriptions::Subscriptions;
use crate::hub::{Gap, Next, Reader};
use crate::{Entry, Position, TopicSet};

/// What a client asked for from a position on, and has not had. The rest waits for it, so that nothing is overtaken; there is one at a time, so that
/// positions only rise while it runs.
pub(super) struct Replay {
    reader: Reader,
    wanted: Subscriptions,
    /// What the client has had, or has from the rest.
    had: Vec<Had>,
    /// The place that the rest waits at.
    through: u64,
}

/// A stretch of a pattern: what lies after one offset and up to another.
struct Had {
    pattern: TopicPattern,
    after: u64,
    through: u64,
}

/// What a replay gives.
pub(super) enum Step {
    Entry(Arc<Entry>),
    Gap(Gap),
    /// The reader has to leave.
    Ended(Next),
    /// It has caught up with the rest.
    Done,
}

impl Replay {
    /// A replay of `wanted` for a client that had `subscriptions` up to `here`.
    pub(super) fn new(
        reader: Reader,
        wanted: Subscriptions,
        subscriptions: &Subscriptions,
        here: Position,
    ) -> Self {
        let through = here.offset;
        let had = subscriptions
            .stretches(through)
            .map(|(pattern, after)| Had { pattern, after, through })
            .collect();
        Self { reader, wanted, had, through }
    }

    /// Adds patterns from an offset on, and begins again with the earliest of what is missing. `reader` makes a reader of topics from an offset on.
    pub(super) fn widen(
        self,
        patterns: &[TopicPattern],
        after: u64,
        reader: impl FnOnce(TopicSet, u64) -> Reader,
    ) -> Self {
        let Self { reader: old, mut wanted, mut had, through } = self;
        let reached = old.position().offset;
        had.extend(wanted.stretches(reached).map(|(pattern, after)| Had {
            pattern,
            after,
            through: reached,
        }));
        wanted.add(patterns.iter().cloned(), after);
        // No more patterns than the connection has, which were counted.
        let topics = wanted.topics().unwrap_or_else(|_| TopicSet::none());
        Self { reader: reader(topics, reached.min(after)), wanted, had, through }
    }

    /// Takes patterns out. `None` when nothing is left.
    pub(super) fn narrow(mut self, patterns: &[TopicPattern]) -> Option<Self> {
        self.wanted.remove(patterns);
        let topics = self.wanted.topics().ok().filter(|topics| !topics.patterns().is_empty())?;
        self.reader.change_topics(topics);
        Some(self)
    }

    /// Where it is.
    pub(super) fn position(&self) -> Position {
        self.reader.position()
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            return Poll::Ready(match self.reader.poll_next(cx) {
                Poll::Ready(Next::Entry(entry)) if entry.offset() > self.through => Step::Done,
                Poll::Ready(Next::Entry(entry)) => {
                    if !self.wanted.want(&entry) || self.had.iter().any(|had| had.holds(&entry)) {
                        continue;
                    }
                    Step::Entry(entry)
                }
                Poll::Ready(Next::Gap(gap)) => Step::Gap(gap),
                Poll::Ready(end @ (Next::TooSlow | Next::Closing)) => Step::Ended(end),
                Poll::Pending if self.reader.checkpoint().offset >= self.through => Step::Done,
                Poll::Pending => return Poll::Pending,
            });
        }
    }
}

impl Had {
    fn holds(&self, entry: &Entry) -> bool {
        let offset = entry.offset();
        self.after < offset && offset <= self.through && self.pattern.matches(entry.notification().topic())
    }
}
