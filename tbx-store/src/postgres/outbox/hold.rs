//! What this process holds, as far as it knows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::FOREIGN;
use crate::outbox::{OutboxEntry, Tidings};

/// How long a look that found everything, but for what waits for messages under way, stands: others insert rows without a word, and rows become due.
const STANDS: Duration = Duration::from_millis(100);

/// Estates, what is under way in them, and where the search for more goes on.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Who this relay is to the others.
    holder: Uuid,
    /// What it appends to; none while no relay runs.
    own: Option<Uuid>,
    /// Until when the lease holds, by a clock that is not ahead of the server's.
    until: Option<Instant>,
    /// Each estate held, with its epoch.
    estates: HashMap<Uuid, i32>,
    /// Estates taken over from the dead whose charged messages have not been looked at.
    deserted: HashSet<Uuid>,
    under_way: HashMap<i64, Claim>,
    busy_keys: HashSet<(Arc<str>, String)>,
    lost: Vec<i64>,
    counted: HashSet<String>,
    cursors: HashMap<(Uuid, String), Cursor>,
    waits_for_others: bool,
    /// Grows with each sign that there may be more to claim.
    news: u64,
    /// The last look, if it found everything but what waits for messages under way.
    found_all: Option<Look>,
    /// When to look again because a look was passed over.
    look_at: Option<Instant>,
}

/// When a look began, and how much had been heard by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    news: u64,
    at: Instant,
}

/// What a message under way was claimed as.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) owner: Uuid,
    pub(super) epoch: i32,
    key: Option<(Arc<str>, String)>,
}

/// Where the next look goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) key: String,
    pub(super) id: i64,
    /// Whether it began again from the start, so that the next end is the end.
    pub(super) again: bool,
}

impl Hold {
    /// A relay begins, as somebody new.
    pub(super) fn begin(&mut self, counted: &[&str]) {
        let lost = self.under_way.keys().copied().collect();
        *self = Self {
            holder: Uuid::new_v4(),
            lost,
            counted: counted.iter().map(|channel| (*channel).to_owned()).collect(),
            // A look of the one before may still come to its end.
            news: self.news + 1,
            ..Self::default()
        };
    }

    pub(super) fn end(&mut self) {
        (self.own, self.until) = (None, None);
        self.estates.clear();
    }

    pub(super) fn holder(&self) -> Uuid {
        self.holder
    }

    /// Until when a lease lasted that was asked for at `asked` is known only to the caller: this notes what the server answered.
    pub(super) fn renewed(
        &mut self,
        own: Uuid,
        estates: HashMap<Uuid, i32>,
        deserted: HashSet<Uuid>,
        until: Instant,
    ) {
        for (id, claim) in &self.under_way {
            if estates.get(&claim.owner) != Some(&claim.epoch) {
                self.lost.push(*id);
            }
        }
        for id in &self.lost {
            if let Some(claim) = self.under_way.remove(id)
                && let Some(key) = claim.key
            {
                self.busy_keys.remove(&key);
            }
        }
        self.deserted.extend(deserted);
        self.deserted.retain(|owner| estates.contains_key(owner));
        self.cursors.retain(|(owner, _), _| estates.contains_key(owner));
        self.estates = estates;
        (self.own, self.until) = (Some(own), Some(until));
    }

    pub(super) fn own(&self) -> Option<Uuid> {
        self.own
    }

