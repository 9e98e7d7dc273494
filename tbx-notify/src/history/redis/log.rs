//! What this process knows of the history without asking.

use std::sync::Arc;

use tbx_bus::{MessageId, Topic};

use super::super::contract::Bounds;
use super::super::index::TopicIndex;
use super::super::recent::Recent;
use super::eras::Eras;
use crate::{Entry, Epoch, Position, TopicSet};

/// Offsets by topic, the latest entries, and where it stands. The one who follows the stream changes it, in the order of the stream.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) index: TopicIndex,
    pub(super) recent: Recent,
    eras: Eras,
    oldest: u64,
    newest: u64,
}

/// Where a process is: what another history would have in its place is told by its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) offset: u64,
    /// Empty when it is not known, because nothing was read since an epoch began or a gap.
    pub(super) id: String,
}

impl Log {
    /// A log of what follows `oldest`, nothing of which is known yet.
    pub(super) fn new(epoch: Epoch, oldest: u64) -> Self {
        Self {
            index: TopicIndex::default(),
            recent: Recent::default(),
            eras: Eras::new(epoch),
            oldest,
            newest: oldest.saturating_sub(1),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { epoch: self.eras.present(), oldest: self.oldest, newest: self.newest }
    }

    pub(super) fn position(&self, offset: u64) -> Position {
        self.eras.position(offset)
    }

    /// Whether the entry at `offset` is known to have this id. Offset 0 is before every entry.
    pub(super) fn has_seen(&self, offset: u64, id: &str) -> bool {
        offset == 0 || self.recent.get(offset).is_some_and(|entry| entry.notification().id().as_str() == id)
    }

    /// Whether an append may be answered: Redis had the entry `id` at `offset` when this log stood at `seen`, and this log has followed to there.
    ///
    /// If not, Redis may have lost it before anybody read it, and something else stands in its place. Whoever appends it again finds out: what is not
    /// lost is known by its id.
    pub(super) fn vouches_for(&self, offset: u64, id: &MessageId, seen: Bounds) -> bool {
        if offset <= seen.newest {
            // Redis had it after this log had passed its place.
            return true;
        }
        if self.bounds().epoch != seen.epoch {
            return false;
        }
        match self.recent.get(offset) {
            Some(entry) => entry.notification().id() == id,
            // Trimmed, perhaps before it could be read. Its id is forgotten: it would be appended again for as long as others trim faster than this
            // log follows. What is kept and only not in memory any more is asked for by its id.
            None => offset < self.oldest,
        }
    }

    /// The newest entry.
    pub(super) fn newest(&self) -> Newest {
        let entry = self.recent.get(self.newest);
        let id = entry.map_or_else(String::new, |entry| entry.notification().id().as_str().to_owned());
        Newest { offset: self.newest, id }
    }

    /// Enters the topic of the next offset.
    pub(super) fn enter(&mut self, offset: u64, topic: &Topic) {
        self.index.add(topic, offset);
        self.newest = offset;
    }

    /// Enters the next entry.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.enter(entry.offset(), entry.notification().topic());
        self.recent.push(entry);
    }

    /// Learns how far others have trimmed. What was trimmed before it got here is left for [`skip`](Self::skip), which knows its topics.
    pub(super) fn trim(&mut self, oldest: u64, forgotten_through: u64) {
        let oldest = oldest.min(self.newest + 1);
        self.index.trim_before(oldest);
        self.oldest = self.oldest.max(oldest);
        self.index.forget_through(forgotten_through);
        self.index.bound();
    }

    /// Goes on after `offset`: what lies before was trimmed before it got here. `trimmed` has the topics of it. How many are remembered is for
    /// [`trim`](Self::trim) to bound, when it is known of which of them something is kept.
    pub(super) fn skip(&mut self, offset: u64, trimmed: &[(Topic, u64)]) {
        self.index.trim_before(u64::MAX);
        self.recent = Recent::default();
        for (topic, through) in trimmed {
            self.index.note_trimmed(topic, *through);
        }
        self.newest = offset;
        self.oldest = offset + 1;
    }

    /// Goes on in a new epoch after `offset`. What was there counts as lost, and whoever still wanted some of it is told so; who had all of it up to
    /// `offset` goes on.
    pub(super) fn begin(&mut self, epoch: Epoch, offset: u64) {
        self.eras.begin(epoch, offset);
        self.index = TopicIndex::default();
        self.index.forget_through(offset);
        if offset > self.newest {
            self.recent = Recent::default();
        }
        self.newest = offset;
        self.oldest = offset + 1;
    }

    /// The entries at these offsets, if all are in memory.
    pub(super) fn in_memory(&self, offsets: &[u64]) -> Option<Vec<Arc<Entry>>> {
        offsets.iter().map(|offset| self.recent.get(*offset).cloned()).collect()
    }

    pub(super) fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        self.index.has_trimmed(topics, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventName, Notification};

    const EPOCH: Epoch = Epoch::new(1);

    fn id(text: &str) -> MessageId {
        MessageId::new(text).unwrap()
    }

    fn push(log: &mut Log, name: &str, body: String) {
        let (topic, event) = (Topic::new("a").unwrap(), EventName::new("Happened").unwrap());
        let notification = Notification::new(id(name), topic, event, body).unwrap();
        log.push(Arc::new(Entry::new(log.position(log.newest + 1), notification)));
    }

    /// A log that has read these.
    fn log(ids: &[&str]) -> Log {
        let mut log = Log::new(EPOCH, 1);
        ids.iter().for_each(|id| push(&mut log, id, String::new()));
        log
    }

    #[test]
    fn an_append_is_known_by_its_id_and_not_by_its_place() {
        let mut log = log(&["first"]);
        let seen = log.bounds();
        push(&mut log, "in-its-place", String::new());
        assert!(log.vouches_for(2, &id("in-its-place"), seen));
        assert!(!log.vouches_for(2, &id("lost"), seen));
        assert!(log.vouches_for(1, &id("known"), seen), "redis has it after it was passed");
    }

    #[test]
    fn what_may_have_been_lost_with_its_epoch_is_appended_again() {
        let mut log = log(&["first"]);
        let seen = log.bounds();
        log.begin(Epoch::new(2), 5);
        assert!(!log.vouches_for(2, &id("second"), seen));
        assert!(log.vouches_for(1, &id("first"), seen));
    }

    #[test]
    fn what_was_trimmed_is_not_appended_for_ever_and_what_is_not_in_memory_is_asked_for_once() {
        let mut log = log(&["first"]);
        let seen = log.bounds();
        log.skip(20, &[]);
        assert!(log.vouches_for(2, &id("trimmed-unread"), seen));
        push(&mut log, "kept", String::new());
        push(&mut log, "large", "x".repeat(8 << 20));
        assert!(!log.vouches_for(21, &id("kept"), seen));
        assert!(log.vouches_for(21, &id("kept"), log.bounds()));
    }
}
