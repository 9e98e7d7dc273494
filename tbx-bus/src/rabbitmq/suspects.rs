//! Which messages are sent alone, because the broker closed the channel over one of them.

use std::collections::HashSet;

use crate::MessageId;

/// How many are remembered; of those who are never published again nobody will know.
const REMEMBERED: usize = 4_096;

/// The messages that were unconfirmed when the broker refused one of them, until they are confirmed.
///
/// A refusal closes the channel and does not say whose it is. So each of them goes alone when it is published again: then it is known, and only
/// the one that is refused is told so. That one goes on going alone, since it may be published again.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    ids: HashSet<MessageId>,
    /// Whether the latest that was sent is one of them.
    is_alone: bool,
}

impl Suspects {
    /// Whether a message may be sent while others are unconfirmed.
    pub(super) fn lets_join(&self, id: &MessageId) -> bool {
        !self.is_alone && !self.ids.contains(id)
    }

    /// To be called for each message that is sent.
    pub(super) fn sent(&mut self, id: &MessageId) {
        self.is_alone = self.ids.contains(id);
    }

    pub(super) fn add(&mut self, ids: impl ExactSizeIterator<Item = MessageId>) {
        if self.ids.len() + ids.len() > REMEMBERED {
            self.ids.clear();
        }
        self.ids.extend(ids);
    }

    /// The broker takes it.
    pub(super) fn clear(&mut self, id: &MessageId) {
        if self.ids.remove(id) {
            self.is_alone = false;
        }
    }
}