    pub(super) fn is_valid(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// While the lease holds, what is appended here is relayed here; else whoever comes first may have it.
    pub(super) fn estate_to_append_to(&self) -> Uuid {
        self.own.filter(|_| self.is_valid()).unwrap_or(FOREIGN)
    }

    pub(super) fn estates(&self) -> Vec<Uuid> {
        self.estates.keys().copied().collect()
    }

    /// Estates to claim from: not before what may have ended their last holder was looked at. The own one comes first.
    pub(super) fn open_estates(&self) -> Vec<Uuid> {
        let mut open: Vec<_> =
            self.estates.keys().filter(|owner| !self.deserted.contains(owner)).copied().collect();
        open.sort_unstable_by_key(|owner| (Some(*owner) != self.own, *owner));
        open
    }

    pub(super) fn deserted(&self) -> Vec<Uuid> {
        self.deserted.iter().copied().collect()
    }

    pub(super) fn looked_at(&mut self, owners: &[Uuid]) {
        for owner in owners {
            self.deserted.remove(owner);
        }
    }

    pub(super) fn counts(&self, channel: &str) -> bool {
        self.counted.contains(channel)
    }

    /// Whether neither the message nor another of its key is under way.
    pub(super) fn is_free(&self, entry: &OutboxEntry) -> bool {
        let key = entry.message.key().map(|key| (Arc::clone(&entry.channel), key.to_owned()));
        !self.under_way.contains_key(&entry.id) && key.is_none_or(|key| !self.busy_keys.contains(&key))
    }

    /// Notes that a message is under way; refused when its estate was lost meanwhile, or another of its key is under way.
    pub(super) fn start(&mut self, owner: Uuid, entry: &OutboxEntry) -> bool {
        let Some(epoch) = self.estates.get(&owner).copied() else { return false };
        if self.under_way.contains_key(&entry.id) {
            return false;
        }
        let key = entry.message.key().map(|key| (Arc::clone(&entry.channel), key.to_owned()));
        if let Some(key) = &key
            && !self.busy_keys.insert(key.clone())
        {
            return false;
        }
        // What was lost and is claimed anew before that was told is not to be forgotten any more.
        self.lost.retain(|lost| *lost != entry.id);
        self.under_way.insert(entry.id, Claim { owner, epoch, key });
        true
    }

    pub(super) fn claim_of(&self, id: i64) -> Option<Claim> {
        self.under_way.get(&id).cloned()
    }

    pub(super) fn finish(&mut self, id: i64) {
        if let Some(claim) = self.under_way.remove(&id)
            && let Some(key) = claim.key
        {
            self.busy_keys.remove(&key);
        }
    }

    pub(super) fn under_way(&self) -> Vec<i64> {
        self.under_way.keys().copied().collect()
    }

    pub(super) fn cursor(&self, owner: Uuid, channel: &str) -> Cursor {
        self.cursors.get(&(owner, channel.to_owned())).cloned().unwrap_or_default()
    }

    pub(super) fn set_cursor(&mut self, owner: Uuid, channel: &str, cursor: Cursor) {
        if self.estates.contains_key(&owner) {
            self.cursors.insert((owner, channel.to_owned()), cursor);
        }
    }

    pub(super) fn waits_for_others(&self) -> bool {
        self.waits_for_others
    }

    pub(super) fn set_waits_for_others(&mut self, waits: bool) {
        self.waits_for_others = waits;
    }

    /// There may be more to claim.
    pub(super) fn hear(&mut self) {
        self.news += 1;
    }

    /// A look begins.
    pub(super) fn look(&mut self) -> Look {
        self.look_at = None;
        Look { news: self.news, at: Instant::now() }
    }

    /// A look has ended.
    pub(super) fn looked(&mut self, look: Look, found_all: bool) {
        self.found_all = found_all.then_some(look);
    }

    /// Whether a look may be passed over, for a moment: the last one found everything but what waits for messages under way, and nothing was heard since it
    /// began.
    pub(super) fn pass_over(&mut self) -> bool {
        let Some(last) = self.found_all.filter(|last| last.news == self.news) else { return false };
        let passes = self.is_valid() && last.at.elapsed() < STANDS;
        if passes {
            self.look_at = Some(last.at + STANDS);
        }
        passes
    }

    /// When to look again because a look was passed over.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    pub(super) fn tidings(&mut self) -> Tidings {
        Tidings { lost: std::mem::take(&mut self.lost), left_behind: !self.deserted.is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tbx_bus::{Message, Topic};

    use super::*;

    fn entry() -> OutboxEntry {
        let message = Message::new(Topic::new("a").unwrap(), "X", "").with_key("k").unwrap();
        OutboxEntry { id: 7, channel: "c".into(), message, attempts: 1 }
    }

    fn renewed(hold: &mut Hold, own: Uuid, epoch: i32) {
        let until = Instant::now() + Duration::from_secs(60);
        hold.renewed(own, HashMap::from([(own, epoch)]), HashSet::new(), until);
    }

    #[test]
    fn what_was_heard_of_during_a_look_is_looked_for_after_it() {
        let mut hold = Hold::default();
        renewed(&mut hold, Uuid::new_v4(), 1);
        assert!(!hold.pass_over(), "nobody has looked");
        let look = hold.look();
        hold.looked(look, true);
        assert!(hold.pass_over());
        hold.looked(look, false);
        assert!(!hold.pass_over(), "something was left");

        let look = hold.look();
        hold.hear();
        hold.looked(look, true);
        assert!(!hold.pass_over());
        let look = hold.look();
        hold.looked(look, true);
        assert!(hold.pass_over());
        hold.end();
        assert!(!hold.pass_over(), "nothing is held");
    }

    #[test]
    fn what_is_passed_over_is_looked_at_a_moment_later() {
        let mut hold = Hold::default();
        renewed(&mut hold, Uuid::new_v4(), 1);
        let look = hold.look();
        hold.looked(look, true);
        assert_eq!(hold.look_at(), None);
        assert!(hold.pass_over());
        assert_eq!(hold.look_at(), Some(look.at + STANDS));
        hold.looked(Look { at: look.at - STANDS, ..look }, true);
        assert!(!hold.pass_over(), "that was long ago");
        hold.look();
        assert_eq!(hold.look_at(), None);
    }

    #[test]
    fn a_message_that_was_lost_and_claimed_anew_before_that_was_told_is_not_told_as_lost() {
        let (mut hold, own) = (Hold::default(), Uuid::new_v4());
        renewed(&mut hold, own, 1);
        assert!(hold.start(own, &entry()));
        renewed(&mut hold, own, 2);
        assert!(hold.start(own, &entry()));
        assert_eq!(hold.tidings(), Tidings::default());
        assert!(hold.claim_of(7).is_some());

        renewed(&mut hold, own, 3);
        assert_eq!(hold.tidings().lost, [7]);
        assert!(hold.claim_of(7).is_none());
    }
}
