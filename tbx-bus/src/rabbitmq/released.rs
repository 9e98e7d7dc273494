//! What this process gave back unstarted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::MessageId;

/// How many messages are remembered; the oldest give way.
const REMEMBERED: usize = 16_384;

type Key = (Arc<str>, MessageId);

/// Counts, for each message, the returns that were no attempts.
///
/// Brokers before 4.3 count every return of a message, whatever the reason. What this process knows to have returned unstarted is subtracted
/// again, so that a consumer that comes and goes uses up no attempts. Another process does not know it: there such a message begins with a
/// higher attempt.
#[derive(Debug, Default)]
pub(super) struct Released(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    /// How often, and when first: what was forgotten and returns has an older place in the order too.
    counts: HashMap<Key, (u32, u64)>,
    order: VecDeque<(Key, u64)>,
    next: u64,
}

impl Released {
    pub(super) fn add(&self, group: &Arc<str>, id: &MessageId) {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(group), id.clone());
        if let Some((count, _)) = ledger.counts.get_mut(&key) {
            *count = count.saturating_add(1);
            return;
        }
        if ledger.order.len() >= REMEMBERED
            && let Some((oldest, first)) = ledger.order.pop_front()
            && ledger.counts.get(&oldest).is_some_and(|(_, since)| *since == first)
        {
            ledger.counts.remove(&oldest);
        }
        let first = ledger.next;
        ledger.next += 1;
        ledger.order.push_back((key.clone(), first));
        ledger.counts.insert(key, (1, first));
    }

    /// The message was acknowledged, buried or published anew: the broker counts it no more, or from the beginning.
    pub(super) fn forget(&self, group: &Arc<str>, id: &MessageId) {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !ledger.counts.is_empty() {
            ledger.counts.remove(&(Arc::clone(group), id.clone()));
        }
    }

    pub(super) fn count(&self, group: &Arc<str>, id: &MessageId) -> u32 {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.counts.get(&(Arc::clone(group), id.clone())).map_or(0, |(count, _)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let (released, group) = (Released::default(), Arc::from("readers"));
        let id = |n: usize| MessageId::new(&n.to_string()).unwrap();
        released.add(&group, &id(0));
        released.add(&group, &id(0));
        assert_eq!(released.count(&group, &id(0)), 2);
        for n in 1..=REMEMBERED {
            released.add(&group, &id(n));
        }
        assert_eq!(released.count(&group, &id(0)), 0);
        assert_eq!(released.count(&group, &id(REMEMBERED)), 1);
        released.forget(&group, &id(REMEMBERED));
        assert_eq!(released.count(&group, &id(REMEMBERED)), 0);
    }

    #[test]
    fn what_was_forgotten_and_returns_does_not_give_way_for_its_old_place() {
        let (released, group) = (Released::default(), Arc::from("readers"));
        let id = |n: usize| MessageId::new(&n.to_string()).unwrap();
        released.add(&group, &id(0));
        released.forget(&group, &id(0));
        for n in 1..REMEMBERED {
            released.add(&group, &id(n));
        }
        released.add(&group, &id(0));
        assert_eq!(released.count(&group, &id(0)), 1);
    }
}
