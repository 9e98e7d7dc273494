//! Which offsets belong to which topic: what makes catching up cost only what is delivered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use tbx_bus::Topic;

use super::topic_tree::TopicTree;
use crate::TopicSet;

/// How many topics are remembered of which nothing is kept. Each costs about 200 bytes.
const MAX_EMPTIED: usize = 10_000;

/// How many entries are looked through before their topics are.
const GLANCE: usize = 256;

/// The offsets of a history by topic, and how far each topic was trimmed.
#[derive(Debug, Default)]
pub(super) struct TopicIndex {
    topics: TopicTree<TopicLog>,
    /// The topic of each offset kept, oldest first.
    order: VecDeque<(u64, Topic)>,
    /// The topics of which nothing is kept, by their newest trimmed offset.
    emptied: BTreeMap<u64, Topic>,
    /// Topics that were trimmed up to here may have been forgotten.
    forgotten_through: u64,
}

#[derive(Debug, Default)]
struct TopicLog {
    offsets: VecDeque<u64>,
    /// The newest trimmed offset; 0 when none was.
    trimmed_through: u64,
}

impl TopicIndex {
    /// Enters an offset; they come in order.
    pub(super) fn add(&mut self, topic: &Topic, offset: u64) {
        let log = self.topics.entry(topic);
        if log.offsets.is_empty() {
            self.emptied.remove(&log.trimmed_through);
        }
        log.offsets.push_back(offset);
        self.order.push_back((offset, topic.clone()));
    }

    /// Removes the offsets of a topic up to `offset`, which was one of them.
    pub(super) fn trim(&mut self, topic: &Topic, offset: u64) {
        while self.order.front().is_some_and(|(oldest, _)| *oldest <= offset) {
            self.order.pop_front();
        }
        let log = self.topics.entry(topic);
        while log.offsets.front().is_some_and(|oldest| *oldest <= offset) {
            log.offsets.pop_front();
        }
        log.trimmed_through = log.trimmed_through.max(offset);
        if log.offsets.is_empty() {
            self.emptied.insert(log.trimmed_through, topic.clone());
        }
    }

    /// Removes every offset before `oldest`.
    #[cfg(feature = "redis")]
    pub(super) fn trim_before(&mut self, oldest: u64) {
        while let Some((offset, topic)) = self.order.front()
            && *offset < oldest
        {
            let (offset, topic) = (*offset, topic.clone());
            self.trim(&topic, offset);
        }
    }

    /// Remembers that a topic was trimmed up to `through`, of which this index may never have known.
    #[cfg(feature = "redis")]
    pub(super) fn note_trimmed(&mut self, topic: &Topic, through: u64) {
        let log = self.topics.entry(topic);
        if log.offsets.is_empty() {
            self.emptied.remove(&log.trimmed_through);
        }
        log.trimmed_through = log.trimmed_through.max(through);
        if log.offsets.is_empty() {
            self.emptied.insert(log.trimmed_through, topic.clone());
        }
    }

    /// Forgets the topics that were trimmed longest ago, when there are too many of which nothing is kept. Who comes back to one of them, or to any
    /// topic from as far back, is told of a gap to be safe. Returns the forgotten ones.
    pub(super) fn bound(&mut self) -> Vec<Topic> {
        let mut forgotten = Vec::new();
        while self.emptied.len() > MAX_EMPTIED
            && let Some((through, topic)) = self.emptied.pop_first()
        {
            self.topics.remove(&topic);
            self.forget_through(through);
            forgotten.push(topic);
        }
        forgotten
    }

    /// Up to which offset topics may have been forgotten.
    #[cfg(feature = "sqlite")]
    pub(super) fn forgotten_through(&self) -> u64 {
        self.forgotten_through
    }

    /// Remembers that topics were forgotten, as when a history is opened again.
    pub(super) fn forget_through(&mut self, through: u64) {
        self.forgotten_through = self.forgotten_through.max(through);
    }

