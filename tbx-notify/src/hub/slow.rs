//! What happens to a reader that does not keep up.

use tbx_bus::{Topic, TopicPattern};

/// What happens to a reader that was up to date and has fallen behind by more than
/// [`HubOptions::max_behind`](super::HubOptions::max_behind), or by more than the history keeps. Chosen by topic; where nothing is chosen, each
/// transport has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// Its connection is closed and it resumes where it was: nothing is lost as long as the history keeps it. Costs a reconnect.
    Close,
    /// It goes on with the oldest entries in memory and is told of the gap.
    DropOldest,
    /// It gets the newest entry of each topic only, at any speed: an entry is passed over when its topic has a newer one by the time it would be
    /// sent. For values of which only the present one matters; nothing tells that older ones were passed over.
    LatestOnly,
}

/// The first rule whose pattern matches a topic holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlowRules(Vec<(TopicPattern, SlowPolicy)>);

impl SlowRules {
    pub(super) fn add(&mut self, pattern: TopicPattern, policy: SlowPolicy) {
        self.0.push((pattern, policy));
    }

    /// Whether some topics want the latest only.
    pub(super) fn have_latest_only(&self) -> bool {
        self.0.iter().any(|(_, policy)| *policy == SlowPolicy::LatestOnly)
    }

    pub(super) fn of(&self, topic: &Topic) -> Option<SlowPolicy> {
        self.0.iter().find(|(pattern, _)| pattern.matches(topic)).map(|(_, policy)| *policy)
    }
}