    /// Whether something after `after` that `topics` want was trimmed.
    pub(super) fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        let mut trimmed = after < self.forgotten_through;
        for pattern in topics.patterns() {
            self.topics.matching(pattern, &mut |log| trimmed |= log.trimmed_through > after);
        }
        trimmed
    }

    /// The newest offset of a topic of which something is kept.
    pub(super) fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.topics.get(topic)?.offsets.back().copied()
    }

    /// Up to `limit` offsets after `after` and up to `through` that `topics` want, in order, each once.
    ///
    /// Looks through the next entries first: where patterns want many of them, that is all it takes. Otherwise their topics tell where to go on, which
    /// costs as much as there are such topics, however many entries lie between.
    pub(super) fn find(&self, topics: &TopicSet, after: u64, through: u64, limit: usize) -> Vec<u64> {
        let start = self.order.partition_point(|(offset, _)| *offset <= after);
        let mut found = Vec::new();
        let mut looked_at = after;
        for (offset, topic) in
            self.order.range(start..).take(GLANCE).take_while(|(offset, _)| *offset <= through)
        {
            looked_at = *offset;
            if topics.matches(topic) {
                found.push(*offset);
                if found.len() == limit {
                    return found;
                }
            }
        }
        if self.order.back().is_some_and(|(newest, _)| *newest.min(&through) > looked_at) {
            let left = limit - found.len();
            found.extend(self.find_by_topic(topics, looked_at, through, left));
        }
        found
    }

    fn find_by_topic(&self, topics: &TopicSet, after: u64, through: u64, limit: usize) -> Vec<u64> {
        // The next offset of each matching topic, smallest first: a merge of sorted lists.
        let mut next = BinaryHeap::new();
        for pattern in topics.patterns() {
            self.topics.matching(pattern, &mut |log| {
                let start = log.offsets.partition_point(|offset| *offset <= after);
                if let Some(offset) = log.offsets.get(start) {
                    next.push((Reverse(*offset), start, &log.offsets));
                }
            });
        }
        let mut found: Vec<u64> = Vec::new();
        while let Some((Reverse(offset), index, offsets)) = next.pop() {
            if offset > through || found.len() == limit {
                break;
            }
            // A topic that two patterns want is in the heap twice.
            if found.last() != Some(&offset) {
                found.push(offset);
            }
            if let Some(following) = offsets.get(index + 1) {
                next.push((Reverse(*following), index + 1, offsets));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(topics: &[&str]) -> TopicIndex {
        let mut index = TopicIndex::default();
        for (offset, topic) in (1..).zip(topics) {
            index.add(&Topic::new(topic).unwrap(), offset);
        }
        index
    }

    #[test]
    fn merges_topics_in_order_and_once() {
        let index = index(&["a.x", "b", "a.y", "a.x", "b", "a.y"]);
        let topics = TopicSet::parse("a.*,a.x,#.y").unwrap();
        assert_eq!(index.find(&topics, 0, 6, 10), [1, 3, 4, 6]);
        assert_eq!(index.find(&topics, 1, 4, 10), [3, 4]);
        assert_eq!(index.find(&topics, 0, 6, 2), [1, 3]);
    }

    #[test]
    fn trimming_is_told_only_to_those_who_missed_something() {
        let mut index = index(&["quiet", "busy", "busy"]);
        index.trim(&Topic::new("quiet").unwrap(), 1);
        index.trim(&Topic::new("busy").unwrap(), 2);
        assert!(!index.has_trimmed(&TopicSet::parse("quiet").unwrap(), 1));
        assert!(index.has_trimmed(&TopicSet::parse("busy").unwrap(), 1));
        assert!(!index.has_trimmed(&TopicSet::parse("busy").unwrap(), 2));
        assert!(index.has_trimmed(&TopicSet::everything(), 0));
        assert_eq!(index.find(&TopicSet::everything(), 0, 3, 10), [3]);
    }

    #[test]
    fn topics_of_which_nothing_is_kept_are_forgotten_in_the_end_and_told_as_a_gap() {
        let mut index = TopicIndex::default();
        let topic = |number: u64| Topic::new(&format!("once.n{number}")).unwrap();
        let newest = MAX_EMPTIED as u64 + 3;
        for offset in 1..=newest {
            index.add(&topic(offset), offset);
            index.trim(&topic(offset), offset);
        }
        assert_eq!(index.bound(), [topic(1), topic(2), topic(3)]);
        let forgotten = TopicSet::parse("once.n1").unwrap();
        assert!(index.has_trimmed(&forgotten, 0));
        assert!(index.has_trimmed(&forgotten, 2), "to be safe");
        assert!(!index.has_trimmed(&forgotten, 3));
        assert!(index.bound().is_empty());
    }

    #[test]
    fn glancing_at_entries_and_going_by_topic_find_the_same() {
        let mut random = fastrand::Rng::with_seed(7);
        let words = ["a", "b", "c", "d", "$p"];
        let mut index = TopicIndex::default();
        for offset in 1..=2_000 {
            let topic = format!("{}.{}", words[random.usize(..5)], words[random.usize(..5)]);
            index.add(&Topic::new(&topic).unwrap(), offset);
        }
        for (patterns, after, through, limit) in [
            ("#", 0, 2_000, 5_000),
            ("#", 1_990, 2_000, 64),
            ("a.b", 0, 2_000, 1_000),
            ("a.b,*.c", 37, 1_900, 64),
            ("$p.$p", 100, 2_000, 64),
            ("none", 0, 2_000, 64),
            ("a.*,#.b", 5, 400, 1_000),
        ] {
            let topics = TopicSet::parse(patterns).unwrap();
            let wanted = index.find_by_topic(&topics, after, through, limit);
            assert_eq!(index.find(&topics, after, through, limit), wanted, "{patterns}");
        }
    }
}
